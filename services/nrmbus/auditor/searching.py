"""What an auditor looks for in the history: which cases, which registrations. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nrmbus.auditor.history import Entry, History
from nrmbus.auditor.selection import LEAST_OF_AN_ID, Selection

_REFERENCE: Final = re.compile(rf"[0-9a-f-]{{{LEAST_OF_AN_ID},36}}")


@dataclass(frozen=True, slots=True)
class CaseFound:
    """One case or incident: its first and last registration, and how many of them there are."""

    subject: str
    first: datetime
    last: datetime
    registered: int
    refused: int


@dataclass(frozen=True, slots=True)
class Search:
    """*reference*: the beginning of a case's reference or of an event's id; empty for any. *verdict*: likewise."""

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
        if self.verdict and said.verdict != self.verdict:
            return False
        if self.reference and not (said.subject.startswith(self.reference) or said.id.startswith(self.reference)):
            return False
        return self.chosen.has(entry)

    def registrations(self, history: History) -> list[Entry]:
        """What fits, the newest first."""
        found = [entry for entry in history.entries if self.has(entry)]
        return sorted(found, key=lambda each: (each.registration.time, each.registration.number), reverse=True)


def cases_of(entries: list[Entry], history: History, without: str) -> Iterator[CaseFound]:
    """The cases of *entries* in their order, each counted whole; the subject *without* is none."""
    for subject in dict.fromkeys(each.registration.subject for each in entries):
        if subject == without:
            continue
        about = [each for each in history.about(subject) if not is_reading(each)]
        if not about:
            continue
        refused = sum(each.registration.verdict == "refused" for each in about)
        times = [each.registration.time for each in about]
        yield CaseFound(subject, min(times), max(times), len(about) - refused, refused)


def is_reading(entry: Entry) -> bool:
    """Whether it says that somebody reads."""
    return entry.said is not None and entry.said.type == "access.granted"
