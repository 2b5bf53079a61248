"""Who may import whom: the table of rooms. An arrow that turns round is found here, not in a review."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.tree import ROOT, files, lay

SERVICES = ROOT / "services" / "nrmbus"

AGENCIES = {"police", "shelter", "fund", "ngo"}
"""Rooms that hold one agency's own procedure; a new one is added here, and imports the desk and no other agency."""

READERS = {"auditor", "statistics", "coordinator"}

ROOMS: dict[str, set[str]] = {
    "events": set(),
    "telemetry": set(),
    "rules": {"events"},
    "wire": {"events"},
    "bus": {"wire", "telemetry"},
    "directory": {"bus"},
    "registrar": {"rules", "directory"},
    **{reader: {"rules", "directory"} for reader in READERS},
    "desk": {"rules", "directory"},
    "timekeeper": {"desk"},  # it speaks through a desk of its own: decision 0005
    **{agency: {"desk"} for agency in AGENCIES},
    "client": {"wire"},
    "published": {"desk", "registrar"},  # what partners read of all of them; no service imports it
    "host": {"registrar", "client"},
    "play": {"host", "auditor", "desk"},
}
"""A room may import the rooms of its row, and what those may import."""

EVERYTHING = {"cli"}
"""Room at the end of every arrow: it may import all others, and no room imports it."""

IMPURE_MODULES = {
    "aiokafka", "aiosqlite", "asyncio", "confluent_kafka", "fastapi", "faststream", "httpx", "logging", "os", "random",
    "requests", "secrets", "socket", "sqlalchemy", "sqlite3", "structlog", "subprocess", "tempfile", "threading", "time",
    "uvicorn",
}  # fmt: skip
IMPURE_CALLS = {"open", "print", "input", "uuid1", "uuid4"}
CLOCKS = {"now", "today", "utcnow"}


def allowed(room: str) -> set[str]:
    """The rooms that *room* may import: those of its row, theirs, and so on."""
    if room in EVERYTHING:
        return set(ROOMS) | EVERYTHING
    reached = {room}
    waiting = [room]
    while waiting:
        for other in ROOMS[waiting.pop()] - reached:
            reached.add(other)
            waiting.append(other)
    return reached


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and whole name of each module imported anywhere in *tree*, by statement or by importlib with a constant name."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(level=0, module=str(module), names=names):
                yield from ((node.lineno, f"{module}.{name.name}") for name in names)
            case ast.ImportFrom():
                yield node.lineno, "."
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
                yield node.lineno, name
            case ast.Call(func=ast.Name(id="import_module"), args=[ast.Constant(value=str(name)), *_]):
                yield node.lineno, name
            case _:
                pass


def wrong_arrows(services: Path) -> list[str]:
    """Each import under *services* (the folder of rooms) that the table does not allow, as ``path:line: what``."""
    wrong = []
    for path in files(services):
        if path.suffix != ".py":
            continue
        name = path.relative_to(services)
        room = name.parts[0] if len(name.parts) > 1 else ""
        if room and room not in ROOMS and room not in EVERYTHING:
            wrong.append(f"{name}:1: the room {room} has no row in the table of rooms")
            continue
        for line, module in imported(ast.parse(path.read_text(encoding="utf-8"))):
            own, _, rest = module.partition(".")
            other = rest.split(".")[0]
            if module == ".":
                wrong.append(f"{name}:{line}: a relative import hides its room")
            elif own != "nrmbus" or (services / f"{other}.py").exists():
                continue
            elif room == "" or other not in allowed(room):
                wrong.append(f"{name}:{line}: {room or 'the root'} may not import {other}")
    return wrong


def is_pure(name: Path) -> bool:
    """Whether the module *name* (below the folder of rooms) may have no clock, no chance, no input or output."""
    return (
        name.parts[0] in {"events", "rules"}
        or name == Path("desk/procedure/interface.py")
        or (name.parts[0] in AGENCIES and name.name == "procedure.py")
    )


def impurities(services: Path) -> list[str]:
    """Each import or call in a pure module that asks for time, chance or the outside world, as ``path:line: what``."""
    wrong = []
    for path in files(services):
        name = path.relative_to(services)
        if path.suffix != ".py" or not is_pure(name):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        wrong += [
            f"{name}:{line}: imports {module}"
            for line, module in imported(tree)
            if module.split(".")[0] in IMPURE_MODULES
        ]
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id=call)) if call in IMPURE_CALLS:
                    wrong.append(f"{name}:{node.lineno}: calls {call}")
                case ast.Call(func=ast.Attribute(attr=call)) if call in CLOCKS | IMPURE_CALLS:
                    wrong.append(f"{name}:{node.lineno}: calls {call}")
                case _:
                    pass
    return wrong


def test_every_import_follows_the_table_of_rooms() -> None:
    """What a room builds on is named in its row, so a newcomer knows what a change can reach."""
    assert wrong_arrows(SERVICES) == []


def test_no_agency_imports_another() -> None:
    """The police's code knows nothing of the shelter's: agencies meet in events only."""
    for agency in AGENCIES:
        assert allowed(agency) & AGENCIES == {agency}


def test_rules_events_and_procedures_are_pure() -> None:
    """The same case decides the same way today, in a replay ten years on, and on every machine."""
    assert impurities(SERVICES) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("police/procedure.py", "from nrmbus.shelter.procedure import offer"),
        ("events/case.py", "import nrmbus.rules"),
        ("rules/judge/judge.py", "def f():\n    from nrmbus import wire"),
        ("wire/json.py", "from nrmbus.bus.kafka.topics import apply"),
        ("bus/kafka/clients.py", "import importlib\nimportlib.import_module('nrmbus.desk.http.door')"),
        ("desk/http/door.py", "from nrmbus.play import player"),
        ("desk/store/ledger.py", "from .door import app"),
        ("client/door.py", "from nrmbus.desk import door"),
        ("gateway/app.py", "import os"),
        ("__init__.py", "from nrmbus.cli import main"),
    ],
)
def test_an_arrow_that_turns_round_is_found(tmp_path: Path, path: str, line: str) -> None:
    """Sabotage: each kind of import that the table forbids is named with its file."""
    lay(tmp_path, {path: line + "\n"})

    assert [found.partition(":")[0] for found in wrong_arrows(tmp_path)] == [path]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("rules/judge/judge.py", "import time"),
        ("rules/view.py", "from datetime import datetime, UTC\nx = datetime.now(UTC)"),
        ("events/model.py", "import datetime as dt\nx = dt.date.today()"),
        ("events/model.py", "import uuid\nx = uuid.uuid4()"),
        ("shelter/procedure.py", "from asyncio import sleep"),
        ("fund/procedure.py", "import structlog"),
        ("desk/procedure/interface.py", "import random"),
        ("rules/profile.py", "x = open('profile.yaml')"),
    ],
)
def test_a_clock_or_a_die_in_a_pure_room_is_found(tmp_path: Path, path: str, line: str) -> None:
    """Sabotage: a rule that asks for the time, for chance or for a file is named."""
    lay(tmp_path, {path: line + "\n", "desk/relay.py": "import asyncio, time\n"})

    assert [found.partition(":")[0] for found in impurities(tmp_path)] == [path]
