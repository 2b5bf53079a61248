"""Every example of the SDK's page runs against a real desk, as an integrator would copy it."""

import asyncio
import hmac
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from client.given import in_process
from contract.tree import ROOT
from desk.given import TOKEN
from nrmbus.client import new_ref
from nrmbus.wire import base64

PAGE = (ROOT / "services" / "nrmbus" / "client" / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


async def printed(program: str, door: Path, *, ended_after: bytes | None = None) -> str:
    """Return the output of *program* with the desk named by the file *door*; the exit status must be 0.

    A program that goes on gets SIGTERM *ended_after* this line.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-W", "error", "-c", program, env={**os.environ, "NRMBUS_DOOR": str(door)}, cwd=door.parent,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    line = b""
    if ended_after is not None:
        while (line := await process.stdout.readline()) not in (ended_after, b""):
            pass
        if line:
            process.terminate()
    text = line + (await process.communicate())[0]
    assert process.returncode == 0, text.decode()
    return text.decode()


@pytest.mark.slow
@pytest.mark.thorough
async def test_the_examples_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    """Given a desk with one person's case, then the first example publishes and the second reads the report.

    The third example handles the report once, and the page's test passes.
    """
    publishes, follows, handles, _, tests = EXAMPLES
    door = tmp_path / "door.json"
    async with in_process(tmp_path) as place:
        door.write_text(json.dumps({"url": place.url, "token": TOKEN}))
        await place.tell(case := new_ref())

        assert re.fullmatch(r"registered as number \d+, case [0-9a-f]{32}\n", await printed(publishes, door))
        assert re.fullmatch(rf"ngo-a {case} emergency 25-34\ngo on from \d+-[0-9a-f]+\n", await printed(follows, door))
        assert await printed(tests, door) == ""
        assert await printed(handles, door, ended_after=b"emergency 25-34\n") == "emergency 25-34\n"
        assert await printed(handles.replace("dead_letter=bury", "follow=False"), door) == ""


def test_the_receiver_of_the_page_deals_with_a_notice_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Given a request of the desk, when it comes twice, then the example prints it once; a foreign request gets 400."""
    room: dict[str, Any] = {}
    exec(EXAMPLES[3], room)  # noqa: S102 - the page's own example
    body = b'{"type":"nrmbus.event.refused","timestamp":"2026-03-02T05:00:00Z","data":{"id":"1","link":"/v1/events/1"}}'
    stamp = str(int(time.time()))
    secret = base64.decode(room["KEYS"][0].removeprefix("whsec_"), "unreadable")
    signature = hmac.digest(secret, f"msg_1.{stamp}.".encode() + body, "sha256")
    headers = {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": f"v1,{base64.encode(signature)}"}
    done = set[str]()

    assert [room["receive"](headers, body, done) for _ in range(2)] == [204, 204]
    assert room["receive"](headers, body + b" ", done) == 400
    assert capsys.readouterr().out == "nrmbus.event.refused /v1/events/1\n"


def test_the_examples_of_the_page_have_types(tmp_path: Path) -> None:
    """Given an integrator who checks types strictly, then every example passes: the package includes its types."""
    files = [tmp_path / f"example_{number}.py" for number in range(len(EXAMPLES))]
    for file, text in zip(files, EXAMPLES, strict=True):
        file.write_text(text)
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from nrmbus.client import Desk\n\nwith Desk.of() as desk:\n    desk.verdict(7)\n")
    check = [sys.executable, "-m", "mypy", *map(str, files), str(wrong)]
    said = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False).stdout

    assert said.count("error:") == 1, said
    assert "wrong.py:4: error: Argument 1" in said
