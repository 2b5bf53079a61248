"""Measure the bus against a bare Kafka loop, both sides in one run, and keep the table in ``benchmarks/README.md``.

``make bench``. Nothing here is a test: figures depend on the machine and on what else it does, so the load is noted too.
"""

import argparse
import asyncio
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import auditor_start
import peer
import screen
import sizes
from certificates import certificates
from closed import Closed, checking, closed
from closed_table import lines as closed_lines
from figures import figures
from figures import lines as figure_lines
from growth import COUNTS, MILLION, grown, history
from growth import lines as growth_lines
from ledgers import ledgers
from ledgers import lines as ledger_lines
from pages import lines as page_lines
from pages import pages
from proving import EVENTS, LEAVES, trail
from questions import lines as question_lines
from questions import questions
from replay import replays_apart
from sealing import sealing
from stages import casts, spine
from streams import lines as stream_lines
from streams import streams
from throughput import Round, Side, both, spread
from town import Town
from webhooks import lines as webhook_lines
from webhooks import webhooks
from whole import DESKS, whole_bus

from desk import desk
from desk import lines as desk_lines
from nrmbus.desk.store.address import Address
from nrmbus.desk.store.place import Place, run

README: Final = Path(__file__).with_name("README.md")
BEGIN: Final = "<!-- what `make bench` measured last -->"
END: Final = "<!-- end of what it measured -->"
DESK: Final = ("<!-- what `make bench ONLY=desk` measured last -->", "<!-- end of what it measured about a desk -->")
AUDITOR: Final = (
    "<!-- what `make bench ONLY=growth` measured last of the auditor -->",
    "<!-- end of what it measured of the auditor's start -->",
)
GROWTH: Final = (
    "<!-- what `make bench ONLY=growth` measured last -->",
    "<!-- end of what it measured about growth -->",
)
QUESTIONS: Final = (
    "<!-- what `make bench ONLY=questions` measured last -->", "<!-- end of what it measured about questions -->"
)  # fmt: skip
SIZES: Final = ("<!-- what `make bench ONLY=sizes` measured last -->", "<!-- end of what it measured about sizes -->")
LEDGERS: Final = (
    "<!-- what `make bench ONLY=ledgers` measured last -->", "<!-- end of what it measured about ledgers -->"
)  # fmt: skip
WEBHOOKS: Final = (
    "<!-- what `make bench ONLY=webhooks` measured last -->", "<!-- end of what it measured about webhooks -->"
)  # fmt: skip
STREAMS: Final = (
    "<!-- what `make bench ONLY=streams` measured last -->", "<!-- end of what it measured about streams -->"
)  # fmt: skip
PAGES: Final = ("<!-- what `make bench ONLY=pages` measured last -->", "<!-- end of what it measured about pages -->")
FIGURES: Final = (
    "<!-- what `make bench ONLY=figures` measured last -->", "<!-- end of what it measured about figures -->"
)  # fmt: skip
PEER: Final = ("<!-- what `make bench ONLY=peer` measured last -->", "<!-- end of what it measured about a peer -->")
MOST_SHOWN: Final = 8
"""Steps of the whole run of which one reads how long they took."""
LONG: Final = ("growth", "sizes", "peer")
"""Parts of `--long` alone: the state of 100,000 registrations or cases takes minutes to make, and so does the peer's run."""
SHARE: Final = 10
"""One referral of the comparison of letters for so many events of a round, since letters take longer."""

_READ: Final = (
    ("bare", "bare consumer, `json.loads` of the data, no fold", ""),
    ("last", "replay: digests, chain, the registrar's last signature", "≥ 0.4"),
    ("last, two", "… in two processes", "≥ 0.4"),
    ("all", "replay: every signature, of registrar and senders", ""),
    ("all, two", "… in two processes", ""),
)

_announced: Final[list[tuple[str, float]]] = []
"""Each step that began, and when, by a clock that only goes forward."""


def machine() -> str:
    """Return the description of the machine, with its load."""
    told = Path("/proc/cpuinfo")  # Linux alone has it, and an affinity of processes
    model = re.search(r"^model name\s*: (.*)$", told.read_text() if told.exists() else "", re.MULTILINE)
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{model[1] if model else platform.machine()}, {cores} cores, {memory:.0f} GiB; "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, aiokafka {version('aiokafka')}, "
        f"cryptography {version('cryptography')}; load before the run {os.getloadavg()[0]:.1f}"
    )


def table(rounds: list[Round], closing: list[Closed], home: Path, events: int, facts: str) -> str:
    """Return all measurements, as the README shows them."""
    now = datetime.now(UTC).replace(microsecond=0)
    ratio = statistics.median(each.registrar.run.rate / each.bare.run.rate for each in rounds)
    sides = {"registrar": [each.registrar for each in rounds], "bare": [each.bare for each in rounds]}
    rate = {name: statistics.median(each.run.rate for each in side) for name, side in sides.items()}
    cpu = {name: statistics.median(each.run.cpu for each in side) for name, side in sides.items()}
    floor = statistics.median(each.floor.cpu for each in rounds)
    way = {name: spread([value for each in side for value in each.ways]) for name, side in sides.items()}
    announce("the registrar's steps, letters and ledgers, without a broker")
    town = Town.at(home / "town", now)
    parts, checked, sealed = spine(town, now), checking(town, now), sealing(town, now)
    kept = asyncio.run(ledgers(town, home / "ledger" / "ledger.sqlite", now))
    announce("certificates, rights and connections")
    certified = certificates(home / "certificates")
    announce("a whole bus, and readings at its desks")
    whole = whole_bus(home / "whole")
    announce("a history read again")
    again, steps = replays_apart(home / "replay", now)
    announce("the audit trail")
    trail_of = trail(home / "trail", now)
    proof = spread(trail_of.proofs)
    alone = sum(parts.values()) + cpu["bare"]
    lines = [
        f"{now:%Y-%m-%d %H:%M} UTC. {facts}.",
        f"Median of {len(rounds)} rounds of {events} events; one broker on the same machine.",
        f"Out for each event, on both sides: {rounds[0].records:.2f} records, {rounds[0].bytes:.0f} bytes.",
        "",
        "| | registrar, all checks | bare loop | registrar / bare | aim |",
        "| --- | --- | --- | --- | --- |",
        f"| events a second | {rate['registrar']:,.0f} | {rate['bare']:,.0f} | {ratio:.2f} | ≥ 0.4 |",
        f"| … lowest and highest round | {_range(sides['registrar'])} | {_range(sides['bare'])} | | |",
        f"| own CPU an event, µs | {cpu['registrar']:.0f} | {cpu['bare']:.0f} | {cpu['registrar'] / cpu['bare']:.1f} | |",
        f"| … / the floor's, {floor:.0f} µs | {cpu['registrar'] / floor:.1f} | | | ≤ 2 |",
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
        f"| registrations a second, verified and appended, with fsync | {trail_of.appended:,.0f} | |",
        f"| … / registrar | {trail_of.appended / rate['registrar']:.1f} | ≥ 2 |",
        f"| inclusion proof at {LEAVES:,} leaves, p50, ms | {proof['p50']:.2f} | < 1 |",
        f"| … p99, ms | {proof['p99']:.2f} | |",
        f"| evidence of {EVENTS:,} registrations, verified by its `verify.py`, s | {trail_of.verified:.1f} | < 3 |",
        f"| … its {2 * EVENTS:,} signatures alone, one processor, s | {trail_of.signatures:.1f} | |",
        "",
        *closed_lines(rounds, closing, checked, sealed, kept, certified, whole.readings),
        "",
        "| the rest of a bus | |",
        "| --- | --- |",
        f"| start of a bus with {len(DESKS)} desks, the first time | {whole.first:.1f} s |",
        f"| … again, on its data | {whole.again:.1f} s |",
        f"| until a service that was killed runs again (aim: under 1 s) | {whole.restart:.2f} s |",
        f"| until a desk that was killed is ready again | {whole.desk:.1f} s |",
        f"| until the registrar, killed, registers again | {whole.registrar:.1f} s |",
        f"| memory of all its services (PSS), broker apart | {whole.memory:.0f} MiB |",
        f"| memory of the broker | {whole.broker:.0f} MiB |",
        *(f"| cast of a referral {name} (aim: under 10 µs) | {value:.1f} µs |" for name, value in casts().items()),
    ]
    return "\n".join(lines)


def _again(again: dict[str, float], side: str, name: str, aim: str) -> str:
    return f"| {name} | {again[side]:,.0f} | {again[side] / again['bare']:.2f} | {aim} |"


def _way(way: dict[str, dict[str, float]], which: str, aim: str) -> str:
    registrar, bare = way["registrar"][which], way["bare"][which]
    return f"| publish to inbox, {which}, ms | {registrar:.1f} | {bare:.1f} | {registrar / bare:.1f} | {aim} |"


def _range(side: list[Side]) -> str:
    rates = sorted(each.run.rate for each in side)
    return f"{rates[0]:,.0f} – {rates[-1]:,.0f}"


def announce(what: str) -> None:
    """Print what is measured now, since the whole takes many minutes; and remember since when."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr)
    _announced.append((what, time.monotonic()))


def longest() -> str:
    """Return the steps that took longest until now, with their seconds."""
    ends = [at for _, at in _announced[1:]] + [time.monotonic()]
    took = sorted(((end - at, what) for (what, at), end in zip(_announced, ends, strict=True)), reverse=True)
    return "; ".join(f"{what}, {seconds:.0f} s" for seconds, what in took[:MOST_SHOWN])


def main() -> None:
    """Run the rounds, print the table, and write it between the marks in the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000, help="events a round (default: 20000)")
    parser.add_argument("--rounds", type=int, default=1, help="rounds, each on a fresh broker (default: 1)")
    parser.add_argument(
        "--singles", type=int, default=300, help="events sent one by one, for the latencies (default: 300)"
    )
    parser.add_argument("--publications", type=int, default=400, help="publications at a desk a round (default: 400)")
    parser.add_argument("--long", action="store_true", help=f"measure {', '.join(LONG)} as well, which take minutes")
    parser.add_argument(
        "--million",
        action="store_true",
        help="with growth or sizes: let the history grow to a million registrations too, and the cases to a million",
    )
    parser.add_argument(
        "--only",
        choices=("desk", "growth", "questions", "sizes", "peer", "ledgers", "webhooks", "streams", "pages", "figures"),
        help="measure this alone, and leave the other tables as they are",
    )
    parser.add_argument(
        "--ledger", metavar="ADDRESS", help="with --only ledgers: an empty PostgreSQL database, measured beside a file"
    )
    asked = parser.parse_args()
    facts, started = machine(), time.monotonic()
    parts: dict[str, Callable[[], None]] = {
        "questions": lambda: measure_questions(facts),
        "desk": lambda: measure_desk(facts, asked.publications, asked.rounds),
        "growth": lambda: measure_growth(facts, (*COUNTS, MILLION) if asked.million else COUNTS),
        "sizes": lambda: measure_sizes(facts, sizes.MILLION if asked.million else sizes.SIZES),
        "webhooks": lambda: measure_webhooks(facts),
        "streams": lambda: measure_streams(facts),
        "pages": lambda: measure_pages(facts),
        "figures": lambda: measure_figures(facts),
    }
    alone: dict[str, Callable[[], None]] = {  # the whole run measures both by itself
        "peer": lambda: measure_peer(facts, asked.events, asked.singles),
        "ledgers": lambda: measure_ledgers(facts, Address.parse(asked.ledger) if asked.ledger else None),
    }
    if asked.only:
        (parts | alone)[asked.only]()
        return
    for name, measure in parts.items():
        if asked.long or name not in LONG:
            measure()
    with tempfile.TemporaryDirectory(prefix="nrmbus-bench-") as scratch:
        rounds, closing = [], []
        for number in range(asked.rounds):
            announce(f"round {number + 1} of {asked.rounds}: in plain text, the registrar and the bare loop")
            home = Path(scratch) / f"round-{number}"
            beside = peer.peer if asked.long and number == 0 and peer.can_run() else None
            rounds.append(both(home / "plain", asked.events, asked.singles, 0.02, beside))
            announce(f"round {number + 1} of {asked.rounds}: closed, without and with letters")
            closing.append(closed(home / "closed", asked.events, asked.events // SHARE, asked.singles, 0.02))
        written = table(rounds, closing, Path(scratch), asked.events, facts)
    took = f"The whole run took {(time.monotonic() - started) / 60:.1f} minutes, most of them here: {longest()}."
    keep((BEGIN, END), [written, "", took])
    if asked.long:
        keep(PEER, [_dated(facts), "", *peer.lines(rounds[0])])


def measure_ledgers(facts: str, address: Address | None) -> None:
    """Measure a ledger in a file, and one at *address*, in one run."""
    now = datetime.now(UTC).replace(microsecond=0)
    with tempfile.TemporaryDirectory(prefix="nrmbus-bench-") as scratch:
        town = Town.at(Path(scratch) / "town", now)
        places: dict[str, Place] = {"file": Path(scratch) / "ledger.sqlite"} | ({"server": address} if address else {})
        found = {name: run(ledgers(town, place, now), place) for name, place in places.items()}
    keep(LEDGERS, [_dated(facts), "", *ledger_lines(found)])


def measure_webhooks(facts: str) -> None:
    """Measure the webhooks of a desk, and keep their table."""
    announce("webhooks")
    now = datetime.now(UTC).replace(microsecond=0)
    with tempfile.TemporaryDirectory(prefix="nrmbus-bench-") as scratch:
        found = asyncio.run(webhooks(Town.at(Path(scratch) / "town", now), Path(scratch), now))
    keep(WEBHOOKS, [_dated(facts), "", *webhook_lines(found)])


def measure_streams(facts: str) -> None:
    """Measure the streams of a desk's inbox, and keep their table."""
    announce("streams of a desk's inbox")
    with tempfile.TemporaryDirectory(prefix="nrmbus-bench-") as scratch:
        found = streams(Path(scratch), datetime.now(UTC).replace(microsecond=0))
    keep(STREAMS, [_dated(facts), "", *stream_lines(found)])


def measure_pages(facts: str) -> None:
    """Measure the work list of a desk, and keep its table."""
    announce("the work list of a desk")
    with tempfile.TemporaryDirectory(prefix="nrmbus-bench-") as scratch:
        found = pages(Path(scratch), datetime.now(UTC).replace(microsecond=0))
    keep(PAGES, [_dated(facts), "", *page_lines(found)])


def measure_figures(facts: str) -> None:
    """Measure the figures of a year, and keep their table."""
    announce("figures of a year")
    keep(FIGURES, [_dated(facts), "", *figure_lines(figures())])


def measure_desk(facts: str, publications: int, rounds: int) -> None:
    """Measure a desk, and keep its table."""
    with tempfile.TemporaryDirectory(prefix="nrmbus-bench-") as scratch:
        announce("a desk: door, inbox, memory")
        found = desk(Path(scratch) / "desk", publications, rounds)
    measured = f"Median of {rounds} rounds of {publications} publications."
    keep(DESK, [_dated(facts), measured, "", *desk_lines(found)])


def measure_growth(facts: str, counts: Sequence[int]) -> None:
    """Measure the start of a registrar on histories of *counts* registrations, and that of an auditor; keep both tables."""
    found, starts = [], []
    for count in sorted({*counts, *auditor_start.COUNTS}):
        announce(f"a history of {count:,} registrations is written")
        with tempfile.TemporaryDirectory(prefix="nrmbus-bench-") as scratch, history(Path(scratch), count) as written:
            if count in auditor_start.COUNTS:  # first, since the registrar's part adds to the history
                announce(f"the start of an auditor after {count:,} registrations")
                starts.append(auditor_start.started(written))
            if count in counts:
                announce(f"the start of a registrar after {count:,} registrations")
                found.append(grown(written))
    keep(GROWTH, [_dated(facts), "", *growth_lines(found)])
    keep(AUDITOR, [_dated(facts), "", *auditor_start.lines(starts)])


def measure_questions(facts: str) -> None:
    """Measure the questions of an auditor, and keep their table."""
    with tempfile.TemporaryDirectory(prefix="nrmbus-bench-") as scratch:
        announce("questions of the auditor")
        found = questions(Path(scratch) / "bus")
    before = (
        f"Ten of each, one after another, after {found.registrations} registrations, on a bus with {len(DESKS)} desks."
    )
    keep(QUESTIONS, [_dated(facts), before, "", *question_lines(found)])


def measure_sizes(facts: str, counts: Sequence[int]) -> None:
    """Measure the cost of an event with so many cases behind it, and keep the table."""
    announce("the cost of an event as cases grow")
    with tempfile.TemporaryDirectory(prefix="nrmbus-bench-") as scratch:
        found = sizes.sizes(Path(scratch) / "sizes", datetime.now(UTC).replace(microsecond=0), counts)
    keep(SIZES, [_dated(facts), "", *sizes.lines(found)])


def measure_peer(facts: str, events: int, singles: int) -> None:
    """Measure the registrar and Kafka Streams in one round, and keep the table."""
    found = None
    if peer.can_run():
        announce("the registrar, the bare loop and Kafka Streams")
        with tempfile.TemporaryDirectory(prefix="nrmbus-bench-") as scratch:
            found = both(Path(scratch) / "plain", events, singles, 0.02, peer.peer)
    keep(PEER, [_dated(facts), "", *peer.lines(found)])


def _dated(facts: str) -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {facts}."


def keep(marks: tuple[str, str], written: list[str]) -> None:
    """Print what was *written*, and write it between the *marks* in the README, with the first screen made again."""
    text = "\n".join(written)
    print(text)
    before, _, rest = README.read_text().partition(marks[0])
    _, _, after = rest.partition(marks[1])
    README.write_text(screen.with_screen(f"{before}{marks[0]}\n\n{text}\n\n{marks[1]}{after}"))


if __name__ == "__main__":
    main()
