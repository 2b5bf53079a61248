"""No file of the project names this machine, a registry, work left for later, or a skipped test."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from contract.tree import ROOT, files, lay, texts

SERVICES = ROOT / "services"

# Written so that no pattern finds itself.
PATTERNS = {
    "a path of one machine": r"(?:^|[^A-Za-z0-9._~-])/(?:work|root|home|farm|Users)/",
    "a registry's host": r"\b(?:pypi|pythonhosted|npmjs|crates|debian)\.(?:org|io|com)\b"
    r"|\b(?:proxy|sum)\.golang\.org\b|\brepo1?\.maven\.(?:apache\.)?org\b",
    "a promise for later": r"\b(?:TOD[O]|FIXM[E]|XX[X]|NotImplementedErro[r])\b",
    "a test that does not run": r"pytest\.mark\.(?:skip|xfail)|pytest\.(?:skip|xfail)\(|unittest\.skip",
    "a silence without a code": r"#\s*(?:noqa|type:\s*ignore)(?![:\[\w])",
}
ELSEWHERE = {"LICENSE"}
"""Texts of others, kept as they are."""


def blemishes(root: Path) -> list[str]:
    """Each line under *root* that a pattern finds, as ``path:line: what``."""
    return [
        f"{name}:{number}: {what}"
        for name, text in texts(root)
        if name not in ELSEWHERE
        and (patterns := {what: each for what, each in PATTERNS.items() if re.search(each, text, re.MULTILINE)})
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in patterns.items()
        if re.search(pattern, line)
    ]


def unvalidated(services: Path) -> list[str]:
    """Each call under *services* that makes or changes a model without validating it, as ``path:line: what``."""
    found = []
    for path in files(services):
        text = path.read_text(encoding="utf-8") if path.suffix == ".py" else ""
        if "model_co" not in text:  # most files: they need not be parsed
            continue
        for node in ast.walk(ast.parse(text)):
            match node:
                case ast.Call(func=ast.Attribute(attr="model_construct")):
                    found.append(f"{path.relative_to(services)}:{node.lineno}: model_construct")
                case ast.Call(func=ast.Attribute(attr="model_copy"), keywords=[*keywords]) if any(
                    word.arg == "update" for word in keywords
                ):
                    found.append(f"{path.relative_to(services)}:{node.lineno}: model_copy(update=...)")
                case _:
                    pass
    return found


def unreasoned(pyproject: str) -> list[str]:
    """Each lint rule that *pyproject* (its text) leaves out without saying why on the same line."""
    ignoring = False
    found = []
    for line in pyproject.splitlines():
        if re.match(r'(?:ignore|"[^"]+") = \[$', line):
            ignoring = True
        elif line == "]":
            ignoring = False
        elif ignoring and (rule := re.match(r'\s+"([A-Z]+\d*)",(.*)', line)) and not re.match(r"\s*# \S+", rule[2]):
            found.append(rule[1])
    return found


@pytest.mark.thorough
def test_no_file_holds_what_belongs_elsewhere() -> None:
    """A clone works on any machine and mirror, and what is in it is finished."""
    assert blemishes(ROOT) == []


def test_no_model_is_changed_past_its_validation() -> None:
    """``model_construct`` and ``model_copy(update=...)`` skip validation: an event could carry what no schema allows."""
    assert unvalidated(SERVICES) == []


def test_every_lint_rule_is_on_or_has_a_reason_to_be_off() -> None:
    """A silenced rule without a reason is a defect."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert tomllib.loads(text)["tool"]["ruff"]["lint"]["select"] == ["ALL"]
    assert unreasoned(text) == []


def test_every_python_file_is_type_checked() -> None:
    """A file outside the folders that mypy reads would be checked by nobody."""
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["files"]
    outside = [path for path in files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] not in checked]

    assert outside == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("data = '/ho~me/someone/bus'", "a path of one machine"),
        ("see /wo~rk/notes", "a path of one machine"),
        ("index = 'https://py~pi.org/simple'", "a registry's host"),
        ("files.python~hosted.org", "a registry's host"),
        ("repo.maven.apa~che.org", "a registry's host"),
        ("# TO~DO later", "a promise for later"),
        ("raise NotImplemented~Error", "a promise for later"),
        ("@pytest.mark.sk~ip(reason='slow')", "a test that does not run"),
        ("pytest.sk~ip('no broker')", "a test that does not run"),
        ("x = 1  # no~qa", "a silence without a code"),
        ("x = 1  # type: ig~nore", "a silence without a code"),
    ],
)
def test_each_blemish_is_found(tmp_path: Path, line: str, what: str) -> None:
    """Sabotage: one such line is named with its place; the ~ keeps this file itself clean."""
    line = line.replace("~", "")
    lay(tmp_path, {"services/clean.py": "x = 1  # noqa: E741\n", "services/bad.py": f"x = 1\n{line}\n"})

    assert blemishes(tmp_path) == [f"services/bad.py:2: {what}"]


def test_a_model_changed_past_its_validation_is_found(tmp_path: Path) -> None:
    """Sabotage: both ways around validation are named; a plain copy is not."""
    lay(tmp_path, {"a.py": "x.model_copy(update={})\nx.model_copy()\nY.model_construct(a=1)\n"})

    assert unvalidated(tmp_path) == ["a.py:1: model_copy(update=...)", "a.py:3: model_construct"]


def test_a_silenced_rule_without_a_reason_is_found() -> None:
    """Sabotage: of two silenced rules, the one without a reason is named."""
    text = 'ignore = [\n    "D105",  # a reason\n    "D107",\n]\n"tests/**" = [\n    "S101",  #\n]\n'

    assert unreasoned(text) == ["D107", "S101"]
