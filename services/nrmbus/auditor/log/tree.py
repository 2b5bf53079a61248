"""Tree of one log on disk: ``tile/…`` in the layout of C2SP tlog-tiles, and ``head`` with the committed size and root.

Between two commits no file changes. A commit writes full and partial tiles, then ``head``, then removes partial tiles
that are no longer needed: wherever the commit is cut off, ``head`` and its tiles are complete.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

from nrmbus.auditor.errors import LogError
from nrmbus.auditor.log import tiles
from nrmbus.auditor.log.files import Files
from nrmbus.auditor.log.tiles import ENTRIES, HEIGHT, WIDTH, Tile, Tiling
from nrmbus.wire.errors import ProofError
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import Checkpoint
from nrmbus.wire.log.merkle import HASH_BYTES

HEAD: Final = "head"
"""File with the text of an unsigned checkpoint: the committed tree."""

_CACHED_TILES: Final = 64
_CACHED_NODES: Final = 4096


class StoredTree:
    """Leaves of one log, as opaque bytes, and their tree.

    ``size`` counts appended leaves; ``head`` is the committed tree, which a restart finds again.
    """

    def __init__(self, folder: Path, origin: str) -> None:
        """Open the log *origin* in *folder*, or begin it.

        Leftovers of an interrupted commit are removed. If a file is missing, cut or altered, everything is moved to
        another folder, named in ``set_aside``, and the log begins again: the topic has all registrations.

        Raises:
            LogError: ``folder_busy``, or ``foreign`` if the folder holds another log.
        """
        self.origin = origin
        self.set_aside: str | None = None
        try:
            self._files = Files(folder)
        except BlockingIOError:
            raise LogError("folder_busy", origin) from None
        self._tile = lru_cache(_CACHED_TILES)(self._read_tile)
        self.node = lru_cache(_CACHED_NODES)(self._node)
        self._partial: set[Tile] = set()
        self._tiling = Tiling()
        self.head = Checkpoint(origin, 0, merkle.EMPTY)
        try:
            self._load()
        except LogError as error:
            if error.code != "state_damaged":
                self.close()
                raise
            self.set_aside = self._files.set_aside(HEAD, "tile")
        if self._files.read(HEAD) is None:
            self._write_head()

    @property
    def size(self) -> int:
        """The number of appended leaves."""
        return self._tiling.size

    def close(self) -> None:
        """Release the log for other processes; uncommitted leaves are dropped."""
        self._files.close()

    def append(self, leaf: bytes) -> None:
        """Append the next leaf. Raises ``leaf_too_large``."""
        if len(leaf) > tiles.ENTRY_LIMIT:
            raise LogError("leaf_too_large", self.origin, number=self.size + 1)
        self._tiling.append(leaf)

    def commit(self, keep: int = 0) -> None:
        """Make the appended leaves durable; partial tiles of the size *keep* stay, since a checkpoint of this size was signed."""
        wanted = self._wanted(self.size, keep)
        for tile, raw in self._tiling.full.items():
            self._files.put(tile.path, raw)
        for tile in wanted.keys() - self._partial:
            self._files.put(tile.path, wanted[tile])
        self._files.settle()
        if self.size != self.head.size:
            self.head = Checkpoint(self.origin, self.size, self._tiling.root())
            self._write_head()
        for tile in self._partial - wanted.keys():
            self._files.remove(tile.path)
        self._tiling.full.clear()
        self._partial = set(wanted)

    def publish(self, checkpoint: bytes) -> None:
        """Write the signed *checkpoint* to ``checkpoint``, as C2SP tlog-tiles asks."""
        if self._files.read("checkpoint") != checkpoint:
            self._files.put("checkpoint", checkpoint)
            self._files.settle()

    def root(self, size: int) -> bytes:
        """Return the root of the first *size* leaves; raises IndexError past the end, and ``state_damaged``."""
        if size > self.size:
            raise IndexError("the tree is not that large")
        return merkle.root(size, self.node)

    def leaf_hash(self, index: int) -> bytes:
        """Return the hash of the leaf *index*; raises as `root`."""
        if not 0 <= index < self.size:
            raise IndexError("the tree has no such leaf")
        return self.node(0, index)

    def entries(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the leaves from *start* to *stop*, read from the bundles and compared with their hashes.

        Raises ``state_damaged``, and IndexError past the committed size.
        """
        if not 0 <= start <= stop <= self.head.size:
            raise IndexError("the tree has no such leaves")
        for index in range(start // WIDTH, -(-stop // WIDTH)):
            tile = Tile(ENTRIES, index, min(WIDTH, self.head.size - index * WIDTH))
            for at, entry in enumerate(self._unbundled(tile), index * WIDTH):
                if start <= at < stop:
                    if merkle.leaf_hash(entry) != self.node(0, at):
                        raise self._damaged(tile.path)
                    yield entry

    def check(self) -> None:
        """Compute every tile from the entries and compare; raises ``state_damaged`` with the first that differs."""
        computed, size = Tiling(), self.head.size
        for tile in [tile for tile in (*tiles.full_tiles(size), *tiles.partial_tiles(size)) if tile.level == ENTRIES]:
            for entry in self._unbundled(tile):
                computed.append(entry)
            for made, raw in computed.full.items():
                self._compare(made.path, raw)
            computed.full.clear()
        for tile in sorted(self._partial, key=lambda tile: tile.path):
            self._compare(tile.path, computed.partial(tile))
        self._compare(HEAD, Checkpoint(self.origin, computed.size, computed.root()).text)

    def _compare(self, path: str, raw: bytes | None) -> None:
        if self._files.read(path) != raw:
            raise self._damaged(path)

    def _damaged(self, path: str) -> LogError:
        return LogError("state_damaged", self.origin, path=path)

    def _write_head(self) -> None:
        self._files.put(HEAD, self.head.text)
        self._files.settle()

    def _wanted(self, *sizes: int) -> dict[Tile, bytes]:
        """Return the partial tiles of *sizes* whose full tiles do not exist yet, with their bytes."""
        found = {tile for size in sizes if size <= self.size for tile in tiles.partial_tiles(size)}
        return {tile: raw for tile in found if (raw := self._tiling.partial(tile)) is not None}

    def _load(self) -> None:
        there = self._files.sizes("tile")
        raw = self._files.read(HEAD)
        if raw is None and not there:
            return
        head = None
        with suppress(ProofError):
            head = Checkpoint.parse(raw or b"")
        if head is None:
            raise self._damaged(HEAD)
        if head.origin != self.origin:
            raise LogError("foreign", self.origin, path=HEAD)
        partial = tiles.partial_tiles(head.size)
        needed = {tile.path: tile for tile in (*tiles.full_tiles(head.size), *partial)}
        for path, tile in needed.items():
            size = there.get(path)
            if size is None or (size < 2 * tile.width if tile.level == ENTRIES else size != tile.width * HASH_BYTES):
                raise self._damaged(path)
        self._tiling = self._resumed(head, partial)
        self.head, self._partial = head, set(partial)
        for path in there.keys() - needed.keys():
            self._files.remove(path)

    def _resumed(self, head: Checkpoint, partial: list[Tile]) -> Tiling:
        levels = -(-head.size.bit_length() // HEIGHT)
        edges, entries = [b""] * levels, list[bytes]()
        for tile in partial:
            if tile.level == ENTRIES:
                entries = self._unbundled(tile)
            else:
                edges[int(tile.level)] = self._files.read(tile.path) or b""
        tiling = None
        with suppress(ValueError):
            tiling = Tiling.resumed(head.size, edges, entries)
        if tiling is None or tiling.root() != head.root:
            raise self._damaged(HEAD)
        return tiling

    def _unbundled(self, tile: Tile) -> list[bytes]:
        raw = self._files.read(tile.path)
        if raw is not None:
            with suppress(ValueError):
                entries = tiles.unbundle(raw)
                if len(entries) == tile.width:
                    return entries
        raise self._damaged(tile.path)

    def _read_tile(self, level: int, index: int) -> bytes:
        tile = Tile(level, index)
        raw = self._files.read(tile.path)
        if raw is None or len(raw) != WIDTH * HASH_BYTES:
            raise self._damaged(tile.path)
        return raw

    def _node(self, level: int, index: int) -> bytes:
        """Return the hash of a perfect subtree inside the tree, which never changes."""
        tile_level, tile, start, count = tiles.place_of(level, index)
        raw = self._tiling.full.get(Tile(tile_level, tile)) or self._tiling.partial(Tile(tile_level, tile))
        return tiles.subtree(self._tile(tile_level, tile) if raw is None else raw, start, count)
