"""Laws and places that a basis cites, as the text of the Rules lists them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from nrmbus.packed import packed

OF_THE_ROW: Final = "of the row"
"""Basis of a rule that cites the basis of the refused type."""
_MARK: Final = re.compile(r"\[(S\d+(?:, S\d+)*|D|u)\]")
_ANCHOR: Final = re.compile(r"RULES\.md#(?P<anchor>[a-z0-9._-]+)")
_ARTICLE: Final = re.compile(r" (?:art|s)\. \d[\d., to]*$")


@dataclass(frozen=True, slots=True)
class Citation:
    """One part of a basis: a law with its title, or a place in the text of the Rules; ``marks`` stand behind it."""

    text: str
    title: str | None
    anchor: str | None
    marks: tuple[str, ...]

    is_own: bool = False
    """True for a law that the profile itself lists."""

    @property
    def is_resolved(self) -> bool:
        """Return whether the part leads to a listed law with a source, to one of the profile, or to a place that exists."""
        if self.anchor is not None:
            return self.anchor in anchors()
        return self.is_own or (self.title is not None and bool(self.marks))

    @property
    def is_exact(self) -> bool:
        """Return whether the part names an article or a place, and not a whole law."""
        return self.anchor is not None or _ARTICLE.search(self.text) is not None


@cache
def rules_text() -> str:
    """Return the text of the Rules, ``RULES.md``."""
    return packed("rules/RULES.md").read_text(encoding="utf-8")


@cache
def laws() -> Mapping[str, str]:
    """Return the title of each law in the table *Laws*, by the name that a basis cites."""
    table = rules_text().partition("\n## Laws\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ((?!cited as|---)[^|]+?) \| ([^|]+?) \|", table, re.MULTILINE)
    return MappingProxyType(dict(rows))


@cache
def anchors() -> frozenset[str]:
    """Return every anchor of the text of the Rules."""
    return frozenset(re.findall(r'<a id="([^"]+)"></a>', rules_text()))


@cache
def wording(anchor: str) -> str:
    """Return the sentence that the text of the Rules has about a rule, the last cell of its row; empty without one."""
    found = re.search(rf'^\| <a id="{re.escape(anchor)}"></a>.*\| ([^|]+) \|$', rules_text(), re.MULTILINE)
    return found[1].strip() if found else ""


def citations(basis: str, own: Mapping[str, str] = MappingProxyType({})) -> Iterator[Citation]:
    """Yield the parts of *basis*; a law that is listed neither in the text of the Rules nor among the profile's *own* has no title."""
    for part in basis.split("; "):
        marks = tuple(_MARK.findall(part))
        text = _MARK.sub("", part).strip()
        anchor = _ANCHOR.fullmatch(text)
        names = (text, _ARTICLE.sub("", text))
        title = next((listed[name] for listed in (laws(), own) for name in names if name in listed), None)
        is_own = any(name in own for name in names)
        yield Citation(text, title, anchor["anchor"] if anchor else None, marks, is_own)


def unresolved(basis: str, own: Mapping[str, str] = MappingProxyType({})) -> tuple[str, ...]:
    """Return the parts of *basis* that lead nowhere; the whole basis if no part names an article or a place. *own* as above."""
    if basis == OF_THE_ROW:
        return ()
    found = tuple(citations(basis, own))
    wrong = tuple(each.text for each in found if not each.is_resolved)
    return wrong or (() if any(each.is_exact for each in found) else (basis,))
