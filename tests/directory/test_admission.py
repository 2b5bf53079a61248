"""Admission on a real broker: what a bus from an earlier release gets at its next start."""

from datetime import UTC, datetime

import pytest

from brokers import Broker
from directory.test_directory import without_witness
from nrmbus.bus import clients
from nrmbus.bus.folder import write_json
from nrmbus.directory import SERVICES, Directory, Identity, Operator, operator_key
from nrmbus.directory.admission import admit, read_directory
from nrmbus.directory.reader import TOPIC
from nrmbus.wire import statement
from nrmbus.wire.keys import SigningKey

NOW = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)

pytestmark = pytest.mark.broker


async def test_an_agency_from_before_there_were_witnesses_becomes_one_at_the_next_start(broker: Broker) -> None:
    """By a new entry with the keys that it has; the auditor gets the keys of its logs; done twice, nothing is new."""
    folder = broker.fresh_bus(agencies=("ngo-a", "ngo-l"))
    operator = Operator(folder.path)
    key = SigningKey.from_seed((folder.keys / "operator.seed").read_bytes())
    directory = Directory(folder.settings.bus, operator_key(folder.path))
    before = Identity.at(folder.agency("ngo-a").path, "ngo-a")
    elsewhere = Identity.at(folder.path / "elsewhere", "ngo-l")
    async with clients.producer(folder.bootstrap) as producer:
        for identity in (before, elsewhere):
            entry = statement.sign("directory", without_witness(directory, operator, identity), key)
            directory.add(entry)
            await producer.send_and_wait(TOPIC, value=entry, key=identity.agency.encode(), partition=0)
    write_json(folder.agency("ngo-a").agency_json, {"agency": "ngo-a", "role": "ngo_outreach"})

    assert set(await admit(folder, {}, NOW)) == {"ngo-a", *SERVICES}
    assert await admit(folder, {}, NOW) == ()

    now = await read_directory(folder)
    assert [each.public for each in now.witnesses()] == [before.witness.public]
    assert now.verify_key("ngo-a", before.signing.kid, NOW).public == before.signing.public
    assert len(now.log_keys()) == 1
