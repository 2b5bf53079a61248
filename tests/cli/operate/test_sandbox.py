"""``nrmbus sandbox``: an integrator alone plays a hand-off by the commands that it prints."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from desk.webhooks.receiver import receiving
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.operate import sandbox
from nrmbus.client import AsyncDesk, Registered
from nrmbus.play import counterpart
from nrmbus.play.counterpart import Declines
from nrmbus.wire.ids import new_ref
from patience import LONGEST_WAIT, PATIENCE, eventually, interruptible, until

REFERRAL: dict[str, Any] = {"urgency": "normal", "services": ["health", "legal"], "child": False}


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run the command in *folder* during the block, and end the command by Ctrl-C; yield the first output."""
    with tempfile.TemporaryFile() as output:
        with interruptible():
            process = subprocess.Popen(
                [Path(sys.executable).parent / "nrmbus", "sandbox", "--data", folder], stdout=output, stderr=output
            )

        def said() -> str:
            return os.pread(output.fileno(), 1 << 20, 0).decode()

        try:
            until("it is ready", lambda: "Ctrl-C ends it" in said() or process.poll() is not None)
            assert process.poll() is None, said()
            yield said()
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0, said()


def asked(command: str) -> dict[str, Any]:
    """Return what a shell prints for *command*."""
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=LONGEST_WAIT)
    return dict(json.loads(done.stdout))


@pytest.mark.slow
@pytest.mark.broker
async def test_its_commands_play_a_hand_over_as_they_are_printed(tmp_path: Path) -> None:
    """The referral is registered, acknowledged and accepted; one that is not urgent is declined, with a reason."""
    with running(tmp_path / "bus") as printed:
        refer, read, case = [line for line in printed.splitlines() if line.startswith("curl ")]
        assert "invented" in printed

        assert asked(refer)["verdict"] == "registered"

        def answers() -> list[str]:
            return [event["type"] for event in asked(read)["events"]]

        until("the counterpart answers", lambda: "referral.accepted" in answers())
        assert answers() == ["referral.acknowledged", "referral.accepted"]
        assert asked(case)["open_referrals"] == []

        url, token = printed.partition("desk is at ")[2].split(". ")[0], printed.partition("nrm_")[2].split("\n")[0]
        async with AsyncDesk(url, f"nrm_{token}") as desk:
            ref, wanted = new_ref(), counterpart.referral(await counterpart.prepare(desk, "vac"), new_ref(), "vac")
            said = await desk.publish({**wanted, "ref": ref, "data": wanted["data"] | {"urgency": "normal"}})
            assert isinstance(said, Registered)

            async def reasons() -> list[str]:
                found = (await desk.door.get("/v1/inbox", case=wanted["case"]))["events"]
                return [each["data"]["reason"] for each in found if each["type"] == "referral.declined"]

            await eventually("it is declined", reasons)
            assert await reasons() == ["no_capacity"]

        command = next(line for line in printed.splitlines() if line.startswith("nrmbus webhook add "))
        async with receiving() as receiver:
            words = command.replace("http://127.0.0.1:9000/", receiver.url).split()
            added = await asyncio.create_subprocess_exec(Path(sys.executable).parent / words[0], *words[1:])
            assert await added.wait() == 0, "a receiver on this machine may be told"
            async with AsyncDesk(url, f"nrm_{token}") as desk:
                await counterpart.prepare(desk, "vac")
            await eventually("it is told", lambda: receiver.got)


def test_a_receiver_is_shown_how_to_open_the_letter() -> None:
    """An integrator at a receiver's side opens the letter, which has all that is about the person, before the answer."""
    case = new_ref()
    opens, answers, looks = (
        each for _, each in sandbox.commands("shelter", "http://127.0.0.1:1", "nrm_x", {"case": case})
    )

    assert f"/v1/inbox?case={case}&open=true&actor={counterpart.ACTOR}'" in opens
    assert "/v1/events?wait=20" in answers
    assert looks.endswith(f"/v1/cases/{case}'")


def test_nobody_answers_by_a_script_on_a_bus_that_is_no_sandbox(tmp_path: Path) -> None:
    """Given a folder with a bus of its own, the command refuses before anything runs."""
    BusFolder(tmp_path).create()

    done = CliRunner().invoke(sandbox.app, ["--data", str(tmp_path)])

    assert isinstance(done.exception, BusError)
    assert "no sandbox" in str(done.exception)


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("urgency=normal", True), ("urgency=emergency", False), ("services=legal", True), ("services=housing", False),
        ("child=false", True), ("mode=referral", False),
    ],
)  # fmt: skip
def test_a_referral_is_declined_by_a_member_of_its_data(rule: str, *, holds: bool) -> None:
    """The integrator chooses which referrals are declined."""
    declines = Declines.parse(rule)
    assert declines is not None
    assert declines.holds_for(REFERRAL) is holds


@pytest.mark.parametrize("rule", ["", "urgency", "urgency=", "nonsense=1"])
def test_a_rule_that_could_never_hold_is_refused(rule: str) -> None:
    """A misspelt member would let every referral be accepted."""
    assert Declines.parse(rule) is None
