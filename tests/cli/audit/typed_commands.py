"""The commands that read the history, typed without a broker: what they read is the first story, played in memory.

The auditor puts on record what they ask, is away, or says why not.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from auditor.played import first_audited
from nrmbus.auditor.history.history import Audited
from nrmbus.auditor.history.selection import time_of
from nrmbus.auditor.web.queries import MistypedQuery, find, finished, read_query
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.audit import erasure, on_record, own_reading, retention
from nrmbus.cli.audit.on_record import NoDoor
from typed import typed


class Commands:
    """A terminal of 100 columns, on a bus for playing that only has its folder."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen = first_audited()
        self.home = home
        BusFolder(home).create(play=True)

        self.jobs: int | None = None
        """Number of processes given to a command that reads the history without the auditor."""

        async def audited(_: BusFolder, *, signatures: str = "all") -> Audited:
            del signatures
            await asyncio.sleep(0)
            return self.seen

        def in_jobs(
            _: BusFolder, *, jobs: int | None = None, progress: Callable[[int, int], None] | None = None
        ) -> Audited:
            self.jobs = jobs
            if progress:
                progress(1, 2)
            return self.seen

        self.asked: list[dict[str, Any]] = []
        """Questions put on record, oldest first."""
        self.away: str | None = None
        """Code of the reason why the auditor records nothing, or None."""
        self.written: list[dict[str, Any]] = []
        """Written parts that the reporting desk names for its readable letters."""
        self.away_later: str | None = None
        """Code of the reason after the first question, or None."""

        def begin(_: object, _patience: float) -> None:
            if self.away:
                raise NoDoor(self.away)

        def put(_: object, question: dict[str, Any], _patience: float) -> dict[str, Any]:
            if self.away_later:
                raise NoDoor(self.away_later)
            self.asked.append(question)
            return {"partition": 0, "number": 4711}

        def hold(_: object, hold: dict[str, Any], _patience: float) -> dict[str, Any]:
            if self.away_later:
                raise NoDoor(self.away_later)
            self.held.append(hold)
            return {"partition": 0, "number": 4712}

        self.held: list[dict[str, Any]] = []
        """Holds that the auditor placed."""
        monkeypatch.setattr(retention, "audited", audited)
        monkeypatch.setattr(own_reading, "audited_in_jobs", in_jobs)
        for module in (on_record, erasure):  # nothing asks if a bus runs
            monkeypatch.setattr(module, "asked", on_record.Question)
        monkeypatch.setattr(on_record.AuditorsDoor, "begin", begin)
        monkeypatch.setattr(on_record.AuditorsDoor, "put", put)
        monkeypatch.setattr(on_record.AuditorsDoor, "answer", lambda _, *asked: self.answer(*asked))
        monkeypatch.setattr(on_record.AuditorsDoor, "hold", hold)
        monkeypatch.setenv("COLUMNS", "100")

    def answer(self, inquiry: dict[str, Any], _patience: float) -> dict[str, Any]:
        """Put the question of *inquiry* on record, and answer as the auditor's door does."""
        if self.away_later:
            raise NoDoor(self.away_later)
        found = None
        said: dict[str, Any]
        try:
            found = find(read_query(inquiry["query"]), self.seen, time_of(BusFolder(self.home), self.seen.history))
            said = {"what": found.what, "answer": finished(found.steps)}
        except MistypedQuery as error:
            raise NoDoor("mistyped", str(error)) from None
        except BusError as error:
            said = {"what": "search", "problem": str(error)}
        about = {"case": found.case, "event": found.event} if found else {}
        asked = {"actor": inquiry["actor"], "purpose": inquiry["purpose"], "what": said["what"], **about}
        self.asked.append({name: each for name, each in asked.items() if each is not None})
        answered: dict[str, Any] = json.loads(json.dumps({"number": 4711, **said}))
        return answered

    @property
    def case(self) -> str:
        """Return the story's only case."""
        (subject,) = self.seen.history.spoken_of()
        return subject

    def type(self, *arguments: str | Path) -> Result:
        """Type ``nrmbus`` with *arguments*."""
        return typed(*arguments, "--data", self.home)

    def shown(self, *arguments: str | Path) -> str:
        """Return the output of a command that succeeds."""
        result = self.type(*arguments)
        assert result.exit_code == 0, result.exception
        return result.stdout

    def refused(self, *arguments: str | Path) -> str:
        """Return the sentence with which the command refuses."""
        result = self.type(*arguments)
        assert isinstance(result.exception, BusError), result.exception
        return str(result.exception)
