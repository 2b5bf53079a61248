"""The intake file: sealed, bounded, shared by two processes, and empty of what was deleted."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from intake.given import CANARY, HOTLINE, ID, KEY, NOW, WRITTEN, days_pass, holder, on_disk, opened, take
from nrmbus.intake.messages import MOST_CHARACTERS, Written
from nrmbus.intake.store import FILE, FOLDER, MOST_MESSAGES, IntakeStore, NoKey, StoreFull, TooMany
from nrmbus.wire.errors import LetterClosed
from nrmbus.wire.ids import new_event_id
from nrmbus.wire.keys.keys import SealingKey
from nrmbus.wire.letter import Container, Sealed
from patience import until


def answered(store: IntakeStore, text: str, who: int = 1) -> bool:
    """Have the hotline answer the thread of person *who*."""
    thread = store.threads()[0]
    letter = HOTLINE.seal_answer(text, KEY.seal_to, holder(who).key.seal_to, id=ID[:-1] + "9", ref=thread.ref)
    return store.answer(thread.number, ID[:-1] + "9", "a-17", letter, KEY.kid, last=thread.messages[-1].row, now=NOW)


def newest(store: IntakeStore, number: int) -> int:
    """Return the newest row of a thread, as a worker's page has it."""
    thread = store.thread(number)
    assert thread is not None
    return thread.messages[-1].row


def test_a_message_opens_for_the_hotline_alone(tmp_path: Path) -> None:
    """The file has no word of it in the clear, and neither the code's holder nor another key opens it."""
    store, person = opened(tmp_path), holder()

    take(store, person)

    (thread,) = store.threads()
    found = store.thread(thread.number)
    assert found is not None
    (message,) = found.messages
    assert Written.of_parts(HOTLINE.opened(message.letter, {KEY.kid: KEY}, id=ID, ref=person.ref)) == WRITTEN
    assert b"CANARY" not in on_disk(tmp_path)
    other = SealingKey(b"\x22" * 32)
    with pytest.raises(LetterClosed):
        HOTLINE.opened(message.letter, {other.kid: other}, id=ID, ref=person.ref)
    with pytest.raises((LetterClosed, KeyError)):
        HOTLINE.opened_by(person, message.letter, id=ID)


def test_an_answer_opens_for_the_codes_holder_and_for_the_hotline(tmp_path: Path) -> None:
    """Another person's code opens nothing, and the file shows no word."""
    store, person = opened(tmp_path), holder()
    take(store, person)

    assert answered(store, CANARY)

    found = store.found(person.ref, now=NOW)
    assert found is not None
    answer = found.messages[-1]
    assert HOTLINE.opened_by(person, answer.letter, id=answer.id) == CANARY
    assert HOTLINE.opened(answer.letter, {KEY.kid: KEY}, id=answer.id, ref=person.ref)["story"]["text"] == CANARY
    with pytest.raises(LetterClosed):
        HOTLINE.opened_by(replace(holder(2), ref=person.ref), answer.letter, id=answer.id)
    assert b"CANARY" not in on_disk(tmp_path)


def test_a_long_message_is_on_disk_like_any_other(tmp_path: Path) -> None:
    """The longest text that the page takes fits, in any script; a few words take as much room as a page of them."""
    store = opened(tmp_path)
    for number, text in enumerate(("help", "x" * 700, "ş" * MOST_CHARACTERS)):
        take(store, holder(number + 1), f"{ID[:-1]}{number}", Written(text, "az"))

    sizes = [len(store.thread(each).messages[0].letter) for each in (1, 2, 3)]  # type: ignore[union-attr]

    assert sizes[0] == sizes[1] < sizes[2] < 24_000


def test_whose_turn_it_is_follows_from_the_messages(tmp_path: Path) -> None:
    """New until opened, waiting while the person spoke last, then answered; danger comes before the rest."""
    store = opened(tmp_path)
    take(store, holder(1))
    take(store, holder(2), ID[:-1] + "2", danger=True)

    assert [(each.number, each.state, each.danger) for each in store.threads()] == [(2, "new", True), (1, "new", False)]
    store.mark_read(2, NOW, last=newest(store, 2))
    assert store.threads()[0].state == "waiting"
    assert answered(store, "come at ten", 2)
    assert [(each.number, each.state) for each in store.threads()] == [(1, "new"), (2, "answered")]
    take(store, holder(2), ID[:-1] + "3")
    assert store.threads()[0].state == "waiting"
    store.finish(2, NOW, last=newest(store, 2))
    assert store.threads()[-1].state == "closed"
    take(store, holder(2), ID[:-1] + "4")
    assert store.threads()[0].state == "waiting"


@pytest.mark.parametrize("delete", [False, True])
def test_a_message_that_came_meanwhile_is_neither_closed_away_nor_deleted(tmp_path: Path, *, delete: bool) -> None:
    """The worker's page does not show it yet: it stays unread, and is told of."""
    store = opened(tmp_path)
    take(store, holder(), ID[:-1] + "1")
    seen = newest(store, 1)
    take(store, holder(), ID[:-1] + "2")
    store.mark_read(1, NOW, last=seen)

    assert not store.finish(1, NOW, last=seen, delete=delete)
    assert store.threads()[0].state != "closed"
    assert IntakeStore.unread(tmp_path) == [ID[:-1] + "2"]
    assert store.finish(1, NOW, last=newest(store, 1), delete=delete)


def test_two_workers_answer_once(tmp_path: Path) -> None:
    """The second one, who has not seen the first one's answer, is told; the same answer sent twice is there once."""
    store = opened(tmp_path)
    take(store, holder())
    last = store.threads()[0].messages[-1].row
    first, second = (HOTLINE.seal_answer("x", KEY.seal_to, holder().key.seal_to, id=id, ref=holder().ref)
                     for id in (ID[:-1] + "a", ID[:-1] + "b"))  # fmt: skip

    assert store.answer(1, ID[:-1] + "a", "a-17", first, KEY.kid, last=last, now=NOW)
    assert store.answer(1, ID[:-1] + "a", "a-17", first, KEY.kid, last=last, now=NOW)
    assert not store.answer(1, ID[:-1] + "b", "a-18", second, KEY.kid, last=last, now=NOW)
    assert len(store.threads()[0].messages) == 2


def test_nothing_is_taken_without_a_key_or_without_room(tmp_path: Path) -> None:
    """What cannot be sealed, or kept, is refused as a whole; the desk has room for answers when the file is full."""
    store = IntakeStore(tmp_path)
    with pytest.raises(NoKey):
        take(store, holder())
    store.tell(KEY.seal_to, NOW)
    small = IntakeStore(tmp_path, most_bytes=128 * 1024)

    def fill() -> None:
        for number in range(100):
            take(small, holder(number + 1), new_event_id())

    with pytest.raises(StoreFull):
        fill()

    kept = len(store.threads())
    assert 0 < kept < 60
    assert all(each.messages for each in store.threads())
    assert answered(IntakeStore.of_desk(tmp_path), "an answer", store.threads()[0].number)


def test_one_code_does_not_fill_the_file(tmp_path: Path) -> None:
    """Beyond the bound of one code nothing more is taken, and what is there stays."""
    store = opened(tmp_path)
    for _ in range(MOST_MESSAGES):
        take(store, holder(), new_event_id())

    with pytest.raises(TooMany):
        take(store, holder(), new_event_id())
    assert len(store.threads()[0].messages) == MOST_MESSAGES


def test_the_same_message_sent_twice_is_there_once(tmp_path: Path) -> None:
    """A double click or a repeated request adds nothing."""
    store = opened(tmp_path)

    take(store, holder())
    take(store, holder())

    assert len(store.threads()[0].messages) == 1


def test_what_is_deleted_is_gone_from_the_disk(tmp_path: Path) -> None:
    """By its holder, by a worker, or after the days without anybody: not even the sealed bytes are left."""
    store = opened(tmp_path)
    store.keep(10)
    for number in (1, 2, 3):
        take(store, holder(number), f"{ID[:-1]}{number}")
    letters = [store.thread(each).messages[0].letter for each in (1, 2, 3)]  # type: ignore[union-attr]

    store.remove(holder(1).ref)
    store.finish(2, NOW, last=newest(store, 2), delete=True)
    assert days_pass(store, 10) == 0
    assert store.expire(NOW + timedelta(days=10, minutes=1)) == 1

    left = on_disk(tmp_path)
    assert store.threads() == []
    assert not any(letter[200:1000] in left for letter in letters)


def test_an_answer_is_read_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That somebody was here cannot be noted then, and that is all."""
    store = opened(tmp_path)
    take(store, holder())

    def full(_: object) -> None:
        raise StoreFull

    monkeypatch.setattr(IntakeStore, "_writing", full)

    found = store.found(holder().ref, now=NOW)
    assert found is not None
    assert len(found.messages) == 1


def test_a_glance_tells_what_waits_and_holds_nobody_up(tmp_path: Path) -> None:
    """For the navigation and for notices; without a file, or of what is closed, there is nothing, and of a file that cannot be read nobody knows what is unread."""
    assert (IntakeStore.waiting(tmp_path), IntakeStore.unread(tmp_path)) == ((0, False), [])
    store = opened(tmp_path)
    take(store, holder(1), ID[:-1] + "1")
    take(store, holder(2), ID[:-1] + "2", danger=True)
    take(store, holder(3), ID[:-1] + "3")

    assert IntakeStore.waiting(tmp_path) == (3, True)
    store.mark_read(1, NOW, last=newest(store, 1))
    assert answered(store, "come at ten", 2)
    store.finish(3, NOW, last=newest(store, 3))
    assert IntakeStore.unread(tmp_path) == [ID[:-1] + "2"]
    assert IntakeStore.waiting(tmp_path) == (1, False)
    (tmp_path / "public" / "intake.sqlite").write_bytes(b"no database")
    for each in tmp_path.glob("public/*-wal"):
        each.unlink()
    assert (IntakeStore.waiting(tmp_path), IntakeStore.unread(tmp_path)) == ((0, False), None)


@pytest.mark.parametrize(
    "damage",
    ["UPDATE threads SET touched = CAST(x'ff' AS TEXT)", "UPDATE clock SET at = CAST(x'ff' AS TEXT)",
     "UPDATE messages SET id = CAST(x'ff' AS TEXT)"],
    ids=["a visit", "the last use", "an id"],
)  # fmt: skip
def test_a_text_that_is_not_utf_8_keeps_nobody_else_from_writing(tmp_path: Path, damage: str) -> None:
    """Given a byte of one row that a damaged disk changed, when another person writes, then her message is stored, and the hotline is notified of it."""
    store = opened(tmp_path)
    take(store, holder(1), ID[:-1] + "1")
    with closing(sqlite3.connect(tmp_path / FOLDER / FILE)) as file, file:
        file.execute(damage)

    store.take(holder(2), ID, lambda _: b"sealed", now=NOW + timedelta(days=2))

    assert ID in (IntakeStore.unread(tmp_path) or [])
    store.close()


def test_somebody_who_comes_back_keeps_the_messages(tmp_path: Path) -> None:
    """The days run from the last time that anybody was there."""
    store = opened(tmp_path)
    store.keep(10)
    take(store, holder())

    assert days_pass(store, 8) == 0
    back = NOW + timedelta(days=8)
    store.found(holder().ref, now=back)
    assert days_pass(store, 8, back) == 0
    read = back + timedelta(days=8)
    store.mark_read(1, read, last=newest(store, 1))

    assert days_pass(store, 10, read) == 0
    assert days_pass(store, 1, read + timedelta(days=10)) == 1


@pytest.mark.parametrize("days", [1, 10])
@pytest.mark.parametrize("wrong", [timedelta(days=91), timedelta(days=3650), timedelta(days=-9000)])
def test_a_clock_that_is_wrong_for_a_while_deletes_no_message(tmp_path: Path, days: int, wrong: timedelta) -> None:
    """Given a message and a clock that jumps, when the processes start again meanwhile and the clock is then set right, then the message goes after its days, and at most one day or a tenth of them sooner."""
    store = opened(tmp_path)
    store.keep(days)
    take(store, holder())

    for hour in range(2):
        store.close()
        store = opened(tmp_path)
        assert store.expire(NOW + wrong + timedelta(hours=hour)) == 0
    step = min(timedelta(days=1), timedelta(days=days) / 10)
    whole = timedelta(days=days) // step
    gone = [store.expire(NOW + number * step) for number in range(whole + 2)]

    assert sum(gone[: whole - 1]) == 0
    assert sum(gone) == 1


@pytest.mark.parametrize("visit", ["write", "come back", "read", "answer", "close"])
@pytest.mark.parametrize("wrong", [timedelta(days=3650), timedelta(days=-9000)])
def test_a_visit_counts_also_at_the_moment_when_the_clock_changes(tmp_path: Path, visit: str, wrong: timedelta) -> None:
    """Given a message, when somebody is there just after the clock went wrong, and again just after it was set right, then the days run from the second time."""
    store = opened(tmp_path)
    store.keep(10)
    take(store, holder())
    days_pass(store, 8)
    right = NOW + timedelta(days=8)

    def visited(now: datetime) -> None:
        last, id = newest(store, 1), new_event_id()
        letter = HOTLINE.seal_answer("x", KEY.seal_to, holder().key.seal_to, id=id, ref=holder().ref)
        match visit:
            case "write":
                store.take(holder(), id, lambda to: HOTLINE.seal(WRITTEN, to, id=id, ref=holder().ref), now=now)
            case "come back":
                store.found(holder().ref, now=now)
            case "read":
                store.mark_read(1, now, last=last)
            case "answer":
                assert store.answer(1, id, "a-17", letter, KEY.kid, last=last, now=now)
            case _:
                assert store.finish(1, now, last=last)
                take(store, holder(), ID)  # she writes again, so that it can be closed again

    visited(right + wrong)
    visited(right + timedelta(minutes=1))

    assert days_pass(store, 10, right) == 0
    assert days_pass(store, 1, right + timedelta(days=10)) == 1


def test_a_machine_that_is_seldom_on_keeps_no_message_for_ever(tmp_path: Path) -> None:
    """Given a machine that is on for a moment each week, when a message is too old by the days that were counted, then it is deleted."""
    store = opened(tmp_path)
    store.keep(10)
    take(store, holder())

    gone = [store.expire(NOW + timedelta(weeks=week)) for week in range(12)]

    assert gone == [0] * 11 + [1]


def test_a_file_of_an_earlier_release_counts_from_the_desks_last_look(tmp_path: Path) -> None:
    """Given a file without the time of its last use, when the first look comes by a clock that is ahead, then nothing is deleted."""
    store = opened(tmp_path)
    store.keep(90)
    take(store, holder())
    store._db.execute("DROP TABLE IF EXISTS clock")
    store.close()

    store = IntakeStore(tmp_path)

    assert store.expire(NOW + timedelta(days=91)) == 0


def test_a_shorter_setting_shortens_no_days_that_a_person_was_told(tmp_path: Path) -> None:
    """Given a message that was written under 90 days, when the page starts again with 14 and the hotline reads and answers, then the message stays for 90 days after that visit."""
    store = opened(tmp_path)
    store.keep(90)
    take(store, holder())
    assert days_pass(store, 20) == 0
    store.keep(14)
    assert days_pass(store, 20, NOW + timedelta(days=20)) == 0
    read = NOW + timedelta(days=40)

    store.mark_read(1, read, last=newest(store, 1))

    thread = store.thread(1)
    assert thread is not None
    assert thread.ends == read.replace(second=0) + timedelta(days=90)
    assert days_pass(store, 90, read) == 0
    assert days_pass(store, 1, read + timedelta(days=90)) == 1


@pytest.mark.parametrize("visit", ["write", "come back"])
def test_a_person_who_comes_back_is_told_the_days_of_the_setting_in_force(tmp_path: Path, visit: str) -> None:
    """Given a message that was written under 90 days, when its holder visits the page under 14, then the message and the answer go after 14 days more."""
    store = opened(tmp_path)
    store.keep(90)
    take(store, holder())
    store.keep(14)

    if visit == "write":
        take(store, holder(), ID[:-1] + "2")
    else:
        store.found(holder().ref, now=NOW)

    assert days_pass(store, 14) == 0
    assert days_pass(store, 1, NOW + timedelta(days=14)) == 1


def test_a_clock_ahead_ages_each_message_by_a_tenth_of_its_own_days(tmp_path: Path) -> None:
    """Given one message of 5 days under a setting of 90, when a clock is ahead once, then the message ages by half a day."""
    store = opened(tmp_path)
    store.keep(5)
    take(store, holder())
    store.keep(90)

    store.expire(NOW)
    store.expire(NOW + timedelta(days=3650))

    thread = store.thread(1)
    assert thread is not None
    assert thread.ends == (NOW + timedelta(days=3650)).replace(second=0) + timedelta(days=4, hours=12)


def test_messages_of_an_earlier_release_keep_the_days_that_were_set_then(tmp_path: Path) -> None:
    """Given a file whose threads have no days of their own, when the page starts with fewer days, then the earlier number holds for what was written before, also by an earlier release that came back meanwhile."""
    store = opened(tmp_path)
    store.keep(90)
    take(store, holder())
    store._db.execute("ALTER TABLE threads DROP COLUMN keep_days")
    store.close()

    store = IntakeStore(tmp_path)
    store._db.execute(
        "INSERT INTO threads (ref, public, opened, touched, danger) SELECT 'x', public, opened, touched, danger FROM threads"
    )
    store.keep(14)

    assert store._all("SELECT DISTINCT keep_days FROM threads") == [(90,)]


def test_a_message_of_an_earlier_release_in_a_new_file_keeps_the_larger_days(tmp_path: Path) -> None:
    """Given a file of this release, when an earlier one stores a message without days, then the page at its next start gives it the larger of the earlier and the new number."""
    store = opened(tmp_path)
    store.keep(90)
    take(store, holder())
    store._db.execute("UPDATE threads SET keep_days = NULL")

    store.keep(14)

    assert [each.keep_days for each in store.threads()] == [90]


def test_a_full_file_of_an_earlier_release_is_opened(tmp_path: Path) -> None:
    """Given a file without the time of its last use that a flood has filled, when the public page starts before the desk, then the file opens, keeps its messages and takes no more."""
    most, store = 128 * 1024, opened(tmp_path)
    take(store, holder())
    store._db.execute("DROP TABLE clock")
    store._db.execute("VACUUM")  # the page of the table is not left as room
    store._db.execute(f"PRAGMA max_page_count = {most // 4096}")

    def fill() -> None:
        while True:
            store._db.execute("INSERT INTO profile (facts) VALUES (?)", ("x" * 3000,))

    with pytest.raises(sqlite3.OperationalError, match="full"):
        fill()
    store.close()

    again = IntakeStore(tmp_path, most_bytes=most)

    assert len(again.threads()) == 1
    with pytest.raises(StoreFull):
        take(again, holder(2), new_event_id(), replace(WRITTEN, text="x" * MOST_CHARACTERS))


def test_messages_follow_the_hotline_to_its_next_key(tmp_path: Path) -> None:
    """After the earlier key is destroyed, the hotline reads with the next one, and the person reads her answer."""
    store, next_key = opened(tmp_path), SealingKey(b"\x23" * 32)
    take(store, holder())
    assert answered(store, "come at ten")

    for id, ref, letter in list(store.behind(next_key.kid)):
        again = HOTLINE.wrapped_again(letter, {KEY.kid: KEY}, next_key.seal_to, id=id, ref=ref)
        store.replace(id, again, next_key.kid)

    assert list(store.behind(next_key.kid)) == []
    found = store.thread(1)
    assert found is not None
    first, answer = found.messages
    keys = {next_key.kid: next_key}
    assert HOTLINE.opened(first.letter, keys, id=first.id, ref=found.ref)["story"]["text"] == CANARY
    assert HOTLINE.opened_by(holder(), answer.letter, id=answer.id) == "come at ten"


def test_at_a_change_of_key_only_the_hotlines_own_wrap_changes() -> None:
    """Given an answer, when the hotline wraps it for its next key, then content and the person's wrap are the same bytes, and the earlier key opens it no more."""
    next_key, person = SealingKey(b"\x23" * 32), holder()
    answer = HOTLINE.seal_answer(CANARY, KEY.seal_to, person.key.seal_to, id=ID, ref=person.ref)

    again = HOTLINE.wrapped_again(answer, {KEY.kid: KEY}, next_key.seal_to, id=ID, ref=person.ref)

    (before,), (after,) = (Container.parse(each).sealed for each in (answer, again))
    assert isinstance(before, Sealed)
    assert isinstance(after, Sealed)
    assert (after.iv, after.ct, after.commit) == (before.iv, before.ct, before.commit)
    assert [each.to for each in after.by.values() if each != before.by[each.to]] == [HOTLINE.agency]
    assert after.by.keys() == before.by.keys()
    with pytest.raises(LetterClosed):
        HOTLINE.opened(again, {KEY.kid: KEY}, id=ID, ref=person.ref)


def test_a_kill_loses_no_message_that_was_confirmed(tmp_path: Path) -> None:
    """A process confirms each message after it is stored, and is killed in the middle: every confirmed one is there."""
    opened(tmp_path).close()
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        from intake.given import holder, opened, take
        from nrmbus.wire.ids import new_event_id
        store = opened(Path(sys.argv[1]))
        for number in range(1, 250):
            id = new_event_id()
            take(store, holder(number), id)
            print(holder(number).ref, flush=True)
    """)
    tests = str(Path(__file__).parent.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": tests},
    )  # fmt: skip
    assert process.stdout is not None
    confirmed = [process.stdout.readline().strip() for _ in range(12)]
    process.send_signal(signal.SIGKILL)
    confirmed += process.stdout.read().split()
    process.wait()
    process.stdout.close()

    store = IntakeStore(tmp_path)
    found = [store.found(each, now=NOW) for each in confirmed if len(each) == 32]

    assert len(found) >= 12
    assert all(each is not None and len(each.messages) == 1 for each in found)


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """No other account of the machine reads it."""
    opened(tmp_path)

    assert {each.stat().st_mode & 0o077 for each in (tmp_path / "public").iterdir()} == {0}


def test_who_reads_waits_for_no_writer(tmp_path: Path) -> None:
    """Another process holds the file, and a message waits for it: pages and telephone numbers are shown all the same."""
    store = opened(tmp_path)
    other = sqlite3.connect(tmp_path / "public" / "intake.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    taking = threading.Thread(target=take, args=(store, holder()))
    taking.start()
    until("the message waits", store._lock.locked)

    assert store.facts == ""
    assert store.threads() == []
    assert taking.is_alive(), "the reading waited for the message"
    other.execute("ROLLBACK")
    taking.join()
    assert len(store.threads()) == 1
    other.close()


def test_what_is_deleted_while_somebody_reads_leaves_the_disk_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup that reads the file keeps the write-ahead file; once it has ended, the next look of any process empties it."""
    store = opened(tmp_path)
    store.keep(90)
    take(store, holder())
    letter = store.thread(1).messages[0].letter  # type: ignore[union-attr]
    backup = sqlite3.connect(tmp_path / "public" / "intake.sqlite", isolation_level=None)
    backup.execute("BEGIN")
    backup.execute("SELECT * FROM messages").fetchall()
    monkeypatch.setattr("nrmbus.intake.store._WAIT", 0)
    store.remove(holder().ref)
    desk = IntakeStore.of_desk(tmp_path)
    desk.expire(NOW)
    held = letter[200:1000] in on_disk(tmp_path)
    backup.close()
    desk.close()
    desk = IntakeStore.of_desk(tmp_path)
    desk.expire(NOW)

    assert held, "somebody reads it"
    assert letter[200:1000] not in on_disk(tmp_path)


def test_a_disk_that_fails_once_leaves_later_writers_waiting_for_one_another(tmp_path: Path) -> None:
    """Given a write-ahead file that cannot be emptied, then a message still waits for another process that writes."""

    def fails(action: int, name: str | None, *_: object) -> int:
        is_emptied = action == sqlite3.SQLITE_PRAGMA and name == "wal_checkpoint"
        return sqlite3.SQLITE_DENY if is_emptied else sqlite3.SQLITE_OK

    store = opened(tmp_path)
    store.keep(90)
    before = store._db.execute("PRAGMA busy_timeout").fetchone()
    store._db.set_authorizer(fails)
    with pytest.raises(sqlite3.DatabaseError):
        store.expire(NOW)
    store._db.set_authorizer(None)

    assert store._db.execute("PRAGMA busy_timeout").fetchone() == before
