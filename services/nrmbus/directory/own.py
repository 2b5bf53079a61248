"""What an agency looks for in the directory: an entry of its own that it did not ask for, which is how a key is substituted."""

from collections.abc import Callable

from nrmbus.directory.entry import Entry
from nrmbus.directory.fold import Kids


class Own:
    """The watch of one agency over its own entries. *kids* are the keys that it has made, *made* looks which they are by now."""

    def __init__(self, agency: str, kids: frozenset[str], made: Callable[[], frozenset[str]]) -> None:
        self._agency, self._kids, self._made = agency, kids, made
        self._seen = False
        self.alarm: int | None = None
        """The number of the first entry that the agency did not ask for."""

    def take(self, entry: Entry, kids: Kids) -> None:
        """Look at the next entry; those of others say nothing.

        Entries before the first with keys of ours are of keys that were lost with an earlier machine.
        """
        if entry.agency != self._agency or self.alarm is not None:
            return
        named = {kids.signing, kids.sealing, *([kids.witness] if kids.witness else [])}
        if not named <= self._kids:
            self._kids = self._made()  # a request makes keys while the desk runs
        if named <= self._kids:
            self._seen = True
        elif self._seen:
            self.alarm = entry.number

    def read_to_the_end(self, number: int) -> None:
        """The directory was read to its end, at *number*: by now an entry must have named our keys."""
        if not self._seen and self.alarm is None:
            self.alarm = number
