"""Marks that all tests of a module have, read from its text: a module that is left out need not be imported to be left out."""

import re
from functools import cache
from pathlib import Path
from typing import Final

_WHOLE: Final = frozenset(
    {
        "auditor.web.given", "auditor.web.test_questions", "client.given", "desk.given", "desk.own_bus", "desk.staff.given",
        "desk.web.browsing", "desk.web.staff.given", "desk.witness.given", "intake.given", "intake.public_page",
    }
)  # fmt: skip
"""Helpers that build a desk with its ledger, its pages or its clients, or an auditor's pages: 0.1 s of a processor each time.

The tests of a module that imports a function or a class of one are `thorough`.
"""
_IMPORTS: Final = re.compile(r"^from ([a-z_.]+) import (\([^)]*\)|.*)", re.MULTILINE)
_CALLABLE: Final = re.compile(r"\b[A-Za-z]\w*[a-z]\w*")
"""Name of a function or a class; constants, in capitals, build nothing."""
_MODULE_MARKS: Final = re.compile(r"^pytestmark = (\[.*\]|\[(?s:.*?)^\]|.*)", re.MULTILINE)
_MARK: Final = re.compile(r"pytest\.mark\.([a-z_]+)")


@cache
def module_marks(path: Path) -> frozenset[str]:
    """Return the marks that every test of the module in *path* has, as far as its text says."""
    text = path.read_text(encoding="utf-8")
    marks = {name for marked in _MODULE_MARKS.findall(text) for name in _MARK.findall(marked)}
    builds_whole = any(room in _WHOLE and _CALLABLE.search(names) for room, names in _IMPORTS.findall(text))
    return frozenset({*marks, "thorough"} if builds_whole else marks)
