"""Profiles of countries that lack a group or a stage of the bundled ones: each event has an answer all the same."""

from collections.abc import Mapping
from typing import Any, Final

import yaml

from agencies import POLICY
from nrmbus.rules import Profile, load_profile, read_profile
from rules.given import Bench
from rules.stories import begun, child_begun, referred

LACKED: Final = "GUARDIANS"
TERMS: Final = "guardian_bodies"


def slim(**differences: Any) -> Profile:
    """Return a profile that extends the pinned one with *differences*."""
    return read_profile(yaml.safe_dump({"name": "xa@2026-01-01", "extends": POLICY, **differences}))


def without_guardians() -> Profile:
    """Return a profile of a country without guardian bodies: the group and every use of it are gone, as the check advises."""
    changed: dict[str, Mapping[str, Any]] = {}
    for name, row in load_profile(POLICY).types.items():
        uses: dict[str, Any] = {}
        if LACKED in row.by:
            uses["by"] = [each for each in row.by if each != LACKED] or ["social_services"]
        if any(each.startswith(TERMS) for each in row.sees):
            uses["sees"] = [each for each in row.sees if not each.startswith(TERMS)]
        opens = {part: [each for each in terms if not each.startswith(TERMS)] for part, terms in row.opens.items()}
        uses |= {"opens": found} if (found := {p: t for p, t in opens.items() if t != list(row.opens[p])}) else {}
        changed |= {name: uses} if uses else {}
    return slim(without={"roles": [LACKED]}, changes={"types": changed})


def test_a_country_without_guardian_bodies_asks_for_none_before_a_child_is_referred() -> None:
    """Given no such body in the profile, when a child is referred, then no rule asks that one was told first."""
    b = Bench(without_guardians())
    b.say("school", "case.signal_recorded", detector="education", child=True, urgency="urgent", letter=True)

    said = {"ref": "R-1", "to": ["special-unit"], "child": True, "legal_basis": "CoM 21/2008 art. 7", "letter": True}
    assert b.ask("school", "referral.submitted", **said) is None


def test_a_country_without_embassies_keeps_none_from_an_answer() -> None:
    """Given a question to the referrer and no embassies in the profile, when contact with embassies is barred, then the case goes on."""
    b = referred(Bench(slim(without={"roles": ["ENVOYS"]})))
    b.at("1:20").say("special-unit", "referral.acknowledged", ref="R-1")
    b.at("1:30").say("special-unit", "referral.info_requested", ref="R-1", question="documents")
    b.at("1:40").say("ngo-a", "stay.embassy_barred")

    b.at("2:00").say("special-unit", "referral.accepted", ref="R-1")
    assert "D-INFO" in b.codes


def test_a_child_enters_the_only_stage_of_a_country() -> None:
    """Given a profile with one stage, when a child's identification enters it, then no wait for the inquiry begins."""
    b = child_begun(Bench(slim(changes={"statuses": {"stages": ["initial_assistance"]}})))

    assert "D-REPRESENT" not in b.codes


def test_a_screening_without_its_stage_is_refused_by_the_order_of_the_stages() -> None:
    """Given a profile without the stage of screening, when indicators are screened, then G-42 says that they are early."""
    b = begun(Bench(slim(changes={"statuses": {"stages": ["initial_assistance", "inquiry"]}})))
    b.at("d1 11:00").say("special-unit", "identification.stage_entered", stage="inquiry")

    refusal = b.ask("special-unit", "identification.indicators_screened", letter=True)
    assert refusal is not None
    assert refusal.rule == "G-42"
