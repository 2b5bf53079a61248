"""``nrmbus inbox`` and ``publish`` say in which version something was said, and never hide what is missing."""

import io
import json
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.desk.inbox import Page, _json, _print_below, _print_table, _streamed
from nrmbus.cli.desk.publish import line_of

ROW: dict[str, Any] = {
    "row": 7, "time": "2026-03-02T05:00:00Z", "type": "referral.submitted", "source": "ngo-a", "case": "ab" * 16,
    "parts": ["coded"], "published": 1, "version": 1, "data": {},
}  # fmt: skip
UNKNOWN = {name: value for name, value in ROW.items() if name not in {"version", "data"}}


def shown(event: dict[str, Any]) -> str:
    """Return rows of the inbox in both forms, and the lines below them."""
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(_streamed(event), soft_wrap=True)
    _print_below(event, console)
    _print_table([event], console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_own_version_gets_no_note() -> None:
    """A row in the reader's own version has no note about versions."""
    assert "version" not in shown(ROW)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (ROW | {"published": 2}, "(said in version 2, shown in 1)"),
        (ROW | {"parked": True}, "(the case waits)"),
        (
            UNKNOWN | {"published": 2, "unknown": True, "parked": True},
            "(version 2, which this desk does not know: the case waits for its upgrade)",
        ),
    ],
    ids=["another version", "a case that waits", "an unknown version"],
)
def test_another_version_is_shown_beside_the_type(event: dict[str, Any], words: str) -> None:
    """Stream and table both show the version."""
    assert shown(event).count(words) == 2


def test_fields_that_a_version_lacks_are_listed() -> None:
    """Each loss is listed below its row, with the version that has the data."""
    lost = [{"version": 2, "pointer": "/data/services/0/time_frame"}]
    words = "left out, for version 1 has no place for it: /data/services/0/time_frame of version 2"

    assert shown(ROW | {"published": 2, "lost": lost}).count(words) == 2


def test_a_refused_version_names_those_that_would_do() -> None:
    """The sender can then publish it again."""
    said = {
        "verdict": "refused", "id": "i", "case": "c", "code": "unknown_version", "rule": "W3", "accepts": [1, 2],
        "sentence": "Say it in one of those in `accepts`.",
    }  # fmt: skip

    assert line_of(said) == ("refused unknown_version W3: Say it in one of those in `accepts`. (accepts: 1, 2)")


def test_json_moves_no_cursor_either() -> None:
    """A letter is foreign text: terminal controls and direction marks are escaped; letters of its alphabet are not."""
    said = {"letter": {"story": {"notes": "Ə\x1b]52;c;eA==\x07\x9b2J\u202e\U000e0041\nend"}}}
    written = _json(said)

    assert json.loads(written) == said
    assert written.isprintable()
    assert "Ə" in written
    assert _json(said, indent=2).count("\n") == 6


async def test_an_empty_case_is_no_case(tmp_path: Path) -> None:
    """Given a script whose variable is empty, then `--case ""` is refused, and opens no letter of any case."""

    class Door:
        """Desk that knows one case."""

        async def get(self, *_: str, **__: str) -> dict[str, Any]:
            return {"cases": []}

    page = Page(BusFolder(tmp_path), "ngo-a", {"open": "true"}, "")

    with pytest.raises(BusError, match="--case takes a reference"):
        await page._asked(cast("Any", Door()))
