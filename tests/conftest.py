"""What tests of several rooms share: a real broker.

``broker`` is one for the whole session; `Broker.fresh_bus` empties it, which takes 0.3 s. ``kafka`` is one of its own for
a module that kills or reconfigures it, which takes 1.5 s. Neither touches the network once Kafka is in the cache.
"""

from collections.abc import Iterator

import pytest

from brokers import Broker, running


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for the whole session; begin each test with `Broker.fresh_bus`."""
    with running(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of this module's own, to be killed or reconfigured at will."""
    with running(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker
