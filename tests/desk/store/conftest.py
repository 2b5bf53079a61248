"""A PostgreSQL server that a test may end."""

from collections.abc import Iterator

import pytest

from postgres import EACH_SERVER, Server, serving


@pytest.fixture(scope="module", params=EACH_SERVER)
def own_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Yield a PostgreSQL server to be killed."""
    with serving() as server:
        yield server
