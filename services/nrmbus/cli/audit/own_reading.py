"""Reading of the history by a command itself: for commands that the auditor cannot answer, and off the record."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nrmbus.auditor.history.history import Audited
from nrmbus.auditor.history.selection import time_of
from nrmbus.auditor.history.whole import audited_in_jobs
from nrmbus.auditor.web.queries import MistypedQuery, find, finished, read_query
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.audit.on_record import What, read_at_the_operator


def verified(folder: BusFolder, jobs: int | None = None) -> Audited:
    """Return the whole history of the bus in *folder*, read in *jobs* processes, or in as many as pay.

    Raises as `nrmbus.auditor.history.whole.audited`, and as `read_at_the_operator`.
    """
    read_at_the_operator(folder)
    gc.disable()  # all of it is kept: looking through it for garbage would take a third of the time
    try:
        with progress() as told:
            return audited_in_jobs(folder, jobs=jobs, progress=told)
    finally:
        gc.enable()


@contextmanager
def progress() -> Iterator[Callable[[int, int], None] | None]:
    """Show a progress bar on standard error; nothing if that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Without a thread that refreshes it: nothing may fork beside another thread.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task("verifying", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total, refresh=True)


def answered(
    folder: BusFolder,
    query: dict[str, Any],
    record: Callable[[What, str | None, str | None], object],
    jobs: int | None = None,
) -> dict[str, Any]:
    """Return the answer to *query* from the history read here, once *record* has the subject: what, case, event.

    Raises:
        BusError: as `verified`, or nothing is found; *record* has the search then.
    """
    seen = verified(folder, jobs)
    try:
        found = find(read_query(query), seen, time_of(folder, seen.history))
    except MistypedQuery:
        raise
    except BusError:
        record("search", None, None)
        raise
    record(found.what, found.case, found.event)
    return finished(found.steps)
