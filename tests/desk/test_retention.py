"""What was kept long enough is found, and erased when somebody says so; what the profile names no years for never is."""

import dataclasses
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from desk.given import desk_of, town
from nrmbus.desk import erasing, retention
from nrmbus.rules import Profile, Rules, load_profile
from rules.given import Bench
from rules.stories import closed, planned

PROFILE = load_profile("az@2022-04-29")
TODAY = date(2031, 9, 1)


def with_years(**years: int) -> Profile:
    """The profile after a lawyer has filled in *years* by class."""
    rows = {name: row.model_copy(update={"years": years.get(name)}) for name, row in PROFILE.retention.classes.items()}
    return PROFILE.model_copy(update={"retention": PROFILE.retention.model_copy(update={"classes": rows})})


class TestHowLong:
    """By the longest class of what was said in the case, from the day of its closing."""

    def test_an_open_case_is_kept(self) -> None:
        """However old it is."""
        assert retention.kept(with_years(care=1), planned(Bench()).view, ["plan.adopted"]) is None

    @pytest.mark.parametrize(
        ("types", "years", "through"),
        [
            (["case.closed"], {"care": 5}, 5),
            (["case.closed", "identification.status_decided"], {"care": 5, "decisions": 10}, 10),
            (["case.closed", "payment.ordered"], {"care": 5, "money": 3}, 5),
            (["case.closed", "payment.ordered"], {"care": 5}, None),
            (["case.closed", "a.later_type"], {"care": 5}, 5),
            (["case.closed"], {}, None),
        ],
    )
    def test_the_longest_class_counts(self, types: list[str], years: dict[str, int], through: int | None) -> None:
        """One class without a value keeps the whole case: nobody knows how long."""
        view = closed(Bench()).view
        found = retention.kept(with_years(**years), view, types)
        assert found is not None
        last = found.closed.replace(year=found.closed.year + through) if through else None
        assert found.through == last
        assert found.due(date(2099, 1, 1)) is (through is not None)
        if last:
            assert not found.due(last)

    def test_a_hold_stops_it(self) -> None:
        """Until the end of its last day."""
        b = closed(Bench())
        b.say("auditor", "access.hold_placed", reasons=["inspection"], until="2026-09-30")
        found = retention.kept(with_years(care=1), b.view, ["case.closed"])
        assert found is not None
        before = dataclasses.replace(found, through=date(2026, 9, 1))
        assert [before.due(date(2026, 9, 30)), before.due(date(2026, 10, 1))] == [False, True]

    def test_as_the_profile_stands_nothing_is_ever_due(self) -> None:
        """No law on this was readable: the years are for an authority to fill in."""
        assert all(row.years is None and row.unverified for row in PROFILE.retention.classes.values())


async def test_at_the_door_it_is_listed_erased_and_confirmed(tmp_path: Path) -> None:
    """With years in the profile: nothing is erased by looking, what is due is by saying so, once."""
    town_rules = town().rules
    async with desk_of("vac", tmp_path) as given:
        given.desk.seat.rules = Rules(with_years(care=5, decisions=5, money=5), given.desk.seat.agencies)
        bench = given.registrar
        for type_, data in (
            ("case.signal_recorded", {"detector": "ngo_outreach", "child": False, "urgency": "normal", "detected_abroad": False, "basis": ["indicators"]}),
            ("case.closed", {"reason": "integrated", "follow_up": False}),
        ):  # fmt: skip
            await given.hear(bench.register(bench.event("ngo-a", type_, data), to="vac"))
        (case,) = (await given.door.get("/v1/retention")).json()["cases"]
        assert (case["closed"], case["through"], case["classes"]) == ("2026-03-02", "2031-03-02", ["care"])
        assert not case["due"]
        assert (await given.door.post("/v1/retention/apply")).json() == {"cases": []}

        given.clock.time = datetime(2031, 9, 1, tzinfo=UTC)
        assert (await given.door.get("/v1/retention")).json()["cases"][0]["due"]
        assert (await given.door.post("/v1/retention/apply")).json() == {"cases": [case["case"]]}
        assert await erasing.erase_due(given.desk) == (case["case"],)
        assert (await given.door.get("/v1/retention")).json() == {"cases": []}
        (row,) = [row for row in await given.rows("outbox") if row.type == "access.erasure_confirmed"]
        assert '"ground":"retention"' in row.clear.decode()
    assert town().rules is town_rules
