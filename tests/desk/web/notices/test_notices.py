"""Notices by mail: whom a desk tells what and when, once and without a word of a case."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agencies import CASE, SIGNAL
from desk.given import CANARY, REF, FakeRegistrar, Given, desk_of
from desk.web.notices.mail_server import Inbox, mail_server
from intake.given import ID, holder, opened, take
from nrmbus.desk.duties import AT_A_TIME
from nrmbus.desk.looking import LOOK_SECONDS
from nrmbus.desk.staff.members import Member, NewMember
from nrmbus.desk.state import labels
from nrmbus.desk.web.notices.dispatcher import GATHERED, PATIENCE, Notices
from nrmbus.desk.web.notices.settings import MailSettings
from nrmbus.desk.webhooks import schedule
from nrmbus.intake.store import FILE, FOLDER, IntakeStore

WALL = datetime(2026, 3, 2, 5, tzinfo=UTC)
FRIDAY = datetime(2026, 3, 13, 5, tzinfo=UTC)
REFERRAL: dict[str, Any] = {
    "to": ["vac"],
    "mode": "referral",
    "reason": "AdditionalServicesRequired",
    "urgency": "emergency",
    "services": ["health"],
}
CONSENT: dict[str, Any] = {
    "purposes": ["services", "information_sharing"],
    "receivers": ["vac"],
    "given_by": "individual",
    "form": "written",
}
MESSAGE = "A message without a name waits for you."
OVERDUE, SOON, WAITS, ANSWERED = (
    "Something is overdue.", "Something is due within 4 hours.", "A referral or a request waits for you.",
    "A referral or a request of your agency was answered.",
)  # fmt: skip


@dataclass
class Mails:
    """A desk with a mail server, and clocks under the test's control."""

    here: Given
    inbox: Inbox
    notices: Notices
    given: dict[str, Any]
    wall: list[datetime]
    seen: int = 0

    async def member(self, name: str, **more: Any) -> Member:
        """Add a member who has signed in once."""
        how = {"roles": ("worker",), "language": "en", "email": f"{name}@agency.example", **more}
        when = how.pop("notices", "at_once")
        members = self.here.behind.staff.members
        added = await members.add(NewMember(name=name, **how), "S-1", None, is_example=True)
        return await members.change(added.number, notices=when)

    async def hear(self, by: str, type_: str, data: dict[str, Any], **more: Any) -> None:
        """Have the desk hear an event of another agency."""
        record = self.here.registrar.event(by, type_, data, **more)
        await self.here.hear(self.here.registrar.register(record, to=self.here.desk.seat.me))
        await self.here.settle()

    async def referred(self, ref: str = REF) -> None:
        """Have the desk hear a referral with a letter, an emergency: it has a day to answer."""
        await self.hear(
            "ngo-a", "referral.submitted", REFERRAL, referral=ref, parts={"identity": {"name": CANARY}}, opens=["vac"]
        )

    async def pass_by(self, time: timedelta) -> None:
        """Let the dispatcher look, *time* pass on both clocks, and the dispatcher look again."""
        await self.look()
        self.wall[0] += time
        self.here.clock.time += time
        self.here.registrar.time = self.here.clock.time
        await self.look()

    def go_to(self, time: datetime) -> None:
        """Set all clocks."""
        self.wall[0] = self.here.clock.time = self.here.registrar.time = time

    async def look(self) -> None:
        """Let the dispatcher look until there is nothing more at this moment."""
        while await self.notices.once() == 0.0:
            pass

    def said(self) -> list[tuple[str, list[str]]]:
        """Return of each mail since the last call to whom it was, and its lines about what happened; by address."""
        new, self.seen = self.inbox.mails[self.seen :], len(self.inbox.mails)
        return sorted((str(mail["To"]), list(takewhile(bool, mail.get_content().splitlines()))) for mail in new)


@asynccontextmanager
async def mailing(
    folder: Path, agency: str = "vac", registrar: FakeRegistrar | None = None, **how: Any
) -> AsyncIterator[Mails]:
    """Yield a desk of *agency* that has looked once, so that what follows is news."""
    async with mail_server(folder, **how) as (inbox, given), desk_of(agency, folder, registrar=registrar) as here:
        wall = [WALL]
        notices = Notices(
            here.desk, lambda: here.behind.staff.members, MailSettings.read(given), now=lambda: wall[0], jitter=lambda _low, _high: 1.0,
            unread=lambda: IntakeStore.unread(folder),
        )  # fmt: skip
        mails = Mails(here, inbox, notices, given, wall)
        await mails.look()
        yield mails


@pytest.mark.usefixtures("kept")
async def test_a_duty_is_told_when_it_comes_four_hours_before_and_when_it_is_over(tmp_path: Path) -> None:
    """A referral has come; its day is nearly over; it is over: three mails to each, each once, and none to the administrator."""
    async with mailing(tmp_path) as mails:
        await mails.member("Ayla")
        await mails.member("Kamran", language="az")
        await mails.member("Sevda", roles=("administrator",))
        await mails.member("Nobody", email=None)

        await mails.referred()
        await mails.pass_by(GATHERED)
        assert mails.said() == [
            ("Ayla@agency.example", [WAITS]),
            ("Kamran@agency.example", ["Sizi istiqamətləndirmə və ya sorğu gözləyir."]),
        ]
        subjects = {mail["Subject"] for mail in mails.inbox.mails}
        assert subjects == {"Something on your work list", "İş siyahınızda yenilik var"}

        await mails.pass_by(timedelta(hours=19))
        assert mails.said() == []
        await mails.pass_by(timedelta(hours=1))
        await mails.pass_by(GATHERED)
        assert mails.said() == [
            ("Ayla@agency.example", [SOON]),
            ("Kamran@agency.example", ["Bir işin müddəti 4 saat ərzində bitir."]),
        ]

        await mails.pass_by(timedelta(hours=4))
        await mails.pass_by(GATHERED)
        assert [lines for _, lines in mails.said()] == [[OVERDUE], ["Vaxtı keçmiş iş var."]]
        await mails.pass_by(timedelta(hours=30))
        assert mails.said() == []


async def test_a_message_without_a_name_is_told_to_those_who_take_them(tmp_path: Path) -> None:
    """Once for each message, to who takes messages; not if it is opened before the mail leaves, and not again after a restart."""
    async with mailing(tmp_path) as mails:
        await mails.member("Ayla")
        await mails.member("Orkhan", roles=("supervisor",))
        store = opened(tmp_path)
        take(store, holder(1), ID[:-1] + "1")
        await mails.pass_by(GATHERED)
        await mails.pass_by(timedelta(hours=3))
        assert mails.said() == [("Ayla@agency.example", [MESSAGE])]

        take(store, holder(2), ID[:-1] + "2")
        await mails.look()
        store.mark_read(2, mails.wall[0], last=2)
        await mails.pass_by(GATHERED)
        assert mails.said() == []

        mails.notices._told = frozenset()
        await mails.pass_by(timedelta(hours=3))
        assert mails.said() == []
        assert all(ID[:-1] not in row.key for row in await mails.here.rows("notices"))
        store.close()


async def test_a_message_is_told_though_its_file_cannot_be_read_when_the_mail_leaves(tmp_path: Path) -> None:
    """Given a message whose file another process holds at that moment, then its notice leaves all the same, and once."""
    async with mailing(tmp_path) as mails:
        await mails.member("Ayla")
        store = opened(tmp_path)
        take(store, holder(1), ID[:-1] + "1")
        await mails.look()
        store.close()
        with closing(sqlite3.connect(tmp_path / FOLDER / FILE, isolation_level=None)) as held:
            held.execute("PRAGMA locking_mode = EXCLUSIVE")
            held.execute("BEGIN EXCLUSIVE")
            await mails.pass_by(GATHERED)
            held.execute("ROLLBACK")
        await mails.pass_by(timedelta(hours=3))

        assert mails.said() == [("Ayla@agency.example", [MESSAGE])]


async def test_what_is_answered_is_not_reminded_of(tmp_path: Path) -> None:
    """Given a referral that is answered before the mail leaves, nobody is told that it waits; and nothing is due any more."""
    async with mailing(tmp_path) as mails:
        await mails.member("Ayla")
        await mails.referred()
        await mails.look()
        data = {"reason": "no_capacity", "declined_by": "provider"}
        await mails.here.registered(type="referral.declined", ref=REF, data=data)
        await mails.pass_by(GATHERED)
        await mails.pass_by(timedelta(hours=30))

        assert mails.said() == []
        assert {row.state for row in await mails.here.rows("notices")} == {"dropped"}


async def test_nobody_is_told_that_a_duty_is_overdue_which_the_last_day_of_a_consent_has_lifted(tmp_path: Path) -> None:
    """Given a unit that the person refuses again from 3 March on, and an answer due at the end of that day, then no mail says that it is due or overdue."""
    said = {name: value for name, value in CONSENT.items() if name != "form"} | {"receivers": ["special-unit"]}
    async with mailing(tmp_path, "special-unit") as mails:
        await mails.member("Ayla")
        await mails.hear("ngo-a", "consent.refused", said)
        await mails.hear("ngo-a", "consent.given", said | {"form": "written", "expires": f"{WALL:%Y-%m-%d}"})
        await mails.hear("ngo-a", "referral.submitted", REFERRAL | {"to": ["special-unit"]}, referral=REF)
        await mails.pass_by(GATHERED)
        assert mails.said() == [("Ayla@agency.example", [WAITS])]

        for _ in range(5):
            await mails.pass_by(timedelta(hours=10))
        assert mails.said() == []


class TestAWaitThatEndsOnADayOff:
    """Given a unit whose decision is due on Friday 13 March at 24:00, and which asks the NGO something on that day."""

    @asynccontextmanager
    async def asking(self, folder: Path, *before: tuple[str, dict[str, Any]]) -> AsyncIterator[Mails]:
        """Yield the unit's desk after the question; *before* it, the unit publishes these events."""
        async with mailing(folder, "special-unit") as mails:
            await mails.hear("ngo-a", "referral.submitted", REFERRAL | {"to": ["special-unit"]}, referral=REF)
            await mails.here.registered(type="referral.accepted", ref=REF, data={"next_step": "reception"})
            mails.go_to(datetime(2026, 3, 5, 5, tzinfo=UTC))
            await mails.here.registered(type="identification.stage_entered", data={"stage": "initial_assistance"})
            mails.go_to(FRIDAY)
            for type_, data in before:
                await mails.here.registered(type=type_, data=data)
            await mails.here.registered(type="referral.info_requested", ref=REF, data={"question": "documents"})
            await mails.look()
            await mails.member("Ayla")
            yield mails

    async def test_the_duty_is_told_as_overdue_when_the_wait_ends_by_the_last_day_of_a_consent(
        self, tmp_path: Path
    ) -> None:
        """When the NGO may know of her until Saturday only, and the desk looks at an event of another case on Saturday, then the mail leaves at the end of that day."""
        said = {name: value for name, value in CONSENT.items() if name != "form"} | {"receivers": ["ngo-a"]}
        given = said | {"form": "written", "expires": "2026-03-14"}
        async with self.asking(tmp_path, ("consent.refused", said), ("consent.given", given)) as mails:
            await mails.pass_by(timedelta(hours=38, minutes=59))  # 23:59 on Saturday
            await mails.hear("ngo-a", "consent.given", CONSENT, case="12" * 16)
            await mails.pass_by(GATHERED)
            assert mails.said() == []

            await mails.pass_by(timedelta(minutes=1))
            await mails.pass_by(GATHERED)
            assert mails.said() == [("Ayla@agency.example", [OVERDUE])]

    async def test_the_duty_is_told_as_overdue_though_the_desk_hears_the_answer_late(self, tmp_path: Path) -> None:
        """When the answer is registered on Saturday, and the desk looks at an event of another case before it hears the answer, then the mail leaves."""
        async with self.asking(tmp_path) as mails:
            mails.go_to(FRIDAY + timedelta(days=1))
            registrar = mails.here.registrar
            other = registrar.event("ngo-a", "consent.given", CONSENT, case="12" * 16)
            answer = registrar.event("ngo-a", "referral.info_supplied", {"question": "documents"}, referral=REF)
            delivered = [registrar.register(each, to="special-unit") for each in (other, answer)]
            mails.go_to(FRIDAY + timedelta(days=1, minutes=1))
            for each in delivered:
                await mails.here.hear(each)
                await mails.look()
            await mails.pass_by(GATHERED)

            assert mails.said() == [("Ayla@agency.example", [OVERDUE, ANSWERED])]


async def test_an_answer_is_told_to_who_asked(tmp_path: Path) -> None:
    """The member who referred hears of the answer, and of a question; a colleague does not hear of the answer."""
    async with mailing(tmp_path, "ngo-a") as mails:
        asker = await mails.member("Ayla")
        await mails.member("Kamran")
        await mails.here.registered(type="case.signal_recorded", data=SIGNAL, actor=asker.number)
        await mails.here.registered(type="consent.given", data=CONSENT, actor=asker.number)
        sent = {
            "type": "referral.submitted",
            "ref": REF,
            "to": ["vac"],
            "data": {k: v for k, v in REFERRAL.items() if k != "to"},
        }
        await mails.here.registered(**sent, actor=asker.number)
        await mails.hear("vac", "referral.info_requested", {"question": "documents"}, referral=REF)
        await mails.pass_by(GATHERED)
        assert mails.said() == [("Ayla@agency.example", [WAITS]), ("Kamran@agency.example", [WAITS])]

        await mails.hear("vac", "referral.accepted", {"next_step": "needs_assessment"}, referral=REF)
        await mails.pass_by(GATHERED)
        assert mails.said() == [("Ayla@agency.example", [ANSWERED])]


async def test_who_has_taken_the_case_is_told_alone_until_it_is_overdue(tmp_path: Path) -> None:
    """Given a case that a colleague has taken, reminders go there, and what is overdue to everybody; who left is replaced by all."""
    async with mailing(tmp_path) as mails:
        taker = await mails.member("Ayla")
        await mails.member("Kamran")
        await mails.referred()
        await mails.pass_by(GATHERED)
        assert len(mails.said()) == 2
        async with mails.here.desk.seat.ledger.write() as tx:
            labels.assign(tx, CASE, taker.number, mails.here.desk.seat.stamp())

        await mails.pass_by(timedelta(hours=20))
        await mails.pass_by(GATHERED)
        assert mails.said() == [("Ayla@agency.example", [SOON])]
        await mails.referred("12" * 16)
        await mails.pass_by(GATHERED)
        assert mails.said() == [("Ayla@agency.example", [WAITS])]

        await mails.pass_by(timedelta(hours=4))
        await mails.pass_by(GATHERED)
        assert mails.said() == [("Ayla@agency.example", [OVERDUE]), ("Kamran@agency.example", [OVERDUE])]


@pytest.mark.parametrize("becomes", ["removed", "refused"])
async def test_a_notice_for_one_colleague_who_is_not_told_goes_to_everybody(tmp_path: Path, becomes: str) -> None:
    """Given a case that a colleague has taken, when she is removed or her address is refused before the mail leaves, then the others are told, once."""
    how: dict[str, Any] = {"refused": {"Ayla@agency.example": "550 5.1.1 No such user"}} if becomes == "refused" else {}
    async with mailing(tmp_path, **how) as mails:
        taker = await mails.member("Ayla")
        await mails.member("Kamran")
        async with mails.here.desk.seat.ledger.write() as tx:
            labels.assign(tx, CASE, taker.number, mails.here.desk.seat.stamp())
        await mails.referred()
        await mails.look()
        assert {row.member for row in await mails.here.rows("notices")} == {taker.number}
        if becomes == "removed":
            await mails.here.behind.staff.members.remove(taker.number, "door.json")
        for _ in range(2):
            await mails.pass_by(GATHERED)
        assert mails.said() == [("Kamran@agency.example", [WAITS])]

        await mails.pass_by(timedelta(hours=3))
        assert mails.said() == []


async def test_what_happens_together_is_one_mail(tmp_path: Path) -> None:
    """Given several referrals at the same time, a person gets one mail, with one line."""
    async with mailing(tmp_path) as mails:
        await mails.member("Ayla")
        for number in range(3):
            await mails.referred(f"{number:032x}")
        await mails.pass_by(GATHERED)

        assert mails.said() == [("Ayla@agency.example", [WAITS])]


async def test_once_a_day_means_at_eight_in_the_country(tmp_path: Path) -> None:
    """Who wants one mail a day gets it in the morning, with all that still holds; who wants none gets none."""
    async with mailing(tmp_path) as mails:
        await mails.member("Ayla", notices="daily")
        await mails.member("Kamran", notices="none")
        await mails.referred()
        await mails.pass_by(timedelta(hours=20, minutes=30))  # 5:30 in Baku
        assert mails.said() == []
        await mails.pass_by(timedelta(hours=2, minutes=30))

        assert mails.said() == [("Ayla@agency.example", [SOON, WAITS])]


async def test_nobody_is_told_of_what_was_there_before(tmp_path: Path) -> None:
    """Given a desk whose agency sets a mail server after a year, nobody gets a year's mails; what comes due afterwards is told."""
    async with mailing(tmp_path) as mails:
        await mails.member("Ayla")
        other = Notices(
            mails.here.desk,
            lambda: mails.here.behind.staff.members,
            MailSettings.read(mails.given),
            now=lambda: mails.wall[0],
        )
        await mails.referred()
        with mails.here.desk.seat.ledger.read():
            pass
        async with mails.here.desk.seat.ledger.write() as tx:
            tx.exec_driver_sql("DELETE FROM notice_place")
        mails.notices = other
        await mails.look()
        await mails.pass_by(GATHERED)
        assert mails.said() == []

        await mails.pass_by(timedelta(hours=24))
        await mails.pass_by(GATHERED)
        assert mails.said() == [("Ayla@agency.example", [OVERDUE])]


async def test_no_mail_has_anything_of_a_case(tmp_path: Path) -> None:
    """No reference, no name, no agency and no type stands in a mail, and none in its envelope; the canary of the letter in no file of them."""
    async with mailing(tmp_path) as mails:
        await mails.member("Ayla")
        await mails.referred()
        for hours in (0, 20, 4):
            await mails.pass_by(timedelta(hours=hours))
            await mails.pass_by(GATHERED)
        decoded = [
            f"{raw!r} {mail.get_content()} {mail.items()}"
            for raw, mail in zip(mails.inbox.raw, mails.inbox.mails, strict=True)
        ]
        rows = " ".join(map(str, await mails.here.rows("notices")))

    assert len(decoded) == 3
    for secret in (CANARY, CASE, CASE[:8], REF, REF[:8], "ngo-a", "vac", "referral.submitted"):
        assert not any(secret in each for each in decoded), secret
    assert all(each not in rows for each in (CANARY, CASE, REF, "ngo-a", "Ayla", "@"))


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("answer", ["451 4.3.0 Later", "550 5.7.1 Not from you"])
async def test_a_mail_that_is_not_taken_is_tried_again_under_its_id(tmp_path: Path, answer: str) -> None:
    """Given a server that refuses contents for a while, then later attempts have the same id and date, and one mail arrives."""
    async with mailing(tmp_path, fails=answer) as mails:
        await mails.member("Ayla")
        await mails.referred()
        await mails.pass_by(GATHERED)
        (row,) = await mails.here.rows("notices")
        assert (row.state, row.attempts, row.code) == ("open", 1, answer[:3])
        assert mails.notices.failure() is None
        mails.wall[0] += PATIENCE
        failure = mails.notices.failure()
        assert failure is not None
        assert f"({answer[:3]}), and 1 wait" in failure["sentence"]

        mails.inbox.fails = None
        await mails.look()
        assert mails.said() == [("Ayla@agency.example", [WAITS])]
        assert mails.inbox.mails[0]["Message-ID"] == f"<{row.mail}@agency.example>"
        assert mails.inbox.mails[0]["Date"].datetime == WALL + GATHERED
        assert mails.notices.failure() is None


@pytest.mark.usefixtures("kept")
async def test_a_new_notice_waits_for_no_mail_that_failed(tmp_path: Path) -> None:
    """Given a mail whose next try is ten hours away, when the server is back, then what is new is told at once, and nothing is written until that try."""
    async with mailing(tmp_path, fails="451 4.3.0 Later") as mails:
        await mails.member("Ayla")
        await mails.referred()
        for delay in (GATHERED, *schedule.DELAYS[1:6]):
            await mails.pass_by(delay)
        (failed,) = await mails.here.rows("notices")
        mails.inbox.fails = None
        await mails.referred("12" * 16)
        await mails.pass_by(GATHERED)
        assert mails.said() == [("Ayla@agency.example", [WAITS])]

        commits = mails.here.desk.seat.ledger.count
        assert (await mails.notices.once(), mails.here.desk.seat.ledger.count) == (LOOK_SECONDS, commits)
        await mails.pass_by(schedule.DELAYS[6])
        assert mails.said() == [("Ayla@agency.example", [WAITS])]
        assert mails.inbox.mails[1]["Message-ID"] == f"<{failed.mail}@agency.example>"


@pytest.mark.usefixtures("kept")
async def test_each_mail_that_failed_is_repeated_alone(tmp_path: Path) -> None:
    """Given two mails of one member that failed one after the other, then each is repeated at its own time, under its own id."""
    async with mailing(tmp_path, fails="451 4.3.0 Later") as mails:
        await mails.member("Ayla")
        await mails.referred()
        for delay in (GATHERED, schedule.DELAYS[1]):
            await mails.pass_by(delay)
        await mails.referred("12" * 16)
        await mails.pass_by(GATHERED)
        mails.inbox.fails = None
        await mails.pass_by(schedule.DELAYS[1])
        first, second = await mails.here.rows("notices")
        assert [(each.state, each.attempts) for each in (first, second)] == [("open", 2), ("sent", 1)]
        await mails.pass_by(schedule.DELAYS[2])

        assert {row.state for row in await mails.here.rows("notices")} == {"sent"}
        ids = [mail["Message-ID"] for mail in mails.inbox.mails]
        assert ids == [f"<{each.mail}@agency.example>" for each in (second, first)]


@pytest.mark.parametrize("password", [b"another", "şifrə".encode("utf-16")], ids=["wrong", "not UTF-8"])
async def test_a_server_that_is_away_for_days_becomes_a_task(tmp_path: Path, password: bytes) -> None:
    """After ten attempts the mail is given up, and the administrator has one task for all of a day; then the next mail is tried."""
    async with mailing(tmp_path) as mails:
        await mails.member("Ayla")
        await mails.member("Kamran")
        (tmp_path / "password").write_bytes(password)
        await mails.referred()
        for delay in (GATHERED, *schedule.DELAYS[1:4]):
            await mails.pass_by(delay)
        failure = mails.notices.failure()
        assert failure is not None
        assert "(not_let_in), and 2 wait" in failure["sentence"]
        for delay in schedule.DELAYS[4:]:
            await mails.pass_by(delay)

        rows = await mails.here.rows("notices")
        assert {row.state for row in rows if row.kind == "waits"} == {"exhausted"}
        tasks = [row for row in await mails.here.rows("tasks") if row.kind == "mail_failed"]
        assert len(tasks) == 1


@pytest.mark.usefixtures("kept")
async def test_an_address_that_is_refused_for_good_becomes_a_task(tmp_path: Path) -> None:
    """Given a colleague whose address does not exist, the others are told, this one no more, and the administrator has a task."""
    async with mailing(tmp_path, refused={"Ayla@agency.example": "550 5.1.1 No such user"}) as mails:
        gone = await mails.member("Ayla")
        await mails.member("Kamran")
        await mails.referred()
        await mails.pass_by(GATHERED)

        assert mails.said() == [("Kamran@agency.example", [WAITS])]
        assert mails.here.behind.staff.members.there(gone.number).notices == "none"
        (task,) = [row for row in await mails.here.rows("tasks") if row.kind == "mail_refused"]
        assert gone.number in task.about
        assert "Ayla" not in task.about
        assert "@" not in task.about


async def test_an_address_that_no_mail_can_have_stops_nobody_elses(tmp_path: Path) -> None:
    """Given a colleague whose address was taken before it was checked, the others are told, and the administrator has a task."""
    async with mailing(tmp_path) as mails:
        gone = await mails.member("Ayla")
        await mails.here.behind.staff.members.change(gone.number, sealed={"email": "ayla@agency..example"})
        await mails.member("Kamran")
        await mails.referred()
        await mails.pass_by(GATHERED)

        assert mails.said() == [("Kamran@agency.example", [WAITS])]
        (task,) = [row for row in await mails.here.rows("tasks") if row.kind == "mail_refused"]
        assert gone.number in task.about


@pytest.mark.parametrize(
    "address",
    ["a@agency.example.", "a@agency..example", "a@(work).example", "a@[1", "a.@agency.example", "a@[10.0.0.1]"],
)
def test_an_address_that_no_mail_can_have_is_not_taken(address: str) -> None:
    """Whoever types it is told at once, not when the first notice is due."""
    NewMember(name="Ayla", roles=("worker",), email="ayla+duty@agency.example")
    with pytest.raises(ValidationError):
        NewMember(name="Ayla", roles=("worker",), email=address)


async def test_who_has_left_gets_no_mail_that_still_waits(tmp_path: Path) -> None:
    """Given a member who is removed before the mail leaves, nothing is sent to the old address."""
    async with mailing(tmp_path) as mails:
        left = await mails.member("Ayla")
        await mails.referred()
        await mails.look()
        await mails.here.behind.staff.members.remove(left.number, "door.json")
        await mails.pass_by(GATHERED)

        assert mails.said() == []


async def test_a_desk_with_many_cases_looks_at_them_in_turns(tmp_path: Path) -> None:
    """Given a desk that was off for a day, with more events than one look takes, nothing is told before all are known, and then once."""
    async with mailing(tmp_path) as mails:
        await mails.member("Ayla")
        await mails.referred("12" * 16)
        mails.wall[0] += timedelta(hours=30)
        mails.here.clock.time += timedelta(hours=30)
        mails.here.registrar.time = mails.here.clock.time
        for number in range(AT_A_TIME + 5):
            await mails.hear("ngo-a", "consent.given", CONSENT, case=f"{number:032x}")
        await mails.referred()
        anew = Notices(
            mails.here.desk,
            lambda: mails.here.behind.staff.members,
            MailSettings.read(mails.given),
            now=lambda: mails.wall[0],
        )
        assert await anew.once() == 0.0
        mails.notices = anew
        await mails.pass_by(GATHERED)
        await mails.pass_by(GATHERED)

        assert mails.said() == [("Ayla@agency.example", [OVERDUE, WAITS])]
