"""Reasons for an agency's notice, or for none: one reason per agency, always in line with the audience."""

from collections import Counter
from collections.abc import Callable
from typing import get_args

import pytest

from agencies import AGENCIES, POLICY
from nrmbus.rules import load_profile
from nrmbus.rules.vocabulary import Term
from nrmbus.rules.why import FOR, SENTENCES, WORDS, ReasonCode
from rules.audience_rows import ROWS
from rules.audience_words import Seen
from rules.given import Bench
from rules.stories import child_identified, consented, identified, planned, referred, signalled

PROFILE = load_profile(POLICY)


def reasons(b: Bench, by: str, type_: str, **said: object) -> dict[str, str]:
    """The code for each agency, if this were registered now."""
    event = b.event(by, type_, **said)
    return {agency: b.rules.why(b.view, event, agency).code for agency in AGENCIES}


@pytest.mark.thorough
@pytest.mark.parametrize("row", ROWS, ids=[f"{n} {row.by} {row.type}" for n, row in enumerate(ROWS)])
def test_an_agency_has_a_reason_exactly_where_the_audience_has_it(row: Seen) -> None:
    """Every agency of the directory, in every case of section 3; and it opens the same parts."""
    b = row.story(Bench())
    event = b.event(row.by, row.type, letter=True, **row.said)
    audience = b.rules.audience(b.view, event)
    for agency in AGENCIES:
        why = b.rules.why(b.view, event, agency)
        assert why.told == (agency in audience.recipients)
        assert set(why.parts) == {part for part, openers in audience.opens.items() if agency in openers}
        assert (why.code == "source") == (agency == row.by)
        assert why.told <= bool(why.terms), "told by no word of the row"
        assert why.basis
        if why.rule:
            assert why.basis == PROFILE.refusals[why.rule].basis
            assert why.consent in {event.id, *(fact.event.id for fact in b.facts)}


@pytest.mark.thorough
def test_every_reason_is_met_by_the_cases_of_section_3() -> None:
    """So that the enumeration above leaves none of them out."""
    met: Counter[ReasonCode] = Counter()
    for row in ROWS:
        b = row.story(Bench())
        event = b.event(row.by, row.type, letter=True, **row.said)
        met.update(b.rules.why(b.view, event, agency).code for agency in AGENCIES)

    assert set(met) == set(get_args(ReasonCode)) - {"unknown_type"}  # every published type has a row


def test_each_word_and_code_has_its_sentence() -> None:
    """A new term of the vocabulary has its explanation here too; its role or group exists in the profile."""
    assert set(WORDS) == set(get_args(Term))
    assert set(SENTENCES) == set(get_args(ReasonCode))
    assert set(FOR) <= set(get_args(Term))
    assert all(name in PROFILE.roles for names in FOR.values() for name in names if name.isupper())


@pytest.mark.parametrize(
    ("word", "code", "rule"), [("refused", "consent_refused", "G-30"), ("withdrawn", "consent_withdrawn", "G-31")]
)
def test_her_word_is_named_that_keeps_an_agency_out(word: str, code: str, rule: str) -> None:
    """The legal NGO is a member of the plan; of its revision it is not told, by this very paper."""
    b = planned(Bench())
    paper = b.say("ngo-a", f"consent.{word}", receivers=["ngo-l"])
    event = b.event("vac", "plan.revised")
    why = b.rules.why(b.view, event, "ngo-l")

    assert (why.code, why.terms, why.rule, why.consent) == (code, ("members",), rule, paper.id)
    assert b.rules.why(b.view, event, "shelter").told


@pytest.mark.parametrize("story", [identified, child_identified])
def test_a_consulate_that_helped_is_kept_out_by_the_bar_itself(story: Callable[[Bench], Bench]) -> None:
    """Given a return with a consulate's help, when a bar is recorded, then the bar is why the consulate hears nothing of it."""
    b = story(Bench())
    given_by = "caregiver" if b.view.child else "individual"
    b.say("special-unit", "consent.given", receivers=["consulate"], given_by=given_by)
    b.say("special-unit", "return.consented", to=["consulate"], given_by=given_by)
    event = b.event("special-unit", "stay.embassy_barred")
    why = b.rules.why(b.view, event, "consulate")

    assert (why.code, why.rule, why.consent) == ("embassy_barred", "G-55", event.id)
    assert why.terms


def test_the_consent_behind_a_recipient_is_named() -> None:
    """The special unit gets the request because she consented to it."""
    b = consented(Bench())
    event = b.event("ngo-a", "referral.submitted", ref="R-1", to=["special-unit"])
    why = b.rules.why(b.view, event, "special-unit")

    assert (why.code, why.terms) == ("told", ("to",))
    assert why.consent == next(fact.event.id for fact in b.facts if "special-unit" in str(fact.event.data))


def test_an_agency_without_a_part_receives_nothing_and_the_reason_says_so() -> None:
    """The embassy stands outside; the fund would be told on recognition only."""
    b = referred(Bench())
    found = reasons(b, "special-unit", "referral.acknowledged", ref="R-1")

    assert (found["embassy"], found["ngo-a"], found["special-unit"]) == ("not_on_case", "told", "source")
    assert (
        reasons(signalled(Bench()), "special-unit", "identification.indicators_screened")["ngo-a"] == "nobody_is_told"
    )


def test_the_receiver_of_a_consent_that_is_not_on_the_case_has_a_reason_too() -> None:
    """The consent lets the centre hear, and it has no part yet; nobody else is meant by it."""
    b = signalled(Bench())
    event = b.event("ngo-a", "consent.given", receivers=["vac"])
    vac, fund = (b.rules.why(b.view, event, agency) for agency in ("vac", "fund"))

    assert (vac.code, vac.terms) == ("condition_unmet", ("consent_receiver_on_case",))
    assert vac.sentence == (
        "The row tells the receiver of the consent, if it has a part in the case; that did not hold of it then."
    )
    assert fund.code == "not_on_case"
