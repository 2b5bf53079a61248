"""File of ``nrmbus up --agencies``: the agencies to admit, read as strictly as a scenario."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nrmbus.bus.errors import BusError
from nrmbus.bus.pki.authority import RESERVED
from nrmbus.directory import SERVICES, DirectoryError
from nrmbus.directory.admission import Newcomer
from nrmbus.events.errors import Invalid
from nrmbus.play.scenario import Participant
from nrmbus.play.strict import NotStrictError, load
from nrmbus.rules import load_profile
from nrmbus.wire.ids import REF, is_agency
from nrmbus.wire.keys import files
from nrmbus.wire.names import STATISTICS

_MIB: Final = 1024 * 1024
_AGENCIES: Final = _MIB
"""Bytes of the largest list of agencies: more than a country has."""
_CASES: Final = 8 * _MIB
"""Bytes of the largest list of cases: almost 200,000. An agency lists every case in which it ever took part."""


def _text(path: Path, largest: int) -> str:
    raw, _ = files.read(path, largest + 1)
    if len(raw) > largest:
        raise NotStrictError(1, f"the file is larger than {largest // _MIB} MiB, and no longer list is read")
    return raw.decode()


def newcomers_of(path: Path, policy: str) -> Mapping[str, Newcomer]:
    """Return the agencies in the file at *path* by id: role, and supervisor and places if they are given.

    Args:
        path: a YAML file, as ``deploy/agencies/az-example.yaml`` is one.
        policy: the dated profile whose roles are meant.

    Raises:
        BusError: the file cannot be read, or a line cannot be admitted; the message names the line.
    """
    try:
        body, lines = load(_text(path, _AGENCIES))
    except NotStrictError as error:
        message = f"{path}, {error}; see deploy/agencies/az-example.yaml"
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}): name a file like deploy/agencies/az-example.yaml"
    except UnicodeDecodeError:
        message = f"{path} is not UTF-8; see deploy/agencies/az-example.yaml"
    else:
        return _admissible(path, body, lines, policy)
    raise BusError(message)


def _admissible(
    path: Path, body: object, lines: Mapping[tuple[str | int, ...], int], policy: str
) -> Mapping[str, Newcomer]:
    if not isinstance(body, dict):
        raise BusError(f"{path}, line 1: a list of agencies is wanted; see deploy/agencies/az-example.yaml")
    roles, shelters = _roles(policy), load_profile(policy).shelters
    found: dict[str, Newcomer] = {}
    for agency, about in body.items():
        where = f"{path}, line {lines[agency,]}"
        if not is_agency(agency) or agency in {*SERVICES, *RESERVED}:
            raise BusError(f"{where}: this id is not allowed or reserved for a part of the bus; choose another")
        one = None
        try:
            one = Participant.from_mapping(about) if isinstance(about, dict) else None
        except Invalid as error:
            raise BusError(f"{where}: {agency} {error}") from None
        if one is None:
            raise BusError(f"{where}: say {agency}'s role, like {{role: ngo_outreach}}")
        if one.role not in roles:
            raise BusError(f"{where}: {policy} has no such role; it has {', '.join(sorted(roles))}")
        if (agency == STATISTICS) != (one.role == STATISTICS):
            raise BusError(f"{where}: the agency with the role statistics has the id statistics, and no other role")
        if one.capacity and one.role not in shelters:
            raise BusError(f"{where}: only a shelter has a capacity")
        _see_that_settings_fit(one, path, f"{where}: webhooks of {agency}")
        found[agency] = Newcomer(one.role, one.supervisor, one.capacity or {}, one.contact, one.public, one.webhooks)
    for agency, newcomer in found.items():
        if newcomer.supervisor is not None and newcomer.supervisor not in found:
            raise BusError(f"{path}, line {lines[agency,]}: the supervisor of {agency} is not in this file")
    return found


def _see_that_settings_fit(one: Participant, path: Path, webhooks: str) -> None:
    """Check the settings that a desk, or a public page, would refuse at its start; *webhooks* says where those are."""
    if one.public is not None:
        from nrmbus.public.settings import PublicSettings  # noqa: PLC0415 - few agencies have a public page

        PublicSettings.parse(one.public, path)
    if one.webhooks is not None:
        from nrmbus.desk.errors import DeskError  # noqa: PLC0415 - few have receivers beyond the public internet
        from nrmbus.desk.webhooks.egress import Egress  # noqa: PLC0415 - the same

        try:
            Egress.read(one.webhooks)
        except DeskError as error:
            raise BusError(f"{webhooks}: {error.sentence}") from None


def _roles(policy: str) -> frozenset[str]:
    return frozenset({*load_profile(policy).expand(("AGENCIES",)), STATISTICS})


def known_role(role: str, policy: str) -> None:
    """Check that *policy* has this *role*.

    Raises:
        BusError: there is no such role; the message names the roles of the policy.
    """
    roles = _roles(policy)
    if role not in roles:
        raise BusError(f"{policy} has no such role; it has {', '.join(sorted(roles))}")


def disposals_of(path: Path) -> Mapping[str, str | None]:
    """Return for each case in the file at *path* the agency that took the case over, or None for a deleted case.

    Raises:
        BusError: a line has another form; the message names the line.
    """
    try:
        body, lines = load(_text(path, _CASES))
    except NotStrictError as error:
        raise BusError(f"{path}, {error}") from None
    except OSError as error:
        raise BusError(f"{path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise BusError(f"{path} is not UTF-8") from None
    if not isinstance(body, dict):
        raise BusError(f"{path}, line 1: a line for each case is wanted, like `REF: deleted`")
    found: dict[str, str | None] = {}
    for case, outcome in body.items():
        match outcome:
            case "deleted":
                found[str(case)] = None
            case {"handed_over": str() as to} if len(outcome) == 1 and is_agency(to):
                found[str(case)] = to
            case _:
                raise BusError(f"{path}, line {lines[case,]}: say `deleted`, or `{{handed_over: AGENCY}}`")
        if REF.fullmatch(str(case)) is None:
            raise BusError(f"{path}, line {lines[case,]}: a case is named by its whole reference, in quotes")
    return found


@contextmanager
def admitting(path: Path | None) -> Iterator[None]:
    """Turn the directory's refusal of an agency in the file at *path* into one sentence.

    Raises:
        BusError: one has another role in the directory than in the file.
    """
    try:
        yield
    except DirectoryError as error:
        raise BusError(f"{path}: {error}" if path else str(error)) from None
