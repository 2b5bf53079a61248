"""A bus in the foreground: runs until a signal, shows progress, and names the services that are not ready."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from nrmbus.bus.embedded.jars import Progress
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.replicas import parted
from nrmbus.cli import health
from nrmbus.host.services import SERVICES

NAMED_SECONDS: Final = 10.0
"""Seconds before the services that are not ready are named, and between two such lines."""
LOOK_SECONDS: Final = 0.5
STARTING: Final = "Starting services"


class Ended(KeyboardInterrupt):
    """Signal to end: Ctrl-C, SIGTERM, or the terminal's closing.

    Of all that a signal can raise inside an event loop, asyncio lets only a KeyboardInterrupt out.
    """


@contextmanager
def until_told() -> Iterator[None]:
    """Leave the block cleanly at the first signal to end; later signals do not disturb the clean-up."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def ended(_number: int, _frame: object) -> NoReturn:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise Ended

    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, ended)
    try:
        yield
    except Ended:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Yield a function that reports progress on standard error: bars on a terminal, and else one line for each thing."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    bar = Bars(*columns, console=console, disable=not console.is_terminal)
    tasks: dict[str, TaskID] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in tasks:
            for ended in bar.task_ids:
                bar.remove_task(ended)  # the line of the ended task is printed already
            bar.start()
            tasks[what] = bar.add_task(what, total=None)
            if bar.disable:
                typer.echo(f"{what} …", err=True)
        # Nobody knows how far a thing is that has but one step: the bar only moves.
        bar.update(tasks[what], completed=done, total=total if total > 1 or done else None)
        if done == total:
            bar.stop()  # before the command prints anything else

    try:
        yield show
    finally:
        bar.stop()


def wait_until_ready(
    folder: BusFolder,
    notify: Callable[[str], None],
    progress: Progress = lambda _what, _done, _total: None,
    *,
    on_bus_ready: Callable[[], None] = lambda: None,
) -> None:
    """Wait until every service, desk and public page here says that it is ready; name the others from time to time.

    *progress* hears how many are ready. *on_bus_ready* is called once, when the bus's own services are ready: a desk may
    stand still for days until a person has looked.

    The desk of an agency that is suspended or retired does not run, and is not waited for.
    """
    due = time.monotonic() + NAMED_SECONDS
    named: dict[str, str] = {}
    is_bus_ready = False
    while True:
        unready = health.not_ready(folder)
        if not is_bus_ready and SERVICES.keys().isdisjoint(parted(name)[0] for name in unready):
            is_bus_ready = True
            on_bus_ready()
        if not unready:
            break
        count = len({*health.expected(folder), *unready})
        progress(STARTING, count - len(unready), count)
        if time.monotonic() >= due and unready != named:
            named, due = unready, time.monotonic() + NAMED_SECONDS
            each = " ".join(f"{name}: {why}" for name, why in sorted(unready.items()))
            notify(f"Not ready yet: {each} Logs are in {folder.logs}.")
        time.sleep(LOOK_SECONDS)
    progress(STARTING, 1, 1)
