"""The desk of the statistics: it counts coded parts, asks nobody, and loses what an erasure takes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from desk.given import Given, desk_of
from nrmbus.backup import folders
from nrmbus.backup.store import Store
from nrmbus.desk.erasure import rounds
from nrmbus.desk.errors import DeskError
from nrmbus.desk.letters import letters
from nrmbus.desk.store.ledger import Beginning, Position
from nrmbus.statistics import service
from nrmbus.statistics.history import Histories
from nrmbus.statistics.service import Figures
from nrmbus.statistics.spans import Span
from nrmbus.wire import times
from nrmbus.wire.envelope import decode
from nrmbus.wire.letter import Container, Place
from nrmbus.wire.record import DELIVERY, REGISTRATION
from nrmbus.wire.registration import verify_delivery, verify_registration
from statistics_story import SIGNAL, Story


async def _nothing_new() -> None:
    return


async def test_coded_parts_are_counted_and_nobody_is_asked(tmp_path: Path) -> None:
    """Twelve signals are twelve persons; no task is opened, no receipt sent, and each opening is recorded as the desk's."""
    async with desk_of("statistics", tmp_path) as given:
        release = await Story().figures(given)

        assert release.table("signalled_by_sex").cell("_T") == 12
        assert await given.out() == []
        assert await given.rows("tasks") == []
        figures = [row for row in await given.rows("reads") if row.purpose == "figures"]
        assert {(row.who, row.part) for row in figures} == {("desk", "coded")}
        assert len(figures) == 12


@pytest.mark.parametrize(
    "coded", [{"sex": "Q"}, {"sex": ["F"]}, {"previous_case": {}}, {"citizenship": "Bak\u0131"}], ids=str
)
async def test_a_letter_that_the_type_does_not_have_says_nothing(tmp_path: Path, coded: dict[str, Any]) -> None:
    """Given a letter that another system wrote wrongly, then the person counts, as unknown, and the figures do not stop."""
    story = Story()
    story.happens(
        "ngo-a", "case.signal_recorded", SIGNAL, case=f"{13:032x}", parts={"coded": coded}, opens=("statistics",)
    )
    async with desk_of("statistics", tmp_path, registrar=story.registrar) as given:
        release = await story.figures(given)

    totals = {table.id: table.cell("_T") for table in release.tables if table.id.startswith("signalled_by_")}
    assert totals
    assert set(totals.values()) == {13}


async def test_desk_that_was_away_computes_the_same_bytes(tmp_path: Path) -> None:
    """A desk that was always on and a desk that gets all events late compute the same figures."""
    story = Story()
    async with desk_of("statistics", tmp_path / "on", registrar=story.registrar) as given:
        for each in story.deliveries[:6]:
            await given.hear(each)
        at_once = await story.figures(given, story.deliveries[6:])
    async with desk_of("statistics", tmp_path / "off", registrar=story.registrar) as given:
        later = await story.figures(given)

    assert later.to_json() == at_once.to_json()


async def test_figures_wait_for_letters_that_are_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is computed from half of the letters: the answer says that the inbox is not read yet."""
    monkeypatch.setattr(service, "WITHIN_SECONDS", 0.0)
    story = Story()
    async with desk_of("statistics", tmp_path, registrar=story.registrar) as given:
        with pytest.raises(DeskError) as caught:
            await story.figures(given, story.deliveries[:6])

    assert caught.value.code == "inbox_unread"


async def test_p5_no_figures_are_made_of_a_history_that_this_release_does_not_know(tmp_path: Path) -> None:
    """Given a desk that is not upgraded yet, then it makes no low figures with checkpoints of the whole history, and says what helps."""
    story = Story()
    async with desk_of("statistics", tmp_path, registrar=story.registrar) as given:
        await story.figures(given)
        unknown = {"facts": story.facts, "checkpoints": (), "is_known_to": lambda _: False}
        figures = Figures(given.desk, cast("Histories", SimpleNamespace(**unknown)), _nothing_new)
        with pytest.raises(DeskError) as caught:
            await figures.draft(Span(2026))

    assert (caught.value.code, caught.value.status) == ("history_unread", 409)


async def test_figures_do_not_wait_for_letters_that_were_lost_with_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a new ledger whose inbox begins with the seventh delivery, then the answer asks for a backup, since no waiting helps."""
    monkeypatch.setattr(service, "WITHIN_SECONDS", 0.0)
    story = Story()
    async with desk_of("statistics", tmp_path, registrar=story.registrar) as given:
        seat, headers = given.desk.seat, dict(story.deliveries[6].headers)
        delivery = verify_delivery(headers[DELIVERY], seat.registrar_key)
        since = verify_registration(headers[REGISTRATION], seat.registrar_key).time
        async with seat.ledger.write() as tx:
            begins = Beginning(
                inbox_number=delivery.inbox_number, previous=delivery.previous, since=times.write(since),
                until=len(story.deliveries), noticed=seat.stamp(), lost=True,
            )  # fmt: skip
            seat.ledger.begin(tx, 0, begins)
            seat.ledger.advance(0, Position(delivery.inbox_number - 1, delivery.previous, 6))
        with pytest.raises(DeskError) as caught:
            await story.figures(given, story.deliveries[6:])

    assert caught.value.code == "letters_lost"


async def test_p6_erased_person_leaves_the_next_figures_and_the_desk_confirms(tmp_path: Path) -> None:
    """The order of an erasure destroys the letters here too, and the desk signs that it did; the person is in no later figures."""
    story = Story()
    async with desk_of("statistics", tmp_path, registrar=story.registrar) as given:
        before = await story.figures(given)
        erased = f"{1:032x}"
        story.happens("timekeeper", "access.erasure_due", {"ground": "decision"}, case=erased)
        await given.hear(story.deliveries[-1])
        order = story.facts[erased][-1].event.id
        await rounds.erase_due(given.desk)
        after = await story.draft(given)

        assert [row.subject for row in await given.rows("events") if row.letter is None and row.shut == "erased"] == [
            erased
        ]
        (said,) = [decode(each).event() for each in await given.out()]
        assert (said.type, said.subject, said.causationid) == ("access.erasure_confirmed", erased, order)
        assert before.table("signalled_by_sex").cell("_T") == 12
        assert after.table("signalled_by_sex").cell("_T") == 11


async def test_p6_old_copy_of_the_ledger_opens_nothing(tmp_path: Path) -> None:
    """Given a ledger restored from a backup before the erasure, the order is read again before any letter is opened.

    The backup alone has letters under a key of the agency, which ends at the confirmed horizon.
    """
    story, home, old, store = Story(), tmp_path / "home", tmp_path / "old", Store.at(tmp_path / "backup")
    home.mkdir()
    erased = f"{1:032x}"
    async with desk_of("statistics", home, registrar=story.registrar) as given:
        await story.figures(given)
        with store.held():
            kept = folders.keep(home, lambda: folders.paths(home), store, None, lambda *_: None)
        story.happens("timekeeper", "access.erasure_due", {"ground": "decision"}, case=erased)
        await given.hear(story.deliveries[-1])
        await rounds.erase_due(given.desk)
        (confirmed,) = await given.out()
    folders.put_back(store, kept.items(), old)

    async with desk_of("statistics", old, registrar=story.registrar) as given:
        assert len(await opened(given, erased)) == 1, "sabotage: the copy alone, with the agency's keys, still opens"
        await given.hear(story.deliveries[-1])
        await given.hear(story.registrar.register(confirmed, to="statistics"))
        await rounds.erase_due(given.desk)

        assert await opened(given, erased) == []
        assert (await story.draft(given)).table("signalled_by_sex").cell("_T") == 11
        assert await given.out() == []
        assert {row.subject for row in await given.rows("case_keys")} == {
            f"{number + 1:032x}" for number in range(1, 12)
        }


async def test_p6_letter_that_was_ordered_to_be_destroyed_is_not_counted_meanwhile(tmp_path: Path) -> None:
    """Between order and erasure no letter of the case is opened, even by a desk whose history is behind its inbox."""
    story = Story()
    async with desk_of("statistics", tmp_path, registrar=story.registrar) as given:
        await story.figures(given)
        erased, behind = f"{1:032x}", {case: list(facts) for case, facts in story.facts.items()}
        story.happens("timekeeper", "access.erasure_due", {"ground": "decision"}, case=erased)
        await given.hear(story.deliveries[-1])
        before = len(await given.rows("reads"))
        story.facts = behind
        release = await story.draft(given)

        read = {row.id for row in (await given.rows("reads"))[before:]}
        assert behind[erased][0].event.id not in read
        assert release.table("signalled_by_sex").cell("unknown") is None


async def opened(given: Given, case: str) -> list[Any]:
    """Return the coded fields of each letter of *case* that the desk of *given* can open."""
    seat, found = given.desk.seat, []
    for row in await given.rows("events"):
        if row.subject == case and row.letter is not None:
            place, container = Place(seat.bus, row.source, row.id, case), Container.parse(row.letter)
            if secrets := letters.secrets(seat, container, place):
                found.append(container.open_with(secrets, place)["coded"])
    return found
