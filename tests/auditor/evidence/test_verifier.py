"""What the single file has in its own hands, to be quick: signatures on all processors, and the reading of a zip."""

import os
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from auditor.evidence.forger import FIRST, LAST, rows
from auditor.evidence.given import Evidence, trust
from nrmbus.auditor.evidence.bundle import packed
from nrmbus.auditor.evidence.verifier import Failed, Verification, files_of

TEXT = b"To the court"


@pytest.fixture(name="evidence", scope="module")
def _evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return Evidence(tmp_path_factory.mktemp("evidence"))


def exchanged(read: list[Any]) -> None:
    """Give the first and the last registration each other's signature."""
    first, last = (read[index]["statement"].rpartition('"sig":')[2] for index in (FIRST, LAST))
    read[FIRST]["statement"] = read[FIRST]["statement"].replace(first, last)
    read[LAST]["statement"] = read[LAST]["statement"].replace(last, first)


@pytest.mark.parametrize("processors", [None, 1, 2, 64])
def test_a_signature_that_does_not_hold_fails_its_own_line(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch, processors: int | None
) -> None:
    """However many processors share the work: that line, and no other."""
    monkeypatch.setattr(os, "cpu_count", lambda: processors)

    found = evidence.verified(evidence.resealed(lambda files: rows(files, exchanged)))

    wrong = [(line.check, line.about, line.result) for line in found.lines if line.result != "ok"]
    assert wrong == [("signature", about, "registrar_signature_invalid") for about in ("0-2", "0-8")]
    assert found.verdict == (1, "FAILED: registrar_signature_invalid")


def deflated(behind: bytes = b"", *, size: int = len(TEXT)) -> bytes:
    """A zip of one file whose bytes are followed by others, or more or fewer than it says."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    target = BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(zipfile.ZipInfo("README.md"), deflate.compress(TEXT) + deflate.flush() + behind)
    raw = bytearray(target.getvalue())
    for at in (8, raw.index(b"PK\1\2") + 10):  # the method, then, after the time, checksum and both sizes
        raw[at : at + 2] = zipfile.ZIP_DEFLATED.to_bytes(2, "little")
        raw[at + 6 : at + 10] = zlib.crc32(TEXT).to_bytes(4, "little")
        raw[at + 14 : at + 18] = size.to_bytes(4, "little")
    return bytes(raw)


def redated() -> bytes:
    """A zip of one file that says another time of itself than the list does."""
    raw = bytearray(packed({"README.md": TEXT}))
    raw[10] ^= 1
    return bytes(raw)


def miscounted(at: int) -> bytes:
    """A zip whose end says other numbers of files on this disk and on all, or has a comment announced."""
    raw = bytearray(packed({"README.md": TEXT}))
    raw[at] ^= 1
    return bytes(raw)


def test_a_zip_as_it_should_be(tmp_path: Path) -> None:
    """What the altered ones were made of is read."""
    for raw in (deflated(), packed({"README.md": TEXT})):
        (tmp_path / "good.zip").write_bytes(raw)

        assert files_of(tmp_path / "good.zip") == {"README.md": TEXT}


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(deflated(b"a second story"), id="bytes behind a file's own"),
        pytest.param(deflated(size=len(TEXT) - 1), id="more than it says"),
        pytest.param(deflated(size=len(TEXT) + 1), id="less than it says"),
        pytest.param(redated(), id="another time in the list"),
        *[pytest.param(miscounted(at), id=f"the end altered at {at}") for at in range(-22, 0)],
    ],
)
def test_a_zip_that_says_two_things_is_refused(tmp_path: Path, raw: bytes) -> None:
    """No byte of it is left for a second reader to understand otherwise."""
    (tmp_path / "odd.zip").write_bytes(raw)

    with pytest.raises(Failed, match="zip_odd"):
        files_of(tmp_path / "odd.zip")


def test_a_number_that_nobody_counts_to_is_refused_with_a_code(evidence: Evidence) -> None:
    """Python reads no number of so many digits: what is named after one belongs to nothing, and ends no verifier."""
    name = f"envelopes/0-{'9' * 5000}.json"

    found = evidence.verified(evidence.resealed(lambda files: files.update({name: b"{}"})))

    assert found.verdict == (1, "FAILED: file_extra")


def test_the_name_of_a_file_steers_no_terminal(evidence: Evidence, tmp_path: Path) -> None:
    """It comes with the file, from whoever sent it: text that is hidden after it would be the verdict."""
    path = tmp_path / "evidence\u202e\x1b[8m.zip"
    path.write_bytes(evidence.whole)

    found = Verification(path, trust(operator=evidence.operator))

    assert found.lines[0].about == "evidence??[8m.zip"
    assert found.verdict[0] == 0
