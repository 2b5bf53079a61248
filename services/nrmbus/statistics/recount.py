"""Recount of a release from a file of the history: every table of events counted again, and compared cell by cell. Pure.

The tables of persons need the coded parts of letters, which the statistics alone can open; they are named, not checked.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nrmbus.directory import Directory, DirectoryError
from nrmbus.events import bulletin
from nrmbus.events.figures import Checkpoint, Release, Row, Table
from nrmbus.events.model import Fact
from nrmbus.rules import Agency, Rules, UnknownProfileError, load_profile
from nrmbus.rules.profile_files import is_installed
from nrmbus.statistics.counting import Count
from nrmbus.statistics.exported import HistoryFile, Unreadable
from nrmbus.statistics.persons import Case
from nrmbus.statistics.release import published_in, release_of
from nrmbus.statistics.spans import Span
from nrmbus.statistics.specs import NEEDS
from nrmbus.wire import json, statement
from nrmbus.wire.errors import WireError
from nrmbus.wire.history import Chain, HistoryFault, HistoryRecord, known_event
from nrmbus.wire.keys.keys import VerifyKey
from nrmbus.wire.registration import Audience, Registration

CODES: Final = {
    "release_unreadable": "This is no release of figures.",
    "history_unreadable": "The file of the history is missing or empty.",
    "file_cut": "The file ends before its last line.",
    "line_malformed": "A line is not one JSON object of its kind in its only spelling (RFC 8785).",
    "line_misplaced": "A line is missing, or stands where its kind does not belong.",
    "header_malformed": "The first line does not have the form of this version.",
    "digest_differs": "The lines are not those that the last line counts and hashes.",
    "lines_missing": "There are not as many lines of a kind as the first line says.",
    "history_uncounted": "The release counts no registration and shows counts all the same: they are made up, as on an example bus.",
    "bus_differs": "The history is of another bus than the release.",
    "directory_malformed": "An entry of the directory does not have the right form, or is out of its order.",
    "operator_signature_invalid": "An entry of the directory is not signed by the operator's key that you gave.",
    "registration_malformed": "A registration does not have the right form.",
    "registration_missing": "A registration that the release counts is missing.",
    "registration_duplicate": "Two registrations have one number, or stand in another order than their numbers.",
    "registration_foreign": "A registration is of another bus, or of a partition that the release does not count.",
    "chain_broken": "A registration does not name the digest of the one before it.",
    "checkpoint_differs": "The history ends in another registration than the release names: it is not the counted one.",
    "registrar_signature_missing": "The last registration of a partition has no signature of the registrar.",
    "registrar_signature_invalid": "The registrar did not sign the last registration of a partition.",
    "audience_missing": "The list of recipients of an event is missing.",
    "audience_altered": "A list of recipients is not the registered one.",
    "envelope_missing": "The envelope of a registered event is missing.",
    "envelope_unreadable": "An envelope does not have the right form.",
    "envelope_altered": "An envelope is not the registered one.",
    "event_unknown": "This version of nrmbus does not know a type of event in the history, so it would count too little.",
    "profile_unknown": "A profile of the Rules by which the release counts is not here with its values: give its file with --profile.",
    "profile_differs": "The release names another profile than was in force.",
    "threshold_differs": "The release has another threshold k than its profile.",
    "releases_differ": "The release names other earlier releases than the history has.",
    "table_missing": "The release lacks a table of events.",
    "table_unknown": "The release has a table that this version of nrmbus does not count.",
    "rows_differ": "A table has other rows than it must have.",
    "count_differs": "A published count is not the counted one.",
    "count_exposed": "A count is published that must be suppressed.",
    "count_withheld": "A count is suppressed that can be published.",
    "before_differs": "A count of the year before is not the published one.",
}  # fmt: skip
"""Every way to fail, one sentence each."""

_PLACES: Final = {
    "foreign": "registration_foreign",
    "gap": "registration_missing",
    "duplicate": "registration_duplicate",
    "unreadable": "registration_malformed",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One check: ``ok``, ``open`` (nothing vouches for it, or it cannot be checked) or a code, and a sentence."""

    result: str
    check: str
    about: str
    says: str

    @property
    def failed(self) -> bool:
        """Return whether the check failed."""
        return self.result in CODES


class Failed(Exception):
    """A failed check, with its code and a place in words."""

    def __init__(self, code: str, place: str = "") -> None:
        super().__init__(code)
        self.code, self.place = code, place


class Recount:
    """Checks of one release against a history; `verdict` sums them up."""

    def __init__(self, release: Release, history: Iterable[bytes], operator: VerifyKey | None = None) -> None:
        """Check *release* against the lines of *history*; with *operator*, against the key that signs the directory too."""
        self._release, self._operator = release, operator
        self._facts: dict[str, list[Fact]] = {}
        self._first: tuple[datetime, str] | None = None
        self._profiles: set[tuple[str, str]] = set()
        """Name and digest of each profile by which the registrar judged."""
        self._anchored = False
        self.lines: list[Line] = []
        try:
            self._read(history)
            self._tables()
        except Failed as failed:
            self._fail(failed.code, "history", failed.place)
        except Unreadable as found:
            self._fail(found.code, "history", f"line {found.line}")

    @property
    def failures(self) -> list[Line]:
        """Return the checks that failed."""
        return [line for line in self.lines if line.failed]

    @property
    def verdict(self) -> tuple[int, str]:
        """Return the exit status and the last sentence."""
        if self.failures:
            return 1, f"FAILED: {', '.join(dict.fromkeys(line.result for line in self.failures))}"
        if not self._anchored:
            return (
                3,
                "recounted, not anchored: the figures are those of this history, and no key that you gave vouches for it",
            )
        return 0, "recounted: the figures are those of the history, which the registrar of this bus has signed"

    def _say(self, check: str, about: str, says: str, result: str = "ok") -> None:
        self.lines.append(Line(result, check, about, says))

    def _fail(self, code: str, check: str, about: str) -> None:
        self._say(check, about, CODES[code], code)

    # -- the history -----------------------------------------------------------------------------------------------------

    def _read(self, history: Iterable[bytes]) -> None:
        file = HistoryFile(history)
        if file.header.bus != self._release.bus:
            raise Failed("bus_differs")
        directory = self._directory(file)
        chains = {each.partition: Chain(self._release.bus, each.partition) for each in self._release.checkpoints}
        ends = {each.partition: each for each in self._release.checkpoints}
        for line, found in file.records():
            partition = found.registration.partition
            if partition not in chains:
                raise Failed("registration_foreign", f"line {line}")
            if chains[partition].number < ends[partition].size:
                self._take(found, chains[partition], line)
                if chains[partition].number == ends[partition].size:
                    self._end(found, ends[partition], directory)
        for partition, chain in chains.items():
            if chain.number < ends[partition].size:
                raise Failed("registration_missing", f"partition {partition}, number {chain.number + 1}")
        size = sum(each.size for each in ends.values())
        if not size and any(row.count is not None for table in self._release.tables for row in table.rows):
            raise Failed("history_uncounted", "all")
        self._say("history", "all", f"{size} registrations, made {file.header.made}")

    def _directory(self, file: HistoryFile) -> Directory | None:
        """Take the roles of the agencies, and with the operator's key their keys too."""
        self._agencies: dict[str, Agency] = {}
        directory = Directory(file.header.bus, self._operator) if self._operator else None
        for number, raw in enumerate(file.directory, 1):
            place = f"entry {number} of the directory"
            try:
                if directory is not None:
                    directory.add(raw)
                said = json.loads(statement.body_of("directory", raw), limit=len(raw))
                if "admitters" not in said:
                    supervisor = said.get("supervisor")
                    self._agencies[said["agency"]] = Agency(said["agency"], said["role"], supervisor)
            except DirectoryError as error:
                raise Failed(
                    "operator_signature_invalid"
                    if error.code == "operator_signature_invalid"
                    else "directory_malformed",
                    place,
                ) from None
            except (WireError, LookupError, TypeError):
                raise Failed("directory_malformed", place) from None
        says = f"{len(file.directory)} entries, " + (
            "signed by the operator" if directory else "not held against a key"
        )
        self._say("directory", "all", says, "ok" if directory else "open")
        return directory

    def _take(self, found: HistoryRecord[Registration], chain: Chain, line: int) -> None:
        try:
            chain.check(found)
            found.check_commitments()
            registration = found.registration
            if registration.verdict == "registered":
                event = known_event(found.opened())
                if event is None:
                    raise Failed("event_unknown", f"line {line}")
                told = found.told(Audience.parse).recipients
                fact = Fact.of(event, told, registration.time, registration.number, registration.policy.name)
                self._facts.setdefault(event.subject, []).append(fact)
            chain.take(found)
        except HistoryFault as fault:
            raise Failed(_PLACES.get(fault.code, fault.code), f"line {line}") from None
        policy = found.registration.policy
        self._profiles.add((policy.name, policy.digest))
        began = (found.registration.time, policy.name)
        if self._first is None or began[0] < self._first[0]:
            self._first = began

    def _end(self, found: HistoryRecord[Registration], end: Checkpoint, directory: Directory | None) -> None:
        about = f"partition {end.partition}, number {end.size}"
        if found.digest != end.head:
            raise Failed("checkpoint_differs", about)
        if directory is None:
            self._say("checkpoint", about, f"the release counts up to here: {end.head[:16]}")
            return
        if not found.proved.kid:
            raise Failed("registrar_signature_missing", about)
        try:
            found.proved.verify(directory.registrar_key(found.proved.kid))
        except (WireError, LookupError):
            raise Failed("registrar_signature_invalid", about) from None
        self._anchored = True
        self._say("checkpoint", about, f"the release counts up to here, and the registrar signed it: {end.head[:16]}")

    # -- the tables ------------------------------------------------------------------------------------------------------

    def _tables(self) -> None:
        release, counted = self._release, self._counted()
        if release.profile != counted.profile:
            self._fail("profile_differs", "release", release.profile)
        if release.k != counted.k:
            self._fail("threshold_differs", "release", f"k {release.k}")
        named = (release.previous, release.against, release.beside)
        if named != (counted.previous, counted.against, counted.beside):
            self._fail("releases_differ", "release", release.period)
        there = {table.id: table for table in release.tables}
        due = {table.id: table for table in counted.tables}
        for name, table in due.items():
            if name not in there:
                self._fail("table_missing", "table", name)
            else:
                self._compare(there[name], table)
        for name in (each for each in there if each not in due):
            needs = NEEDS.get(name)
            if needs == "letters":
                self._say("table", name, "not checked: it needs the coded parts of letters", "open")
            else:
                self._fail("table_unknown", "table", name)

    def _counted(self) -> Release:
        """Return the tables of events of the release, counted again."""
        policy = self._first[1] if self._first is not None else self._release.profile
        if missing := sorted(name for name, digest in self._profiles if not is_installed(name, digest)):
            raise Failed("profile_unknown", ", ".join(missing))
        try:
            rules = Rules(load_profile(policy), self._agencies)
            load_profile(self._release.profile)
        except UnknownProfileError:
            raise Failed("profile_unknown", self._release.profile) from None
        span = Span.named(self._release.period)
        cases = [Case(subject, tuple(facts)) for subject, facts in self._facts.items()]
        return release_of(
            Count(rules, cases, span.year),
            span,
            bus=self._release.bus,
            by=self._release.by,
            checkpoints=self._release.checkpoints,
            earlier=published_in(self._facts.get(bulletin.of(self._release.by), ())),
            needs="envelopes",
        )

    def _compare(self, there: Table, due: Table) -> None:
        rows, wanted = ({row.keys: row for row in each.rows} for each in (there, due))
        if rows.keys() != wanted.keys() or there.dimensions != due.dimensions or there.unit != due.unit:
            self._fail("rows_differ", "table", there.id)
            return
        found = [(keys, code) for keys, row in rows.items() for code in _differences(row, wanted[keys])]
        for keys, code in found:
            self._fail(code, "table", f"{there.id} {' '.join(keys)}")
        if not found:
            shown = sum(row.count is not None for row in there.rows)
            self._say("table", there.id, f"{len(rows)} cells, {shown} of them published: all as counted")


def _differences(row: Row, due: Row) -> Iterator[str]:
    if row.count != due.count:
        yield "count_exposed" if due.count is None else "count_withheld" if row.count is None else "count_differs"
    if row.before != due.before:
        yield "before_differs"


def text_of(lines: Sequence[Line]) -> Iterator[str]:
    """Yield *lines* for people."""
    return (f"{line.result:<5} {line.check:<10} {line.about}: {line.says}" for line in lines)
