"""The Merkle tree: proofs exist for leaves in the tree, and for growth, and for nothing else.

The vectors are those of Certificate Transparency's own tests (RFC 6962; github.com/transparency-dev/merkle v0.0.2,
``testonly/constants.go`` and ``proof/verify_test.go``, Apache-2.0).
"""

from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrmbus.wire.errors import PROOF_SENTENCES, ProofError
from nrmbus.wire.log import merkle
from nrmbus.wire.log.merkle import Frontier, verify_consistency, verify_inclusion

LARGEST = 70
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A, B = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"  # fmt: skip
AB, CD = ROOTS[2], "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
E, F = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b", "4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658"  # fmt: skip
EF, GH = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a", "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"  # fmt: skip
G = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
ABCD, EFGH = ROOTS[4], "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
INCLUSION = [(0, 1, []), (0, 8, [B, CD, EFGH]), (5, 8, [E, GH, ABCD]), (2, 3, [AB]), (1, 5, [A, CD, E])]
CONSISTENCY = [(1, 1, []), (1, 8, [B, CD, EFGH]), (6, 8, [EF, GH, ABCD]), (2, 5, [CD, E]), (6, 7, [EF, G, ABCD])]
SOME = bytes.fromhex("abacaba000000000000000000000000000000000000000000060061e00123456")


@cache
def leaf(index: int) -> bytes:
    """The hash of the leaf *index*: the first eight are those of the vectors."""
    return merkle.leaf_hash(bytes.fromhex(LEAVES[index]) if index < len(LEAVES) else b"leaf %d" % index)


@cache
def node(level: int, index: int) -> bytes:
    """The hash of a perfect subtree."""
    if level == 0:
        return leaf(index)
    return merkle.node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))


def by_definition(hashes: Sequence[bytes]) -> bytes:
    """Return the root by the definition in RFC 9162 section 2.1.1."""
    if len(hashes) == 1:
        return hashes[0]
    middle = next(2**power for power in range(64) if 2**power < len(hashes) <= 2 ** (power + 1))
    return sha256(b"\1" + by_definition(hashes[:middle]) + by_definition(hashes[middle:])).digest()


@cache
def root(size: int) -> bytes:
    """The root of the first *size* leaves, by the definition."""
    return by_definition([leaf(index) for index in range(size)]) if size else sha256(b"").digest()


def refused(codes: str, attempt: Callable[..., object], *given: object) -> None:
    """Call what must be refused with one of *codes*."""
    with pytest.raises(ProofError) as caught:
        attempt(*given)
    assert caught.value.code in codes.split()
    assert caught.value.sentence == PROOF_SENTENCES[caught.value.code]


def test_roots_are_those_of_certificate_transparency() -> None:
    """Sizes 0 to 8, appended and read; and by the definition up to 70."""
    frontier = Frontier()
    for size in range(LARGEST + 1):
        assert merkle.root(size, node) == root(size) == frontier.root() == Frontier.read(size, node).root()
        if size < len(ROOTS):
            assert root(size).hex() == ROOTS[size]
        assert frontier.append(leaf(size))[0] == leaf(size)


def test_appending_tells_every_subtree_that_it_completes() -> None:
    """A store of hashes needs no other source: each hash comes once, with its last leaf."""
    frontier, seen = Frontier(), {}
    for index in range(LARGEST):
        for level, completed in enumerate(frontier.append(leaf(index))):
            seen[level, index >> level] = completed

    assert seen == {(level, index): node(level, index) for level in range(7) for index in range(LARGEST >> level)}


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_inclusion_proofs_are_those_of_certificate_transparency(index: int, size: int, proof: list[str]) -> None:
    """Made and verified; and the ways in which its own tests alter them are all refused."""
    path = [bytes.fromhex(each) for each in proof]
    assert merkle.inclusion_proof(index, size, node) == path
    verify_inclusion(index, size, leaf(index), path, root(size))

    for wrong in (index - 1, index + 1, index ^ 2):
        refused("index_outside_tree inclusion_invalid", verify_inclusion, wrong, size, leaf(index), path, root(size))
    for wrong in (size * 2, size // 2):
        refused("index_outside_tree inclusion_invalid", verify_inclusion, index, wrong, leaf(index), path, root(size))
    for expected in (root(0), SOME, b""):
        refused("inclusion_invalid", verify_inclusion, index, size, leaf(index), path, expected)
    refused("inclusion_invalid", verify_inclusion, index, size, b"WrongLeaf", path, root(size))
    for altered in ([*path, b""], [*path, root(size)], [b"", *path], [root(size), *path], *(
        [path[:-1], [*path[1:], path[0], SOME]] if path else []
    )):  # fmt: skip
        refused("inclusion_invalid", verify_inclusion, index, size, leaf(index), altered, root(size))


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_consistency_proofs_are_those_of_certificate_transparency(old: int, new: int, proof: list[str]) -> None:
    """Made and verified; and the ways in which its own tests alter them are all refused."""
    path = [bytes.fromhex(each) for each in proof]
    assert merkle.consistency_proof(old, new, node) == path
    verify_consistency(old, new, root(old), root(new), path)

    refused("tree_shrank", verify_consistency, new + 1, new, root(old), root(new), path)
    refused("root_differs consistency_invalid", verify_consistency, old, new, b"WrongRoot", root(new), path)
    refused("root_differs consistency_invalid", verify_consistency, old, new, root(old), b"WrongRoot", path)
    refused("consistency_invalid", verify_consistency, old, new, root(old), root(new), [*path, root(old)])
    refused("consistency_invalid", verify_consistency, old, new, root(old), root(new), [b"", *path])
    if path:
        for one, two in ((old - 1, new), (old + 1, new), (old ^ 2, new), (old, new * 2), (old, new // 2)):
            refused(
                "tree_shrank root_differs consistency_invalid", verify_consistency, one, two, root(old), root(new), path
            )
        for altered in ([], [*path, b""], [*path, root(new)], [root(old), *path], [path[0], *path], path[:-1]):
            refused("consistency_invalid", verify_consistency, old, new, root(old), root(new), altered)
        refused("consistency_invalid", verify_consistency, old, new, root(new), root(old), path)


def test_every_leaf_of_every_tree_is_shown_to_be_in_it() -> None:
    """All leaves of all trees up to 70; and no other leaf's hash passes in its place."""
    for size in range(1, LARGEST + 1):
        for index in range(size):
            path = merkle.inclusion_proof(index, size, node)
            assert len(path) <= (size - 1).bit_length()
            verify_inclusion(index, size, leaf(index), path, root(size))
            refused("inclusion_invalid", verify_inclusion, index, size, leaf(size), path, root(size))


def test_every_tree_is_shown_to_begin_with_every_smaller_one() -> None:
    """All pairs up to 70, nothing among them; and none begins with a fork of it."""
    for new in range(LARGEST + 1):
        for old in range(new + 1):
            path = merkle.consistency_proof(old, new, node)
            verify_consistency(old, new, root(old), root(new), path)
            refused("root_differs consistency_invalid", verify_consistency, old, new, SOME, root(new), path)
            if old:
                refused("root_differs consistency_invalid", verify_consistency, old, new, root(old), SOME, path)


def flipped(raw: bytes, bit: int) -> bytes:
    """*raw* with one bit altered."""
    at = bit % (len(raw) * 8)
    return raw[: at // 8] + bytes([raw[at // 8] ^ 1 << at % 8]) + raw[at // 8 + 1 :]


@given(st.data())
def test_no_bit_of_an_inclusion_proof_can_be_altered(data: st.DataObject) -> None:
    """Not of a hash on the way, of the leaf or of the root."""
    size = data.draw(st.integers(1, LARGEST))
    index = data.draw(st.integers(0, size - 1))
    said = [leaf(index), root(size), *merkle.inclusion_proof(index, size, node)]
    at = data.draw(st.integers(0, len(said) - 1))
    said[at] = flipped(said[at], data.draw(st.integers(0, 255)))

    refused("inclusion_invalid", verify_inclusion, index, size, said[0], said[2:], said[1])


@given(st.data())
def test_no_bit_of_a_consistency_proof_can_be_altered(data: st.DataObject) -> None:
    """Not of a hash on the way, nor of either root."""
    new = data.draw(st.integers(1, LARGEST))
    old = data.draw(st.integers(1, new))
    said = [root(old), root(new), *merkle.consistency_proof(old, new, node)]
    at = data.draw(st.integers(0, len(said) - 1))
    said[at] = flipped(said[at], data.draw(st.integers(0, 255)))

    refused("root_differs consistency_invalid", verify_consistency, old, new, said[0], said[1], said[2:])


def test_no_proof_is_made_of_what_is_not_in_the_tree() -> None:
    """A leaf past the end, a tree that shrank, a size below nothing."""
    for index, size in ((3, 3), (0, 0), (-1, 3)):
        refused("index_outside_tree", merkle.inclusion_proof, index, size, node)
        refused("index_outside_tree", verify_inclusion, index, size, SOME, [], SOME)
    for old, new in ((4, 3), (-1, 3)):
        refused("tree_shrank", merkle.consistency_proof, old, new, node)
        refused("tree_shrank", verify_consistency, old, new, SOME, SOME, [])


def test_a_fork_a_cut_and_a_wrong_beginning_have_each_their_name() -> None:
    """A verifier names the kind of fault; and the empty tree has one root only."""
    refused("root_differs", verify_consistency, 5, 5, root(5), SOME, [])
    refused("tree_shrank", verify_consistency, 5, 4, root(5), root(4), [])
    refused("consistency_invalid", verify_consistency, 4, 5, SOME, root(5), merkle.consistency_proof(4, 5, node))
    refused("consistency_invalid", verify_consistency, 0, 5, SOME, root(5), [])
    refused("consistency_invalid", verify_consistency, 0, 5, root(0), root(5), [SOME])
