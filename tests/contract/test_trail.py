"""A closed list of the tests that leave a broken trail, each with its reason; every other test is checked."""

import ast
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

from contract.tree import ROOT, lay
from trail import PARTS

MARKER = "broken_trail"
LEFT_OUT = {
    "auditor/history/test_whole.py": {"test_two_processes_show_what_one_shows"},
    "auditor/test_live.py": {
        "test_a_registration_is_in_the_log_and_under_a_checkpoint",
        "test_the_door_is_shut_without_a_token_and_shows_logs_only",
        "test_a_checkpoint_an_hour_by_the_buss_clock_and_one_at_closing",
        "test_a_folder_that_was_deleted_is_made_again_byte_for_byte",
        "test_killed_while_it_appends_it_goes_on_where_it_was",
        "test_a_record_that_is_none_stops_it_and_is_named",
        "test_a_header_whose_name_is_no_text_stops_it_by_number_too",
        "test_a_second_auditor_gets_nothing",
        "test_an_old_folder_that_was_restored_does_not_sign_what_it_has_forgotten",
        "test_cosignatures_of_witnesses_are_added_to_the_checkpoint",
    },
    "auditor/test_trail.py": {
        "test_a_play_in_memory_that_doubled_a_delivery_is_found",
        "test_a_bus_on_which_a_registration_was_doubled_is_found",
    },
    "auditor/test_start_live.py": {
        "test_a_start_reads_from_the_co_signed_place_and_compares_the_rest_behind",
        "test_a_place_that_does_not_fit_is_not_used_and_nothing_else_changes",
    },
    "cli/audit/test_export.py": {
        "test_a_case_is_exported_and_verified",
        "test_an_impossible_export_is_one_sentence",
    },
    "desk/state/test_live_beginnings.py": {"test_what_the_broker_has_no_more_is_said_to_be_missing"},
    "desk/witness/test_live.py": {"test_a_desk_cosigns_what_grows_and_refuses_what_forks"},
    "play/test_broken_buses.py": {"test_a_bus_that_breaks_a_promise_is_found"},
    "registrar/test_emergency_limit.py": {
        "test_what_is_written_elsewhere_is_waited_for_until_it_holds_or_not",
        "test_what_no_registrar_of_this_bus_signed_is_not_counted_but_stops_it",
    },
    "registrar/test_under_fire.py": {"test_p1_the_check_sees_a_wrong_transactional_id"},
    "play/test_withdrawal.py": {"test_p7_the_check_sees_a_recipient_that_is_left_out"},
    "play/test_memory.py": {"test_a_view_that_went_astray_is_named", "test_a_state_that_went_astray_is_named"},
}
"""The tests that have the marker; one more is somebody's decision, and is written down here."""


def markers(tests: Path) -> Iterator[tuple[str, str, ast.Call]]:
    """File, function (none where it is no decorator) and call of each marker under *tests*."""
    for path in sorted(tests.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if f".{MARKER}(" not in text:
            continue
        name, tree = path.relative_to(tests).as_posix(), ast.parse(text)
        calls = {node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_marker(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for call in calls & set(node.decorator_list):
                    calls.discard(call)
                    yield name, node.name, call
        yield from ((name, "", call) for call in calls)


def _is_marker(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == MARKER


def unreasoned(tests: Path) -> set[str]:
    """Markers without a reason, of a part that there is not, or on no single test, as ``path:line``."""
    wrong = set()
    for path, function, call in markers(tests):
        reasons = [each.value.value for each in call.keywords if isinstance(each.value, ast.Constant)]
        parts = {each.value for each in call.args if isinstance(each, ast.Constant)}
        if not function or len(call.keywords) != 1 or not all(reasons) or not reasons or not parts <= set(PARTS):
            wrong.add(f"{path}:{call.lineno}")
    return wrong


def test_tests_that_break_a_trail_on_purpose_are_listed_with_a_reason() -> None:
    """Every other test that has a bus, or plays one in memory, leaves a whole trail behind."""
    found: dict[str, set[str]] = {}
    for path, function, _ in markers(ROOT / "tests"):
        found.setdefault(path, set()).add(function)

    assert found == LEFT_OUT
    assert unreasoned(ROOT / "tests") == set()


def test_a_marker_that_says_too_little_is_named(tmp_path: Path) -> None:
    """Sabotage: a missing reason, an empty reason, an unknown part, and a marker for a whole file."""
    text = """\
        @mark.broken_trail("history")
        @mark.broken_trail(reason="")
        @mark.broken_trail("all", reason="x")
        @mark.broken_trail("history", reason="x")
        def test(): ...
        pytestmark = mark.broken_trail(reason="x")
        """

    assert unreasoned(lay(tmp_path, {"test_x.py": dedent(text)})) == {f"test_x.py:{line}" for line in (1, 2, 3, 6)}
