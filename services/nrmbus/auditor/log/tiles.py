"""Tiles: C2SP tlog-tiles v0.1.0 (c2sp.org/tlog-tiles@v0.1.0), as bytes and paths; nothing here reads or writes a file.

A hash tile holds 256 neighbouring hashes of one level, of which there is one for each 8 levels of the tree; an entry
bundle holds 256 leaves. The last of each kind is partial until it is full. All are functions of the leaves alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

from nrmbus.wire.log import merkle
from nrmbus.wire.log.merkle import HASH_BYTES, Frontier

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
ENTRY_LIMIT: Final = 65_535
"""The most bytes of an entry, whose length is written in two bytes."""

ENTRIES: Final = "entries"
Level = int | Literal["entries"]


@dataclass(frozen=True, slots=True)
class Tile:
    """Place of a tile: level, index in the level, and number of hashes or entries."""

    level: Level
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """``tile/<L>/<N>[.p/<W>]``, N in groups of three digits: ``x001/x234/067``."""
        digits = f"{self.index:03}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        place = "/".join([*[f"x{group}" for group in groups[:-1]], groups[-1]])
        return f"tile/{self.level}/{place}" + ("" if self.width == WIDTH else f".p/{self.width}")


def partial_tiles(size: int) -> list[Tile]:
    """Return the partial tiles of a tree of *size* leaves, entry bundle included."""
    found: list[Tile] = []
    level, hashes = 0, size
    while hashes:
        if hashes % WIDTH:
            found += [Tile(kind, hashes // WIDTH, hashes % WIDTH) for kind in _kinds(level)]
        level, hashes = level + 1, hashes // WIDTH
    return found


def full_tiles(size: int) -> list[Tile]:
    """Return the full tiles of a tree of *size* leaves, entry bundles included."""
    found: list[Tile] = []
    level, hashes = 0, size // WIDTH
    while hashes:
        found += [Tile(kind, index) for kind in _kinds(level) for index in range(hashes)]
        level, hashes = level + 1, hashes // WIDTH
    return found


def _kinds(level: int) -> Sequence[Level]:
    return (level,) if level else (ENTRIES, level)


def bundle(entries: Iterable[bytes]) -> bytes:
    """Return the entry bundle of *entries*: each after its length as two bytes, big-endian."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def unbundle(raw: bytes) -> list[bytes]:
    """Return the entries of a bundle. Raises ValueError if the last one is cut."""
    entries, at = [], 0
    while at < len(raw):
        start = at + 2
        at = start + int.from_bytes(raw[at:start], "big")
        if start > len(raw) or at > len(raw):
            raise ValueError("the last entry is cut")
        entries.append(raw[start:at])
    return entries


def place_of(level: int, index: int) -> tuple[int, int, int, int]:
    """Return the place of a perfect subtree in the tiles: level and index of the tile, first hash, and number of hashes."""
    tile_level, inner = divmod(level, HEIGHT)
    return tile_level, index >> (HEIGHT - inner), index << inner & (WIDTH - 1), 1 << inner


def subtree(hashes: bytes | bytearray, start: int, count: int) -> bytes:
    """Return the hash of the perfect subtree over *count* hashes of a tile, from *start* on."""
    ends = range(start * HASH_BYTES, (start + count) * HASH_BYTES, HASH_BYTES)
    return merkle.perfect([bytes(hashes[at : at + HASH_BYTES]) for at in ends])


class Tiling:
    """Tiles at the right edge of a growing tree. Full tiles wait in ``full`` until the caller removes them."""

    def __init__(self) -> None:
        """Begin with no leaves."""
        self.full: dict[Tile, bytes] = {}
        self._frontier = Frontier()
        self._edges: list[bytearray] = []
        self._entries: list[bytes] = []

    @classmethod
    def resumed(cls, size: int, edges: Sequence[bytes], entries: Sequence[bytes]) -> Self:
        """Return the tiling of a tree of *size* leaves, from its partial tiles by level (also empty ones) and its partial bundle.

        Raises ValueError unless the widths fit the size and the entries fit the lowest tile.
        """
        widths = [(size >> HEIGHT * level) % WIDTH for level in range(len(edges))]
        if size >> HEIGHT * len(edges) or [len(edge) for edge in edges] != [width * HASH_BYTES for width in widths]:
            raise ValueError("the tiles are not those of this size")
        if b"".join(merkle.leaf_hash(entry) for entry in entries) != b"".join(edges[:1]):
            raise ValueError("the entries are not those of the tile")
        tiling = cls()
        tiling._edges = [bytearray(edge) for edge in edges]
        tiling._entries = list(entries)
        tiling._frontier = Frontier.read(size, tiling._edge_hash)
        return tiling

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._frontier.size

    def root(self) -> bytes:
        """Return the root of the tree."""
        return self._frontier.root()

    def append(self, leaf: bytes) -> None:
        """Append the next leaf, at most `ENTRY_LIMIT` bytes."""
        self._entries.append(leaf)
        completed = self._frontier.append(merkle.leaf_hash(leaf))
        for level, each in enumerate(completed[::HEIGHT]):
            if level == len(self._edges):
                self._edges.append(bytearray())
            edge = self._edges[level]
            edge += each
            if len(edge) == WIDTH * HASH_BYTES:
                self.full[Tile(level, (self.size >> HEIGHT * (level + 1)) - 1)] = bytes(edge)
                edge.clear()
        if len(self._entries) == WIDTH:
            self.full[Tile(ENTRIES, self.size // WIDTH - 1)] = bundle(self._entries)
            self._entries.clear()

    def partial(self, tile: Tile) -> bytes | None:
        """Return the bytes of a partial *tile* at the edge, also of a narrower one, or None if the edge has moved on."""
        level = 0 if tile.level == ENTRIES else int(tile.level)
        if tile.index != self.size >> HEIGHT * (level + 1) or level >= len(self._edges):
            return None
        if tile.level == ENTRIES:
            return bundle(self._entries[: tile.width])
        return bytes(self._edges[level][: tile.width * HASH_BYTES])

    def _edge_hash(self, level: int, index: int) -> bytes:
        tile_level, _, start, count = place_of(level, index)
        return subtree(self._edges[tile_level], start, count)
