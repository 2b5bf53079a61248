"""The README's commands print what the page shows, typed one after the other by a newcomer.

Every ``console`` and ``python`` block is run in its order on a fresh bus. A line after a command is output that must be
shown, ``…`` standing for anything. A command that shows a refusal must fail; every other command must end with status
0, at Ctrl-C if it runs on.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from contract.tree import ROOT
from patience import interruptible, until

BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ELSEWHERE = {"make demo", "make try", "make test", ". .venv/bin/activate"}
"""Commands that other tests run, since make calls this test; the PATH here replaces activation."""
SECONDS = 240.0
"""Patience with one command on a busy machine; the page says how long each takes on an idle one."""


class Misleading(AssertionError):
    """The page shows what a newcomer would not see."""


def pattern(shown: str) -> re.Pattern[str]:
    """Return the pattern of the line *shown*: any space between words, and any text for an ellipsis."""
    pieces = [r"\s+".join(map(re.escape, piece.split())) for piece in shown.split("…")]
    return re.compile(r"\s*.*?\s*".join(pieces))


def steps(page: str) -> Iterator[tuple[str, str, list[str]]]:
    """Kind, command, and the lines shown after it, of each command of *page*; a Python block is one command."""
    for kind, text in BLOCK.findall(page):
        if kind == "python":
            yield kind, text, []
            continue
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            yield kind, command, [line for line in shown if line]


class Terminal:
    """A shell that keeps its variables, with a window of its own for each command that runs until Ctrl-C."""

    def __init__(self, home: Path, folder: Path = ROOT, python: Path = Path(sys.executable)) -> None:
        """Open a shell in *folder*, with the commands of *python* first; *home* keeps its data."""
        self._home, self._folder, self._python = home, folder, str(python)
        self._environment = os.environ | {
            "XDG_DATA_HOME": str(home / "data"),
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "100",
        }
        self._variables = home / "variables"
        self._variables.write_text("")

    def type(self, command: str) -> tuple[int, str]:
        """Run *command* to its end; return the exit status and both streams."""
        script = f". '{self._variables}'\n{command}\nstatus=$?\nset >'{self._variables}.new'\nexit $status"
        done = self._run(["sh", "-c", script])
        kept = [
            line for line in Path(f"{self._variables}.new").read_text().splitlines() if re.match(r"(?:CASE|REF)=", line)
        ]
        self._variables.write_text("\n".join(kept) + "\n")
        return done

    def python(self, text: str) -> tuple[int, str]:
        """Run *text* as a program."""
        return self._run([self._python, "-c", text])

    def _run(self, words: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            words, cwd=self._folder, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False, timeout=SECONDS,
        )  # fmt: skip
        return done.returncode, done.stdout

    @contextmanager
    def window(self, command: str, shown: list[str]) -> Iterator[None]:
        """Run *command* until the end of the block, wait until the output has *shown*, and end the command by Ctrl-C."""
        with tempfile.TemporaryFile("w+", dir=self._home) as output:
            with interruptible():
                process = subprocess.Popen(
                    ["sh", "-c", f"exec {command}"],
                    cwd=self._folder,
                    env=self._environment,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )

            def said() -> str:
                return os.pread(output.fileno(), 1 << 20, 0).decode()

            def enough() -> bool:
                return process.poll() is not None or all(pattern(line).search(said()) for line in shown)

            try:
                until(f"{command} shows {shown}", enough, SECONDS)
                if process.poll() is not None:
                    raise Misleading(command, said())
                yield
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)
                    process.wait(SECONDS)
            if process.returncode != 0:
                raise Misleading(command, process.returncode, said())


def walk(page: str, terminal: Terminal) -> int:
    """Type every command of *page*; answers how many.

    Raises:
        Misleading: one of them ended otherwise than the page lets expect, or did not show what the page shows.
    """
    typed = 0
    with ExitStack() as windows:
        for kind, command, shown in steps(page):
            if command in ELSEWHERE:
                continue
            typed += 1
            if command.startswith("nrmbus up ") or command.endswith(" --follow"):
                windows.enter_context(terminal.window(command, shown))
                continue
            status, said = terminal.python(command) if kind == "python" else terminal.type(command)
            refused = any(line.startswith("refused ") for line in shown)
            missing = [line for line in shown if not pattern(line).search(said)]
            if missing or (status != 0) != refused:
                raise Misleading(command, status, missing, said)
    return typed


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.timeout(1200)
def test_a_newcomer_sees_what_the_readme_shows(tmp_path: Path) -> None:
    """Five minutes for each of the three users, on a fresh bus, in the order of the page."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")

    assert walk(page, Terminal(tmp_path)) == sum(command not in ELSEWHERE for _, command, _ in steps(page)) >= 10


def test_each_example_event_is_used_in_the_readme() -> None:
    """An example that no page runs would grow old unseen."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")

    assert [path.name for path in (ROOT / "deploy" / "examples").iterdir() if path.name not in page] == []


@pytest.mark.thorough
@pytest.mark.parametrize(
    "page",
    [
        "```console\n$ nrmbus inbocks ngo-a\n```\n",
        "```console\n$ nrmbus topics docs --topicz\n```\n",
        "```console\n$ nrmbus topics docs\nA line that it does not print\n```\n",
        "```console\n$ nrmbus topics docs\nrefused …\n```\n",
        "```console\n$ nrmbus inbox ngo-a --fallow --follow\n```\n",
        "```python\nfrom nrmbus.client import Dor\n```\n",
    ],
    ids=["command", "option", "line", "refusal", "follow", "python"],
)
def test_a_misspelt_command_is_found(tmp_path: Path, page: str) -> None:
    """Sabotage: an unknown command, an unknown option, a missing line, a missing name."""
    with pytest.raises(Misleading):
        walk(page, Terminal(tmp_path))
