"""The public page as a process: it needs no broker and no key, and a kill loses nothing that a code confirmed."""

import asyncio
import json
import os
import re
import signal
import socket
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from intake.given import HOTLINE, KEY, on_disk
from intake.public_page import CANARY, SETTING, Fields, code_in, made, proof, running
from nrmbus import telemetry
from nrmbus.bus import http_server
from nrmbus.bus.errors import BusError, NoBus
from nrmbus.bus.http_server import Server
from nrmbus.bus.private_files import write_json
from nrmbus.bus.vitals import RELEASE
from nrmbus.cli.health import ask, expected
from nrmbus.desk.intake import facts
from nrmbus.host.services import agency_of, is_public_page, pages_here, public_page_of, run_service
from nrmbus.host.spawn import hand_on
from nrmbus.intake.store import IntakeStore
from nrmbus.public.app import main
from nrmbus.public.settings import PublicSettings
from nrmbus.rules.profile_files import load_profile
from nrmbus.wire.keys import keyfile
from nrmbus.wire.keys.keyfile import Passphrase
from patience import PATIENCE


def send(client: httpx.Client, path: str, page: httpx.Response, **fields: str) -> httpx.Response:
    """Fill in the form of *page*, as the page's script would."""
    filled = Fields(page.text).found | fields
    return client.post(path, data=filled | {"proof": proof(filled["slip"])})


@pytest.mark.slow
@pytest.mark.thorough
def test_a_message_outlives_a_kill_and_stands_in_no_log(tmp_path: Path) -> None:
    """No broker runs here. After kill -9 the same address answers, and the code leads to the message."""
    folder = made(tmp_path)
    with running(folder) as (process, url), httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as client:
        found = asyncio.run(ask(folder, public_page_of("hotline")))
        assert found is not None
        assert (found["ready"], found["release"]) == (True, RELEASE)
        assert expected(folder) == (public_page_of("hotline"),)
        assert client.get("/health").status_code == 404
        written = send(client, "/en/write", client.get("/en/write"), text=CANARY)
        process.send_signal(signal.SIGKILL)
        assert process.stdout is not None
        first_log = process.stdout.read()
    with running(folder) as (process, again), httpx.Client(base_url=again, trust_env=False, timeout=PATIENCE) as client:
        assert again == url
        back = send(client, "/en/answer", client.get("/en/answer"), code=code_in(written))
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        log = first_log + process.stdout.read()

    assert asyncio.run(ask(folder, public_page_of("hotline"))) is None
    assert "Nobody has opened your message yet" in back.text
    assert "CANARY" not in log
    assert code_in(written) not in log
    assert len(re.findall(r"127\.0\.0\.1", log)) == 0
    assert b"CANARY" not in on_disk(tmp_path)
    store = IntakeStore(folder.agency("hotline").path)
    thread = store.thread(1)
    store.close()
    assert thread is not None
    hotline = type(HOTLINE)(folder.settings.bus, "hotline")
    message = thread.messages[0]
    assert hotline.opened(message.letter, {KEY.kid: KEY}, id=message.id, ref=thread.ref)["story"]["text"] == CANARY


def test_a_page_whose_port_another_program_has_does_not_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a port that the setting names and another program has, when the page starts, then it ends and says so.

    A web server in front passes people's messages on to that port, whoever listens there.
    """

    async def served(_: Server) -> None:
        """Serve nobody: a page that started would stay."""

    monkeypatch.setattr(http_server, "_PATIENCE", 0.0)
    monkeypatch.setattr(Server, "run_until_told", served)
    monkeypatch.setattr(telemetry, "set_up", lambda *_: None)
    folder = made(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        write_json(folder.agency("hotline").agency_json, {"public": SETTING | {"port": port}})
        with pytest.raises(
            BusError, match=rf"another program has port {port} .* change `port` of `public` in \S+agency"
        ):
            main(folder, "hotline")


@pytest.mark.parametrize(
    ("profile", "lines", "is_told"),
    [
        ("md@2014-03-28", [], True),
        ("md@2014-03-28", [{"number": "112", "name": SETTING["name"]}], False),
        ("az@2022-04-29", [], False),
    ],
)
def test_a_page_without_a_number_says_so_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str, lines: list[object], *, is_told: bool
) -> None:
    """Given a page that names no number to call, when it starts, then its operator is told, and its health tells doctor."""
    asked: list[object] = []

    async def served(server: Server) -> None:
        """Ask the page for its health, and end."""
        headers = {"authorization": f"Bearer {json.loads((page.path / 'public/door.json').read_bytes())['token']}"}
        transport = httpx.ASGITransport(app=cast("Any", server.config.app))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            asked.append((await client.get("/health")).json()["names_number"])

    monkeypatch.setattr(Server, "run_until_told", served)
    monkeypatch.setattr(telemetry, "set_up", lambda *_: None)
    folder = made(tmp_path)
    page = folder.agency("hotline")
    setting = {name: each for name, each in SETTING.items() if name != "phone"}
    write_json(page.agency_json, {"public": setting | {"lines": lines}})
    store = IntakeStore(page.path)
    store.state(facts(load_profile(profile)))
    store.close()
    told: list[str] = []

    main(folder, "hotline", told.append)

    assert any("names no telephone number: set `phone` or `lines`" in each for each in told) is is_told
    assert asked == [not is_told]


def test_a_page_has_no_port_twice() -> None:
    """Given `port` and `listen.port` with one number, then the setting is refused if both are at 127.0.0.1."""
    listen = {"port": 20123, "certificate": "/etc/ssl/page.pem", "key": "/etc/ssl/page.key"}

    def parsed(address: str) -> PublicSettings:
        setting = {"port": 20123, "listen": listen | {"address": address}}
        return PublicSettings.parse(SETTING | setting, Path("agency.json"))

    assert parsed("10.1.2.3").port == 20123
    for address in ("::", "127.0.0.1"):
        with pytest.raises(BusError, match=r"`port` and `listen\.port` of `public` in agency\.json are one port"):
            parsed(address)


def test_an_agency_that_is_not_here_has_no_page(tmp_path: Path) -> None:
    """A mistyped name is told, with the names that there are."""
    with pytest.raises(NoBus, match="there are: hotline"):
        run_service(public_page_of("hotlime"), made(tmp_path))


def test_the_supervisor_starts_it_for_an_agency_that_says_so(tmp_path: Path) -> None:
    """The agency's setting names it; a desk's process gets the passphrase, and the public page's gets none."""
    folder = made(tmp_path)
    write_json(folder.agency("ngo-a").agency_json, {"agency": "ngo-a", "role": "ngo_outreach"})
    (name,) = pages_here(folder, "hotline")

    assert (name, agency_of(name), is_public_page(name)) == (public_page_of("hotline"), "hotline", True)
    assert pages_here(folder, "ngo-a") == ()
    keyfile.hold(Passphrase(b"a passphrase of twelve"))
    try:
        told = {}
        for each in ("hotline", name):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                hand_on(ours, each)
                told[each] = os.read(theirs.fileno(), 1024)
    finally:
        keyfile.hold(None)
    assert told == {"hotline": (22).to_bytes(4) + b"a passphrase of twelve", name: bytes(4)}


@pytest.mark.parametrize("listen", [{"port": "x"}, {"address": "127.0.0.1", "port": 8443}])
def test_a_slip_in_the_pages_address_is_named_as_the_pages(listen: dict[str, object]) -> None:
    """Given a desk with a `listen` of its own, when that of the page has a slip, then the sentence names the page's."""
    with pytest.raises(BusError, match=r"`public\.listen`") as wrong:
        PublicSettings.parse(SETTING | {"listen": listen}, Path("agency.json"))

    assert "The desk" not in str(wrong.value)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("its members", {"names": "x"}),
        ("name", {"name": {"en": "Only"}}),
        ("run_by", {"run_by": "xyzzy"}),
        ("phone", {"phone": "call me"}),
        ("exit", {"exit": "javascript:alert(1)"}),
        ("keep_days", {"keep_days": 0}),
        ("lines", {"lines": [{"number": "112"}]}),
        ("proxies", {"proxies": ["a name"]}),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not(member: str, value: dict[str, object]) -> None:
    """The page does not start with half a setting."""
    with pytest.raises(BusError, match=f"wrong at `{member}`") as wrong:
        PublicSettings.parse(SETTING | value, Path("agency.json"))

    assert str(next(iter(value.values()))) not in str(wrong.value)
    with pytest.raises(BusError, match="wrong at `its members`"):
        PublicSettings.parse(None, Path("agency.json"))
