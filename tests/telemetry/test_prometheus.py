"""A real Prometheus with the rules of `deploy/` reads a real bus: faults become alerts there.

Where no Prometheus is installed (Debian's package `prometheus`), the tests are skipped: they have no parameter then.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest

from nrmbus.bus.embedded import ports
from nrmbus.bus.folder import BusFolder
from patience import until
from telemetry.test_alerts import ALWAYS, DEPLOY, RULES, RUNBOOK, anchors
from telemetry.test_dashboards import DASHBOARDS, expressions
from telemetry.test_fired import frozen, given_bus, machine, publish  # noqa: F401 - two of them are fixtures

PROMETHEUS: Final = [found] if (found := shutil.which("prometheus")) else []
pytestmark = [pytest.mark.broker, pytest.mark.oracle, pytest.mark.slow]


class Watching(NamedTuple):
    """A running Prometheus: its address, and the address of the desk to read."""

    url: str
    desk: str

    def asked(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of *expression* now."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}).raise_for_status().json()
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are pending or fire."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/api/v1/alerts").raise_for_status().json()["data"]["alerts"]
        return found

    def names(self) -> set[tuple[str, str]]:
        """Return alert and job of each alert that fires."""
        return {
            (each["labels"]["alertname"], each["labels"].get("job", ""))
            for each in self.alerts()
            if each["state"] == "firing"
        }


@pytest.fixture(scope="module", name="watching", params=PROMETHEUS)
def _watching(
    request: pytest.FixtureRequest, bus: BusFolder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watching]:
    """Run Prometheus with the example of its settings, as `deploy/README.md` says; it looks every second, and no fault has to last."""
    place, (port,) = tmp_path_factory.mktemp("prometheus"), ports.free_ports(1)
    settings = (DEPLOY / "observability" / "prometheus.yaml").read_text(encoding="utf-8").replace("15s", "1s")
    desk, example = "", re.findall(r"job_name: nrmbus-(\w+)\n.*\n.*\n *- targets: \[\"(.+)\"\]", settings)
    assert len(example) == 5
    for job, target in example:
        home = bus.agency("special-unit").path if job == "desk" else bus.service(job)
        door = json.loads((home / "door.json").read_bytes())
        (place / f"{job}.token").write_text(door["token"])
        address = httpx.URL(door["url"]).netloc.decode()
        settings, desk = settings.replace(target, address), address if job == "desk" else desk
    (place / "prometheus.yaml").write_text(settings)
    (place / "alerts.yaml").write_text(re.sub(r"for: \w+", "for: 3s", RULES.read_text(encoding="utf-8")))
    command = [str(request.param), f"--config.file={place}/prometheus.yaml", f"--storage.tsdb.path={place}/data"]
    with (place / "log").open("wb") as log:
        running = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        watching = Watching(f"http://127.0.0.1:{port}", desk)
        until("it reads all services", lambda: _ready(watching))
        yield watching
    finally:
        running.terminate()
        running.wait(30)


def _ready(watching: Watching) -> bool:
    try:
        return len(watching.asked("up == 1")) == 5
    except httpx.HTTPError:
        return False


def test_the_watchdog_alone_fires_on_a_bus_that_is_well(watching: Watching) -> None:
    """Given a healthy bus, then the watchdog is the only alert."""
    until("only the watchdog fires", lambda: watching.names() == {(ALWAYS, "")})


def test_every_panel_has_a_series(bus: BusFolder, watching: Watching) -> None:
    """Given one event that was handed over, then Prometheus answers each query of the dashboards with a series; only refusals have none."""
    assert publish(bus)["verdict"] == "registered"

    def empty() -> set[str]:
        return {
            title
            for path in DASHBOARDS
            for title, expression in expressions(path)
            if not watching.asked(expression.replace("$desk", watching.desk))
        }

    until("every panel has a series", lambda: empty() == {"Refusals a day, by code"})


@pytest.mark.parametrize(
    ("service", "fired"),
    [
        ("special-unit", {("NrmbusServiceAway", "nrmbus-desk")}),
        ("canary", {("NrmbusServiceAway", "nrmbus-canary"), ("NrmbusCanaryAway", "")}),
    ],
)
def test_a_service_that_hangs_fires_its_alerts(
    bus: BusFolder, watching: Watching, service: str, fired: set[tuple[str, str]]
) -> None:
    """Given a process that stands still, then its alerts fire and name existing sections of the runbook.

    The alerts end when the process goes on.
    """
    with frozen(bus, service):
        until("they fire", lambda: watching.names() == {(ALWAYS, ""), *fired})
        page = anchors((DEPLOY / Path(RUNBOOK).name).read_text(encoding="utf-8"))
        named = [each["annotations"]["runbook"].split("#") for each in watching.alerts()]
        assert all(file == RUNBOOK and anchor in page for file, anchor in named)
    until("they end", lambda: watching.names() == {(ALWAYS, "")})
