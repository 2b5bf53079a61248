"""Findings of the doctor and of `nrmbus status`: their form, the limits of a fault (those of the alerts), and the faults that numbers show."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from nrmbus.bus.vitals import WAITS
from nrmbus.cli.counted import counted
from nrmbus.cli.hosts import Placed

SKEW: Final = timedelta(seconds=5)
"""Clocks that are set by a time server differ by milliseconds; legal clocks are told to the second."""
SET_CLOCKS: Final = "set both by a time server: timedatectl set-ntp true"
OFTEN: Final = 3
OFTEN_WITHIN: Final = timedelta(minutes=30)
"""A service that ends `OFTEN` times within so long has a fault, though it is started again at once."""
UNTOLD: Final = timedelta(hours=1)
"""The first four attempts of a webhook take some 35 minutes: then its receiver fails."""
SOON: Final = timedelta(days=7)
"""Certificates are renewed automatically ten days before their end; one with less time left was not renewed."""
UNSIGNED: Final = timedelta(hours=2)
"""The auditor signs new registrations within an hour."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Fault, reason why it matters, and command that mends it; *serious* ones set the exit status."""

    code: str
    what: str
    why: str
    mend: str
    serious: bool = True

    def __str__(self) -> str:
        return f"{'' if self.serious else '(note) '}{self.what} {self.why} Mend: {self.mend}"


def of_numbers(name: str, numbers: Mapping[str, float]) -> Iterator[Finding]:
    """Yield the faults in the metrics of the service *name*; a missing metric is no fault."""

    def number(of: str) -> float:
        return numbers.get(f"nrmbus_{of}", 0.0)

    if abs(ahead := number("clock_ahead_seconds")) > SKEW.total_seconds():
        where = "ahead of" if ahead > 0 else "behind"
        yield Finding(
            "clock_skew",
            f"The clock of this machine is {abs(ahead):.0f} s {where} the broker's, as the desk of {name} measured.",
            "Events are dated wrongly, and those from the future are refused.",
            SET_CLOCKS,
        )
    if (oldest := number("outbox_oldest_seconds")) > WAITS.total_seconds():
        yield Finding(
            "outbox_waits",
            f"The oldest event of {name} has had no answer for {_span(oldest)}.",
            "It stands in the ledger and is not registered; legal clocks run on.",
            "nrmbus check, then look at the registrar",
        )
    if parked := number("cases_parked"):
        yield Finding(
            "parked",
            f"{counted(parked, 'record waits', 'records wait')} at {name} for a person or for another release.",
            "The cases of these records stand still at this desk; all others go on.",
            "the desk made a task for each, which says what to do",
        )
    if stopped := number("webhooks_stopped"):
        yield Finding(
            "webhook_stopped",
            f"{counted(stopped, 'webhook is', 'webhooks are')} paused after failures, or disabled, at {name}.",
            "The agency's own system is not told what happens; inbox and pages show it.",
            f"nrmbus webhook list {name}, and deploy/RUNBOOK.md#webhook-fails",
        )
    elif (untold := number("webhook_oldest_seconds")) > UNTOLD.total_seconds():
        yield Finding(
            "webhook_waits",
            f"A webhook of {name} has not been taken for {_span(untold)}.",
            "The agency's own system is not told what happens; inbox and pages show it.",
            f"nrmbus webhook list {name}, and deploy/RUNBOOK.md#webhook-fails",
        )
    if unknown := number("cases_unreadable"):
        yield Finding(
            "deadlines_unknown",
            f"{name} cannot read {counted(unknown, 'case')}.",
            "Nothing is published of their deadlines.",
            "nrmbus rules add FILE, if they lack a profile, or upgrade the operator's services, and start them again; if they "
            "have both: nrmbus auditor judge",
        )
    if number("witness_alarms"):
        yield Finding(
            "checkpoint_contradicts",
            f"The desk of {name} saw a checkpoint that contradicts an earlier one.",
            "The history was cut or forked, or another program signs in the auditor's name.",
            "change nothing, keep the folder as it is, and call the auditor (deploy/RUNBOOK.md#checkpoint-contradicts)",
        )
    if set_aside := number("inbox_set_aside_records_total"):
        yield Finding(
            "set_aside",
            f"The inbox of {name} had {counted(set_aside, 'record')} that did not come from the registrar, set aside since.",
            "Only a registrar may write there.",
            "ask the operator who else has the right: nrmbus topics check",
            serious=False,
        )
    yield from _checkpoints(name, number)


def _checkpoints(name: str, number: Callable[[str], float]) -> Iterator[Finding]:
    age = number("checkpoint_age_seconds")
    if number("registrations_not_cosigned") and age > WAITS.total_seconds():
        yield Finding(
            "checkpoint_stale",
            f"No desk has co-signed the newest checkpoint of {name}, which is {_span(age)} old.",
            "The proof of the newest registrations rests on the auditor alone.",
            "start the desks that are away: nrmbus status; one that refuses says so in the auditor's log",
        )
    if number("registrations_unsigned") and age > UNSIGNED.total_seconds():
        yield Finding(
            "checkpoint_stale",
            f"The newest checkpoint of {name} is {_span(age)} old, and there are newer registrations.",
            "They are in the history, and nobody has signed a tree over them.",
            "ask again in a minute if they have just come; else look at logs/auditor.log, and start the auditor again",
        )


def seconds(span: timedelta) -> str:
    """Return *span* as a finding tells it, in whole seconds."""
    return f"{span.total_seconds():.0f} s"


def _span(seconds: float) -> str:
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def of_hosts(found: Iterable[Placed]) -> Iterator[Finding]:
    """Yield a finding for each service that should stand by on a standby host, and is not connected or has old keys."""
    for each in found:
        if each.state == "old keys":
            yield Finding(
                "standby_old_keys",
                f"The {each.service} of standby host {each.host} has keys that were changed since.",
                "If the first machine is lost now, nobody takes over.",
                f"nrmbus standby revoke {each.host}, then admit it again: nrmbus standby request {each.host} there",
            )
        if each.state == "away":
            yield Finding(
                "standby_away",
                f"The {each.service} of standby host {each.host} is not connected.",
                "If the first machine is lost now, nobody takes over.",
                f"nrmbus run {each.service} on {each.host}, or nrmbus standby revoke {each.host} if that host is gone",
            )
