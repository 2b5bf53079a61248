"""Private keys at rest: what lies on disk opens for nobody without the passphrase, and no secret shows itself."""

import base64
import errno
import fcntl
import io
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings

from hostile import bounded, not_plain, spoilt
from nrmbus.bus.errors import KeysSealed
from nrmbus.directory import Identity, LogIdentity
from nrmbus.directory.operator import Admitter
from nrmbus.wire.keys import keyfile
from nrmbus.wire.keys.keyfile import KeyFileError, Passphrase
from nrmbus.wire.keys.keys import SealingKey, SigningKey
from nrmbus.wire.log.cosignature import Cosigner
from nrmbus.wire.log.mldsa import MLDSA44SigningKey
from nrmbus.wire.log.note import Ed25519Signer

SEED = bytes(range(32))
WORDS = b"wrong horse, right stable"
OURS = Passphrase(WORDS)
"""Passphrase of most tests; it opens its own files without another run of scrypt."""
CHEAP = OURS.seal(SEED)


@pytest.fixture(autouse=True)
def _nothing_held(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test begins and ends without a passphrase, and with nobody to ask."""
    monkeypatch.delenv(keyfile.SETTING, raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    keyfile.hold(None)
    yield
    keyfile.hold(None)


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A private key that lies sealed under `WORDS`, while nothing is held any more."""
    path = tmp_path / "keys" / "signing.seed"
    keyfile.hold(OURS)
    keyfile.write(path, SEED)
    keyfile.hold(None)
    return path


def code_of(path: Path) -> str | None:
    """Why the key at *path* is not read."""
    try:
        keyfile.read(path)
    except KeyFileError as error:
        return error.code
    return None


class TestAFile:
    """One private key on disk."""

    def test_it_is_raw_where_nothing_protects_it(self, tmp_path: Path) -> None:
        """32 bytes for its owner only, as on every bus for playing."""
        keyfile.write(tmp_path / "a.seed", SEED)

        assert (tmp_path / "a.seed").read_bytes() == SEED == keyfile.read(tmp_path / "a.seed")
        assert (tmp_path / "a.seed").stat().st_mode & 0o777 == 0o600
        keyfile.write(tmp_path / "b" / "c" / "a.seed", SEED)
        assert [(tmp_path / each).stat().st_mode & 0o777 for each in ("b", "b/c")] == [0o700, 0o700]
        assert not keyfile.is_sealed(tmp_path / "a.seed")

    def test_the_authoritys_is_pem_and_is_sealed_like_the_others(self, tmp_path: Path) -> None:
        """Whatever a key is written as; and a seed that begins like JSON is a seed."""
        pem, odd = b"-----BEGIN PRIVATE KEY-----\nexample\n", b"{" + bytes(31)
        for content in (pem, odd):
            keyfile.write(tmp_path / "a", content)
            assert (keyfile.is_sealed(tmp_path / "a"), keyfile.read(tmp_path / "a")) == (False, content)
        keyfile.write(tmp_path / "a", pem)
        keyfile.hold(OURS)
        assert keyfile.protect(tmp_path / "a")
        assert keyfile.read(tmp_path / "a") == pem

    def test_sealed_it_opens_under_the_same_words_alone(self, sealed: Path) -> None:
        """The seed does not stand in it; the parameters of scrypt do."""
        content = sealed.read_bytes()
        assert SEED not in content
        assert WORDS not in content
        assert keyfile.is_sealed(sealed)
        assert {"kdf": "scrypt", "n": 32768, "r": 8, "p": 3, "aead": "aes-256-gcm"}.items() <= json.loads(
            content
        ).items()
        assert sealed.stat().st_mode & 0o777 == 0o600

        keyfile.hold(OURS)
        assert keyfile.read(sealed) == SEED
        keyfile.hold(Passphrase(WORDS + b"!"))
        assert code_of(sealed) == "key_passphrase_wrong"

    def test_without_a_passphrase_it_stays_shut(self, sealed: Path) -> None:
        """The sentence says what to give."""
        with pytest.raises(KeyFileError, match="NRMBUS_KEY_FILE=FILE") as caught:
            keyfile.read(sealed)
        assert caught.value.code == "key_locked"

    @pytest.mark.parametrize(
        "change",
        [
            {"n": 2**24}, {"n": 2**13}, {"n": 30000}, {"n": 0}, {"n": -(2**15)}, {"n": True}, {"n": "32768"},
            {"r": 99}, {"r": 0}, {"r": -8}, {"r": True}, {"p": 0}, {"p": -1}, {"p": True},
            {"n": 2**20}, {"n": 2**20, "r": 16, "p": 16}, {"n": 2**17, "r": 16}, {"n": 2**17, "p": 3}, {"p": 10}, {"p": 2**53 - 1},
            {"kdf": "none"}, {"kdf": "argon2id"}, {"aead": "none"}, {"more": 1}, {"salt": 1},
        ],
        ids=str,
    )  # fmt: skip
    def test_parameters_that_nobody_wrote_are_refused(self, sealed: Path, change: dict[str, object]) -> None:
        """Before anything is computed: a large n or r would fill the memory, a large p keep its owner for minutes."""
        sealed.write_text(json.dumps(json.loads(sealed.read_bytes()) | change))
        keyfile.hold(OURS)

        with bounded(0.1):
            assert code_of(sealed) == "key_malformed"

    @pytest.mark.thorough
    @pytest.mark.parametrize(("n", "r", "p"), [(2**17, 8, 1), (2**16, 8, 2), (2**15, 8, 3), (2**14, 8, 5)])
    def test_other_settings_that_are_held_equal_are_borne(self, sealed: Path, n: int, r: int, p: int) -> None:
        """Parameters of OWASP's page are computed in moments, and then found to be others than this file's."""
        sealed.write_text(json.dumps(json.loads(sealed.read_bytes()) | {"n": n, "r": r, "p": p, "salt": "AAAA"}))
        keyfile.hold(OURS)

        with bounded(3):
            assert code_of(sealed) == "key_passphrase_wrong"

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(spoilt(CHEAP))
    def test_whatever_was_done_to_it(self, tmp_path: Path, content: bytes) -> None:
        """It is read as it was, or refused with a code.

        32 bytes of anything are an unsealed seed: a key that no directory has.
        """
        assume(len(content) != keyfile.SEED_BYTES)
        (tmp_path / "a.seed").write_bytes(content)
        keyfile.hold(OURS)

        with bounded(3):
            found = code_of(tmp_path / "a.seed")
        assert found in {"key_malformed", "key_passphrase_wrong"} or keyfile.read(tmp_path / "a.seed") == SEED

    @pytest.mark.parametrize("what", ["pipe", "device"])
    def test_what_is_no_plain_file_is_not_read(self, tmp_path: Path, what: str) -> None:
        """A pipe might never answer, and a device never end."""
        keyfile.hold(OURS)

        with bounded():
            assert code_of(not_plain(tmp_path)[what]) == "key_malformed"

    def test_parameters_are_bound_to_what_they_seal(self, sealed: Path) -> None:
        """A weaker n in the file does not go unseen."""
        sealed.write_text(json.dumps(json.loads(sealed.read_bytes()) | {"n": 2**14}))
        keyfile.hold(OURS)

        assert code_of(sealed) == "key_passphrase_wrong"

    @pytest.mark.parametrize(
        ("purpose", "content"),
        [
            ("signing", b"-----BEGIN PRIVATE KEY-----\n"), ("sealing", b"-----BEGIN "), ("witness", Passphrase(WORDS).seal(b"short")),
            ("signing", bytes(64)), ("signing", Passphrase(WORDS).seal(bytes(33))),
        ],
        ids=range(5),
    )  # fmt: skip
    def test_another_kind_of_key_is_none_of_an_agencys(self, tmp_path: Path, purpose: str, content: bytes) -> None:
        """PEM is the authority's; a seed has 32 bytes, sealed or not."""
        (tmp_path / "keys").mkdir()
        (tmp_path / "keys" / f"{purpose}.seed").write_bytes(content)
        keyfile.hold(OURS)

        with pytest.raises(KeysSealed, match="restore it from a backup"):
            Identity.at(tmp_path, "ngo-a")

    @pytest.mark.parametrize("content", [b"", b"x", b"{}", bytes(31), bytes(33), b"{" * 5000])
    def test_what_is_no_key_is_refused(self, tmp_path: Path, content: bytes) -> None:
        """With a code, whatever it is."""
        (tmp_path / "a.seed").write_bytes(content)
        keyfile.hold(OURS)

        assert code_of(tmp_path / "a.seed") == "key_malformed"

    @pytest.mark.parametrize("cut", ["before", "linked", "written"])
    def test_protecting_leaves_no_raw_copy(self, tmp_path: Path, cut: str) -> None:
        """Whenever it was cut the time before: as many files as before, and the seed in none of them."""
        path, old = tmp_path / "a.seed", tmp_path / ".a.seed.raw"
        keyfile.write(path, SEED)
        keyfile.hold(OURS)
        if cut != "before":
            os.link(path, old)
        if cut == "written":
            keyfile.write(path, SEED)

        assert keyfile.protect(path) is (cut != "written")
        assert [each.name for each in tmp_path.iterdir()] == ["a.seed"]
        assert SEED not in path.read_bytes()
        assert keyfile.read(path) == SEED
        assert keyfile.protect(path) is False

    def test_an_error_leaves_no_copy(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given a disk that is full or fails, then the key is as before, and no second file has the seed."""
        path = tmp_path / "a.seed"
        keyfile.write(path, SEED)
        keyfile.hold(OURS)

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        for act in (lambda: keyfile.write(path, bytes(32)), lambda: keyfile.protect(path)):
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", full)
                with pytest.raises(OSError, match="No space left"):
                    act()
            assert keyfile.read(path) == SEED
            assert {each.name for each in tmp_path.iterdir()} <= {"a.seed", ".a.seed.raw"}
        assert keyfile.protect(path)
        assert [each.name for each in tmp_path.iterdir()] == ["a.seed"]

    @pytest.mark.parametrize("act", ["write", "write another", "protect", "protect again", "destroy"])
    @pytest.mark.parametrize(
        "content", [SEED, SEED[:10], CHEAP, CHEAP[:100]], ids=["raw", "cut", "sealed", "sealed, cut"]
    )
    def test_what_a_killed_process_left_is_destroyed(self, tmp_path: Path, act: str, content: bytes) -> None:
        """Given a copy under the first name, then the next act in the folder overwrites and removes it; files with other names stay."""
        path, copy = tmp_path / "a.seed", tmp_path / ".a.seed.4711.0a1b2c3d"
        others = {".a.seed.4711.0a1b2c3d.txt", ".made.4711.0a1b2c3d", ".a.seed.half.0a1b2c3d"}
        keyfile.hold(OURS if act == "protect again" else None)
        keyfile.write(path, SEED)
        for name in others:
            (tmp_path / name).write_bytes(SEED)
        copy.write_bytes(content)
        keyfile.hold(OURS)
        with copy.open("rb") as held:
            if act.startswith("write"):
                keyfile.write(path if act == "write" else tmp_path / "b.seed", SEED)
            elif act == "destroy":
                keyfile.destroy(path)
            else:
                assert keyfile.protect(path) is (act == "protect")

            assert content not in held.read()
        there = {"write another": {"a.seed", "b.seed"}, "destroy": set()}.get(act, {"a.seed"})
        assert {each.name for each in tmp_path.iterdir()} == there | others

    @pytest.mark.parametrize("before", ["write", "fsync", "replace"])
    def test_what_another_process_writes_now_stays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
    ) -> None:
        """Given two processes writing, sealing or destroying keys of one folder at the same moment, then neither loses a key."""
        path, other, turns = tmp_path / "a.seed", tmp_path / "b.seed", list[str]()
        keyfile.write(other, SEED)

        def meanwhile() -> None:
            if turns:
                return
            turns.append(before)
            keyfile.hold(OURS)
            keyfile.protect(other)
            keyfile.write(tmp_path / "c.seed", SEED)
            keyfile.destroy(other)
            keyfile.hold(None)

        lock, fsync, replace = fcntl.flock, os.fsync, Path.replace

        def locking(file: int, how: int) -> None:
            meanwhile()  # the file has its name, and is not locked yet
            lock(file, how)

        def syncing(file: int) -> None:
            meanwhile()
            fsync(file)

        def replacing(partial: Path, target: Path) -> Path:
            meanwhile()
            return replace(partial, target)

        if before == "write":
            monkeypatch.setattr(fcntl, "flock", locking)
        elif before == "fsync":
            monkeypatch.setattr(os, "fsync", syncing)
        else:
            monkeypatch.setattr(Path, "replace", replacing)
        keyfile.write(path, SEED)

        assert turns == [before]
        assert keyfile.read(path) == SEED
        assert {each.name for each in tmp_path.iterdir()} == {"a.seed", "c.seed"}

    def test_destroyed_it_is_overwritten_first(self, tmp_path: Path) -> None:
        """An open descriptor of the file, like the disk, shows other bytes."""
        keyfile.write(tmp_path / "a.seed", SEED)
        with (tmp_path / "a.seed").open("rb") as held:
            keyfile.destroy(tmp_path / "a.seed")

            assert SEED not in held.read()
        assert not (tmp_path / "a.seed").exists()

    def test_a_key_that_is_set_aside_survives_the_sealing_of_its_other_name(self, tmp_path: Path) -> None:
        """Cut between setting aside and writing the next: what is overwritten later must be it, and not before."""
        path, aside = tmp_path / "sealing.seed", tmp_path / "past" / "sealing-a.seed"
        keyfile.write(path, SEED)
        keyfile.set_aside(path, aside)
        keyfile.set_aside(path, aside)
        assert path.samefile(aside)
        keyfile.hold(OURS)
        assert keyfile.protect(path)
        assert aside.read_bytes() == SEED
        assert keyfile.protect(aside)
        assert keyfile.read(path) == keyfile.read(aside) == SEED
        assert SEED not in path.read_bytes() + aside.read_bytes()


class TestAKeyFile:
    """The file that NRMBUS_KEY_FILE names: a path in the environment, never a secret."""

    def test_it_opens_what_was_sealed_under_its_content(
        self, sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """White space at its end does not count: editors add it."""
        (tmp_path / "elsewhere").write_bytes(WORDS + b"\n")
        (tmp_path / "elsewhere").chmod(0o600)
        monkeypatch.setenv(keyfile.SETTING, str(tmp_path / "elsewhere"))

        assert keyfile.read(sealed) == SEED
        assert keyfile.held() is not None

    @pytest.mark.parametrize(("mode", "code"), [(0o400, ""), (0o440, ""), (0o460, "open"), (0o444, "open")])
    def test_one_that_systemd_hands_over_shows_the_mask_of_an_access_list(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, code: str
    ) -> None:
        """In the folder of a service's credentials the group's right to read is systemd's way to let the service in; elsewhere it is not."""
        path = tmp_path / "keys"
        path.write_bytes(WORDS)
        path.chmod(mode)
        monkeypatch.setenv(keyfile.SETTING, str(path))
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        if code:
            with pytest.raises(KeyFileError, match="can be read by others"):
                keyfile.asked()
            return
        assert keyfile.asked() is not None
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "another"))
        if mode != 0o400:
            with pytest.raises(KeyFileError, match="can be read by others"):
                keyfile.asked()

    @pytest.mark.parametrize(
        ("content", "mode", "code"),
        [
            (WORDS, 0o644, "key_file_open_to_others"),
            (WORDS, 0o640, "key_file_open_to_others"),
            (b"short", 0o600, "key_file_short"),
            (None, 0, "key_file_missing"),
        ],
    )
    def test_one_that_protects_nothing_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, mode: int, code: str
    ) -> None:
        """Open to others, short, or not there."""
        path = tmp_path / "elsewhere"
        if content is not None:
            path.write_bytes(content)
            path.chmod(mode)
        monkeypatch.setenv(keyfile.SETTING, str(path))

        with pytest.raises(KeyFileError) as caught:
            keyfile.asked()
        assert caught.value.code == code
        assert str(path) not in str(caught.value)

    @pytest.mark.parametrize("what", ["pipe", "folder", "device"])
    def test_what_is_no_plain_file_is_none(self, tmp_path: Path, what: str) -> None:
        """Nobody waits for it, and no memory is filled."""
        with bounded(), pytest.raises(KeyFileError) as caught:
            Passphrase.of_file(not_plain(tmp_path)[what])
        assert caught.value.code == "key_file_missing"

    def test_one_that_is_no_key_is_not_read_to_its_end(self, tmp_path: Path) -> None:
        """A film has many bytes too."""
        path = tmp_path / "elsewhere"
        path.touch(mode=0o600)
        os.truncate(path, 2**40)

        with bounded(), pytest.raises(KeyFileError) as caught:
            Passphrase.of_file(path)
        assert caught.value.code == "key_file_long"


class TestAnIdentity:
    """All keys of an agency, through the two functions."""

    def test_its_keys_are_made_sealed_and_read_again(self, tmp_path: Path) -> None:
        """Nothing below its folder has a seed in it."""
        keyfile.hold(OURS)
        made = Identity.at(tmp_path, "ngo-a")

        assert Identity.at(tmp_path, "ngo-a").kids == made.kids
        seeds = [made.signing.seed, made.sealing.seed, made.witness.seed]
        files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
        assert len(files) == 3
        assert not any(seed in content for seed in seeds for content in files)

    def test_keys_that_come_by_a_rotation_are_sealed_too(self, tmp_path: Path) -> None:
        """The next ones, and the one that is kept for letters under way."""
        keyfile.hold(OURS)
        made = Identity.at(tmp_path, "ngo-a")
        coming = Identity.next_at(tmp_path, "ngo-a")
        made.promote(tmp_path)

        now = Identity.at(tmp_path, "ngo-a")
        assert now.sealing.kid == coming.sealing.kid
        assert made.sealing.kid in now.opening
        assert all(keyfile.is_sealed(path) for path in tmp_path.rglob("*.seed"))

    def test_a_destroyed_key_has_no_copy_in_any_folder(self, tmp_path: Path) -> None:
        """Given a process killed during the writing of a key, when the key was replaced and is destroyed, then nothing opens its letters."""
        made = Identity.at(tmp_path, "ngo-a")
        keys = tmp_path / "keys"
        for folder in (keys, keys / "next"):
            folder.mkdir(exist_ok=True)
            (folder / ".sealing.seed.4711.0a1b2c3d").write_bytes(made.sealing.seed)
        (keys / "past").mkdir()
        os.link(keys / "sealing.seed", keys / "past" / f"sealing-{made.sealing.kid.removeprefix('xwing:')}.seed")
        (keys / "sealing.seed").unlink()

        Identity.destroy(tmp_path, made.sealing.kid)

        files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
        assert not any(made.sealing.seed in content for content in files)

    def test_each_round_destroys_what_a_killed_process_left(self, tmp_path: Path) -> None:
        """Though no key is to be destroyed."""
        made = Identity.at(tmp_path, "ngo-a")
        copy = tmp_path / "keys" / ".sealing.seed.4711.0a1b2c3d"
        copy.write_bytes(made.sealing.seed)

        Identity.finish_destroying(tmp_path)

        assert not copy.exists()
        assert Identity.at(tmp_path, "ngo-a").kids == made.kids


def _showing(home: Path) -> dict[str, tuple[object, bytes]]:
    """Everything that holds a secret, and the secret."""
    signing, sealing, lasting = SigningKey(SEED), SealingKey(SEED), MLDSA44SigningKey(SEED)
    identity, log, admitter = Identity.at(home, "ngo-a"), LogIdentity.at(home), Admitter.at(home, "example")
    return {
        "signing": (signing, SEED),
        "sealing": (sealing, SEED),
        "lasting": (lasting, SEED),
        "signer": (Ed25519Signer("example", signing), SEED),
        "cosigner": (Cosigner("example", signing), SEED),
        "identity": (identity, identity.signing.seed),
        "log identity": (log, log.signing.seed),
        "admitter": (admitter, admitter.key.seed),
        "passphrase": (Passphrase(WORDS), WORDS),
        "error": (KeyFileError("key_locked"), WORDS),
    }


@pytest.mark.parametrize("what", [
    "signing", "sealing", "lasting", "signer", "cosigner", "identity", "log identity", "admitter", "passphrase", "error",
])  # fmt: skip
def test_no_key_shows_its_secret(tmp_path: Path, what: str) -> None:
    """Not by repr, str or format, alone or inside another object; raw, hex and base64 are looked for."""
    shown, secret = _showing(tmp_path)[what]
    texts = [
        repr(shown),
        str(shown),
        f"{shown}",
        repr({"a": [shown]}),
        repr(vars(shown)) if hasattr(shown, "__dict__") else "",
    ]

    for text in texts:
        for form in (secret.hex(), base64.b64encode(secret).decode(), secret.decode("latin-1"), repr(secret)[2:-1]):
            assert form not in text


def test_a_passphrase_is_not_written_down() -> None:
    """A pickle of any object with the passphrase fails."""
    with pytest.raises(TypeError):
        pickle.dumps([Passphrase(WORDS)])
