"""Small helpers for the sentences about a profile."""

from collections.abc import Iterable
from difflib import get_close_matches


def quoted(names: Iterable[str], most: int = 6) -> str:
    """Return *names* in a sentence; of many, the first and how many more there are."""
    found = [f"`{name}`" for name in names]
    more = len(found) - most
    return ", ".join(found[:most]) + (f" and {more} more" if more > 0 else "")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the advice to write the one of *known* that is nearest to *name*, or to look at all of them."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"write `{close[0]}`" if close else f"write one of {quoted(names)}"
