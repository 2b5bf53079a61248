"""Refusals: events that are refused, with rule and article, and similar events that are allowed. Section 4 of RULES.md."""

from collections.abc import Callable

import pytest

from agencies import POLICY
from nrmbus.rules import Refusal, load_profile
from nrmbus.rules.judge.judge import CHECKS, OF_THE_ROW
from nrmbus.rules.placed import placed
from rules.judge import (
    refused_course,
    refused_emergency,
    refused_figures,
    refused_parties,
    refused_protection,
    refused_returns,
)

PROFILE = load_profile(POLICY)
STORIES: dict[str, Callable[[], tuple[Refusal | None, Refusal | None]]] = {
    **refused_parties.STORIES,
    **refused_protection.STORIES,
    **refused_course.STORIES,
    **refused_emergency.STORIES,
    **refused_returns.STORIES,
    **refused_figures.STORIES,
}
FURTHER = [
    *refused_parties.more(), *refused_protection.more(), *refused_course.more(), *refused_emergency.more(),
    *refused_returns.more(), *refused_figures.more(),
]  # fmt: skip


def applied(refusal: Refusal) -> str:
    """Return the rule that applied: where refusals read alike to the sender, the one that the history records."""
    return refusal.because or refusal.rule


@pytest.mark.parametrize("rule", sorted(PROFILE.refusals))
def test_each_rule_refuses_its_case_and_lets_the_neighbouring_one_pass(rule: str) -> None:
    """The rule's story is refused by this rule and no other; with one thing changed, it is allowed."""
    refused, allowed = STORIES[rule]()
    assert refused is not None
    assert applied(refused) == rule
    assert allowed is None or f"refused by {allowed.rule}" == ""


def test_p3_every_refusal_names_its_rule_and_article() -> None:
    """P3: each rule of the profile can be provoked, and its answer cites code, rule and basis exactly as the profile has them."""
    assert set(STORIES) == set(PROFILE.refusals)
    for rule in PROFILE.refusals:
        refused, _ = STORIES[rule]()
        assert refused is not None
        assert applied(refused) == rule
        read = "G-70" if refused.because else rule  # the rule that is shown to the sender
        cited = PROFILE.refusals[read]
        assert (refused.rule, refused.code, refused.sentence) == (read, cited.code, placed(cited.says, PROFILE))
        expected = cited.basis
        if expected == OF_THE_ROW:
            expected = PROFILE.types["handover.person_received"].basis
        assert refused.article == expected
        assert refused.article


def test_a_sentence_says_what_to_do_and_repeats_no_input() -> None:
    """The sentence is the profile's, with an instruction after the semicolon, and no place but for facts of the profile."""
    for rule, cited in PROFILE.refusals.items():
        assert cited.says.endswith("."), rule
        assert "; " in cited.says, rule
        assert "{" not in placed(cited.says, PROFILE), rule


@pytest.mark.parametrize(("what", "answer", "rule"), FURTHER, ids=[what for what, _, _ in FURTHER])
def test_further_cases_of_the_rules(what: str, answer: Refusal | None, rule: str | None) -> None:
    """Edges of one rule, and which of two rules answers first."""
    assert (applied(answer) if answer else None) == rule, what


def test_the_rules_are_asked_in_the_order_of_the_text() -> None:
    """The first that applies is the answer, so the order is part of the Rules."""
    assert list(PROFILE.refusals) == sorted(PROFILE.refusals)
    assert list(CHECKS) == list(PROFILE.refusals)


def test_every_rule_says_in_its_own_words_what_it_refuses() -> None:
    """A docstring for each, since a reader looks there first."""
    assert all(check.applies.__doc__ for check in CHECKS.values())
