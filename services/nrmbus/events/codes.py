"""The closed code lists that events are written with.

A code is one of a list that everybody has; a sentence never stands where a code belongs.
Sources: the names of HTCDS 2.0, Primero and the inter-agency referral form where those have one, the Rules otherwise.
The lists are part of the published version of a type: a code more is a new version, and so is a code less.
"""

from typing import Annotated, Final, Literal

from pydantic import Field

# Who
Detector = Literal[
    "special_unit",
    "police_other",
    "hotline",
    "vac",
    "ngo_outreach",
    "ngo_legal",
    "ngo_shelter",
    "migration",
    "labour_inspection",
    "border",
    "education",
    "health",
    "employment",
    "social_services",
    "consulate",
    "embassy",
    "international_organisation",
    "religious",
]
"""Roles that may record a signal; ``consulate`` is the own state's, ``embassy`` a foreign one."""

Role = Literal[
    Detector,
    "fund",
    "guardianship",
    "child_commission",
    "shelter_state",
    "prosecution",
    "coordinator",
    "auditor",
    "court",
    "timekeeper",
    "registrar",
]
"""Roles of agencies and of the services of the bus itself."""

Attendee = Literal[Role, "interpreter", "representative", "doctor", "psychologist", "lawyer"]
DutyRole = Literal["duty_officer", "patrol", "other"]
ApproverRole = Literal["duty_officer", "supervisor", "head_of_agency", "other"]

# The person, coarsely
AgeBand = Literal["0-9", "10-13", "14-15", "16-17", "18-24", "25-34", "35-44", "45-54", "55-64", "65+", "unknown"]
CHILD_BANDS: Final = frozenset({"0-9", "10-13", "14-15", "16-17"})
"""Age bands of people under 18."""
Sex = Literal["F", "M", "X", "unknown"]
Region = Annotated[str, Field(pattern=r"^[A-Z]{2}-[A-Z0-9]{1,3}$")]
"""ISO 3166-2, such as AZ-BA."""
Citizenship = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
"""ISO 3166-1 alpha-2; XA to XZ are nobody's and stand in examples."""
Language = Annotated[str, Field(pattern=r"^[a-z]{3}$")]
"""ISO 639-2/T."""
ContactMethod = Literal["phone", "message", "email", "post", "in_person", "through_agency", "other"]

# Signal and case
Urgency = Literal["emergency", "urgent", "normal"]
SignalBasis = Literal["indicators", "help_requested"]
Indicator = Annotated[str, Field(pattern=r"^(ILO-(AL|AS|CL|CS)-(DR|CR|RV|EX|CD|VD)|AZ-131)-[0-9]{2}$")]
"""An operational indicator of the ILO (2009), or one of the national list of Decision 131."""
IndicatorSet = Literal["ILO-2009", "AZ-131"]
IndicatorList = Literal["adult_labour", "adult_sexual", "child_labour", "child_sexual"]
ToldBy = Literal["observed", "told_by_person", "third_party"]
DismissalReason = Literal["not_credible", "no_indicator", "duplicate", "other"]
ClosureReason = Literal[
    "integrated",
    "returned_home",
    "transferred_abroad",
    "withdrawn",
    "lost_contact",
    "not_a_victim",
    "deceased",
    "duplicate",
    "adult_age_reached",
    "other",
]
ReopeningReason = Literal["person_returned", "new_information", "closed_in_error", "court_decision", "other"]
Confidence = Literal["certain", "probable", "possible"]
MergeOutcome = Literal["continues", "ends"]
CopyForm = Literal["referral_form", "addresses", "consent_form"]
PaperLanguage = Literal["aze", "eng", "rus", "other"]
"""ISO 639-2/T of the languages that the pages print in. Every other one is ``other``: a rare language names a person."""
CaseStage = Literal["referral", "identification", "recovery", "support"]
RequestedBy = Literal["person", "relative", "other"]
StillSafe = Literal["yes", "no", "unknown"]
Sector = Literal[
    "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S", "T", "U"
]
"""Sections of ISIC Rev. 4; construction is F."""
PlaceType = Literal[
    "reception", "station", "street", "border_post", "construction_site", "market", "dwelling", "institution", "other"
]

# Policy
OpenCases = Literal["keep", "move"]

# Consent
Purpose = Literal["services", "information_sharing", "anonymous_reporting", "tracing"]
GivenBy = Literal["individual", "caregiver", "other"]
ConsentForm = Literal["written", "oral"]
OverrideGround = Literal["child_protection", "imminent_danger", "legal_duty"]
ConsentObjection = Literal["not_informed", "not_free", "not_by_the_person", "receiver_endangers", "other"]
StopAnswer = Literal["deleted", "must_retain"]

# Referral and hand-over
ReferralMode = Literal["referral", "transfer"]
ReferralReason = Literal[
    "FormalIdentification",
    "EmergencyProtection",
    "ChildSafeguarding",
    "AdditionalServicesRequired",
    "LegalAid",
    "Payment",
    "StayHold",
    "Return",
    "MigrationOrChangeOfLocation",
    "Other",
]
DeclineReason = Literal[
    "no_capacity",
    "outside_mandate",
    "missing_consent",
    "insufficient_information",
    "duplicate",
    "not_reachable",
    "security_risk",
    "other",
]
DeclinedBy = Literal["provider", "person"]
NextStep = Literal["reception", "needs_assessment", "plan", "payment", "other"]
Question = Literal["safe_contact", "language", "documents", "health_risk", "other"]
RevocationReason = Literal["sent_in_error", "person_changed_mind", "case_withdrawn", "no_answer", "other"]
DocumentType = Literal[
    "passport",
    "id_card",
    "birth_certificate",
    "residence_doc",
    "medical_report",
    "interview_record",
    "indicator_sheet",
    "referral_form",
    "consent_form",
    "decision",
    "guardianship_act",
    "court_order",
    "payment_order",
    "travel_doc",
    "other",
]

# Identification, recovery, review
Stage = Literal["initial_assistance", "inquiry", "indicator_screening", "recovery_plan"]
"""Sections 6.4 to 6.7 of CoM 131/2009, in this order."""
GroundsOutcome = Literal["positive", "negative"]
DecisionReason = Literal[
    "indicators_met", "indicators_not_met", "new_evidence", "insufficient_information", "breach_of_rules"
]
VictimStatus = Literal["PossibleVictimOfTrafficking", "ActualVictimOfTrafficking", "NotAVictimOfTrafficking"]
DecidingBody = Literal["Police", "NGO", "CourtOrProsecution", "NonPoliceGovernmentalOrganization", "Other"]
Exploitation = Literal[
    "ForcedLabour",
    "SexualExploitation",
    "ChildLabour",
    "ForcedMarriage",
    "Servitude",
    "ForcedMilitaryByNonStateActors",
    "OrganRemoval",
    "ForcedBegging",
    "ForcedAdoption",
    "Surrogacy",
    "Slavery",
    "BiomedicalResearch",
    "ForcedCriminality",
    "Other",
]
"""HTCDS, and three that the national law names beside it."""
ExtensionGround = Literal["serious_health_issue", "severe_mental_health_issue", "high_intimidation"]
RecoveryReview = Literal["continue", "extend", "end"]
RecoveryEnd = Literal["period_elapsed", "status_decided", "own_request", "public_order", "improper_claim", "other"]
"""``public_order`` and ``improper_claim`` are the two grounds of CETS 197 art. 13.3."""
ReviewKind = Literal["reconsideration", "complaint_to_superior", "court"]
ReviewOutcome = Literal["reopen", "upheld"]

# Children
ChildBasis = Literal["stated_age", "document", "appearance", "age_unclear"]
AgeResult = Literal["adult", "child", "unclear"]
BestInterests = Literal["not_to_return", "return_to_parents", "kinship_care", "institutional_care"]
BestInterestsCondition = Literal["kinship_care_to_be_examined", "monthly_visits", "other"]
ReturnedTo = Literal["parents", "kin"]

# Shelter, support, money, stay
BedCategory = Literal["women", "children", "men"]
Availability = Literal["free", "few", "none"]
"""Places of a category; a few are three or less."""
BreachKind = Literal[
    "lost", "stolen", "wrong_recipient", "disclosed", "unlawful_access", "system_compromised", "altered", "unavailable",
    "other",
]  # fmt: skip
BreachedClass = Literal["DC1", "DC2", "DC3", "DC4"]
"""Classes of data as in the placement of fields: about the procedure, coarse facts, who a person is, what endangers them."""
PersonsBand = Literal["none", "1-10", "11-50", "51-200", "over_200", "unknown"]
"""The lowest band ends below the number under which figures are not published."""
BreachMeasure = Literal[
    "access_stopped", "keys_changed", "copy_recovered", "deletion_asked", "persons_told", "police_told", "examined",
    "none_yet", "other",
]  # fmt: skip
RevocationGround = Literal["recruiter_in_group", "endangers_person", "misuse", "other"]
"""Why an agency's access to a case is ended: it helps somebody who recruited others of the group; the person is in danger
through it; it used what it knew for something else."""
BedRefusal = Literal["no_capacity", "not_suitable", "other"]
DischargeReason = Literal[
    "independent_living", "returned_to_family", "transferred", "own_request", "not_identified", "other"
]
Service = Literal[
    "safe_shelter",
    "health",
    "psychosocial",
    "legal",
    "education",
    "family_work",
    "repatriation",
    "cash",
    "child_care_arrangement",
    "family_tracing",
    "family_reunion",
    "family_mediation",
    "womens_services",
    "disability",
    "core_relief_items",
    "food",
    "shelter",
    "livelihood",
    "vocational_course",
    "employment",
    "identity_documents",
    "social_assistance",
    "boarding_school",
    "school_supplies",
    "police",
    "water_sanitation",
    "other",
]
"""Inter-agency referral form, Primero, and what the national report counts; needs are named by the same codes."""
Risk = Literal["low", "medium", "high"]
ServiceOutcome = Literal[
    "referred",
    "provided_by_own_agency",
    "already_received_elsewhere",
    "not_applicable",
    "declined_by_survivor",
    "service_unavailable",
]
PlanOutcome = Literal["achieved", "partly_achieved", "not_achieved", "other"]
PaymentKind = Literal["one_time_allowance", "other_financial_assistance", "compensation"]
Payee = Literal["person", "deposit", "representative_account"]
Tariff = Annotated[str, Field(pattern=r"^[a-z]{2}-[0-9]{4}$")]
"""Country and the year from which the tariff holds."""
GrantPurpose = Literal["compensation", "social_rehabilitation", "medical_expenses", "other_necessary_expenses"]
"""What the fund pays for beside the allowance: its Regulations, and what the special unit's page adds [S9, S12]."""
GrantSource = Literal["confiscated_property", "contributions", "grants", "offender", "other"]
"""What feeds the fund [S9]; ``offender`` pays by order of a court."""
AmountBand = Literal["up_to_1000", "1000_to_5000", "5000_to_20000", "over_20000"]
HoldGround = Literal["identification", "status", "review"]
HoldEnd = Literal["not_a_victim", "left_country", "permit_issued"]
PermitGround = Literal["cooperation", "humanitarian"]
EmbassyBar = Literal["asylum_claimed", "fear_of_the_state", "other"]
"""Why the embassy of the person's state may not be contacted."""
ReturnRisk = Literal["can_return", "can_return_with_measures", "not_safe"]
ReturnStop = Literal["own_wish", "not_possible", "other"]
"""A danger that was found is in the assessment of risk, which the embassy does not get."""

# Justice
ProceedingsKind = Literal["criminal_case", "civil_claim", "appeal", "other"]
VerdictOutcome = Literal["conviction", "acquittal", "discontinued", "claim_granted", "claim_rejected", "other"]
ProtectionMeasure = Literal[
    "physical_protection",
    "relocation",
    "identity_change",
    "help_with_work",
    "hearing_without_the_accused",
    "recorded_hearing",
    "identity_withheld",
    "other",
]
"""CETS 197 art. 28 [S32], and how a court hears a witness who is in danger [D]."""

# Clocks and letters
ClockRule = Annotated[str, Field(pattern=r"^D-[A-Z][A-Z0-9]{1,15}$")]
Unreadable = Literal["digest", "key", "malformed", "missing"]
