"""Outcomes of registrations as every view of the history names and counts them. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, Self, get_args

from nrmbus.auditor.history.history import Entry
from nrmbus.rules import Rules
from nrmbus.wire import ids
from nrmbus.wire.errors import sentence_of

AUDIENCE_CHANGED: Final = "audience_changed"
"""Code of a letter whose audience changed after it was sealed; its desk seals the event again."""

READING: Final = "access.granted"
"""Type of an access record: the event that is registered before somebody reads."""

PIECE: Final = "document.chunk_sent"
"""Type of the events that carry a document: up to 103 for one, about which a reader wants to know one thing."""

Verdict = Literal["registered", "refused", "sealed_again"]
VERDICTS: Final = get_args(Verdict)
Kind = Literal["event", "receipt", "breach", "refused", "sealed_again", "reading"]
"""Kind of a registration; ``reading`` is an access record."""


def kind_of(entry: Entry) -> Kind:
    """Return the kind of *entry*."""
    if entry.said is None:
        return "sealed_again" if is_sealed_again(entry) else "refused"
    if entry.said.type == READING:
        return "reading"
    if entry.said.type == "deadline.breached":
        return "breach"
    return "receipt" if entry.said.type.startswith("letter.") else "event"


def is_reading(entry: Entry) -> bool:
    """Return whether *entry* is an access record."""
    return kind_of(entry) == "reading"


def document_of(entry: Entry) -> str | None:
    """Return the id of the announcement whose document *entry* carries a piece of; None for everything else."""
    return entry.event.causationid if entry.event is not None and entry.event.type == PIECE else None


def with_pieces(entries: Iterable[Entry]) -> list[tuple[Entry, list[Entry]]]:
    """Return *entries* in their order, each with the further pieces of its document, which have no place of their own."""
    found, begun = list[tuple[Entry, list[Entry]]](), dict[tuple[str, str], list[Entry]]()
    for entry in entries:
        document = document_of(entry)
        key = (entry.registration.source, document or "")
        if document is not None and key in begun:
            begun[key].append(entry)
            continue
        further = begun.setdefault(key, []) if document is not None else []
        found.append((entry, further))
    return found


def is_sealed_again(entry: Entry) -> bool:
    """Return whether the audience of *entry* had changed, so that its desk seals the event again."""
    return entry.registration.code == AUDIENCE_CHANGED


def verdict_of(entry: Entry) -> Verdict:
    """Return the verdict as people are shown it: the registrar has one word for a refusal and for a second sealing."""
    return "sealed_again" if is_sealed_again(entry) else entry.registration.verdict


def successor(entry: Entry, entries: Iterable[Entry]) -> Entry | None:
    """Return the entry of *entries* under which the event of *entry* came again, sealed for the changed audience.

    None if *entry* needed no second sealing, or if the desk has not sealed again yet.
    """
    if not is_sealed_again(entry):
        return None
    said = entry.registration
    id = ids.sealed_again(said.source, said.id)
    return next(
        (each for each in entries if each.registration.id == id and each.registration.source == said.source), None
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of registrations of a case by outcome; every view shows these four under these four names."""

    registered: int = 0
    """Events of the case, receipts of letters among them; readings are counted apart."""
    refused: int = 0
    sealed_again: int = 0
    readings: int = 0

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """Count *entries*."""
        kinds = Counter(map(kind_of, entries))
        apart = kinds["refused"], kinds["sealed_again"], kinds["reading"]
        return cls(kinds.total() - sum(apart), *apart)


def refusal_of(entry: Entry, rules: Rules) -> str | None:
    """Return what the sender of a refused event was told, by the profile of that time; None if it was registered."""
    said = entry.registration
    profile = rules.profile_named(said.policy.name)
    return (profile.says(said.code, said.rule) or sentence_of(said.code)) if said.code else None
