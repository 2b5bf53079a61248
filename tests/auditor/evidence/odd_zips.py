"""Zips that are not what they look like."""

import stat
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO

from nrmbus.auditor.evidence.bundle import packed

Files = Mapping[str, bytes]


def written(files: Files, *more: tuple[zipfile.ZipInfo, bytes], comment: bytes = b"") -> bytes:
    """A zip of *files*, and of *more* entries as they are."""
    target = BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)
        for info, raw in more:
            archive.writestr(info, raw)
        archive.comment = comment
    return target.getvalue()


def entry(
    name: str, *, mode: int = 0o100644, extra: bytes = b"", compress: int = zipfile.ZIP_STORED
) -> zipfile.ZipInfo:
    """An entry called *name*."""
    info = zipfile.ZipInfo(name)
    info.external_attr, info.extra, info.compress_type = mode << 16, extra, compress
    return info


def bomb(files: Files) -> bytes:
    """A quarter of a megabyte that unpacks to more than a quarter of a gigabyte."""
    return written(
        files, (entry("schemas/nrm.case.closed/v1.schema.json", compress=zipfile.ZIP_DEFLATED), bytes((256 << 20) + 1))
    )


def flagged(files: Files) -> bytes:
    """One that says it is enciphered."""
    raw = bytearray(packed(files))
    raw[raw.index(b"PK\1\2") + 8] |= 1
    return bytes(raw)


def renamed_inside(files: Files) -> bytes:
    """One whose list says another name than the entry."""
    raw = packed(files)
    first = min(files).encode()
    return raw.replace(first, first[:-1] + b"X", 1)


def broken(files: Files) -> bytes:
    """One whose bytes do not fit their checksum."""
    raw = bytearray(written(files))
    raw[raw.index(files["README.md"][:64]) + 7] ^= 1
    return bytes(raw)


def moved(files: Files, gap: bytes) -> bytes:
    """One with *gap* between the last entry and the list of entries, which says where it is."""
    raw = packed(files)
    start = int.from_bytes(raw[-6:-2], "little")
    return raw[:start] + gap + raw[start:-6] + (start + len(gap)).to_bytes(4, "little") + raw[-2:]


def twice(files: Files) -> bytes:
    """Two files with one name; Python warns of it, so the second gets the name afterwards."""
    raw = written(files, (entry("gaps.jsoX"), b"{}"))
    return raw.replace(b"gaps.jsoX", b"gaps.json")


TRICKS: list[tuple[str, Callable[[Files], bytes], str]] = [
    ("no zip", lambda _: b"a letter", "bundle_unreadable"),
    ("nothing", lambda _: b"", "bundle_unreadable"),
    ("a zip cut in the middle", lambda files: packed(files)[:-3000], "zip_odd"),
    ("a zip cut at the end", lambda files: packed(files)[:-1], "zip_odd"),
    ("something before it", lambda files: b"#!/bin/sh\n" + packed(files), "zip_odd"),
    ("something after it", lambda files: packed(files) + b"\n", "zip_odd"),
    ("something hidden between entries and list", lambda files: moved(files, b"a second story"), "zip_odd"),
    ("another zip after it", lambda files: packed(files) + packed({"README.md": b"#"}), "zip_odd"),
    ("a comment", lambda files: written(files, comment=b"trust me"), "zip_odd"),
    ("fields of its own", lambda files: written(files, (entry("verify.pyc", extra=b"\xfe\xca\0\0"), b"")), "zip_odd"),
    ("a list that is none", lambda files: packed(files).replace(b"PK\1\2", b"PK\1\3"), "zip_odd"),
    ("another cipher", flagged, "zip_odd"),
    ("another compression", lambda files: written(files, (entry("x", compress=zipfile.ZIP_LZMA), b"")), "zip_odd"),
    ("another name inside", renamed_inside, "zip_odd"),
    ("bytes that do not fit their checksum", broken, "zip_odd"),
    ("two files with one name", twice, "name_duplicate"),
    ("a path out of it", lambda files: written(files, (entry("../verify.py"), b"")), "name_unsafe"),
    ("a path within it that goes back", lambda files: written(files, (entry("proofs/../gaps.json"), b"")), "name_unsafe"),
    ("an absolute path", lambda files: written(files, (entry("/tmp/verify.py"), b"")), "name_unsafe"),
    ("a path of another system", lambda files: written(files, (entry("..\\verify.py"), b"")), "name_unsafe"),
    ("a name that turns a terminal round", lambda files: written(files, (entry("\u202egpj.exe"), b"")), "name_unsafe"),
    ("a link", lambda files: written(files, (entry("proofs/x", mode=stat.S_IFLNK | 0o777), b"/etc/passwd")), "name_unsafe"),
    ("a folder", lambda files: written(files, (entry("proofs/", mode=stat.S_IFDIR | 0o755), b"")), "name_unsafe"),
    ("a bomb", bomb, "bundle_too_large"),
    ("too many files", lambda files: written(files, *((entry(f"x{n}"), b"") for n in range(65_600))), "zip_odd"),
]  # fmt: skip
"""What was done to the zip, and the one code."""
