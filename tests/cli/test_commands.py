"""The command line: quick, with examples; an error is one sentence with the command that helps."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from confluent_kafka.admin import NewTopic
from typer.testing import CliRunner

from brokers import Broker
from nrmbus import cli
from nrmbus.bus.clock import BEFORE_ANY_TICK
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.private_files import write_private
from nrmbus.cli.app import COMMANDS, loaded
from nrmbus.cli.commands import Commands
from nrmbus.directory.admission import Newcomer, admit
from typed import every, run, typed


def nrmbus(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    argv = [sys.executable, "-c", "from nrmbus.cli import main; main()", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def test_help_imports_nothing_heavy() -> None:
    """Without heavy imports help is quick, and this test needs no clock."""
    program = (
        "import sys; sys.argv = ['nrmbus', '--help']\n"
        "from nrmbus.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr.split()

    assert not {"aiokafka", "confluent_kafka", "cryptography", "fastapi", "faststream", "pydantic", "sqlalchemy"} & set(
        loaded
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_has_every_command_with_each_of_its_parts(name: str) -> None:
    """The page of the room says of every command what the command does."""
    page = (Path(cli.__file__).parent / "README.md").read_text(encoding="utf-8")
    cells = [line.partition(" | ")[0] for line in page.splitlines() if line.startswith("| `nrmbus ")]
    said = " ".join(cell for cell in cells if re.search(rf"`nrmbus {name}\b", cell))
    parts = getattr(loaded(name), "commands", {})

    assert said
    assert {each for each in parts if not re.search(rf"[ |`]{each}\b", said)} == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_about_a_command_begins_its_own_help(name: str) -> None:
    """The table that lets `nrmbus --help` import no command agrees with the command's module, in its name too."""
    command = loaded(name)

    assert (command.name, command.help.partition("\n\n")[0]) == (name, COMMANDS[name].help)


def test_a_command_that_is_called_imports_no_other() -> None:
    """Each command waits for its own imports only."""
    program = "import sys; from nrmbus.cli.app import loaded; loaded('verify'); print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert "nrmbus.cli.audit.verify" in imported.split()
    assert not {"nrmbus.cli.operate.up", "nrmbus.cli.membership.agency", "fastapi"} & set(imported.split())


@pytest.mark.parametrize("name", ["replay", "why", "reads"])
def test_a_question_that_the_auditor_answers_imports_nothing_heavy(name: str) -> None:
    """The auditor has read, verified and folded the history already; its answer takes less time than these imports."""
    program = f"import sys; from nrmbus.cli.app import loaded; loaded('{name}'); print(*sys.modules)"
    imported = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()

    assert f"nrmbus.cli.audit.{name}" in imported
    heavy = {"aiokafka", "asyncio", "cryptography", "httpx", "opentelemetry", "pydantic", "structlog", "yaml"}
    assert not heavy & set(imported)
    assert "nrmbus.rules" not in imported


def test_an_unknown_command_is_refused_with_the_nearest_one() -> None:
    """The suggestion works although the commands are not loaded yet."""
    done = run("replya")

    assert done.returncode == 2
    assert "Did you mean 'replay', 'play'?" in " ".join(done.stderr.split())


@pytest.mark.parametrize("command", ["check", "apply"])
def test_a_directory_that_is_not_believed_is_one_sentence(tmp_path: Path, command: str) -> None:
    """Given an operator's public key that cannot be read, then the command says so, and prints no code."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="127.0.0.1:1", tls=True)
    write_private(folder.keys / "operator.pub", b"x")
    done = run("topics", command, "--data", tmp_path)

    assert done.returncode == 1
    assert done.stderr.startswith("nrmbus: operator_key_malformed: ")
    assert done.stderr.count("\n") == 1


@dataclass(frozen=True)
class Colour:
    """Options of a command below."""

    colour: Annotated[str, typer.Option("--colour", help="A colour.")] = "red"
    bright: Annotated[bool, typer.Option("--bright", help="More of it.")] = False


def test_a_command_has_the_options_of_a_dataclass_it_takes() -> None:
    """The options stand for the parameter; the command receives one object."""
    app = Commands("paint", "Paints.")
    painted: list[object] = []

    @app.register(example="paint wall house --colour blue")
    def wall(what: str, *, context: Colour, twice: bool = False) -> None:
        """Paint a wall."""
        painted.append((what, context, twice))

    @app.register(example="paint nothing")
    def nothing() -> None:
        """Paint nothing."""

    runner = CliRunner()
    shown = " ".join(runner.invoke(app, ["wall", "--help"]).output.split())
    assert runner.invoke(app, ["wall", "house", "--bright", "--colour", "blue"]).exit_code == 0
    wall("house", colour="green", twice=True)

    assert shown.index("--colour") < shown.index("--bright") < shown.index("--twice")
    assert painted == [("house", Colour("blue", bright=True), False), ("house", Colour("green"), True)]


@pytest.mark.thorough
@pytest.mark.parametrize("command", every(), ids=" ".join)
def test_every_help_has_an_example(command: tuple[str, ...]) -> None:
    """The example can be typed as printed."""
    shown = typed(*command, "--help").stdout

    assert f"Example: nrmbus {' '.join(command)}" in " ".join(shown.split())


def test_every_command_is_among_them() -> None:
    """Commands of a group are included."""
    assert {("up",), ("agency", "admit"), ("admitter", "sign"), ("retention", "due")} <= set(every())


@pytest.mark.parametrize("arguments", [["run", "registrar"], ["topics", "check"], ["topics", "apply"]], ids=" ".join)
def test_an_error_is_one_sentence(tmp_path: Path, arguments: list[str]) -> None:
    """An error has no traceback: a sentence says what happened and names the remedy. The exit status is 1."""
    done = run(*arguments, "--data", tmp_path)

    assert done.returncode == 1
    assert done.stderr == (
        f"nrmbus: No bus was made in {tmp_path}: nrmbus up --data '{tmp_path}', or nrmbus join for another machine's.\n"
    )


def test_a_misspelt_topic_file_names_its_line(tmp_path: Path) -> None:
    """The line is named on standard error, with exit status 1."""
    (tmp_path / "cases.yaml").write_text("topic: nrm.cases\nretension: forever\n")

    done = run("topics", "docs", "--topics", tmp_path)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("nrmbus: cases.yaml, line 2: retension is no key of a topic file")


def test_the_readme_of_the_topics_has_their_table() -> None:
    """``nrmbus topics docs`` wrote it, and it is up to date."""
    readme = Path(__file__).parents[2] / "deploy" / "topics" / "README.md"

    assert run("topics", "docs").stdout in readme.read_text(encoding="utf-8")


@pytest.fixture
def bus(broker: Broker) -> BusFolder:
    """Return a bus with one agency."""
    folder = broker.fresh_bus()
    asyncio.run(admit(folder, {"ngo-a": Newcomer("ngo_outreach")}, BEFORE_ANY_TICK))
    return folder


@pytest.mark.broker
def test_topics_of_a_bus_can_be_checked_and_mended(bus: BusFolder) -> None:
    """check prints the drift and exits 1; apply mends it; check is silent and exits 0."""
    assert (run("topics", "check", "--data", bus.path).returncode) == 0
    admin = clients.admin(bus.bootstrap)
    admin.delete_topics(["nrm.inbox.ngo-a"])["nrm.inbox.ngo-a"].result(10)

    drift = run("topics", "check", "--data", bus.path)
    assert drift.returncode == 1
    assert drift.stdout == "nrm.inbox.ngo-a is declared, and not on the broker: nrmbus topics apply\n"

    for _ in range(2):
        assert run("topics", "apply", "--data", bus.path).returncode == 0
    assert (run("topics", "check", "--data", bus.path)).stdout == ""


@pytest.mark.broker
def test_a_stray_topic_is_reported_and_left(bus: BusFolder) -> None:
    """apply leaves it, and has done its work all the same."""
    admin = clients.admin(bus.bootstrap)
    admin.create_topics([NewTopic("nrm.inbox.closed", 1, 1)])["nrm.inbox.closed"].result(10)

    assert run("topics", "check", "--data", bus.path).returncode == 1
    applied = run("topics", "apply", "--data", bus.path)
    assert applied.returncode == 0
    assert applied.stdout.startswith("nrm.inbox.closed is on the broker, and no agency here or file asks for it")
    assert "nrm.inbox.closed" in admin.list_topics(timeout=5).topics


@pytest.mark.parametrize("is_cause", [True, False], ids=["cause", "context"])
def test_an_interrupt_while_the_loop_closes_ends_a_command_alike(
    is_cause: bool,  # noqa: FBT001 - a row of the table
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given a second Ctrl-C, on which the closing of the loop fails, then the command ends as after the first: 130, no word."""

    def command() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            try:
                raise RuntimeError("Cannot close a running event loop") from (error if is_cause else None)
            except RuntimeError as failed:
                raise OSError("the loop is lost") from failed

    monkeypatch.setattr("nrmbus.cli.app.app", command)
    done = run("status")

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_an_interrupted_command_leaves_no_word_of_asyncio() -> None:
    """Given what asyncio could close no more after a second Ctrl-C, then the command prints no warning about it."""
    program = (
        "import asyncio\n"
        "from nrmbus import cli\n"
        "from nrmbus.cli import app\n"
        "async def asked(): pass\n"
        "def closing(coroutine): raise KeyboardInterrupt\n"
        "app.app = lambda: closing(asked())\n"
        "cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_text_that_the_terminal_lacks_is_printed_escaped() -> None:
    """Given a terminal in Windows-1251, when a command prints an Azerbaijani letter, then the rest of the text is printed too."""
    program = "import typer\nfrom nrmbus import cli\nfrom nrmbus.cli import app\napp.app = lambda: typer.echo('Имя: Ləman')\ncli.main()"
    terminal = {**os.environ, "PYTHONIOENCODING": "cp1251"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=terminal, check=False)

    assert (done.returncode, done.stdout.decode("cp1251"), done.stderr) == (0, "Имя: L\\u0259man\n", b"")


@pytest.mark.parametrize(
    "command",
    [lambda: os.fsdecode("Лейла".encode("cp1251")).encode(), lambda: "пароль".encode("cp1251").decode()],
    ids=["a name that is sent", "a password that is read"],
)
def test_text_in_another_encoding_ends_in_one_sentence(
    command: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a text typed in Windows-1251, when the command needs it as UTF-8, then the command says what to set, and no more."""
    monkeypatch.setattr("nrmbus.cli.app.app", command)
    done = run("staff")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("nrmbus: A name or a text that was given is not UTF-8: set the terminal to UTF-8")
    assert done.stderr.count("\n") == 1
