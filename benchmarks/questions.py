"""Questions of an auditor: from the key press, or from the request of a page, until the answer is there.

A closed bus as its operator starts it, with the desks of `whole`, and a history of some cases.
A command counts from the start of its process to its end. Every question is registered before it is answered, also the
page: each page is that of another case, since a session's second question about a case is not recorded again.
"""

import asyncio
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import pyotp
from throughput import PATIENCE_SECONDS
from whole import DESKS, FROM, SIGNAL, until_ready

from nrmbus.auditor.web.users import Users
from nrmbus.bus.folder import BusFolder
from nrmbus.client.door import Door
from nrmbus.directory.admission import Newcomer
from nrmbus.host.supervisor import Supervisor
from nrmbus.wire import ids

TIMES: Final = 10
"""Questions of each kind; the median is shown."""
CASES: Final = 10
"""Cases of the history, each with one signal, its letter's receipt, and what procedures add."""
_PASSWORD: Final = "a long example password"  # noqa: S105 - of a bus that lives for a minute


class Questions(NamedTuple):
    """Milliseconds of each question, by kind, and the registrations of the history before the first one."""

    took: dict[str, list[float]]
    registrations: int


def questions(home: Path) -> Questions:
    """Ask each kind of question `TIMES` times on a fresh bus."""
    folder = BusFolder(home)
    folder.create(partitions=1)
    with Supervisor(folder, agencies={name: Newcomer(role) for name, role in DESKS.items()}):
        asyncio.run(until_ready(folder, ["registrar", "timekeeper", "auditor", *DESKS]))
        cases = asyncio.run(history(folder))
        asked(folder, "replay")  # the first question has the auditor read its history
        registrations = int(asked(folder, "replay").partition("Verified: ")[2].split()[0])
        took: dict[str, list[float]] = {}
        for kind, named in (("replay", ()), ("why", ("case.signal_recorded",)), ("reads", ())):
            took[f"`nrmbus {kind}`"] = [timed(partial(asked, folder, kind, *named, "--case", case)) for case in cases]
        with page_of(folder) as page:
            took["the auditor's page of a case"] = [timed(partial(page, case)) for case in cases]
    return Questions(took, registrations)


async def history(folder: BusFolder) -> list[str]:
    """Publish a signal of each of `CASES` cases; return as many of the cases as are asked about."""
    cases = [ids.new_ref() for _ in range(CASES)]
    async with Door.of(folder.agency(FROM).path) as door:
        for case in cases:
            answer = await door.publish({**SIGNAL, "case": case, "actor": "S-1"}, wait=20)
            assert answer["verdict"] == "registered", answer
    return cases[:TIMES]


def asked(folder: BusFolder, *command: str) -> str:
    """Run ``nrmbus`` with *command* as a person does, in a process of its own; return what it printed."""
    program = Path(sys.executable).with_name("nrmbus")
    done = subprocess.run([program, *command, "--data", folder.path], check=True, capture_output=True, text=True)
    assert "Recorded as number" in done.stderr, done.stderr
    return done.stdout


@contextmanager
def page_of(folder: BusFolder) -> Iterator[Callable[[str], None]]:
    """Sign in at the auditor's page, and yield a function that asks for the page of a case."""
    home = folder.service("auditor")
    Users(home).add("leyla", _PASSWORD)
    url = json.loads((home / "door.json").read_bytes())["url"]
    headers = {"accept-language": "en"}
    with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=PATIENCE_SECONDS) as browser:
        form = {"name": "leyla", "password": _PASSWORD, "purpose": "audit", "back": "/search"}
        browser.post("/sign-in", data=form)
        key = re.search(r'class="nrm-code">([A-Z2-7 ]+)<', browser.get("/sign-in/code").text)
        assert key, "the page shows the key for the person's app"
        code = pyotp.TOTP(key[1].replace(" ", "")).now()
        assert browser.post("/sign-in/code", data={"code": code}).headers["location"] == "/search"

        def page(case: str) -> None:
            shown = browser.get(f"/cases/{case}")
            assert shown.status_code == HTTPStatus.OK, shown.status_code
            assert "recorded before it was answered" in shown.text, "the page of the case, and not the one to sign in"

        yield page


def timed(ask: Callable[[], object]) -> float:
    """Return the milliseconds that *ask* takes."""
    started = time.perf_counter()
    ask()
    return (time.perf_counter() - started) * 1000


def lines(found: Questions) -> list[str]:
    """Return the table *A question of the auditor*."""
    return [
        "| a question of the auditor, until its answer | p50, ms | lowest – highest | aim |",
        "| --- | --- | --- | --- |",
        *(
            f"| {kind} | {statistics.median(took):.0f} | {min(took):.0f} – {max(took):.0f} | < 500 |"
            for kind, took in found.took.items()
        ),
    ]
