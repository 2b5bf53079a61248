"""Record of each command that shows the history: who asks, what, and for which purpose, before anything is shown.

The running auditor records the question, and answers `nrmbus replay`, `why` and `reads` too (`nrmbus.auditor.web.questions`).
If it cannot, nothing is shown, except with ``--off-the-record``: then the question is noted on this machine first,
announced, and recorded as soon as possible, and the command reads the history itself.

A command whose question the auditor answers imports neither Kafka's client nor the models: they take longer than the answer.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from nrmbus.auditor.web.names import OFF_THE_RECORD, Purpose
from nrmbus.auditor.web.users import Users
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli import local_door
from nrmbus.cli.actor import account

What = Literal["case", "event", "search", "figures", "export", "person_report"]

START_SECONDS: Final = 20.0
"""Seconds for the auditor to open its door on a bus that was just started."""
PATIENCE_SECONDS: Final = 20.0
"""Seconds that an answer may take: twice the auditor's patience with the registrar; the time of reading before is added."""
READING_SECONDS: Final = 600.0
"""Seconds that the auditor may take to read its history for the first question, and to prove a large case."""


As = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="NAME",
        help="Ask as this user of the auditor; the command asks for the password. (default: this machine's account)",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Options about a question to the history: the asker, the purpose, and whether an unrecorded answer will do."""

    name: As = None
    purpose: Annotated[Purpose, typer.Option(help="Purpose that is recorded with the question.")] = "audit"
    off_the_record: Annotated[
        bool,
        typer.Option(
            "--off-the-record",
            help="Show it even if the question cannot be recorded now; it is noted here and recorded later.",
        ),
    ] = False

    def question(self, folder: BusFolder) -> "Question":
        """Return the question of a command that reads the history of a running bus; raises as `asked`."""
        return asked(folder, self.name, self.purpose, off=self.off_the_record)

    def question_offline(self, folder: BusFolder) -> "Question":
        """Return the question of a command that can also answer while the bus does not run; raises as `Question`."""
        return Question(folder, self.name, self.purpose, off=self.off_the_record)


_ALL_THE_SAME: Final = "--off-the-record shows it anyway, notes the question here and records it later."
_SENTENCES: Final = {
    "unreachable": "The auditor does not answer, so the question cannot be recorded: nrmbus up, or nrmbus run auditor",
    "not_ready": "The auditor is still starting, so the question cannot be recorded: ask again",
    "unanswered": "The registrar has not recorded the question in time: look at the logs of registrar and auditor, and ask again",
    "not_verified": "The history that the auditor reads does not verify, so nothing can be recorded: "
    "keep the broker's data as they are, and ask the bus's operator",
    "not_a_question": "The auditor does not know who asks: nrmbus auditor user list",
    "checkpoint_due": "The auditor's log does not have this case yet: look at the auditor's log, and export again",
    "not_on_record": "The auditor does not find the record of this export: export again",
    "state_damaged": "A file of the auditor's log is damaged: start the auditor again, which makes its log again from the history",
    "not_found": "The auditor reads another history than this command: keep the broker's data as they are, and ask the "
    "bus's operator",
}
_NO_AUDITOR: Final = (
    "The auditor does not answer, and only its log can prove the registrations: nrmbus up, or nrmbus run auditor, "
    "then export again"
)
_ELSEWHERE: Final = (
    "The history can be read on the operator's machine only, where the auditor records every reading: ask there. "
    "The events that an agency received are here: nrmbus inbox AGENCY."
)
_AT_THE_AUDITOR: Final = (
    "The auditor of this bus works on a machine of her own, and questions to the history are recorded there only: ask "
    "there. Nothing is shown."
)
_REFUSED: Final = "The registrar refused to record the question ({code}): look at the logs of registrar and auditor"


class NoDoor(Exception):
    """Raised when the auditor records nothing; ``code`` says why, and ``sentence`` what was mistyped, if anything was."""

    def __init__(self, code: str, sentence: str = "") -> None:
        super().__init__(code)
        self.code, self.sentence = code, sentence


class AuditorsDoor:
    """Door of the running auditor whose folder is *home*."""

    def __init__(self, home: Path) -> None:
        """Read *home*/door.json at each request: the auditor may start meanwhile."""
        self._home = home

    def begin(self, patience: float) -> str | None:
        """Announce a question; return where and why the auditor has stopped, or None if it runs. Raises NoDoor."""
        until = time.monotonic() + patience
        while True:
            try:
                trouble = self._ask("GET", 5.0).get("trouble")
                return str(trouble) if trouble else None
            except NoDoor as error:
                if error.code not in ("unreachable", "not_ready") or time.monotonic() >= until:
                    raise
            time.sleep(0.1)

    def put(self, question: dict[str, Any], patience: float) -> dict[str, Any]:
        """Have *question* recorded; return its ``partition`` and ``number``. Raises NoDoor."""
        return self._ask("POST", patience, question)

    def answer(self, inquiry: dict[str, Any], patience: float) -> dict[str, Any]:
        """Have the question of *inquiry* recorded; return its ``number``, ``what``, and the ``answer`` or ``problem``. Raises NoDoor."""
        return self._ask("POST", patience, inquiry, "/answers")

    def hold(self, hold: dict[str, Any], patience: float) -> dict[str, Any]:
        """Have the auditor place a *hold*; return its ``partition`` and ``number``. Raises NoDoor."""
        return self._ask("POST", patience, hold, "/holds")

    def cases(self, ref: str, patience: float) -> list[str]:
        """Return which cases *ref* may mean, two at most. Raises NoDoor."""
        return [str(each) for each in self._ask("POST", patience, {"ref": ref}, "/cases")["cases"]]

    def evidence(self, case: str, number: int | None, patience: float) -> bytes:
        """Return the evidence of *case*, whose export is the record *number*, or off the record. Raises NoDoor."""
        body = {"case": case} if number is None else {"case": case, "number": number}
        return self._answer("POST", patience, body, "/evidence")

    def _ask(
        self, method: str, patience: float, body: dict[str, Any] | None = None, path: str = "/questions"
    ) -> dict[str, Any]:
        return dict(json.loads(self._answer(method, patience, body, path)))

    def _answer(self, method: str, patience: float, body: dict[str, Any] | None, path: str) -> bytes:
        code, sentence = "unreachable", ""
        with suppress(OSError, ValueError, KeyError, HTTPException):  # their texts name addresses
            status, raw = local_door.asked(self._home, method, path, patience, body)
            if status == HTTPStatus.OK:
                return raw
            said = json.loads(raw)
            code, sentence = str(said["code"]), str(said.get("sentence", ""))
        raise NoDoor(code, sentence)


class Question:
    """Question of one command: record it with `put`, then show the answer."""

    def __init__(self, folder: BusFolder, name: str | None, purpose: Purpose, *, off: bool | None) -> None:
        """Find who asks, and whether the question can be recorded; ask for a password if *name* is given.

        *off* says whether an unrecorded answer will do; None if the command does not offer that.

        Raises:
            BusError: the question cannot be recorded and *off* is not True; the auditor is on another machine; or no
                user has *name* and password.
        """
        folder.settings  # noqa: B018 - raises where no bus was made
        _ask_where_recorded(folder)
        self._folder, self._home, self._purpose, self._off = folder, folder.service("auditor"), purpose, off
        self._actor = _actor(self._home, name)
        self._door = AuditorsDoor(self._home)
        self._why = ""
        self._began = time.monotonic()
        try:
            trouble = self._door.begin(START_SECONDS if folder.is_held else 0.0)
            if trouble:
                _notify(f"THE AUDITOR HAS STOPPED: the history is not what it must be ({trouble}).")
        except NoDoor as error:
            self._cannot(error.code)

    def _cannot(self, code: str) -> None:
        self._why = code
        if not self._off:
            sentence = _SENTENCES.get(code, _REFUSED.format(code=code))
            raise BusError(f"{sentence}. Nothing is shown{'.' if self._off is None else f'; {_ALL_THE_SAME}'}")

    def put(self, what: What, case: str | None = None, event: str | None = None) -> int | None:
        """Record that *what* is read, of *case* and *event* if given; afterwards the answer may be shown.

        Return the number of the record, or None if the question was noted to be recorded later.

        Raises:
            BusError: the question is not recorded, and the answer may not be shown off the record.
        """
        if not self._why:
            asked = {"actor": self._actor, "purpose": self._purpose, "what": what, "case": case, "event": event}
            body = {name: each for name, each in asked.items() if each is not None}
            try:
                record = self._door.put(body, self._patience)
            except NoDoor as error:
                self._cannot(error.code)
            else:
                self._recorded(record["number"], what)
                return int(record["number"])
        self._write_down(what, case, event)
        return None

    def answered(self, query: dict[str, Any], jobs: int | None = None) -> dict[str, Any]:
        """Record the question about what *query* finds, and return the answer (`nrmbus.auditor.web.queries`).

        The running auditor answers from its verified history; off the record, this command reads the history
        itself, in *jobs* processes.

        Raises:
            BusError: the question is not recorded, and may not be shown off the record; or it finds nothing.
        """
        query = {name: each for name, each in query.items() if each is not None}
        if not self._why:
            inquiry = {"actor": self._actor, "purpose": self._purpose, "query": query}
            try:
                said = self._door.answer(inquiry, READING_SECONDS)
            except NoDoor as error:
                if error.sentence:
                    raise BusError(error.sentence) from None
                self._cannot(error.code)
            else:
                self._recorded(said["number"], said["what"])
                if "problem" in said:
                    raise BusError(said["problem"])
                return dict(said["answer"])
        # Imported here: an auditor that runs has all of this loaded.
        from nrmbus.cli.audit.own_reading import answered  # noqa: PLC0415

        return answered(self._folder, query, self.put, jobs)

    def _recorded(self, number: int, what: str) -> None:
        _notify(f"Recorded as number {number}: {what}, by {self._actor}, for {self._purpose}.")

    def hold(self, case: str, reasons: list[str], until: str) -> int | None:
        """Have the auditor keep *case* from being erased through the day *until*; return the number of the registration.

        Return None if no answer came: the auditor or the registrar may have the hold, and register it later.

        Raises:
            BusError: it is not registered.
        """
        try:
            body = {"actor": self._actor, "case": case, "reasons": reasons, "until": until}
            return int(self._door.hold(body, self._patience)["number"])
        except NoDoor as error:
            code = error.code
        if code in ("unanswered", "unreachable"):
            return None
        from nrmbus.rules import load_profile  # noqa: PLC0415 - as in `answered`

        rules = load_profile(self._folder.settings.policy).refusals.values()
        why = next((each.says for each in rules if each.code == code), "look at the logs of registrar and auditor.")
        raise BusError(f"The hold is not registered ({code}): {why}")

    def needs_the_auditor(self) -> None:
        """Return if the auditor's door answers; what only the auditor has cannot be shown off the record either.

        Raises:
            BusError: the auditor does not run.
        """
        if self._why in ("unreachable", "not_ready"):
            raise self._no_evidence(self._why)

    def cases(self, ref: str) -> Iterator[str]:
        """Yield which cases *ref* may mean, by the auditor's history; none of them may be shown before `put`.

        Raises:
            BusError: the auditor does not answer, or its history does not verify.
        """
        try:
            yield from self._door.cases(ref, READING_SECONDS)
        except NoDoor as error:
            raise self._no_evidence(error.code) from None

    def evidence(self, case: str, number: int | None) -> bytes:
        """Return the evidence of *case* from the running auditor, once `put` has answered *number*.

        Raises:
            BusError: the auditor does not answer, or cannot prove anything of the case.
        """
        try:
            return self._door.evidence(case, number, READING_SECONDS)
        except NoDoor as error:
            raise self._no_evidence(error.code) from None

    @property
    def _patience(self) -> float:
        """Return how long an answer may take; the longer the history took so far, the longer."""
        return PATIENCE_SECONDS + 4 * (time.monotonic() - self._began)

    def _no_evidence(self, code: str) -> BusError:
        sentence = _SENTENCES.get(code, f"The auditor cannot write the evidence ({code}): look at its log")
        if code == "unreachable":
            sentence = _NO_AUDITOR
        return BusError(f"{sentence}. Nothing is written.")

    @contextmanager
    def finding(self) -> Iterator[None]:
        """Look up a case or event in the block; the answer that there is none, or several, is recorded before it is given.

        Raises:
            BusError: as the block does, or as `put`.
        """
        try:
            yield
        except BusError:
            self.put("search")
            raise

    def _write_down(self, what: What, case: str | None, event: str | None) -> None:
        from nrmbus.auditor.web.access_log import Question as Asked  # noqa: PLC0415 - as in `answered`
        from nrmbus.auditor.web.offline_log import OffTheRecord  # noqa: PLC0415

        asked = Asked(self._actor, self._purpose, what, case or Users(self._home).own_number(), event)
        try:
            OffTheRecord(self._home).note(asked, wall_now(), self._why)
        except OSError as error:
            raise BusError(
                f"{self._home / OFF_THE_RECORD} cannot be written ({error.strerror}), so nothing is shown: make room for it."
            ) from None
        _notify(
            f"OFF THE RECORD ({self._why}): {what}, by {self._actor}, for {self._purpose}. It is noted in "
            f"{self._home / OFF_THE_RECORD}, and the auditor records it as soon as it can."
        )


@contextmanager
def refused_on_record(folder: BusFolder, what: What = "search", case: str | None = None) -> Iterator[None]:
    """Have a refusal in the block recorded by the auditor, for a command that the agencies' desks record otherwise.

    Raises:
        BusError: as the block does, once that is recorded; or the refusal cannot be recorded, and is not shown.
    """
    try:
        yield
    except BusError:
        asked(folder, None, "person_request", off=None).put(what, case)
        raise


def read_at_the_operator(folder: BusFolder) -> None:
    """Check that the history can be read here.

    Raises:
        BusError: *folder* was made by `nrmbus join`; the history is read and recorded on the operator's machine.
    """
    if folder.is_joined and not (folder.service("auditor") / "keys").exists():
        raise BusError(_ELSEWHERE)


def _ask_where_recorded(folder: BusFolder) -> None:
    """Check that a question can be recorded here, now or later.

    Off the record is no way around: only an auditor's process records a noted question, and none ever runs here.

    Raises:
        BusError: the auditor is on another machine.
    """
    read_at_the_operator(folder)
    if folder.audited_elsewhere:
        raise BusError(_AT_THE_AUDITOR)


def asked(folder: BusFolder, name: str | None, purpose: Purpose, *, off: bool | None) -> Question:
    """Return the question of a command that reads the history of a running bus; raises as `Question`, and NoBus."""
    folder.bootstrap  # noqa: B018 - raises where no bus runs
    return Question(folder, name, purpose, off=off)


def _actor(home: Path, name: str | None) -> str:
    users = Users(home)
    if name is None:
        return users.account(account())
    password = typer.prompt(f"Password of {name}", hide_input=True, err=True)
    actor = users.signed_in(name, password)
    if actor is None:
        raise BusError("Name or password is wrong: nrmbus auditor user list, or leave --as out.")
    return actor


def _notify(sentence: str) -> None:
    """Print on standard error: standard output is for the next program."""
    typer.echo(sentence, err=True)
    sys.stderr.flush()
