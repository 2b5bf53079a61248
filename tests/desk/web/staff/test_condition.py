"""The page that says in words how the desk is, and the tasks about it."""

import json
from datetime import timedelta
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from agencies import SIGNAL
from desk.web.staff.given import office, text_of
from nrmbus.bus.agency_folder import BACKED_UP
from nrmbus.bus.vitals import WAITS
from nrmbus.bus.wall_clock import wall_now
from nrmbus.desk.state import beginnings, book, integrity, older_copy
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import open_task
from nrmbus.desk.web.notices.dispatcher import TASKS
from nrmbus.desk.web.staff import condition
from nrmbus.desk.webhooks import store
from nrmbus.desk.witness import cosignatures
from nrmbus.directory import epochs
from nrmbus.web.words import Words
from nrmbus.wire import times


async def test_the_state_of_the_desk_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to do, or what to do; keys and certificates with their ends."""
    async with office(tmp_path) as it:
        await it.signed_in("Admin Example", "administrator")
        good = text_of(await it.get("/condition"))
        assert "Nothing needs to be done." in good
        assert "Everything that came was read." in good
        bad = {
            "ready": False, "held_up": "entry_not_asked", "trouble": "inbox_gap", "lag": 3, "parked": 2, "clock_ahead": 90.0,
            "keys_sealed": False, "sealing_key": {"ends": "2026-03-10T05:00:00Z"}, "release": "0.1.0",
            "ledger_older": {"sentence": "The ledger is older."}, "door_certificate": {"ends": "2026-03-09T05:00:00Z"},
            "token_ends": {"token": "booking", "ends": "2026-03-08T05:00:00Z"}, "mail": {"since": "2026-03-02T05:00:00Z"},
        }  # fmt: skip

        async def health() -> dict[str, object]:
            return bad

        monkeypatch.setattr(it.here.behind, "health", health)
        vitals = {"certificate_left": -1.0, "disk_free": 5.0, "disk_size": 100.0}
        monkeypatch.setattr(it.here.behind, "vitals", lambda: vitals)
        page = text_of(await it.get("/condition"))
        for words in (
            "12 things need somebody.", "did not ask for", "A delivery is missing", "2 cases wait", "2 minutes off",
            "lie open on the disk", "8 March 2026", "9 March 2026", "5 % free", "The ledger is older.", "no notice since 2 March",
        ):  # fmt: skip
            assert words in page


async def test_an_event_without_an_answer_is_something_to_do(tmp_path: Path) -> None:
    """Given an event that the registrar does not answer, then the page says so from the time on from which `nrmbus doctor` does, and since when."""
    async with office(tmp_path) as it:
        await it.signed_in("Admin Example", "administrator")
        await it.here.said(type="case.signal_recorded", data=SIGNAL)
        it.here.clock.time += WAITS
        waits = text_of(await it.get("/condition"))
        assert "Nothing needs to be done." in waits
        assert "1 event waits for the answer of the bus." in waits

        it.here.clock.time += timedelta(seconds=1)
        late = text_of(await it.get("/condition"))
        assert "1 thing needs somebody." in late
        assert "The oldest event has had no answer since 2 March 2026" in late


async def test_webhooks_and_backups_are_said_in_words(tmp_path: Path) -> None:
    """Which receiver takes what is sent, since when one does not, and when the last backup was made; of an address only host and port."""
    home = tmp_path / "agencies" / "ngo-a"
    home.mkdir(parents=True)
    async with office(tmp_path) as it:
        await it.signed_in("Admin Example", "administrator")
        it.here.behind.home = home
        assert "Backup This machine knows of none." in text_of(await it.get("/condition"))
        long_ago, at = "2026-03-01T04:00:00Z", "2026-03-02T05:00:00Z"
        async with it.here.desk.seat.ledger.write() as tx:
            works, paused, disabled, failing = (
                store.add(tx, f"https://{host}/CANARY/nrmbus?key=CANARY", [], in_order=False, at=at)
                for host in ("works.example.org", "paused.example.org:8443", "[2001:db8::1]:9000", "[2001:db8::2]")
            )
            store.change(tx, paused, state="paused", since=at)
            store.change(tx, disabled, state="disabled", since=at)
            store.change(tx, failing, failing=at)
            row = {"webhook": works, "message": "m", "type": "t", "subject": "", "about": "", "time": at, "due": at}
            tx.execute(tables.deliveries.insert(), row | {"state": "delivered", "closed": long_ago})
        (tmp_path / BACKED_UP).write_text(json.dumps({"generation": 1, "made": long_ago}))
        page = text_of(await it.get("/condition"))
        (home / BACKED_UP).write_text(json.dumps({"generation": 2, "made": times.write(wall_now())}))
        newer = text_of(await it.get("/condition"))

    assert f"Webhook {works} to works.example.org Works. Last taken on 1 March 2026" in page
    assert f"Webhook {paused} to paused.example.org:8443 Paused since 2 March 2026" in page
    assert f"Webhook {disabled} to [2001:db8::1]:9000 Disabled since 2 March 2026" in page
    assert f"Webhook {failing} to [2001:db8::2] Fails since 2 March 2026" in page
    assert "CANARY" not in page
    assert "Backup The last one was complete on 1 March 2026" in page
    assert ("4 things need somebody." in page, "3 things need somebody." in newer) == (True, True)


async def test_tasks_about_the_desk_are_the_administrator_s(tmp_path: Path) -> None:
    """A refused address names the colleague and what to do, and can be marked as done; a case's task is not shown here."""
    async with office(tmp_path) as it:
        await it.signed_in("Admin Example", "administrator")
        gone = await it.example("Leyla Example", "worker")
        about = json.dumps({"sentence": TASKS["mail_refused"], "member": gone.number})
        async with it.here.desk.seat.ledger.write() as tx:
            for subject, kind in (("", "mail_refused"), ("ab" * 16, "read"), ("", "alarm")):
                said = about if kind == "mail_refused" else "{}"
                open_task(tx, opened="2026-03-02T05:00:00Z", subject=subject, event_id=kind, kind=kind, about=said)
        page = text_of(await it.get("/condition"))
        assert "2 things need somebody." in page
        assert "Leyla Example" in page
        assert "refused the address of a colleague for good" in page
        assert "Alarm" in page

        assert (await it.send("/condition/tasks/2/done")).status_code == 404
        assert (await it.send("/condition/tasks/1/done")).status_code == 303
        assert "1 thing needs somebody." in text_of(await it.get("/condition"))


async def test_an_alarm_is_on_the_page_behind_more_tasks_than_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given more tasks about mails than the page shows, then a later alarm is on the page, and can be marked as done; the page counts all, and says how many it shows."""
    monkeypatch.setattr(condition, "_MOST_TASKS", 3)
    async with office(tmp_path) as it:
        await it.signed_in("Admin Example", "administrator")
        async with it.here.desk.seat.ledger.write() as tx:
            for number, kind in enumerate([*["mail_failed"] * 5, "alarm"]):
                open_task(tx, opened="2026-03-02T05:00:00Z", subject="", event_id=str(number), kind=kind, about="{}")
        page = text_of(await it.get("/condition"))
        done = await it.send("/condition/tasks/6/done")
        after = text_of(await it.get("/condition"))

    assert "6 things need somebody." in page
    assert "3 of 6 tasks are shown. The next ones appear once these are done." in page
    assert "Alarm" in page
    assert done.status_code == 303
    assert "5 things need somebody." in after
    assert "Alarm" not in after


def test_each_task_about_the_desk_is_told_in_the_reader_s_language() -> None:
    """Given a sentence with days and numbers, which no catalogue has, then the kind of the task has words of its own."""
    kinds = [
        *get_args(epochs.State), beginnings.TASK, older_copy.TASK, integrity.TASK, book.TASK, cosignatures.TASK, *store.TASKS,
        "inbox_gap", "inbox_forked", "not_available", "not_a_delivery", "settings_drift",
    ]  # fmt: skip

    for language in ("az", "ru"):
        t = Words(language, ZoneInfo("Asia/Baku"))
        assert [each for each in kinds if not t.meaning("task", each)] == []
        assert "30" in condition.in_words(t, "ledger_lost", "The ledger of this desk was gone on 2 March.")
    assert condition.in_words(Words("en", ZoneInfo("Asia/Baku")), "ledger_lost", "It was gone.") == "It was gone."
