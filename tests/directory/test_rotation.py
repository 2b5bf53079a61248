"""A change of keys over the topics: the agency asks, two admitters sign where they are, and nothing less enters it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from brokers import Broker
from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli.membership.waiting import NOTHING, listed, signed
from nrmbus.desk.keys.rotation import Rotating
from nrmbus.desk.state.context import Seat
from nrmbus.directory import DirectoryError, commands, joining, rotation
from nrmbus.directory.admission import Newcomer, admit, home_of, read_directory
from nrmbus.directory.entry import Entry
from nrmbus.directory.operator import Admitter, Identity
from nrmbus.directory.operator_inbox import A_PASS, Outcome, answer
from nrmbus.directory.requests import Request
from nrmbus.wire import base64
from nrmbus.wire.names import ANSWERS, AUDITOR

pytestmark = pytest.mark.broker

A, B = "admitter-a", "admitter-b"
AGE = timedelta(days=80)
WAITS, ENTERED = Outcome("ngo-a", done="waiting"), Outcome("ngo-a", done="entered")
CONFIRMED = Outcome("ngo-a", done="confirmed")


@pytest.fixture(name="bus")
async def _bus(broker: Broker) -> BusFolder:
    folder = broker.fresh_bus(play=False)
    await admit(folder, {"ngo-a": Newcomer("ngo_outreach"), "ngo-b": Newcomer("ngo_legal")}, wall_now() - AGE)
    return folder


async def look(bus: BusFolder) -> None:
    """Do what ngo-a's desk does at its next look; its sealing key is in its last days."""
    directory = await read_directory(bus)
    seat = SimpleNamespace(
        me="ngo-a",
        bus=bus.settings.bus,
        directory=directory,
        held_up=None,
        now=wall_now,
        renew=lambda: None,
        identity=Identity.at(bus.agency("ngo-a").path, "ngo-a"),
    )
    await Rotating(bus, cast("Seat", seat)).look()


async def asked(bus: BusFolder, kind: Any = "rotated") -> Request:
    """Return ngo-a's request for new keys."""
    return await commands.ask_for_new_keys(bus, "ngo-a", kind, timedelta(days=14), certified=False)


async def put(bus: BusFolder, request: Request, agency: str = "ngo-a") -> None:
    """Write *request* into the topic of *agency*, as the holder of its certificate may."""
    await rotation.send(bus, bus.agency(agency).path, request)


async def by(bus: BusFolder, request: Request, *names: str) -> Request:
    """*request* with the signatures of these admitters more."""
    for name in names:
        directory = await read_directory(bus)
        request = commands.sign(directory, request, commands.admitter_of(bus, name, directory), wall_now())
    return request


async def shown(bus: BusFolder) -> int:
    """How many records the topic of answers has."""
    topic = TopicPartition(ANSWERS, 0)
    async with clients.reading(bus.bootstrap, topic) as (_, end):
        return int(end)


async def test_keys_change_with_nobody_carrying_a_file(bus: BusFolder) -> None:
    """The desk asks and confirms; two admitters see what waits, and sign; the operator enters it."""
    before = Identity.at(bus.agency("ngo-a").path, "ngo-a")
    assert await listed(bus) == [NOTHING]
    await look(bus)
    assert await answer(bus) == (WAITS,)
    (line,) = await listed(bus)
    assert line.startswith("ngo-a (rotated, ngo_outreach): ")
    assert "signed by nobody yet" in line

    (first,) = await signed(bus, "ngo-a", A)
    assert ("a second admitter" in first.line, first.refused) == (True, False)
    assert await answer(bus) == (WAITS,)
    assert f"signed by {A}" in (await listed(bus))[0]
    (again,) = await signed(bus, None, A)
    assert ("admitter_twice" in again.line, again.refused) == (True, True)
    (second,) = await signed(bus, None, B)
    assert ("the operator enters it" in second.line, second.refused) == (True, False)
    assert await answer(bus) == (ENTERED,)
    assert await listed(bus) == [NOTHING]
    with pytest.raises(DirectoryError, match="nothing_waiting"):
        await signed(bus, "ngo-a", A)

    await look(bus)
    assert await answer(bus) == (CONFIRMED,)
    directory, coming = await read_directory(bus), Identity.next_at(bus.agency("ngo-a").path, "ngo-a")
    sealed_to = directory.seal_to("ngo-a", wall_now())
    assert sealed_to is not None
    assert sealed_to.kid == coming.sealing.kid != before.sealing.kid
    assert directory.opens("ngo-a", before.sealing.kid, wall_now()), "what is under way still comes in"
    assert await answer(bus) == ()


async def test_a_second_signature_of_the_same_moment_is_said_not_to_count(bus: BusFolder) -> None:
    """Given two admitters who sign before the operator has seen either, then one counts, the other is reported, and signs again."""
    await look(bus)
    await answer(bus)
    for name in (A, B):
        (line,) = await signed(bus, "ngo-a", name)
        assert "nrmbus agency waiting" in line.line

    assert await answer(bus) == (WAITS, Outcome("ngo-a", done="twice"))
    assert f"signed by {A}." in (await listed(bus))[0]
    await signed(bus, "ngo-a", B)
    assert await answer(bus) == (ENTERED,)


async def test_an_admitter_who_signs_twice_at_once_is_one(bus: BusFolder) -> None:
    """Given an admitter who gives the command twice before the operator has seen either, then one signature counts, and nobody is asked to sign again."""
    await look(bus)
    await answer(bus)
    for _ in range(2):
        await signed(bus, "ngo-a", A)

    assert await answer(bus) == (WAITS,)
    await signed(bus, "ngo-a", B)
    assert await answer(bus) == (ENTERED,)


@pytest.mark.slow
async def test_an_admitter_signs_from_another_agency_s_place(bus: BusFolder) -> None:
    """A signed request counts by its signatures, whichever topic it came in."""
    await look(bus)
    await answer(bus)
    request = await asked(bus)

    await put(bus, await by(bus, request, A), "ngo-b")
    assert await answer(bus) == (WAITS,)
    await put(bus, await by(bus, request, A, B), "ngo-b")
    assert await answer(bus) == (ENTERED,)


def altered(entry: Entry, **members: Any) -> Request:
    """Return *entry* with other *members*, whatever its signatures."""
    return Request(entry=joining.changed(entry, **members))


async def _unsigned(bus: BusFolder, request: Request) -> Request:
    return altered(request.entry, asked=[])


async def _other_key(bus: BusFolder, request: Request) -> Request:
    return altered((await by(bus, request, A, B)).entry, sealing=(await read_directory(bus)).entries["ngo-b"].sealing)


async def _later(bus: BusFolder, request: Request) -> Request:
    done = await by(bus, request, A, B)
    return altered(done.entry, valid_from="2020-01-01T00:00:00Z", made="2020-01-01T00:00:00Z")


async def _one_twice(bus: BusFolder, request: Request) -> Request:
    entry = (await by(bus, request, A)).entry
    return altered(entry, admitted=[each.model_dump() for each in (*entry.admitted, *entry.admitted)])


async def _a_stranger(bus: BusFolder, request: Request) -> Request:
    entry = (await by(bus, request, A)).entry
    stranger = Admitter.at(Path(bus.path / "elsewhere"), "leyla")
    return Request(entry=joining.admitted_by(entry, stranger.key))


async def _without_its_key(bus: BusFolder, request: Request) -> Request:
    kid = Identity.at(bus.agency("ngo-a").path, "ngo-a").signing.kid
    kept = [each.model_dump() for each in request.entry.asked if each.keyid != kid]
    return await by(bus, altered(request.entry, asked=kept), A)


async def _lost(bus: BusFolder, _request: Request) -> Request:
    return await by(bus, await asked(bus, "lost"), A, B)


async def _suspended(bus: BusFolder, _request: Request) -> Request:
    return await by(bus, await commands.propose(bus, "ngo-a", "suspended"), A, B)


@pytest.mark.slow
@pytest.mark.parametrize(
    "forge",
    [_unsigned, _other_key, _later, _one_twice, _a_stranger, _without_its_key, _lost, _suspended],
    ids=lambda each: each.__name__.strip("_"),
)
async def test_an_invalid_rotation_changes_nothing(bus: BusFolder, forge: Callable[[BusFolder, Request], Any]) -> None:
    """The invalid request is neither entered nor shown to an admitter, in any topic."""
    try:
        forged = await forge(bus, await asked(bus))
    except DirectoryError:  # no admitter's own command signs it
        return
    before = (await read_directory(bus)).digest, await shown(bus)
    for agency in ("ngo-a", "ngo-b"):
        await put(bus, forged, agency)

    outcomes = await answer(bus)
    assert outcomes
    assert all(each.code for each in outcomes)
    assert ((await read_directory(bus)).digest, await shown(bus)) == before
    assert await listed(bus) == [NOTHING]


async def test_an_unsigned_request_counts_in_its_own_topic_only(bus: BusFolder) -> None:
    """Another agency cannot put the request before the admitters."""
    await put(bus, await asked(bus), "ngo-b")

    assert await answer(bus) == (Outcome("ngo-b", "request_invalid"),)


async def test_one_change_of_an_agency_waits_at_a_time(bus: BusFolder) -> None:
    """However many it asks for: admitters are shown one."""
    request = await asked(bus)
    for _ in range(20):
        await put(bus, request)
    assert await answer(bus) == (WAITS,)
    assert await shown(bus) == 1
    assert A_PASS > 20


@pytest.mark.slow
async def test_the_next_pass_enters_a_request_after_a_failure(bus: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two people have signed, and need not sign again because a broker was away."""

    async def fails(_folder: BusFolder, _request: Request) -> None:
        raise KafkaFailed("the broker does not answer")

    await put(bus, await by(bus, await asked(bus), A, B))
    with monkeypatch.context() as patch:
        patch.setattr(commands, "enter", fails)
        assert await answer(bus) == (Outcome("ngo-a", "not_available"),)
    assert await listed(bus) == [NOTHING]

    assert await answer(bus) == (ENTERED,)
    assert await answer(bus) == ()


@pytest.mark.parametrize("who", [AUDITOR, "ngo-a"])
async def test_keys_that_still_lie_there_are_replaced_with_a_signing_key_that_is_gone(bus: BusFolder, who: str) -> None:
    """P5: given a folder whose signing key alone is gone, when its owner asks for other keys, then the request names none of before, and all are in next."""
    home = home_of(bus, who)
    before = (await read_directory(bus)).entries[who]
    (home / "keys" / "signing.seed").unlink()

    wanted = (await commands.ask_for_new_keys(bus, who, "lost", timedelta(), certified=False)).entry
    again = (await commands.ask_for_new_keys(bus, who, "lost", timedelta(), certified=False)).entry

    assert (wanted.log is None) is (who != AUDITOR)
    for purpose in ("signing", "sealing", "witness", "log"):
        old, new = getattr(before, purpose), getattr(wanted, purpose)
        assert (new != old) or new is None, purpose
        assert getattr(again, purpose) == new, purpose
    assert {each.stem for each in (home / "keys" / "next").glob("*.seed")} >= {"signing", "sealing"}


async def test_a_folder_that_was_lost_whole_has_new_keys_in_place(bus: BusFolder) -> None:
    """Given a folder without any key of before, when its owner asks for other keys, then those that were made there are asked for, and none is in next."""
    home = home_of(bus, "ngo-a")
    for each in (home / "keys").glob("*.seed"):
        each.unlink()

    wanted = (await commands.ask_for_new_keys(bus, "ngo-a", "lost", timedelta(), certified=False)).entry

    assert wanted.sealing == base64.encode(Identity.at(home, "ngo-a").sealing.public)
    assert not (home / "keys" / "next").exists()
