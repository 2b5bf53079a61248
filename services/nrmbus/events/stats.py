"""Figures of the mechanism, as they are published. An event about no case: it stands in its publisher's bulletin."""

import base64
import binascii
import re
import zlib
from typing import Annotated, Final

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticKnownError

from nrmbus.events.model import Data, Digest, clear

Period = Annotated[str, Field(pattern=r"^[0-9]{4}(-Q[1-4])?$")]
_PACKED: Final = re.compile(r"^[A-Za-z0-9+/]{4,15000}={0,2}$")


def _is_packed(text: str) -> str:
    if not _PACKED.fullmatch(text):
        raise PydanticKnownError("string_pattern_mismatch", {"pattern": _PACKED.pattern})
    return text


Packed = Annotated[str, AfterValidator(_is_packed), WithJsonSchema({"type": "string", "pattern": _PACKED.pattern})]
"""Bytes, compressed by zlib, in base64.

Python's own matcher checks it: pydantic's writes a repetition out, and takes 3 MiB in every process for one of 15,000.
"""

LARGEST: Final = 4_000_000
"""Bytes of the largest release that is unpacked."""
_EXAMPLE: Final = "eNo9T01PwzAM/SuVzy2sESDRE1eOSNxQVSWpC9aWpIrdbWXqf8dZJY7P79M3cMg0InRffQ1uYegArzbMJwTFq0IWK8RCnvXif9Af50RReLdMKQcrKos5qP1hou8lIz+2Kj5C17Y1zJgpjSoxB/PSfBRmzmkirejA/r7p2TSHp8a8KiPWnbBk32CkgJEpxQKB8QraRyVIB0ehiXAc3DoUpoacLrvNpyXqIPOsA3C9e4dP6Dc1C8m99P3fX53JCwWu3FrtOUuk8o6O5tK89dsfk6peyw=="
_DIGEST: Final = "f5dee0ee15adeeeffc88c4de7894ea8740a69602f17737674bb9bfe7c26ea9fc"


class PeriodPublished(Data):
    """The statistics publish the figures of a year or a quarter; two members of staff release them. Law art. 7.5 [S22]; [D].

    The whole release is in the event: figures for everybody, and for each partition the place of the history up to which
    they count. It is published whole or not at all.
    """

    type = "stats.period_published"
    keyed_by = "agency"

    period: Annotated[Period, clear("Year or quarter, such as 2026 or 2026-Q1", data_class="DC0", example="2026-Q1")]
    k: Annotated[int, clear("No published count is below it", data_class="DC0", ge=2, le=1000, example=11)]
    release: Annotated[Digest, clear("SHA-256 of the release's canonical JSON", data_class="DC0", example=_DIGEST)]
    previous: Annotated[
        Digest | None, clear("SHA-256 of the release that this one corrects", data_class="DC0", example="4" * 64)
    ] = None
    figures: Annotated[
        Packed,
        clear("The release: its canonical JSON, compressed by zlib, in base64", data_class="DC0", example=_EXAMPLE),
    ]


def packed(raw: bytes) -> str:
    """Return *raw* as the field `figures` has it."""
    return base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def unpacked(figures: str) -> bytes | None:
    """Return the bytes in the field `figures`; None if they do not unpack, or are more than a release has."""
    unpacking = zlib.decompressobj()
    try:
        raw = unpacking.decompress(base64.b64decode(figures, validate=True), LARGEST)
    except (zlib.error, binascii.Error, ValueError):
        return None
    return raw if unpacking.eof and not unpacking.unused_data else None
