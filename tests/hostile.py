"""What somebody who means harm does to bytes, and how long whoever reads them may take."""

import gc
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hypothesis import strategies as st

CPU_SECONDS: Final = 1.0
"""Of this process: what else the machine does meanwhile does not count."""
HANGS_AFTER: Final = 60
"""Seconds by the wall: by then something waits for what never comes."""

TOKENS: Final = (
    b'"', b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"\r\n", b"\0", b"\x7f", b"=", b"==", b"-", b"_",
    b"null", b"true", b"1e9", b"-0", b"NaN", b"9" * 30, b"\\u0000", b"\\ud800", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf",
)  # fmt: skip
"""What readers are known to differ about."""


class HungError(BaseException):
    """Raised where something would have waited for ever; no handler of ours takes it for an error of the system's."""


@contextmanager
def bounded(cpu_seconds: float = CPU_SECONDS) -> Iterator[None]:
    """Fail if what is done in here takes the processor for longer, or never ends.

    Without Python's garbage collector meanwhile: it looks through what thousands of other tests have left.
    """

    def hung(*_: object) -> None:
        raise HungError

    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(HANGS_AFTER)
    gc.disable()
    began = time.process_time()
    try:
        yield
    finally:
        took = time.process_time() - began
        gc.enable()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert took < cpu_seconds


def _edit(raw: bytes, edit: tuple[int, int, bytes | str | int]) -> bytes:
    at, size, what = edit[0] % (len(raw) + 1), edit[1], edit[2]
    match what:
        case bytes():  # put in, in the place of what stood there
            return raw[:at] + what + raw[at + size :]
        case "cut":
            return raw[:at]
        case "again":
            return raw[:at] + raw[max(0, at - size) :]
        case _:
            bit = int(what)
            return raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :] if at < len(raw) else raw


def spoilt(*originals: bytes) -> st.SearchStrategy[bytes]:
    """One of *originals* with up to four edits: bits, tokens, other bytes, pieces doubled, left out, or taken from another."""
    pieces = [each[at : at + 60] for each in originals for at in range(0, len(each), max(1, len(each) // 10))]
    what = st.one_of(
        st.integers(0, 7), st.sampled_from(TOKENS), st.binary(max_size=8), st.sampled_from(pieces),
        st.sampled_from(["cut", "again"]), st.just(b""),
    )  # fmt: skip
    edits = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 40), what), min_size=1, max_size=4)

    def edited(original: bytes, made: list[tuple[int, int, bytes | str | int]]) -> bytes:
        for each in made:
            original = _edit(original, each)
        return original

    return st.builds(edited, st.sampled_from(originals), edits)


def not_plain(folder: Path) -> dict[str, Path]:
    """What may lie where a file is wanted: a pipe that nobody writes to, a folder, a device without an end."""
    pipe = folder / "pipe"
    os.mkfifo(pipe, 0o600)
    return {"pipe": pipe, "folder": folder, "device": Path("/dev/zero")}
