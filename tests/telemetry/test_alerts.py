"""Alert rules name metrics that exist and runbook sections that exist, and fire by their fault alone."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

import go_tools
import plain_yaml
from contract.tree import ROOT
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.operate import folder_faults, status
from nrmbus.cli.operate.faults import OFTEN, OFTEN_WITHIN
from telemetry.test_metrics import ALL

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "observability" / "alerts.yaml"
RUNBOOK = "deploy/RUNBOOK.md"
OF_PROMETHEUS = {"up", "process_start_time_seconds"}
"""Metrics that Prometheus and its library make."""
ALWAYS: Final = "NrmbusWatchdog"
"""The alert that fires on every bus: its absence tells a watcher elsewhere of a fault."""
PROMTOOL: Final = go_tools.found("promtool")


def rules() -> list[dict[str, Any]]:
    """Every rule of the file."""
    return [rule for group in plain_yaml.read(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as a forge makes them."""
    return {
        re.sub(r"[^a-z0-9 -]", "", each.lower()).strip().replace(" ", "-")
        for each in re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    }


def metrics_of(expression: str) -> set[str]:
    """The names of metrics in an expression: neither functions nor words, and nothing within braces or brackets."""
    grouped = r"\b(?:by|without|on|ignoring)\s*\([^)]*\)"
    bare = re.sub(rf"\{{[^}}]*\}}|\[[^\]]*\]|{grouped}", "", expression)
    return set(re.findall(r"\b[a-z_]{2,}\b(?!\s*\()", bare)) - {"or", "and", "unless"}


def fires(alert: str, shown: Mapping[str, float]) -> bool:
    """Return whether the expression of *alert* holds for what a service shows now; for how long it must hold is left out.

    Comparisons and arithmetic over numbers without labels read the same in Python. A number that is not shown makes no alert.
    """
    (rule,) = (each for each in rules() if each["alert"] == alert)
    bare = re.sub(r"\{[^}]*\}", "", str(rule["expr"]))
    known = metrics_of(str(rule["expr"])) <= shown.keys()
    return known and bool(eval(bare, {"__builtins__": {}, "abs": abs}, dict(shown)))  # noqa: S307 - our own file


class Usage(NamedTuple):
    """As `shutil.disk_usage` answers."""

    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    ("size", "free", "is_full"),
    [(100e9, 9e9, True), (100e9, 11e9, False), (2000e9, 50e9, True), (20e9, 2.1e9, False), (10e9, 1.9e9, True)],
)
def test_doctor_and_status_have_the_limit_of_the_disks_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: float, free: float, *, is_full: bool
) -> None:
    """Given a disk for which somebody is woken, then the doctor and the status name it, and they name no other."""
    folder = BusFolder(tmp_path)
    folder.create(play=True)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(int(size), int(size - free), int(free)))

    assert fires("NrmbusDiskNearlyFull", {"nrmbus_disk_free_bytes": free, "nrmbus_disk_size_bytes": size}) is is_full
    assert ("disk" in {each.code for each in folder_faults.findings(folder, datetime.now(UTC))}) is is_full
    assert any("are free on the disk" in each for each in status.look(folder).faults) is is_full


def test_doctor_and_status_have_the_limits_of_the_alert_of_restarts() -> None:
    """Given the alert's numbers of restarts and of minutes, then they are those of the finding."""
    (expression,) = (str(rule["expr"]) for rule in rules() if rule["alert"] == "NrmbusServiceRestarts")

    limits = {(int(minutes), int(often)) for minutes, often in re.findall(r"\[(\d+)m\]\) >= (\d+)", expression)}
    assert limits == {(OFTEN_WITHIN // timedelta(minutes=1), OFTEN)}


class Fault(NamedTuple):
    """The series of an alert's fault, in promtool's notation at one sample a minute; when it is still silent, when it fires."""

    alert: str
    series: dict[str, str]
    silent: int
    fires: int


DESK = 'job="nrmbus-desk",instance="127.0.0.1:8004"'
CANARY = 'job="nrmbus-canary",instance="127.0.0.1:8005"'
FAULTS: Final = (
    Fault(
        "NrmbusNothingHandedOver",
        {
            f"nrmbus_canary_age_seconds{{{CANARY}}}": "30x5 60+60x30",
            f"nrmbus_canary_interval_seconds{{{CANARY}}}": "60x40",
        },
        9,
        11,
    ),
    Fault("NrmbusCanaryAway", {f"nrmbus_canary_age_seconds{{{CANARY}}}": "30x5 stale"}, 9, 12),
    Fault("NrmbusServiceAway", {f"up{{{DESK}}}": "1x5 0x30"}, 5, 12),
    Fault("NrmbusServiceNotReady", {f"nrmbus_ready{{{DESK}}}": "1x5 0x30"}, 9, 12),
    Fault("NrmbusServiceNotReady", {f"nrmbus_trouble{{{DESK}}}": "0x5 1x30"}, 9, 12),
    Fault("NrmbusLedgerAway", {f"nrmbus_ledger_away{{{DESK}}}": "0x5 1x30"}, 6, 9),
    Fault(
        "NrmbusServiceRestarts", {f"process_start_time_seconds{{{DESK}}}": "100x20 400x5 700x5 900x5 900x30"}, 24, 35
    ),
    Fault("NrmbusServiceRestarts", {f"nrmbus_restarts_total{{{DESK}}}": "0x20 4x30"}, 19, 25),
    Fault("NrmbusOutboxWaits", {f"nrmbus_outbox_oldest_seconds{{{DESK}}}": "0x5 60+60x40"}, 19, 22),
    Fault("NrmbusWebhookFails", {f"nrmbus_webhooks_stopped{{{DESK}}}": "0x5 1x40"}, 19, 22),
    Fault("NrmbusWebhookFails", {f"nrmbus_webhook_oldest_seconds{{{DESK}}}": "0x5 60+60x100"}, 78, 82),
    Fault("NrmbusInboxLags", {f"nrmbus_inbox_lag_records{{{DESK}}}": "0x5 1x40"}, 19, 22),
    Fault("NrmbusCaseParked", {f"nrmbus_cases_parked{{{DESK}}}": "0x5 1x40"}, 19, 22),
    Fault("NrmbusClockOverdue", {f"nrmbus_clocks_overdue{{{DESK}}}": "0x5 2x40"}, 19, 22),
    Fault("NrmbusDeadlinesUnknown", {f"nrmbus_cases_unreadable{{{DESK}}}": "0x5 1x40"}, 19, 22),
    Fault("NrmbusCheckpointNotCosigned", {f"nrmbus_registrations_not_cosigned{{{DESK}}}": "0x5 3x90"}, 60, 70),
    Fault(
        "NrmbusCheckpointStale",
        {
            f"nrmbus_registrations_unsigned{{{DESK}}}": "0x5 3x90",
            f"nrmbus_checkpoint_age_seconds{{{DESK}}}": "6900+60x90",
        },
        20,
        22,
    ),
    Fault("NrmbusCheckpointContradicts", {f"nrmbus_witness_alarms{{{DESK}}}": "0x5 1x9"}, 4, 7),
    Fault("NrmbusCertificateEnds", {f"nrmbus_certificate_left_seconds{{{DESK}}}": "700000x5 600000x90"}, 60, 70),
    Fault("NrmbusSealingKeyEnds", {f"nrmbus_sealing_key_left_seconds{{{DESK}}}": "1300000x5 1200000x90"}, 60, 70),
    Fault("NrmbusClockWrong", {f"nrmbus_clock_ahead_seconds{{{DESK}}}": "0x5 -6x40"}, 19, 22),
    Fault(
        "NrmbusDiskNearlyFull",
        {f"nrmbus_disk_free_bytes{{{DESK}}}": "50e9x5 9e9x40", f"nrmbus_disk_size_bytes{{{DESK}}}": "100e9x45"},
        19,
        22,
    ),
    Fault("NrmbusQuarantineGrew", {f"nrmbus_quarantined_records_total{{{DESK}}}": "0x70 1x20"}, 69, 73),
    Fault("NrmbusQuarantineGrew", {f"nrmbus_inbox_set_aside_records_total{{{DESK}}}": "3x70 4x20"}, 69, 73),
)
"""A fault of each rule."""

WELL: Final = {
    f"nrmbus_canary_age_seconds{{{CANARY}}}": "40x900 300 40x1100",  # five rounds missed while the registrar was upgraded
    f"nrmbus_canary_interval_seconds{{{CANARY}}}": "60x2000",
    f"up{{{DESK}}}": "1x2000",
    f"nrmbus_ready{{{DESK}}}": "1x2000",
    f"nrmbus_trouble{{{DESK}}}": "0x2000",
    f"nrmbus_ledger_away{{{DESK}}}": "0x900 1x1 0x1100",  # a server that was started again
    f"process_start_time_seconds{{{DESK}}}": "100x900 90000x1100",  # one restart, for an upgrade
    f"nrmbus_restarts_total{{{DESK}}}": "0x900 1x1100",
    f"nrmbus_outbox_oldest_seconds{{{DESK}}}": "0x900 60+60x10 0x1000",  # a registrar that was away for ten minutes
    f"nrmbus_webhooks_stopped{{{DESK}}}": "0x2000",
    f"nrmbus_webhook_oldest_seconds{{{DESK}}}": "0x900 60+60x50 0x1000",  # a receiver that was away for 50 minutes
    f"nrmbus_inbox_lag_records{{{DESK}}}": "0x900 3x10 0x1000",
    f"nrmbus_cases_parked{{{DESK}}}": "0x2000",
    f"nrmbus_clocks_overdue{{{DESK}}}": "0x2000",
    f"nrmbus_registrations_not_cosigned{{{DESK}}}": "0x900 8x2 0x1000",
    f"nrmbus_registrations_unsigned{{{DESK}}}": "0x900 8x1 0x8 5x50 0x1000",
    f"nrmbus_checkpoint_age_seconds{{{DESK}}}": "90000+60x902 0+60x1000",  # nothing came for a day
    f"nrmbus_certificate_left_seconds{{{DESK}}}": "2592000-60x2000",
    f"nrmbus_clock_ahead_seconds{{{DESK}}}": "0.4x2000",
    f"nrmbus_disk_free_bytes{{{DESK}}}": "50e9x2000",
    f"nrmbus_disk_size_bytes{{{DESK}}}": "100e9x2000",
    f"nrmbus_quarantined_records_total{{{DESK}}}": "2x2000",  # something was put aside long ago
}
"""A day and a half of a bus that is well."""


def test_every_rule_says_what_happened_what_to_do_and_where_the_runbook_explains_it() -> None:
    """An alert must help an engineer who did not write this bus."""
    page = anchors((ROOT / RUNBOOK).read_text(encoding="utf-8"))

    assert len(rules()) >= 11
    for rule in rules():
        said = rule["annotations"]
        assert set(said) == {"summary", "action", "runbook"}, rule["alert"]
        assert rule["labels"]["severity"] in ({"none"} if rule["alert"] == ALWAYS else {"page", "ticket"}), rule[
            "alert"
        ]
        file, _, anchor = said["runbook"].partition("#")
        assert (file, anchor in page) == (RUNBOOK, True), rule["alert"]


def test_every_section_of_the_runbook_is_of_a_rule() -> None:
    """A section says what the alert means, what is lost, and the commands."""
    sections = re.split(r"^## ", (ROOT / RUNBOOK).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    wanted = {rule["annotations"]["runbook"].partition("#")[2] for rule in rules()}

    assert anchors("\n".join(f"# {each.splitlines()[0]}" for each in sections)) == wanted
    for section in sections:
        assert "**Means:** " in section, section.splitlines()[0]
        assert "**Lost:** " in section, section.splitlines()[0]
        assert "\n1. " in section, section.splitlines()[0]


def test_every_bad_day_was_played() -> None:
    """A bad day has a meaning, the losses, the commands, and the test that played the day."""
    _, found, days = (ROOT / RUNBOOK).read_text(encoding="utf-8").partition("\n# Bad days\n")
    sections = re.split(r"^### ", days, flags=re.MULTILINE)[1:]

    assert found
    assert len(sections) >= 8
    for section in sections:
        title, tests = section.splitlines()[0], re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", section)
        assert all(each in section for each in ("**Means:** ", "**Lost:** ", "\n1. ", "\nPlayed by ")), title
        assert tests, title
        for file, name in tests:
            assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), (title, name)


def test_every_metric_of_a_rule_is_one_that_a_service_shows() -> None:
    """A rule about a name that nobody shows never fires, and nobody notices."""
    named = {rule["alert"]: metrics_of(str(rule["expr"])) for rule in rules()}

    assert [alert for alert, found in named.items() if not found] == [ALWAYS]
    assert {alert: found - ALL - OF_PROMETHEUS for alert, found in named.items() if found - ALL - OF_PROMETHEUS} == {}


def test_the_name_of_a_metric_is_found_in_an_expression() -> None:
    """The check above sees names beside functions, labels and numbers."""
    expression = 'abs(one_a{job=~"x-.+"}[1h]) > 5 or increase(two_b[1h]) < 0.1 * three_c and up == 0'

    assert metrics_of(expression) == {"one_a", "two_b", "three_c", "up"}
    assert metrics_of("sum by (outcome) (increase(one_a[1d])) / on (instance) two_b or vector(0)") == {"one_a", "two_b"}


def test_no_rule_looks_at_a_rate() -> None:
    """A bus has less than one event an hour: a rate is 0 on good and on bad days."""
    assert [rule["alert"] for rule in rules() if re.search(r"\bi?rate\(", str(rule["expr"]))] == []


def test_every_rule_has_a_fault_that_it_is_tried_by() -> None:
    """A new rule comes with its fault."""
    assert {rule["alert"] for rule in rules()} == {fault.alert for fault in FAULTS} | {ALWAYS}


def promtool_test(faults: tuple[Fault, ...]) -> dict[str, Any]:
    """Return a promtool test: each fault alone, just before its alert fires and just after; then a healthy bus."""

    def asks(alert: str, minute: int, *, fires: bool) -> dict[str, Any]:
        return {
            "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
        }

    def with_series(series: dict[str, str], *asked: dict[str, Any]) -> dict[str, Any]:
        given = [{"series": name, "values": values} for name, values in series.items()]
        return {"interval": "1m", "input_series": given, "promql_expr_test": list(asked)}

    each = [
        with_series(
            fault.series, asks(fault.alert, fault.silent, fires=False), asks(fault.alert, fault.fires, fires=True)
        )
        for fault in faults
    ]
    well = [
        asks(alert, minute, fires=False) for alert in {fault.alert for fault in faults} for minute in range(5, 2000, 35)
    ]
    always = [asks(ALWAYS, minute, fires=True) for minute in (1, 2000)]
    return {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [*each, with_series(WELL, *always, *well)],
    }


def judged(promtool: str, path: Path, content: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Have promtool run the test *content*."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.oracle
@pytest.mark.parametrize("promtool", PROMTOOL)
def test_prometheus_fires_each_alert_by_its_fault_and_none_on_a_bus_that_is_well(promtool: str, tmp_path: Path) -> None:
    """The oracle is Prometheus' own rule engine."""
    done = judged(promtool, tmp_path / "test.json", promtool_test(FAULTS))

    assert done.returncode == 0, done.stdout + done.stderr


CANARY_LOST: Final = {f"nrmbus_canary_age_seconds{{{CANARY}}}": "30x5 stale", f"nrmbus_ready{{{DESK}}}": "1x40"}
BUS_LOST: Final = FAULTS[0].series
NO_CANARY: Final = {f"nrmbus_ready{{{DESK}}}": "1x40"}


@pytest.mark.oracle
@pytest.mark.parametrize("promtool", PROMTOOL)
@pytest.mark.parametrize(
    ("series", "fired"),
    [(CANARY_LOST, "NrmbusCanaryAway"), (BUS_LOST, "NrmbusNothingHandedOver"), (NO_CANARY, None)],
)
def test_prometheus_tells_a_lost_canary_from_a_lost_bus(
    promtool: str, series: dict[str, str], fired: str | None, tmp_path: Path
) -> None:
    """Given a lost canary or a bus without deliveries, then only its alert fires; without any canary no alert fires."""
    content = promtool_test(())
    given = [{"series": name, "values": values} for name, values in series.items()]
    firing = [{"labels": f'{{alertname="{fired}"}}', "value": 1}] if fired else []
    every = f'count by (alertname) (ALERTS{{alertstate="firing",alertname!="{ALWAYS}"}})'
    asked = {"expr": every, "eval_time": "20m", "exp_samples": firing}
    content["tests"] = [{"interval": "1m", "input_series": given, "promql_expr_test": [asked]}]

    done = judged(promtool, tmp_path / "test.json", content)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.oracle
@pytest.mark.parametrize("promtool", PROMTOOL)
def test_prometheus_would_notice_an_alert_that_does_not_fire(promtool: str, tmp_path: Path) -> None:
    """The test above can fail: a fault that ends too early fires nothing."""
    short = FAULTS[0]._replace(series={f"up{{{DESK}}}": "1x5 0x2 1x30"})

    assert judged(promtool, tmp_path / "test.json", promtool_test((short,))).returncode == 1


def files_of(settings: object) -> dict[str, str]:
    """Return the path of each file that *settings* name, by the name of its setting."""
    if isinstance(settings, list):
        return {name: path for each in settings for name, path in files_of(each).items()}
    if not isinstance(settings, dict):
        return {}
    found = {name: str(path) for name, path in settings.items() if name.endswith("_file")}
    return found | {name: path for each in settings.values() for name, path in files_of(each).items()}


def test_alertmanager_finds_the_password_wherever_it_is_started() -> None:
    """Given the example of its settings, then each file of a mail setting is absolute: Alertmanager resolves a relative one against the folder where it was started."""
    settings = plain_yaml.read((DEPLOY / "observability" / "alertmanager.yaml").read_text(encoding="utf-8"))

    assert {name: Path(path).is_absolute() for name, path in files_of(settings).items()} == {
        "smtp_auth_password_file": True
    }


@pytest.mark.oracle
@pytest.mark.parametrize("promtool", PROMTOOL)
def test_prometheus_reads_the_example_of_its_settings(promtool: str) -> None:
    """An operator copies it."""
    settings = DEPLOY / "observability" / "prometheus.yaml"
    done = subprocess.run(
        [promtool, "check", "config", "--syntax-only", str(settings)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
