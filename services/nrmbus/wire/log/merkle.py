"""Merkle tree of RFC 9162 section 2.1, equal to that of RFC 6962: hashes, roots, proofs and their verification.

Nothing here keeps a tree. A *reader* gives the hash of the perfect subtree of 2^level leaves at ``index`` (leaves
``index * 2^level`` and on), from wherever it is stored; a `Frontier` is all that appending needs.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final, Self

from nrmbus.wire.errors import ProofError

HASH_BYTES: Final = 32

EMPTY: Final = sha256(b"").digest()
"""The root of the tree without leaves."""

Reader = Callable[[int, int], bytes]
"""``reader(level, index)`` is the hash, 32 bytes, of a perfect subtree that lies inside the tree."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 ‖ leaf)."""
    return sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node: SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\1" + left + right).digest()


def perfect(hashes: Sequence[bytes]) -> bytes:
    """Return the hash of the perfect subtree over *hashes*, a power of two in number."""
    while len(hashes) > 1:
        hashes = [node_hash(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


def _folded(hashes: Iterable[bytes]) -> bytes:
    """Return the root over subtrees, given from right to left; the smaller ones are joined first."""
    root = b""
    for left in hashes:
        root = node_hash(left, root) if root else left
    return root or EMPTY


class Frontier:
    """The right edge of a growing tree: the roots of its perfect subtrees, the largest first; never more than 64."""

    __slots__ = ("_edge", "size")

    def __init__(self) -> None:
        """Begin with the tree without leaves."""
        self.size = 0
        self._edge: list[bytes] = []

    @classmethod
    def read(cls, size: int, read: Reader) -> Self:
        """Return the edge of the tree of the first *size* leaves, read by *read*."""
        frontier = cls()
        frontier.size = size
        frontier._edge = [read(level, index) for level, index in _perfect_within(0, size)]
        return frontier

    def append(self, leaf: bytes) -> list[bytes]:
        """Add the hash of the next leaf; return the hash of each completed subtree by level, with the leaf at level 0."""
        completed = [leaf]
        place = self.size
        while place & 1:
            leaf = node_hash(self._edge.pop(), leaf)
            completed.append(leaf)
            place >>= 1
        self._edge.append(leaf)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """Return the root of the present tree."""
        return _folded(reversed(self._edge))


def _perfect_within(start: int, stop: int) -> list[tuple[int, int]]:
    """Return level and index of the perfect subtrees that cover the leaves from *start* to *stop*, from left to right.

    *start* is a multiple of the largest power of two below the number of leaves, as in every split of RFC 9162.
    """
    found = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        found.append((level, start >> level))
        start += 1 << level
    return found


def _subtree(start: int, stop: int, read: Reader) -> bytes:
    return _folded(read(level, index) for level, index in reversed(_perfect_within(start, stop)))


def _split(size: int) -> int:
    """Return the largest power of two below *size*."""
    return 1 << (size - 1).bit_length() - 1


def root(size: int, read: Reader) -> bytes:
    """Return the root of the tree of the first *size* leaves (RFC 9162 section 2.1.1)."""
    return _subtree(0, size, read)


def inclusion_proof(index: int, size: int, read: Reader) -> list[bytes]:
    """Return the proof from the leaf *index*, counted from 0, to the root of size *size* (RFC 9162 section 2.1.3.1).

    Raises ``index_outside_tree``.
    """
    if not 0 <= index < size:
        raise ProofError("index_outside_tree")
    proof = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            proof.append(_subtree(middle, stop, read))
            stop = middle
        else:
            proof.append(_subtree(start, middle, read))
            start = middle
    return proof[::-1]


def consistency_proof(old: int, new: int, read: Reader) -> list[bytes]:
    """Return the proof that the tree of size *new* begins with the tree of size *old* (RFC 9162 section 2.1.4.1).

    The proof is empty for equal sizes, and for *old* 0, the beginning of every tree. Raises ``tree_shrank``.
    """
    if not 0 <= old <= new:
        raise ProofError("tree_shrank")
    if old in {0, new}:
        return []
    proof = []
    start, stop = 0, new
    while stop != old:
        middle = start + _split(stop - start)
        if old <= middle:
            proof.append(_subtree(middle, stop, read))
            stop = middle
        else:
            proof.append(_subtree(start, middle, read))
            start = middle
    if start:  # at 0 the subtree is the older root itself, which the verifier has
        proof.append(_subtree(start, stop, read))
    return proof[::-1]


def _are_hashes(hashes: Iterable[bytes]) -> bool:
    return all(len(each) == HASH_BYTES for each in hashes)


def levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Return the nodes of the tree over the hashes of *leaves*, at least one: the leaves first, the root alone last.

    A node without a neighbour stands in the level above as it is, which gives the splits of RFC 9162.
    """
    found = [list(leaves)]
    while len(below := found[-1]) > 1:
        above = [node_hash(left, right) for left, right in zip(below[::2], below[1::2], strict=False)]
        found.append([*above, below[-1]] if len(below) & 1 else above)
    return found


def path(index: int, within: Sequence[Sequence[bytes]]) -> list[bytes]:
    """Return the proof from the leaf *index* to the root of a tree whose `levels` are *within*, as `inclusion_proof`."""
    proof = []
    for level in within:
        if index ^ 1 < len(level):
            proof.append(level[index ^ 1])
        index >>= 1
    return proof


def path_length(index: int, size: int) -> int:
    """Return how many hashes lead from the leaf *index* to the root of the tree of *size* leaves."""
    length, last = 0, size - 1
    while last:
        length += index & 1 or index < last
        index, last = index >> 1, last >> 1
    return length


def root_by_path(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes | None:
    """Return the root to which *proof* leads from the leaf *index*, 0 <= *index* < *size*, with hash *leaf*.

    RFC 9162 section 2.1.3.2, letter by letter; None for a proof of another length, or of hashes of another length.
    """
    place, last, reached = index, size - 1, leaf
    sound = _are_hashes([leaf, *proof])
    for each in proof:
        if last == 0:
            sound = False
            break
        if place & 1 or place == last:
            reached = node_hash(each, reached)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            reached = node_hash(reached, each)
        place, last = place >> 1, last >> 1
    return reached if sound and last == 0 else None


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], expected: bytes) -> None:
    """Return if the leaf with hash *leaf* is the leaf *index* of the tree of *size* leaves with root *expected*.

    As `root_by_path`. Raises ``index_outside_tree`` or ``inclusion_invalid``.
    """
    if not 0 <= index < size:
        raise ProofError("index_outside_tree")
    if root_by_path(index, size, leaf, proof) != expected:
        raise ProofError("inclusion_invalid")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return if the tree of size *new* with root *new_root* begins with that of size *old* with root *old_root*.

    RFC 9162 section 2.1.4.2, letter by letter, and for size 0 and for equal sizes C2SP tlog-witness v1.0.0: the proof
    is empty. Raises ``tree_shrank``, ``root_differs`` (two roots for one size), or ``consistency_invalid``.
    """
    if not 0 <= old <= new:
        raise ProofError("tree_shrank")
    if old == new and old_root != new_root:
        raise ProofError("root_differs")
    if old in {0, new}:
        sound = not proof and (old > 0 or old_root == EMPTY)
    else:
        sound = bool(proof) and _are_hashes(proof) and _leads_to_both(old, new, old_root, new_root, proof)
    if not sound:
        raise ProofError("consistency_invalid")


def _leads_to_both(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Steps 2 to 7 of RFC 9162 section 2.1.4.2, for 0 < *old* < *new*."""
    first, *rest = [old_root, *proof] if old & (old - 1) == 0 else proof
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    older = newer = first
    for each in rest:
        if last == 0:
            return False
        if place & 1 or place == last:
            older, newer = node_hash(each, older), node_hash(each, newer)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            newer = node_hash(newer, each)
        place, last = place >> 1, last >> 1
    return last == 0 and older == old_root and newer == new_root
