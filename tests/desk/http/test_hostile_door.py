"""The door of a desk, and numbers, texts and lists that nobody means well with: a code of its own for each, at once."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from agencies import CASE, SIGNAL
from desk.documented import judge
from desk.given import desk_of
from hostile import bounded
from nrmbus import desk
from nrmbus.bus import http_server, tls_listener
from nrmbus.desk.http import limits, streams

HUGE, LONG = "9" * 30, "9" * 5000
CONSENT = {"purposes": ["services"], "given_by": "individual", "form": "written"}

ADDRESSES: dict[str, tuple[str, str, int, str]] = {
    "a row beyond the ledger's": ("GET", f"/v1/inbox?after={2**63}", 422, "unknown_field"),
    "a row of thirty digits": ("GET", f"/v1/inbox?after={HUGE}", 422, "unknown_field"),
    "a row of five thousand digits": ("GET", f"/v1/tasks?after={LONG}", 422, "unknown_field"),
    "a row before the first": ("GET", "/v1/inbox?after=-1", 422, "unknown_field"),
    "a row in other digits": ("GET", f"/v1/inbox?after={quote(chr(0x661))}", 422, "unknown_field"),
    "a row as a float": ("GET", "/v1/tasks?after=1e3", 422, "unknown_field"),
    "a task beyond the ledger's": ("POST", f"/v1/tasks/{2**63}/done", 422, "unknown_field"),
    "a task of thirty digits": ("POST", f"/v1/tasks/{HUGE}/done", 422, "unknown_field"),
    "a task before the first": ("POST", "/v1/tasks/-1/done", 422, "unknown_field"),
    "the last task that may be": ("POST", f"/v1/tasks/{2**63 - 1}/done", 404, "not_found"),
    "a limit above ours": ("GET", "/v1/inbox?limit=1001", 422, "unknown_field"),
    "a case with a zero byte": ("GET", "/v1/cases/%00", 404, "not_found"),
    "a case that leads out": ("GET", "/v1/cases/..%2f..%2fdoor.json", 404, "not_found"),
    "a case that is not UTF-8": ("GET", "/v1/cases/%ff%fe", 404, "not_found"),
    "a case with a line end": ("POST", f"/v1/cases/{CASE}%0A/reads?what=case", 404, "not_found"),
    "an event that is half a letter": ("GET", "/v1/events/%ED%A0%80", 404, "not_found"),
    "a reader with a line end": ("GET", "/v1/inbox?open=true&actor=x%0a", 422, "unknown_field"),
    "a reader in another script": ("GET", "/v1/inbox?open=true&actor=%D0%B0", 422, "unknown_field"),
    "three hundred versions": ("GET", "/v1/inbox?" + "&".join(["speaks=a.b:1"] * 300), 422, "unknown_field"),
    "a method that is none": ("TRACE", "/v1/inbox", 405, "method_not_allowed"),
}


@pytest.mark.thorough
@pytest.mark.parametrize("what", ADDRESSES)
async def test_an_address_that_no_system_of_an_agency_asks_for(what: str, tmp_path: Path) -> None:
    """An unexpected address is not reported as a fault of the ledger, and the answer repeats nothing of it."""
    method, path, status, code = ADDRESSES[what]
    async with desk_of("ngo-a", tmp_path) as here:
        with bounded():
            answer = await here.door.request(method, path)

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert not {HUGE, LONG} & set(answer.text.split())


@pytest.mark.parametrize("wait", ["nan", "inf", "-inf", "60.0001", "1e400", "0x1", "", "\uff16"])
async def test_nobody_waits_for_ever(wait: str, tmp_path: Path) -> None:
    """A wait is a number of seconds up to a minute."""
    async with desk_of("ngo-a", tmp_path) as here:
        answer = await here.door.post(f"/v1/events?wait={quote(wait)}", content=b"{}")

        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_field")


@pytest.mark.parametrize(
    ("receivers", "kind"),
    [(["vac"] * 2, "twice"), (["vac", "vac", "fund"], "twice"), ([f"ngo-{n}" for n in range(65)], "too_long"),
     (["vac"] * 40_000, "too_long")],
    ids=["twice", "one of them twice", "65", "40,000"],
)  # fmt: skip
async def test_one_request_says_no_flood_of_consents(receivers: list[str], kind: str, tmp_path: Path) -> None:
    """A consent for n receivers is n events: at most as many as an event has recipients, each receiver once."""
    body = {"type": "consent.given", "case": CASE, "actor": "S-1", "data": CONSENT | {"receivers": receivers}}
    async with desk_of("ngo-a", tmp_path) as here:
        with bounded():
            answer = await here.door.post("/v1/events", content=json.dumps(body).encode())

        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_field")
        assert answer.json()["problems"] == [{"pointer": "/data/receivers", "kind": kind}]
        assert await here.rows("outbox") == []


CODES: dict[str, dict[str, str]] = {
    "representative": {"type": "safeguard.representative_assigned", "good": "REP-2026-0014"},
    "receipt_no": {"type": "referral.acknowledged", "good": "20260000014"},
    "article": {"type": "justice.case_opened", "good": "CC-144-1"},
}
MORE = {"receipt_no": {"duty_role": "duty_officer"}, "article": {"kind": "criminal_case"}}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("representative", "CANARY.Aliyeva"), ("representative", "0501234567"), ("representative", "994-50-123-45-67"),
        ("representative", "tel0501234567"), ("receipt_no", "CANARY-Example"), ("article", "CANARY-Example"),
    ],
)  # fmt: skip
async def test_a_code_that_a_person_types_is_no_name_and_no_telephone_number(
    name: str, code: str, tmp_path: Path
) -> None:
    """Given a name or a telephone number where the clear data have a number, then the door names the field and keeps nothing; a number of a register passes."""
    asked = {"case": CASE, "ref": "ab" * 16, "actor": "S-1", "type": CODES[name]["type"]}
    answers = []
    async with desk_of("ngo-a", tmp_path) as here:
        for each in (code, CODES[name]["good"]):
            data = {name: each, **MORE.get(name, {})}
            answers.append(await here.door.post("/v1/checks", json={"events": [{**asked, "data": data}]}))
        refused = await here.door.post("/v1/events", json={**asked, "data": {name: code, **MORE.get(name, {})}})

        problems = [{"pointer": f"/data/{name}", "kind": "string_pattern_mismatch"}]
        checks = [answer.json()["checks"][0].get("problems") for answer in answers]
        assert checks == [problems, None]
        assert (refused.status_code, refused.json()["code"]) == (422, "unknown_field")
        assert refused.json()["problems"] == problems
        assert code not in refused.text
        assert await here.rows("outbox") == []


@pytest.mark.parametrize(
    ("number", "passes"),
    [
        ("2026-0143", True), ("2026/014", True), ("0143-2026", True), ("1-2026-0143", True), ("14", True),
        ("050-123-45-67", False), ("123-45-67", False), ("2026-01-23-4567", False), ("12-345-2026", False),
    ],
)  # fmt: skip
async def test_a_year_and_a_number_are_no_telephone_number(number: str, *, passes: bool, tmp_path: Path) -> None:
    """Given a representative's number of a register by years, then the door takes it; it goes on refusing what may be a telephone."""
    asked = {"case": CASE, "ref": "ab" * 16, "actor": "S-1", "type": CODES["representative"]["type"]}
    async with desk_of("ngo-a", tmp_path) as here:
        answer = await here.door.post("/v1/checks", json={"events": [{**asked, "data": {"representative": number}}]})

    assert ("problems" not in answer.json()["checks"][0]) is passes


@pytest.mark.thorough
async def test_many_members_are_read_at_once(tmp_path: Path) -> None:
    """Half a mebibyte of members is refused within moments."""
    body = {"type": "case.signal_recorded", "case": CASE, "actor": "S-1", "data": SIGNAL}
    many = json.dumps(body | {f"m{n}": 1 for n in range(30_000)}).encode()
    async with desk_of("ngo-a", tmp_path) as here:
        here.door.event_hooks = {}  # the judge of the answer takes four times as long as the desk
        with bounded(2):
            answer = await here.door.post("/v1/events", content=many)

        await judge(answer)
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_field")


def test_the_limits_of_a_door_are_those_on_its_page() -> None:
    """An administrator who counts connections and tokens reads the numbers that hold."""
    page = (Path(desk.__file__).parent / "README.md").read_text(encoding="utf-8")

    for said in (
        f"{http_server.MOST} connections of this machine, {http_server.MOST} of others, and {tls_listener.HANDSHAKES} in a handshake",
        f"cut off after {http_server.SLOW_SECONDS:.0f} s; each {http_server.BYTES_A_SECOND // 1024} KiB that arrive earn one second",
        f"at most {streams.MOST} streams",
        f"{limits.A_MINUTE:,} requests a minute, {limits.A_MINUTE // limits._BURST:,} of them at once, and have {limits.AT_A_TIME} unanswered",
        f"Each {limits.PART // 1024} KiB of a body",
    ):
        assert said in page
