"""Fixtures of the desk's tests, and which of those with a ledger on a server CI runs."""

from pathlib import Path
from typing import Final

import pytest

from desk.cheap import cheap_passwords
from desk.kept import kept, postgresql, server

__all__ = ("cheap_passwords", "kept", "postgresql", "server")

_STORE: Final = Path(__file__).parent / "store"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow each test that runs on a server after it ran on files, but for those of the store.

    What differs between the two kinds of ledger is the store's, and its own tests hold that on both.
    """
    for item in items:
        called = getattr(item, "callspec", None)
        if called is not None and called.params.get("kept") == "postgresql" and _STORE not in item.path.parents:
            item.add_marker(pytest.mark.slow)
