"""A stage over a bus with failing doors, absent desks or double deliveries."""

import signal
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nrmbus.auditor.history.history import History
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_json
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError, RequestRefused, TokenRefused, Unavailable, Unreachable
from nrmbus.directory import Directory
from nrmbus.play.bus import BusStage
from nrmbus.play.quiet import Quiet
from nrmbus.play.stage import Outcome, StageError, Standing, Words
from nrmbus.wire.keys.keys import SigningKey

CASE = "0" * 32
NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)
EVENT = "0198c000-0000-7000-8000-000000000000"
PIDS = {"ngo-a": 101, "ngo-l": 102, "registrar": 103}
NOT_FOUND = RequestRefused("not_found", "there is no such case", 404)
FAILURES = {
    "nobody answers": Unreachable("unreachable", "the desk does not answer; is the bus up?"),
    "the service fails": Unavailable("refused", "the desk refused the request", 500),
    "the token is another": TokenRefused("token_refused", "the token is not the desk's", 401),
}


class Answers(Door):
    """A door that gives one answer to every question, or fails with one error."""

    def __init__(self, answer: dict[str, Any] | DoorError = NOT_FOUND) -> None:
        """Give *answer*; nothing is on the network."""
        self.answer = answer

    async def __aexit__(self, *_: object) -> None:
        """Leave nothing open."""

    async def _ask(self, *_: object, **__: object) -> dict[str, Any]:
        if isinstance(self.answer, DoorError):
            raise self.answer
        return self.answer


class Still(Quiet):
    """A bus that is always quiet."""

    async def wait(self, spoke: Iterable[str] = ()) -> None:
        """Wait for nothing."""


class Stage(BusStage):
    """A stage over a bus whose history is empty."""

    def __init__(self, folder: BusFolder) -> None:
        """Have a registrar and a timekeeper that know no case, and two desks that know none."""
        super().__init__(folder)
        self._agencies = ("ngo-a", "ngo-l")
        self._doors |= {name: Answers() for name in (*self._agencies, "registrar", "timekeeper")}
        self.answers("timekeeper", {"open_deadlines": [], "desks_away": ["ngo-l"]})
        self._quiet = Still(self._doors)
        self._directory = Directory("play-1", SigningKey(bytes(32)).verify_key)
        self._history = History(self._directory)

    def answers(self, name: str, answer: dict[str, Any] | DoorError) -> None:
        """Have the door of *name* give *answer* from here on."""
        self._doors[name] = Answers(answer)

    def has_come_to(self, numbers: int, inbox: int) -> None:
        """Have the registrar show how many registrations and deliveries there are."""
        self._quiet.seen["registrar"] = {"numbers": {"0": numbers}, "inbox": {"ngo-a": {"0": inbox}}}

    async def _catch_up(self) -> None:
        """There is nothing to read."""

    async def _open(self, name: str, home: Path, until: float) -> None:
        """Leave the door of a service that was started again as it is."""


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> BusFolder:
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True, bootstrap="127.0.0.1:1", tls=False)
    write_json(folder.run / "services.json", {name: {"pid": pid} for name, pid in PIDS.items()})
    return folder


@pytest.fixture(name="stage")
def _stage(folder: BusFolder) -> Iterator[Stage]:
    with Stage(folder) as stage:
        yield stage


@pytest.fixture(name="signals")
def _signals(monkeypatch: pytest.MonkeyPatch, folder: BusFolder) -> list[tuple[int, int]]:
    """Signals sent to processes, by process; another process follows a killed one."""
    sent: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        sent.append((pid, number))
        if number == signal.SIGKILL:
            running = {name: {"pid": each + 1000 * (each == pid)} for name, each in PIDS.items()}
            write_json(folder.run / "services.json", running)

    monkeypatch.setattr("nrmbus.play.bus.os.kill", kill)
    return sent


@pytest.fixture(name="looks")
def _looks(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Looks at the trail, each of which finds nothing."""
    looks: list[object] = []

    def of_trail(where: object) -> list[str]:
        looks.append(where)
        return []

    monkeypatch.setattr("nrmbus.play.bus.differences.of_trail", of_trail)
    return looks


class TestTheTrail:
    """`check: replay` reads the trail again wherever it could differ."""

    def test_is_read_once_where_nothing_happened(self, stage: Stage, looks: list[object]) -> None:
        """Given no new registration and no new delivery, then the trail that was read holds."""
        stage.has_come_to(7, 3)

        assert (stage.replay(), stage.replay(), len(looks)) == ((), (), 1)

    def test_is_read_again_after_a_delivery_without_a_registration(self, stage: Stage, looks: list[object]) -> None:
        """Given an event that is delivered twice, then the second delivery is looked at, though nothing was registered."""
        stage.has_come_to(7, 3)
        stage.replay()
        stage.has_come_to(7, 4)
        stage.replay()

        assert len(looks) == 2

    @pytest.mark.usefixtures("signals")
    def test_is_read_again_after_a_kill_and_after_bytes_that_go_out_again(
        self, stage: Stage, looks: list[object]
    ) -> None:
        """Given a killed registrar, or a desk that sent bytes again, then the trail is read even if no number moved."""
        stage.has_come_to(7, 3)
        stage.replay()
        stage.restart("registrar")
        stage.replay()
        stage.answers("ngo-a", {"verdict": "registered", "id": EVENT, "receipt": "r"})
        stage._sender[EVENT] = "ngo-a"
        assert stage.again(EVENT) == Outcome(EVENT, "r")
        stage.replay()

        assert len(looks) == 3


class TestAnAbsentCase:
    """Only an answering service can report that a case does not exist."""

    def test_is_one_that_the_service_says_it_does_not_have(self, stage: Stage) -> None:
        """Given `not_found` of registrar and desk, then the case has no standing; the timekeeper is asked all the same."""
        stage.answers("timekeeper", {"open_deadlines": ["D-REFER"]})

        assert stage.standing(CASE) == Standing(None, (), ("D-REFER",))
        assert stage.status_at("ngo-a", CASE) is None

    @pytest.mark.parametrize("error", FAILURES.values(), ids=FAILURES)
    @pytest.mark.parametrize("name", ["registrar", "timekeeper"])
    def test_is_not_one_whose_service_fails(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, name: str, error: DoorError
    ) -> None:
        """Given a service that does not answer, then neither a state nor an erasure is found to hold, and the service is named."""
        monkeypatch.setattr(stage._history, "over", lambda _: True)
        stage.answers(name, error)

        for look in (stage.standing, stage.replay):
            with pytest.raises(StageError, match=f"^{name} does not show a case: {error}"):
                look(CASE)

    @pytest.mark.parametrize("error", FAILURES.values(), ids=FAILURES)
    def test_is_not_one_whose_desk_fails(self, stage: Stage, error: DoorError) -> None:
        """Given a desk that does not answer, then it is not said to show no case."""
        stage.answers("ngo-l", error)

        with pytest.raises(StageError, match=r"^ngo-l does not show a case: "):
            stage.status_at("ngo-l", CASE)
        with pytest.raises(StageError, match=r"^ngo-l does not show a case: "):
            stage.replay(CASE)


@pytest.mark.usefixtures("looks")
class TestADeskThatIsAway:
    """A frozen desk is asked nothing, and goes on after the play at the latest."""

    def test_is_named_where_something_is_asked_of_it(self, stage: Stage, signals: list[tuple[int, int]]) -> None:
        """Given a frozen desk, then a step of the desk fails with a sentence, and the inbox stays as before."""
        stage.away("ngo-l")
        words = Words(by="ngo-l", type="case.closed", subject=CASE, time=NOW, actor="A-1")
        stage._sender[EVENT] = "ngo-l"

        asked = (
            lambda: stage.publish(words),
            lambda: stage.again(EVENT),
            lambda: stage.status_at("ngo-l", CASE),
            lambda: stage.listens("ngo-a", "ngo-l", expected=True),
        )
        for each in asked:
            with pytest.raises(StageError, match="the desk of ngo-l is away: let it go on with `check: back`"):
                each()
        assert stage.received(EVENT) == stage.inbox("ngo-l") == ()
        assert signals == [(PIDS["ngo-l"], signal.SIGSTOP)]

    def test_is_left_out_of_a_comparison_and_named_in_it(self, stage: Stage, signals: list[tuple[int, int]]) -> None:
        """Given a frozen desk, then the others are compared, and the result says that this one was not."""
        stage.away("ngo-l")
        stage.answers("ngo-a", {"status": "SUSPECTED"})

        assert stage.replay(CASE) == (
            "ngo-l is away, and was not compared: let it go on with `check: back`",
            "ngo-a shows a case of which it was told nothing",
        )
        stage.answers("ngo-a", NOT_FOUND)
        stage.back("ngo-l")
        assert stage.replay(CASE) == ()
        assert signals[-1] == (PIDS["ngo-l"], signal.SIGCONT)

    def test_goes_on_when_the_play_is_over(self, folder: BusFolder, signals: list[tuple[int, int]]) -> None:
        """Given a play that ends while a desk is frozen, even by a failure to see it, then the desk is let go."""
        with Stage(folder) as stage:
            stage.answers("timekeeper", FAILURES["nobody answers"])
            with pytest.raises(StageError, match="does not answer"):
                stage.away("ngo-l")

        assert signals == [(PIDS["ngo-l"], signal.SIGSTOP), (PIDS["ngo-l"], signal.SIGCONT)]


def test_a_door_that_fails_fails_the_step(stage: Stage) -> None:
    """Given a desk that stops answering, when its bytes are to go out again, then the stage raises its usual error."""
    stage.answers("ngo-a", FAILURES["nobody answers"])
    stage._sender[EVENT] = "ngo-a"

    with pytest.raises(StageError, match="the desk does not answer"):
        stage.again(EVENT)
