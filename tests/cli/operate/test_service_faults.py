"""Faults of services, by their own health or as seen from another machine: each is a finding with its remedy."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from desk.given import TOKEN, desk_of
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_json
from nrmbus.cli import health
from nrmbus.cli.health import remark_on
from nrmbus.cli.hosts import Placed
from nrmbus.cli.operate.faults import of_hosts
from nrmbus.cli.operate.service_faults import of_peers, of_restarts, of_services, of_stopped
from nrmbus.client.door import Door
from nrmbus.desk.errors import MEANINGS
from nrmbus.desk.store.ledger import finish_task, open_task
from nrmbus.host.services import public_page_of
from nrmbus.wire import times

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
STAMP = "2026-03-02T05:00:00Z"


def test_a_service_that_fails_is_a_finding_with_the_last_line_of_its_log(tmp_path: Path) -> None:
    """The supervisor's report is shown in place of "does not answer", which says less."""
    folder = BusFolder(tmp_path)
    folder.create(play=True)
    failing = {"pid": None, "restarts": 4, "since": "2026-11-27T07:00:00Z", "failing": "The disk is full."}
    write_json(folder.run / "services.json", {"registrar": failing})

    found = list(of_services(folder, {"registrar": None, "timekeeper": None, "auditor": {"ready": True}}))

    assert [(each.code, each.what) for each in found] == [
        ("failing", "registrar is failing: it ended five times in a minute."),
        ("not_answering", "timekeeper does not answer."),
    ]
    assert found[0].why == "Its log ends: The disk is full."


@pytest.mark.parametrize(
    ("minutes", "failing", "is_told"),
    [
        ((25, 15, 5), None, True),
        ((60, 50, 40, 29, 5), None, False),
        ((25, 5), None, False),
        ((4, 3, 2, 1, 0), "The disk is full.", False),
        (None, None, False),
    ],
    ids=["three", "two and earlier ones", "two", "failing, which says more", "an earlier release"],
)
def test_a_service_that_ends_again_and_again_is_a_finding(
    tmp_path: Path, minutes: tuple[int, ...] | None, failing: str | None, *, is_told: bool
) -> None:
    """Given a service that is ready and ended three times within half an hour, for which somebody is woken, then doctor and status name it."""
    folder = BusFolder(tmp_path)
    folder.create(play=True)
    ended = {} if minutes is None else {"ended": [times.write(NOW - timedelta(minutes=each)) for each in minutes]}
    state = {"pid": 8, "restarts": 9, "since": STAMP, **({"failing": failing} if failing else {}), **ended}
    write_json(folder.run / "services.json", {"registrar": state, "auditor": {"pid": 9, "restarts": 0}})

    found = list(of_restarts(folder, NOW))

    assert [(each.code, each.serious) for each in found] == [("restarts", True)] * is_told
    assert all(each.what == "registrar ended 3 times within half an hour, and was started again." for each in found)


@pytest.mark.parametrize(
    ("caught_up", "open_tasks", "is_serious", "mend"),
    [
        (False, [], True, "it catches up automatically"),
        (True, ["ledger_older"], True, "mark the task ledger_older as done"),
        (True, [], False, "mark the task ledger_older as done"),
    ],
)
def test_an_older_copy_is_told_until_a_person_has_seen_it(
    tmp_path: Path, *, caught_up: bool, open_tasks: list[str], is_serious: bool, mend: str
) -> None:
    """It stays in the list as a note, since what did not come back is missing for good."""
    folder = BusFolder(tmp_path)
    folder.create(play=True)
    older = {"caught_up": caught_up, "sentence": "On a day this desk began with an older copy."}
    (found,) = of_services(folder, {"ngo-a": {"ready": True, "ledger_older": older, "open_tasks": open_tasks}})

    assert (found.code, found.why) == ("ledger_older", older["sentence"])
    assert (found.serious, mend in found.mend) == (is_serious, True)


@pytest.mark.parametrize("kind", ["ledger_lost", "ledger_older"])
async def test_a_loss_is_found_behind_any_number_of_older_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A loss stays a fault until somebody has looked at it.

    Given: a desk with 300 older open tasks, whose last task tells of a loss.
    When: the doctor asks the desk.
    Then: the finding is a fault; once that task is done, it is a note.
    """
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True)
    async with desk_of("ngo-a", tmp_path) as here:
        monkeypatch.setattr(Door, "of", lambda _: Door("http://127.0.0.1", TOKEN, transport=here.door._transport))
        async with here.desk.seat.ledger.write() as tx:
            for number in range(300):
                open_task(tx, opened=STAMP, subject=f"{number:032x}", event_id=f"e{number}", kind="read", about="{}")
            open_task(tx, opened=STAMP, subject="", event_id="", kind=kind, about="{}")

        async def found() -> list[tuple[str, bool]]:
            loss = {kind: {"caught_up": True, "sentence": "On a day this desk lost what it had."}}
            answer = await health.ask(folder, "ngo-a") or {}
            return [(each.code, each.serious) for each in of_services(folder, {"ngo-a": {**answer, **loss}})]

        before = await found()
        async with here.desk.seat.ledger.write() as tx:
            finish_task(tx, 301, STAMP)
        after = await found()

    assert (before, after) == ([(kind, True)], [(kind, False)])


@pytest.mark.parametrize(
    ("health", "codes"), [({}, []), ({"names_number": True}, []), ({"names_number": False}, ["number_missing"])]
)
def test_a_public_page_without_a_number_is_found(tmp_path: Path, health: dict[str, Any], codes: list[str]) -> None:
    """Given a page on which a person in danger finds no number to call, then the finding names the agency and the setting."""
    folder = BusFolder(tmp_path)
    folder.create(play=True)
    found = list(of_services(folder, {public_page_of("hotline"): {"ready": True, **health}}))

    assert [each.code for each in found] == codes
    for each in found:
        assert each.what == "The public page of hotline names no telephone number."
        assert "set `phone` or `lines`" in each.mend


def measured(ahead: float | None) -> dict[str, Any]:
    """Return the health of a desk that measured so many seconds; None if it has not measured yet."""
    return {"ready": True, "shown": {} if ahead is None else {"nrmbus_clock_ahead_seconds": ahead}}


@pytest.mark.parametrize("code", ["token_ends", "door_certificate", "mail"])
def test_what_a_system_is_refused_for_soon_is_found_with_the_remedy(tmp_path: Path, code: str) -> None:
    """The desk says what ends, and what to do; the finding has both."""
    health = {"ready": True, code: {"ends": "2026-03-05T00:00:00Z", "sentence": "It ends on 2026-03-05: make another."}}
    (found,) = of_services(BusFolder(tmp_path), {"ngo-a": health})

    assert (found.code, found.what, found.mend) == (code, "ngo-a: It ends on 2026-03-05.", "make another")


@pytest.mark.parametrize(("ahead", "says"), [(90.0, "90 s ahead of the broker's"), (-3600.5, "s behind the broker's")])
def test_a_wrong_clock_is_told_with_the_difference(tmp_path: Path, ahead: float, says: str) -> None:
    """Given a desk that measured another time at the broker, then the finding has the difference and the command; seconds do no harm."""
    folder = BusFolder(tmp_path)

    (found,) = of_services(folder, {"ngo-a": measured(ahead)})
    assert (found.code, found.serious) == ("clock_skew", True)
    assert says in found.what
    assert "timedatectl" in found.mend
    for harmless in (None, 0.0, 2.0, -2.0):
        assert list(of_services(folder, {"ngo-a": measured(harmless)})) == []


PEER = {
    "agency": "ngo-b",
    "suspended": False,
    "connected": ["192.0.2.7"],
    "certificate_ends": "2999-01-01T00:00:00+00:00",
}


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        ({"outbox_oldest_seconds": 901}, "outbox_waits"),
        ({"webhooks_stopped": 1}, "webhook_stopped"),
        ({"webhook_oldest_seconds": 3601}, "webhook_waits"),
        ({"cases_parked": 1}, "parked"),
        ({"cases_unreadable": 1}, "deadlines_unknown"),
        ({"witness_alarms": 1}, "checkpoint_contradicts"),
        ({"registrations_not_cosigned": 3, "checkpoint_age_seconds": 901}, "checkpoint_stale"),
        ({"registrations_unsigned": 3, "checkpoint_age_seconds": 7201}, "checkpoint_stale"),
    ],
)
def test_what_the_numbers_of_a_service_show_is_a_finding(tmp_path: Path, shown: dict[str, float], code: str) -> None:
    """Given a ready service, then a number past its limit is a fault, and a number before the limit is none."""
    named = {f"nrmbus_{name}": value for name, value in shown.items()}

    (found,) = of_services(BusFolder(tmp_path), {"ngo-a": {"ready": True, "shown": named}})
    assert (found.code, found.serious) == (code, True)
    seconds = {name: value - 2 for name, value in named.items() if name.endswith("_seconds")}
    harmless = {**named, **seconds} if seconds else dict.fromkeys(named, 0.0)
    assert list(of_services(BusFolder(tmp_path), {"ngo-a": {"ready": True, "shown": harmless}})) == []


def test_a_standby_host_that_is_away_is_found() -> None:
    """Given a service that should stand by on another host, then there is a finding while the service is away."""
    there = Placed("host-b", "registrar", "stands by", "10.0.0.2", "2026-04-01T00:00:00+00:00")
    away = replace(there, service="timekeeper", state="away", connected=None)

    (found,) = of_hosts([there, away])

    assert (found.code, found.serious) == ("standby_away", True)
    assert "timekeeper of standby host host-b" in found.what


def test_a_standby_host_with_old_keys_is_found() -> None:
    """Given a connected host with former keys of a service, then a finding names the command to revoke the host."""
    old = Placed("host-b", "registrar", "old keys", "10.0.0.2", "2026-04-01T00:00:00+00:00")

    (found,) = of_hosts([old])

    assert (found.code, found.serious) == ("standby_old_keys", True)
    assert "nrmbus standby revoke host-b" in found.mend


def test_a_standby_host_on_which_a_service_does_not_run_is_found(tmp_path: Path) -> None:
    """Given a standby host with keys of a stopped service, then a fault names the command to start the service."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="kafka:9092", tls=False)
    folder.keys.mkdir(exist_ok=True)
    (folder.keys / "operator.pub").write_bytes(b"of another machine")
    folder.be_host("host-b")
    for each in ("registrar", "timekeeper"):
        (folder.service(each) / "keys").mkdir(parents=True)

    with folder.among("registrar"):
        (found,) = of_stopped(folder, ())
    assert (found.code, found.serious, found.what) == ("stopped", True, "The timekeeper does not run.")
    assert found.mend == f"nrmbus run timekeeper --data '{tmp_path}'"
    assert [each.what for each in of_stopped(folder, ())] == ["The registrar does not run.", found.what]


def test_peers_are_looked_at() -> None:
    """Given agencies on other machines, then a certificate that nobody renews is a fault, and silence is a note."""
    soon = (NOW + timedelta(days=3)).isoformat()
    assert list(of_peers([PEER, {**PEER, "suspended": True, "connected": []}], (), NOW)) == []

    found = list(of_peers([{**PEER, "certificate_ends": soon, "connected": []}], (), NOW))
    assert [(each.code, each.serious) for each in found] == [("certificate", True), ("silent", False)]
    assert list(of_peers([{**PEER, "connected": []}], {"ngo-b"}, NOW)) == [], "it is asked itself"


def test_a_timekeeper_that_sees_no_desk_is_a_fault_and_a_desk_that_is_away_a_remark(tmp_path: Path) -> None:
    """A timekeeper without its right at the broker shows no silent agency. An absent desk is named, without a fault."""
    folder = BusFolder(tmp_path)
    folder.create(play=True)
    blind: dict[str, Any] = {"ready": True, "desks_unseen": True, "desks_away": []}
    away = {"ready": True, "desks_unseen": False, "desks_away": ["ngo-l"]}

    (found,) = of_services(folder, {"timekeeper": blind})
    assert (found.code, found.mend, found.serious) == (
        "desks_unseen",
        "nrmbus check; if each step succeeds, nrmbus topics apply",
        True,
    )
    assert "nrmbus doctor" in remark_on(blind)
    assert list(of_services(folder, {"timekeeper": away})) == []
    assert remark_on(away).startswith("No desk is connected of ngo-l: call the agency.")


def test_a_desk_that_is_connected_and_stands_still_is_a_fault(tmp_path: Path) -> None:
    """Its own health says why; the timekeeper's says so of a desk on another machine too, which the operator cannot ask."""
    folder = BusFolder(tmp_path)
    folder.create(play=True)
    seen: dict[str, Any] = {"ready": True, "desks_unseen": False, "desks_away": [], "desks_still": ["shelter"]}
    stuck = {"ready": False, "trouble": "inbox_gap", "lag": 4}

    found = list(of_services(folder, {"timekeeper": seen, "shelter": stuck}))

    assert [(each.code, each.serious) for each in found] == [("standing_still", True), ("not_ready", True)]
    assert found[0].what == "The desk of shelter is connected, and has read nothing of what waits for it for a minute."
    assert found[1].why == MEANINGS["inbox_gap"].sentence
    assert remark_on(seen).startswith("The desk of shelter stands still")
