"""Looking for words that may stand nowhere: in the clear, in UTF-16, in hex, in base64, escaped as JSON or addresses are, or packed."""

import os
import struct
import subprocess
import zlib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Final

PACKED: Final = {b"\x1f\x8b\x08": 31, b"\x78\x01": 15, b"\x78\x9c": 15, b"\x78\xda": 15, b"PK\x03\x04": -15}
"""How gzip, zlib and a file in a zip begin, and what zlib calls each."""
UNPACKED: Final = 4 << 20
"""How much of a packed stream is looked at."""
DEEP: Final = 2
"""How often something may be packed again."""
_ZIP: Final = 30
"""Bytes of a zip's header of one file, before its name."""


def spellings(text: str) -> tuple[bytes, ...]:
    """How *text* may stand in bytes: plainly, as other programs write it, escaped, or in base64 after any number of bytes.

    Of base64 the digits that it shares with what stands before and after it are left out.
    """
    raw = text.encode()
    escaped = ["".join(form.format(each) for each in raw) for form in ("\\u{:04x}", "\\u{:04X}", "%{:02x}", "%{:02X}")]
    encoded = [
        b64encode(bytes(before) + each + bytes(3))[(before * 8 + 5) // 6 : (before + len(each)) * 8 // 6]
        for each in (raw, text.encode("utf-16-le"))
        for before in range(3)
    ]
    forms = (
        raw, text.encode("utf-16-le"), text.encode("utf-16-be"), raw.hex().encode(), raw.hex().upper().encode(),
        *(each.encode() for each in escaped), *encoded, *(each.translate(_OF_ADDRESSES) for each in encoded),
    )  # fmt: skip
    return tuple(dict.fromkeys(forms))


_OF_ADDRESSES: Final = bytes.maketrans(b"+/", b"-_")
"""Base64 as it stands in addresses."""


def holds(content: bytes, text: str) -> bool:
    """Whether *content* has *text* in any spelling, packed streams in it included."""
    forms = spellings(text)
    return any(form in each for each in chain((content,), _unpacked(content)) for form in forms)


def _unpacked(content: bytes, deep: int = DEEP) -> Iterator[bytes]:
    """What is packed by gzip or zlib anywhere in *content*, or lies in a zip; and what is packed in that."""
    for sign, how in PACKED.items():
        at = content.find(sign)
        while at >= 0:
            found = b""
            with suppress(zlib.error, struct.error):  # bytes that only look like it
                start = at if how > 0 else at + _ZIP + sum(struct.unpack_from("<HH", content, at + _ZIP - 4))
                found = zlib.decompressobj(wbits=how).decompress(
                    memoryview(content)[start : start + UNPACKED], UNPACKED
                )
            if found:
                yield found
                yield from _unpacked(found, deep - 1) if deep > 1 else ()
            at = content.find(sign, at + 1)


def files_with(folder: Path, text: str) -> list[str]:
    """Every file below *folder* that has *text*, logs, ledgers and what SQLite keeps beside them included."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [str(path.relative_to(folder)) for path in files if holds(content_of(path), text)]


def content_of(path: Path) -> bytes:
    """What is in the file at *path*, the zeros at its end but for one; nothing, where it went while we looked."""
    try:
        return path.read_bytes().rstrip(b"\0") + b"\0"  # the broker's indices are made large, and hold little
    except FileNotFoundError:  # rolled away, or checkpointed, while we looked
        return b""


def processes_with(named: str, text: str) -> tuple[int, int]:
    """Of the processes in whose command, or as whose working folder, *named* stands: how many there are, and how many were told *text*.

    Looked at are their arguments and their environment, as whoever is on the machine may see them.
    """
    told = [each for each in _told() if named.encode() in each]
    return len(told), sum(holds(each, text) for each in told)


def _told() -> Iterator[bytes]:
    if not Path("/proc/self/environ").exists():  # not Linux: what its own command shows
        yield from subprocess.run(
            ["ps", "-axwwE", "-o", "command"], capture_output=True, check=True
        ).stdout.splitlines()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended, or is another's
            where = os.fsencode((process / "cwd").readlink())
            yield b"\0".join([where, (process / "cmdline").read_bytes(), (process / "environ").read_bytes()])
