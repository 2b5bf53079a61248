"""Recipients of events that end access to stored data: the rows of section 3 for decisions, holds and confirmations."""

from collections.abc import Iterator

from rules.audience_words import UNIT, Seen, barring, going_on
from rules.stories import planned

HOLDERS = ("migration", "ngo-a", "ngo-l", "shelter", UNIT, "vac")


def ending() -> Iterator[Seen]:
    """Yield the events that end access to a case's letters, stop the erasure, and confirm it."""
    numbered = {"identity": HOLDERS, "story": ()}
    yield Seen(planned, "court", "access.terminated", HOLDERS, numbered)
    yield Seen(barring(planned, "shelter", UNIT), "prosecution", "access.terminated", HOLDERS, numbered)
    ended = going_on(planned, "court", "access.terminated", approver="A-2")
    yield Seen(ended, "ngo-a", "access.hold_placed", ("court",))
    yield Seen(planned, "ngo-a", "access.hold_placed", ())
    yield Seen(planned, "auditor", "access.hold_placed", HOLDERS)
    yield Seen(barring(planned, "shelter", UNIT), "auditor", "access.hold_placed", HOLDERS)
    yield Seen(ended, "timekeeper", "access.erasure_due", ("court", *HOLDERS))
    yield Seen(barring(ended, "shelter", UNIT), "timekeeper", "access.erasure_due", ("court", *HOLDERS))
    yield Seen(barring(ended, "court", UNIT), "vac", "access.erasure_confirmed", ("court",))
    yield Seen(ended, "vac", "access.erasure_confirmed", ("court",))
    yield Seen(planned, "vac", "access.erasure_confirmed", ())
