"""What tests of several rooms share: a real broker.

``broker`` is one for the whole session; `Broker.fresh_bus` empties it, which takes 0.3 s. ``kafka`` is one of its own for
a module that kills or reconfigures it, which takes 1.5 s. Neither touches the network once Kafka is in the cache.
"""

import gc
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from fastapi.dependencies import models
from hypothesis import settings

import go_tools
import languages
from brokers import Broker, running
from module_marks import module_marks
from postgres import SERVERS
from quick_ledgers import share_compiled, share_tables
from trail import PARTS, WATCH

# The wall's time of one example says who else had the processor; an example that hangs meets pytest's own limit.
settings.register_profile("nrmbus", deadline=None)
settings.load_profile("nrmbus")

_LONGEST_FIRST: Final = ("broker", "slow", "oracle")
"""Files with such tests begin before all others, in this order: most of their time they wait, and the last to end delays all."""

_LEAVES_OUT: Final = re.compile(r"not [a-z]+(?: and not [a-z]+)*")
"""Form of ``-m`` in the Makefile: every test without any of these marks."""

_COLLECTOR_LOOKS: Final = (50_000, 50, 50)
"""How seldom Python's garbage collector looks; with its own 700 it took 4 to 8 % of a worker's processor."""


def pytest_report_header() -> list[str]:
    """Say aloud what the machine lacks for a part of the tests."""
    without_server = "PostgreSQL is not installed: ledgers are tested in files alone (apt-get install postgresql)"
    return [*([] if SERVERS else [without_server]), *go_tools.missing(), *languages.missing()]


def pytest_configure(config: pytest.Config) -> None:
    """Name each failure when it happens: a run of many minutes says so at its end only, and an ended run never."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Failures(config))


class _Failures:
    """Writes the test and the first line of its error below the dots of the run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal is not None:
            crash = getattr(report.longrepr, "reprcrash", None)
            error = "" if crash is None else f": {crash.message.partition(chr(10))[0]}"
            terminal.line("")  # the dots end without one
            terminal.line(f"failed ({report.when}) {report.nodeid}{error}", red=True)


# -- several workers (pytest -n) -----------------------------------------------------------------------------------------


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Return the number of workers for ``-n auto``: three for two processors, since tests with a broker wait for it now and then.

    A fourth would gain nothing: each bus takes a quarter of a processor while it waits.
    """
    return None if config.option.numprocesses == "logical" else -(-3 * (os.cpu_count() or 1) // 2)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import a module of which ``-m`` leaves out every test: each worker would import it."""
    wanted = config.option.markexpr
    if collection_path.suffix != ".py" or not _LEAVES_OUT.fullmatch(wanted):
        return None
    return True if module_marks(collection_path) & {*wanted.split()} else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what builds a whole desk; put the files that take longest first. One worker runs a whole file."""
    for item in items:
        if "thorough" in module_marks(item.path):
            item.add_marker(pytest.mark.thorough)
    if hasattr(config, "workerinput"):
        begins: dict[Path, int] = {}
        for item in items:
            begins[item.path] = min(begins.get(item.path, len(_LONGEST_FIRST)), _turn(item))
        items.sort(key=lambda item: begins[item.path])


def _turn(item: pytest.Item) -> int:
    turns = (turn for turn, name in enumerate(_LONGEST_FIRST) if item.get_closest_marker(name))
    return next(turns, len(_LONGEST_FIRST))


def pytest_collection_finish() -> None:
    """Have Python's garbage collector pass over what was collected: a look through it takes longer than most tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTOR_LOOKS)


# -- what tests share ----------------------------------------------------------------------------------------------------


def _parts_of(request: pytest.FixtureRequest) -> set[str]:
    marker = request.node.get_closest_marker("broken_trail")
    return {each for each in PARTS if marker is None or (marker.args and each not in marker.args)}


@pytest.fixture(scope="session", autouse=True)
def _watched() -> Iterator[None]:
    """Have every bus, and every play in memory, looked at before it goes."""
    with pytest.MonkeyPatch.context() as patch:
        WATCH.install(patch)
        yield
    WATCH.end()


@pytest.fixture(scope="session", autouse=True)
def _made_once() -> Iterator[None]:
    """Compile each statement of a ledger once a process, and make its tables once: they took a fifth of the desks' tests."""
    with pytest.MonkeyPatch.context() as patch:
        share_compiled(patch)
        share_tables(patch)
        yield


@pytest.fixture(autouse=True)
def _trail(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever the test did to a bus that it began, the trail is whole at its end (`trail.check_trail`)."""
    WATCH.parts, since = _parts_of(request), WATCH.begun
    yield
    try:
        WATCH.end(since)
    finally:
        WATCH.parts = PARTS


@pytest.fixture(scope="module", autouse=True)
def _forgotten() -> Iterator[None]:
    """Let go of the desks that a module built: FastAPI remembers 4,096 methods of doors, and each its desk and its mocks.

    With a million objects kept, one look of Python's garbage collector took longer than any test.
    """
    yield
    for each in vars(models).values():
        if hasattr(each, "cache_clear"):
            each.cache_clear()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for the whole session; begin each test with `Broker.fresh_bus`."""
    with running(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="module")
def kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of this module's own, to be killed or reconfigured at will."""
    with running(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker
        WATCH.parts = _parts_of(request)
    WATCH.end(WATCH.begun)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests measured, and the files that are long enough for a reviewer to ask about (`contract/test_sizes.py`)."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "long_files" and value:
                terminalreporter.write_line(
                    "Does each of these long files have one subject? " + ", ".join(map(str, value))
                )
            if name == "measured":
                terminalreporter.write_line(f"measured: {value}")
