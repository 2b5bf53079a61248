"""A desk that another host runs ends with an exit status of its own, and says what to do."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import lease
from nrmbus.bus.kafka.lease import Lease, LeaseHeld
from nrmbus.bus.private_files import write_json
from nrmbus.desk import app
from nrmbus.telemetry import trace

OTHER = Lease("0123456789abcdef", 3, "b" * 32, "host-b", 7, "2026-03-02T09:00:00Z")


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Take back the log and the trace that `app.main` sets up, which later tests of this process would write to."""
    yield
    structlog.reset_defaults()
    trace.shut_down()


def test_a_refused_desk_says_who_runs_it_and_is_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd starts nothing again after status 72: both hosts would only take turns."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="127.0.0.1:1", tls=False)
    write_json(folder.agency("ngo-a").agency_json, {})
    told: list[str] = []

    def held(*_: object) -> None:
        raise LeaseHeld(OTHER)

    monkeypatch.setattr(app, "_until_it_ends", held)
    with pytest.raises(SystemExit) as left:
        app.main(folder, "ngo-a", told.append)

    assert left.value.code == lease.HELD == 72
    assert [OTHER.holder in each and "--take-over" in each for each in told] == [True]
    unit = (Path(__file__).parents[2] / "deploy" / "systemd" / "nrmbus-desk@.service").read_text(encoding="utf-8")
    assert f"RestartPreventExitStatus={lease.HELD}\n" in unit


def test_a_desk_waits_for_a_broker_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a broker too slow to answer, then a desk beside the operator tries again too, and says so once each time; another error ends it."""
    folder, told, pauses = BusFolder(tmp_path), list[str](), list[int]()
    folder.create(bootstrap="127.0.0.1:1", tls=False)
    write_json(folder.agency("ngo-a").agency_json, {})
    marker = folder.unanswered_marker("ngo-a")
    starts: list[KafkaError | None] = [
        KafkaConnectionError(), KafkaTimeoutError(), None, KafkaConnectionError(), UnknownTopicOrPartitionError(),
    ]  # fmt: skip

    async def started(*_: object) -> None:
        error = starts.pop(0)
        if error is None:  # it has worked, and the broker has gone away since
            marker.remove()
            error = KafkaConnectionError()
        raise error

    def pause_after(attempts: int) -> float:
        pauses.append(attempts)
        return 0.0

    monkeypatch.setattr(app, "_run", started)
    monkeypatch.setattr(app, "pause_after", pause_after)
    with pytest.raises(UnknownTopicOrPartitionError):
        app.main(folder, "ngo-a", told.append)

    assert ["tries again until it can work" in each for each in told] == [True, True]
    assert pauses == [1, 2, 1, 2]
    waits = marker.read()
    assert waits is not None
    assert waits.sentence == told[1]


def test_a_desk_whose_ledger_refuses_something_again_and_again_pauses_before_each_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a server that refuses at each start, then the desk asks it and the broker once a second; after a lost connection it begins again at once."""
    folder, log = BusFolder(tmp_path), list[str]()
    folder.create(bootstrap="127.0.0.1:1", tls=False)
    write_json(folder.agency("ngo-a").agency_json, {})
    refused, lost, connected = (
        SimpleNamespace(begins_anew=True, is_refused=is_refused, lost_ledger=lost_ledger)
        for is_refused, lost_ledger in ((True, False), (True, True), (False, False))
    )
    starts = [("refused", refused), ("lost", lost), ("renewed", connected), ("ended", None)]

    def until_it_ends(*_: object) -> object:
        name, ended = starts.pop(0)
        log.append(name)
        return ended

    def pause_after(_: int) -> float:
        log.append("pause")
        return 0.0

    monkeypatch.setattr(app, "_until_it_ends", until_it_ends)
    monkeypatch.setattr(app, "pause_after", pause_after)
    app.main(folder, "ngo-a")

    assert log == ["refused", "pause", "lost", "renewed", "ended"]


def test_a_desk_that_may_not_listen_for_others_is_not_started(tmp_path: Path) -> None:
    """Given `listen` without a certificate or names for one, the start is refused before the door opens, with what to do."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="127.0.0.1:1", tls=False)
    home = folder.agency("ngo-a")
    write_json(home.agency_json, {"listen": {"address": "0.0.0.0", "port": 8443}})  # noqa: S104 - what is refused

    with pytest.raises(BusError, match="without TLS it listens on this machine alone"):
        app.main(folder, "ngo-a")

    assert not home.door.exists()


def test_a_desk_names_what_it_does_not_read_of_its_settings_and_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a slip in the name of a setting, then the start says which names are read, and goes on: an earlier release may have come back."""
    folder, told, started = BusFolder(tmp_path), list[str](), list[str]()
    folder.create(bootstrap="127.0.0.1:1", tls=False)
    write_json(folder.agency("ngo-a").agency_json, {"agency": "ngo-a", "smpt": {"host": "mail.example.org"}})
    monkeypatch.setattr(app, "_until_it_ends", lambda *_: started.append("it runs"))

    app.main(folder, "ngo-a", told.append)

    assert started == ["it runs"]
    assert ["a member that this release does not read" in each and "smtp" in each for each in told] == [True]
    assert "smpt" not in told[0]
