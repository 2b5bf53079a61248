"""Own-entry watch: finds entries of the agency that it did not request, the sign of a substituted key."""

from collections.abc import Callable
from datetime import datetime

from nrmbus.directory.entry import CHANGES_KEYS, Entry
from nrmbus.directory.fold import Kids


class Own:
    """Watch of one agency over its own entries. *kids* are the keys that it has made; *made* reads the present list."""

    def __init__(self, agency: str, kids: frozenset[str], made: Callable[[], frozenset[str]]) -> None:
        self._agency, self._kids, self._made = agency, kids, made
        self._seen = False
        self.alarm: int | None = None
        """Number of the first entry that the agency did not request; None again once its own key has objected in time."""
        self._theirs: datetime | None = None
        """From when on the first keys hold that it did not ask for."""

    def take(self, entry: Entry, kids: Kids) -> None:
        """Look at the next entry; those of others say nothing.

        Entries before the first with keys of ours are of keys that were lost with an earlier machine.
        """
        if entry.agency != self._agency:
            return
        named = {kids.signing, kids.sealing, *([kids.witness] if kids.witness else [])}
        if not named <= self._kids:
            self._kids = self._made()  # a request makes keys while the desk runs
        if named <= self._kids:
            self._seen = True
            if self._theirs is not None and entry.kind in CHANGES_KEYS and entry.valid_from < self._theirs:
                self.alarm = self._theirs = None
        elif self._seen:
            self.alarm = self.alarm or entry.number
            if entry.kind in CHANGES_KEYS:
                self._theirs = min(self._theirs or entry.valid_from, entry.valid_from)

    def read_to_the_end(self, number: int) -> None:
        """Record that the directory was read to its end, at *number*: by now an entry must have named our keys."""
        if not self._seen and self.alarm is None:
            self.alarm = number
