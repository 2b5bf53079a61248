"""``nrmbus up --example``: a stranger finds people with something to do, and the same again after Ctrl-C."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_private
from nrmbus.cli.operate import example, up
from nrmbus.cli.operate.folder_faults import findings
from nrmbus.cli.operate.invented import newcomers_of_example
from nrmbus.client.door import Door
from nrmbus.intake.codes import read, shown
from nrmbus.play.people import CODE, PASSWORD, PEOPLE, to_do
from patience import LONGEST_WAIT, PATIENCE, interruptible, until

LAST_YEAR = str(datetime.now(UTC).year - 1)
NOW = datetime(2026, 3, 4, 5, tzinfo=UTC)


def at(hours: float) -> str:
    """Return the time so many hours from now, as a door writes it."""
    return (NOW + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def asked(*options: str) -> Any:
    """Return what the command did."""
    return CliRunner().invoke(up.app, ["--example", *options])


def test_everybody_who_is_invented_works_at_an_agency_of_the_example() -> None:
    """Each agency has a name and people, among them an administrator. No two people share a name."""
    agencies = newcomers_of_example("az@2022-04-29")
    assert PEOPLE.keys() == agencies.keys()
    assert all(each.contact and each.contact.name.startswith("Example ") for each in agencies.values())
    assert all({"worker", "administrator"} <= set(each.values()) for each in PEOPLE.values())
    names = [name for each in PEOPLE.values() for name in each]
    assert len(set(names)) == len(names)
    assert all(name.endswith(" Example") for name in names)
    assert read(CODE) == CODE


async def test_what_waits_is_told_by_what_is_due() -> None:
    """Of the duties in an agency's cases only its own count, with the most overdue and the next; then the rest."""
    duties = [
        {"code": "D-ANSWER", "agency": "special-unit", "due": at(-2)}, {"code": "D-SERVICE", "agency": "special-unit", "due": at(1.5)},
        {"code": "D-RG", "agency": "special-unit", "due": at(72)}, {"code": "D-ANSWER", "agency": "special-unit"},
        {"code": "D-SERVICE", "agency": "ngo-l", "due": at(1)}, {"code": "D-SHELTER", "agency": "special-unit", "due": at(2)},
    ]  # fmt: skip
    answers: dict[str, dict[str, Any]] = {
        "/v1/cases": {"cases": [{"case": "ab" * 16}], "next": None},
        f"/v1/cases/{'ab' * 16}": {"open_deadlines": duties},
        "/v1/referrals": {
            "referrals": [{"ref": "R-1", "direction": "sent", "receivers": [], "waits_for": ["special-unit"]}],
            "next": None,
        },
        "/v1/beds": {"beds": [{"houses": [{"agency": "shelter", "state": "offered"}]}], "next": None},
        "/v1/tasks": {"tasks": [{"kind": "read"}, {"kind": "referral"}, {"kind": "best_interests"}], "next": None},
    }
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answers[request.url.path]))
    async with Door("http://127.0.0.1:1", "token", transport=transport) as door:
        deeds = await to_do(door, "special-unit", NOW)

    assert deeds["worker"] == (
        "Answer: 2 (1 overdue by 2 h 0 min, next due in 1 h 30 min); answer a question: 1; look at new events: 2"
    )
    decisions = "decide on reasonable grounds: 1 (due in 3 days); {}decide where a child may live: 1"
    assert decisions.format("answer a question: 1; ") in deeds["duty_officer"]
    assert deeds["supervisor"].lower() == f"{decisions.format('')}; look at what is overdue: 1; see who read what"


async def test_an_accepted_referral_is_not_answered_again() -> None:
    """Given an accepted referral, its clock runs until a stage begins: the duty is to begin a stage."""
    duties = [{"code": "D-ANSWER", "agency": "special-unit", "due": at(2), "ref": each} for each in ("R-1", "R-2")]
    referrals = [
        {"ref": ref, "direction": "received", "receivers": [{"agency": "special-unit", "state": state}], "waits_for": []}
        for ref, state in (("R-1", "accepted"), ("R-2", "submitted"))
    ]  # fmt: skip
    answers: dict[str, dict[str, Any]] = {
        "/v1/cases": {"cases": [{"case": "ab" * 16}], "next": None},
        f"/v1/cases/{'ab' * 16}": {"open_deadlines": duties},
        "/v1/referrals": {"referrals": referrals, "next": None},
        "/v1/beds": {"beds": [], "next": None},
        "/v1/tasks": {"tasks": [], "next": None},
    }
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answers[request.url.path]))
    async with Door("http://127.0.0.1:1", "token", transport=transport) as door:
        deeds = await to_do(door, "special-unit", NOW)

    assert sorted(deeds["worker"].lower().split("; ")) == [
        "answer: 1 (due in 2 h 0 min)", "begin a stage of identification: 1 (due in 2 h 0 min)",
    ]  # fmt: skip


@pytest.mark.parametrize("options", [("--bus", "x"), ("--play",), ("--agencies", "x.yaml"), ("--replicas", "2")])
def test_another_bus_is_not_made_an_example_by_an_option(options: tuple[str, ...]) -> None:
    """The example is what it is: an option for another kind of bus is refused, and named."""
    done = asked(*options)

    assert done.exit_code == 2
    assert options[0] in re.sub(r"\s+", " ", done.output)


def test_a_bus_that_is_no_example_is_left_alone(tmp_path: Path) -> None:
    """Given a folder with a bus of its own, the command refuses before anything runs."""
    BusFolder(tmp_path).create(play=True)

    done = asked("--data", str(tmp_path))

    assert isinstance(done.exception, BusError)
    assert "no example" in str(done.exception)


@pytest.mark.parametrize("name", ["notes.txt", "example/notes.txt"])
def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, name: str) -> None:
    """Given a folder of somebody's own, nothing is put there and nothing is removed."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")

    done = asked("--data", str(tmp_path))

    assert isinstance(done.exception, BusError)
    assert (tmp_path / name).read_text() == "mine"


def test_the_rest_of_a_start_that_was_broken_off_is_removed(tmp_path: Path) -> None:
    """Given a first start that ended within the stories, the next start begins again. A whole example stays."""
    folder = BusFolder(tmp_path / "bus")
    mark = example._prepared(folder)
    first = folder.settings.bus

    example._prepared(folder)
    assert folder.settings.bus != first

    assert not [each for each in findings(folder, NOW) if each.code == "permissions"], (
        "nrmbus doctor has nothing to say of it"
    )
    write_private(mark / example.PLAYED, b"")
    before = folder.settings.bus
    example._prepared(folder)
    assert folder.settings.bus == before


def test_a_removal_that_was_cut_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given Ctrl-C while the rest of a broken-off start is removed, whatever is gone then, the next start removes the others and begins again."""
    folder, remove = BusFolder(tmp_path / "bus"), shutil.rmtree
    write_private(example._prepared(folder).parent / "kafka" / "records", b"")
    first = folder.settings.bus

    def cut(path: Path) -> None:
        for each in (path / example.NAME, path):
            if each.exists():
                remove(each)
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", cut)
        with pytest.raises(KeyboardInterrupt):
            example._prepared(folder)

    example._prepared(folder)
    assert folder.settings.bus != first
    assert not folder.kafka.exists()


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run the command in *folder* during the block, and end the command by Ctrl-C; yield the first output."""
    with tempfile.TemporaryFile() as output:
        with interruptible():
            nrmbus = Path(sys.executable).parent / "nrmbus"
            process = subprocess.Popen([nrmbus, "up", "--example", "--data", folder], stdout=output, stderr=output)

        def said() -> str:
            return os.pread(output.fileno(), 1 << 20, 0).decode()

        def has_come_to(stage: str) -> bool:
            return re.search(stage, said()) is not None or process.poll() is not None

        try:
            for stage in ("Starting services", "Playing|Catching up", "Ctrl-C ends it"):  # each has its own patience
                until(stage, partial(has_come_to, stage))
                assert process.poll() is None, said()
            yield said()
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0, said()


@pytest.mark.slow
@pytest.mark.broker
async def test_a_second_start_goes_on_where_the_first_one_ended(tmp_path: Path) -> None:
    """Given a first start, interrupted, the stories are not played again; everybody still has something to do, and can sign in."""
    folder = tmp_path / "bus"
    with running(folder) as first:
        pass
    with running(folder) as second:
        assert "Playing" in first
        assert not [each for each in findings(BusFolder(folder), datetime.now(UTC)) if each.code == "permissions"]
        assert "Playing" not in second
        for said in (first, second):
            assert "Everything on this bus is invented" in said
            assert all(name in said for each in PEOPLE.values() for name in each)
            assert f"the code for the answer is {shown(CODE)}" in said
            assert re.search(r"ngo-l .*Leyla Example .*Answer: 1 \(overdue by", said)
        for agency, people in PEOPLE.items():
            assert [
                name for name, role in people.items() if role != "administrator" and waits_for(folder, agency, name) < 1
            ] == []
        assert "ayla@ngo-a.example" in page_of_a_colleague(folder)
        async with Door.of(folder / "agencies" / "fund") as door:
            figures = (await door.get("/v1/bulletins"))["announcements"]
            assert [each["data"]["period"] for each in figures if each["type"] == "stats.period_published"] == [
                LAST_YEAR
            ]
        async with Door.of(folder / "agencies" / "ngo-a") as door:
            assert len((await door.get("/v1/cases"))["cases"]) == 10
            tick = (await door.health())["tick"]
            until("the clock goes on", lambda: ticks(folder) > tick)


def waits_for(folder: Path, agency: str, name: str) -> int:
    """Return how many rows wait for a member who signs in, by the page that a browser shows."""
    url = Door.of(folder / "agencies" / agency).url
    with httpx.Client(base_url=url, follow_redirects=True, timeout=LONGEST_WAIT) as browser:
        own = {"sec-fetch-site": "same-origin"}
        page = browser.post("/app/sign-in", data={"name": name, "password": PASSWORD}, headers=own)
    if agency == "coordinator":
        return page.text.count('class="nrm-clocks__mine"')
    assert page.url.path == ("/app/releases" if agency == "statistics" else "/app/work"), page.url
    return page.text.count("<tr>") + page.text.count("<tr ") - 1


def page_of_a_colleague(folder: Path) -> str:
    """Return the page on which the administrator of ngo-a sees the first of the agency's people."""
    with httpx.Client(
        base_url=Door.of(folder / "agencies" / "ngo-a").url, follow_redirects=True, timeout=LONGEST_WAIT
    ) as browser:
        own = {"sec-fetch-site": "same-origin"}
        browser.post("/app/sign-in", data={"name": "Sevda Example", "password": PASSWORD}, headers=own)
        (first, *_) = re.findall(r"/app/staff/\d+", browser.get("/app/staff").text)
        return browser.get(first).text


def ticks(folder: Path) -> int:
    """Return how often the clock of the example was moved, as a desk has seen it."""
    url = BusFolder(folder).agency("fund").door
    return int(
        httpx.get(f"{Door.of(url).url}/health", headers={"authorization": f"Bearer {Door.of(url).token}"}).json()[
            "tick"
        ]
    )
