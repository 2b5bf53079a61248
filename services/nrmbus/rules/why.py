"""Reasons why an agency gets an event or not: the rows and terms of ``audience.py``, asked for one agency.

The reasons add nothing to the audience: an agency is told here exactly if it is among the recipients there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from nrmbus.events.model import Part
from nrmbus.rules.audience import TERMS, Audience
from nrmbus.rules.earlier import EMBASSY_BARRED, granted_to
from nrmbus.rules.event_context import SHARING, STATISTICS, EventContext, receivers_of
from nrmbus.rules.profile import DECIDERS, Row
from nrmbus.rules.records import Standing
from nrmbus.rules.vocabulary import Term

ReasonCode = Literal[
    "told", "told_to_stop", "source", "consent_refused", "consent_withdrawn", "access_revoked", "embassy_barred", "condition_unmet", "not_named",
    "not_on_case", "nobody_is_told", "unknown_type",
]  # fmt: skip

SENTENCES: Final[Mapping[ReasonCode, str]] = {
    "told": "Told, as {words}.",
    "told_to_stop": "Told, as {words}: this stops something, and reaches it though the person's refusal or withdrawal stands.",
    "source": "Published the event itself.",
    "consent_refused": "The row names it ({words}), but the person has refused that it be told.",
    "consent_withdrawn": "The row names it ({words}), but the person has withdrawn the consent that it be told.",
    "access_revoked": "The row names it ({words}), but its access to the case was ended.",
    "embassy_barred": "The row names it ({words}), but no embassy or consulate may be contacted.",
    "condition_unmet": "The row tells {words}; that did not hold of it then.",
    "not_named": "It has a part in the case, but the row of this type does not name it.",
    "not_on_case": "It has no part in the case, and the row of this type does not name it; that a case exists is secret.",
    "nobody_is_told": "The row of this type tells nobody.",
    "unknown_type": "The policy has no row for this type, so nobody is told.",
}
"""One sentence a code; ``words`` are those of the row."""

WORDS: Final[Mapping[Term, str]] = {
    "answerable": "who owed what was due",
    "asked": "who was asked to hold the removal",
    "asker": "who asked for it",
    "asker_unless_barred": "who asked for it, unless the person has refused or withdrawn",
    "consent_giver": "who recorded the consent",
    "consent_receiver_knowing": "the receiver of the consent, if it knows the case",
    "consent_receiver_on_case": "the receiver of the consent, if it has a part in the case",
    "coordinator": "the national coordinator",
    "court_named": "the court that hears the proceedings",
    "court_of_case": "the court that hears proceedings about the case, if compensation is granted",
    "decider": "who decides on the review",
    "emergency_holder": "who holds what was asked for in an emergency",
    "everybody": "every agency of the bus",
    "former_holder": "who held the case until this gave it to another",
    "fund_on_case_or_named": "the fund, if it has a part in the case or a consent names it, or of a child",
    "fund_on_recognition": "the fund, once the person is recognised: if it has a part in the case, a consent names it, or of a child",
    "giver_supervisor": "the supervisor of who recorded the consent",
    "guardian_bodies": "the child-protection bodies that a child's flag reached",
    "guardian_bodies_of_child_to_unit": "the child-protection bodies, when a child is referred to the deciding body",
    "guardianship_of_child": "guardianship, if a child's flag reached it",
    "guardianship_of_waiting_child": "guardianship, if a child's flag reached it and the child has no representative when the inquiry begins",
    "holders": "the agencies that sent or received an event of the case",
    "holders_by_authority": "the agencies that sent or received an event of the case, where an authority says it",
    "holder": "the holder of the case",
    "housing_shelter": "the shelter that offered or gave the bed",
    "lapsing_shelter": "the shelter whose offer lapsed",
    "letter_sender": "who sent the letter",
    "members": "the members of the plan in force",
    "migration_with_hold": "the migration service that a standing hold was asked of",
    "migration_with_hold_on_positive": "the migration service that a standing hold was asked of, on a positive decision",
    "next_holder": "who holds the case from this on",
    "open_referral_parties": "sender and receivers of a referral that waits for an answer",
    "other_party": "the other side of the service",
    "owing_again": "who owes again what the letter had ended, or owes it no more",
    "parties_to_proceedings": "who opened the proceedings, and the court that hears them",
    "parts_in_ending_case": "who has a part, beyond a hold on removal, in a case that ends by a merge",
    "plan_holder": "who holds the plan",
    "questioner": "whose question is answered",
    "receiver_supervisor": "the supervisor of the receiver of the consent, if that has a part in the case",
    "referrer": "who referred to the deciding body",
    "referrer_when_unit_ends": "who referred to the deciding body, where that itself ends what it owes",
    "referring_ngo": "the NGO that referred to the deciding body",
    "referring_ngo_that_attended": "the NGO that referred to the deciding body, if it attended",
    "refused_by_child": "the agencies that know the case and that the person has refused, or withdrawn consent from, as a child",
    "relieved": "who is relieved of a duty by it",
    "rescuer": "who broke the glass",
    "return_helpers": "the agencies that help with the return",
    "return_helpers_but_embassy": "the agencies that help with the return, without an embassy",
    "second_agency": "the supervisors of who broke the glass and of the holder, or else who has had a part in the case for longest",
    "senders": "every agency that may refer a person",
    "shelters_on_case": "shelters with a part in the case",
    "special_unit": "the deciding body",
    "special_unit_of_child": "the deciding body, of a child",
    "special_unit_on_case": "the deciding body, if it has a part in the case",
    "statistics_with_facts": "the statistics, if coded facts of the case were sealed to them",
    "supervisor": "the supervisor of who owed it",
    "terminator": "whose decision ended the access",
    "to": "whom the sender chose",
    "told_of_adult": "who was told that the person was found to be an adult, or on the case reads a refusal as that of an adult, if this finds or flags a child",
    "told_of_closing": "who closed the case, or was told that it was closed",
    "unanswering": "receivers who have not answered",
    "vac_on_case": "the assistance centre, if it has a part in the case",
    "vac_on_case_or_named": "the assistance centre, if it has a part in the case or a consent names it",
    "waiting": "who waits for it",
    "withdrawer": "who recorded the withdrawal",
}
"""Each term of a row in a few words."""

FOR: Final[Mapping[Term, tuple[str, ...]]] = {
    "coordinator": ("coordinator",),
    "decider": ("court", DECIDERS),
    "everybody": ("EVERYBODY",),
    "court_named": ("court",),
    "court_of_case": ("court",),
    "fund_on_case_or_named": ("fund",),
    "fund_on_recognition": ("fund",),
    "guardian_bodies": ("GUARDIANS",),
    "guardian_bodies_of_child_to_unit": ("GUARDIANS",),
    "guardianship_of_child": ("guardianship",),
    "guardianship_of_waiting_child": ("guardianship",),
    "housing_shelter": ("SHELTERS",),
    "lapsing_shelter": ("SHELTERS",),
    "migration_with_hold": ("migration",),
    "migration_with_hold_on_positive": ("migration",),
    "referring_ngo": ("NGOS",),
    "referring_ngo_that_attended": ("NGOS",),
    "senders": ("SENDERS",),
    "shelters_on_case": ("SHELTERS",),
    "special_unit": (DECIDERS,),
    "special_unit_of_child": (DECIDERS,),
    "special_unit_on_case": (DECIDERS,),
    "statistics_with_facts": (STATISTICS,),
    "vac_on_case": ("vac",),
    "vac_on_case_or_named": ("vac",),
}
"""Roles and groups of a term; a term without an entry names agencies by their acts, whatever their role."""

_OF_A_CONSENT: Final = ("consent_receiver_knowing", "consent_receiver_on_case")

_BARS: Final[Mapping[str, tuple[ReasonCode, str]]] = {
    "refused": ("consent_refused", "G-30"),
    "withdrawn": ("consent_withdrawn", "G-31"),
}
"""Reasons that keep an agency out, with the rule of section 4 that refuses an event sent to it."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Reason why one agency gets an event, or does not.

    ``terms`` are the terms of the row that name the agency (told, refused, withdrawn), or would name it but for their
    condition (``condition_unmet``). ``consent`` is the id of the person's last statement about the agency: the consent or
    override that covers it, or the refusal, withdrawal or bar that keeps it out. ``rule`` and ``basis`` are cited as in the
    profile; without a rule, the row itself is the rule. ``parts`` are the parts of the letter that the agency may open.
    """

    agency: str
    code: ReasonCode
    terms: tuple[Term, ...] = ()
    rule: str | None = None
    basis: str | None = None
    unverified: bool = False
    consent: str | None = None
    parts: tuple[Part, ...] = ()

    @property
    def told(self) -> bool:
        """Return whether the event reaches the agency."""
        return self.code in ("told", "told_to_stop")

    @property
    def sentence(self) -> str:
        """Return the code as a sentence, with the terms of the row."""
        return SENTENCES[self.code].format(words="; ".join(WORDS[term] for term in self.terms))


def reason_for(context: EventContext, agency: str, audience: Audience) -> Reason:
    """Return why *agency* gets the event of *context*, or does not; *audience* is its audience."""
    parts = tuple(sorted(part for part, openers in audience.opens.items() if agency in openers))
    row = context.tables.row(context.event.type)
    standing = context.standing(agency, SHARING)
    if agency == context.source:
        return _by_row(row, agency, "source")
    if row is None:
        return Reason(agency, "unknown_type")
    terms = tuple(term for term in row.sees if agency in TERMS[term](context))
    if agency in audience.recipients:
        code, consent = _told(context, agency, standing)
        return Reason(agency, code, terms, None, row.basis, row.unverified, consent, parts)
    if terms and (ended_by := context.shut_out(agency)):
        return _kept_out(context, row, agency, terms, "access_revoked", "G-67", ended_by)
    if terms and context.embassy_barred(agency):
        return _kept_out(context, row, agency, terms, "embassy_barred", "G-55", context.view.embassy_bar)
    if terms and context.event.type == EMBASSY_BARRED and context.in_group(agency, "ENVOYS"):  # it stands from now on
        return _kept_out(context, row, agency, terms, "embassy_barred", "G-55", context.event.id)
    if terms and standing and standing.kind in _BARS:  # named by the row, and kept out by the person's word
        code, rule = _BARS[standing.kind]
        return _kept_out(context, row, agency, terms, code, rule, standing.id)
    if not row.sees:
        return _by_row(row, agency, "nobody_is_told")
    near = tuple(term for term in row.sees if _is_for(context, term, agency))
    if near:
        return _by_row(row, agency, "condition_unmet", near)
    return _by_row(row, agency, "not_named" if context.view.on_case(agency) else "not_on_case")


def _kept_out(
    context: EventContext, row: Row, agency: str, terms: tuple[Term, ...], code: ReasonCode, rule: str, by: str | None
) -> Reason:
    """Return that *agency*, which the row names, is kept out by the event *by*, as *rule* of section 4 would refuse it."""
    cited = context.tables.profile.refusals.get(rule)
    basis = cited.basis if cited else row.basis
    return Reason(agency, code, terms, rule, basis, bool(cited and cited.unverified), by)


def _told(context: EventContext, agency: str, standing: Standing | None) -> tuple[ReasonCode, str | None]:
    """Return the code, and the id of the consent that covers the agency; or that the event stops something."""
    if granted_to(context, agency):
        return "told", context.event.id
    if standing and standing.kind in _BARS:
        return ("told", None) if context.child else ("told_to_stop", standing.id)
    return "told", standing.id if standing else None


def _by_row(row: Row | None, agency: str, code: ReasonCode, terms: tuple[Term, ...] = ()) -> Reason:
    return Reason(agency, code, terms, None, row.basis if row else None, bool(row and row.unverified))


def _is_for(context: EventContext, term: Term, agency: str) -> bool:
    if term in _OF_A_CONSENT:
        return agency in receivers_of(context.event)
    return context.roles.of(agency) in context.tables.profile.expand(FOR.get(term, ()))
