"""A case is exported as HTCDS 2.0 for those who may, on record first, in the standard's own fields and codes."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agencies import CASE, SIGNAL
from desk.given import CANARY, REF
from edge.given import edge_of, examples
from nrmbus.edge.htcds import mapping
from nrmbus.events.codes import Sector, Service
from rules.stories import LEGAL

STANDARD: dict[str, Any] = json.loads((Path(__file__).parent / "htcds_fields.json").read_bytes())["fields"]
"""Fields of the standard, as its authors published them."""
SEVERAL = ("Multiselect Picklist",)
MANY = {"cas_ReferredOrganisation", "spl_Type"}
"""Fields of which the standard says that there may be several records; here they are lists."""
BAKU = ZoneInfo("Asia/Baku")
TODAY = datetime(2026, 3, 20, 9, tzinfo=BAKU)


def judged(made: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record, each of which is one of the standard, with its type and its codes."""
    for name, value in made["fields"].items():
        field = STANDARD[name]
        values = value if isinstance(value, list) else [value]
        assert isinstance(value, list) == (field["type"] in SEVERAL or name in MANY), name
        assert "values" not in field or set(values) <= set(field["values"]), name
        if field["type"] == "Checkbox":
            assert isinstance(value, bool)
        if field["type"] == "Date":
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", value)
    return dict(made["fields"])


def event(
    kind: str, data: dict[str, Any], source: str = "ngo-a", turn: int = 0, time: str = "2026-03-02T05:00:00Z"
) -> dict[str, Any]:
    """Return an event of a timeline."""
    return {"id": f"{kind}-{turn}", "type": kind, "source": source, "time": time, "registered": time, "data": data}


@given(names=st.lists(st.sampled_from(sorted(examples())), max_size=6))
def test_every_case_fits_the_standard(names: list[str]) -> None:
    """Whatever happened, in whatever order, every field is one of HTCDS with its type and codes; what has no place is listed."""
    events: list[dict[str, Any]] = []
    letters: dict[str, dict[str, Any]] = {}
    for turn, name in enumerate(names):
        kind, (said, letter) = name.split()[0], (examples()[name]["event"], examples()[name].get("letter", {}))
        events.append(event(kind, said["data"], "example-ngo" if turn % 2 else "example-unit", turn))
        letters[f"{kind}-{turn}"] = letter
    made = mapping.record(events, letters, "example-unit", TODAY)

    judged(made)
    assert all(re.fullmatch(r"[a-z_.]+/(data|letter)/[a-z_/]+", each) for each in made["left_out"])
    (row,) = csv.DictReader(io.StringIO(mapping.to_csv(made)))
    assert set(row) == set(made["fields"])


def test_every_code_of_a_list_that_is_mapped_has_one() -> None:
    """Each section of industry and each service leads to a code of the standard."""
    assert set(mapping.SECTORS) == set(get_args(Sector))
    assert set(mapping.SECTORS.values()) == set(STANDARD["vic_ForcedLabourIndustry"]["values"])
    assert set(mapping.PLANS) < set(get_args(Service))
    assert {*mapping.PLANS.values(), "SocialCare"} <= set(STANDARD["spl_Type"]["values"])


def test_a_story_comes_out_field_by_field() -> None:
    """Referral, decision, plan and closing: the newest value counts, and what the standard cannot say is named."""
    letters: dict[str, dict[str, Any]] = {
        "case.signal_recorded-0": {"age_band": "25-34", "sex": "F", "citizenship": "XA", "language": "rus"},
        "referral.submitted-1": {"name": "Alina Example", "birth_date": "1996-02-29", "contact": {"method": "phone", "value": "+994000000001"}},
        "identification.status_decided-2": {"exploitation": ["ForcedLabour", "Slavery"]},
    }  # fmt: skip
    made = mapping.record(
        [
            event("case.signal_recorded", SIGNAL),
            event("referral.submitted", {"to": ["vac"], "reason": "LegalAid"}, "ngo-a", 1),
            event("referral.accepted", {"next_step": "plan"}, "vac"),
            event("identification.status_decided", {"status": "ActualVictimOfTrafficking", "deciding_body": {"type": "Police"}}, "special-unit", 2),
            event("plan.adopted", {"services": ["legal", "health"], "planned_end_days": 30}, "vac"),
            event("consent.given", {"receivers": ["vac"], "purposes": ["services"]}),
            event("case.closed", {"reason": "integrated", "follow_up": True}, "vac"),
        ],
        letters,
        "vac",
        TODAY,
    )  # fmt: skip

    assert judged(made) == {
        "cas_Status": "Closed", "prs_PrimaryLanguage": "rus", "prs_Gender": "Feminine", "prs_Citizenship": ["XA"],
        "prs_FirstName": "Alina Example", "prs_Birthdate": "1996-02-29", "prs_MobilePhone": "+994000000001",
        "cas_ReferringOrganisation": "ngo-a", "cas_ReasonForIncomingReferral": "Other", "cas_IncomingReferralDate": "2026-03-02",
        "vic_TraffickingStatus": "ActualVictimOfTrafficking", "vic_TraffickingStatusDecisionMakingOrg": "Police",
        "vic_TypeOfExploitation": ["ForcedLabour", "Other"], "spl_Type": ["Health", "Legal"], "spl_PlannedEndDate": "2026-04-01",
        "con_Consent": True, "cas_ReasonForCaseClosure": "integrated",
    }  # fmt: skip
    assert made["left_out"] == [
        "case.signal_recorded/letter/age_band",
        "referral.submitted/data/reason",
        "identification.status_decided/letter/exploitation",
    ]


CONSENT = {"receivers": ["vac"], "purposes": ["services"]}
POSITIVE, NEGATIVE = {"outcome": "positive"}, {"outcome": "negative"}
GROUNDS = "identification.reasonable_grounds_decided"
DECIDED = {"status": "ActualVictimOfTrafficking", "deciding_body": {"type": "Police"}}
NOT_A_VICTIM = {"status": "NotAVictimOfTrafficking", "deciding_body": {"type": "Police"}}
REOPEN, UPHOLD = {"outcome": "reopen"}, {"outcome": "uphold"}


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ([("case.closed", {"reason": "deceased"}), ("case.reopened", {"reason": "closed_in_error"})], {}),
        ([("identification.status_decided", DECIDED), ("identification.status_revoked", {})], {}),
        ([(GROUNDS, POSITIVE), (GROUNDS, NEGATIVE)], {}),
        ([("identification.status_decided", NOT_A_VICTIM), ("review.decided", REOPEN)], {}),
        ([(GROUNDS, POSITIVE), ("identification.status_decided", NOT_A_VICTIM), ("review.decided", REOPEN)], {}),
        ([("consent.given", {**CONSENT, "expires": "2026-03-20"})], {"con_Consent": True}),
        ([("consent.given", {**CONSENT, "expires": "2026-03-19"})], {"con_Consent": False}),
        ([("consent.given", CONSENT), ("consent.refused", {**CONSENT, "purposes": ["tracing"]})], {"con_Consent": True}),
        ([("consent.given", CONSENT), ("consent.withdrawn", CONSENT)], {"con_Consent": False}),
        ([("consent.given", CONSENT), ("case.reopened", {"reason": "new_information"})], {"con_Consent": False}),
        ([("consent.given", CONSENT), ("case.reopened", {"reason": "closed_in_error"})], {"con_Consent": True}),
    ],
    ids=[
        "not deceased", "status revoked", "no grounds", "reopened", "reopened after a presumption", "last day", "expired", "another purpose", "withdrawn", "lapsed", "closed in error",
    ],
)  # fmt: skip
def test_a_fact_that_no_longer_holds_is_not_exported(
    said: list[tuple[str, dict[str, Any]]], fields: dict[str, Any]
) -> None:
    """Given an event that ends what an earlier one said, or a day that has passed, then the record has only what holds today."""
    events = [event(kind, data, "ngo-a", turn) for turn, (kind, data) in enumerate(said)]
    letters = {"identification.status_decided-0": {"exploitation": ["ForcedLabour"]}}

    assert judged(mapping.record(events, letters, "vac", TODAY)) == {"cas_Status": "Active", **fields}


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ([("identification.status_decided", NOT_A_VICTIM), ("review.decided", UPHOLD)], "NotAVictimOfTrafficking"),
        ([("identification.status_decided", DECIDED), ("review.decided", REOPEN)], "ActualVictimOfTrafficking"),
        ([(GROUNDS, NEGATIVE), (GROUNDS, POSITIVE), ("review.decided", REOPEN)], "PossibleVictimOfTrafficking"),
    ],
    ids=["upheld", "recognised meanwhile", "presumed meanwhile"],
)
def test_review_changes_no_status_but_the_refusal_that_it_reopens(
    said: list[tuple[str, dict[str, Any]]], status: str
) -> None:
    """Given a review that upholds the decision, or comes when a later decision stands, then the status stays."""
    events = [event(kind, data, "special-unit", turn) for turn, (kind, data) in enumerate(said)]

    assert judged(mapping.record(events, {}, "vac", TODAY))["vic_TraffickingStatus"] == status


def test_consent_that_is_typed_after_its_last_day_replaces_nothing() -> None:
    """Given a consent without an end, when an older paper is registered after its last day, then the consent still stands."""
    paper = event("consent.given", {**CONSENT, "expires": "2026-03-10"}, turn=1)
    late = {**paper, "registered": "2026-03-12T05:00:00Z"}
    lasting = event("consent.given", CONSENT)
    refused = event("consent.refused", CONSENT)

    assert judged(mapping.record([lasting, late], {}, "vac", TODAY))["con_Consent"] is True
    assert judged(mapping.record([refused, late], {}, "vac", TODAY))["con_Consent"] is False
    assert judged(mapping.record([late], {}, "vac", TODAY))["con_Consent"] is False


@pytest.mark.parametrize(
    ("kind", "data", "field", "day"),
    [
        ("plan.adopted", {"services": [], "planned_end_days": 30}, "spl_PlannedEndDate", "2026-04-01"),
        ("plan.completed", {}, "spl_ActualEndDate", "2026-03-02"),
        ("referral.submitted", {"to": ["vac"], "reason": "Other"}, "cas_OutgoingReferralDate", "2026-03-02"),
        ("referral.accepted", {"next_step": "plan"}, "cas_IncomingReferralDate", "2026-03-02"),
    ],
)
def test_a_date_is_the_local_day(kind: str, data: dict[str, Any], field: str, day: str) -> None:
    """Given something at half past one in the night of 2 March in Baku, then the record dates it to 2 March, as the Rules do."""
    made = mapping.record([event(kind, data, time="2026-03-01T21:30:00Z")], {}, "ngo-a", TODAY)

    assert judged(made)[field] == day


def test_a_plan_after_a_completed_one_has_no_end_yet() -> None:
    """Given a plan that was completed, when another one is adopted, then nobody reads that support has ended; a revision moves no end."""
    plan = {"services": ["legal"], "planned_end_days": 30}
    first, ended = event("plan.adopted", plan), event("plan.completed", {}, time="2026-03-04T05:00:00Z")
    second = event("plan.adopted", plan, turn=1, time="2026-03-10T05:00:00Z")
    revised = event("plan.revised", plan, time="2026-03-03T05:00:00Z")

    after = judged(mapping.record([first, ended, second], {}, "vac", TODAY))
    assert (after["spl_PlannedEndDate"], after.get("spl_ActualEndDate")) == ("2026-04-09", None)
    whole = judged(mapping.record([first, revised, ended], {}, "vac", TODAY))
    assert whole["spl_ActualEndDate"] == "2026-03-04"


def test_a_follow_up_of_an_earlier_closing_leaves_a_reopened_case_open() -> None:
    """Given a case that was closed and reopened, when the follow-up is recorded afterwards, then the case is open; closed again, it is followed up."""
    closed, reopened = event("case.closed", {"reason": "integrated"}), event("case.reopened", {"reason": "other"})
    followed = event("case.follow_up_recorded", {"month": 3})

    def status(*events: dict[str, Any]) -> str:
        return str(judged(mapping.record(events, {}, "vac", TODAY))["cas_Status"])

    assert status(closed, reopened, followed) == "Active"
    assert status(closed, reopened, closed, followed) == "FollowUp"
    assert (status(closed, followed), status(followed)) == ("FollowUp", "FollowUp")


@pytest.mark.parametrize(("minute", "is_given"), [(-1, True), (0, False)])
def test_a_consent_ends_with_its_last_day_where_the_bus_is(minute: int, is_given: bool) -> None:  # noqa: FBT001
    """Given a consent until 2 March, when it is 3 March in Baku and not yet so in UTC, then it stands no more."""
    events = [event("consent.given", {**CONSENT, "expires": "2026-03-02"})]
    now = datetime(2026, 3, 2, 20, 0, tzinfo=UTC) + timedelta(minutes=minute)

    assert judged(mapping.record(events, {}, "vac", now.astimezone(BAKU)))["con_Consent"] is is_given


@pytest.mark.parametrize(
    ("kind", "data", "left_out"),
    [
        ("case.signal_dismissed", {"reason": "no_indicator"}, ["reason"]),
        ("case.withdrawn", {"stage": "referral", "requested_by": "person"}, ["stage", "requested_by"]),
        ("case.merged", {"outcome": "ends"}, ["outcome"]),
    ],
)
def test_a_case_that_ended_is_exported_as_closed(kind: str, data: dict[str, Any], left_out: list[str]) -> None:
    """Given a case that was dismissed, withdrawn or merged into another one, then it is Closed, and why is listed as left out; reopened, it is Active."""
    ended = [event("case.signal_recorded", SIGNAL), event(kind, data)]
    made = mapping.record(ended, {}, "ngo-a", TODAY)
    again = mapping.record([*ended, event("case.reopened", {"reason": "new_information"})], {}, "ngo-a", TODAY)

    assert judged(made) == {"cas_Status": "Closed"}
    assert made["left_out"] == [f"{kind}/data/{each}" for each in left_out]
    assert judged(again) == {"cas_Status": "Active"}


def test_the_case_that_continues_after_a_merger_is_active() -> None:
    """Given two cases of a person, then the one that the deciding body goes on with is not exported as closed."""
    made = mapping.record([event("case.merged", {"outcome": "continues"}, "special-unit")], {}, "special-unit", TODAY)

    assert judged(made) == {"cas_Status": "Active"}


def test_a_place_that_the_desk_could_not_carry_is_listed() -> None:
    """Given an event of a later version, then the places that its cast left out are among those of the record."""
    decided = event(
        "identification.status_decided", {"status": "ActualVictimOfTrafficking", "deciding_body": {"type": "Police"}}
    )
    made = mapping.record(
        [{**decided, "lost": [{"version": 4, "pointer": "/letter/exploitation/0/place"}]}], {}, "vac", TODAY
    )

    assert made["left_out"] == ["identification.status_decided/letter/exploitation/0/place"]


async def test_the_sector_of_a_decision_is_exported(tmp_path: Path) -> None:
    """Given a decision in its newest version, whose letter has the sector of the work, then the record has the industry."""
    async with edge_of("vac", tmp_path, "htcds") as (here, htcds):
        registrar = here.registrar
        await here.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac"))
        decided = registrar.event(
            "special-unit", "identification.status_decided",
            {"status": "ActualVictimOfTrafficking", "deciding_body": {"type": "Police"}},
            parts={"coded": {"exploitation": ["ForcedLabour"], "sector": "F"}}, opens=["vac"], version=3,
        )  # fmt: skip
        await here.hear(registrar.register(decided, to="vac"))
        await here.settle()
        answer = await here.during(htcds.get(f"/cases/{CASE}", params={"actor": "V-7", "purpose": "case_work"}))

        assert judged(answer.json())["vic_ForcedLabourIndustry"] == "F_Construction"
        assert answer.json()["left_out"] == []


async def test_the_door_s_adapter_counts_days_in_the_zone_of_the_profile(tmp_path: Path) -> None:
    """Given a referral that ngo-a sends at one in the night in Baku, when it exports the case, then it has the day of that night."""
    async with edge_of("ngo-a", tmp_path, "htcds") as (here, htcds):
        here.clock.time = datetime(2026, 3, 1, 21, 0, tzinfo=UTC)
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        data = {"to": ["special-unit"], "mode": "referral", "reason": "Other", "urgency": "normal", "services": []}
        await here.registered(type="referral.submitted", ref=REF, data=data, legal_basis=LEGAL)
        answer = await here.during(htcds.get(f"/cases/{CASE}", params={"actor": "N-7", "purpose": "case_work"}))

        assert judged(answer.json())["cas_OutgoingReferralDate"] == "2026-03-02"


def test_no_cell_begins_a_formula() -> None:
    """A name that a spreadsheet program would compute is text there; a telephone number stays as it is."""
    made = {"fields": {"prs_FirstName": "=HYPERLINK(1)", "prs_MobilePhone": "+994000000001"}}

    assert mapping.to_csv(made).splitlines()[1] == "'=HYPERLINK(1),+994000000001"


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("before", ["Leyla;", "Leyla; ", "Leyla\t", "Leyla\n", "Leyla\r\n", ""])
def test_no_cell_begins_a_formula_where_a_region_has_another_separator(before: str, separator: str) -> None:
    """P2: given a name with a separator and a formula, when the file is split at that separator, as Excel does by region, then no cell is computed."""
    for formula in ("=1+1", "@SUM(1)", "-1", "+1", " =1+1", '"=1+1', '" "=1+1', "\t=1+1", ";=1+1"):
        made = {"fields": {"cas_Status": "Active", "prs_FirstName": f"{before}{formula};x", "prs_Citizenship": ["XA"]}}

        rows = csv.reader(io.StringIO(mapping.to_csv(made), newline=""), delimiter=separator)

        assert [cell for row in rows for cell in row if cell.strip().startswith(("=", "+", "-", "@"))] == [], formula


def test_a_separator_in_a_name_changes_nothing_of_it() -> None:
    """Given names and lists with semicolons, quotes and signs, and none that begins a formula, then each cell is what the field says."""
    made = {"fields": {"prs_FirstName": 'Anna-Maria "A"; Example; 1-2', "prs_Citizenship": ["XA", "XB"]}}

    _, row = csv.reader(io.StringIO(mapping.to_csv(made), newline=""))

    assert row == ['Anna-Maria "A"; Example; 1-2', "XA;XB"]


async def test_an_export_is_recorded_before_it_is_answered(tmp_path: Path) -> None:
    """The registrar records the export and each opened letter for the named person; JSON and CSV have the same fields."""
    async with edge_of("vac", tmp_path, "htcds") as (here, htcds):
        registrar = here.registrar
        signal = registrar.event(
            "ngo-a", "case.signal_recorded", SIGNAL, parts={"coded": {"citizenship": "XA"}}, opens=["vac"]
        )
        await here.hear(registrar.register(signal, to="vac"))
        said = {"to": ["vac"], "mode": "referral", "reason": "LegalAid", "urgency": "normal", "services": ["legal"]}
        sent = registrar.event(
            "ngo-a", "referral.submitted", said, parts={"identity": {"name": CANARY}}, opens=["vac"], referral=REF
        )
        await here.hear(registrar.register(sent, to="vac"))
        await here.settle()
        answer = await here.during(htcds.get(f"/cases/{CASE}", params={"actor": "V-7", "purpose": "case_work"}))
        table = await here.during(htcds.get(f"/cases/{CASE}", params={"actor": "V-7", "format": "csv"}))

        fields = judged(answer.json())
        assert (fields["prs_FirstName"], fields["prs_Citizenship"]) == (CANARY, ["XA"])
        (row,) = csv.DictReader(io.StringIO(table.text))
        assert row["prs_FirstName"] == CANARY
        granted = [
            json.loads(each.clear)["data"] for each in await here.rows("outbox") if each.type == "access.granted"
        ]
        assert [each["what"] for each in granted][:3] == ["export", "letter", "letter"]
        assert {row.who for row in await here.rows("reads")} == {"desk", "V-7"}


@pytest.mark.parametrize(
    ("path", "params", "headers", "status", "code"),
    [
        (f"/cases/{CASE}", {}, {}, 422, "reader_unnamed"),
        (f"/cases/{CASE}", {"actor": "V-7", "format": CANARY}, {}, 422, "unknown_field"),
        (f"/cases/{CASE}", {"actor": "V-7", "purpose": CANARY}, {}, 422, "unknown_field"),
        (f"/cases/{CANARY}", {"actor": "V-7"}, {}, 404, "not_found"),
        (f"/cases/{CASE}", {"actor": "V-7"}, {"authorization": "Bearer a-token-to-read"}, 403, "scope_missing"),
    ],
)
async def test_who_may_not_export_gets_nothing(
    path: str, params: dict[str, str], headers: dict[str, str], status: int, code: str, tmp_path: Path
) -> None:
    """Without a person, a purpose or the scope nothing is recorded and nothing is answered."""
    async with edge_of("vac", tmp_path, "htcds") as (here, htcds):
        answer = await htcds.get(path, params=params, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert "CANARY" not in answer.text
        assert await here.rows("outbox") == []
