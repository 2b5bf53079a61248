"""Every command of nrmbus on a page is one that nrmbus takes: its name, its options, and as many words as it needs."""

import itertools
import re
import shlex
from collections.abc import Iterator

import pytest

from contract.tree import ROOT, texts
from nrmbus.cli.app import COMMANDS, loaded

CODE = re.compile(r"^\s*```.*?^\s*```$|`([^`\n]+)`", re.MULTILINE | re.DOTALL)


def commands(page: str) -> Iterator[str]:
    """Yield every command of nrmbus in the code of a Markdown *page*, with its options and without the shell around it."""
    for found in CODE.finditer(page):
        for line in (found[1] or found[0]).replace("\\\n", " ").splitlines():
            for part in re.split(r"\s(?:&&|\|\|)\s|;|\s\|\s|\$\(", line.split("  #")[0]):
                if said := re.search(r"(?:^|[\s/(])nrmbus( [a-z].*)$", part):
                    yield said[1].strip()


def refused(command: str) -> str:
    """Return why nrmbus does not take *command*, or nothing. Commands without all that they need are names: they are."""
    lexer = shlex.shlex(command.replace("…", "x").replace("\\|", "|"), posix=True, punctuation_chars="<>&;")
    lexer.whitespace_split = True
    words = list(itertools.takewhile(lambda word: not set(word) <= {*"<>&;"}, lexer))
    name, *words = words
    if name.startswith("-"):
        return ""
    if name not in COMMANDS:
        return f"no command {name}"
    found, path = loaded(name), name
    while getattr(found, "commands", None) and words and words[0] != "--help":
        names = words.pop(0).split("|")
        if unknown := [each for each in names if each not in found.commands]:
            return f"no command {path} {unknown[0]}"
        found, path = found.commands[names[0]], f"{path} {names[0]}"
    options = {"--help"} | {each for parameter in found.params for each in (*parameter.opts, *parameter.secondary_opts)}
    given = [word.partition("=")[0].partition("|")[0] for word in words if word.startswith("--")]
    return ", ".join(f"no option {each} of {path}" for each in given if each not in options)


PAGES = {path: [*commands(text)] for path, text in texts() if path.endswith(".md") and not path.startswith("tests/")}


def test_pages_have_commands() -> None:
    """The runbook and the page for operators name many."""
    assert len(PAGES["deploy/RUNBOOK.md"]) > 40
    assert len(PAGES["deploy/README.md"]) > 80
    assert ROOT.joinpath("deploy", "RUNBOOK.md").exists()


@pytest.mark.parametrize("path", [path for path, found in PAGES.items() if found])
def test_every_command_on_a_page_is_taken(path: str) -> None:
    """Given a page, when somebody types one of its commands at night, then nrmbus knows the command and its options."""
    assert {each: why for each in PAGES[path] if (why := refused(each))} == {}


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("standby remove host-b", "no command standby remove"),
        ("backup DIR --verfy", "no option --verfy of backup"),
        ("standby list|rewoke", "no command standby rewoke"),
    ],
)
def test_a_slip_is_found(command: str, why: str) -> None:
    """Sabotage: a misspelt command or option is named."""
    assert refused(command) == why
