"""Tiles: bytes and paths of a tree by C2SP tlog-tiles v0.1.0."""

from itertools import pairwise

import pytest

from nrmbus.auditor.log.tiles import ENTRIES, WIDTH, Tile, Tiling, bundle, full_tiles, partial_tiles, unbundle
from nrmbus.wire.log import merkle


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(1, 7), "tile/1/007"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(0, 999), "tile/0/999"),
        (Tile(0, 1000), "tile/0/x001/000"),
        (Tile(2, 273, 112), "tile/2/273.p/112"),
        (Tile(ENTRIES, 1234067, 1), "tile/entries/x001/x234/067.p/1"),
    ],
)
def test_a_tile_has_the_path_of_the_specification(tile: Tile, path: str) -> None:
    """Its examples, and where the digits grow."""
    assert tile.path == path


def test_a_tree_of_70000_has_the_tiles_of_the_text() -> None:
    """273 full tiles at level 0 and a partial one of 112; one full tile at level 1 and one of 17; one of 1 at level 2."""
    assert {tile for tile in partial_tiles(70_000) if tile.level != ENTRIES} == {
        Tile(0, 273, 112),
        Tile(1, 1, 17),
        Tile(2, 0, 1),
    }
    full = full_tiles(70_000)
    assert [tile for tile in full if tile.level == 0] == [Tile(0, index) for index in range(273)]
    assert [tile for tile in full if tile.level == 1] == [Tile(1, 0)]
    assert [tile for tile in full if tile.level == ENTRIES] == [Tile(ENTRIES, index) for index in range(273)]
    assert {tile for tile in partial_tiles(256) if tile.level != ENTRIES} == {Tile(1, 0, 1)}
    assert partial_tiles(0) == full_tiles(0) == []


def test_the_tiles_of_a_growing_tree_are_those_of_its_size() -> None:
    """Each full tile appears once, when full, with the hashes of its place; the root is that of the leaves."""
    leaves = [b"leaf %d" % index for index in range(3 * WIDTH + 5)]
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    tiling = Tiling()
    for size, leaf in enumerate(leaves, 1):
        tiling.append(leaf)
        assert set(tiling.full) == set(full_tiles(size))
        assert all(tiling.partial(tile) for tile in partial_tiles(size))

    assert tiling.size == len(leaves)
    assert tiling.full[Tile(0, 1)] == b"".join(hashes[WIDTH : 2 * WIDTH])
    assert unbundle(tiling.full[Tile(ENTRIES, 2)]) == leaves[2 * WIDTH : 3 * WIDTH]
    assert tiling.partial(Tile(0, 3, 5)) == b"".join(hashes[-5:])
    assert tiling.partial(Tile(ENTRIES, 3, 2)) == bundle(leaves[-5:-3])
    upper = [merkle.perfect(hashes[start:stop]) for start, stop in pairwise(range(0, 3 * WIDTH + 1, WIDTH))]
    assert tiling.partial(Tile(1, 0, 3)) == b"".join(upper)
    assert tiling.partial(Tile(0, 2, 3)) is None
    assert tiling.partial(Tile(2, 0, 1)) is None
    assert tiling.root() == merkle.root(
        tiling.size, lambda level, index: merkle.perfect(hashes[index << level : (index + 1) << level])
    )


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 300, 511, 512, 700])
def test_a_tiling_goes_on_where_it_was_left(size: int) -> None:
    """From its partial tiles alone; what follows is the same."""
    whole, first = Tiling(), Tiling()
    for index in range(size):
        whole.append(b"%d" % index)
        first.append(b"%d" % index)
    partial = {tile.level: first.partial(tile) or b"" for tile in partial_tiles(size)}
    levels = -(-size.bit_length() // 8)
    edges = [partial.get(level, b"") for level in range(levels)]
    entries = unbundle(partial.get(ENTRIES, b""))

    resumed = Tiling.resumed(size, edges, entries)
    assert resumed.root() == whole.root()
    whole.full.clear()
    for index in range(size, size + 300):
        whole.append(b"%d" % index)
        resumed.append(b"%d" % index)
    assert (resumed.root(), resumed.full) == (whole.root(), whole.full)
    assert len(resumed.full) > 0

    for wrong in ((size + 1, edges, entries), (size, edges, [*entries, b"x"]), (size, [*edges, bytes(32)], entries)):
        with pytest.raises(ValueError, match="are not those"):
            Tiling.resumed(*wrong)


def test_a_bundle_is_read_as_it_was_written() -> None:
    """Entries of no bytes and of the most; a cut one is refused."""
    entries = [b"", b"x", bytes(65_535)]
    assert bundle([b"", b"ab"]) == b"\0\0\0\2ab"
    assert unbundle(bundle(entries)) == entries
    for cut in (b"\0", b"\0\2a", b"\0\1a\0"):
        with pytest.raises(ValueError, match="cut"):
            unbundle(cut)
