"""The first story on a real bus, told by filling in forms, and then a search: what stood in its letters stands nowhere else."""

import asyncio
import base64
import gzip
import io
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from brokers import Broker
from canaries import content_of, files_with, holds, processes_with
from collector import Collector, collecting
from nrmbus.auditor.reports.traces import all_spans, spans_of
from nrmbus.auditor.reports.waterfall import waterfall
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.cli.app import app
from nrmbus.cli.membership.keys import private_keys
from nrmbus.client.door import Door
from nrmbus.host.supervisor import Supervisor
from nrmbus.play import traces_left
from nrmbus.play.player import play
from nrmbus.play.reader import parse
from nrmbus.play.report import Report
from play.by_pages import PagesStage
from play.stories import WOMAN, text_of

pytestmark = pytest.mark.broker

WORD = "CANARY-"
"""How every made-up content of a letter begins."""


class Played:
    """A bus on which the first story was played, and which is still up."""

    def __init__(self, folder: BusFolder, collector: Collector, report: Report, around: list[str]) -> None:
        self.folder, self.collector, self.report = folder, collector, report
        self.around = around
        """Addresses and headers of all that the browsers asked for and got."""

    def pages(self) -> dict[str, bytes]:
        """The metrics of every service."""
        return asyncio.run(self._pages())

    async def _pages(self) -> dict[str, bytes]:
        homes = {name: self.folder.agency(name).path for name in self.folder.agencies()}
        homes |= {name: self.folder.service(name) for name in ("registrar", "timekeeper", "auditor")}
        shown = {}
        for name, home in homes.items():
            async with Door.of(home) as door:
                shown[name] = (await door._http.get("/metrics")).raise_for_status().content
        return shown


@pytest.fixture(scope="module", name="played")
def _played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = BusFolder(tmp_path_factory.mktemp("played") / "bus")
    folder.create(play=True)
    with collecting() as collector, pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with Supervisor(folder):
            with PagesStage(folder) as stage:
                report = play(parse(text_of(WOMAN), "woman.yaml"), stage)
            yield Played(folder, collector, report, stage.around)


def test_the_story_has_what_must_not_be_found() -> None:
    """The search below would find nothing in a story without any."""
    assert text_of(WOMAN).count(WORD) > 5


def test_the_first_story_is_played_by_filling_in_forms(played: Played) -> None:
    """Scenario 1, every expectation, through the pages of its agencies: no script, and nothing but what a page offers."""
    assert [str(failure) for failure in played.report.failures] == []


def test_no_address_and_no_header_of_a_page_has_it(played: Played) -> None:
    """P9: what a browser's history, a proxy or a log of requests would keep of the whole story."""
    assert len(played.around) > 200
    assert not any(WORD in each for each in played.around)


def test_no_file_of_the_bus_has_it(played: Played) -> None:
    """P2: not the broker's files, no log, no quarantine, no ledger nor its journal, no list of services: letters are sealed."""
    assert files_with(played.folder.path, WORD) == []


def test_no_process_has_it_in_arguments_or_environment(played: Played) -> None:
    """Arguments and environment of a process are readable by other accounts or crash reports."""
    count, told = processes_with(str(played.folder.path), WORD)

    assert count, "there are processes of this bus"
    assert told == 0


def test_nothing_of_it_lies_beside_the_bus(played: Played) -> None:
    """No file of a crash, and none that somebody left beside the folder of the bus."""
    beside = [path for path in played.folder.path.parent.iterdir() if path != played.folder.path]

    assert beside == []
    assert not [path for path in played.folder.path.rglob("*") if path.name.startswith(("core", "hs_err", "java_pid"))]


def test_no_file_but_its_own_has_a_private_key(played: Played) -> None:
    """Not the broker's records, no log, no span, no ledger: as bytes, in hex, in base64; of some that were used a lot."""
    folder = played.folder
    homes = [folder.path, folder.service("registrar"), folder.agency("ngo-a").path]
    keys = {path: path.read_bytes() for home in homes for path in sorted((home / "keys").glob("*.seed"))}
    assert len(keys) >= 8
    forms = [form for seed in keys.values() for form in (seed, seed.hex().encode(), base64.b64encode(seed))]
    raw = set(private_keys(folder))
    files = [path for path in folder.path.rglob("*") if path.is_file() and path not in raw]
    assert len(files) > 100
    for path in files:
        content = content_of(path)
        assert not any(form in content for form in forms), path.name


def test_one_waterfall_shows_every_service_that_had_to_do_with_an_event(played: Played) -> None:
    """Sender, relay, registrar, timekeeper, auditor, receiver: all kept their spans, in files that were searched above."""
    steps = {
        ("ngo-a", "create"), ("ngo-a", "send"), ("registrar", "register"), ("ngo-a", "process"),
        ("timekeeper", "watch"), ("auditor", "audit"), ("special-unit", "process"),
    }  # fmt: skip
    (event,) = {each.event for each in all_spans(played.folder) if each.type == "case.signal_recorded"}
    rows = waterfall(spans_of(played.folder, event))

    assert steps == {(row.span.service, row.span.name) for row in rows if row.depth == 1 or row.span.event == event}


def test_no_span_has_it(played: Played) -> None:
    """P10: what every service exported about the whole story."""
    assert len(played.collector.spans) > 50
    assert not any(holds(raw, WORD) for raw in played.collector.raw)


def test_no_metric_has_it(played: Played) -> None:
    """P10: every service shows numbers, and none names a content, a case or an agency."""
    pages = played.pages()
    ledger = played.folder.agency("special-unit").ledger
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        cases = [case for (case,) in connection.execute("SELECT DISTINCT subject FROM events")]

    assert cases
    assert [name for name, page in pages.items() if b"nrmbus_ready 1.0" not in page] == []
    assert not any(holds(page, word) for page in pages.values() for word in (WORD, *cases, *played.folder.agencies()))


def test_the_numbers_of_a_played_story_are_there(played: Played) -> None:
    """Each service shows the numbers that only this service knows; no number of an alert is missing."""
    pages = {name: page.decode() for name, page in played.pages().items()}

    assert 'nrmbus_handled_total{code="none",outcome="registered"}' in pages["registrar"]
    assert "nrmbus_quarantined_records_total 0.0" in pages["registrar"]
    assert "nrmbus_clocks_overdue " in pages["timekeeper"]
    assert "nrmbus_checkpoint_age_seconds " in pages["auditor"]
    assert "nrmbus_registrations_unsigned " in pages["auditor"]
    assert "nrmbus_inbox_lag_records 0.0" in pages["special-unit"]
    assert "nrmbus_certificate_left_seconds " in pages["special-unit"]
    of_all = ("nrmbus_restarts_total ", "nrmbus_disk_free_bytes ", "process_start_time_seconds ")
    assert [(name, each) for name, page in pages.items() for each in of_all if each not in page] == []


def test_the_history_went_by_the_rules(played: Played) -> None:
    """Judged again, nothing was let in and nobody told beside the Rules, by the command that an auditor runs."""
    told = CliRunner().invoke(app, ["auditor", "judge", "--data", str(played.folder.path)])

    assert (told.exit_code, "follows the Rules" in told.output) == (0, True), told.output


def test_the_ledgers_hold_the_letters_closed(played: Played) -> None:
    """P2: the special unit's ledger has the referral's letter, and it is the sealed one."""
    ledger = played.folder.agency("special-unit").ledger
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as connection:
        letters = [letter for (letter,) in connection.execute("SELECT letter FROM events WHERE letter IS NOT NULL")]
    connection.close()

    assert letters
    assert all(letter.startswith(b"nrl1nrm1") for letter in letters)


def _zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("evidence/letter.json", content * 9)
    return file.getvalue()


def _deleted(content: str) -> bytes:
    """A database from which *content* was deleted, and not overwritten."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        made.execute("PRAGMA secure_delete=OFF")
        made.execute("CREATE TABLE letters (letter)")
        made.execute("INSERT INTO letters VALUES (?)", (content * 900,))
        made.execute("DROP TABLE letters")
        return made.serialize()


@pytest.mark.parametrize(
    "line",
    [
        b"CANARY-by-hand",
        b'{"payload":"eyJuYW1lIjoiQ0FOQVJZLWJ5LWhhbmQifQ=="}',
        "CANARY-by-hand".encode("utf-16"),
        b"CANARY-by-hand".hex().encode(),
        b"CANARY-by-hand".hex().upper().encode(),
        b"before" + gzip.compress(b"CANARY-by-hand"),
        b"before" + zlib.compress(b"CANARY-by-hand"),
        b"twice" + zlib.compress(gzip.compress(b"CANARY-by-hand")),
        _zipped(b"CANARY-by-hand"),
        "".join(f"\\u{each:04x}" for each in b"CANARY-by-hand").encode(),
        "".join(f"%{each:02X}" for each in b"CANARY-by-hand").encode(),
        _deleted("CANARY-by-hand"),
    ],
    ids=[
        "plainly", "inside a signed statement", "as Windows writes it", "in hex", "in large hex", "by gzip", "by zlib",
        "packed twice", "in a zip", "as JSON escapes it", "as addresses escape it", "on a page that SQLite has given up",
    ],
)  # fmt: skip
def test_one_written_by_hand_is_found(played: Played, line: bytes) -> None:
    """Sabotage: the search finds a canary in a log, in whatever way it may have got there."""
    log = Path(played.folder.logs / "by-hand.log")
    log.write_bytes(line + b"\n")
    try:
        assert files_with(played.folder.logs, WORD) == ["by-hand.log"]
    finally:
        log.unlink()


@pytest.mark.parametrize("where", ["key", "value", "headers"])
async def test_a_word_on_a_cluster_of_somebody_else_is_found(broker: Broker, where: str) -> None:
    """Sabotage: given a bus made with --bootstrap, whose broker keeps no file here, then its topics are searched."""
    folder = broker.fresh_bus(agencies=["ngo-a"])
    word = "CANARY-Məryəm"
    assert not folder.kafka.exists()
    assert traces_left.found(folder, [word]) == ()
    record: dict[str, Any] = {"key": b"key", "value": b"value", "headers": [("name", b"header")]}
    record[where] = [("name", word.encode())] if where == "headers" else word.encode()
    async with clients.producer(folder.as_operator) as producer:
        await producer.send_and_wait("nrm.outbox.ngo-a", **record)

    assert traces_left.found(folder, [word]) == ("broker",)
    assert traces_left.found(folder, ["CANARY-Alina"]) == ()
