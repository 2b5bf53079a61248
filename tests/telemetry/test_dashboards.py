"""Dashboards show existing numbers of services, one screen each. The example collector passes only permitted keys."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource

import plain_yaml
from nrmbus.telemetry.allowed import SHAPES
from telemetry.test_alerts import DEPLOY, OF_PROMETHEUS, PROMTOOL, anchors, metrics_of, rules
from telemetry.test_metrics import ALL, OF_THE_PROCESS

DASHBOARDS = sorted((DEPLOY / "observability" / "dashboards").glob("*.json"))
WIDTH = 24
"""Columns of a dashboard's grid."""
ONE_SCREEN = 30
"""Rows of the grid that a large monitor shows."""


def panels(path: Path) -> list[dict[str, Any]]:
    """The panels of a dashboard."""
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["panels"]
    return found


def expressions(path: Path) -> Iterator[tuple[str, str]]:
    """Each panel's title with each of its expressions."""
    for panel in panels(path):
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def named() -> set[str]:
    """Every metric that a dashboard names."""
    return {name for path in DASHBOARDS for _, expression in expressions(path) for name in metrics_of(expression)}


def test_there_are_three() -> None:
    """One dashboard for the person on call, one for the bus, one for an agency; each with its own id."""
    boards = [json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS]

    assert [path.stem for path in DASHBOARDS] == ["agency", "bus", "woken"]
    assert len({each["uid"] for each in boards}) == len({each["title"] for each in boards}) == 3


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_number_is_one_that_a_service_shows(path: Path) -> None:
    """A panel over a name that nobody shows stays empty, and looks as if all was well."""
    for title, expression in expressions(path):
        found = metrics_of(expression)
        unknown = {each for each in found if each not in ALL | OF_PROMETHEUS and not each.startswith(OF_THE_PROCESS)}
        assert (bool(found), unknown) == (True, set()), title


def test_every_number_is_shown_somewhere() -> None:
    """Given all numbers that services show, then a person finds each on a dashboard or in an alert; the rest is for calculation."""
    beside = {name for name in ALL if name.endswith(("_sum", "_count"))} | {
        "nrmbus_service",
        "nrmbus_canary_interval_seconds",
    }

    alerts = {name for rule in rules() for name in metrics_of(str(rule["expr"]))}

    assert ALL - named() - alerts - beside == set()


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_do_not_overlap_and_ask_the_chosen_prometheus(path: Path) -> None:
    """A dashboard is imported as it is, into any Grafana."""
    taken: set[tuple[int, int]] = set()
    for panel in panels(path):
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= WIDTH, panel["title"]
        taken |= cells
        assert {each["datasource"]["uid"] for each in panel.get("targets", ())} <= {"${source}"}, panel["title"]
    assert max(y for _, y in taken) < (ONE_SCREEN if path.stem == "woken" else 60)


def test_the_first_screen_leads_to_the_runbook() -> None:
    """Given a red number, then the panel names the section of the runbook to follow."""
    page = anchors((DEPLOY / "RUNBOOK.md").read_text(encoding="utf-8"))
    said = [
        found[1] for each in panels(DASHBOARDS[-1]) if (found := re.search(r"Runbook: ([a-z ]+)", each["description"]))
    ]

    assert len(said) >= 12
    assert {each.strip().replace(" ", "-") for each in said} <= page


@pytest.mark.oracle
@pytest.mark.parametrize("promtool", PROMTOOL)
def test_prometheus_reads_every_expression(promtool: str, tmp_path: Path) -> None:
    """The oracle is Prometheus' own parser; Grafana's variables get a value before."""
    found = [
        expression.replace("$desk", "127.0.0.1:8004") for path in DASHBOARDS for _, expression in expressions(path)
    ]
    rules = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(found)]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    command = [promtool, "check", "rules", str(tmp_path / "rules.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_collector_lets_out_what_a_service_may_say_and_nothing_else() -> None:
    """P9: the example passes exactly the keys that a service sends; a collector would keep every other key too."""
    settings = plain_yaml.read((DEPLOY / "observability" / "collector.yaml").read_text(encoding="utf-8"))
    redaction = settings["processors"]["redaction"]

    assert redaction["allow_all_keys"] is False
    sent = {*SHAPES, "messaging.system", *Resource.create({"service.name": "x"}).attributes}
    assert set(redaction["allowed_keys"]) == sent - {"service.instance.id"}, (
        "a number of the process, which nobody needs"
    )
    for name, pipeline in settings["service"]["pipelines"].items():
        assert name == "traces", "metrics are read by Prometheus, and logs stay on their machine"
        assert pipeline["processors"].index("redaction") < pipeline["processors"].index("batch")
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) == set(settings[kind])
    assert settings["receivers"]["otlp"]["protocols"] == {"http": {"endpoint": "127.0.0.1:4318"}}
    assert settings["exporters"]["otlp"]["tls"].keys() == {"ca_file", "cert_file", "key_file"}
