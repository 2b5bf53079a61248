"""Searches in the lists: the terms stay in memory, so that no address or log has them."""

import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from nrmbus.desk.web.work.item import Item
from nrmbus.desk.web.work.known import Snapshot
from nrmbus.web.folding import folded

MOST: Final = 500
"""Searches kept for the members of one desk; an older one has to be typed again."""
LONGEST: Final = 80
FEWEST_DIGITS: Final = 4
"""Digits of a reference that are looked for."""
MINE: Final = "me"
NOBODY: Final = "nobody"


@dataclass(frozen=True, slots=True)
class Search:
    """Conditions of a search; an empty one holds for every row."""

    text: str = ""
    type: str = ""
    colleague: str = ""
    """Number of a colleague, `MINE` or `NOBODY`."""
    agency: str = ""
    """Id of the agency that the text names."""

    def finds(self, item: Item, snapshot: Snapshot, me: str) -> bool:
        """Return whether *item* fits, for the member with the number *me*."""
        if self.type and self.type not in (item.type, item.status):
            return False
        if self.colleague:
            wanted = {MINE: me, NOBODY: ""}.get(self.colleague, self.colleague)
            if snapshot.colleague(item) != wanted:
                return False
        if not self.text or folded(self.text) in folded(snapshot.labels.get(item.case, "")):
            return True
        text = self.text.casefold()
        if len(text) >= FEWEST_DIGITS and (item.case.startswith(text) or (item.ref or "").startswith(text)):
            return True
        return self.agency in item.agencies


class Searches:
    """Searches of one desk's members."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[str, Search]] = OrderedDict()

    def keep(self, member: str, search: Search) -> str:
        """Keep the *search* of *member*; return its random name."""
        name = secrets.token_hex(8)
        self._kept[name] = member, search
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return name

    def of(self, member: str, name: str) -> Search | None:
        """Return the search *name* of *member*; None if there is none any more."""
        whose, search = self._kept.get(name, ("", None))
        return search if whose == member else None


def found(items: Iterable[Item], search: Search | None, snapshot: Snapshot, me: str) -> list[Item]:
    """Return those of *items* that fit *search*."""
    return [each for each in items if search is None or search.finds(each, snapshot, me)]
