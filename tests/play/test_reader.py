"""A scenario file is read strictly: a slip that a person might overlook is an error with its line."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from copies import NAME, SOCIAL_SERVICE_HOUSES, copied, known_here
from nrmbus.play import strict
from nrmbus.play.reader import ScenarioError, parse, read
from nrmbus.play.scenario import Publish
from nrmbus.rules import add_profiles
from play.stories import CONSENT, REFERRAL, SIGNAL, scenario, story

HEAD = 10
"""Lines of a small story before its first step."""


def utc(day: int, hour: int, minute: int = 0) -> datetime:
    """A time of March 2026."""
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


STEPS = {
    "an unknown key": ("- {by: ngo-a, event: case.closed, case: woman, seen: []}\n", 1, "unknown key 'seen'"),
    "an unknown key of a check": ("- {check: replay, case: woman, at: '0:30', of: 1}\n", 1, "unknown key 'of'"),
    "an unknown key of an expectation": (
        "- {by: ngo-a, event: case.closed, case: woman,\n   expect: {refused: open_items, rules: G-49}}\n",
        2,
        "unknown key 'rules'",
    ),
    "a key that stands twice": ("- {check: replay,\n   case: woman,\n   case: woman}\n", 3, "the key 'case' stands here twice"),
    "event and check": ("- {check: replay, event: case.closed, case: woman}\n", 1, "exactly one of 'event' and 'check'"),
    "neither event nor check": ("- {by: ngo-a, case: woman}\n", 1, "exactly one of 'event' and 'check'"),
    "nobody who says it": ("- {event: case.closed, case: woman}\n", 1, "the key 'by' is missing"),
    "a step that is no set of keys": ("- replay\n", 1, "the value of 'steps'"),
    "an unknown check": ("- {check: status, case: woman}\n", 1, "'check' is one of events, state, inbox"),
    "a check that is a list": ("- {check: [replay], case: woman}\n", 1, "'check' is one of"),
    "a check that happened": ("- {check: replay, case: woman, occurred: '0:00'}\n", 1, "only an event happens"),
    "a clock that goes back": ("- {at: '0:05', check: replay, case: woman}\n", 1, "the clock never goes back"),
    "a time that is none": ("- {at: '24:60', check: replay, case: woman}\n", 1, 'a time is "H:MM"'),
    "an hour that no day has": ("- {at: 'd1 24:00', check: replay, case: woman}\n", 1, 'a time is "H:MM"'),
    "a time that is a number": ("- {at: 30, check: replay, case: woman}\n", 1, 'a time is "H:MM"'),
    "published before it happened": (
        "- {at: '0:30', occurred: '0:31', by: ngo-a, event: case.closed, case: woman}\n",
        1,
        "published before it happened",
    ),
    "an unknown agency": ("- {by: ngo-b, event: case.closed, case: woman}\n", 1, "'ngo-b' is not among the 'agencies'"),
    "an unknown recipient": ("- {by: ngo-a, event: case.closed, case: woman, to: [ngo-b]}\n", 1, "'ngo-b' is not among"),
    "an unknown reader": ("- {by: ngo-a, event: case.closed, case: woman, seen_by: [x1]}\n", 1, "'x1' is not among"),
    "an unknown opener of a part": (
        "- {by: ngo-a, event: case.closed, case: woman, sealed: {notes: a}, opened_by: {story: [x1]}}\n",
        1,
        "'x1' is not among",
    ),
    "an unknown part": (
        "- {by: ngo-a, event: case.closed, case: woman, sealed: {notes: a}, opened_by: {tale: []}}\n",
        1,
        "the key 'tale' should be 'coded'",
    ),
    "an unknown party": (
        "- {by: ngo-a, event: case.closed, case: woman, sealed: {notes: a}, closed_to: [press]}\n",
        1,
        "'press' is not among",
    ),
    "an unknown receiver of a consent": (
        "- {by: ngo-a, event: consent.given, case: woman, data: {receivers: [ngo-b]}}\n",
        1,
        "'ngo-b' is not among",
    ),
    "recipients in the data": ("- {by: ngo-a, event: case.closed, case: woman, data: {to: [vac]}}\n", 1, "own 'to'"),
    "no recipient at all": ("- {by: ngo-a, event: case.closed, case: woman, to: []}\n", 1, "'to' has nothing in it"),
    "openers without a letter": (
        "- {by: ngo-a, event: case.closed, case: woman, opened_by: []}\n",
        1,
        "no letter that could be opened",
    ),
    "openers of what is refused": (
        "- {by: ngo-a, event: case.closed, case: woman, sealed: {notes: a}, expect: {refused: open_items}, opened_by: []}\n",
        1,
        "nobody gets the letter of an event that is refused",
    ),
    "a decision that nobody took": (
        "- {by: ngo-a, event: case.closed, case: woman, decision: D-1}\n",
        1,
        "'decision' names nothing that an earlier step has",
    ),
    "a consent that nobody gave": ("- {by: ngo-a, event: case.closed, case: woman, consent: C-1}\n", 1, "'consent' names"),
    "an earlier case that is none": (
        "- {by: ngo-a, event: case.re_referred, case: twin, previous_case: boy}\n",
        1,
        "'previous_case' names",
    ),
    "a name given twice": ("- {by: ngo-a, event: case.closed, case: woman, as: consent-1}\n", 1, "an earlier step gave"),
    "no case": ("- {by: ngo-a, event: case.closed}\n", 1, "one of 'case' and 'cases' is needed"),
    "two ways to name the case": ("- {by: ngo-a, event: case.closed, case: woman, cases: [boy]}\n", 1, "and not both"),
    "a case twice": ("- {by: ngo-a, event: case.closed, cases: [boy, boy]}\n", 1, "a case stands here twice"),
    "a case called all": ("- {by: ngo-a, event: case.closed, case: all}\n", 1, "'all' means every case"),
    "bytes again that never went out": (
        "- {by: vac, event: case.closed, case: woman, again: true}\n",
        1,
        "no earlier step published this",
    ),
    "bytes again with other content": (
        "- {by: ngo-a, event: referral.submitted, case: woman, ref: R-1, again: true, data: {mode: transfer}}\n",
        1,
        "the very same bytes go out once more: no 'data'",
    ),
    "again: false": ("- {by: ngo-a, event: case.closed, case: woman, again: false}\n", 1, "the value of 'again'"),
    "a check of no case": ("- {check: state, status: CLOSED}\n", 1, "one of 'case' and 'cases' is needed"),
    "a check of an unknown case": ("- {check: state, case: boy, status: CLOSED}\n", 1, "no earlier step has the case 'boy'"),
    "a state that asks for nothing": ("- {check: state, case: woman}\n", 1, "a state is any of"),
    "a referral that nobody sent": (
        "- {check: state, case: woman, open_referrals: [R-9]}\n",
        1,
        "no earlier step has the ref 'R-9'",
    ),
    "a status shown to a stranger": ("- {check: state, case: woman, shown_to: [x1]}\n", 1, "'x1' is not among"),
    "an event that a check misspells": (
        "- {check: events, case: woman, type: deadline.breach, count: 0}\n",
        1,
        "there is no event 'deadline.breach'",
    ),
    "an event that an inbox misspells": (
        "- {check: inbox, agency: vac, types: [consent.give]}\n",
        1,
        "there is no event 'consent.give'",
    ),
    "events by a stranger": ("- {check: events, case: woman, type: case.closed, count: 0, by: x1}\n", 1, "'x1' is not"),
    "a count below nothing": ("- {check: events, case: woman, type: case.closed, count: -1}\n", 1, "the value of 'count'"),
    "an inbox that asks for nothing": ("- {check: inbox, agency: vac}\n", 1, "exactly one of 'count' and 'types'"),
    "an inbox that asks twice": (
        "- {check: inbox, agency: vac, count: 1, types: [consent.given]}\n",
        1,
        "exactly one of 'count' and 'types'",
    ),
    "an inbox of a stranger": ("- {check: inbox, agency: x1, count: 0}\n", 1, "'x1' is not among"),
    "payments of an unknown case": ("- {check: payments, case: boy, kind: x, count: 0}\n", 1, "the case 'boy'"),
    "a replay of an unknown case": ("- {check: replay, case: boy}\n", 1, "the case 'boy'"),
    "a restart of a stranger": ("- {check: restart, service: x1}\n", 1, "'x1' is not among"),
    "a fraction": ("- {check: payments, case: woman, kind: x, count: 0, amount: 700.00}\n", 1, "in quotation marks"),
    "a value that is none": ("- {check: replay, case: }\n", 1, "there is no value here"),
    "an anchor": ("- {check: replay, case: &c woman}\n- {check: replay, case: *c}\n", 2, "anchors are not used here"),
    "a tag": ("- {check: replay, case: !x woman}\n", 1, "tags are not used here"),
    "a key that is no word": ("- {check: replay, 1: woman}\n", 1, "a key is a word"),
    "no YAML": ("- {check: replay\n", 2, "this is not YAML"),
}  # fmt: skip


NO_STEP = {"this is not YAML", "the value of 'steps'"}
"""Errors before the first step."""


@pytest.mark.parametrize(("step", "line", "sentence"), STEPS.values(), ids=STEPS)
def test_a_miswritten_step_names_its_line(step: str, line: int, sentence: str) -> None:
    """Every error of a step names the line and what to do."""
    before = story(SIGNAL, CONSENT, REFERRAL)

    with pytest.raises(ScenarioError) as error:
        parse(story(SIGNAL, CONSENT, REFERRAL, step), "story.yaml")

    assert sentence in str(error.value)
    assert error.value.line == before.count("\n") + line
    assert error.value.step == (None if sentence in NO_STEP else 4 + step[:-1].count("\n- "))


HEADS = {
    "no title": ("title: A story of a test\n", "", 1, "the key 'title' is missing"),
    "a key too many": ("title:", "author: me\ntitle:", 1, "unknown key 'author'; known here are title, policy"),
    "a policy without date": ("az@2022-04-29", "az", 2, "the value of 'policy'"),
    "a start without offset": ("09:00:00+04:00", "09:00:00", 3, "'starts' is a time with seconds and an offset"),
    "a start that is no time": ("2026-03-02T09:00:00+04:00", "Monday", 3, "'starts' is a time"),
    "a start before any law": ("2026-03-02", "0001-01-01", 3, "'starts' is in one of the years 2000 to 2999"),
    "a start at the end of the calendar": (
        "2026-03-02",
        "9999-12-27",
        3,
        "'starts' is in one of the years 2000 to 2999",
    ),
    "a start that is no Monday": ("2026-03-02", "2026-03-03", 3, "'starts' is a Monday"),
    "an agency with a bad id": ("ngo-a:", "NGO_A:", 5, "the key 'NGO_A' should match"),
    "an agency without role": ("{role: vac}", "{supervisor: ngo-a}", 8, "the key 'role' is missing"),
    "an unknown key of an agency": ("{role: vac}", "{role: vac, places: 3}", 8, "unknown key 'places'"),
    "an unknown supervisor": ("{role: vac}", "{role: vac, supervisor: x1}", 8, "'x1' is not among the 'agencies'"),
    "beds at a desk": ("{role: vac}", "{role: vac, capacity: {women: 1}}", 8, "only a shelter has 'capacity'"),
    "beds for nobody": ("{women: 1}", "{pets: 1}", 7, "the key 'pets' should match"),
    "beds below nothing": ("{women: 1}", "{women: -1}", 7, "the value of 'women'"),
    "an agency called as a service": ("  vac:", "  registrar:", 8, "the name of a service"),
    "an agency called broker": ("  vac:", "  broker:", 8, "the name of a service"),
}


@pytest.mark.parametrize(("old", "new", "line", "sentence"), HEADS.values(), ids=HEADS)
def test_a_miswritten_head_names_its_line(old: str, new: str, line: int, sentence: str) -> None:
    """Title, policy, start and agencies are read as strictly as the steps."""
    text = story(SIGNAL)
    assert old in text

    with pytest.raises(ScenarioError) as error:
        parse(text.replace(old, new, 1), "story.yaml")

    assert sentence in str(error.value)
    assert error.value.line == line
    assert error.value.step is None


def test_the_shelters_are_those_of_the_profile() -> None:
    """Given a profile in which a social service takes people in, then that agency has places; so it has under a profile that comes later."""
    text = story(SIGNAL).replace("az@2022-04-29", NAME).replace("shelter_state", "social_services")

    later = parse(text)
    with known_here():
        add_profiles([copied(SOCIAL_SERVICE_HOUSES)])
        told = parse(text)

    assert later.agencies["shelter"].capacity == told.agencies["shelter"].capacity == {"women": 1}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("", "the file is empty"), ("- a\n", "a scenario is a set of keys"), ("a: \x01\n", "a character that YAML")],
    ids=["empty", "a list", "a control character"],
)
def test_a_file_that_is_no_scenario_gets_a_sentence(text: str, sentence: str) -> None:
    """An empty file, a list, a file with control characters: each gets a sentence, never a traceback."""
    with pytest.raises(ScenarioError, match=sentence):
        parse(text)


def test_a_file_that_is_not_utf8_is_reported(tmp_path: Path) -> None:
    """A file in another encoding is no scenario."""
    path = tmp_path / "latin.yaml"
    path.write_bytes("title: Gəncə".encode("utf-16"))

    with pytest.raises(ScenarioError, match=r"latin\.yaml, line 1: the file is not UTF-8"):
        read(path)


def test_times_are_counted_from_the_first_step() -> None:
    """Hours go past 24; a day has the time of day in the file's offset, or that of the first step."""
    told = scenario(
        SIGNAL,
        "- {at: '26:30', check: replay, case: woman}\n",
        "- {check: replay, case: woman}\n",
        "- {at: 'd2 8:05', check: replay, case: woman}\n",
        "- {at: 'd3', check: replay, case: woman}\n",
    )

    assert [step.at for step in told.steps] == [utc(2, 5), utc(3, 7, 30), utc(3, 7, 30), utc(4, 4, 5), utc(5, 5)]


def test_an_event_may_have_happened_earlier() -> None:
    """``occurred`` is the event's time; left out, it happened when it was published."""
    late = "- {at: 'd1', occurred: '0:30', by: ngo-a, event: case.closed, case: woman}\n"
    told = scenario(SIGNAL, late)

    assert [(step.at, step.occurred) for step in told.steps] == [(utc(2, 5), utc(2, 5)), (utc(3, 5), utc(2, 5, 30))]


def test_lines_and_numbers_are_those_of_the_file() -> None:
    """A step has its number, from 1, and the line on which the step begins."""
    told = scenario(SIGNAL, "\n# a remark\n", CONSENT)

    assert [(step.number, step.line) for step in told.steps] == [(1, HEAD + 1), (2, HEAD + 5)]


def test_words_stay_words() -> None:
    """``no``, ``on`` and ``1:30`` are text: this is no place for a language called false."""
    told = scenario("- {by: ngo-a, event: case.closed, case: woman, data: {a: no, b: on, c: 1:30, d: true, e: 7}}\n")
    step = told.steps[0].what

    assert isinstance(step, Publish)
    assert step.data == {"a": "no", "b": "on", "c": "1:30", "d": True, "e": 7}


@for_all(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Any content of a file gives a scenario or the one error that names a line."""
    read, line = None, 0
    try:
        read = strict.load(text)
    except strict.NotStrictError as error:
        line = error.line

    assert read is not None or line >= 1
