"""A bus whose profile names years: a case whose retention period is over is erased at every desk, and the history verifies."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nrmbus.auditor.history.history import Audited
from nrmbus.auditor.history.whole import audited
from nrmbus.auditor.reports.erasure_certificate import certificate
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.app import app
from nrmbus.host.services import SERVICES
from nrmbus.host.supervisor import Supervisor
from nrmbus.play.bus import BusStage
from nrmbus.play.scenario import Participant
from nrmbus.play.stage import Words
from nrmbus.wire.names import CANARY
from patience import until
from profiled import NAME, with_profile, years

pytestmark = pytest.mark.broker

STARTS = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)
HELD_AT = datetime(2027, 2, 20, tzinfo=UTC)
CASE, OPEN_CASE, NEW_CASE = "ab" * 16, "cd" * 16, "ef" * 16
TOWN = {"ngo-a": Participant(role="ngo_outreach"), "special-unit": Participant(role="special_unit")}
SIGNAL = {
    "detector": "ngo_outreach",
    "child": False,
    "urgency": "normal",
    "detected_abroad": False,
    "basis": ["indicators"],
}


def said(by: str, type_: str, case: str, at: datetime, data: dict[str, Any], **more: Any) -> Words:
    """Return an event of one agency."""
    return Words(by=by, type=type_, subject=case, time=at, actor="S-1", data=data, **more)


def signal(case: str, at: datetime) -> Words:
    """Return the first event of a case, with a letter."""
    return said("ngo-a", "case.signal_recorded", case, at, SIGNAL, sealed={"notes": "a synthetic note"})


def seen(folder: BusFolder) -> Audited:
    """Return the history, every signature verified."""
    return asyncio.run(audited(folder))


def retention(folder: BusFolder) -> dict[str, Any]:
    """Return the row of `CASE` in ``nrmbus retention due``."""
    done = CliRunner().invoke(app, ["retention", "due", "--json", "--data", str(folder.path)])
    (row,) = [each for each in json.loads(done.stdout)["cases"] if each["case"] == CASE]
    return dict(row)


def test_every_holder_erases_a_case_whose_retention_period_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a held, closed case, when retention period and hold are over, then all holders erase it, and nobody speaks of it.

    The history loses nothing: every envelope is there, and registrar, timekeeper and auditor start again on it.
    """
    policy = with_profile(tmp_path, monkeypatch, years)
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True, policy=policy)
    with Supervisor(folder) as supervisor:
        with BusStage(folder) as stage:
            stage.admit(TOWN, NAME, STARTS)
            for case in (CASE, OPEN_CASE):
                assert stage.publish(signal(case, STARTS)).registered
            dismissed = said("ngo-a", "case.signal_dismissed", CASE, STARTS, {"reason": "no_indicator"})
            assert stage.publish(dismissed).registered
            stage.advance(HELD_AT)
            held = {"reasons": ["civil_claim"], "until": "2027-03-31"}
            assert stage.publish(said("special-unit", "access.hold_placed", CASE, HELD_AT, held)).registered

            stage.advance(datetime(2027, 3, 20, tzinfo=UTC))
            row = retention(folder)
            assert (row["through"], row["held_through"], row["over"]) == ("2027-03-02", "2027-03-31", False)

            now = datetime(2027, 4, 3, tzinfo=UTC)
            stage.advance(now)
            until("all have confirmed", lambda: certificate(seen(folder).history.about(CASE)).complete)
            found = certificate(seen(folder).history.about(CASE))
            assert (found.ground, found.decision) == ("retention", None)
            assert {each.agency for each in found.confirmed} == set(TOWN)
            assert retention(folder)["over"]

            for service in sorted(SERVICES.keys() - {CANARY}):  # a played bus has none
                stage.restart(service)
            assert stage.publish(signal(NEW_CASE, now)).registered
            assert stage.publish(signal(CASE, now)).code == "unknown_case"
            assert stage.replay() == ()
        assert all(each.said for each in seen(folder).history.about(CASE) if each.registration.verdict == "registered")

        half_destroyed = folder.service("registrar") / "keys" / "past" / "sealing-00.gone"
        half_destroyed.parent.mkdir(exist_ok=True)
        half_destroyed.write_bytes(bytes(32))
        supervisor.look_at_what_was_kept()
        until("the replaced keys of services are destroyed", lambda: not half_destroyed.exists())
