"""Shared fixture of this room beyond the broker in plain text: one closed bus."""

from collections.abc import Iterator

import pytest

from bus import closed


@pytest.fixture(scope="session")
def closed_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[closed.Closed]:
    """One closed bus for the session; who alters somebody's rights takes an agency of their own."""
    with closed.running(tmp_path_factory.mktemp("closed")) as bus:
        yield bus
