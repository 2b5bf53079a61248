"""Admission on a real broker: entries of a new bus, and the directory as a desk and a registrar read it."""

import asyncio
import errno
from datetime import timedelta
from pathlib import Path

import pytest

from agencies import NOW
from brokers import Broker
from nrmbus.bus.errors import NoBus
from nrmbus.bus.kafka import topics
from nrmbus.bus.wall_clock import wall_now
from nrmbus.directory import (
    RUNNING,
    SERVICES,
    DirectoryError,
    DirectoryReader,
    Identity,
    LogIdentity,
    Operator,
)
from nrmbus.directory.admission import Newcomer, admit, read_directory
from nrmbus.directory.commands import publish, sign_head
from nrmbus.directory.heads import is_due, is_stale
from nrmbus.directory.operator import Admitter
from nrmbus.wire.names import AUDITOR, TEST_AGENCIES

pytestmark = pytest.mark.broker


async def test_a_bus_is_founded_once_and_signs_a_head_of_its_directory(broker: Broker) -> None:
    """The entries are two admitters, the bus's services, the named agencies and a head; a second run adds nothing."""
    folder = broker.fresh_bus(agencies=("ngo-a",))

    assert set(await admit(folder, {"ngo-a": Newcomer("ngo_outreach")}, NOW)) == {"ngo-a", *RUNNING}
    assert await admit(folder, {"ngo-a": Newcomer("ngo_outreach")}, NOW) == ()
    with pytest.raises(DirectoryError, match="role_changed"):
        await admit(folder, {"ngo-a": Newcomer("vac")}, NOW)

    directory = await read_directory(folder)
    assert directory.number == 1 + 1 + len(RUNNING)
    # A test agency joins with the first canary.
    assert SERVICES.keys() - directory.entries.keys() == set(TEST_AGENCIES)
    assert len(directory.roll.admitter_kids) == 2
    assert directory.seal_to("ngo-a", NOW) is not None
    assert directory.head is not None
    assert directory.head.number == directory.number
    now = wall_now()
    assert not is_due(directory, now)
    assert not is_stale(directory, now)
    assert is_due(directory, now + timedelta(hours=1))
    assert is_stale(directory, now + timedelta(hours=3, minutes=1))

    (folder.path / "admitters" / "admitter-b" / "keys" / "admission.seed").unlink()  # it was moved to its person
    assert await admit(folder, {"ngo-a": Newcomer("ngo_outreach")}, NOW) == ()
    with pytest.raises(DirectoryError, match="admitters_missing"):
        await admit(folder, {"ngo-l": Newcomer("ngo_legal")}, NOW)
    assert len(Admitter.here(folder.path)) == 1


async def test_a_start_that_was_cut_is_finished_without_its_list_of_agencies(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a start that was cut after the entries, when the next one names no agencies, then their desks start with the settings of the first.

    An agency with an entry of another role than was announced gets no desk.
    """
    folder = broker.fresh_bus()

    def cut(*_: object) -> bytes:
        raise OSError(errno.EIO, "the power was cut")

    with monkeypatch.context() as patch:
        patch.setattr(Operator, "head", cut)
        with pytest.raises(OSError, match="power"):
            await admit(folder, {"shelter-k": Newcomer("shelter_state", capacity={"women": 4})}, NOW)
    assert "shelter-k" in (await read_directory(folder)).entries
    assert folder.agencies() == ()

    assert await admit(folder, {}, NOW) == ()
    assert folder.agencies() == ("shelter-k",)
    assert folder.agency("shelter-k").settings.capacity == {"women": 4}

    folder.agency("shelter-k").agency_json.unlink()
    with pytest.raises(DirectoryError, match="role_changed"):
        await admit(folder, {"shelter-k": Newcomer("vac")}, NOW)
    assert await admit(folder, {}, NOW) == ()
    assert folder.agencies() == ()


async def test_a_start_says_what_it_leaves_at_a_topic(broker: Broker) -> None:
    """Given letters that somebody had kept for ever in an inbox, when the bus starts, then the operator learns that they are, and how they end."""
    folder, said = broker.fresh_bus(), list[str]()
    await admit(folder, {"ngo-a": Newcomer("ngo_outreach")}, NOW, said.append)
    assert said == []
    await asyncio.to_thread(topics.override, folder.as_operator, ["nrm.inbox.ngo-a"], "retention.ms", "-1")

    await admit(folder, {}, NOW, said.append)

    (sentence,) = said
    assert sentence.startswith("nrm.inbox.ngo-a has retention.ms=-1, not 2592000000: nrmbus topics apply --shorten")


async def test_an_auditor_who_joined_from_elsewhere_is_not_replaced(broker: Broker, tmp_path: Path) -> None:
    """Given an auditor on a machine of her own, when the operator asks for one here, then the refusal comes before keys or a certificate.

    So the way back is open: with keys here, only a new bus could have an auditor elsewhere.
    """
    folder, hers = broker.fresh_bus(), tmp_path / "hers"
    folder.audit(elsewhere=True)
    await admit(folder, {}, NOW)
    operator, directory = Operator(folder.path), await read_directory(folder)
    entry = operator.entry(directory, Identity.at(hers, AUDITOR), RUNNING[AUDITOR], NOW, log=LogIdentity.at(hers))
    assert entry is not None
    await publish(folder, [entry])
    folder.audit(elsewhere=False)

    with pytest.raises(NoBus, match="run nrmbus up --without-auditor"):
        await admit(folder, {}, NOW)
    assert not folder.service(AUDITOR).exists()
    folder.audit(elsewhere=True)
    assert await admit(folder, {}, NOW) == ()


async def test_an_announced_agency_that_joined_elsewhere_gets_no_desk(broker: Broker, tmp_path: Path) -> None:
    """Given a start that failed over one line of its list, and an agency of another line that then joined from its own machine, when the bus starts without a list, then that agency has no desk here."""
    folder = broker.fresh_bus(agencies=("ngo-a",))
    await admit(folder, {"ngo-a": Newcomer("ngo_outreach")}, NOW)
    before = folder.agencies()
    with pytest.raises(DirectoryError, match="role_changed"):
        await admit(folder, {"ngo-a": Newcomer("vac"), "shelter-x": Newcomer("shelter_state")}, NOW)
    elsewhere = Identity.at(tmp_path, "shelter-x")
    entry = Operator(folder.path).entry(await read_directory(folder), elsewhere, "shelter_state", NOW)
    assert entry is not None
    await publish(folder, [entry])

    assert await admit(folder, {}, NOW) == ()

    assert folder.agencies() == before
    assert not folder.agency("shelter-x").admitting_json.exists()


async def test_a_directory_without_fresh_heads_is_stale(broker: Broker) -> None:
    """A reader notices that entries are withheld; a fresh head ends that state, until time passes again."""
    folder = broker.fresh_bus()
    await admit(folder, {}, NOW)
    directory = await read_directory(folder)
    directory.head = directory.last_head = None
    reader = DirectoryReader(folder.as_operator, directory, lambda _: None)

    assert [reader.stale] == [True]
    old = Operator(folder.path).head(directory, wall_now() - timedelta(hours=4))
    await publish(folder, [old])
    async with reader:  # the newest head counts, wherever it stands
        found = [reader.stale, directory.head is None]
    assert found == [False, False]
    assert (await sign_head(folder)).number == directory.number
