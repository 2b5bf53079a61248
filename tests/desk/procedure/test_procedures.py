"""Rules for every written procedure: it has its README's numbered lines, is short, and uses the same few helpers."""

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

from given import given, says
from nrmbus.desk.procedure.interface import Heard, Result, Settings, Task, line, lines_of, numbered, task
from nrmbus.desk.procedure.roles import ROOMS, procedure_of
from nrmbus.events.codes import Role
from nrmbus.events.consent import ConsentGiven
from nrmbus.events.delivery import LetterOpened
from nrmbus.events.model import Frozen
from nrmbus.police import procedure as police
from nrmbus.rules import load_profile
from nrmbus.rules.handbook.default import PROFILE
from nrmbus.rules.handbook.soundness import DECIDING, HOUSING
from nrmbus.rules.placed import placed
from nrmbus.wire.names import STATISTICS

MODULES = {room: import_module(f"nrmbus.{room}.procedure") for room in sorted(set(ROOMS.values()))}
NUMBERED = re.compile(r"(?:^\d+\. .+\n)+", re.MULTILINE)
"""Numbered list of a page: the first one has the lines."""


def folder(module: ModuleType) -> Path:
    """Return the folder of a procedure and its page."""
    return Path(str(module.__file__)).parent


def written(module: ModuleType) -> list[str]:
    """Return the numbered lines on a procedure's page."""
    found = NUMBERED.search((folder(module) / "README.md").read_text(encoding="utf-8"))
    assert found is not None
    return found.group().splitlines()


def sentence(line: str) -> str:
    """Return a line of a page or a docstring with single spaces."""
    return " ".join(line.split())


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_each_numbered_line_is_one_function(module: ModuleType) -> None:
    """A lawyer reads the page, a developer the functions, and both read the same lines in the same order."""
    page = written(module)
    lines = list(numbered(module, load_profile(PROFILE)))

    assert lines == [sentence(line) for line in page]
    assert [int(each.partition(".")[0]) for each in lines] == [*range(1, len(lines) + 1)]


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_a_book_survives_a_restart(module: ModuleType) -> None:
    """A procedure's state can be written as JSON and read again."""
    book: Frozen = module.begin(Settings(capacity={"women": 2}))

    assert type(book).model_validate_json(book.model_dump_json()) == book


def test_every_role_in_the_table_is_one() -> None:
    """A misspelt role would run no procedure, and nobody would notice; the statistics are in no list of an event's codes."""
    assert set(ROOMS) <= {*get_args(Role), STATISTICS}


def test_roles_run_what_the_table_says() -> None:
    """The special unit runs the police's procedure, every shelter the shelter's; other police find groups as the border does."""
    assert procedure_of("special_unit") is police
    assert procedure_of("ngo_shelter") is procedure_of("shelter_state")
    assert procedure_of("border") is procedure_of("labour_inspection") is procedure_of("police_other")
    assert procedure_of("religious") is procedure_of("ngo_outreach")
    assert procedure_of("auditor") is None


CONSENT = ConsentGiven(purposes=("services",), receivers=("special-unit",), given_by="individual", form="written")


class TestUnhandled:
    """Events that no line of the procedure handles."""

    def test_it_becomes_a_task(self) -> None:
        """An event that the procedure does not handle becomes a task, so that nothing is lost."""
        task = given(police, me="special-unit").when(says("ngo-a", CONSENT)).then("read").task

        assert task.sentence == "consent.given from ngo-a: read it, and decide what it asks of this agency."

    def test_its_own_words_are_nobodys_task(self) -> None:
        """An agency's own events come back as receipts, not as work."""
        given(police, me="ngo-a").when(says("ngo-a", CONSENT)).then()

    def test_receipts_of_letters_are_nobodys_task(self) -> None:
        """Desks note that a letter opened; people get no task."""
        given(police, me="special-unit").when(says("ngo-a", LetterOpened())).then()


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_a_line_is_declared_once_with_its_types(module: ModuleType) -> None:
    """Desk and player run exactly the functions that ``@line`` declares, and each is a numbered line of the page."""
    lines = lines_of(module)
    page = written(module)

    assert lines
    assert all(line.types for line in lines)
    assert {sentence(placed(line.text, load_profile(PROFILE))) for line in lines} <= {sentence(each) for each in page}


def test_a_line_answers_only_events_of_its_types() -> None:
    """Sabotage of the table: a line that is declared for consents never runs for anything else."""

    @line(ConsentGiven)
    def thank(consent: ConsentGiven, heard: Heard, _: Frozen) -> Result:
        """1. Somebody consents: a person says thank you."""
        return Result(tasks=(task(heard, "thank", f"{len(consent.receivers)} to thank."),))

    procedure = ModuleType("thankful")
    vars(procedure).update(vars(police) | {"thank": thank})
    story = given(procedure, me="special-unit")

    story.when(says("ngo-a", CONSENT)).then("thank")
    story.when(says("ngo-a", LetterOpened())).then()


def test_answers_add_up() -> None:
    """If two lines answer, both answers are kept, in order."""
    one, two = (Task(code, "Do it.", "0" * 32, "e") for code in ("one", "two"))

    assert Result(tasks=(one,)) + Result(tasks=(two,)) == Result(tasks=(one, two))


def test_the_check_of_a_profile_knows_whose_procedure_decides() -> None:
    """Given a profile, then `nrmbus rules check` lets those roles decide whose desks run the procedure of the deciding body."""
    assert {role for role, room in ROOMS.items() if room == "police"} == DECIDING


def test_the_check_of_a_profile_knows_whose_procedure_counts_places() -> None:
    """Given a profile, then `nrmbus rules check` notes the shelters whose desks do not run the procedure of a shelter."""
    assert {role for role, room in ROOMS.items() if room == "shelter"} == HOUSING
