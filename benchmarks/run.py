"""Measure the bus against a bare Kafka loop, both sides in one run, and keep the table in ``benchmarks/README.md``.

``make bench``. Nothing here is a test: figures depend on the machine and on what else it does, so the load is noted too.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from proving import EVENTS, LEAVES, trail
from replay import replays
from stages import casts, letters, stages
from throughput import PATIENCE_SECONDS, SENDERS, Round, both, grouped, spread

from nrmbus.bus.folder import BusFolder
from nrmbus.cli.supervisor import Supervisor
from nrmbus.client import Door, DoorError
from nrmbus.directory.admission import Newcomer

README: Final = Path(__file__).with_name("README.md")
BEGIN: Final = "<!-- what `make bench` measured last -->"
END: Final = "<!-- end of what it measured -->"
DESKS: Final = {**SENDERS, "shelter": "shelter_state", "fund": "fund"}

_READ: Final = (
    ("bare", "bare consumer, `json.loads` of the data, no fold", ""),
    ("last", "replay: digests, chain, the registrar's last signature", "≥ 0.4"),
    ("all", "replay: every signature, of registrar and senders", ""),
)


def machine() -> str:
    """What it was measured on, and how busy that was."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{model[1] if model else platform.machine()}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB; "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, aiokafka {version('aiokafka')}, "
        f"cryptography {version('cryptography')}; load before the run {os.getloadavg()[0]:.1f}"
    )


async def _ready(folder: BusFolder, services: list[str]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    for name in services:
        home = folder.service(name) if name in ("registrar", "timekeeper") else folder.agency(name).path
        while True:
            with contextlib.suppress(DoorError):
                async with Door.of(home) as door:
                    if (await door.health())["ready"]:
                        break
            assert time.monotonic() < until, f"{name} did not start"
            await asyncio.sleep(0.02)


def whole_bus(home: Path) -> tuple[float, float, float, float]:
    """Seconds until a fresh bus with a desk an agency is ready, and again; MiB of all services (PSS), and of the broker."""
    took: list[float] = []
    memory, broker = 0.0, 0.0
    folder = BusFolder(home)
    folder.create(partitions=1)
    for _ in range(2):
        started = time.monotonic()
        with Supervisor(folder, agencies={name: Newcomer(role) for name, role in DESKS.items()}):
            asyncio.run(_ready(folder, ["registrar", "timekeeper", *DESKS]))
            took.append(time.monotonic() - started)
            running = json.loads((folder.run / "services.json").read_bytes())
            memory = sum(_pss(each["pid"]) for name, each in running.items() if name != "broker")
            broker = _pss(running["broker"]["pid"])
    return took[0], took[1], memory, broker


def _pss(pid: int) -> float:
    """MiB that a process alone has, and its share of what it shares."""
    found = re.search(r"^Pss:\s+(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def table(rounds: list[Round], home: Path, events: int, facts: str) -> str:
    """Everything measured, as the README shows it."""
    now = datetime.now(UTC).replace(microsecond=0)
    ratio = statistics.median(each.registrar.rate / each.bare.rate for each in rounds)
    rate = {
        side: statistics.median(getattr(each, side).rate for each in rounds) for side in ("registrar", "bare")
    }  # fmt: skip
    cpu = {side: statistics.median(getattr(each, side).cpu for each in rounds) for side in ("registrar", "bare")}
    way = {side: spread(values) for side, values in grouped(rounds).items()}
    parts, sealed = stages(home / "stages", now, SENDERS), letters()
    first, second, memory, broker = whole_bus(home / "whole")
    again, steps = replays(home / "replay", now)
    kept = trail(home / "trail", now)
    proof = spread(kept.proofs)
    alone = sum(parts.values()) + cpu["bare"]
    lines = [
        f"{now:%Y-%m-%d %H:%M} UTC. {facts}.",
        f"Median of {len(rounds)} rounds of {events} events; one broker on the same machine.",
        f"Out for each event, on both sides: {rounds[0].records:.2f} records, {rounds[0].bytes:.0f} bytes.",
        "",
        "| | registrar, all checks | bare loop | registrar / bare | aim |",
        "| --- | --- | --- | --- | --- |",
        f"| events a second | {rate['registrar']:,.0f} | {rate['bare']:,.0f} | {ratio:.2f} | ≥ 0.4 |",
        f"| … lowest and highest round | {_range(rounds, 'registrar')} | {_range(rounds, 'bare')} | | |",
        f"| own CPU an event, µs | {cpu['registrar']:.0f} | {cpu['bare']:.0f} | {cpu['registrar'] / cpu['bare']:.1f} | |",
        *(_way(way, each, aim) for each, aim in (("p50", ""), ("p99", "≤ 2"))),
        "",
        "| where the registrar's time goes, one thread | µs an event |",
        "| --- | --- |",
        *(f"| {name} | {value:.0f} |" for name, value in parts.items()),
        f"| Kafka client, as in the bare loop | {cpu['bare']:.0f} |",
        f"| the rest: log line, threads' hand-over, collecting garbage | {cpu['registrar'] - alone:.0f} |",
        "",
        "| a history read again, with fold | registrations a second | / bare | aim |",
        "| --- | --- | --- | --- |",
        *(_again(again, *each) for each in _READ),
        "",
        "| where the time of a replay with the last signature goes | µs a registration |",
        "| --- | --- |",
        *(f"| {name} | {value:.0f} |" for name, value in steps.items()),
        f"| Kafka client, `json.loads`, as in the bare consumer | {1e6 / again['bare']:.0f} |",
        f"| the whole, at the rate above | {1e6 / again['last']:.0f} |",
        "",
        "| the audit trail | | aim |",
        "| --- | --- | --- |",
        f"| registrations a second, verified and appended, with fsync | {kept.appended:,.0f} | |",
        f"| … / registrar | {kept.appended / rate['registrar']:.1f} | ≥ 2 |",
        f"| inclusion proof at {LEAVES:,} leaves, p50, ms | {proof['p50']:.2f} | < 1 |",
        f"| … p99, ms | {proof['p99']:.2f} | |",
        f"| evidence of {EVENTS:,} registrations, verified by its `verify.py`, s | {kept.verified:.1f} | < 3 |",
        f"| … its {2 * EVENTS:,} signatures alone, one processor, s | {kept.signatures:.1f} | |",
        "",
        "| the rest of a bus | |",
        "| --- | --- |",
        f"| start of a bus with {len(DESKS)} desks, the first time | {first:.1f} s |",
        f"| … again, on its data | {second:.1f} s |",
        f"| memory of all its services (PSS), broker apart | {memory:.0f} MiB |",
        f"| memory of the broker | {broker:.0f} MiB |",
        *(f"| letter of 2,000 characters: {name} | {value / 1000:.2f} ms |" for name, value in sealed.items()),
        *(f"| cast of a referral {name} (aim: under 10 µs) | {value:.1f} µs |" for name, value in casts().items()),
    ]
    return "\n".join(lines)


def _again(again: dict[str, float], side: str, name: str, aim: str) -> str:
    return f"| {name} | {again[side]:,.0f} | {again[side] / again['bare']:.2f} | {aim} |"


def _way(way: dict[str, dict[str, float]], which: str, aim: str) -> str:
    registrar, bare = way["registrar"][which], way["bare"][which]
    return f"| publish to inbox, {which}, ms | {registrar:.1f} | {bare:.1f} | {registrar / bare:.1f} | {aim} |"


def _range(rounds: list[Round], side: str) -> str:
    rates = sorted(getattr(each, side).rate for each in rounds)
    return f"{rates[0]:,.0f} – {rates[-1]:,.0f}"


def main() -> None:
    """Run the rounds, print the table, and write it between the marks in the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000, help="events a round (default: 20000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, each on a fresh broker (default: 3)")
    parser.add_argument(
        "--singles", type=int, default=300, help="events sent one by one, for the latencies (default: 300)"
    )
    asked = parser.parse_args()
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="nrmbus-bench-") as scratch:
        rounds = []
        for number in range(asked.rounds):
            print(f"round {number + 1} of {asked.rounds}", file=sys.stderr)
            rounds.append(both(Path(scratch) / f"round-{number}", asked.events, asked.singles, 0.02))
        written = table(rounds, Path(scratch), asked.events, facts)
    print(written)
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n\n{written}\n\n{END}{after}")


if __name__ == "__main__":
    main()
