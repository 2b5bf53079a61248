"""Allowed imports: the table of rooms. An arrow that turns round is found here, not in a review."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from contract.tree import ROOT, files, lay

SERVICES = ROOT / "services" / "nrmbus"

AGENCIES = {
    "police",
    "shelter",
    "fund",
    "ngo",
    "migration",
    "consulate",
    "organisation",
    "centre",
    "hotline",
    "inspection",
    "public_services",
    "justice",
    "guardianship",
}
"""Rooms with one agency's own procedure; a new room is added here, and imports the desk and no other agency."""

READERS = {"coordinator"}

ROOMS: dict[str, set[str]] = {
    "events": set(),
    "telemetry": set(),
    "rules": {"events"},
    "wire": {"events"},
    "bus": {"wire", "telemetry"},
    "directory": {"bus"},
    "registrar": {"rules", "directory"},
    "canary": {"directory"},
    **{reader: {"statistics", "rules", "directory"} for reader in READERS},
    "intake": {"bus"},  # what the public page and the hotline's desk share, and no more
    "public": {"intake", "web"},  # it is given no key, and asks the broker nothing
    "edge": {"wire", "web"},  # adapters that know the door's HTTP API and nothing behind it; of the pages, their words
    "web": {"events", "telemetry"},  # what all pages share
    "auditor": {"rules", "directory", "web"},
    "desk": {"rules", "directory", "edge", "intake", "web"},
    "timekeeper": {"desk"},  # it speaks through a desk of its own: decision 0005
    "statistics": {"desk"},  # so does it
    **{agency: {"desk"} for agency in AGENCIES},
    "client": {"wire"},
    "backup": {"directory"},
    "published": {"desk", "registrar"},  # what partners read of all of them; no service imports it
    "host": {"registrar", "client"},
    "play": {"host", "auditor", "desk", "statistics", "timekeeper"},
}
"""Allowed imports: a room may import the rooms of its row and, in turn, theirs."""

MODULES: dict[str, set[str]] = {
    # The fake reads a request by the desk's own code, so that it refuses what a desk refuses.
    "client/testing.py": {"desk"},
    "client/fake_questions.py": {"desk"},
}
"""Allowed imports of one module beyond its room's row."""

EVERYTHING = {"cli"}
"""Room at the end of every arrow: it may import all others, and no room imports it."""

FLOORS: dict[str, tuple[str, ...]] = {
    "desk": (
        "broker_clock errors procedure",
        "store versions",
        "state",
        "intake keys letters looking witness",
        "outbox",
        "desk",
        "duties erasure holding staff webhooks",
        "access",
        "http inbox relay",
        "web",
        "own_settings waiting",
        "process",
        "app",
    ),
    "auditor": ("elsewhere errors history", "log", "evidence reports", "web", "app"),
    "cli": (
        "counted",
        "actor commands expected health hosts local_door options release_file shown",
        "desk membership",
        "operate",
        "audit",
        "app",
        "__init__",
    ),
    "wire": (
        "disk errors ids names times",
        "base64 json record",
        "keys material",
        "dsse letter log",
        "transaction",
        "statement",
        "envelope registration",
        "history",
        "committed",
    ),
}
"""Folders and files of a wide room, lowest floor first: each may import what is on a lower floor, and nothing of its own."""

IMPURE_MODULES = {
    "aiokafka", "asyncio", "confluent_kafka", "fastapi", "faststream", "httpx", "logging", "os", "random",
    "requests", "secrets", "socket", "sqlalchemy", "sqlite3", "structlog", "subprocess", "tempfile", "threading", "time",
    "uvicorn",
}  # fmt: skip
IMPURE_CALLS = {"open", "print", "input", "uuid1", "uuid4"}
CLOCKS = {"now", "today", "utcnow"}


def allowed(room: str) -> set[str]:
    """Return the rooms that *room* may import, directly or through other rooms."""
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


@cache
def imports_of(path: Path) -> tuple[tuple[int, str], ...]:
    """Return the same of the file *path*; three tests ask, and to read all files takes a second."""
    return tuple(imported(ast.parse(path.read_text(encoding="utf-8"))))


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
        for line, module in imports_of(path):
            own, _, rest = module.partition(".")
            other = rest.split(".")[0]
            if module == ".":
                wrong.append(f"{name}:{line}: a relative import hides its room")
            elif own != "nrmbus" or (services / f"{other}.py").exists():
                continue
            elif room == "" or other not in allowed(room) | MODULES.get(name.as_posix(), set()):
                wrong.append(f"{name}:{line}: {room or 'the root'} may not import {other}")
    return wrong


def place(name: Path) -> str:
    """Return the folder or file, directly inside its room, that the module *name* (below the folder of rooms) belongs to."""
    return name.parts[1].removesuffix(".py")


def arrows(services: Path, room: str) -> Iterator[tuple[Path, int, str, str]]:
    """Yield each import from one place inside *room* to another: module, line, from where, to where."""
    modules = [path for path in files(services / room) if path.suffix == ".py"]
    places = {place(path.relative_to(services)) for path in modules}
    for path in modules:
        name = path.relative_to(services)
        for line, module in imports_of(path):
            parts = module.split(".")
            if parts[:2] == ["nrmbus", room]:
                other = parts[2] if len(parts) > 2 and parts[2] in places else "__init__"
                if other != place(name):
                    yield name, line, place(name), other


def uphill(services: Path) -> list[str]:
    """Return each import inside a wide room that does not lead to a lower floor, and each place without a floor."""
    wrong = []
    for room, floors in FLOORS.items():
        height = {each: number for number, floor in enumerate(floors) for each in floor.split()}
        height.setdefault("__init__", 0)
        places = {place(path.relative_to(services)) for path in files(services / room) if path.suffix == ".py"}
        wrong += [f"{room}/{each}: has no floor in the table of floors" for each in sorted(places - set(height))]
        wrong += [
            f"{name}:{line}: {below} may not import {above}"
            for name, line, below, above in arrows(services, room)
            if below in height and height.get(above, 0) >= height[below]
        ]
    return wrong


def circles(services: Path) -> list[str]:
    """Return each room whose places import one another in a circle, with those places, as ``room: a, b``."""
    found = []
    for room in sorted({path.relative_to(services).parts[0] for path in files(services) if path.parent != services}):
        left: dict[str, set[str]] = {}
        for _, _, below, above in arrows(services, room):
            left.setdefault(below, set()).add(above)
            left.setdefault(above, set())
        while bottom := {each for each, others in left.items() if not others & set(left)}:
            left = {each: others for each, others in left.items() if each not in bottom}
        while top := set(left) - {other for others in left.values() for other in others}:
            left = {each: others for each, others in left.items() if each not in top}
        if left:
            found.append(f"{room}: {', '.join(sorted(left))}")
    return found


def is_pure(name: Path) -> bool:
    """Return whether the module *name* (below the folder of rooms) must be free of clock, chance, input and output."""
    return (
        name.parts[0] in {"events", "rules"}
        or (
            name.parent == Path("desk/procedure")
            and name.name in {"interface.py", "shared.py", "handoffs.py", "first_contact.py"}
        )
        or (name.parts[0] == "edge" and name.name == "mapping.py")
        or (len(name.parts) == 2 and name.name == "procedure.py")
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


@pytest.mark.thorough
def test_every_import_follows_the_table_of_rooms() -> None:
    """Every import is allowed by the room's row, so a newcomer knows how far a change can reach."""
    assert wrong_arrows(SERVICES) == []


@pytest.mark.thorough
def test_inside_a_wide_room_imports_lead_downhill() -> None:
    """A newcomer who reads a room from its lowest floor up needs no file of a higher floor."""
    assert uphill(SERVICES) == []


@pytest.mark.thorough
def test_no_room_has_a_circle_inside() -> None:
    """Files in an import circle can be understood and tested only together."""
    assert circles(SERVICES) == []


def test_only_the_command_line_imports_the_tools_for_partners() -> None:
    """Services carry no schemas, golden records or generators."""
    assert [room for room in ROOMS if room != "published" and "published" in allowed(room)] == []


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
        ("host/supervisor.py", "from nrmbus.cli.options import Bus"),
        ("host/spawn.py", "from nrmbus.play import chaos"),
        ("play/bus.py", "from nrmbus.cli.app import app"),
        ("play/bus.py", "from nrmbus.published import golden"),
        ("desk/versions.py", "from nrmbus.published.gate import findings"),
    ],
)
def test_a_tool_that_a_service_imports_is_found(tmp_path: Path, path: str, line: str) -> None:
    """Sabotage: what runs a bus imports neither commands nor plays, and only commands import tools for partners."""
    lay(tmp_path, {path: line + "\n"})

    assert [found.partition(":")[0] for found in wrong_arrows(tmp_path)] == [path]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("desk/store/ledger.py", "from nrmbus.desk.http.door import application"),
        ("desk/state/book.py", "from nrmbus.desk.outbox import queue"),
        ("desk/inbox/verify.py", "def f():\n    from nrmbus.desk.http import door"),
        ("desk/errors.py", "import nrmbus.desk.app"),
        ("auditor/log/tree.py", "from nrmbus.auditor.web.users import Users"),
        ("auditor/evidence/file.py", "from nrmbus.auditor.reports import why"),
        ("cli/options.py", "from nrmbus.cli import main"),
        ("cli/desk/inbox.py", "from nrmbus.cli.audit.replay import verified"),
        ("wire/keys/keys.py", "from nrmbus.wire.letter import Letter"),
    ],
)
def test_an_import_that_leads_uphill_is_found(tmp_path: Path, path: str, line: str) -> None:
    """Sabotage: an import of a higher floor, or of one's own, is named with its file."""
    others = dict.fromkeys(
        ("desk/http/door.py", "desk/outbox/queue.py", "desk/app.py", "auditor/web/users.py", "auditor/reports/why.py",
         "cli/__init__.py", "cli/audit/replay.py", "wire/letter.py"),
        "",
    )  # fmt: skip
    lay(tmp_path, others | {path: line + "\n"})

    assert [found.partition(":")[0] for found in uphill(tmp_path)] == [path]


def test_a_place_without_a_floor_is_found(tmp_path: Path) -> None:
    """Sabotage: a new folder or file of a wide room is named until somebody decides what it may import."""
    lay(tmp_path, {"desk/gateway/app.py": "", "auditor/figures.py": "", "registrar/figures.py": ""})

    assert [found.partition(":")[0] for found in uphill(tmp_path)] == ["desk/gateway", "auditor/figures"]


def test_a_circle_is_found(tmp_path: Path) -> None:
    """Sabotage: three places in a circle are named, and nothing that only leads there or comes from there."""
    lay(
        tmp_path,
        {
            "registrar/app.py": "from nrmbus.registrar.owner import Owner\n",
            "registrar/owner.py": "from nrmbus.registrar.shard import Shard\n",
            "registrar/shard.py": "from nrmbus.registrar.batch import Batch\n",
            "registrar/batch.py": "import nrmbus.registrar.owner\nimport nrmbus.registrar.records\n",
            "registrar/records.py": "",
            "wire/json.py": "from nrmbus.wire import base64\n",
            "wire/base64.py": "",
        },
    )

    assert circles(tmp_path) == ["registrar: batch, owner, shard"]


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
        ("edge/cloud_events/mapping.py", "import httpx"),
    ],
)
def test_a_clock_or_a_die_in_a_pure_room_is_found(tmp_path: Path, path: str, line: str) -> None:
    """Sabotage: a rule that asks for the time, for chance or for a file is named."""
    lay(tmp_path, {path: line + "\n", "desk/relay.py": "import asyncio, time\n"})

    assert [found.partition(":")[0] for found in impurities(tmp_path)] == [path]
