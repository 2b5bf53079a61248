"""Live table of a play: step, time, publisher, event, result, recipients.

No meaning depends on colour alone, so the table reads the same through a pipe, under ``NO_COLOR`` and on paper.
"""

import textwrap
from collections.abc import Mapping
from datetime import date
from itertools import cycle, zip_longest
from typing import Final, NamedTuple

from rich.console import Console
from rich.text import Text

from nrmbus.play.report import Report, Result, Row
from nrmbus.play.scenario import Publish, Scenario


class _Mark(NamedTuple):
    sign: str
    plain: str
    style: str


_MARKS: Final[Mapping[Result, _Mark]] = {
    "registered": _Mark("✓", "+", "green"),
    "refused": _Mark("✗", "x", "yellow"),
    "same receipt": _Mark("=", "=", "green"),
    "by itself": _Mark("↳", ">", "magenta"),
    "holds": _Mark("✓", "+", "dim"),
    "failed": _Mark("!", "!", "bold red"),
}
"""How each result is marked, where the terminal has such letters and where it has not."""

_AGENCIES: Final = ("cyan", "bright_blue", "bright_cyan", "blue", "magenta")
_STEP: Final = 4
_TIME: Final = 5
_NARROW_EVENT: Final = 36
_LEAST_EVENT: Final = len("recovery.period_started")
_WIDE: Final = 80
"""With so much room beside step, time and agency, a row is one line; with less, the agency is above the event."""


class Storyteller:
    """Prints the rows of one play of *scenario* to *console*."""

    def __init__(self, scenario: Scenario, console: Console) -> None:
        """Measure the columns, to print rows as they come."""
        self._scenario = scenario
        self._console = console
        self._letters = console.encoding.lower().startswith("utf")
        self._styles = dict(zip(scenario.agencies, cycle(_AGENCIES), strict=False))
        self._day: date | None = None
        self._time = ""
        said = [step.what.event for step in scenario.steps if isinstance(step.what, Publish)]
        who = max(map(len, ["timekeeper", *scenario.agencies]))
        room = console.width - _STEP - _TIME - who - 2 * 5
        self._wide = room >= _WIDE
        event = min(max([_LEAST_EVENT, *map(len, said)]) + 2, room * 2 // 5) if self._wide else _NARROW_EVENT
        result = (room - event) * 3 // 5 if self._wide else console.width - _STEP - _TIME - event - 2 * 3
        self._widths = (_STEP, _TIME, who, event, max(result, 1), max(room - event - result, 1))

    def begin(self) -> None:
        """Print what is going to be played."""
        scenario = self._scenario
        self._console.print(Text(scenario.title, style="bold"))
        facts = [scenario.policy, f"{len(scenario.agencies)} agencies", f"{len(scenario.steps)} steps"]
        self._console.print(Text(self._dots(facts), style="dim"))
        if self._wide:
            self._console.print()
            titles = ("step", "time", "who", "event", "result", "received by")
            self._columns(*zip([Text(title, style="dim") for title in titles], self._widths, strict=True))

    def show(self, row: Row) -> None:
        """Print *row*, and what failed in it."""
        at = row.at.astimezone(self._scenario.zone)
        if at.date() != self._day:
            self._day, self._time = at.date(), ""
            days = (at.date() - self._scenario.starts.astimezone(self._scenario.zone).date()).days
            self._console.print()
            self._console.print(Text.assemble((f"day {days}", "bold"), (f"  {at:%a} {at.day} {at:%b %Y}", "dim")))
        time, self._time = ("" if f"{at:%H:%M}" == self._time else f"{at:%H:%M}"), f"{at:%H:%M}"
        number = "" if row.result == "by itself" else str(row.step)
        step, who = Text(number.rjust(_STEP), style="dim"), Text(row.who, style=self._styles.get(row.who, "dim"))
        told, received = self._result(row), self._received(row)
        widths = self._widths
        if self._wide:
            cells = [step, Text(time), who or Text("check", "dim"), self._named(row), told, received]
            self._columns(*zip(cells, widths, strict=True))
        else:
            left = _stacked(who, self._named(row))
            right = _stacked(told, Text.assemble(("to ", "dim"), received) if received else received)
            self._columns((step, widths[0]), (Text(time), widths[1]), (left, widths[3]), (right, widths[4]))
        for failure in row.failures:
            self._console.print(Text(textwrap.indent(self._filled(str(failure)), "      "), style="bold red"))

    def end(self, report: Report, seconds: float) -> None:
        """Print how it ended."""
        self._console.print()
        steps = len(self._scenario.steps)
        if report.green:
            count = {result: sum(row.result == result for row in report.rows) for result in _MARKS}
            facts = [
                f"{steps} steps, every expectation held",
                f"{count['refused']} refused as the Rules say",
                f"{count['by itself']} said by services themselves",
                f"{seconds:.1f} s",
            ]
            self._console.print(Text.assemble((self._sign("registered"), "bold green"), " ", self._dots(facts)))
            return
        failed = len(report.failures)
        expectations = "One expectation" if failed == 1 else f"{failed} expectations"
        self._console.print(Text(f"{expectations} did not hold; {report.played} of {steps} steps were played.", "red"))
        for failure in report.failures:
            self._console.print(Text(f"{self._sign('failed')} {failure}", style="bold red"))

    def _columns(self, *cells: tuple[Text, int]) -> None:
        """Print *cells* side by side, each wrapped at its width, two spaces apart, and no space after the last."""
        wrapped = [cell.wrap(self._console, width, overflow="fold") for cell, width in cells]
        for parts in zip_longest(*wrapped):
            line = Text()
            for part, (_, width) in zip(parts, cells, strict=True):
                text = part or Text()
                text.rstrip()
                line.append_text(text).append(" " * (width + 2 - text.cell_len))
            line.rstrip()
            self._console.print(line, soft_wrap=True)

    def _named(self, row: Row) -> Text:
        if not row.who:
            return Text(row.event if self._wide else f"check {row.event}", style="dim")
        sign = Text(f"{self._sign('by itself')} ", style="magenta") if row.result == "by itself" else Text("")
        step, _, what = row.event.partition(".")
        broken = len(sign) + len(row.event) > self._widths[3]
        return Text.assemble(sign, (f"{step}.", "dim"), "\n  " if broken else "", what)

    def _result(self, row: Row) -> Text:
        """Return the result: a sign and a word; for a refusal the code, and below it rule and basis."""
        style = _MARKS[row.result].style
        words = row.detail.split(" · ") if row.detail else []
        sign = f"{self._sign(row.result)} "
        if row.result == "by itself":
            return Text(self._hanging(self._dots(words), ""), style=style)
        if row.result == "refused":
            code, *basis = words
            why = self._hanging(f"refused by {self._dots(basis)}" if basis else "refused at the door", "  ")
            return Text.assemble((sign + code, style), "\n", (why, "dim"))
        told = (
            self._dots(words) if row.result == "holds" else row.result.upper() if row.result == "failed" else row.result
        )
        return Text(self._hanging(told, sign), style=style)

    def _received(self, row: Row) -> Text:
        if row.received:
            return Text(", ").join(Text(agency, style=self._styles.get(agency, "")) for agency in row.received)
        return Text("nobody" if row.result in ("registered", "by itself") else "", style="dim")

    def _hanging(self, words: str, sign: str) -> str:
        indent = "  " if sign else ""
        return textwrap.fill(words, self._widths[4], initial_indent=sign, subsequent_indent=indent)

    def _filled(self, sentence: str) -> str:
        return textwrap.fill(sentence, max(self._console.width - 6, 20))

    def _sign(self, result: Result) -> str:
        return _MARKS[result].sign if self._letters else _MARKS[result].plain

    def _dots(self, words: list[str]) -> str:
        return (" · " if self._letters else ", ").join(words)


def _stacked(first: Text, second: Text) -> Text:
    return Text("\n").join(text for text in (first, second) if text)
