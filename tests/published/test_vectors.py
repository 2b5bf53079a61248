"""Frozen vectors: ours do not change, and other people's agree with us."""

import json as plain
import shutil
from pathlib import Path
from typing import Any

import pytest

from nrmbus.published import vectors
from nrmbus.wire import base64, dsse, ids, material, statement
from nrmbus.wire.keys.keys import VerifyKey
from wire.given import refused

# CloudEvents, extensions/verifiability.md (July 2026), "Test Vectors". Its events with JSON data do not say which bytes
# the data are, and no spelling of them gives its digests; case 5 has binary data, and extension digests need no data.
HELLO = {
    "ce_specversion": "1.0",
    "ce_id": "1",
    "ce_source": "example/uri",
    "ce_type": "example.type",
    "content-type": "application/json",
}
BINARY = {**HELLO, "ce_type": "example.type.binary", "content-type": "application/octet-stream"}
EXTENDED = {**HELLO, "ce_exta": "value1", "ce_extb": "value2"}


def test_ours_are_as_frozen() -> None:
    """A partner who built on the vectors yesterday reads us today. If this fails, the wire needs a new version."""
    assert vectors.check() == []


def test_an_altered_vector_is_noticed(tmp_path: Path) -> None:
    """Each file is really compared or opened: altered or gone, it is named."""
    names = [*vectors.FIXED, *vectors.LETTERS]
    for name in names:
        shutil.copytree(vectors.FOLDER, tmp_path / name)
        path = tmp_path / name / name
        vector = plain.loads(path.read_text(encoding="utf-8"))
        vector["sealeddigest" if name in vectors.LETTERS else "about"] = "0" * 64
        path.write_text(plain.dumps(vector), encoding="utf-8")
        assert vectors.check(tmp_path / name) == [name]
        path.unlink()
        assert vectors.check(tmp_path / name) == [name]


def test_write_keeps_a_sealed_letter(tmp_path: Path) -> None:
    """A second write changes no frozen vector; in an empty folder, a letter is sealed that opens."""
    shutil.copytree(vectors.FOLDER, tmp_path / "again")
    vectors.write(tmp_path / "again")
    vectors.write(tmp_path / "new")

    for path in vectors.FOLDER.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    assert vectors.check(tmp_path / "new") == ["letter-go.json"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command names the differing vector and exits 1; a misuse exits 2."""
    assert vectors.main(["check"]) == 0
    assert vectors.main(["write", "--folder", str(tmp_path)]) == 0
    assert vectors.main(["check", "--folder", str(tmp_path)]) == 1
    assert "letter-go.json is not" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        vectors.main([])


def test_cloudevents_core() -> None:
    """Case 5 of the extension has the core digest that it prints."""
    core = plain.loads(material.payload(BINARY, "\U0001f921".encode(), []))["core"]

    assert core == "qCSeiZkS+hH9WiClfq6plfqYNVy2kvxWRfoBrLEzoDk="


@pytest.mark.parametrize(
    ("names", "ext"),
    [
        (["exta"], "kU1P8bDaEnyNhglWzdTJNHh77khNWSZebBUxufVM2pU="),
        (["exta", "extb"], "HB1pe431FoQZRsJbyLNMq0QaAvqPtmhdi8dHGShbJAU="),
    ],
    ids=["case 6", "case 7"],
)
def test_cloudevents_extended(names: list[str], ext: str) -> None:
    """Cases 6 and 7 have the printed extension digests, and the payload's members are in the printed order."""
    payload = plain.loads(material.payload(EXTENDED, b"", names))

    assert list(payload) == ["core", "ext", "signedextattrs"]
    assert (payload["ext"], payload["signedextattrs"]) == (ext, names)


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_kafka_hash(key: str, hashed: int) -> None:
    """Kafka's own test of its hash (UtilsTest.testMurmur2)."""
    assert ids.murmur2(key.encode()) == hashed % 2**32


def test_dsse_example() -> None:
    """The example of the DSSE protocol text."""
    vector = plain.loads((vectors.FOLDER / "statements.json").read_text(encoding="utf-8"))["pae"]

    assert vector["signed_bytes"] == "DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert dsse.pae(vector["type"].encode(), vector["payload"].encode()).decode() == vector["signed_bytes"]


def test_every_header_of_a_transaction_verifies_alone() -> None:
    """Each proved statement of the vectors gives the JSON and the signing key; each altered statement has its code."""
    vector = plain.loads((vectors.FOLDER / "transaction.json").read_text(encoding="utf-8"))
    key = VerifyKey(base64.decode(vector["public"], "weak_key"))

    def verified(row: dict[str, Any]) -> tuple[bytes, str]:
        return statement.verify_bytes(
            row["thing"], base64.decode(row["header"], "unreadable"), {key.kid: key}.__getitem__
        )

    for tree in vector["transactions"]:
        assert all(verified(row) == (row["json"].encode(), vector["kid"]) for row in tree["statements"])
    assert [tree["size"] for tree in vector["transactions"]] == [32, 1]
    for row in vector["refused"]:
        refused(row["code"], lambda row=row: verified(row))  # type: ignore[misc]
