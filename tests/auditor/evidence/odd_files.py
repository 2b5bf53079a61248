"""Files that are not what they look like."""

import gzip
from collections.abc import Callable
from hashlib import sha256

from nrmbus.wire import json as canonical

MIB = 1 << 20


def retrailed(raw: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Change the bytes before the trailer, and write the trailer again."""
    body = change(raw[: raw.rindex(b'{"kind":"trailer"')])
    trailer = {"kind": "trailer", "lines": body.count(b"\n"), "sha256": sha256(body).hexdigest()}
    return body + canonical.dumps(trailer) + b"\n"


def respelled(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Exchange the first *old* for *new*, and write the trailer again."""

    def change(body: bytes) -> bytes:
        assert old in body
        return body.replace(old, new, 1)

    return lambda raw: retrailed(raw, change)


def added(line: bytes) -> Callable[[bytes], bytes]:
    """Put *line* before the first schema, and write the trailer again."""
    return lambda raw: retrailed(raw, lambda body: body.replace(b'{"kind":"schema"', line + b'\n{"kind":"schema"', 1))


def deep(levels: int) -> bytes:
    """Return a line with so many levels."""
    inner = b"[" * (levels - 1) + b"]" * (levels - 1)
    return b'{"entry":{"a":' + inner + b'},"kind":"directory"}'


def flipped(raw: bytes, place: bytes) -> bytes:
    """Alter one byte behind *place*, and leave the trailer."""
    at = raw.index(place) + len(place)
    return raw[:at] + (b"x" if raw[at : at + 1] != b"x" else b"y") + raw[at + 1 :]


TRICKS: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("no evidence", lambda _: b"a letter", "line_malformed"),
    ("nothing", lambda _: b"", "evidence_unreadable"),
    ("another file of lines", lambda _: b'{"kind":"note"}\n', "line_malformed"),
    ("packed", lambda raw: gzip.compress(raw, mtime=0), "line_malformed"),
    ("an empty line", lambda raw: retrailed(raw, lambda body: body + b"\n"), "line_malformed"),
    ("cut in the middle of a line", lambda raw: raw[:-3000], "line_malformed"),
    ("cut in the last line", lambda raw: raw[:-1], "line_malformed"),
    ("cut between two lines", lambda raw: raw[: raw.rindex(b'{"kind":"trailer"')], "line_misplaced"),
    ("a line before it", lambda raw: b"#!/bin/sh\n" + raw, "line_malformed"),
    ("a byte order mark", lambda raw: b"\xef\xbb\xbf" + raw, "line_malformed"),
    ("something behind it", lambda raw: raw + b"\n", "line_malformed"),
    ("more evidence behind it", lambda raw: raw + raw, "line_misplaced"),
    ("a registration behind it", lambda raw: raw + raw.splitlines(keepends=True)[-2], "line_misplaced"),
    ("the line ends of another system", lambda raw: raw.replace(b"\n", b"\r\n"), "line_malformed"),
    ("a blank in a line", respelled(b'"kind":"readme"', b'"kind": "readme"'), "line_malformed"),
    ("members in another order", respelled(b'{"kind":"verifier","text":', b'{"text":"","kind":"verifier","text":'), "line_malformed"),
    ("a member twice", respelled(b'{"kind":"verifier",', b'{"kind":"verifier","kind":"verifier",'), "line_malformed"),
    ("a member twice in a leaf", respelled(b'"verdict":"registered"', b'"verdict":"registered","verdict":"registered"'), "line_malformed"),
    ("a letter written as an escape", respelled(b'"kind":"readme"', b'"kind":"re\\u0061dme"'), "line_malformed"),
    ("half of a surrogate pair", respelled(b'"# Evidence', b'"\\ud800# Evidence'), "line_malformed"),
    ("a byte that is no UTF-8", respelled(b'"# Evidence', b'"\xff# Evidence'), "line_malformed"),
    ("a number with a fraction", respelled(b'"partition":0', b'"partition":0.0'), "line_malformed"),
    ("a number below nothing", respelled(b'"partition":0', b'"partition":-0'), "line_malformed"),
    ("no number", respelled(b'"partition":0', b'"partition":NaN'), "line_malformed"),
    ("a number of 5,000 digits", respelled(b'"number":2', b'"number":' + b"9" * 5000), "line_malformed"),
    ("no value", respelled(b'"partition":0', b'"partition":null'), "line_malformed"),
    ("a list for a line", added(b"[]"), "line_malformed"),
    ("17 levels", added(deep(17)), "line_malformed"),
    ("5,000 levels", added(deep(5_000)), "line_malformed"),
    ("half a million levels", added(deep(500_000)), "line_malformed"),
    ("a line longer than anybody reads", added(b'{"kind":"readme","text":"' + b"a" * MIB + b'"}'), "evidence_too_large"),
    ("more lines than anybody reads", added(b"\n".join([b'{"kind":"schema","name":"","text":""}'] * 400_000)), "evidence_too_large"),
    ("a byte of the readme", lambda raw: flipped(raw, b'"# Evidence'), "digest_differs"),
    ("a byte of the verifier", lambda raw: flipped(raw, b"import argp"), "digest_differs"),
    ("a byte of a schema", lambda raw: flipped(raw, b'{"kind":"schema","name":"nrm.case.'), "digest_differs"),
    ("a byte of a signature", lambda raw: flipped(raw, b'"sig":"'), "digest_differs"),
    ("another digest", lambda raw: flipped(raw, b'"sha256":"'), "digest_differs"),
    ("another number of lines", lambda raw: raw.replace(b',"lines":', b',"lines":1'), "digest_differs"),
    ("a line taken out", lambda raw: b"".join(line for line in raw.splitlines(keepends=True) if b'"kind":"schema"' not in line), "digest_differs"),
    ("two lines exchanged", lambda raw: b"".join([*(lines := raw.splitlines(keepends=True))[:-3], lines[-2], lines[-3], lines[-1]]), "digest_differs"),
    ("a trailer with more to say", lambda raw: raw.replace(b'"kind":"trailer"', b'"a":1,"kind":"trailer"'), "line_malformed"),
]  # fmt: skip
"""The name of each trick, the change of the file, and the one code."""
