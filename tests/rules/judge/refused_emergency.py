"""G-70 to G-72: for each rule of emergency access a request that it refuses, and a similar one that it lets pass."""

from typing import Any

from nrmbus.rules import Refusal
from rules.given import Bench
from rules.stories import child_signalled, planned, signalled

Pair = tuple[Refusal | None, Refusal | None]
ASKED = "access.break_glass"
UNIT = "special-unit"
TWO: dict[str, Any] = {"ref": "E-1", "approver": "A-2"}


def g_70() -> Pair:
    """Of an adult's signal nobody knows but the two: no second agency could be told; a school has its district."""
    return signalled(Bench()).ask(UNIT, ASKED, **TWO), child_signalled(Bench()).ask(UNIT, ASKED, **TWO)


def g_71() -> Pair:
    """A word of hers against the shelter stands, for whatever purpose; against another it does not matter."""
    b = planned(Bench())
    b.say("vac", "consent.refused", receivers=["shelter"], purposes=["tracing"])
    return b.ask("shelter", ASKED, **TWO), b.ask(UNIT, ASKED, **TWO)


def g_72() -> Pair:
    """Three times a month."""
    b = planned(Bench())
    event = b.event("shelter", ASKED, **TWO)
    over, last = (b.rules.judge(b.view, event, b.now, spent=spent) for spent in (3, 2))
    return over, last


STORIES = {"G-70": g_70, "G-71": g_71, "G-72": g_72}


def more() -> list[tuple[str, Refusal | None, str | None]]:
    """Return edge cases, and pairs of rules in their order; where refusals read alike, the rule that the history records."""
    b, asked = planned(Bench()), planned(Bench())
    asked.say("shelter", ASKED, **TWO)
    at_once = planned(Bench())
    at_once.say("shelter", ASKED, **TWO, reason="imminent_danger")
    said = {"ref": "E-1"}
    objected = asked.fork()
    objected.say("vac", "access.break_glass_objected", **said)
    due = asked.fork()
    due.through("d8 11:00")
    withdrawn = due.fork()
    withdrawn.say("vac", "consent.withdrawn", receivers=["shelter"], purposes=["tracing"])
    late = due.fork().at("d9 10:01")
    done = due.fork()
    done.say("vac", "access.resealed", **said)
    held_no_more = planned(Bench())
    held_no_more.say("ngo-a", "consent.refused", receivers=["vac"], purposes=["tracing"])
    child = child_signalled(Bench())
    child.say("school", "consent.refused", receivers=[UNIT])
    answers = [
        ("one of the staff alone", b.ask("shelter", ASKED, ref="E-1"), "G-20"),
        ("twice the same one", b.ask("shelter", ASKED, ref="E-1", approver="A-1"), "G-20"),
        ("the same one in other spelling", b.ask("shelter", ASKED, ref="E-1", approver="a-1"), "G-20"),
        ("the same one with other signs", b.ask("shelter", ASKED, ref="E-1", approver="A.01"), "G-20"),
        ("with the desk as the second one", b.ask("shelter", ASKED, ref="E-1", approver="by-itself"), "G-20"),
        ("with the desk as the first one", b.ask("shelter", ASKED, **TWO, actor="Desk"), "G-20"),
        ("two whose numbers are alike in part", b.ask("shelter", ASKED, ref="E-1", approver="A-10"), None),
        ("without a reference", b.ask("shelter", ASKED, approver="A-2"), "G-03"),
        ("the fund, which is nobody's rescuer", b.ask("fund", ASKED, **TWO), "G-01"),
        ("a hospital that knows of no case", b.ask("hospital", ASKED, **TWO), "G-02"),
        ("of a case that there is not", Bench().ask("hospital", ASKED, **TWO), "G-02"),
        ("a holder that she has refused must not hear of it", held_no_more.ask("shelter", ASKED, **TWO), "G-70"),
        ("the holder has it all", b.ask("vac", ASKED, **TWO), "G-70"),
        ("an agency that waits for its answer", asked.ask("shelter", ASKED, ref="E-2", approver="A-2"), "G-70"),
        ("another agency meanwhile", asked.ask(UNIT, ASKED, ref="E-2", approver="A-2"), None),
        ("the same agency after an objection", objected.ask("shelter", ASKED, ref="E-2", approver="A-2"), None),
        ("a child's refusal counts as well", child.ask(UNIT, ASKED, **TWO), "G-71"),
        ("the holder's duty officer objects", asked.ask("vac", "access.break_glass_objected", **said), None),
        ("another of its staff", asked.ask("vac", "access.break_glass_objected", **said, duty_role="other"), "G-07"),
        ("the second agency", asked.ask("ngo-a", "access.break_glass_objected", **said), "G-04"),
        ("who heard nothing of it", asked.ask(UNIT, "access.break_glass_objected", **said), "G-03"),
        ("a second time", objected.ask("vac", "access.break_glass_objected", **said), "G-51"),
        ("after the minutes", due.ask("vac", "access.break_glass_objected", **said), "G-51"),
        ("when the danger does not wait", at_once.ask("vac", "access.break_glass_objected", **said), "G-51"),
        ("sealed before the minutes are over", asked.ask("vac", "access.resealed", **said), "G-51"),
        ("sealed though objected to", objected.ask("vac", "access.resealed", **said), "G-51"),
        ("sealed by the holder when it is due", due.ask("vac", "access.resealed", **said), None),
        ("sealed within a day", due.fork().at("d9 9:00").ask("vac", "access.resealed", **said), None),
        ("sealed by a desk that was off since", late.ask("vac", "access.resealed", **said), "G-70"),
        ("asked again of a desk that is off", late.ask("shelter", ASKED, ref="E-2", approver="A-2"), None),
        ("sealed by another", due.ask("ngo-a", "access.resealed", **said), "G-04"),
        ("sealed though she has refused since", withdrawn.ask("vac", "access.resealed", **said), "G-71"),
        ("sealed twice", done.ask("vac", "access.resealed", **said), "G-51"),
        (
            "due for somebody who hears nothing of it",
            asked.ask("vac", "access.reseal_due", **said, holder="vac"),
            "G-01",
        ),
    ]
    return [(what, answer, rule) for what, answer, rule in answers]
