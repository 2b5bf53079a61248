"""Profiles by name: those of this release, and those that the folder of a bus adds; both are read strictly.

A name means the same values for good. So a file of one's own never takes the place of a bundled profile, and never changes
once this process knows it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from types import MappingProxyType
from typing import Any, Final, cast

import yaml
from pydantic import ValidationError
from yaml.error import Mark

from nrmbus.events.policy import MOST_CHARACTERS
from nrmbus.packed import packed
from nrmbus.rules import overlay
from nrmbus.rules.calendar import Calendar
from nrmbus.rules.profile import Profile, ProfileError, UnknownProfileError

_PROFILES: Final = packed("rules/profiles")
_OWN: Final[dict[str, str]] = {}
"""Texts of the profiles that were added to those of this release, by name."""

# libyaml's, where PyYAML was built with it: 7 ms instead of 70, at the start of every service.
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Strict(_Loader):  # type: ignore[valid-type, misc]  # one of two that read alike
    """YAML in which a key that is there twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:  # noqa: FBT001, FBT002 - the library's signature
        names = [key.value for key, _ in node.value]
        if len(names) != len(set(names)):
            message = f"line {node.start_mark.line + 1}: a key is there twice"
            raise ProfileError(message)
        found: dict[object, object] = super().construct_mapping(node, deep)
        return found


def see_that_it_is_small(text: str) -> None:
    """Check that *text* stays as small as it looks when it is read: no alias multiplies a value.

    Raises:
        YAMLError: it is too long, or has an alias. The error has the place of the alias.
    """
    if len(text) > MOST_CHARACTERS:
        raise yaml.YAMLError(f"it is longer than {MOST_CHARACTERS:,} characters")
    if "&" in text:  # an alias needs an anchor
        for event in yaml.parse(text, _Loader):
            if isinstance(event, yaml.AliasEvent):
                raise yaml.MarkedYAMLError(
                    problem="an alias stands for a value", problem_mark=cast("Mark", event.start_mark)
                )


def _loaded(text: str) -> Any:
    problem = ""
    try:
        see_that_it_is_small(text)
        return yaml.load(text, _Strict)  # noqa: S506 - a SafeLoader that is stricter still
    except yaml.MarkedYAMLError as error:
        problem = f"line {error.problem_mark.line + 1 if error.problem_mark else 0} is no YAML of a profile"
    except ProfileError as error:
        problem = str(error)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        problem = "it is no YAML of a profile"
    message = f"the profile does not read: {problem}"
    raise ProfileError(message)


def extended_by(text: str) -> str | None:
    """Return the name of the profile that the one in YAML *text* extends, or None if it extends none or does not read."""
    loaded: Any = None
    with suppress(ProfileError):
        loaded = _loaded(text)
    name = loaded.get(overlay.EXTENDS) if isinstance(loaded, dict) else None
    return name if isinstance(name, str) else None


def values_below(loaded: Mapping[str, Any], beside: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the profile *loaded*, which extends another, whole; *beside* as in `profile_values`.

    Raises:
        OverlayError: it does not fit the other profile.
        ProfileError: the other profile does not read, or extends this one.
        UnknownProfileError: there is no such other profile.
    """
    return _whole(loaded, (), beside)


def profile_values(text: str, beside: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Return the values of the profile in YAML *text*, whole: with those of the profile that it extends.

    It may extend one of *beside* too, texts by name that are not known yet.

    Raises:
        ProfileError: the text is no table, or does not fit the profile that it extends.
    """
    return _values(text, (), beside)


def _values(text: str, above: tuple[str, ...], beside: Mapping[str, str]) -> dict[str, Any]:
    loaded = _loaded(text)
    if not isinstance(loaded, dict):
        raise ProfileError("the profile does not read: it is no table")
    if overlay.EXTENDS not in loaded:
        return loaded
    try:
        return _whole(loaded, above, beside)
    except (overlay.OverlayError, UnknownProfileError) as error:
        raise ProfileError(f"the profile does not read: {error}") from None


def _whole(loaded: Mapping[str, Any], above: tuple[str, ...], beside: Mapping[str, str]) -> dict[str, Any]:
    line = (*above, str(loaded.get("name")))

    def base_of(name: str) -> dict[str, Any]:
        if name in line:
            cycle = ", which extends ".join((*line[line.index(name) + 1 :], name))
            raise ProfileError(f"the profile does not read: {name} extends {cycle}: a cycle")
        return _values(beside[name] if name in beside else profile_text(name), line, beside)

    return overlay.whole(loaded, base_of)


def read_profile(text: str, beside: Mapping[str, str] = MappingProxyType({})) -> Profile:
    """Read a profile from YAML *text*. Raise ProfileError for anything that does not belong there, naming where it stands.

    *beside* as in `profile_values`.
    """
    problem = ""
    try:
        return Profile.model_validate_json(json.dumps(profile_values(text, beside)))
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        problem = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found)
    except TypeError:
        problem = "something is no text, number, list or table; put days in quotation marks"
    message = f"the profile does not read: {problem}"
    raise ProfileError(message)


@cache
def bundled_names() -> tuple[str, ...]:
    """Return the names of the profiles of this release, sorted."""
    names = (entry.name for entry in _PROFILES.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def profile_names() -> tuple[str, ...]:
    """Return the names of the profiles of this release and of those that were added, sorted."""
    return tuple(sorted({*bundled_names(), *_OWN}))


def profile_text(name: str) -> str:
    """Return the YAML of the profile *name*. Raise UnknownProfileError."""
    if name in _OWN:
        return _OWN[name]
    if name not in bundled_names():
        message = f"no such profile; there are: {', '.join(profile_names())}"
        raise UnknownProfileError(message)
    return _PROFILES.joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def add_profiles(texts: Iterable[str]) -> tuple[Profile, ...]:
    """Add the profiles in the YAML *texts* to those of this process, and return them; one may extend another of them.

    A profile that is known with the same values is known already, and nothing is done.

    Raises:
        ProfileError: one does not read, this release lacks the holidays of its country, or its name is known with other
            values. None of *texts* is added then.
    """
    given = tuple(texts)
    named = {name_in(text): text for text in given}
    if len(named) < len(given):
        raise ProfileError("two profiles have one name")
    fresh = {name: text for name, text in named.items() if name not in profile_names()}
    found = {name: read_profile(text, fresh) for name, text in named.items()}
    for name, profile in found.items():
        Calendar.of(profile)  # a service that judges by a profile without one would end at its first event
        if name not in fresh and load_profile(name).digest != profile.digest:
            message = f"{name} is known with other values: give the profile another date, since one that is known never changes"
            raise ProfileError(message)
    _OWN.update(fresh)  # at once, and last: another thread may judge meanwhile
    return tuple(found.values())


def name_in(text: str) -> str:
    """Return the name in the YAML *text* of a profile. Raise ProfileError if there is none."""
    loaded = _loaded(text)
    name = loaded.get("name") if isinstance(loaded, dict) else None
    if not isinstance(name, str):
        raise ProfileError("the profile does not read: it has no name")
    return name


def is_installed(name: str, digest: str) -> bool:
    """Return whether this installation has a profile *name* with the values of *digest*."""
    return name in profile_names() and load_profile(name).digest == digest


def installed_digest(first: str) -> str:
    """Return a digest of all profiles here and of the name *first*: equal where Rules that begin under *first* judge alike."""
    return _digest_of(first, profile_names())


@cache
def _digest_of(first: str, names: tuple[str, ...]) -> str:
    listed = [first, *(f"{name} {load_profile(name).digest}" for name in names)]
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()


def refusal_codes() -> frozenset[str]:
    """Return the codes of refusals in any profile here: what a metric may count."""
    return frozenset(rule.code for name in profile_names() for rule in load_profile(name).refusals.values())


@cache
def load_profile(name: str) -> Profile:
    """Read the profile *name*, as ``az@2022-04-29``. Raise UnknownProfileError or ProfileError."""
    return read_profile(profile_text(name))
