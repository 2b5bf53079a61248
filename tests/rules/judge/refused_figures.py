"""G-16 and G-17: figures that would show a small count, or of a time that is not over, and figures that pass."""

from nrmbus.rules import Refusal
from rules.given import Bench, figures

Pair = tuple[Refusal | None, Refusal | None]
TYPE = "stats.period_published"


def published(**said: object) -> Refusal | None:
    """Return the refusal of figures that two people publish in the bulletin of the statistics."""
    return Bench.of_bulletin("statistics").ask("statistics", TYPE, **{"approver": "A-2", **said})


def g_16() -> Pair:
    """A count below the threshold is shown; one at the threshold may be."""
    return published(**figures(shown=10)), published(**figures(shown=11))


def g_17() -> Pair:
    """The year 2026 is not over in March; 2025 is."""
    return published(**figures(period="2026")), published(**figures(period="2025-Q4"))


STORIES = {"G-16": g_16, "G-17": g_17}


def more() -> list[tuple[str, Refusal | None, str | None]]:
    """Further cases of these rules: what is asked, its answer, and the rule expected (None: allowed)."""
    sound = figures()
    return [
        ("one person alone", published(approver=None), "G-20"),
        ("twice the same person", published(approver="a-01"), "G-20"),
        ("another period than said", published(**{**sound, "period": "2024"}), "G-16"),
        ("another digest than said", published(**{**sound, "release": "0" * 64}), "G-16"),
        ("another threshold than the profile's", published(**figures(k=5)), "G-16"),
        ("figures of another agency", published(**figures(by="ngo-a")), "G-16"),
        ("a correction that the release does not name", published(**sound, previous="0" * 64), "G-16"),
        ("what does not unpack", published(**{**sound, "figures": "AAAA"}), "G-16"),
        ("a quarter that is over", published(**figures(period="2025-Q1")), None),
        ("a quarter that runs", published(**figures(period="2026-Q1")), "G-17"),
    ]
