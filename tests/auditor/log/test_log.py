"""Log of a partition: registrations in order or a named stop, and no contradiction of a signed checkpoint."""

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from auditor.given import (
    BUS,
    FIRST,
    KEY,
    LASTING,
    ORIGIN,
    PARTITION,
    TIME,
    Disk,
    Home,
    Killed,
    altered,
    fed,
    history,
    refused,
)
from nrmbus.auditor.log import tiles
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.wire.errors import ProofError
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import Checkpoint, Policy
from nrmbus.wire.log.merkle import verify_consistency, verify_inclusion
from nrmbus.wire.log.note import Note

REGISTRATIONS = history(600)
FORKED = history(600, forked_at=301)
POLICY = Policy((KEY.verifier, LASTING.verifier), (), 0)


def log_root(size: int) -> bytes:
    """The root of the first registrations."""
    frontier = merkle.Frontier()
    for registration in REGISTRATIONS[:size]:
        frontier.append(registration.leaf())
    return frontier.root()


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_registration_out_of_turn_stops_the_log_and_is_named(home: Home) -> None:
    """A gap, a duplicate, a rewritten number, a broken chain, another partition, another bus; and nothing has changed."""
    with home.log() as log:
        fed(log, REGISTRATIONS[:5])
        following = REGISTRATIONS[5]
        for code, registration in [
            ("gap", REGISTRATIONS[6]),
            ("duplicate", REGISTRATIONS[4]),
            ("duplicate", REGISTRATIONS[0]),
            ("out_of_turn", altered(REGISTRATIONS[2], source="ngo-b")),
            ("chain_broken", altered(following, previous="f" * 64)),
            ("chain_broken", altered(following, previous=REGISTRATIONS[3].digest)),
            ("foreign", altered(following, partition=PARTITION + 1)),
            ("foreign", altered(following, bus=f"play-{BUS}")),
        ]:
            error = refused(code, log.append, registration)
            assert (error.number, error.origin) == (registration.number, ORIGIN)
            assert str(registration.number) in str(error)
            assert log.size == 5
        log.append(following)
        assert log.size == 6


def test_the_first_registration_has_nothing_before_it(home: Home) -> None:
    """Number 1, with the digest of nothing."""
    with home.log() as log:
        refused("chain_broken", log.append, altered(FIRST, previous="f" * 64))
        refused("gap", log.append, REGISTRATIONS[1])
        log.append(FIRST)


def test_a_restarted_log_knows_the_chain(home: Home) -> None:
    """The last leaf may be in a full bundle or in a partial one."""
    for size in (256, 300):
        with home.log() as log:
            fed(log, REGISTRATIONS[:size])
        with home.log() as log:
            refused("chain_broken", log.append, altered(REGISTRATIONS[size], previous="f" * 64))
            log.append(REGISTRATIONS[size])


def test_every_registration_is_shown_to_be_in_the_log(home: Home) -> None:
    """By number, in the tree as it is and as it was; and the tree to have only grown."""
    with home.log() as log:
        fed(log, REGISTRATIONS)
        leaves = [each.leaf() for each in REGISTRATIONS]
        roots = {size: log_root(size) for size in (1, 255, 256, 257, 511, 600)}
        for size, root in roots.items():
            for number in {1, 2, size // 2 + 1, size}:
                if number <= size:
                    verify_inclusion(number - 1, size, leaves[number - 1], log.inclusion_proof(number, size), root)
            for old, old_root in roots.items():
                if old <= size:
                    verify_consistency(old, size, old_root, root, log.consistency_proof(old, size))
        assert log.head.root == roots[600]
        assert log.registration(257) == REGISTRATIONS[256].json()
        for prove in (log.inclusion_proof, log.consistency_proof):
            with pytest.raises(IndexError):
                prove(1, 601)
        for number in (0, 601):
            with pytest.raises(IndexError):
                log.registration(number)
        with pytest.raises(ProofError):
            log.inclusion_proof(601, 600)


def test_a_signed_checkpoint_is_believed(home: Home) -> None:
    """The checkpoint has both signatures and is at its C2SP path, with the partial tiles of its size."""
    with home.log() as log:
        fed(log, REGISTRATIONS[:300])
        note = log.sign(KEY, LASTING, TIME)
        fed(log, REGISTRATIONS[:500])
        files = home.files()
        assert files["checkpoint"] == note
        assert {tile.path for tile in (*tiles.partial_tiles(300), *tiles.partial_tiles(500))} <= set(files)
        fed(log, REGISTRATIONS)
        assert "tile/0/001" in home.files()
        assert "tile/0/001.p/44" not in home.files()

    assert POLICY.believe(note).checkpoint == Checkpoint(ORIGIN, 300, log_root(300))
    assert home.heads.last(ORIGIN) == note


def test_a_log_signs_again_and_again(home: Home) -> None:
    """Nothing, the same, more; each is kept as the last."""
    with home.log() as log:
        assert POLICY.believe(log.sign(KEY, LASTING, TIME)).checkpoint.size == 0
        fed(log, REGISTRATIONS[:3])
        first = log.sign(KEY, LASTING, TIME)
        assert Note.parse(log.sign(KEY, LASTING, TIME + 3600)).text == Note.parse(first).text
        log.append(REGISTRATIONS[3])
        assert POLICY.believe(log.sign(KEY, LASTING, TIME)).checkpoint.size == 4


def test_two_instances_never_sign_two_histories(home: Home) -> None:
    """Each with a folder of its own: the second, which was told another history, is refused at the first's checkpoint."""
    with home.log("one") as one, home.log("two") as two:
        fed(one, REGISTRATIONS[:400])
        fed(two, FORKED[:400])
        signed = one.sign(KEY, LASTING, TIME)

        assert refused("split_view", two.sign, KEY, LASTING, TIME).number == 400
        fed(two, FORKED)
        refused("split_view", two.sign, KEY, LASTING, TIME)
        assert home.heads.last(ORIGIN) == signed
        fed(one, REGISTRATIONS)
        one.sign(KEY, LASTING, TIME)


def test_a_history_without_its_tail_is_not_signed(home: Home) -> None:
    """A log behind its signed checkpoint signs nothing until it has caught up."""
    with home.log("one") as one:
        fed(one, REGISTRATIONS[:400])
        one.sign(KEY, LASTING, TIME)
    with home.log("two") as two:
        fed(two, REGISTRATIONS[:399])
        caught_up = [two.has_caught_up]
        assert refused("tail_cut", two.sign, KEY, LASTING, TIME).number == 400
        assert refused("tail_cut", two.check).number == 400
        fed(two, REGISTRATIONS[:400])
        caught_up.append(two.has_caught_up)
        two.check()
        two.sign(KEY, LASTING, TIME)
    assert caught_up == [False, True]


def test_a_history_that_was_rewritten_is_seen_when_it_is_read_again(home: Home) -> None:
    """With a deleted folder and a rewritten topic, the log stops where the signed tree ends and commits nothing."""
    with home.log() as log:
        fed(log, REGISTRATIONS[:400])
        log.sign(KEY, LASTING, TIME)
    shutil.rmtree(home.folder / "log")
    with home.log() as log:
        assert refused("split_view", fed, log, FORKED).number == 400
        assert log.head.size == 300
    with home.log() as log:
        assert log.size == 300
        refused("split_view", fed, log, FORKED)


def test_a_folder_that_was_replaced_is_seen_when_it_is_opened(home: Home, tmp_path: Path) -> None:
    """By another tree, sound in itself, of the same size."""
    other = Home(tmp_path)
    other.heads = SignedHeads(tmp_path / "other.db")
    with other.log("forged") as log:
        fed(log, FORKED)
    with home.log() as log:
        fed(log, REGISTRATIONS)
        log.sign(KEY, LASTING, TIME)
    shutil.rmtree(home.folder / "log")
    shutil.move(other.folder / "forged", home.folder / "log")

    error = refused("split_view", lambda: home.log().__enter__())
    assert error.number == 600


@pytest.mark.thorough
@pytest.mark.parametrize("power", [False, True], ids=["killed", "power fails"])
def test_no_moment_of_signing_lets_a_second_history_be_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, power: bool
) -> None:
    """Cut off after each step: whatever came back was on record, and the checkpoint on disk is the one on record."""
    lasted = set()
    for steps in range(1000):
        (tmp_path / str(steps)).mkdir()
        home, disk, returned = Home(tmp_path / str(steps)), Disk(left=steps), None
        with home.log() as log, monkeypatch.context() as patch:
            fed(log, REGISTRATIONS[:300])
            for registration in REGISTRATIONS[300:310]:
                log.append(registration)
            disk.install(patch)
            try:
                returned = log.sign(KEY, LASTING, TIME)
            except Killed:
                returned = None
        if power:
            disk.fail()
        last = home.heads.last(ORIGIN)
        lasted.add(last is not None)
        assert returned in {None, last}
        with home.log() as log:
            assert log.set_aside is None
            assert log.size in ({300, 310} if last is None else {310})
            assert home.files().get("checkpoint") == last
        with home.log("other") as other:
            if last is None:
                fed(other, FORKED[:310])
                other.sign(KEY, LASTING, TIME)
            else:
                refused("split_view", fed, other, FORKED[:310])
        if returned is not None:
            break
    assert lasted == {False, True}


def test_one_turn_at_a_time(tmp_path: Path) -> None:
    """Only one at a time reads the last signed note and signs after it; after an error nothing has changed."""
    heads = SignedHeads(tmp_path / "heads.db")
    order: list[str] = []

    def second() -> None:
        with SignedHeads(tmp_path / "heads.db").turn("x") as turn:
            order.append(f"second after {turn.last!r}")

    with heads.turn("x") as turn:
        other = threading.Thread(target=second)
        other.start()
        other.join(0.3)
        order.append("first")
        turn.signed = b"1"
    other.join(30)
    assert order == ["first", "second after b'1'"]

    def fails() -> None:
        with heads.turn("x") as turn:
            turn.signed = b"2"
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert (heads.last("x"), heads.last("y")) == (b"1", None)
    with sqlite3.connect(tmp_path / "heads.db") as connection:
        assert connection.execute("SELECT count(*) FROM signed").fetchone() == (1,)
    connection.close()
