"""``nrmbus publish``, ``inbox`` and ``replay`` before a bus is reached: one sentence, and nothing of what was given."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import typer

from nrmbus.bus.errors import BusError
from nrmbus.bus.references import whole
from nrmbus.cli.desk import desks, publish
from nrmbus.cli.desk.publish import _ref_of, _silent, waits_for
from nrmbus.cli.membership.admitting import newcomers_of
from nrmbus.client import DoorError
from nrmbus.client import door as client_door
from nrmbus.client.door import Door
from nrmbus.desk.errors import MEANINGS, DeskCode, DeskError, problem
from nrmbus.directory.admission import Newcomer
from nrmbus.directory.entry import Contact
from nrmbus.public.settings import PublicSettings
from nrmbus.rules import load_profile
from nrmbus.wire.ids import EVENT_ID
from typed import run as nrmbus

ROOT = Path(__file__).parents[3]
POLICY = "az@2022-04-29"
CANARY = "CANARY-Alina Example"
ONE, OTHER = "5f0c1a2b" + "0" * 24, "5f0d1a2b" + "0" * 24


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ('{"type": "case.closed", "actor": "a-1"', "json_invalid"),
        (f'{{"sealed": {{"name": "{CANARY}"}}, "sealed": {{}}}}', "json_duplicate"),
        (f'["{CANARY}"]', "json_invalid"),
        (f'{{"actor": "a-1", "data": {{"note": "{CANARY}"}}}}', "The event has no type"),
        (f'{{"type": "case.closed", "data": {{"note": "{CANARY}"}}}}', "does not say who acts"),
    ],
)
def test_an_event_that_cannot_be_read_is_not_repeated(given: str, what: str) -> None:
    """One sentence names the fault and repeats no word of the file."""
    done = nrmbus("publish", "ngo-a", "--event", "-", given=given)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("nrmbus: ")
    assert done.stderr.count("\n") == 1
    assert what in done.stderr
    assert "CANARY" not in done.stderr


@pytest.mark.parametrize(
    ("health", "why"),
    [
        ({"ready": True, "state": "suspended", "held_up": None}, "The agency is suspended"),
        ({"ready": False, "state": "admitted", "held_up": "directory_stale"}, "nrmbus agency head"),
        ({"ready": False, "state": "admitted", "held_up": "entry_not_asked"}, "did not ask for"),
        ({"ready": False, "state": "admitted", "held_up": None}, "nrmbus doctor"),
    ],
)
def test_a_pending_verdict_names_the_reason_of_the_wait(health: dict[str, Any], why: str) -> None:
    """If the desk knows the reason for the wait, the message names the reason."""
    assert why in (waits_for(health) or "")
    assert waits_for({"ready": True, "state": "admitted", "held_up": None}) is None


def test_file_and_command_line_may_not_contradict_each_other(tmp_path: Path) -> None:
    """The person has to choose between file and command line."""
    (tmp_path / "event.json").write_text(json.dumps({"type": "case.closed", "actor": "a-1"}))

    done = nrmbus("publish", "ngo-a", "case.reopened", "--event", tmp_path / "event.json")

    assert (done.returncode, done.stderr) == (
        1, "nrmbus: TYPE and the file contradict each other: leave one of them out.\n",
    )  # fmt: skip


def test_a_missing_file_is_reported() -> None:
    """The message says what to do instead and does not repeat the name, which may be a person's."""
    done = nrmbus("publish", "ngo-a", "--event", f"{CANARY}.json")

    assert done.returncode == 1
    assert "cannot be read (No such file or directory)" in done.stderr
    assert "CANARY" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["publish", "ngo-a", "case.closed", "--actor", "a-1"],
        ["inbox", "ngo-a"],
        ["inbox", "ngo-a", "--follow"],
        ["replay"],
    ],
    ids=" ".join,
)
def test_without_a_bus_the_message_names_the_command_that_makes_one(tmp_path: Path, arguments: list[str]) -> None:
    """The message has no traceback, and the exit status is 1."""
    done = nrmbus(*arguments, "--data", tmp_path)

    assert done.returncode == 1
    assert done.stderr == (
        f"nrmbus: No bus was made in {tmp_path}: nrmbus up --data '{tmp_path}', or nrmbus join for another machine's.\n"
    )


@pytest.mark.parametrize("command", ["publish", "inbox", "replay"])
def test_its_help_has_an_example(command: str) -> None:
    """The example can be typed as printed."""
    assert f"Example: nrmbus {command}" in " ".join(nrmbus(command, "--help").stdout.split())


def test_no_option_of_publish_takes_a_letter() -> None:
    """Every user of the machine can see a command line: personal data come by file or standard input."""
    shown = nrmbus("publish", "--help").stdout

    assert "--event" in shown
    assert "--sealed" not in shown


def test_a_reference_may_be_shortened() -> None:
    """A unique beginning of a reference is enough."""
    assert whole(ONE[:8], [ONE, OTHER]) == ONE
    assert whole(OTHER, [ONE, OTHER]) == OTHER


@pytest.mark.parametrize(
    ("ref", "what"),
    [(ONE[:7], "8 or more"), (ONE[:8].upper(), "hexadecimal"), (ONE[:7], "hexadecimal"), (ONE + "0", "32"),
     ("f" * 8, "Nothing here"), (ONE[:8], "More than one")],
)  # fmt: skip
def test_an_unknown_or_ambiguous_reference_is_reported(ref: str, what: str) -> None:
    """An ambiguous reference is refused, since a slip in few digits would mean another person's case."""
    with pytest.raises(BusError, match=what):
        whole(ref, [ONE, OTHER, ONE[:8] + "1" * 24])


def test_the_example_of_agencies_can_be_admitted() -> None:
    """The README's example file has roles of the profile and places of the shelter."""
    found = newcomers_of(ROOT / "deploy" / "agencies" / "az-example.yaml", POLICY)

    found_as = Contact(name="Example Outreach", address="1 Example Street, Baku", phone="+994 00 000 00 01")
    assert found["ngo-a"] == Newcomer("ngo_outreach", contact=found_as, public=found["ngo-a"].public)
    assert PublicSettings.parse(found["ngo-a"].public, Path("agency.json")).name["en"] == "Example Line"
    assert found["shelter"].capacity == {"women": 4, "children": 2, "men": 6}


def test_the_file_of_the_whole_mechanism_has_each_role_once() -> None:
    """A bus of all agencies, as the file of the whole mechanism has them, lacks no role that an agency may have."""
    found = newcomers_of(ROOT / "deploy" / "agencies" / "az-mechanism.yaml", POLICY)

    roles = load_profile(POLICY).expand(("AGENCIES", "EVERYBODY"))
    assert sorted(each.role for each in found.values()) == sorted(set(roles) - {"auditor"})
    assert PublicSettings.parse(found["hotline"].public, Path("agency.json")).name["en"] == "Example Hotline"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("ngo-a: {role: ngo_outreach}\nngo-b: {role: NGO}", "line 2: ngo-b does not fit"),
        ("ngo-a: {role: ngo_outreach}\nngo-b: {role: nobody}", "line 2: .* has no such role"),
        ("ngo-a: {role: ngo_outreach, capacity: {women: 2}}", "line 1: only a shelter"),
        ("ngo-a: {role: ngo_outreach, supervisor: police}", "line 1: the supervisor"),
        ("ngo-a: {rôle: ngo_outreach}", "line 1: ngo-a does not fit"),
        ("ngo-a: ngo_outreach", "line 1: say ngo-a's role"),
        ("registrar: {role: ngo_outreach}", "line 1: this id is not allowed"),
        ("kafka: {role: ngo_outreach}", "line 1: this id is not allowed"),
        ("NGO A: {role: ngo_outreach}", "line 1: this id is not allowed"),
        ("ngo-a: {role: vac}\nngo-a: {role: vac}", "line 2: the key"),
        ("[ngo-a]", "line 1: a list of agencies is wanted"),
        ("", "line 1: the file is empty"),
    ],
)
def test_a_file_of_agencies_is_read_strictly(tmp_path: Path, text: str, what: str) -> None:
    """A slip is reported with its line before anything starts, since an id keeps its role for good."""
    path = tmp_path / "agencies.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(BusError, match=what):
        newcomers_of(path, POLICY)


def test_a_missing_file_of_agencies_is_reported(tmp_path: Path) -> None:
    """The message names the example file to copy."""
    with pytest.raises(BusError, match=r"cannot be read .*az-example\.yaml"):
        newcomers_of(tmp_path / "none.yaml", POLICY)


class Repeating:
    """A door at which the event ONE was said before, about the referral OTHER."""

    async def event(self, id: str) -> dict[str, Any]:
        """Return the outcome of an event."""
        if id != UUID:
            raise DoorError("not_found", "nothing there", 404)
        return {"id": id, "ref": OTHER}


UUID = "01890000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(("id", "ref"), [(UUID, OTHER), (UUID.replace("1", "2"), None), (None, None), ("no id", None)])
async def test_a_repeated_command_is_about_the_same_new_reference(id: str | None, ref: str | None) -> None:
    """`--ref new` under a published id takes the reference of the first time, so the content is the same."""
    assert await _ref_of(Repeating(), id) == ref  # type: ignore[arg-type]  # as much of a door as is asked


CLOSING: dict[str, Any] = {"type": "case.closed", "actor": "a-1", "case": ONE, "ref": "new"}


class Killed:
    """A desk that is killed after it took each of the first *cuts* events: the sender has no answer.

    Later events get the answer *verdict*, or are refused with the desk's own code *refusal*.
    """

    def __init__(self, cuts: int, verdict: str = "registered", refusal: DeskCode | None = None) -> None:
        self.cuts, self.verdict, self.refusal, self.taken = cuts, verdict, refusal, list[dict[str, Any]]()

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer, or end without an answer."""
        if request.method == "POST":
            self.taken.append(json.loads(request.content))
        if len(self.taken) in range(1, self.cuts + 1) or request.url.path == "/health":
            raise httpx.ReadError("cut", request=request)
        if self.refusal is not None and request.method == "POST":
            error = DeskError(self.refusal)
            later = {"retry-after": "3600"}  # longer than the command tries, so that no test waits
            return httpx.Response(error.status, json=problem(error), headers=later)
        said = {"verdict": self.verdict, "id": self.taken[-1]["id"], "case": ONE, "number": 7}
        return httpx.Response(200, json={"verdict": self.verdict, "events": [said]})


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Killed]:
    """Let `nrmbus publish` reach a desk that is killed as given, and wait for nothing."""

    def made(cuts: int, verdict: str = "registered", refusal: DeskCode | None = None) -> Killed:
        desk = Killed(cuts, verdict, refusal)

        @asynccontextmanager
        async def door_of(*_: object) -> AsyncIterator[Door]:
            async with Door("http://127.0.0.1", "token", transport=httpx.MockTransport(desk.answer)) as door:
                yield door

        monkeypatch.setattr(publish, "door_of", door_of)
        monkeypatch.setattr(client_door, "SHORTEST_PAUSE", 0.0)
        return desk

    return made


async def test_p1_an_event_that_a_killed_desk_may_have_is_offered_again_as_the_same_event(
    killed: Callable[..., Killed],
) -> None:
    """Given a desk that is killed with the event in hand, then the next one gets the same words under the same id and reference."""
    desk = killed(2)
    answer = await publish._publish(cast("Any", None), "vac", CLOSING, 20.0)

    first, *others = desk.taken
    assert others == [first, first]
    assert EVENT_ID.fullmatch(first["id"])
    assert first["ref"] not in ("new", "")
    assert answer["events"][0]["id"] == first["id"]


async def test_p1_an_event_without_an_answer_is_named_so_that_it_can_be_repeated(
    killed: Callable[..., Killed], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a desk that stays away, then the command does not deny the event, and prints the id for a repetition."""
    desk = killed(99)
    monkeypatch.setattr(desks, "START_SECONDS", 0.0)
    with pytest.raises(typer.Exit) as ended:
        await publish._publish(cast("Any", None), "vac", CLOSING, 20.0)

    assert ended.value.exit_code == 3
    said = capsys.readouterr().err
    assert "the desk does not answer; is the bus up?" in said
    assert f"give the command again with --id {desk.taken[0]['id']}, which publishes the event once" in said


def test_p1_a_command_without_a_file_can_be_repeated_under_the_printed_id(
    killed: Callable[..., Killed], tmp_path: Path
) -> None:
    """Given the id of an unanswered command, when the command is repeated with this id, then the desk gets the id."""
    desk = killed(0)
    words = ["vac", "case.closed", "--actor", "a-1", "--case", ONE, "--id", UUID, "--data", str(tmp_path)]

    assert nrmbus("publish", *words).stdout == f"registered as number 7, event {UUID}, case {ONE}\n"
    assert [each["id"] for each in desk.taken] == [UUID]


@pytest.mark.parametrize("code", ["ledger_away", "ledger_held", "not_admitted", "too_many_requests"])
async def test_a_refusal_of_a_desk_that_takes_no_event_is_the_error(
    killed: Callable[..., Killed], code: DeskCode
) -> None:
    """Given a desk that refuses every event for now, then its sentence is the error, and no event's id is printed."""
    killed(0, refusal=code)

    with pytest.raises(DoorError) as refused:
        await publish._publish(cast("Any", None), "vac", CLOSING, 20.0)
    assert (refused.value.code, str(refused.value)) == (code, MEANINGS[code].sentence)


@pytest.mark.parametrize(("cuts", "code"), [(1, "ledger_away"), (0, "not_available")])
async def test_p1_a_refusal_after_which_the_desk_may_have_the_event_names_the_event(
    killed: Callable[..., Killed], capsys: pytest.CaptureFixture[str], cuts: int, code: DeskCode
) -> None:
    """Given a refusal by a desk that was killed with the event, or failed, then its sentence and the id are printed."""
    desk = killed(cuts, refusal=code)
    with pytest.raises(typer.Exit) as ended:
        await publish._publish(cast("Any", None), "vac", CLOSING, 20.0)

    said = capsys.readouterr().err
    assert ended.value.exit_code == 3
    assert MEANINGS[code].sentence in said
    assert f"The desk may have event {desk.taken[0]['id']}" in said


async def test_an_event_that_the_desk_refuses_after_it_was_killed_is_refused(killed: Callable[..., Killed]) -> None:
    """Given a desk that judges the event after it was killed, then the refusal is the error.

    A desk with the event would have answered with the verdict.
    """
    killed(1, refusal="unknown_field")

    with pytest.raises(DoorError, match="The request does not fit"):
        await publish._publish(cast("Any", None), "vac", CLOSING, 20.0)


async def test_an_event_that_the_desk_has_is_pending_even_if_the_desk_ends_then(killed: Callable[..., Killed]) -> None:
    """Given a desk that took the event and then ends, then the command says that the desk keeps the event; no error."""
    killed(0, "pending")

    assert (await publish._publish(cast("Any", None), "vac", CLOSING, 20.0))["verdict"] == "pending"


class Listing:
    """A desk whose directory has two pages, and on the second an agency that does not read."""

    async def get(self, path: str, after: str) -> dict[str, Any]:
        """Return the page of the directory after the agency *after*."""
        assert path == "/v1/directory"
        if not after:
            return {"agencies": [{"agency": "court"}], "next": "court"}
        return {
            "agencies": [{"agency": "fund", "silent_since": "2026-03-02T10:00:00Z"}, {"agency": "vac"}],
            "next": None,
        }


@pytest.mark.parametrize(("to", "named"), [(["fund", "vac"], True), (["vac"], False), (None, False), ("fund", False)])
async def test_a_receiver_that_does_not_read_is_named_before_the_event_is_sent(to: object, named: bool) -> None:  # noqa: FBT001 - a case of the table
    """Given a receiver that does not read, then somebody who refers by the command line is told to call, as on the page."""
    notes = await _silent(cast("Any", Listing()), to)

    assert notes == (
        ["fund does not read what it is sent, since 2026-03-02T10:00:00Z: call the agency as well."] if named else []
    )
