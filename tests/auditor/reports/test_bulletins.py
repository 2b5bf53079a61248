"""Events about no case, such as free places or released figures: an auditor finds them by type or number."""

from io import StringIO

import pytest
from rich.console import Console

from auditor.reports.test_why import CASE, Case
from nrmbus.auditor.history.selection import EVERYTHING, Selection
from nrmbus.auditor.reports.replayed import case_mapping, replayed
from nrmbus.cli.audit import replay
from nrmbus.events import bulletin

TYPE = "provider.capacity_changed"
ABOUT = bulletin.of("shelter")


def told() -> Case:
    """A case, and a shelter that says for whom it has places."""
    case = Case()
    case.say("ngo-a", "case.signal_recorded")
    case.say("shelter", TYPE, about=ABOUT)
    return case


@pytest.mark.parametrize(
    ("chosen", "subjects"),
    [
        (Selection(type=TYPE), [ABOUT]),
        (Selection(type="provider.*"), [ABOUT]),
        (Selection(numbers=(2, 2)), [ABOUT]),
        (Selection(numbers=(1, None)), [CASE, ABOUT]),
        (Selection(type="case.*"), [CASE]),
        (EVERYTHING, [CASE]),
    ],
)
def test_a_bulletin_is_found_by_type_and_number_and_is_no_case(chosen: Selection, subjects: list[str]) -> None:
    """Given an event about no case, who asks for it gets it, and who asks for every case gets cases alone."""
    seen = told().written.audited()

    assert [each.subject for each in replayed(seen, chosen) if each] == subjects


def test_the_command_names_the_agency_of_a_bulletin() -> None:
    """Nobody takes the subject of a bulletin for a case."""
    case = told()
    seen = case.written.audited()
    (found,) = (each for each in replayed(seen, Selection(type=TYPE)) if each)
    shown = case_mapping(found, seen.rules, case.now)
    console = Console(width=200, file=StringIO())

    with console.capture() as written:
        replay._print_case(console, {"says": {"counts": ""}, "partitions": 1}, shown, readings=False)

    assert written.get().startswith(f"bulletin of shelter {ABOUT}")
