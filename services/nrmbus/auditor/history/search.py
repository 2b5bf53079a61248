"""Searches of an auditor in the history, for cases and registrations. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nrmbus.auditor.history.history import Entry, History
from nrmbus.auditor.history.outcomes import READING, Counts, is_reading, verdict_of
from nrmbus.auditor.history.selection import LEAST_OF_AN_ID, Selection
from nrmbus.events.bulletin import is_bulletin

_REFERENCE: Final = re.compile(rf"[0-9a-f-]{{{LEAST_OF_AN_ID},36}}")


@dataclass(frozen=True, slots=True)
class CaseFound:
    """A case or incident in a search result: times of its first and last registration without readings, and its counts."""

    subject: str
    first: datetime
    last: datetime
    counts: Counts


@dataclass(frozen=True, slots=True)
class Search:
    """A search. *reference* is the beginning of a case's reference or an event's id, *verdict* one of `VERDICTS`; empty for any."""

    chosen: Selection
    reference: str = ""
    verdict: str = ""
    readings: bool = False
    """True in a search for readings alone, as in a search for their type."""

    @staticmethod
    def reads(reference: str) -> bool:
        """Return whether *reference* has a form that can be searched for."""
        return not reference or _REFERENCE.fullmatch(reference) is not None

    @property
    def of_readings(self) -> bool:
        """True if the search finds readings. They are kept apart, or the auditor's own would bury the events of the case."""
        return self.readings or self.chosen.type == READING

    def has(self, entry: Entry) -> bool:
        """Return whether *entry* fits."""
        return is_reading(entry) == self.of_readings and self._fits(entry)

    def _fits(self, entry: Entry) -> bool:
        said = entry.registration
        if self.verdict and self.verdict != verdict_of(entry):
            return False
        if self.reference and not (said.subject.startswith(self.reference) or said.id.startswith(self.reference)):
            return False
        return self.chosen.has(entry)

    def readings_beside(self, history: History) -> int:
        """Return how many readings fit, in a search that leaves readings out."""
        if self.of_readings:
            return 0
        return sum(is_reading(entry) and self._fits(entry) for entry in history.entries)

    def registrations(self, history: History) -> list[Entry]:
        """Return the registrations that fit, the newest first."""
        found = [entry for entry in history.entries if self.has(entry)]
        return sorted(found, key=lambda each: (each.registration.time, each.registration.number), reverse=True)


def cases_of(entries: list[Entry], history: History, without: str) -> Iterator[CaseFound]:
    """Yield the cases of *entries* in their order, with counts over the whole case; *without* is a subject that is no case."""
    for subject in dict.fromkeys(each.registration.subject for each in entries):
        if subject == without or is_bulletin(subject):
            continue
        about = history.about(subject)
        times = [each.registration.time for each in about if not is_reading(each)]
        if times:
            yield CaseFound(subject, min(times), max(times), Counts.of(about))
