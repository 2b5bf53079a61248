"""Recipients of events that end access to stored data: the rows of section 3 for decisions, holds and confirmations."""

from collections.abc import Iterator

from nrmbus.events.model import Fact
from rules.audience_words import UNIT, Seen, barring, going_on
from rules.given import Bench
from rules.stories import planned

HOLDERS = ("migration", "ngo-a", "ngo-l", "shelter", UNIT, "vac")


def counted(b: Bench) -> Bench:
    """Return a case of whose needs the statistics got the coded part, which no row names, and whose access a court has ended."""
    told = planned(b).event("vac", "needs.assessed", to=[UNIT], letter=True)
    b.hear(Fact.of(told, (UNIT, "statistics"), b.now, len(b.facts) + 1))
    b.say("court", "access.terminated", approver="A-2")
    return b


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
    yield Seen(counted, "timekeeper", "access.erasure_due", ("court", *HOLDERS[:-1], "statistics", "vac"))
    yield Seen(barring(ended, "shelter", UNIT), "timekeeper", "access.erasure_due", ("court", *HOLDERS))
    yield Seen(barring(ended, "court", UNIT), "vac", "access.erasure_confirmed", ("court",))
    yield Seen(ended, "vac", "access.erasure_confirmed", ("court",))
    yield Seen(counted, "statistics", "access.erasure_confirmed", ("court",))
    yield Seen(planned, "vac", "access.erasure_confirmed", ())
