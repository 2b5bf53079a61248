"""A desk on a machine of its own keeps the list of addresses that the operator signed, and looks there when nobody answers."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from directory.given import Office
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.private_files import write_json
from nrmbus.bus.reach import Reach
from nrmbus.bus.wall_clock import wall_now
from nrmbus.directory.addresses import SILENT_LOOKS, Following

INVITED, MOVED = "old.example.org:9093", "new.example.org:9093"


class Broker:
    """A broker as a desk's connection and a new client meet it."""

    def __init__(self) -> None:
        self.is_connected = True
        self.answers_new_clients = True
        self.asked: list[str] = []

    async def end_offsets(self, _: object) -> dict[object, int]:
        """Answer on the connection that stands, or fail as aiokafka does."""
        if not self.is_connected:
            raise KafkaConnectionError
        return {}

    async def answer(self, where: Reach) -> bool:
        """Answer a new client that comes to *where*."""
        self.asked.append(where.bootstrap)
        return self.answers_new_clients


@pytest.fixture
def folder(tmp_path: Path) -> BusFolder:
    """The folder of a machine that joined by an invitation."""
    made = BusFolder(tmp_path)
    made.create(bootstrap=INVITED, tls=True)
    return made


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """A broker that answers."""
    made = Broker()
    monkeypatch.setattr(clients, "anybody_answers", made.answer)
    return made


@pytest.fixture
def watched(folder: BusFolder, broker: Broker) -> Callable[..., Following]:
    """Makes the watch of a desk whose directory has a head with these addresses."""

    def made(*addresses: str) -> Following:
        directory: Any = SimpleNamespace(head=SimpleNamespace(addresses=addresses or None))
        asked: Any = broker
        return Following(folder, Reach(folder.bootstrap), directory, asked)

    return made


async def test_the_newest_list_comes_before_the_invitation(
    folder: BusFolder, watched: Callable[..., Following]
) -> None:
    """Given a signed list, when a desk looks, then clients made later try it first, and the invitation's address after it."""
    await watched(MOVED).look()

    assert folder.bootstrap == f"{MOVED},{INVITED}"
    folder.forget_addresses()  # as a newer invitation does
    assert folder.bootstrap == INVITED


@pytest.mark.parametrize("misspelt", ["bus..example.org:9093", f"{'b' * 64}.example.org:9093"])
async def test_a_misspelt_name_keeps_no_desk_from_the_other_addresses(
    folder: BusFolder, watched: Callable[..., Following], tmp_path: Path, misspelt: str
) -> None:
    """Given a signed list or an invitation with a name that no client takes, when a desk looks, then it tries the others.

    The head with the name is believed as before.
    """
    office = Office(tmp_path / "office")
    now = wall_now()
    office.directory.add(office.operator.head(office.directory, now, (misspelt, MOVED)))
    head = office.directory.head
    assert head is not None
    assert head.addresses == (misspelt, MOVED)

    await watched(*head.addresses).look()
    assert folder.bootstrap == f"{MOVED},{INVITED}"
    write_json(folder.path / "addresses.json", [misspelt])
    write_json(folder.path / "bus.json", {"bus": "0" * 16, "created": "", "bootstrap": f"{misspelt},{INVITED}"})
    assert folder.bootstrap == INVITED


async def test_a_list_that_cannot_be_read_hides_no_invitation(folder: BusFolder) -> None:
    """Given half a file, or one with other things, then the invitation's address serves."""
    for content in ("[", '[1, "not an address", null]'):
        (folder.path / "addresses.json").write_text(content)
        assert folder.bootstrap == INVITED


async def test_a_desk_connects_again_when_a_broker_answers_elsewhere(
    broker: Broker, watched: Callable[..., Following]
) -> None:
    """Given silence on its connections, when a new client is answered, then the desk must connect again, and not at the first silence."""
    watch = watched(MOVED)
    assert not await watch.look()
    broker.is_connected = False

    assert [await watch.look() for _ in range(SILENT_LOOKS)] == [False] * (SILENT_LOOKS - 1) + [True]
    assert broker.asked == [f"{MOVED},{INVITED}"]


async def test_a_desk_keeps_its_door_while_nobody_answers(broker: Broker, watched: Callable[..., Following]) -> None:
    """Given silence everywhere, when a desk looks, then it goes on as it is; an answer on its connections ends the silence."""
    watch = watched()
    broker.is_connected = broker.answers_new_clients = False
    assert not any([await watch.look() for _ in range(3 * SILENT_LOOKS)])
    broker.is_connected = True
    await watch.look()
    broker.is_connected, broker.answers_new_clients = False, True

    assert not await watch.look()


async def test_a_newer_invitation_is_followed(
    folder: BusFolder, broker: Broker, watched: Callable[..., Following]
) -> None:
    """Given that nrmbus join stored another address while the desk runs, when nobody answers, then it is tried."""
    watch = watched()
    write_json(folder.path / "bus.json", {"bus": "0" * 16, "created": "", "bootstrap": MOVED})
    broker.is_connected = False

    assert [await watch.look() for _ in range(SILENT_LOOKS)][-1]
    assert broker.asked == [MOVED]
