"""Rows of the ledger about who was given access by whom: supervisors see them, and no page and no route deletes one."""

from collections.abc import Callable
from typing import Literal

from sqlalchemy import Connection, insert

from nrmbus.desk.store import tables

What = Literal["added", "roles", "reset", "removed", "token added", "token removed"]
"""What somebody changed of a member, or of a token of the agency's systems."""
Also = Callable[[Connection], None]
"""Further step of a transaction, which is undone if the step raises."""


def note(tx: Connection, what: What, *, at: str, who: str, of: str, may: str) -> None:
    """Record within *tx* that *who* has changed the member or the token *of*; *may* has its roles or scopes afterwards."""
    tx.execute(insert(tables.staff_changes), {"at": at, "who": who, "member": of, "what": what, "roles": may})
