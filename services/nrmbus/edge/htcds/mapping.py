"""A case as a record of the Human Trafficking Case Data Standard 2.0: pure.

`README.md` has the fields, and what does not fit. The standard is a work of IOM, CC BY 4.0; IOM endorses nothing here.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta, tzinfo
from itertools import product
from typing import Any, Final

Json = dict[str, Any]

STANDARD: Final = "HTCDS 2.0"
_PHONE: Final = re.compile(r"\+?[1-9][0-9]{1,14}")
_GENDERS: Final[Mapping[str, str]] = {"F": "Feminine", "M": "Masculine"}
_UNKNOWN_GENDER: Final = "NonSpecifiedUnknown"
_STATUS: Final = "vic_TraffickingStatus"
_DECIDER: Final = "vic_TraffickingStatusDecisionMakingOrg"
_POSSIBLE: Final = "PossibleVictimOfTrafficking"
_RECOGNISED: Final = "ActualVictimOfTrafficking"
_NOT_LISTED: Final = frozenset({"Slavery", "BiomedicalResearch", "ForcedCriminality"})
"""Forms of exploitation that the standard does not have: they are ``Other`` there."""
_REASONS: Final = frozenset({"AdditionalServicesRequired", "MigrationOrChangeOfLocation", "Other"})
SECTORS: Final[Mapping[str, str]] = {
    each[0]: each
    for each in (
        "A_AgricultureForestryAndFishing",
        "B_MiningAndQuarrying",
        "C_Manufacturing",
        "D_ElectricityGasSteamAndAirConditioningSupply",
        "E_WaterSupplySewerageWasteManagement",
        "F_Construction",
        "G_WholesaleAndRetailTradeRepairOfMotorVehicles",
        "H_TransportationAndStorage",
        "I_AccommodationAndFoodServiceActivities",
        "J_InformationAndCommunication",
        "K_FinancialAndInsuranceActivities",
        "L_RealEstateActivities",
        "M_ProfessionalScientificAndTechnicalActivities",
        "N_AdministrativeAndSupportServiceActivities",
        "O_PublicAdministrationAndDefence",
        "P_Education",
        "Q_HumanHealthAndSocialWorkActivities",
        "R_ArtsEntertainmentAndRecreation",
        "S_OtherServiceActivities",
        "T_ActivitiesOfHouseholdsAsEmployers",
        "U_ActivitiesOfExtraterritorialOrganizations",
    )
}
PLANS: Final[Mapping[str, str]] = {
    "boarding_school": "Education",
    "cash": "Financial",
    "disability": "Health",
    "education": "Education",
    "employment": "Livelihood",
    "health": "Health",
    "legal": "Legal",
    "livelihood": "Livelihood",
    "psychosocial": "Health",
    "school_supplies": "Education",
    "social_assistance": "Financial",
    "vocational_course": "Livelihood",
}
"""Type of a support plan for a service; any other is ``SocialCare``."""
SEPARATOR: Final = ";"
"""Between the values of a field with several, in CSV."""
_FORMULA: Final = re.compile(r"""(?:^|(?<=[;\t\r\n]))(?=[\s"]*[=+\-@]|[\t\r])""")
"""Places where a spreadsheet program may read a formula. Excel splits a file at the list separator of its region, in most of
Europe a semicolon; then a quote that this file doubles opens and closes a cell, and what stands behind it is read."""


class _Record:
    """Fields in the making, and the places of what the standard has no room for."""

    def __init__(self, me: str, zone: tzinfo | None) -> None:
        self.me, self._zone = me, zone
        self.fields: Json = {}
        self.left_out: list[str] = []
        self.consents: dict[tuple[str, str], tuple[bool, str | None]] = {}
        """For each receiver and purpose, whether the person consented, and the last day on which that holds."""
        self.was_reopened = False

    def day_of(self, event: Mapping[str, Any], field: str = "time") -> date:
        """Return the local day of the time in *field* of *event*, as the Rules count it."""
        return datetime.fromisoformat(event[field]).astimezone(self._zone).date()

    def put(self, name: str, value: Any) -> None:
        """Set a field; a later event says the newer value."""
        if value is not None:
            self.fields[name] = value

    def add(self, name: str, values: Iterable[str]) -> None:
        """Add values to a field that may have several, each once."""
        known = self.fields.setdefault(name, [])
        known += [each for each in dict.fromkeys(values) if each not in known]

    def lose(self, kind: str, place: str) -> None:
        """Note that the value at *place* of an event has no place in the standard."""
        self.left_out.append(f"{kind}{place}")


def record(
    events: Iterable[Mapping[str, Any]], letters: Mapping[str, Mapping[str, Any]], me: str, now: datetime
) -> Json:
    """Return the case of *events*, in the order of registration, with the opened *letters* by event id, as *me* knows it *now*.

    Days are those of the zone of *now*.

    ``left_out`` has the places of values that the standard has no code for, or that the version read here does not say: never
    the values.
    """
    made, day = _Record(me, now.tzinfo), now.date().isoformat()
    made.put("cas_Status", "Active")
    for event in events:
        letter = letters.get(event["id"], {})
        _person(made, event["type"], letter)
        if (take := _TAKES.get(event["type"])) is not None:
            take(made, event, letter)
        for each in event.get("lost") or ():
            made.lose(event["type"], each["pointer"])
    if made.consents:
        stands = (is_given and (last or day) >= day for is_given, last in made.consents.values())
        made.put("con_Consent", any(stands))
    return {"standard": STANDARD, "fields": made.fields, "left_out": list(dict.fromkeys(made.left_out))}


def _person(made: _Record, kind: str, letter: Mapping[str, Any]) -> None:
    made.put("prs_FirstName", letter.get("name"))
    made.put("prs_Birthdate", letter.get("birth_date"))
    made.put("prs_PrimaryLanguage", letter.get("language"))
    if "sex" in letter:
        made.put("prs_Gender", _GENDERS.get(letter["sex"], _UNKNOWN_GENDER))
        if letter["sex"] == "X":
            made.lose(kind, "/letter/sex")
    if "citizenship" in letter:
        made.add("prs_Citizenship", [letter["citizenship"]])
    interpreter = letter.get("interpreter", ())
    spoken = [interpreter] if isinstance(interpreter, str) else list(interpreter)
    if spoken:
        made.put("prs_PrimaryLanguage", made.fields.get("prs_PrimaryLanguage", spoken[0]))
        made.put(
            "prs_SecondaryLanguage", next((each for each in spoken if each != made.fields["prs_PrimaryLanguage"]), None)
        )
    if "sector" in letter:
        made.put("vic_ForcedLabourIndustry", SECTORS[letter["sector"]])
    if (contact := letter.get("contact")) is not None:
        _contact(made, kind, contact)
    for name in ("age_band", "region", "indicators", "indicator_counts", "told_by", "facts", "income", "notes"):
        if name in letter:
            made.lose(kind, f"/letter/{name}")


def _contact(made: _Record, kind: str, contact: Mapping[str, Any]) -> None:
    method, value = contact["method"], contact["value"]
    if method == "email":
        made.put("prs_Email", value)
    elif method in ("phone", "message") and _PHONE.fullmatch(value):
        made.put("prs_MobilePhone", value)
    else:
        made.lose(kind, "/letter/contact")
    if "safe_hours" in contact:
        made.lose(kind, "/letter/contact/safe_hours")


def _decided(made: _Record, event: Mapping[str, Any], letter: Mapping[str, Any]) -> None:
    data = event["data"]
    body = data.get("deciding_body")
    made.put(_STATUS, data["status"])
    made.put(_DECIDER, body["type"] if isinstance(body, Mapping) else body)
    for each in letter.get("exploitation", ()):
        made.add("vic_TypeOfExploitation", ["Other" if each in _NOT_LISTED else each])
        if each in _NOT_LISTED:
            made.lose(event["type"], "/letter/exploitation")


def _revoked(made: _Record, event: Mapping[str, Any], _: Mapping[str, Any]) -> None:
    _without_status(made)
    made.lose(event["type"], "/data/reasons")


def _reviewed(made: _Record, event: Mapping[str, Any], _: Mapping[str, Any]) -> None:
    """Drop a negative decision on the status that the review reopens; a presumption has no decision on the status."""
    is_negative = _DECIDER in made.fields and made.fields.get(_STATUS) != _RECOGNISED
    if is_negative and event["data"]["outcome"] == "reopen":
        _without_status(made)


def _without_status(made: _Record) -> None:
    for name in (_STATUS, _DECIDER, "vic_TypeOfExploitation"):
        made.fields.pop(name, None)


def _grounds(made: _Record, event: Mapping[str, Any], _: Mapping[str, Any]) -> None:
    if event["data"]["outcome"] == "positive":
        made.put(_STATUS, _POSSIBLE)
    elif made.fields.get(_STATUS) == _POSSIBLE:
        del made.fields[_STATUS]


def _submitted(made: _Record, event: Mapping[str, Any], _: Mapping[str, Any]) -> None:
    data, way = event["data"], "Outgoing" if event["source"] == made.me else "Incoming"
    reason = data["reason"] if data["reason"] in _REASONS else "Other"
    if reason != data["reason"]:
        made.lose(event["type"], "/data/reason")
    if way == "Outgoing":
        made.add("cas_ReferredOrganisation", data["to"])
        made.put("cas_OutgoingReferralDate", made.day_of(event).isoformat())
    elif made.me in data["to"]:
        made.put("cas_ReferringOrganisation", event["source"])
    else:
        return
    made.put(f"cas_ReasonFor{way}Referral", reason)


def _accepted(made: _Record, event: Mapping[str, Any], _: Mapping[str, Any]) -> None:
    if event["source"] == made.me:
        made.put("cas_IncomingReferralDate", made.day_of(event).isoformat())


def _closed(made: _Record, event: Mapping[str, Any], _: Mapping[str, Any]) -> None:
    reason = event["data"].get("reason")
    made.put("cas_Status", "ClosedReferred" if reason == "transferred_abroad" else "Closed")
    made.put("cas_ReasonForCaseClosure", reason)
    if reason == "deceased":
        made.put("prs_Deceased", True)  # noqa: FBT003 - a value, not a flag


def _dismissed(made: _Record, event: Mapping[str, Any], _: Mapping[str, Any]) -> None:
    made.put("cas_Status", "Closed")
    made.lose(event["type"], "/data/reason")


def _withdrawn(made: _Record, event: Mapping[str, Any], _: Mapping[str, Any]) -> None:
    made.put("cas_Status", "Closed")
    for name in ("stage", "requested_by"):
        made.lose(event["type"], f"/data/{name}")


def _merged(made: _Record, event: Mapping[str, Any], _: Mapping[str, Any]) -> None:
    if event["data"]["outcome"] == "ends":  # the person's other case continues
        made.put("cas_Status", "Closed")
        made.lose(event["type"], "/data/outcome")


def _reopened(made: _Record, event: Mapping[str, Any], _: Mapping[str, Any]) -> None:
    made.put("cas_Status", "Active")
    made.was_reopened = True
    for name in ("cas_ReasonForCaseClosure", "prs_Deceased"):
        made.fields.pop(name, None)
    if event["data"].get("reason") != "closed_in_error":  # by the Rules, consents of before the closing lapse
        made.consents = dict.fromkeys(made.consents, (False, None))


def _followed(made: _Record, event: Mapping[str, Any], _: Mapping[str, Any]) -> None:
    del event
    if not (made.was_reopened and made.fields["cas_Status"] == "Active"):  # a closing may be unknown to this agency
        made.put("cas_Status", "FollowUp")


def _planned(made: _Record, event: Mapping[str, Any], _: Mapping[str, Any]) -> None:
    data = event["data"]
    if event["type"] == "plan.adopted":
        made.fields.pop("spl_ActualEndDate", None)
    made.fields["spl_Type"] = sorted({PLANS.get(each, "SocialCare") for each in data["services"]})
    made.put("spl_PlannedEndDate", (made.day_of(event) + timedelta(days=data["planned_end_days"])).isoformat())


def _ended(made: _Record, event: Mapping[str, Any], _: Mapping[str, Any]) -> None:
    made.put("spl_ActualEndDate", made.day_of(event).isoformat())


def _consented(made: _Record, event: Mapping[str, Any], _: Mapping[str, Any]) -> None:
    data, last = event["data"], event["data"].get("expires")
    is_late = (
        last is not None and last < made.day_of(event, "registered").isoformat()
    )  # typed after its last day, so it replaces nothing
    for about in product(data["receivers"], data["purposes"]):
        if is_late:
            made.consents.setdefault(about, (False, None))
        else:
            made.consents[about] = (event["type"] == "consent.given", last)


_TAKES: Final[Mapping[str, Callable[[_Record, Mapping[str, Any], Mapping[str, Any]], None]]] = {
    "identification.reasonable_grounds_decided": _grounds,
    "identification.status_decided": _decided,
    "identification.status_revoked": _revoked,
    "review.decided": _reviewed,
    "referral.submitted": _submitted,
    "referral.accepted": _accepted,
    "case.closed": _closed,
    "case.signal_dismissed": _dismissed,
    "case.withdrawn": _withdrawn,
    "case.merged": _merged,
    "case.reopened": _reopened,
    "case.follow_up_recorded": _followed,
    "plan.adopted": _planned,
    "plan.revised": _planned,
    "plan.completed": _ended,
    "consent.given": _consented,
    "consent.refused": _consented,
    "consent.withdrawn": _consented,
}


def to_csv(made: Mapping[str, Any]) -> str:
    """Return the fields of a record as CSV: names, then values; no cell begins a formula in a spreadsheet program."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(made["fields"])
    rows.writerow([_cell(each) for each in made["fields"].values()])
    return text.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = SEPARATOR.join(value) if isinstance(value, list) else str(value)
    return text if _PHONE.fullmatch(text) else _FORMULA.sub("'", text)
