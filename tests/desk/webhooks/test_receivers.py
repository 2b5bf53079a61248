"""Receivers that are slow, false or gone: the desk looks where it sends, and nobody waits for anybody else."""

import asyncio
import json
import socket
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any
from unittest.mock import Mock

import pytest

from desk.given import desk_of
from desk.webhooks.receiver import LOOPBACK, OTHER_CASE, Got, certified, hear, hooks_of, receiving, says, silence
from nrmbus.desk.errors import DeskError
from nrmbus.desk.webhooks import attempt, sender, store
from nrmbus.desk.webhooks.egress import Egress
from patience import eventually


async def test_nobody_waits_for_a_receiver_that_is_silent_endless_or_false(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One never answers, one answers 300 MB, one has an expired certificate, one redirects to the metadata address."""
    tls, authority = certified(tmp_path, "localhost", expired=True)
    sent = 0

    async def endless(_got: Any, writer: Any) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 x\r\ncontent-length: 314572800\r\n\r\n")
        for _ in range(300):
            writer.write(bytes(1 << 20))
            await writer.drain()
            sent += 1

    metadata = says(302, "location: http://169.254.169.254/latest/meta-data/")
    egress = Egress(LOOPBACK.networks, plain_on_loopback=True, authorities=authority)
    async with desk_of("shelter", tmp_path) as given, hooks_of(given, egress) as hooks:  # noqa: SIM117 - too long
        async with receiving(silence) as mute, receiving(endless) as long, receiving(metadata) as moved:
            async with receiving(tls=tls) as old, receiving() as good:
                for each in (mute, long, moved, good):
                    await hooks.add(each.url, "shelter.*")
                with given.desk.seat.ledger.read() as tx:
                    (first, *_) = store.endpoints(tx)
                async with given.desk.seat.ledger.write() as tx:
                    last = store.add(tx, old.url, ["shelter.*"], in_order=False, at=first.since)
                await hooks.webhooks.rotate(last, timedelta(), "v1")
                event = await hear(given)

                monkeypatch.setattr(sender, "ATTEMPT_SECONDS", 600.0)
                monkeypatch.setattr(sender, "REST_SECONDS", 600.0)
                await hooks.webhooks.once()
                busy = set(hooks.webhooks._tasks)
                await eventually("all but one are done", lambda: sum(not each.done() for each in busy) == 1)

                assert [json.loads(each.body)["data"]["id"] for each in good.got] == [event]
                assert (len(moved.got), len(old.got), len(mute.got)) == (1, 0, 1)
                assert sent < 100
                found = {row.delivery: (row.status, row.error) for row in await given.rows("attempts")}
                assert sorted(map(str, found.values())) == sorted(
                    map(str, [(200, None), (204, None), (302, None), (None, "certificate")])
                )


async def test_an_attempt_ends_after_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that is silent costs its own attempt and no more: it is recorded as a timeout, and tried again."""
    monkeypatch.setattr(sender, "ATTEMPT_SECONDS", 0.05)
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        await hooks.add(receiver.url, "shelter.*")
        receiver.answer = silence
        await hear(given)

        await hooks.settle()

        assert [(row.status, row.error) for row in await given.rows("attempts")] == [(None, "timeout")]


async def test_the_certificate_must_be_that_of_the_name(tmp_path: Path) -> None:
    """The desk connects to the address that it checked, and asks there for the certificate of the name."""
    tls, authority = certified(tmp_path, "localhost")
    egress = Egress(LOOPBACK.networks, authorities=authority)
    async with desk_of("shelter", tmp_path) as given, receiving(tls=tls) as receiver, hooks_of(given, egress) as hooks:
        await hooks.add(receiver.url)
        with pytest.raises(DeskError) as refused:
            await hooks.add(receiver.url.replace("localhost", "127.0.0.1"))

        assert refused.value.code == "webhook_not_confirmed"
        assert refused.value.safe["answer"] == "certificate"
        assert "certificate has ended" in refused.value.detail


async def test_a_port_without_tls_is_not_taken_for_a_wrong_certificate(tmp_path: Path) -> None:
    """Given an https address at a port that speaks plain HTTP, then its owner does not look for a fault in the certificate."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 x\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, desk_of("shelter", tmp_path) as given, hooks_of(given) as hooks:
        with pytest.raises(DeskError) as refused:
            await hooks.add(f"https://localhost:{port}/hook")

    assert refused.value.safe["answer"] == "no_http"
    assert "no TLS" in refused.value.detail


@pytest.mark.parametrize("moved", ["169.254.169.254", "::ffff:127.0.0.1", "fe80::1", "10.0.0.1"])
async def test_a_name_that_moved_to_a_forbidden_address_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: str
) -> None:
    """The guard looks at each attempt: a name that has a forbidden address later is refused, and no connection is made."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        await hooks.add(receiver.url, "shelter.*")
        receiver.connections = 0
        found = [(0, 0, 0, "", (address, 0)) for address in ("127.0.0.1", moved)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: found)
        await hear(given)

        await hooks.settle()

        assert [row.error for row in await given.rows("attempts")] == ["address_refused"]
        assert receiver.connections == 0


async def test_the_connection_goes_to_the_address_that_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is resolved once for an attempt: a second answer, as a rebinding server gives it, is never asked for."""
    looked = list[str]()

    def once(host: str, *_more: Any, **_how: Any) -> list[Any]:
        looked.append(host)
        return [(0, 0, 0, "", ("127.0.0.1" if len(looked) == 1 else "169.254.169.254", 0))]

    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        webhook = await hooks.add(receiver.url, "shelter.*")
        async with given.desk.seat.ledger.write() as tx:
            store.change(tx, webhook, url=receiver.url.replace("localhost", "hooks.ngo.example"))
        monkeypatch.setattr(socket, "getaddrinfo", once)
        await hear(given)

        await hooks.settle()

        assert looked == ["hooks.ngo.example"]
        assert [each.headers["host"] for each in receiver.got] == [f"hooks.ngo.example:{receiver.port}"]


async def test_an_endpoint_must_confirm_before_it_is_told_anything(tmp_path: Path) -> None:
    """By CloudEvents' handshake or by sending a challenge back; an answer of success alone is no consent."""

    async def echo(got: Any, writer: Any) -> None:
        challenge = json.loads(got.body)["data"]["challenge"]
        await says(200, body=json.dumps({"challenge": challenge}).encode())(got, writer)

    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        receiver.allows = None
        with pytest.raises(DeskError, match="did not confirm") as refused:
            await hooks.add(receiver.url)
        assert refused.value.detail == "The receiver answered 204."
        with pytest.raises(DeskError, match="did not confirm") as refused:
            await hooks.add("http://localhost:1/hook")
        assert refused.value.detail == "Nothing listens at this address."
        receiver.allows = "somebody-else.example.org"
        with pytest.raises(DeskError, match="did not confirm"):
            await hooks.add(receiver.url)
        assert await given.rows("webhooks") == []
        receiver.answer = echo
        await hooks.add(receiver.url)
        receiver.allows, receiver.answer = "shelter.nrmbus", says(500)
        await hooks.add(receiver.url)

        assert len(await given.rows("webhooks")) == 2


@pytest.mark.parametrize(
    ("status", "asks", "waits"), [(429, "120", 120), (502, "x", 60), (504, "999999999999", 86_400)]
)
async def test_an_overloaded_endpoint_is_left_alone_for_as_long_as_it_asks(
    tmp_path: Path, status: int, asks: str, waits: int
) -> None:
    """429, 502 and 504 hold back every delivery to that endpoint: for Retry-After, at least a minute, at most a day."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        await hooks.add(receiver.url, "shelter.*")
        receiver.answer = says(status, f"retry-after: {asks}")
        await hear(given)
        await hooks.settle()
        receiver.answer = says(204)
        await hear(given, OTHER_CASE, "ef" * 16)

        hooks.wall.go_on(seconds=waits - 1)
        await hooks.settle()
        assert len(receiver.got) == 1
        hooks.wall.go_on(seconds=1)
        await hooks.settle()

        assert len(receiver.got) == 3


async def test_an_endpoint_has_a_few_requests_under_way_and_one_after_a_failure(tmp_path: Path) -> None:
    """However much waits, a receiver works on eight at a time; while it fails, on one."""
    status, under_way = 204, list[int]()

    async def noted(got: Got, writer: asyncio.StreamWriter) -> None:
        under_way.append(len(hooks.webhooks._lines[webhook].under_way))
        await says(status)(got, writer)

    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        webhook = await hooks.add(receiver.url, "shelter.*")
        receiver.answer = noted
        for number in range(20):
            await hear(given, f"{number:032x}", f"{number:032x}")
        await hooks.settle()
        assert max(under_way) == attempt.CONNECTIONS
        status = 500
        for number in range(20, 24):
            await hear(given, f"{number:032x}", f"{number:032x}")
        await hooks.settle()
        under_way.clear()
        hooks.wall.go_on(seconds=5)
        await hooks.settle()

        assert under_way == [1] * 4


async def test_an_address_that_is_allowed_no_more_fails_and_is_told_of(tmp_path: Path) -> None:
    """The administrator closes a network: its webhooks fail by the schedule, with the reason, and go on if it is opened again."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver:
        async with hooks_of(given) as hooks:
            webhook = await hooks.add(receiver.url, "shelter.*")
        await hear(given)
        async with hooks_of(given, Egress()) as hooks:
            await hooks.settle()
            assert [row.error for row in await given.rows("attempts")] == ["address_refused"]
            pinged = await given.door.post(f"/v1/webhooks/{webhook}/ping")
            assert pinged.json()["code"] == "webhook_address_refused"
        async with hooks_of(given) as hooks:
            hooks.wall.go_on(seconds=5)
            await hooks.settle()

        assert len(receiver.got) == 1
        assert [row.state for row in await given.rows("deliveries")] == [
            "delivered",
            "exhausted",
        ]  # the second is the ping


async def test_a_scheme_in_capital_letters_is_tls_as_well(tmp_path: Path) -> None:
    """A URL's scheme has no case (RFC 3986): the certificate is judged by the authorities that the desk trusts."""
    tls, authority = certified(tmp_path, "localhost")
    async with receiving(tls=tls) as receiver:
        to = sender.Sender(receiver.url.replace("https", "HTTPS"), Egress(LOOPBACK.networks, authorities=authority))
        attempt = await to.post({}, b"{}")
        await to.close()

    assert (attempt.status, attempt.error) == (204, None)


async def test_a_machine_without_another_thread_fails_one_attempt_and_not_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of the receiver could not be looked up once; the next attempt asks again."""
    tls, authority = certified(tmp_path, "localhost")
    async with receiving(tls=tls) as receiver:
        to = sender.Sender(receiver.url, Egress(LOOPBACK.networks, authorities=authority))
        with monkeypatch.context() as full:
            full.setattr(Thread, "start", Mock(side_effect=RuntimeError("can't start new thread")))
            failed = await to.post({}, b"{}")
        attempt = await to.post({}, b"{}")
        await to.close()

    assert failed.status is None
    assert (attempt.status, attempt.error) == (204, None)
