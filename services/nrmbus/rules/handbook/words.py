"""The words of a profile's rows, in a few words of English each; terms have theirs in ``why.py``."""

from collections.abc import Mapping
from typing import Final

from nrmbus.rules.records import Status
from nrmbus.rules.vocabulary import Answerable, Condition, Parting, Told

BEFORE_THE_CASE: Final = "no case yet"

CONDITIONS: Final[Mapping[Condition, str]] = {
    "adult_refuses_unit": "an adult refuses that the deciding body is told",
    "arrival_begins_referral": "the person was found abroad, nobody has referred her, and the profile lets the time begin with the arrival",
    "by_detecting_provider": "the provider that gave the signal publishes it",
    "by_detecting_provider_after_refusal": "the provider that gave the signal publishes it, and the adult's refusal of the deciding body stands",
    "by_unit": "the deciding body publishes it",
    "child_waits": "a child has no representative, and the inquiry begins, or goes on while guardianship learns of the child",
    "first_receipt_by_unit": "it is the deciding body's first receipt or acceptance",
    "first_stage": "initial assistance begins",
    "first_stage_by_unit": "the deciding body begins initial assistance",
    "first_stage_of_own_find": "initial assistance begins, and the deciding body gave the signal itself",
    "found_adult": "it finds that the person is an adult",
    "grant_open": "money was granted, and no order for it stands",
    "later_stage": "a stage after initial assistance is entered",
    "made_it_referred": "it leaves no deciding body that the referral asked: none that may answer, and none that accepted",
    "monitored_again": "another report is to follow",
    "merge_continues": "the deciding body goes on with this case of a person",
    "merge_ends": "the deciding body ends this case of a person, and goes on with another one",
    "negative": "the decision is negative",
    "not_by_unit": "another agency than the deciding body publishes it",
    "order_open": "money was ordered, and neither paid nor failed",
    "positive": "the decision is positive",
    "question_opens": "the sender of the referral owes the same agency no other answer",
    "reopening": "a review takes identification up again",
    "reopening_from_negative": "a review reopens a negative decision that still stood",
    "report_begins_referral": "another agency than the deciding body publishes it, and the person was found here or the profile lets the time begin with the report from abroad",
    "service_asked_for": "the service was asked for",
    "to_unit": "it asks the deciding body",
    "to_unit_that_left": "it asks the deciding body again, after that body, or the one that had begun, has deleted its data",
    "withheld_from_unit": "it asks a provider, and is withheld from the deciding body",
}
"""Each condition of a row, to be read after "if"."""

ANSWERABLE: Final[Mapping[Answerable, str]] = {
    "decider": "the body that decides on the review",
    "guardianship": "each guardianship body that the child's flag reached",
    "holders": "each agency that holds data of the case",
    "others_in_to": "each agency that was asked, other than the deciding body",
    "referring": "the agency that sent the referral",
    "receivers_knowing": "each receiver of the consent that knows the case",
    "source": "the agency that published it",
    "to": "each agency that was asked",
    "unit": "the deciding body",
    "units_in_to": "the deciding body that was asked",
}
"""Who owes a duty."""

TOLD: Final[Mapping[Told, str]] = {
    "asker": "the agency that asked",
    "nobody": "nobody else",
    "plan_holder": "the holder of the plan",
    "referrer": "the agency that referred to the deciding body",
    "supervisor": "nobody else",
    "terminator": "the court or prosecution that decided",
}
"""Agencies that are told of a breach, beside the agency that owes the duty and its supervisor."""

MOVED_BY: Final[Mapping[str, str]] = {
    "info": "a question to the sender, until the answer",
    "extension": "an extension, by its days",
    "plan": "a plan, to its planned end where that is later",
}

OUTLIVES: Final[Mapping[Status | Parting, str]] = {
    "WITHDRAWN": "after the case was withdrawn",
    "CLOSED": "after the case was closed",
    "LEFT": "after the agency has deleted what it was told",
    "ERASED": "when the case is to be erased",
}
"""Ends that a duty goes on beyond."""

AT: Final[Mapping[str, str]] = {"T": "the time of the event (T)", "R": "its registration (R)"}
WAITS_FOR_REVIEW: Final = "the days for asking for a review, and a review until it is decided"
UNIT_CONSENT: Final = "by an adult's refusal of the agency that owes it, or withdrawal of the consent to it"
