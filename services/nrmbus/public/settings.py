"""Setting `public` of an agency's ``agency.json``: what the public page says, and where it listens."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, Literal

from nrmbus.bus.errors import BusError
from nrmbus.bus.http_server import PORTS
from nrmbus.bus.tls_listener import Listen
from nrmbus.intake.store import MOST_DAYS
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.words import is_of_azerbaijan
from nrmbus.zone import zone_of

ZONE: Final = zone_of("Asia/Baku")
"""Time zone of the pages until the desk has written that of the profile."""
EXIT: Final = "https://www.wikipedia.org/"
KEEP_DAYS: Final = 90
NATIONAL: Final = "152"
"""Number of the hotline of the Ministry of Internal Affairs: order 590 of 12 October 2007 [S10], the unit's own FAQ [S13]."""
UNSAID: Final = ""
"""Setting without a number: the page names that of Azerbaijan, unless the bus has a profile of another country."""

RunBy = Literal["police", "state", "ngo"]
ByLanguage = Mapping[Language, str]

_NUMBER: Final = re.compile(r"\+?[0-9][0-9 ()-]{1,24}")
_ADDRESS: Final = re.compile(r"https://[A-Za-z0-9.-]{3,100}(/[A-Za-z0-9./_-]{0,100})?")
_TEXT: Final = 120


@dataclass(frozen=True, slots=True)
class Line:
    """A telephone line: number, and whose it is, by language."""

    number: str
    name: ByLanguage

    @property
    def dialled(self) -> str:
        """Return the number as a telephone dials it."""
        return re.sub(r"[^0-9+]", "", self.number)


@dataclass(frozen=True, slots=True)
class PublicSettings:
    """Setting of an agency's public page."""

    name: ByLanguage
    """Name of the hotline, as the page shows it and as a browser's history keeps it."""
    run_by: RunBy
    """The hotline's owner, whose people read the messages: police, another body of the state, or an NGO. The page says so before anybody writes."""
    phone: str | None = None
    """The hotline's own number; None if it has none."""
    hours: ByLanguage = field(default_factory=dict)
    """When somebody answers there, in words."""
    lines: tuple[Line, ...] = ()
    """Further numbers, such as that of an emergency."""
    national: str | None = UNSAID
    """Number of the state's hotline; None if the page is not to name it."""
    exit: str = EXIT
    """Where "Leave this page" leads: a neutral page that loads quickly."""
    keep_days: int = KEEP_DAYS
    """Days after which messages are deleted where nobody, neither the person nor the hotline, has been."""
    port: int | None = None
    listen: Listen | None = None
    """Address by TLS for everybody; without it the page listens on 127.0.0.1 alone."""
    proxies: tuple[str, ...] = ()
    """Addresses of a web server that stands between and passes connections on; it must not log addresses either."""

    def under(self, profile: str | None) -> "PublicSettings":
        """Return these settings on a bus where *profile* is in force, None if the desk has not said so yet: the state's number is decided."""
        if self.national != UNSAID:
            return self
        return replace(self, national=NATIONAL if profile is None or is_of_azerbaijan(profile) else None)

    def own(self, language: Language) -> Line | None:
        """Return the hotline's own line."""
        return Line(self.phone, {language: self.name[language]}) if self.phone else None

    @property
    def first(self) -> Line | None:
        """Return the number to call first, unnamed: the hotline's own, else the state's, else the first of `lines`; None if there is none."""
        return next((Line(each, {}) for each in (self.phone, self.national, *(line.number for line in self.lines)) if each), None)  # fmt: skip

    @classmethod
    def parse(cls, found: Any, where: Path) -> "PublicSettings":
        """Return the setting `public` of the file *where*.

        Raises:
            BusError: there is none, a member of it is wrong, or two are one port; the message names the member, and no value.
        """
        wrong = _wrong_member(found)
        if wrong is not None:
            raise BusError(
                f"`public` in {where} is wrong at `{wrong}`: write"
                ' {"name": {"az": "…", "en": "…", "ru": "…"}, "run_by": "ngo", "phone": "…"}, or see the page of public.'
            )
        lines = tuple(Line(each["number"], each["name"]) for each in found.get("lines", ()))
        listen = Listen.parse(found.get("listen"), where, who="The public page", member="public.listen")
        if listen is not None and listen.certificate is None:
            raise BusError(f"`public.listen` in {where} has no `certificate`: browsers know no authority of a desk.")
        if listen is not None and listen.has_here(found.get("port")):
            raise BusError(
                f"`port` and `listen.port` of `public` in {where} are one port of this machine: write another number for"
                " `port`, or leave it out."
            )
        plain = {each: found[each] for each in found if each not in ("lines", "listen", "proxies")}
        return cls(
            **plain,
            lines=lines,
            listen=listen,
            proxies=tuple(found.get("proxies", ())),
        )


def _wrong_member(found: Any) -> str | None:
    """Return the first member that is missing or does not fit, or None; an unknown name is not repeated."""
    if not isinstance(found, Mapping) or found.keys() - _FITS.keys():
        return "its members"
    needed = {"name", "run_by"} - found.keys()
    return next((each for each in _FITS if each in needed or (each in found and not _FITS[each](found[each]))), None)


def _is_by_language(found: Any) -> bool:
    texts = list(found.values()) if isinstance(found, Mapping) else []
    return bool(texts) and found.keys() == LANGUAGES.keys() and all(isinstance(each, str) and 0 < len(each) <= _TEXT for each in texts)  # fmt: skip


def _is_number(found: Any) -> bool:
    return isinstance(found, str) and _NUMBER.fullmatch(found) is not None


def _is_line(found: Any) -> bool:
    whole = isinstance(found, Mapping) and found.keys() == {"number", "name"}
    return whole and _is_number(found["number"]) and _is_by_language(found["name"])


def _is_network(found: Any) -> bool:
    try:
        ip_network(found if isinstance(found, str) else "")
    except ValueError:
        return False
    return True


def _list_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda found: isinstance(found, list) and len(found) <= 20 and all(map(fits, found))


_FITS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "name": _is_by_language,
    "run_by": lambda found: found in ("police", "state", "ngo"),
    "phone": _is_number,
    "hours": _is_by_language,
    "lines": _list_of(_is_line),
    "national": lambda found: found is None or _is_number(found),
    "exit": lambda found: isinstance(found, str) and _ADDRESS.fullmatch(found) is not None,
    "keep_days": lambda found: type(found) is int and 1 <= found <= MOST_DAYS,
    "port": lambda found: type(found) is int and found in PORTS,
    "listen": lambda found: isinstance(found, Mapping),
    "proxies": _list_of(_is_network),
}
"""Checks of the members' values, by name."""
