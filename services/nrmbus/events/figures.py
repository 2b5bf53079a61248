"""Tables of figures and a release of them, with their canonical JSON: the one exchange form of the figures. Pure.

CSV, SDMX, pages and print are made of a `Release` alone, so nothing can be shown that was not released.
"""

import json
import re
from hashlib import sha256
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from nrmbus.events.errors import Invalid, Problem
from nrmbus.events.model import AgencyId, Digest, Frozen
from nrmbus.events.stats import LARGEST

TOTAL: Final = "_T"
"""Key of a total in its dimension, as SDMX writes it."""

UNKNOWN: Final = "unknown"
"""Key of the persons or events of which the fact is not known; such a row counts in the total like every other."""

Unit = Literal["persons", "events", "minutes", "AZN"]
"""Unit of a table's counts: persons (each once), events, minutes (a median), or whole manats."""

Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+.@-]{1,64}$", description="A code of the dimension, or _T")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
PERIOD: Final = re.compile("2[0-9]{3}(-Q[1-4])?")
"""A year or a quarter, as a release names its period."""
Period = Annotated[
    str, Field(pattern=f"^{PERIOD.pattern}$", description="A year or a quarter, such as 2026 or 2026-Q1")
]
ProfileId = Annotated[str, Field(pattern=r"^[a-z0-9-]{2,32}@[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class Row(Frozen):
    """One cell of a table, and the same cell of the year before.

    The change is left to the reader: both numbers are published, so it tells nothing beyond them.
    """

    keys: Annotated[
        tuple[Key, ...], Field(min_length=1, max_length=4, description="One code per dimension, in their order")
    ]
    count: Annotated[
        int | None, Field(description="The count; absent if the cell is suppressed", ge=-(2**53) + 1, le=2**53 - 1)
    ] = None
    before: Annotated[
        int | None,
        Field(description="The count that was published for the year before, if one was", ge=0, le=2**53 - 1),
    ] = None

    @property
    def change(self) -> int | None:
        """Return the change against the year before; None unless both counts are published."""
        return None if self.count is None or self.before is None else self.count - self.before


def _each_once(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    if len(rows) != len({row.keys for row in rows}):
        message = "a table has each cell once"
        raise ValueError(message)
    return rows


class Table(Frozen):
    """One table: its cells by one code per dimension, totals included."""

    id: Annotated[Name, Field(description="Name of the table; stays the same from release to release")]
    title: Annotated[str, Field(min_length=1, max_length=200, description="Title in English; the pages translate it")]
    unit: Annotated[Unit, Field(description="Unit of the counts")]
    dimensions: Annotated[tuple[Name, ...], Field(min_length=1, max_length=4)]
    rows: Annotated[tuple[Row, ...], AfterValidator(_each_once)]

    @model_validator(mode="after")
    def _fits_its_dimensions(self) -> Self:
        if any(len(row.keys) != len(self.dimensions) for row in self.rows):
            message = "a row has one key for each dimension"
            raise ValueError(message)
        return self

    def cell(self, *keys: str) -> int | None:
        """Return the count of the cell *keys*, or None if it is suppressed. Raises KeyError if there is none."""
        for row in self.rows:
            if row.keys == keys:
                return row.count
        raise KeyError(keys)


class Checkpoint(Frozen):
    """Place of the history up to which a release counts, for one partition: the size, and the digest of the last registration."""

    partition: Annotated[int, Field(ge=0)]
    size: Annotated[int, Field(ge=0, description="Number of the last registration that was counted")]
    head: Annotated[Digest, Field(description="SHA-256 of the last registration; 64 zeros before the first")]


class Release(Frozen):
    """Figures of one period, computed from the history up to *checkpoints*. Who computes it again gets the same bytes."""

    format: Literal["nrmbus.figures/1"] = "nrmbus.figures/1"
    bus: Annotated[str, Field(min_length=1, max_length=64, description="Name of the bus")]
    by: Annotated[AgencyId, Field(description="The agency that computed it")]
    period: Period
    k: Annotated[int, Field(ge=1, le=1000, description="No published cell is below it")]
    profile: Annotated[ProfileId, Field(description="Profile of the Rules that was active at the end of the period")]
    checkpoints: tuple[Checkpoint, ...]
    previous: Annotated[Digest | None, Field(description="Digest of the release that this one corrects")] = None
    against: Annotated[
        Digest | None, Field(description="Digest of the release of the year before, whose counts are `before`")
    ] = None
    beside: Annotated[
        tuple[Digest, ...],
        Field(description="Digests of the earlier releases of the same year, beside which no cell can be derived"),
    ] = ()
    tables: tuple[Table, ...]

    def table(self, name: str) -> Table:
        """Return the table *name*. Raises KeyError if there is none."""
        for each in self.tables:
            if each.id == name:
                return each
        raise KeyError(name)

    def to_json(self) -> bytes:
        """Return the canonical JSON (RFC 8785); a suppressed cell has no ``count``.

        It holds text and whole numbers under ASCII names, for which Python's own writer does what the RFC asks.
        """
        return json.dumps(self.to_mapping(), ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON, which names the release."""
        return sha256(self.to_json()).hexdigest()

    @classmethod
    def read(cls, raw: bytes) -> Self:
        """Read a release from its canonical JSON. Raises Invalid for anything else."""
        if len(raw) > LARGEST:
            raise Invalid((Problem("", "too_long"),))
        read = cls.from_json(raw)
        if read.to_json() != raw:
            raise Invalid((Problem("", "json_invalid"),))
        return read
