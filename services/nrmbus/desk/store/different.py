"""Different values of an indexed column, without reading each row: both kinds of database read a whole index for DISTINCT."""

from typing import Any

from sqlalchemy import ColumnElement, Select, func, select


def different(column: ColumnElement[Any], *only: ColumnElement[bool]) -> Select[Any]:
    """Return the query for the different values of *column* where *only* holds, in order: one step in the index for each.

    An index begins with *column*, and *only* bounds *column* alone.
    """
    found = select(func.min(column).label("value")).where(*only).cte("found", recursive=True)
    following = select(func.min(column)).where(column > found.c.value, *only).scalar_subquery()
    found = found.union_all(select(following).where(found.c.value.is_not(None)))
    return select(found.c.value).where(found.c.value.is_not(None)).order_by(found.c.value)
