"""Case found by the special unit: from SUSPECTED it begins at once, after a referral only once it has accepted."""

from typing import Any

import pytest

from agencies import POLICY
from nrmbus.rules import load_profile
from rules.given import Bench
from rules.stories import LEGAL, accepted, begun

UNIT = "special-unit"
OWN = {"receivers": [UNIT], "approver": "A-2"}


def found(b: Bench) -> Bench:
    """The unit gives the signal; it begins under an override, since she cannot be asked."""
    b.say(UNIT, "case.signal_recorded", detector="special_unit")
    b.say(UNIT, "consent.overridden", receivers=[UNIT])
    return b


def found_and_referred(b: Bench) -> Bench:
    """An NGO that she lets help refers the same person to the unit, which has found her already."""
    found(b).consents("ngo-a", by=UNIT)
    b.say(UNIT, "referral.submitted", ref="R-1", to=["ngo-a"], legal_basis=LEGAL)
    b.say("ngo-a", "referral.submitted", ref="R-2", to=[UNIT], legal_basis=LEGAL)
    return b


def test_initial_assistance_needs_no_acceptance_from_suspicion() -> None:
    """T08: nobody asked the unit, so there is nothing to accept."""
    assert found(Bench()).ask(UNIT, "identification.stage_entered") is None


def test_initial_assistance_after_a_referral_needs_acceptance() -> None:
    """T08: a referral waits for an answer, also where the unit gave the signal; its clock could not end otherwise."""
    b = found_and_referred(Bench())
    refusal = b.ask(UNIT, "identification.stage_entered")
    assert refusal is not None
    assert refusal.rule == "G-41"

    b.say(UNIT, "referral.accepted", ref="R-2")
    assert [clock.code for clock in b.rules.clocks(b.view) if clock.answerable == UNIT] == ["D-ANSWER"]
    b.say(UNIT, "identification.stage_entered")
    assert "D-ANSWER" not in b.codes


def test_initial_assistance_waits_for_the_answer_to_the_latest_referral_too() -> None:
    """The unit had accepted once, deleted its data, and is asked again: the acceptance of before is no answer to that."""
    b = begun(Bench())
    b.say("ngo-a", "consent.withdrawn", receivers=[UNIT])
    b.say(UNIT, "consent.stop_confirmed")
    b.consents(UNIT)
    b.say("ngo-a", "referral.submitted", ref="R-9", to=[UNIT], legal_basis=LEGAL)
    refusal = b.ask(UNIT, "identification.stage_entered")

    assert refusal
    assert refusal.rule == "G-41"


def test_a_first_stage_that_names_another_reference_is_an_answer_all_the_same() -> None:
    """The unit has taken the person on: a wrong reference in the form does not keep its answer owed for ever."""
    b = accepted(Bench())
    b.say("ngo-a", "referral.submitted", ref="R-9", to=["vac"])
    b.say(UNIT, "identification.stage_entered", ref="R-9")

    assert "D-ANSWER" not in b.codes


class TestHerOwnConsent:
    """The unit records what the person says herself, with a second member of staff (G-36, G-37)."""

    def test_lets_the_unit_begin_without_an_override(self) -> None:
        """Reading 95: nobody else met her, and she agrees; the history has her word and two names."""
        b = Bench()
        b.say(UNIT, "case.signal_recorded", detector="special_unit")
        assert (b.ask(UNIT, "identification.stage_entered") or b.ask(UNIT, "case.closed")) is not None  # T1

        b.say(UNIT, "consent.given", **OWN)
        b.say(UNIT, "identification.stage_entered")

        assert str(b.view.status) == "UNDER_IDENTIFICATION"
        assert "D-RG" in b.codes

    def test_is_not_on_record_without_it(self) -> None:
        """T1: an adult is asked; without a consent or an override identification is refused, as before."""
        b = Bench()
        b.say(UNIT, "case.signal_recorded", detector="special_unit")
        refusal = b.ask(UNIT, "identification.stage_entered")
        assert refusal
        assert refusal.rule == "G-32"

    def test_still_waits_for_the_acceptance_of_a_referral(self) -> None:
        """P3: a referral that came meanwhile waits for its answer, also with her consent."""
        b = Bench()
        b.say(UNIT, "case.signal_recorded", detector="special_unit")
        b.say(UNIT, "consent.given", **OWN)
        b.consents("ngo-a", by=UNIT)
        b.say(UNIT, "referral.submitted", ref="R-1", to=["ngo-a"], legal_basis=LEGAL)
        b.say("ngo-a", "referral.submitted", ref="R-2", to=[UNIT], legal_basis=LEGAL)

        refusal = b.ask(UNIT, "identification.stage_entered")
        assert refusal
        assert refusal.rule == "G-41"

    @pytest.mark.parametrize(
        ("said", "rule"),
        [
            ({"approver": None}, "G-37"),
            ({"approver": "A-1"}, "G-37"),
            ({"approver": "a.01"}, "G-37"),
            ({"approver": "by-itself"}, "G-37"),
            ({"given_by": "caregiver"}, "G-36"),
        ],
    )
    def test_is_refused_without_a_second_person_or_by_somebody_else(self, said: dict[str, Any], rule: str) -> None:
        """However the number is spelt; a machine is no second person; a caregiver's word is no adult's own."""
        b = Bench()
        b.say(UNIT, "case.signal_recorded", detector="special_unit")
        refusal = b.ask(UNIT, "consent.given", **{**OWN, **said})
        assert refusal
        assert refusal.rule == rule

    def test_is_recorded_by_no_unit_that_did_not_find_her(self) -> None:
        """The NGO that met her asks her; nor by an NGO that found her, nor for a child."""
        unit, ngo, child = Bench(), Bench(), Bench()
        unit.say("ngo-a", "case.signal_recorded")
        unit.say("ngo-a", "consent.overridden", receivers=[UNIT])
        unit.say("ngo-a", "referral.submitted", ref="R-1", to=[UNIT], legal_basis=LEGAL)
        ngo.say("ngo-a", "case.signal_recorded")
        child.say(UNIT, "case.signal_recorded", detector="special_unit", child=True)

        for b, by in ((unit, UNIT), (ngo, "ngo-a"), (child, UNIT)):
            refusal = b.ask(by, "consent.given", receivers=[by], approver="A-2")
            assert refusal
            assert refusal.rule == "G-36"

    def test_undoes_no_refusal_that_another_agency_recorded(self) -> None:
        """She told an NGO that she does not want the unit: the unit's own record does not outweigh that, its own does."""
        b = Bench()
        b.say(UNIT, "case.signal_recorded", detector="special_unit")
        b.say(UNIT, "consent.given", **OWN)
        b.say(UNIT, "consent.refused", receivers=[UNIT])
        assert b.ask(UNIT, "consent.given", **OWN) is None

        b.consents("ngo-a", by=UNIT)
        b.say(UNIT, "referral.submitted", ref="R-1", to=["ngo-a"], withhold_from=[UNIT], legal_basis=LEGAL)
        b.say("ngo-a", "consent.refused", receivers=[UNIT])
        refusal = b.ask(UNIT, "consent.given", **OWN)
        assert refusal
        assert refusal.rule == "G-36"
        assert b.ask("ngo-a", "consent.given", receivers=[UNIT]) is None

    @pytest.mark.parametrize("own", ["consent.refused", "consent.overridden"])
    def test_undoes_no_such_refusal_by_another_word_of_its_own_first(self, own: str) -> None:
        """The unit records a refusal or an override after the NGO's: what she told the NGO stands behind it until she tells the NGO otherwise."""
        b = Bench()
        b.say(UNIT, "case.signal_recorded", detector="special_unit")
        b.consents("ngo-a", by=UNIT)
        b.say(UNIT, "referral.submitted", ref="R-1", to=["ngo-a"], legal_basis=LEGAL)
        b.say("ngo-a", "consent.refused", receivers=[UNIT])
        b.say(UNIT, own, receivers=[UNIT])
        refusal = b.ask(UNIT, "consent.given", **OWN)
        assert refusal
        assert refusal.rule == "G-36"

        b.say("ngo-a", "consent.given", receivers=[UNIT])
        b.say(UNIT, "consent.refused", receivers=[UNIT])
        assert b.ask(UNIT, "consent.given", **OWN) is None

    def test_undoes_no_such_refusal_once_the_case_is_opened_again(self) -> None:
        """Given that refusal and the unit's override, when the case is closed and opened again, then the override is over and the refusal stands."""
        b = Bench()
        b.say(UNIT, "case.signal_recorded", detector="special_unit")
        b.consents("ngo-a", by=UNIT)
        b.say(UNIT, "referral.submitted", ref="R-1", to=["ngo-a"], legal_basis=LEGAL)
        b.say("ngo-a", "referral.accepted", ref="R-1")
        b.say("ngo-a", "consent.refused", receivers=[UNIT])
        b.say(UNIT, "consent.overridden", receivers=[UNIT])
        b.say(UNIT, "case.closed", reason="lost_contact")
        b.say(UNIT, "case.reopened", reason="other")

        for said, rule in (("consent.given", "G-36"), ("identification.stage_entered", "G-30")):
            refusal = b.ask(UNIT, said, **(OWN if said == "consent.given" else {}))
            assert refusal
            assert refusal.rule == rule
        b.say("ngo-a", "consent.given", receivers=[UNIT])
        assert b.ask(UNIT, "identification.stage_entered") is None

    def test_undoes_no_refusal_of_services_either(self) -> None:
        """She told the NGO that she wants nothing from the unit: that stands against a consent to services, and to no other purpose."""
        b = Bench()
        b.say(UNIT, "case.signal_recorded", detector="special_unit")
        b.consents("ngo-a", by=UNIT)
        b.say(UNIT, "referral.submitted", ref="R-1", to=["ngo-a"], legal_basis=LEGAL)
        b.say("ngo-a", "consent.refused", receivers=[UNIT], purposes=["services"])

        refusal = b.ask(UNIT, "consent.given", **OWN)
        assert refusal
        assert refusal.rule == "G-36"
        assert b.ask(UNIT, "consent.given", **{**OWN, "purposes": ["information_sharing"]}) is None

    def test_is_a_matter_of_the_profile(self) -> None:
        """A profile whose group is empty of roles has the old rule: nobody records a consent to itself."""
        profile = load_profile(POLICY)
        b = Bench(profile.model_copy(update={"roles": {**profile.roles, "SELF_CONSENT": ()}}))
        b.say(UNIT, "case.signal_recorded", detector="special_unit")
        refusal = b.ask(UNIT, "consent.given", **OWN)
        assert refusal
        assert refusal.rule == "G-36"
