"""A log of ours read, and one written, by somebody else's code: Go's ``sumdb/tlog`` and ``sumdb/note``, and transparency-dev's.

Where Go and the modules are installed they are asked afresh; everywhere else, what they answered when it was frozen.
"""

import hashlib
import json as plain
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from auditor.given import KEY, LASTING, ORIGIN, TIME
from nrmbus.auditor.log import tiles
from nrmbus.auditor.log.tree import StoredTree
from nrmbus.published import vectors
from nrmbus.wire import base64
from nrmbus.wire.errors import ProofError
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import Checkpoint, Policy, witness_name
from nrmbus.wire.log.cosignature import Cosigner, verifier
from nrmbus.wire.log.mldsa import MLDSA44SigningKey
from nrmbus.wire.log.note import Note, Verifier, key_id_of, vkey

pytestmark = pytest.mark.oracle

HERE = Path(__file__).parent / "oracle_go"
FROZEN: dict[str, Any] = plain.loads((HERE / "answers.json").read_text(encoding="utf-8"))
LEAVES = 70_000
"""As in the example of tlog-tiles: three levels, full and partial."""

NAME = witness_name("0011223344556677", "ngo-a")
WITNESS = Cosigner(NAME, SigningKey(vectors.seed(NAME)))
WITNESS_LASTING = Cosigner(NAME, MLDSA44SigningKey(vectors.seed("lasting")))
SIGNERS = [
    {"name": ORIGIN, "kind": 1, "seed": base64.encode(vectors.seed("log"))},
    {"name": ORIGIN, "kind": 6, "seed": base64.encode(vectors.seed("log lasting"))},
    {"name": NAME, "kind": 4, "seed": base64.encode(vectors.seed(NAME))},
    {"name": NAME, "kind": 6, "seed": base64.encode(vectors.seed("lasting"))},
]
VERIFIERS: tuple[Verifier, ...] = (KEY.verifier, LASTING.verifier, WITNESS.verifier, WITNESS_LASTING.verifier)
POLICY = Policy(VERIFIERS[:2], VERIFIERS[2:], 1)

Ask = Callable[[dict[str, Any]], dict[str, Any]]


def answered(request: dict[str, Any]) -> dict[str, Any]:
    """Return Go's frozen answer to this request."""
    assert request == FROZEN["request"]
    answer: dict[str, Any] = FROZEN["answer"]
    return answer


@pytest.fixture(scope="module", name="ask")
def _ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Ask the Go program, built from its source; without Go or its modules, return the frozen answer."""
    go, program = shutil.which("go"), tmp_path_factory.mktemp("oracle") / "oracle"
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOPROXY": "off", "GOFLAGS": "-mod=readonly"}
    build = partial(subprocess.run, check=False, capture_output=True, cwd=HERE, env=environment)
    if go is None or build([go, "list", "-deps", "."]).returncode:
        return answered
    assert build([go, "build", "-o", str(program), "."]).returncode == 0

    def ask(request: dict[str, Any]) -> dict[str, Any]:
        done = subprocess.run([str(program)], input=plain.dumps(request), capture_output=True, text=True, check=True)
        answer: dict[str, Any] = plain.loads(done.stdout)
        return answer

    return ask


@pytest.fixture(scope="module", name="tree")
def _tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredTree]:
    """Our log of the same leaves, on disk."""
    tree = StoredTree(tmp_path_factory.mktemp("tree"), ORIGIN)
    for index in range(LEAVES):
        tree.append(b"leaf %d" % index)
    tree.commit()
    yield tree
    tree.close()


def listed(hashes: list[bytes]) -> list[str]:
    """Hashes as they travel."""
    return [base64.encode(each) for each in hashes]


def proofs(tree: StoredTree) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Proofs of ours at places that are drawn once for all, each also altered in one way."""
    draw = random.Random(1)
    inclusion: list[dict[str, Any]] = []
    consistency: list[dict[str, Any]] = []
    sizes = [1, 2, 256, 257, 65_536, 65_537, LEAVES, *[draw.randrange(3, LEAVES) for _ in range(9)]]
    for size in sizes:
        index, old = draw.randrange(size), draw.randrange(1, size + 1)
        shown: dict[str, Any] = {
            "index": index,
            "size": size,
            "leaf": base64.encode(tree.leaf_hash(index)),
            "root": base64.encode(tree.root(size)),
            "proof": listed(merkle.inclusion_proof(index, size, tree.node)),
        }
        grown: dict[str, Any] = {
            "old": old,
            "new": size,
            "old_root": base64.encode(tree.root(old)),
            "new_root": base64.encode(tree.root(size)),
            "proof": listed(merkle.consistency_proof(old, size, tree.node)),
        }
        kinds = [(shown, inclusion, "index"), (grown, consistency, "new")]
        for said, into, place in kinds:
            longer = [*said["proof"], shown["root"]]
            other = {**said, place: said[place] + 1} if draw.random() < 0.5 else {**said, "proof": longer}
            shorter = {**said, "proof": said["proof"][:-1]}
            swapped = {**said, "proof": [shown["leaf"], *said["proof"][1:]]}
            into += [said, draw.choice([other, shorter, swapped])]
    return inclusion, consistency


def request_of(tree: StoredTree, *lasting: bytes) -> dict[str, Any]:
    """Return the request to Go: our checkpoint with the *lasting* signatures, alterations of it, and our proofs."""
    text = tree.head.text
    made = [each.cosign(text, TIME) for each in (LASTING, WITNESS_LASTING)]
    if lasting:
        made = [type(each)(each.name, each.key_id, value) for each, value in zip(made, lasting, strict=True)]
    note = Note(text, (KEY.sign(text), made[0], WITNESS.cosign(text, TIME), made[1])).bytes().decode()
    inclusion, consistency = proofs(tree)
    cosignature = WITNESS.cosign(text, TIME).line().decode()
    return {
        "leaves": LEAVES,
        "origin": ORIGIN,
        "signers": SIGNERS,
        "note": note,
        "altered": [
            note.replace(f"\n{LEAVES}\n", f"\n{LEAVES + 1}\n"),
            note.replace("/p2\n", "/p3\n", 1),
            note.replace("\n\n", "\n"),
            note.removesuffix("\n"),
            note.replace(cosignature, WITNESS.cosign(Checkpoint(ORIGIN, 5, bytes(32)).text, TIME).line().decode()),
            note.replace(KEY.sign(text).line().decode(), ""),
            note.replace("— ", "- ", 1),
        ],
        "inclusion": inclusion,
        "consistency": consistency,
    }


@pytest.fixture(scope="module", name="asked")
def _asked(ask: Ask, tree: StoredTree) -> tuple[dict[str, Any], dict[str, Any]]:
    """The request, and what was answered: with lasting signatures made now, where Go can judge them."""
    frozen = Note.parse(FROZEN["request"]["note"].encode()).signatures
    request = request_of(tree, frozen[1].value, frozen[3].value) if ask is answered else request_of(tree)
    return request, ask(request)


def test_go_makes_the_same_tree_and_the_same_files(
    tree: StoredTree, asked: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    """Root, every hash tile and every entry bundle, byte for byte."""
    _, answer = asked
    found = [*tiles.full_tiles(LEAVES), *tiles.partial_tiles(LEAVES)]
    folder = tree._files.folder
    lines = sorted(f"{tile.path} {hashlib.sha256((folder / tile.path).read_bytes()).hexdigest()}\n" for tile in found)

    assert answer["root"] == base64.encode(tree.head.root)
    assert answer["tiles"] == len(lines) == 551
    assert answer["digest"] == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_go_makes_the_same_proofs_and_judges_them_alike(asked: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Proofs as tlog makes them; sound and altered ones taken or refused by tlog, by merkle and by us, all the same.

    A wrong size next to the right one may pass all three: the root alone does not say it, the signed checkpoint does.
    """
    request, answer = asked
    verdicts: list[bool] = []
    for said, (made, taken) in zip(request["inclusion"], answer["inclusion"], strict=True):
        proof = [base64.decode(each, "unreadable") for each in said["proof"]]
        leaf, root = (base64.decode(said[each], "unreadable") for each in ("leaf", "root"))
        ours = holds(merkle.verify_inclusion, said["index"], said["size"], leaf, proof, root)
        assert taken == [ours, ours]
        assert len(verdicts) % 2 or hashes_of(made) == proof
        verdicts.append(ours)
    for said, (made, taken) in zip(request["consistency"], answer["consistency"], strict=True):
        proof = [base64.decode(each, "unreadable") for each in said["proof"]]
        roots = [base64.decode(said[each], "unreadable") for each in ("old_root", "new_root")]
        ours = holds(merkle.verify_consistency, said["old"], said["new"], *roots, proof)
        assert taken == [ours, ours]
        assert len(verdicts) % 2 or hashes_of(made) == proof
        verdicts.append(ours)

    assert all(verdicts[::2])
    assert verdicts.count(False) > 20


def hashes_of(made: list[str] | None) -> list[bytes]:
    """A proof as tlog writes it."""
    return [base64.decode(each, "unreadable") for each in made or []]


def holds(verify: Callable[..., None], *given: Any) -> bool:
    """Return whether our code accepts a proof."""
    try:
        verify(*given)
    except ProofError:
        return False
    return True


def test_go_believes_our_checkpoint(tree: StoredTree, asked: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Signed by both keys of the log, co-signed by both of a witness, with its time; and no altered one."""
    request, answer = asked
    assert answer["vkeys"] == [vkey(each) for each in VERIFIERS]
    assert [vkey(verifier(each)) for each in answer["vkeys"]] == answer["vkeys"]
    assert answer["checkpoint"] == [ORIGIN, LEAVES, base64.encode(tree.head.root)]
    assert answer["signatures"] == [
        {"name": each.name, "id": key_id_of(each).hex(), "time": time}
        for each, time in zip(VERIFIERS, (0, TIME, TIME, TIME), strict=True)
    ]
    assert answer["refused"] == [True] * len(request["altered"])
    for altered in request["altered"]:
        with pytest.raises(ProofError):
            POLICY.believe(altered.encode())
    assert POLICY.believe(request["note"].encode()).witnesses == {NAME: TIME}


def test_we_believe_a_checkpoint_of_go(tree: StoredTree, asked: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Go's signatures and co-signatures, with each kind of key, are of the same tree."""
    signed = asked[1]["signed"].encode()
    believed = POLICY.believe(signed)

    assert believed.checkpoint == tree.head
    assert list(believed.witnesses) == [NAME]
    assert believed.witnesses[NAME] > TIME
    assert {each.kind for each, _ in Note.parse(signed).verified(VERIFIERS)} == {1, 4, 6}
    assert Note.parse(signed).bytes() == signed


def test_the_frozen_answers_are_those_of_this_code(tree: StoredTree) -> None:
    """The frozen answers are about this code, also on a machine with Go."""
    frozen = Note.parse(FROZEN["request"]["note"].encode()).signatures

    assert request_of(tree, frozen[1].value, frozen[3].value) == FROZEN["request"]
