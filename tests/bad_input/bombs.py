"""Batches that are small on the wire and large when unpacked, made and sent byte by byte: no client would do either."""

import socket
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

import cramjam
from aiokafka.record.util import calc_crc32c

from patience import PATIENCE

MEBIBYTE: Final = 1024 * 1024
PRODUCE: Final = 0
PRODUCE_VERSION: Final = 7
"""The first that lets a batch be compressed with zstd."""


def _gzip(pieces: Iterable[bytes]) -> bytes:
    zipping = zlib.compressobj(9, wbits=31)
    return b"".join([*map(zipping.compress, pieces), zipping.flush()])


def _zstd(pieces: Iterable[bytes]) -> bytes:
    zipping = cramjam.zstd.Compressor(level=9)
    for each in pieces:
        zipping.compress(each)
    return bytes(zipping.finish())


CODECS: Final = {"gzip": (1, _gzip), "zstd": (4, _zstd)}
"""By name: the number in a batch's attributes, and what compresses."""


def varint(number: int) -> bytes:
    """A signed number as Kafka's records have it: zigzag, seven bits a byte."""
    rest, out = (number << 1) ^ (number >> 63), bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def records(count: int, size: int) -> Iterator[bytes]:
    """*count* records without key or header, each with a value of *size* zeros, in pieces of at most a mebibyte."""
    zeros, many = bytes(MEBIBYTE), bytearray()
    for offset in range(count):
        head = b"\0\0" + varint(offset) + varint(-1) + varint(size)
        many += varint(len(head) + size + 1) + head
        if size > MEBIBYTE:
            yield bytes(many)
            many.clear()
            yield from [zeros] * (size // MEBIBYTE)
            many += bytes(size % MEBIBYTE)
        else:
            many += bytes(size)
        many += b"\0"  # no headers
        if len(many) > MEBIBYTE:
            yield bytes(many)
            many.clear()
    yield bytes(many)


def batch(codec: str, count: int, pieces: Iterable[bytes]) -> bytes:
    """A record batch (Kafka's format 2) of *count* records, *pieces* compressed."""
    number, compressed = CODECS[codec]
    body = compressed(pieces)
    tail = struct.pack(">hiqqqhii", number, count - 1, 0, 0, -1, -1, -1, count) + body
    return struct.pack(">qiibI", 0, 9 + len(tail), -1, 2, calc_crc32c(tail)) + tail


def answered(bootstrap: str, topic: str, partition: int, sent: bytes, seconds: float = PATIENCE) -> int:
    """Produce *sent* once, with no second try; the broker's error code, 0 where it took it.

    Raises:
        OSError: the broker hung up or kept silent.
    """
    head = struct.pack(">hhi", PRODUCE, PRODUCE_VERSION, 1) + _text("bomb")
    body = struct.pack(">hhi", -1, -1, int(seconds * 1000))
    body += struct.pack(">i", 1) + _text(topic) + struct.pack(">iii", 1, partition, len(sent)) + sent
    host, _, port = bootstrap.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=seconds) as line:
        line.sendall(struct.pack(">i", len(head + body)) + head + body)
        (size,) = struct.unpack(">i", _exactly(line, 4))
        answer = _exactly(line, size)
    # correlation id, one topic with its name, one partition with its number, then the code
    (code,) = struct.unpack_from(">h", answer, 4 + 4 + 2 + len(topic) + 4 + 4)
    return int(code)


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _exactly(line: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        piece = line.recv(size - len(got))
        if not piece:
            raise ConnectionResetError("the broker hung up")
        got += piece
    return bytes(got)
