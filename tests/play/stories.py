"""Stories for the player's tests: the two that come with nrmbus, small ones of our own, and ways to alter them."""

from pathlib import Path
from textwrap import dedent, indent

from nrmbus.play.memory import MemoryBus
from nrmbus.play.player import play
from nrmbus.play.reader import find, parse, read
from nrmbus.play.report import Report
from nrmbus.play.scenario import Scenario
from nrmbus.play.stage import Stage

WOMAN = Path("01-woman-referred-by-ngo")
CHILD = Path("02-child-begging-found-by-school")
TAKEN_BACK = Path("03-she-takes-it-back")
WORK = Path("04-two-days-of-work")
HOME = Path("05-home-or-here")
ABROAD = Path("06-found-abroad")
REFUSED = Path("07-no-and-then-a-court")
GIRL = Path("08-a-girl-waits-for-a-representative")
SIBLINGS = Path("14-two-siblings-at-the-border")
LATE = Path("15-late-at-every-step")
RAID = Path("09-raid-on-a-building-site")
CALL = Path("10-call-without-a-name")
AFTER = Path("11-after-the-end")

SIGNAL = """\
- {at: "0:00", by: ngo-a, event: case.signal_recorded, case: woman,
   data: {detector: ngo_outreach, child: false, urgency: emergency, detected_abroad: false, basis: [indicators]}}
"""
CONSENT = """\
- {at: "0:10", by: ngo-a, event: consent.given, case: woman, as: consent-1,
   data: {purposes: [services, information_sharing], receivers: [special-unit, vac], given_by: individual, form: written}}
"""
REFERRAL = """\
- {at: "0:20", by: ngo-a, event: referral.submitted, case: woman, ref: R-1, to: [special-unit], consent: consent-1,
   data: {mode: referral, reason: FormalIdentification, urgency: emergency, services: [], legal_basis: "CoM 21/2008 art. 7"},
   sealed: {name: "CANARY-Alina Example", facts: "CANARY-Held by an employer"}}
"""


def text_of(name: Path) -> str:
    """The file of that name, as it comes with nrmbus."""
    return find(name).read_text(encoding="utf-8")


def expecting(step: str, more: str) -> str:
    """*step* with one key *more*."""
    return step.rstrip().removesuffix("}") + f", {more}}}\n"


def story(*steps: str, starts: str = "2026-03-02T09:00:00+04:00") -> str:
    """A small scenario with these *steps*."""
    head = f"""\
        title: A story of a test
        policy: az@2022-04-29
        starts: {starts}
        agencies:
          ngo-a: {{role: ngo_outreach}}
          special-unit: {{role: special_unit}}
          shelter: {{role: shelter_state, capacity: {{women: 1}}}}
          vac: {{role: vac}}
          police-x: {{role: police_other}}
        steps:
        """
    return dedent(head) + "".join(indent(dedent(step), "  ") for step in steps)


def scenario(*steps: str) -> Scenario:
    """A small scenario with these *steps*, read."""
    return parse(story(*steps), "story.yaml")


def played(told: Scenario, stage: Stage | None = None, *, keep_going: bool = False) -> Report:
    """*told*, played in memory unless there is another *stage*."""
    return play(told, stage or MemoryBus(), keep_going=keep_going)


def play_file(name: Path, *, keep_going: bool = False) -> Report:
    """A story that comes with nrmbus, played in memory."""
    return played(read(find(name)), keep_going=keep_going)


def altered(name: Path, old: str, new: str) -> Report:
    """A story that comes with nrmbus, with the first *old* in it made *new*, played in memory."""
    text = text_of(name)
    assert old in text, "the alteration must alter something"
    return played(parse(text.replace(old, new, 1), name.name))
