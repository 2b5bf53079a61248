"""The closed words that a profile may use. A word that is not here is an error of the profile; each has one function.

Terms name agencies and are answered in ``audience.py`` (clocks' words in ``running.py``), conditions in ``conditions.py``.
"""

from typing import Literal

Term = Literal[
    "answerable",
    "asked",
    "asker",
    "asker_unless_barred",
    "consent_giver",
    "consent_receiver_knowing",
    "consent_receiver_on_case",
    "coordinator",
    "court_named",
    "court_of_case",
    "decider",
    "emergency_holder",
    "everybody",
    "former_holder",
    "fund_on_case_or_named",
    "fund_on_recognition",
    "giver_supervisor",
    "guardian_bodies",
    "guardian_bodies_of_child_to_unit",
    "guardianship_of_child",
    "guardianship_of_waiting_child",
    "holder",
    "holders",
    "holders_by_authority",
    "housing_shelter",
    "lapsing_shelter",
    "letter_sender",
    "members",
    "migration_with_hold",
    "migration_with_hold_on_positive",
    "next_holder",
    "open_referral_parties",
    "other_party",
    "owing_again",
    "parties_to_proceedings",
    "parts_in_ending_case",
    "plan_holder",
    "questioner",
    "receiver_supervisor",
    "referrer",
    "referrer_when_unit_ends",
    "referring_ngo",
    "referring_ngo_that_attended",
    "refused_by_child",
    "relieved",
    "rescuer",
    "return_helpers",
    "return_helpers_but_embassy",
    "second_agency",
    "senders",
    "shelters_on_case",
    "special_unit",
    "special_unit_of_child",
    "special_unit_on_case",
    "statistics_with_facts",
    "supervisor",
    "terminator",
    "to",
    "told_of_adult",
    "told_of_closing",
    "unanswering",
    "vac_on_case",
    "vac_on_case_or_named",
    "waiting",
    "withdrawer",
]
"""Terms for recipients of an event, or for agencies that open a part of its letter."""

Condition = Literal[
    "adult_refuses_unit",
    "arrival_begins_referral",
    "by_detecting_provider",
    "by_detecting_provider_after_refusal",
    "by_unit",
    "child_waits",
    "first_receipt_by_unit",
    "first_stage",
    "first_stage_by_unit",
    "first_stage_of_own_find",
    "found_adult",
    "grant_open",
    "later_stage",
    "made_it_referred",
    "monitored_again",
    "merge_continues",
    "merge_ends",
    "negative",
    "not_by_unit",
    "order_open",
    "positive",
    "question_opens",
    "reopening",
    "reopening_from_negative",
    "report_begins_referral",
    "service_asked_for",
    "to_unit",
    "to_unit_that_left",
    "withheld_from_unit",
]
"""Conditions under which a row of section 2 or 5 applies to an event."""

Record = Literal[
    "bed", "document", "emergency", "hold", "letter", "proceedings", "referral", "review", "service", "withdrawal",
]  # fmt: skip
"""Records that an event may answer, found by reference (a letter's event by the causation)."""

Side = Literal["asked", "asker"]
"""Side of the record on which the sender must stand."""

Answerable = Literal[
    "decider",
    "guardianship",
    "holders",
    "others_in_to",
    "receivers_knowing",
    "referring",
    "source",
    "to",
    "unit",
    "units_in_to",
]
"""Agency that owes the answer a clock waits for."""

Parting = Literal["ERASED", "LEFT"]
"""Events besides the statuses that a duty may outlive: erasure of the case, departure of the agency that owes it."""

Told = Literal["asker", "nobody", "plan_holder", "referrer", "supervisor", "terminator"]
"""Agency that is notified of a breach, besides the answerable agency and its supervisor."""
