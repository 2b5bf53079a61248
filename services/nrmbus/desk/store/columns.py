"""What every table of a desk's ledger has: the catalogue of tables, and the kinds of columns on both kinds of place."""

from typing import Final

from sqlalchemy import BigInteger, Integer, MetaData, Text

METADATA: Final = MetaData()

INTEGER: Final = Integer().with_variant(BigInteger(), "postgresql")
"""64 bits on both, as the numbers of Kafka and of the registrar are."""
TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")
"""Compared byte by byte on both, whatever the database's language is."""
