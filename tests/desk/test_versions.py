"""Each agency's system publishes and reads in the version that it speaks; the signed original stays available."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agencies import CASE
from desk.given import CANARY, REF, Given, desk_of
from generations import before_version
from nrmbus.desk import versions as desk_versions
from nrmbus.desk.errors import DeskError
from nrmbus.desk.procedure.handlers import about
from nrmbus.desk.procedure.interface import Heard, lines_of
from nrmbus.desk.procedure.roles import ROOMS, procedure_of
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.registry import data_type, versions
from nrmbus.police import procedure as police
from nrmbus.rules.versions import READS
from nrmbus.wire import json
from nrmbus.wire.envelope import decode
from nrmbus.wire.record import DATA_LIMIT, Record

TYPE = "referral.submitted"
BARE = {"to": ["special-unit"], "mode": "referral", "reason": "FormalIdentification", "urgency": "emergency"}
SERVICES: dict[int, Any] = {
    1: ["safe_shelter", "health"],
    2: [{"code": "safe_shelter", "time_frame": "24_hours"}, {"code": "health"}],
}
DATA = {version: BARE | {"services": services} for version, services in SERVICES.items()}
PARTS: dict[int, dict[str, Any]] = {
    1: {"coded": {"interpreter": "rus"}, "story": {"facts": CANARY}},
    2: {"coded": {"interpreter": ["rus", "tur"]}, "story": {"facts": CANARY}},
}
LIFTED = BARE | {"services": [{"code": "safe_shelter"}, {"code": "health"}]}
NO_PLACE_FOR = [{"version": 2, "pointer": "/data/services/0/time_frame"}]
NO_TONGUE_FOR = {"version": 2, "pointer": "/letter/interpreter/1"}


def referral(given: Given, version: int, **more: Any) -> Record:
    """Return an NGO's sealed referral to the special unit, in *version*."""
    more = {"referral": REF, "parts": PARTS[version], "opens": ["special-unit"], **more}
    return given.registrar.event("ngo-a", TYPE, DATA[version], version=version, **more)


async def told(given: Given, **how: Any) -> dict[str, Any]:
    """Return the only event that the desk hands to a system with the options *how*."""
    answer = await given.during(given.door.get("/v1/inbox", params=how))
    (event,) = answer.json()["events"]
    return dict(event)


@pytest.mark.parametrize(
    ("published", "spoken", "data", "lost"),
    [
        (1, 1, DATA[1], []),
        (1, 2, LIFTED, []),
        (2, 1, DATA[1], NO_PLACE_FOR),
        (2, 2, DATA[2], []),
    ],
)
async def test_an_event_is_handed_on_in_the_version_that_the_agency_declares(
    published: int, spoken: int, data: dict[str, Any], lost: list[dict[str, Any]], tmp_path: Path
) -> None:
    """The event is cast up or down, with a list of the data that the spoken version lacks and the published version."""
    async with desk_of("special-unit", tmp_path, speaks={TYPE: spoken}) as given:
        await given.hear(given.registrar.register(referral(given, published), to="special-unit"))
        event = await told(given)

    assert (event["published"], event["version"], event["data"]) == (published, spoken, data)
    assert event.get("lost", []) == lost
    assert "letter" not in event


@pytest.mark.parametrize(
    ("published", "spoken", "interpreter", "lost"),
    [
        (1, 2, ["rus"], []),
        (2, 1, "rus", [*NO_PLACE_FOR, NO_TONGUE_FOR]),
        (2, 2, ["rus", "tur"], []),
    ],
)
async def test_a_letter_is_cast_with_the_data_once_it_is_opened(
    published: int, spoken: int, interpreter: object, lost: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Each part is cast to the spoken version; a loss is named by its place only."""
    async with desk_of("special-unit", tmp_path, speaks={TYPE: spoken}) as given:
        await given.hear(given.registrar.register(referral(given, published), to="special-unit"))
        event = await told(given, open=True, actor="S-1")

    assert event["letter"]["coded"] == {"interpreter": interpreter}
    assert event["letter"]["story"] == {"facts": CANARY}
    assert set(event["letter"]) == {"coded", "contact", "identity", "money", "story"}, "empty parts too, as they came"
    assert event.get("lost", []) == lost


def test_a_part_that_stayed_shut_is_not_made_up() -> None:
    """In every version, only opened parts are shown."""
    assert desk_versions.by_part(TYPE, 2, {"interpreter": ["rus"]}, ["coded", "money"]) == {
        "coded": {"interpreter": ["rus"]},
        "money": {},
    }


async def test_an_agency_that_declares_nothing_is_not_changed_by_anybodys_upgrade(tmp_path: Path) -> None:
    """Every undeclared type is handed on in its first version."""
    async with desk_of("special-unit", tmp_path, speaks={"identification.status_decided": 2}) as given:
        await given.hear(given.registrar.register(referral(given, 2), to="special-unit"))

        assert (await told(given))["version"] == 1


async def test_a_program_may_speak_another_version_than_its_agency(tmp_path: Path) -> None:
    """Each request may name the versions of its program, since an agency upgrades its programs in turn."""
    async with desk_of("special-unit", tmp_path, speaks={TYPE: 1}) as given:
        await given.hear(given.registrar.register(referral(given, 2), to="special-unit"))
        newer = await told(given, speaks=[f"{TYPE}:2", "identification.status_decided:2"])
        other = await told(given, speaks="identification.status_decided:2")

    assert (newer["version"], newer["data"]) == (2, DATA[2])
    assert other["version"] == 1


@pytest.mark.parametrize(
    ("speaks", "code", "accepts"),
    [
        ([f"{TYPE}:999"], "unknown_version", list(versions(TYPE))),
        (["referral.sent:1"], "unknown_type", None),
        ([f"{TYPE}:1", f"{TYPE}:2"], "unknown_field", None),
        ([f"{TYPE}"], "unknown_field", None),
        ([f"{TYPE}:0"], "unknown_field", None),
        ([CANARY], "unknown_field", None),
    ],
)
async def test_what_nobody_can_speak_is_refused_and_not_repeated(
    speaks: list[str], code: str, accepts: list[int] | None, tmp_path: Path
) -> None:
    """The error lists the existing versions if the type is known."""
    async with desk_of("special-unit", tmp_path) as given:
        for answer in (
            await given.door.get("/v1/inbox", params={"speaks": speaks}),
            await given.door.post(
                "/v1/events", params={"speaks": speaks}, json={"type": TYPE, "actor": "S-1", "case": CASE}
            ),
        ):
            body = answer.json()
            assert (answer.status_code, body["code"], body.get("accepts")) == (422, code, accepts)
            assert "CANARY" not in answer.text


@pytest.mark.parametrize(
    ("declared", "asked", "said", "published"),
    [
        ({}, None, None, 1),
        ({TYPE: 2}, None, None, 2),
        ({TYPE: 2}, f"{TYPE}:1", None, 1),
        ({TYPE: 2}, None, 1, 1),
        ({}, f"{TYPE}:1", 2, 2),
    ],
    ids=["neither", "declared", "this request", "the event itself", "the event before all"],
)
async def test_what_is_said_is_published_in_the_version_of_who_says_it(
    declared: dict[str, int], asked: str | None, said: int | None, published: int, tmp_path: Path
) -> None:
    """The event's own version counts, else the program's, else the agency's; the event is signed as sent, without a cast."""
    async with desk_of("ngo-a", tmp_path, speaks=declared) as given:
        body: dict[str, Any] = {"type": TYPE, "case": CASE, "actor": "S-1", "ref": REF, "data": DATA[published]}
        body |= {
            "sealed": {"interpreter": PARTS[published]["coded"]["interpreter"]},
            "legal_basis": "CoM 21/2008 art. 7",
        }
        body |= {"version": said} if said else {}
        answer = await given.door.post("/v1/events", params={"speaks": asked} if asked else {}, json=body)
        (record,) = await given.out()
        shown = (await given.door.get(f"/v1/events/{answer.json()['id']}")).json()

    signed = decode(record)
    assert signed.version == shown["version"] == published
    assert signed.data == json.dumps(DATA[published])


async def test_data_of_another_version_than_is_spoken_are_refused(tmp_path: Path) -> None:
    """The desk does not guess: a system that sends version 2 undeclared is told which field does not fit."""
    async with desk_of("ngo-a", tmp_path) as given:
        body = {"type": TYPE, "case": CASE, "actor": "S-1", "ref": REF, "data": DATA[2]}
        answer = await given.door.post("/v1/events", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_field")
    assert answer.json()["problems"][0]["pointer"].startswith("/data/services")


async def test_a_refused_version_is_answered_with_those_that_are_judged(tmp_path: Path) -> None:
    """The sender gets the registrar's list of versions in the answer, and when it looks at the event later."""
    async with desk_of("ngo-a", tmp_path, speaks={TYPE: 2}) as given:
        record = await given.said(type=TYPE, ref=REF, data=DATA[2])
        await given.hear(given.registrar.refuse(record, "unknown_version", rule="W3", accepts=(1,)))
        shown = (await given.door.get(f"/v1/events/{decode(record).id}")).json()
        again = await given.door.post(f"/v1/events/{decode(record).id}/again", params={"wait": 0})

    assert (shown["verdict"], shown["code"], shown["rule"], shown["accepts"]) == (
        "refused",
        "unknown_version",
        "W3",
        [1],
    )
    assert again.json()["accepts"] == [1]


async def test_another_refusal_has_no_such_list(tmp_path: Path) -> None:
    """Only the code `unknown_version` has the list of versions."""
    async with desk_of("ngo-a", tmp_path) as given:
        record = await given.said(type=TYPE, ref=REF, data=DATA[1])
        await given.hear(given.registrar.refuse(record, "consent_required"))

        assert "accepts" not in (await given.door.get(f"/v1/events/{decode(record).id}")).json()


@pytest.mark.parametrize("published", [1, 2])
async def test_a_procedure_hears_every_version_in_the_one_that_it_reads(
    published: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A procedure's line handles every published version; data and letter are cast to the version in its code."""
    seen: list[Heard] = []

    def keep(book: Any, heard: Heard) -> Any:
        seen.append(heard)
        return book

    monkeypatch.setattr(police, "keep", keep)
    async with desk_of("special-unit", tmp_path, speaks={TYPE: 2}) as given:
        record = referral(given, published)
        await given.hear(given.registrar.register(record, to="special-unit"))
        tasks = [row.kind for row in await given.rows("tasks")]
        (stored,) = await given.rows("events")

    (heard,) = seen
    assert tasks == ["duty_officer"]
    assert (heard.event.version, type(heard.event.data)) == (1, ReferralSubmitted)
    assert heard.event.data.to_mapping() == DATA[1]
    assert heard.letter == {"interpreter": "rus", "facts": CANARY}
    assert stored.value == record.value, "what is kept is what was published"


async def test_an_own_event_of_another_version_is_heard_as_well(tmp_path: Path) -> None:
    """A procedure reads events of its agency's newer system as any others: here the NGO notes the requested services."""
    async with desk_of("ngo-a", tmp_path, speaks={TYPE: 2}) as given:
        await given.registered(type=TYPE, ref=REF, data=DATA[2])

        assert getattr(given.desk.book, "services", ()) == (REF,)


async def test_a_decision_of_either_version_earns_the_allowance_once(tmp_path: Path) -> None:
    """The fund orders the same payment, whichever version the decision was published in."""
    bodies: dict[int, dict[str, Any]] = {
        1: {"status": "ActualVictimOfTrafficking", "deciding_body": "Police"},
        2: {"status": "ActualVictimOfTrafficking", "deciding_body": {"type": "Police", "agency": "special-unit"}},
    }
    said = []
    for version, body in bodies.items():
        async with desk_of("fund", tmp_path / str(version)) as given:
            event = given.registrar.event("special-unit", "identification.status_decided", body, version=version)
            await given.hear(given.registrar.register(event, to="fund"))
            (row,) = [row for row in await given.rows("outbox") if row.origin == "procedure"]
            said.append((row.type, json.loads(row.clear, limit=DATA_LIMIT)["data"] | {"decision": ""}))

    assert said[0] == said[1]
    assert said[0][0] == "payment.ordered"


@pytest.mark.parametrize("role", ROOMS)
def test_each_line_names_the_version_that_procedures_read(role: str) -> None:
    """A line for another version would never see its own kind of data."""
    written = procedure_of(role)
    assert written is not None

    for each in {one for line in lines_of(written) for one in line.types}:
        assert each is data_type(each.type, READS.get(each.type, 1)), each


async def test_a_line_is_asked_by_type_and_not_by_version() -> None:
    """A line also handles a version that is published after the line was written."""

    def message(name: str, version: int) -> Any:
        headers = {"ce_type": f"nrm.{name}", "ce_dataschema": f"urn:nrmbus:nrm.{name}:{version}"}
        return SimpleNamespace(headers=headers)

    assert await about(ReferralSubmitted)(message("referral.submitted", 7)) is True
    assert await about(ReferralSubmitted)(message("referral.revoked", 1)) is False


@pytest.mark.parametrize(
    ("speaks", "pointers"),
    [
        ({TYPE: 999}, [(f"/speaks/{TYPE}", "unknown_version")]),
        ({TYPE: 0}, [(f"/speaks/{TYPE}", "unknown_version")]),
        ({TYPE: "2"}, [(f"/speaks/{TYPE}", "unknown_version")]),
        ({TYPE: True}, [(f"/speaks/{TYPE}", "unknown_version")]),
        ({CANARY: 1}, [("/speaks", "unknown_type")]),
        ({TYPE: 2, CANARY: 1}, [("/speaks", "unknown_type")]),
        ([CANARY], [("/speaks", "unknown_type")]),
        (None, [("/speaks", "unknown_type")]),
    ],
)
def test_a_declaration_that_cannot_hold_is_an_error_of_the_start(speaks: object, pointers: list[Any]) -> None:
    """The error names the known type, and never the wrong text."""
    with pytest.raises(DeskError, match="speaks_unpublished") as raised:
        desk_versions.declared(speaks)

    assert list(raised.value.problems) == pointers
    assert "CANARY" not in f"{raised.value} {raised.value.problems}"


def test_a_declaration_that_a_release_is_too_old_for_is_one_too() -> None:
    """A desk set back to an earlier release does not start with versions unknown to that release."""
    assert desk_versions.declared({TYPE: 2}) == {TYPE: 2}
    with before_version(2), pytest.raises(DeskError, match="upgrade"):
        desk_versions.declared({TYPE: 2})
