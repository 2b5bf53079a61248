"""Metrics name closed lists only: no content, no case, no agency and no id can reach one."""

import ast
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from contract.tree import ROOT, files
from nrmbus.desk.inbox.store import Outcome
from nrmbus.telemetry import counts, log
from nrmbus.telemetry.metrics import AGE, HANDLED, KINDS, LABELS, ROWS, SERVICE, page

CANARY = "CANARY-she-may-not-leave"
FACTS: dict[str, Any] = {
    "held_up": "ledger_away", "ready": True, "trouble": "inbox_gap", "directory_stale": False, "lag": 3, "set_aside": 1, "outbox_open": 2,
    "outbox_oldest": 61.5, "parked": 1, "tasks": 4, "letters_unopened": 5, "webhooks_stopped": 1, "webhook_oldest": 61.5, "erasing": 0, "clocks_overdue": 2,
    "witness": {"bus/nrm.cases/0": {"size": 3, "code": "tree_shrank"}, "bus/nrm.cases/1": {"size": 3, "code": None}},
    "cases_unknown": 0, "quarantined": 1, "held_back": ["ngo-a"], "numbers": {"0": 9, "1": 4}, "signed": {"0": 8, "1": 3},
    "cosigned": {"0": {"size": 7, "witnesses": 2}, "1": {"size": 3, "witnesses": 3}}, "checkpoint_age": 12,
    "certificate_left": 864_000.0, "sealing_key_left": -1.0, "clock_ahead": -0.5, "disk_free": 10, "disk_size": 20,
    "restarts": 2, "canary_age": 61.5, "canary_way": 0.4, "canary_seconds": 60,
}  # fmt: skip
"""All that a service could know, in the form of its health."""
OF_THE_PROCESS = "process_"
"""Prefix of the metrics of the operating system's process, which Prometheus' library makes; they have no labels."""


@pytest.fixture(autouse=True)
def _counts_begin_at_nothing() -> Iterator[None]:
    known = counts.codes()
    counts.forget()
    counts.know({"stale", "signature_invalid"})
    yield
    counts.forget()
    counts.know(known)


def samples(shown: bytes) -> list[Sample]:
    """The samples on a page, as Prometheus' own parser reads them."""
    return [each for family in text_string_to_metric_families(shown.decode()) for each in family.samples]


def values(shown: bytes) -> dict[str, float]:
    """The samples without labels, by name."""
    return {each.name: each.value for each in samples(shown) if not each.labels}


def named(row_name: str, kind: str) -> str:
    """The name under which Prometheus sees a row."""
    return f"{row_name}_total" if kind == "counter" else row_name


ALL = {named(row.name, row.kind) for row in ROWS} | {*LABELS, f"{AGE}_sum", f"{AGE}_count"}


def test_every_name_and_label_is_of_a_closed_list() -> None:
    """P9: names, labels and values of labels come from the lists of this project, whatever the service has done."""
    log.handled("refused", code="stale")
    log.handled("registered")
    counts.arrived(70)
    vocabulary = {
        "service": KINDS,
        "outcome": counts.OUTCOMES | {counts.OTHER},
        "code": counts.codes(),
        "le": {*map(str, counts.AGE_BOUNDS), "+Inf"},
    }
    found = [each for kind in KINDS for each in samples(page(kind, FACTS)) if not each.name.startswith(OF_THE_PROCESS)]

    assert {each.name for each in found} == ALL
    assert [each.name for each in found if {*each.labels} != {*LABELS.get(each.name, ())}] == []
    assert [
        each.labels for each in found if any(each.labels[name] not in vocabulary[name] for name in each.labels)
    ] == []


def test_the_metrics_of_the_process_have_no_label() -> None:
    """The other samples are memory, time and open files of the process itself."""
    found = [each for each in samples(page("desk", FACTS)) if each.name.startswith(OF_THE_PROCESS)]

    assert [each.labels for each in found if each.labels] == []


def test_no_content_reaches_a_metric() -> None:
    """P9: a text in any member of a health, in an outcome, a code or a kind never appears on the page."""
    log.handled(CANARY, code=CANARY, type=CANARY, id=CANARY)
    with log.handled_together() as handled:
        handled(CANARY, code=CANARY)
    facts = dict.fromkeys(FACTS, CANARY) | {
        "witness": {CANARY: {"size": 1, "code": CANARY}},
        "held_back": [CANARY],
        "numbers": {CANARY: 1},
        "signed": {CANARY: 1},
        "cosigned": {CANARY: {"size": 1, "witnesses": 1}},
        CANARY: 1,
    }
    shown = page(CANARY, facts)

    assert CANARY not in shown.decode()
    assert [each.value for each in samples(shown) if each.labels == {"outcome": "other", "code": "other"}] == [2]


def test_an_unknown_number_is_absent_and_never_nought() -> None:
    """An alert on a number that no service knows would otherwise never fire, and a picture of it would lie."""
    empty = {each.name for each in samples(page("registrar", {})) if not each.name.startswith(OF_THE_PROCESS)}
    nothing = {
        each.name
        for each in samples(page("registrar", dict.fromkeys(FACTS)))
        if not each.name.startswith(OF_THE_PROCESS)
    }

    assert empty == {SERVICE}
    # None is how a health says that there is no trouble, and that nothing holds the desk up.
    assert nothing == {SERVICE, "nrmbus_trouble", "nrmbus_ledger_away"}


def test_the_numbers_are_those_of_the_health() -> None:
    """Each number stands under its own name."""
    found = values(page("auditor", FACTS))

    assert found["nrmbus_ready"] == 1
    assert found["nrmbus_trouble"] == 1
    assert found["nrmbus_witness_alarms"] == 1
    assert found["nrmbus_registrations_unsigned"] == 2
    assert found["nrmbus_registrations_not_cosigned"] == 1
    assert found["nrmbus_checkpoint_witnesses"] == 2
    assert found["nrmbus_restarts_total"] == 2


def test_a_log_without_a_cosignature_has_no_witness() -> None:
    """One log that nobody co-signs is not hidden behind the others."""
    found = values(page("auditor", FACTS | {"cosigned": {"0": {"size": 7, "witnesses": 2}}}))

    assert found["nrmbus_checkpoint_witnesses"] == 0
    assert found["nrmbus_registrations_not_cosigned"] == 4


def test_the_registrar_does_not_judge_the_auditors_checkpoints() -> None:
    """Registrar and timekeeper have numbers too, and know of no signature."""
    found = values(page("registrar", {"numbers": {"0": 9}}))

    assert "nrmbus_registrations_unsigned" not in found


def test_handled_messages_are_counted_by_outcome_and_code() -> None:
    """Both ways to log a message count it once."""
    log.handled("refused", code="stale")
    with log.handled_together() as handled:
        handled("refused", code="stale")
        handled("registered")
    found = {
        (each.labels["outcome"], each.labels["code"]): each.value
        for each in samples(page("registrar", {}))
        if each.name == f"{HANDLED}_total"
    }

    assert found == {("refused", "stale"): 2, ("registered", "none"): 1}


def test_ages_are_counted_in_classes() -> None:
    """An event from a clock that is ahead counts as new."""
    for age in (-5, 0.5, 70):
        counts.arrived(age)
    found = {
        each.labels.get("le", each.name): each.value for each in samples(page("desk", {})) if each.name.startswith(AGE)
    }

    assert (found["1.0"], found["60.0"], found["300.0"], found["+Inf"]) == (2, 2, 3, 3)
    assert (found[f"{AGE}_sum"], found[f"{AGE}_count"]) == (70.5, 3)


def outcomes_in(tree: ast.AST) -> Iterator[str]:
    """Each outcome that a module logs as a constant."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="handled") | ast.Name(id="handled"), args=[ast.Constant(value=str(outcome)), *_]
            ):
                yield outcome
            case _:
                pass


@pytest.mark.thorough
def test_every_outcome_that_the_code_logs_is_in_the_list() -> None:
    """An outcome outside the list would count as another, and nobody would see it."""
    modules = [path for path in files(ROOT / "services") if path.suffix == ".py"]
    logged = {each for path in modules for each in outcomes_in(ast.parse(path.read_text(encoding="utf-8")))}

    assert len(logged) > 10
    assert logged | set(get_args(Outcome)) <= counts.OUTCOMES
