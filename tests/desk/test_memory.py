"""A desk loads what it needs, and no more: a machine may run several."""

import subprocess
import sys

import pytest

LATER = (
    "aiosmtplib",
    "argon2",
    "authlib",
    "babel",
    "holidays",
    "httpx",
    "jinja2",
    "pyotp",
    "rich",
    "typer",
    "webauthn",
)
"""Packages of pages, of the page of the door's document, of webhooks, of mail and of commands: loaded when somebody uses them."""
_LOADED = "import sys\nimport {}\nprint(*sorted({!r} & sys.modules.keys()))"


def loaded(module: str) -> list[str]:
    """Return which of `LATER` a process has after it has imported *module*."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED.format(module, set(LATER))], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.thorough
def test_a_desk_without_people_and_endpoints_loads_nothing_for_them() -> None:
    """Given a desk whose agency works through its own system, when it starts, then it has no package of pages or webhooks."""
    assert loaded("nrmbus.desk.app") == []


@pytest.mark.slow
@pytest.mark.thorough
def test_a_desk_that_a_command_runs_has_no_more_of_the_command_than_typer() -> None:
    """Given `nrmbus run AGENCY`, whose process becomes the desk, then it carries no progress bars and no client for months."""
    assert loaded("nrmbus.cli.operate.run, nrmbus.desk.app") == ["typer"]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("nrmbus.desk.http.page", "jinja2"),
        ("nrmbus.desk.webhooks.sender", "httpx"),
        ("nrmbus.rules.handbook.holidays", "holidays"),
        ("structlog", "rich"),  # when this fails, `telemetry/plain_structlog.py` may go
    ],
)
def test_a_package_that_is_loaded_is_seen(module: str, package: str) -> None:
    """Sabotage: the modules that need a package do load it."""
    assert package in loaded(module)
