"""A module that ``-m`` leaves out as a whole is not imported; so its text must say of it what its tests have as marks."""

from pathlib import Path

import pytest

from module_marks import module_marks

MANY_LINES = "pytestmark = [\n    pytest.mark.oracle,\n    pytest.mark.server,\n]\nMARK = pytest.mark.slow\n"
GIVEN = {
    "import pytest\n\npytestmark = pytest.mark.slow\n": {"slow"},
    "pytestmark = [pytest.mark.broker, pytest.mark.broken_trail(reason='damaged')]\nX = [\n]\n": {
        "broker",
        "broken_trail",
    },
    MANY_LINES: {"oracle", "server"},
    "from desk.given import desk_of\n": {"thorough"},
    "from desk.given import (\n    CANARY,\n    desk_of,\n)\n": {"thorough"},
    "from desk.given import CANARY, REF\n": set(),
    "@pytest.mark.slow\ndef test_one():\n    pytestmark = pytest.mark.broker\n": set(),
}


@pytest.mark.parametrize(("text", "marks"), GIVEN.items(), ids=range(len(GIVEN)))
def test_the_text_of_a_module_says_its_marks(text: str, marks: set[str], tmp_path: Path) -> None:
    """A mark of one test, and a constant of a helper, say nothing of the others."""
    (tmp_path / "test_it.py").write_text(text)

    assert module_marks(tmp_path / "test_it.py") == marks


def test_no_test_is_left_out_that_has_no_such_mark(request: pytest.FixtureRequest) -> None:
    """Of every test that was collected; a line of a text within the module could look like its marks."""
    wrong = {
        item.nodeid
        for item in request.session.items
        if not module_marks(item.path) <= {mark.name for mark in item.iter_markers()}
    }

    assert wrong == set()
