"""Prometheus metrics of a service, made from the numbers of its health and from its counts.

A metric is a number under a fixed name. The only labels are those of `LABELS`, with values from closed lists: no case,
no agency, no id and no text of an event has a place here. A number that a service does not know is left out.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from nrmbus.telemetry import counts

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

KINDS: Final = frozenset({"registrar", "timekeeper", "auditor", "canary", "desk"})

SERVICE: Final = "nrmbus_service"
HANDLED: Final = "nrmbus_handled"
AGE: Final = "nrmbus_inbox_age_seconds"

Facts = Mapping[str, Any]
"""Members of a service's health, and of `bus.vitals`; only those that a metric names are read."""


class Row(NamedTuple):
    """One metric: its name, its kind, a sentence about it, and how it is read from the facts (None while unknown)."""

    name: str
    kind: Literal["gauge", "counter"]
    about: str
    read: Callable[[Facts], object]


def _of(member: str) -> Callable[[Facts], object]:
    return lambda facts: facts.get(member)


def _size(member: str) -> Callable[[Facts], object]:
    def read(facts: Facts) -> object:
        found = facts.get(member)
        return len(found) if isinstance(found, Collection) and not isinstance(found, str) else None

    return read


def _trouble(facts: Facts) -> object:
    return facts["trouble"] is not None if "trouble" in facts else None


def _ledger_away(facts: Facts) -> object:
    return facts["held_up"] == "ledger_away" if "held_up" in facts else None


def _alarms(facts: Facts) -> object:
    found = facts.get("witness")
    return sum(each.get("code") is not None for each in found.values()) if isinstance(found, Mapping) else None


def _unsigned(facts: Facts) -> object:
    if not facts.get("numbers") or facts.get("signed") is None:
        return None
    return max(0, sum(facts["numbers"].values()) - sum(facts["signed"].values()))


def _not_cosigned(facts: Facts) -> object:
    if not facts.get("signed") or facts.get("cosigned") is None:
        return None
    return max(0, sum(facts["signed"].values()) - sum(each["size"] for each in facts["cosigned"].values()))


def _witnesses(facts: Facts) -> object:
    signed, cosigned = facts.get("signed") or {}, facts.get("cosigned") or {}
    logs = [partition for partition, size in signed.items() if size]
    return min((cosigned[each]["witnesses"] if each in cosigned else 0 for each in logs), default=None)


ROWS: Final = (
    Row("nrmbus_canary_age_seconds", "gauge", "Time since the newest test hand-over that came back was sent.", _of("canary_age")),
    Row("nrmbus_canary_way_seconds", "gauge", "Time that this hand-over and its acknowledgement took.", _of("canary_way")),
    Row("nrmbus_canary_interval_seconds", "gauge", "Time between two test hand-overs, as it is set.", _of("canary_seconds")),
    Row("nrmbus_ready", "gauge", "1 if the service does its work.", _of("ready")),
    Row("nrmbus_trouble", "gauge", "1 if the service has stopped at a fault that needs a person.", _trouble),
    Row("nrmbus_ledger_away", "gauge", "1 while the desk waits for the server of its ledger.", _ledger_away),
    Row("nrmbus_directory_stale", "gauge", "1 if the directory's topic cannot be read.", _of("directory_stale")),
    Row("nrmbus_inbox_lag_records", "gauge", "Records of the inbox that are not read yet.", _of("lag")),
    Row("nrmbus_inbox_set_aside_records", "counter", "Records of the inbox that the registrar did not deliver.", _of("set_aside")),
    Row("nrmbus_outbox_open_events", "gauge", "Events of this desk without an answer.", _of("outbox_open")),
    Row("nrmbus_outbox_oldest_seconds", "gauge", "Age of the oldest event without an answer; 0 if there is none.", _of("outbox_oldest")),
    Row("nrmbus_cases_parked", "gauge", "Cases that wait for a person or for another release.", _of("parked")),
    Row("nrmbus_tasks_open", "gauge", "Tasks that wait for a person.", _of("tasks")),
    Row("nrmbus_letters_unopened", "gauge", "Letters that were received and that nobody has opened.", _of("letters_unopened")),
    Row("nrmbus_webhooks_stopped", "gauge", "Webhooks that are sent nothing: paused after failures, or disabled.", _of("webhooks_stopped")),
    Row("nrmbus_webhook_oldest_seconds", "gauge", "Time since the oldest thing happened that a webhook was not told; 0 if there is none.", _of("webhook_oldest")),
    Row("nrmbus_erasures_waiting", "gauge", "Erasures that are due and not finished.", _of("erasing")),
    Row("nrmbus_witness_alarms", "gauge", "Logs with a checkpoint that contradicts an earlier one.", _alarms),
    Row("nrmbus_clocks_overdue", "gauge", "Duties of all cases whose time is over and that are still owed.", _of("clocks_overdue")),
    Row("nrmbus_cases_unreadable", "gauge", "Cases whose deadlines are unknown, since an event cannot be read.", _of("cases_unknown")),
    Row("nrmbus_quarantined_records", "counter", "Submissions in quarantine since this process started.", _of("quarantined")),
    Row("nrmbus_outboxes_held_back", "gauge", "Outboxes that wait for their rate limit.", _size("held_back")),
    Row("nrmbus_registrations_unsigned", "gauge", "Registrations without a checkpoint.", _unsigned),
    Row("nrmbus_registrations_not_cosigned", "gauge", "Registrations under a checkpoint that nobody has co-signed.", _not_cosigned),
    Row("nrmbus_checkpoint_age_seconds", "gauge", "Age of the newest published checkpoint.", _of("checkpoint_age")),
    Row("nrmbus_checkpoint_witnesses", "gauge", "Fewest co-signatures on a log's newest co-signed checkpoint; 0 if a log has none.", _witnesses),
    Row("nrmbus_certificate_left_seconds", "gauge", "Time until the certificate ends; negative after its end.", _of("certificate_left")),
    Row("nrmbus_sealing_key_left_seconds", "gauge", "Time until the sealing key ends; negative after its end.", _of("sealing_key_left")),
    Row("nrmbus_clock_ahead_seconds", "gauge", "Time by which this clock is ahead of the broker's; negative if behind.", _of("clock_ahead")),
    Row("nrmbus_disk_free_bytes", "gauge", "Free space on the disk of the service's folder.", _of("disk_free")),
    Row("nrmbus_disk_size_bytes", "gauge", "Size of the disk of the service's folder.", _of("disk_size")),
    Row("nrmbus_restarts", "counter", "Starts of the service again since nrmbus up.", _of("restarts")),
)  # fmt: skip
"""Every metric that is one number of a service."""

LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    SERVICE: ("service",),
    f"{HANDLED}_total": ("outcome", "code"),
    f"{AGE}_bucket": ("le",),
}
"""Labels by sample; every other sample has none."""


def page(kind: str, facts: Facts) -> bytes:
    """Return the metrics of a service of *kind* in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Collected(kind, facts))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Collected:
    """The metrics of one request."""

    def __init__(self, kind: str, facts: Facts) -> None:
        self._kind, self._facts = kind if kind in KINDS else counts.OTHER, facts

    def collect(self) -> Iterator[Metric]:
        """Yield each metric that is known."""
        yield _labelled(
            GaugeMetricFamily(SERVICE, "1, with the kind of the service.", labels=["service"]), [((self._kind,), 1)]
        )
        for row in ROWS:
            value = row.read(self._facts)
            if isinstance(value, int | float):  # never a text, whatever a service's health says
                family = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
                yield family(row.name, row.about, value=float(value))
        yield _labelled(
            CounterMetricFamily(
                HANDLED, "Messages by outcome and code since this process started.", labels=["outcome", "code"]
            ),
            counts.handled().items(),
        )
        if self._kind in {"desk", "timekeeper"}:
            yield _ages()


def _labelled(family: Any, values: Iterable[tuple[tuple[str, ...], int]]) -> Metric:
    for labels, value in sorted(values):
        family.add_metric(labels, value)
    found: Metric = family
    return found


def _ages() -> Metric:
    by_class, total = counts.ages()
    buckets, so_far = [], 0
    for bound in (*counts.AGE_BOUNDS, float("inf")):
        so_far += by_class.get(bound, 0)
        buckets.append(("+Inf" if bound == float("inf") else str(bound), float(so_far)))
    return HistogramMetricFamily(
        AGE, "Age of each event from its publication until this desk had handled it.", buckets=buckets, sum_value=total
    )
