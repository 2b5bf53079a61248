"""Suggestions for a misspelt name: the nearest names of a public list. Pure."""

from collections.abc import Iterable
from typing import Final

MOST: Final = 3
"""Names that are offered."""

_LONGEST: Final = 64
"""Characters of a word that are compared; no name of ours is as long."""


def distance(one: str, other: str) -> int:
    """Return the edit distance of two words: insertions, deletions and replacements of one character (Levenshtein)."""
    row = list(range(len(other) + 1))
    for turn, letter in enumerate(one, 1):
        above, row = row, [turn]
        for place, meant in enumerate(other, 1):
            row.append(min(row[-1] + 1, above[place] + 1, above[place - 1] + (letter != meant)))
    return row[-1]


def nearest(word: str, known: Iterable[str], most: int = MOST) -> tuple[str, ...]:
    """Return at most *most* names of *known* that *word* may be a slip of, the nearest first.

    A name further away than half the length of the longer word is no slip of it. The result holds names of *known*
    alone, never *word* itself, so an error may name them.
    """
    word = word[:_LONGEST]
    found = sorted((distance(word, each), each) for each in set(known))
    return tuple(each for far, each in found if 2 * far <= max(len(word), len(each)))[:most]
