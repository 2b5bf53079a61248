"""History as a file: every registration up to the checkpoints of a release, with envelope and audience, and no letter.

Any reader of the file can count the tables of events again, with this package (`recount`) or with another program. The
file verifies without a key up to the checkpoints of the release: a registration names the digest of the previous one,
and the checkpoint names the last digest. Lines are canonical JSON, like lines of evidence (decision 0030).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from typing import Any, Final, Protocol

from nrmbus.events.figures import Checkpoint, Release
from nrmbus.packed import packed
from nrmbus.wire import base64, json
from nrmbus.wire.errors import WireError
from nrmbus.wire.history import HistoryRecord, read, unspelled
from nrmbus.wire.record import AUDIENCE, Record
from nrmbus.wire.registration import Registration
from nrmbus.wire.transaction import Proved

FORMAT: Final = "nrmbus-history/1"
LINE_LIMIT: Final = 1024 * 1024
KINDS: Final = ("header", "readme", "directory", "registration", "trailer")
"""Kinds of lines, in the order in which they stand."""
_README: Final = packed("statistics/exported.md")


class NotThisHistory(Exception):
    """Raised if a history is not the one that a release counts; ``partition`` and ``number`` say where."""

    def __init__(self, partition: int, number: int) -> None:
        super().__init__(f"partition {partition}, number {number}")
        self.partition, self.number = partition, number


class Unreadable(Exception):
    """Raised for a file that cannot be read as a history; ``code`` is of `recount.CODES`, ``line`` counts from 1."""

    def __init__(self, code: str, line: int) -> None:
        super().__init__(code)
        self.code, self.line = code, line


class Hashed(Protocol):
    """Digest that takes bytes."""

    def update(self, raw: bytes, /) -> None:
        """Take *raw*."""
        ...


# -- writing ----------------------------------------------------------------------------------------------------------


def exported(
    release: Release, directory: Sequence[bytes], records: Iterable[tuple[int, Record]], *, made: str
) -> Iterator[bytes]:
    """Yield the lines of the history that *release* counts, at the time *made*.

    *directory* has the signed entries of the topic, *records* verified records of ``nrm.cases`` with their partition, each
    partition in its order; later ones than the release counts are left out.

    Raises:
        NotThisHistory: the records are not those that the release counts.
    """
    ends = {each.partition: each for each in release.checkpoints}
    counts = {"directory": len(directory), "registration": sum(each.size for each in ends.values())}
    checkpoints = [each.to_mapping() for each in release.checkpoints]
    header = {"bus": release.bus, "checkpoints": checkpoints, "counts": counts, "format": FORMAT, "made": made}
    first: list[dict[str, Any]] = [
        {"kind": "header", **header},
        {"kind": "readme", "text": _README.read_text(encoding="utf-8")},
        *({"kind": "directory", "entry": json.loads(raw, limit=len(raw))} for raw in directory),
    ]
    body, number = sha256(), 0
    for line in chain(first, _registrations(ends, records)):
        number += 1
        yield _written(line, body)
    yield json.dumps({"kind": "trailer", "lines": number, "sha256": body.hexdigest()}) + b"\n"


def _written(line: Mapping[str, Any], body: Hashed) -> bytes:
    raw = json.dumps(line) + b"\n"
    body.update(raw)
    return raw


def _registrations(ends: Mapping[int, Checkpoint], records: Iterable[tuple[int, Record]]) -> Iterator[dict[str, Any]]:
    taken = dict.fromkeys(ends, 0)
    for partition, record in records:
        end = ends.get(partition)
        if end is None or taken[partition] == end.size:
            continue
        found = read(record, lambda raw: unspelled(Registration, raw))
        taken[partition] += 1
        is_last = taken[partition] == end.size
        if found.registration.number != taken[partition] or (is_last and found.digest != end.head):
            raise NotThisHistory(partition, taken[partition])
        yield _line(found, is_last=is_last)
    for partition, size in taken.items():
        if size < ends[partition].size:
            raise NotThisHistory(partition, size + 1)


def _line(found: HistoryRecord[Registration], *, is_last: bool) -> dict[str, Any]:
    envelope = found.envelope.without_letter()
    line: dict[str, Any] = {
        "audience": _object(found.added[AUDIENCE]),
        "kind": "registration",
        "leaf": _object(found.body),
    }
    if envelope.headers:
        headers = {name: value.decode() for name, value in envelope.headers}
        line["envelope"] = {"headers": headers, "value": (envelope.value or b"").decode()}
    if is_last:
        line["signature"] = found.proved.mapping()
    return line


def _object(raw: bytes) -> dict[str, Any]:
    return json.loads(raw, limit=len(raw))


# -- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Header:
    """First line: of which bus and when the file was made, and how many lines of each kind it has."""

    bus: str
    made: str
    counts: Mapping[str, int]


class HistoryFile:
    """Reader of such a file, line by line: nothing but the directory is kept in memory."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        """Read the first lines of *lines*, up to the first registration. Raises Unreadable."""
        self._hashed, self._number, self._lines = sha256(), 0, iter(lines)
        self._counts: dict[str, int] = dict.fromkeys(KINDS, 0)
        self._kind = "header"
        self.header = self._header()
        self._take("readme")
        self.directory: list[bytes] = []
        self._next: dict[str, Any] | None = None
        while (line := self._line()) is not None and line["kind"] == "directory":
            self.directory.append(json.dumps(_member(line, "entry", dict, self._number)))
        self._next = line

    def records(self) -> Iterator[tuple[int, HistoryRecord[Registration]]]:
        """Yield each registration with the number of its line, not compared with anything. Raises Unreadable.

        The last line is compared with all before it once they have been read.
        """
        line = self._next
        while line is not None and line["kind"] == "registration":
            yield self._number, registration_of(line, self._number)
            line = self._line()
        if line is None or line["kind"] != "trailer":
            raise Unreadable("line_misplaced", self._number)

    def _header(self) -> Header:
        line = self._take("header")
        if line.get("format") != FORMAT:
            raise Unreadable("header_malformed", 1)
        counts = _member(line, "counts", dict, 1)
        return Header(_member(line, "bus", str, 1), _member(line, "made", str, 1), counts)

    def _take(self, kind: str) -> dict[str, Any]:
        line = self._line()
        if line is None or line["kind"] != kind:
            raise Unreadable("line_misplaced", self._number)
        return line

    def _line(self) -> dict[str, Any] | None:
        """Return the next line; None behind the trailer."""
        raw = next(self._lines, None)
        if raw is None:
            if self._kind != "trailer":
                raise Unreadable("file_cut" if self._number else "history_unreadable", self._number + 1)
            return None
        self._number += 1
        line = self._parsed(raw)
        kind = line.get("kind")
        if kind not in KINDS or KINDS.index(kind) < KINDS.index(self._kind) or self._kind == "trailer":
            raise Unreadable("line_misplaced", self._number)
        self._kind = kind
        self._counts[kind] += 1
        if kind == "trailer":
            self._finish(line)
        else:
            self._hashed.update(raw)
        return line

    def _parsed(self, raw: bytes) -> dict[str, Any]:
        """Return the object of a line; Unreadable for another spelling than the canonical one."""
        line: dict[str, Any] | None = None
        try:
            line = json.loads(raw.removesuffix(b"\n"), limit=LINE_LIMIT)
        except WireError:
            line = None
        if line is None or json.dumps(line) + b"\n" != raw:
            raise Unreadable("line_malformed", self._number)
        return line

    def _finish(self, trailer: Mapping[str, Any]) -> None:
        if trailer.get("lines") != self._number - 1 or trailer.get("sha256") != self._hashed.hexdigest():
            raise Unreadable("digest_differs", self._number)
        if any(self.header.counts.get(kind) != self._counts[kind] for kind in ("directory", "registration")):
            raise Unreadable("lines_missing", self._number)


def registration_of(line: Mapping[str, Any], number: int) -> HistoryRecord[Registration]:
    """Return the registration of a *line* of this file, or of evidence, as `nrmbus.wire.history` compares it. Raises Unreadable."""
    body = json.dumps(_member(line, "leaf", dict, number))
    registration: Registration | None = None
    try:
        registration = Registration.parse(body)
    except WireError:
        registration = None
    if registration is None:
        raise Unreadable("registration_malformed", number)
    envelope = Record(registration.subject.encode(), None, ())
    if "envelope" in line:
        said = _member(line, "envelope", dict, number)
        headers = _member(said, "headers", dict, number).items()
        if not all(isinstance(value, str) for _, value in headers):
            raise Unreadable("registration_malformed", number)
        value = _member(said, "value", str, number).encode()
        envelope = Record(registration.subject.encode(), value, tuple((n, v.encode()) for n, v in headers))
    added = {AUDIENCE: json.dumps(line["audience"])} if isinstance(line.get("audience"), dict) else {}
    unsigned = Proved("registration", "", b"", b"", 0, 1, (), body)
    proved = _proved(line["signature"], body, number) if "signature" in line else unsigned
    return HistoryRecord(registration, envelope, added, b"", proved, sha256(body).hexdigest())


def _proved(said: Any, body: bytes, number: int) -> Proved:
    found: Proved | None = None
    try:
        path = tuple(base64.decode(each, "signature_profile") for each in said["path"])
        salt, sig = (base64.decode(said[name], "signature_profile") for name in ("salt", "sig"))
        found = Proved("registration", said["keyid"], sig, salt, said["place"], said["size"], path, body)
    except (WireError, LookupError, TypeError, AttributeError, ValueError):
        found = None
    if found is None:
        raise Unreadable("registration_malformed", number)
    return found


def _member(line: Mapping[str, Any], name: str, kind: Callable[..., Any], number: int) -> Any:
    value = line.get(name)
    if type(value) is not kind:
        raise Unreadable("line_malformed", number)
    return value
