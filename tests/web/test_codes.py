"""Words of codes and labels: each code list and each field of an event has words in every language."""

from typing import Final

import pytest

from agencies import POLICY
from nrmbus.desk.errors import MEANINGS, DeskCode
from nrmbus.desk.web.acts.form import Field, form_of
from nrmbus.desk.web.acts.guide_questions import QUESTIONS
from nrmbus.events.registry import TYPES
from nrmbus.rules import load_profile
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.lists import family_of, lists
from nrmbus.web.words import catalogues
from nrmbus.wire.errors import WireCode, sentence_of


def known(language: Language) -> dict[tuple[str | None, str], str]:
    """Return every message of *language*, by context and key."""
    return {
        (each.context, str(each.id)): str(each.string) for found in catalogues(language) for each in found if each.id
    }


def every(fields: tuple[Field, ...]) -> list[Field]:
    """Return *fields* with those inside them."""
    return [found for each in fields for found in (each, *every(each.fields))]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_that_a_form_offers_has_words(language: Language) -> None:
    """Given a code that people choose from a list, then it has words of its own."""
    words = known(language)
    wanted = {(list, code) for list, codes in lists().items() for code in codes}
    for data in TYPES.values():
        wanted |= {
            (each.list, code) for each in every(form_of(data).fields) if not data.technical for code in each.codes
        }

    assert [each for each in sorted(wanted) if (family_of(each[0]), each[1]) not in words] == []


@pytest.mark.parametrize("language", ["az", "ru"])
def test_every_field_that_people_fill_in_has_a_label(language: Language) -> None:
    """A new version of an event brings its labels, and this finds the one that has no translation."""
    words = known(language)
    wanted = {each.label for data in TYPES.values() if not data.technical for each in every(form_of(data).fields)}
    wanted |= {each.label for of in QUESTIONS.values() for each in of}

    assert [each for each in sorted(wanted) if ("field", each) not in words] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_step_has_a_name(language: Language) -> None:
    """A button says what it does."""
    words, by_itself = (
        known(language),
        {"case.follow_up_due", "deadline.breached", "access.resealed", "referral.expired", "shelter.offer_lapsed"},
    )
    types = {data.type for data in TYPES.values() if not data.technical} - by_itself

    assert [each for each in sorted(types) if ("act", each) not in words] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_of_the_rules_says_what_to_do(language: Language) -> None:
    """Given a refusal by a rule, then a page says what happened and what to do."""
    words = known(language)
    refusals = {each.code for each in load_profile(POLICY).refusals.values()}
    families = ("refusal", "remedy")

    assert [(family, code) for code in sorted(refusals) for family in families if (family, code) not in words] == []


MET: Final[tuple[WireCode, ...]] = (
    "time_in_future", "stale", "agency_suspended", "unknown_recipient", "key_not_current", "letter_too_large", "too_large",
    "unknown_type", "unknown_version",
)  # fmt: skip
"""Refusals of the wire that an event of a page can meet: all others would be faults of the desk's own signing or sealing."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_of_the_wire_that_people_meet_says_what_to_do(language: Language) -> None:
    """Given a refusal that no rule of a profile gave, then a page says what happened and what to do, too."""
    words = known(language)

    assert [(family, code) for code in MET for family in ("refusal", "remedy") if (family, code) not in words] == []


@pytest.mark.parametrize("language", ["az", "ru"])
def test_every_refusal_that_the_desk_gives_itself_is_translated(language: Language) -> None:
    """Given an event that the desk could not send at all, then its page says why in the reader's language."""
    codes = ("audience_changed", "audience_not_allowed", "profile_missing")

    assert [code for code in codes if (None, sentence_of(code)) not in known(language)] == []


WITHOUT_PAGES: Final[frozenset[DeskCode]] = frozenset(
    {
        "reader_unfit", "not_admitted", "speaks_unpublished", "edge_unknown", "staff_unfit", "smtp_unfit", "webhooks_unfit",
        "ledger_foreign", "ledger_unknown", "ledger_absent", "ledger_differs", "ledger_filled", "ledger_away",
        "ledger_driver_missing", "ledger_held", "ledger_unfit", "ledger_in_use",
        "token_required", "scope_missing", "too_many_requests", "method_not_allowed", "inbox_restarted", "json_invalid",
        "json_duplicate", "not_a_play", "webhooks_full", "webhook_address_refused", "webhook_secret_lost", "webhook_not_confirmed",
    }
)  # fmt: skip
"""Errors of a start or a command, at a terminal, and of requests of an agency's systems: both are in English."""


@pytest.mark.parametrize("language", ["az", "ru"])
def test_every_error_of_a_desk_that_a_page_can_show_is_translated(language: Language) -> None:
    """Given an error that no page words itself, then its sentence is the whole page, in the reader's language."""
    words = known(language)
    shown = {code: meaning for code, meaning in MEANINGS.items() if code not in WITHOUT_PAGES}

    assert [code for code, meaning in shown.items() if not words.get((None, meaning.sentence))] == []
