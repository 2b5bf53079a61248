"""G-16 to G-18: figures that would show a small count, are of a time that is not over, or know nothing of others; and some that pass."""

from nrmbus.rules import Refusal
from rules.given import Bench, figures

Pair = tuple[Refusal | None, Refusal | None]
TYPE = "stats.period_published"

WIDE = {
    "id": "identified_by_sex", "title": "By sex", "unit": "persons", "dimensions": ["sex"],
    "rows": [{"keys": ["F", "adult"], "count": 25}],
}  # fmt: skip
"""Table with a row that has more keys than dimensions."""


def published(**said: object) -> Refusal | None:
    """Return the refusal of figures that two people publish in the bulletin of the statistics."""
    return Bench.of_bulletin("statistics").ask("statistics", TYPE, **{"approver": "A-2", **said})


def g_16() -> Pair:
    """A count below the threshold is shown; one at the threshold may be."""
    return published(**figures(shown=10)), published(**figures(shown=11))


def g_17() -> Pair:
    """The year 2026 is not over in March; 2025 is."""
    return published(**figures(period="2026")), published(**figures(period="2025-Q4"))


def after(*before: dict[str, object], **said: object) -> Refusal | None:
    """Return the refusal of figures, once those *before* are published."""
    bench = Bench.of_bulletin("statistics")
    for each in before:
        bench.say("statistics", TYPE, approver="A-2", **each)
    return bench.ask("statistics", TYPE, approver="A-2", **said)


def g_18() -> Pair:
    """Other figures of the year were published meanwhile; figures that correct them, and name them, may be."""
    first = figures()
    return after(first, **figures(shown=40)), after(first, **figures(shown=40, previous=first["release"]))


STORIES = {"G-16": g_16, "G-17": g_17, "G-18": g_18}


def more() -> list[tuple[str, Refusal | None, str | None]]:
    """Further cases of these rules: what is asked, its answer, and the rule expected (None: allowed)."""
    sound, quarter, last = figures(), figures(period="2025-Q1"), figures(period="2024")
    named, against = [quarter["release"]], last["release"]
    return [
        ("a quarter of the year is out, and not reckoned with", after(quarter, **sound), "G-18"),
        ("a quarter of the year is out, and named", after(quarter, **figures(within={"beside": named})), None),
        ("the year before is out, and not named", after(last, **sound), "G-18"),
        ("the year before is out, and named", after(last, **figures(within={"against": against})), None),
        ("a quarter of another year is out", after(figures(period="2024-Q1"), **sound), None),
        (
            "a correction of a correction",
            after(sound, figures(shown=40, previous=sound["release"]), **figures(shown=50, previous=sound["release"])),
            "G-18",
        ),
        ("figures beside which none were published", published(**figures(within={"beside": named})), "G-18"),
        ("a year before that was never published", published(**figures(within={"against": against})), "G-18"),
        ("what lists no figures beside it", published(**figures(within={"beside": 7})), "G-16"),
        ("one person alone", published(approver=None), "G-20"),
        ("twice the same person", published(approver="a-01"), "G-20"),
        ("another period than said", published(**{**sound, "period": "2024"}), "G-16"),
        ("another digest than said", published(**{**sound, "release": "0" * 64}), "G-16"),
        ("another threshold than the profile's", published(**figures(k=5)), "G-16"),
        ("figures of another agency", published(**figures(within={"by": "ngo-a"})), "G-16"),
        ("a correction that the release does not name", published(**sound, previous="0" * 64), "G-16"),
        ("a member that no release has", published(**figures(within={"note": "x"})), "G-16"),
        ("a row with a key too many", published(**figures(within={"tables": [WIDE]})), "G-16"),
        ("what does not unpack", published(**{**sound, "figures": "AAAA"}), "G-16"),
        ("a quarter that is over", published(**figures(period="2025-Q1")), None),
        ("a quarter that runs", published(**figures(period="2026-Q1")), "G-17"),
    ]
