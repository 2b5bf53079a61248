"""The story as it is printed: readable at any width, through a pipe, without colours and without letters for signs."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from nrmbus.play.memory import MemoryBus
from nrmbus.play.player import play
from nrmbus.play.reader import find, read
from nrmbus.play.scenario import Scenario
from nrmbus.play.table import Storyteller
from play.stories import CHILD, CONSENT, REFERRAL, SIGNAL, TAKEN_BACK, WOMAN, expecting, scenario


def printed(told: Scenario, width: int, *, encoding: str = "utf-8", colours: bool = False) -> str:
    """Return how *told* looks on a terminal of *width* columns."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    console = Console(
        file=file, width=width, force_terminal=colours or None, color_system="truecolor" if colours else None
    )
    storyteller = Storyteller(told, console)
    storyteller.begin()
    storyteller.end(play(told, MemoryBus(), notify=storyteller.show), 0.25)
    file.flush()
    return raw.getvalue().decode(encoding)


REFUSED = expecting(
    REFERRAL.replace("[special-unit], consent: consent-1", "[police-x]").replace("R-1", "R-2"),
    "expect: {refused: recipient_not_allowed}",
)

WIDE = """\
A story of a test
az@2022-04-29 · 5 agencies · 3 steps

step  time   who           event                      result                                  received by

day 0  Mon 2 Mar 2026
   1  09:00  ngo-a         case.signal_recorded       ✓ registered                            special-unit
   2  09:20  ngo-a         referral.submitted         ✗ recipient_not_allowed
                                                        refused by G-10 · CoM 21/2008 [S2];
                                                        RULES.md#g-10
   3         check         state woman                ✓ SUSPECTED · D-REFER
   4         check         replay all                 ✓ history and live state agree

✓ 3 steps, every expectation held · 1 refused as the Rules say · 0 said by services themselves · 0.2 s
"""

NARROW = """\
A story of a test
az@2022-04-29 · 5 agencies · 3 steps

day 0  Mon 2 Mar 2026
   1  09:00  ngo-a                                 ✓ registered
             case.signal_recorded                  to special-unit
   2  09:20  ngo-a                                 ✗ recipient_not_allowed
             referral.submitted                      refused by G-10 · CoM
                                                     21/2008 [S2]; RULES.md#g-10
   3         check state woman                     ✓ SUSPECTED · D-REFER
   4         check replay all                      ✓ history and live state
                                                     agree

✓ 3 steps, every expectation held · 1 refused as the Rules say · 0 said by
services themselves · 0.2 s
"""


@pytest.mark.parametrize(("width", "expected"), [(120, WIDE), (80, NARROW)], ids=["wide", "narrow"])
def test_a_small_story_looks_like_this(width: int, expected: str) -> None:
    """One line a row where there is room; else who stands above the event, and the result above the receivers."""
    text = printed(scenario(SIGNAL, REFUSED, "- {check: state, case: woman, status: SUSPECTED}\n"), width)

    assert [line.rstrip() for line in text.splitlines()] == expected.splitlines()


@pytest.mark.thorough
@pytest.mark.parametrize("name", [WOMAN, CHILD, TAKEN_BACK], ids=["woman", "child", "taken back"])
@pytest.mark.parametrize("width", [80, 100, 111, 120, 160])
def test_no_line_is_longer_than_the_terminal(name: Path, width: int) -> None:
    """Nothing is cut off and nothing runs over the edge, at any usual width."""
    text = printed(read(find(name)), width)

    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_every_word_of_the_story_is_printed() -> None:
    """Each agency, event, refusal and receiver is there to be read; only a long event is broken, at its dot."""
    told = read(find(WOMAN))
    text = set(printed(told, 120).replace(",", " ").split())

    for row in play(told, MemoryBus()).rows:
        event = {row.event} if row.event in text else {f"{row.event.partition('.')[0]}.", row.event.partition(".")[2]}
        said = set(row.event.split()) if row.event.count(" ") else event
        assert {*said, *row.received, *row.detail.partition(" · ")[0].split()} <= text


def test_a_pipe_gets_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a pipe, and where NO_COLOR is set, there is not one control character."""
    monkeypatch.setenv("NO_COLOR", "1")
    told = scenario(SIGNAL, CONSENT, REFERRAL)

    assert "\x1b" not in printed(told, 100)
    assert "\x1b[3" not in printed(told, 100, colours=True)


def test_a_terminal_gets_colours() -> None:
    """On a terminal results and agencies have theirs."""
    assert "\x1b[32m✓ registered" in printed(scenario(SIGNAL), 120, colours=True)


def test_a_terminal_without_such_letters_gets_plain_signs() -> None:
    """Where ✓ cannot be printed, + stands for it, and nothing breaks."""
    text = printed(scenario(SIGNAL, REFUSED), 80, encoding="ascii")

    assert "+ registered" in text
    assert "x recipient_not_allowed" in text


def test_a_failure_is_shown_where_it_happened_and_at_the_end() -> None:
    """The row says FAILED, and the sentence stands below the row and again at the end."""
    text = printed(scenario(SIGNAL, "- {check: state, case: woman, status: CLOSED}\n", CONSENT), 120)
    sentence = "step 2 (line 13): status: expected CLOSED, found SUSPECTED"

    assert "! FAILED" in text
    assert f"      {sentence}\n" in text
    assert text.endswith(f"One expectation did not hold; 2 of 3 steps were played.\n! {sentence}\n")


def test_several_failures_are_counted() -> None:
    """One step may fail in more than one way."""
    state = "- {check: state, case: woman, status: CLOSED, open_deadlines: []}\n"

    assert "2 expectations did not hold" in printed(scenario(SIGNAL, state), 120)
