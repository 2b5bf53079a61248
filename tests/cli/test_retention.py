"""A bus whose profile names years: what was kept long enough leaves it by itself, and everything else goes on and verifies."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nrmbus.auditor.erased import certificate
from nrmbus.auditor.history import Audited, audited
from nrmbus.bus import clients
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.cli import stripping
from nrmbus.cli.app import app
from nrmbus.cli.supervisor import Supervisor
from nrmbus.play.bus import BusStage
from nrmbus.play.scenario import Participant
from nrmbus.play.stage import Words
from nrmbus.registrar.rewriting import GONE_SECONDS
from nrmbus.wire.record import MATERIAL
from patience import until
from profiled import NAME, with_profile, years

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

STARTS = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)
CASE, OPEN_CASE, NEW_CASE = "ab" * 16, "cd" * 16, "ef" * 16
TOWN = {"ngo-a": Participant(role="ngo_outreach"), "special-unit": Participant(role="special_unit")}
SIGNAL = {
    "detector": "ngo_outreach",
    "child": False,
    "urgency": "normal",
    "detected_abroad": False,
    "basis": ["indicators"],
}
CANARY = "CANARY-kept-too-long"


@contextmanager
def up(home: Path, patch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """A fresh bus for playing whose profile keeps everything for a year."""
    policy = with_profile(home, patch, years)
    folder = BusFolder(home / "bus")
    folder.create(play=True, policy=policy)
    with Supervisor(folder) as supervisor:
        yield supervisor


def said(by: str, type_: str, case: str, at: datetime, data: dict[str, Any], **more: Any) -> Words:
    """Something that one agency says."""
    return Words(by=by, type=type_, subject=case, time=at, actor="S-1", data=data, **more)


def signal(case: str, at: datetime) -> Words:
    """The first of a case, with a letter."""
    return said("ngo-a", "case.signal_recorded", case, at, SIGNAL, sealed={"notes": CANARY})


def seen(folder: BusFolder) -> Audited:
    """The history, every signature verified."""
    return asyncio.run(audited(folder))


def gone(folder: BusFolder) -> list[int]:
    """The numbers whose envelopes are gone."""
    try:
        return [each.registration.number for each in seen(folder).history.entries if each.ended]
    except BusError as error:  # in the moment between the new history and the cut
        if "being written anew" not in str(error):
            raise
        return []


def close_a_case(stage: BusStage) -> None:
    """Two signals; one is dismissed."""
    stage.admit(TOWN, NAME, STARTS)
    for case in (CASE, OPEN_CASE):
        assert stage.publish(signal(case, STARTS)).registered
    dismissed = said("ngo-a", "case.signal_dismissed", CASE, STARTS, {"reason": "no_indicator"})
    assert stage.publish(dismissed).registered


def settings(folder: BusFolder, topics: list[str], name: str, value: str) -> None:
    """Set one setting of *topics*."""
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource  # noqa: PLC0415 - see clients.admin

    admin = clients.admin(folder.as_operator)
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resources = [ConfigResource(ConfigResource.Type.TOPIC, each, incremental_configs=[entry]) for each in topics]
    for future in admin.incremental_alter_configs(resources).values():
        future.result(10)


def files_with(folder: BusFolder, secrets: list[bytes]) -> list[str]:
    """The files of broker, registrar, timekeeper, auditor and logs in which any of *secrets* stands."""
    homes = [folder.kafka, folder.logs, *(folder.service(each) for each in stripping.STAND_STILL)]
    found = []
    for path in (each for home in homes for each in home.rglob("*") if each.is_file()):
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # deleted meanwhile
            continue
        found += [str(path.relative_to(folder.path))] if any(each in content for each in secrets) else []
    return found


@pytest.mark.broken_trail(
    "anomalies", reason="the days of the inboxes are over too, so nobody can compare them any more"
)
def test_envelopes_of_a_closed_case_leave_the_bus_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year after its closing, and after a hold; who holds it has erased by then, and proved it.

    Whoever reads the history afterwards verifies it whole; the case is none any more, another is served as ever; every
    service starts again on it. When the days of outboxes and inboxes are over too, no file of the bus has the envelopes.
    """
    with up(tmp_path, monkeypatch) as supervisor:
        folder = supervisor.folder
        with BusStage(folder) as stage:
            close_a_case(stage)
            secrets = [dict(each.record.headers)[MATERIAL] for each in entries_of(folder)]
            stage.advance(datetime(2027, 2, 20, tzinfo=UTC))
            held = {"reasons": ["civil_claim"], "until": "2027-03-31"}
            assert stage.publish(
                said("special-unit", "access.hold_placed", CASE, datetime(2027, 2, 20, tzinfo=UTC), held)
            ).registered
            stage.advance(datetime(2027, 3, 20, tzinfo=UTC))
            assert stripping.cases_over(folder) == 0
            due = json.loads(CliRunner().invoke(app, ["retention", "due", "--json", "--data", str(folder.path)]).stdout)
            (row,) = [each for each in due["cases"] if each["case"] == CASE]
            assert (row["through"], row["held_through"], row["over"]) == ("2027-03-02", "2027-03-31", False)
            stage.advance(datetime(2027, 4, 3, tzinfo=UTC))
            assert stripping.cases_over(folder) == 1
            until("all have confirmed", lambda: certificate(seen(folder).history.about(CASE)).complete, 60.0)
            found = certificate(seen(folder).history.about(CASE))
            assert (found.ground, found.decision) == ("retention", None)
            assert {each.agency for each in found.confirmed} == set(TOWN)
        before = [each.signed for each in seen(folder).history.entries]
        assert files_with(folder, secrets)

        half_destroyed = folder.service("registrar") / "keys" / "past" / "sealing-00.gone"
        half_destroyed.parent.mkdir(exist_ok=True)
        half_destroyed.write_bytes(bytes(32))

        supervisor.look_at_what_was_kept()
        until("replaced keys of services are looked through too", lambda: not half_destroyed.exists(), 60.0)
        until("the envelopes are gone", lambda: bool(gone(folder)), 60.0)
        until("the services run again", lambda: set(stripping.running(folder)) == set(stripping.STAND_STILL), 60.0)

        after = seen(folder)
        assert [each.signed for each in after.history.entries][: len(before)] == before
        over = after.history.over(CASE)
        assert over is not None
        course = after.history.about(CASE)
        assert [each.ended for each in course] == [
            each.registration.number < over.registration.number for each in course
        ]
        assert len(gone(folder)) == sum(each.ended for each in course) >= len(secrets)
        with BusStage(folder) as stage:
            now = datetime(2027, 4, 3, 1, tzinfo=UTC)
            stage.admit(TOWN, NAME, now)
            assert stage.publish(signal(NEW_CASE, now)).registered
            assert stage.publish(signal(CASE, now)).code == "unknown_case"
            for service in stripping.STAND_STILL:
                stage.restart(service)
            assert stage.replay() == ()
            stage.advance(now + timedelta(days=800))
            assert stage.replay() == ()
        names = clients.admin(folder.as_operator).list_topics(timeout=10).topics
        boxes = [each for each in names if each.startswith(("nrm.inbox.", "nrm.outbox."))]
        settings(folder, boxes, "retention.ms", "1")
        until("no file has them", lambda: not files_with(folder, secrets), GONE_SECONDS + 15)


def entries_of(folder: BusFolder) -> list[Any]:
    """What was said of the case so far, as it was signed."""
    return [each.said for each in seen(folder).history.about(CASE) if each.said]


def test_a_rewriting_that_was_cut_off_is_finished_before_anybody_reads_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as its marker is there, neither registrar nor timekeeper nor auditor is started; the supervisor finishes it."""
    with up(tmp_path, monkeypatch) as supervisor:
        folder = supervisor.folder
        until("the services run", lambda: set(stripping.running(folder)) == set(stripping.STAND_STILL), 60.0)
        finish, begun = stripping.finish, list[float]()

        def late(folder: BusFolder) -> bool:
            begun.append(time.monotonic())
            return len(begun) > 2 and finish(folder)

        monkeypatch.setattr(stripping, "finish", late)
        folder.rewriting.write_text(json.dumps({"partition": 0, "begin": 0}))
        for service in stripping.STAND_STILL:
            supervisor.kill(service)
        until("it was looked at twice", lambda: len(begun) == 2, 20.0)
        assert stripping.running(folder) == []
        until("the services run again", lambda: set(stripping.running(folder)) == set(stripping.STAND_STILL), 60.0)
        assert not stripping.is_unfinished(folder)


def test_by_hand_only_while_who_reads_it_stands_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`nrmbus retention apply` under running services changes nothing, and says whom to end."""
    with up(tmp_path, monkeypatch) as supervisor:
        folder = supervisor.folder
        until("the services run", lambda: set(stripping.running(folder)) == set(stripping.STAND_STILL), 60.0)
        done = CliRunner().invoke(app, ["retention", "apply", "--data", str(folder.path)])
        assert done.exit_code != 0
        assert "since these run: registrar, timekeeper, auditor." in str(done.exception)
