"""What an auditor looks for in the history: which cases, which registrations. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nrmbus.auditor.history import Entry, History
from nrmbus.auditor.outcomes import Counts, is_reading, is_refusal, is_sealed_again
from nrmbus.auditor.selection import LEAST_OF_AN_ID, Selection

VERDICTS: Final = ("registered", "refused", "sealed_again")
"""Verdicts that a search may ask for."""
_REFERENCE: Final = re.compile(rf"[0-9a-f-]{{{LEAST_OF_AN_ID},36}}")


@dataclass(frozen=True, slots=True)
class CaseFound:
    """One case or incident: its first and last registration but for readings, and how many of each outcome there are."""

    subject: str
    first: datetime
    last: datetime
    counts: Counts


@dataclass(frozen=True, slots=True)
class Search:
    """*reference*: the beginning of a case's reference or of an event's id. *verdict*: one of `VERDICTS`. Empty for any."""

    chosen: Selection
    reference: str = ""
    verdict: str = ""

    @staticmethod
    def reads(reference: str) -> bool:
        """Whether *reference* can be searched for."""
        return not reference or _REFERENCE.fullmatch(reference) is not None

    def has(self, entry: Entry) -> bool:
        """Whether *entry* fits."""
        said = entry.registration
        if self.verdict and self.verdict != _verdict(entry):
            return False
        if self.reference and not (said.subject.startswith(self.reference) or said.id.startswith(self.reference)):
            return False
        return self.chosen.has(entry)

    def registrations(self, history: History) -> list[Entry]:
        """What fits, the newest first."""
        found = [entry for entry in history.entries if self.has(entry)]
        return sorted(found, key=lambda each: (each.registration.time, each.registration.number), reverse=True)


def _verdict(entry: Entry) -> str:
    if is_sealed_again(entry):
        return "sealed_again"
    return "refused" if is_refusal(entry) else "registered"


def cases_of(entries: list[Entry], history: History, without: str) -> Iterator[CaseFound]:
    """The cases of *entries* in their order, each counted whole; the subject *without* is none."""
    for subject in dict.fromkeys(each.registration.subject for each in entries):
        if subject == without:
            continue
        about = history.about(subject)
        times = [each.registration.time for each in about if not is_reading(each)]
        if times:
            yield CaseFound(subject, min(times), max(times), Counts.of(about))
