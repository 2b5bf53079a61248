"""The catalogue of the page: whole in three languages, nothing in it that nobody says, and no code without a word."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter
from typing import get_args, get_type_hints
from zoneinfo import ZoneInfo

import pytest

from nrmbus.auditor.history.outcomes import VERDICTS
from nrmbus.auditor.reports.why import ClockState, Receipt, WhyCode
from nrmbus.auditor.web import pages
from nrmbus.auditor.web.names import PURPOSES
from nrmbus.auditor.web.pages.words import LANGUAGES, Words, catalogue, language_of
from nrmbus.directory import SERVICES
from nrmbus.events.access import Access, AccessPurpose
from nrmbus.events.codes import Unreadable
from nrmbus.events.model import PARTS
from nrmbus.events.registry import TYPES
from nrmbus.rules import Status, load_profile

FOLDER = Path(pages.__file__).parent
PROFILE = load_profile("az@2022-04-29")
BAKU = ZoneInfo("Asia/Baku")
SOURCES = [*FOLDER.glob("*.py"), *FOLDER.glob("templates/*.j2")]
LITERAL = re.compile(r"""(?<![\w.])(?:visit\.)?t\(\s*["']([a-z_]+\.[a-z_]+)["']|self\(\s*["']([a-z_]+\.[a-z_]+)["']""")

FAMILIES = {
    "type": {name for name, _ in TYPES},
    "status": set(get_args(Status)),
    "role": {*PROFILE.expand(("AGENCIES",)), *SERVICES.values()},
    "part": set(PARTS),
    "access": set(get_args(Access)),
    "purpose": set(get_args(AccessPurpose)),
    "clock": set(PROFILE.clocks),
    "state": set(get_args(ClockState)),
    "why": {each for some in get_args(WhyCode) for each in get_args(some)},
    "receipt": set(get_args(get_type_hints(Receipt)["state"])),
    "reason": set(get_args(Unreadable)),
    "refusal": {each.code for each in PROFILE.refusals.values()} | {"of_the_wire"},
    "month": {str(number) for number in range(1, 13)},
    "day": {str(number) for number in range(7)},
    "length": {"d", "h", "min", "s"},
    "place": {"search", "agencies", "checkpoints"},
    "verdict": set(VERDICTS),
}
"""Families of codes in the catalogue: each has every code of its list, and no other."""


def said() -> Iterator[str]:
    """Each key that a template or a module names."""
    for path in SOURCES:
        for found in LITERAL.finditer(path.read_text(encoding="utf-8")):
            yield found[1] or found[2]


@pytest.mark.parametrize("key", sorted(catalogue()))
def test_a_sentence_is_whole_in_every_language(key: str) -> None:
    """Three languages, none of them empty, with the same values in each; nothing that markup could begin with."""
    sentences = catalogue()[key]
    assert sentences.keys() == LANGUAGES.keys()
    wanted = {
        language: {name for _, name, _, _ in Formatter().parse(each) if name} for language, each in sentences.items()
    }
    assert len({frozenset(each) for each in wanted.values()}) == 1
    assert all(each.strip() == each != "" and not set("<>&") & set(each) for each in sentences.values())
    assert not re.search("[\u0400-\u04ff]", sentences["az"] + sentences["en"])
    assert not re.search(
        "[A-Za-zƏəĞğİıÖöŞşÜüÇç]{4,}", re.sub(r"\{\w+\}|nrmbus|audit|SHA-256|C2SP", "", sentences["ru"])
    )


def test_pages_and_catalogue_have_the_same_keys() -> None:
    """Every key is named by a page, or is a code of a list; every key that a page names is there."""
    codes = {f"{family}.{code}" for family, some in FAMILIES.items() for code in some}
    assert set(catalogue()) == codes | set(said())


@pytest.mark.parametrize(
    ("asked", "kept", "accepted", "language"),
    [
        (None, None, None, "az"),
        (None, None, "ru-RU, en;q=0.8", "ru"),
        (None, None, "de, en;q=0.2, ru;q=0.7", "ru"),
        (None, "en", "ru", "en"),
        ("az", "en", "ru", "az"),
        ("xx", "yy", "zz;q=nan,*", "az"),
        ("<script>", None, ",;q=,=" * 99, "az"),
    ],
)
def test_the_language_is_the_first_that_we_have(
    asked: str | None, kept: str | None, accepted: str | None, language: str
) -> None:
    """The choice in the address comes first, then the cookie, then the browser's preference, then Azerbaijani."""
    assert language_of(asked, kept, accepted) == language


@pytest.mark.parametrize(
    ("language", "moment"),
    [("az", "2 mart 2026, 13:10:00"), ("en", "2 March 2026, 13:10:00"), ("ru", "2 марта 2026 \u0433., 13:10:00")],
)
def test_a_time_is_that_of_the_policys_zone_with_the_month_in_words(language: str, moment: str) -> None:
    """So that no reader takes a day for a month."""
    t = Words(language_of(language, None, None), BAKU)
    assert t.moment(datetime(2026, 3, 2, 9, 10, tzinfo=UTC)) == moment


@pytest.mark.parametrize(
    ("seconds", "length"), [(0, "0 s"), (59, "59 s"), (3000, "50 min"), (90_061, "1 d 1 h"), (86_400, "1 d")]
)
def test_a_length_is_shown_in_its_two_largest_units(seconds: int, length: str) -> None:
    """Nobody counts seconds of a month."""
    assert Words("en", BAKU).duration(seconds) == length


def test_an_auditor_reads_for_published_purposes_only() -> None:
    """The purposes to choose from are in the list of the event."""
    assert set(PURPOSES) < set(get_args(AccessPurpose))
