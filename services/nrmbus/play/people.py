"""Invented people of an example bus, and what waits for them: asked at their desks' doors, as any system of an agency asks."""

import time
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.wall_clock import wall_now
from nrmbus.client.door import Door
from nrmbus.intake.codes import Holder
from nrmbus.intake.messages import Hotline, Written
from nrmbus.intake.store import IntakeStore
from nrmbus.wire import times
from nrmbus.wire.ids import new_event_id

PASSWORD: Final = "everything-here-is-invented"  # noqa: S105 - printed for everybody
"""Password of all of them, printed wherever they are: nobody takes it for a secret."""

LOOK_SECONDS: Final = 0.2
"""Seconds between two looks for the key of an agency's anonymous messages."""

PEOPLE: Final[Mapping[str, Mapping[str, str]]] = {
    "ngo-a": {"Ayla Example": "worker", "Orkhan Example": "supervisor", "Sevda Example": "administrator"},
    "ngo-l": {"Leyla Example": "worker", "Kamran Example": "supervisor", "Nigar Example": "administrator"},
    "special-unit": {
        "Rashad Example": "duty_officer", "Gunay Example": "worker", "Tural Example": "supervisor", "Zaur Example": "administrator",
    },
    "shelter": {"Sabina Example": "worker", "Vusal Example": "supervisor", "Aynur Example": "administrator"},
    "vac": {"Elnara Example": "worker", "Fuad Example": "supervisor", "Lala Example": "administrator"},
    "fund": {"Nazim Example": "worker", "Rena Example": "supervisor", "Ilqar Example": "administrator"},
    "migration": {"Javid Example": "worker", "Tarana Example": "supervisor", "Emin Example": "administrator"},
    "guardianship": {"Shahla Example": "worker", "Murad Example": "supervisor", "Konul Example": "administrator"},
    "child-commission": {"Turkan Example": "worker", "Elnur Example": "supervisor", "Narmin Example": "administrator"},
    "statistics": {"Lamiya Example": "worker", "Anar Example": "supervisor", "Solmaz Example": "administrator"},
    "coordinator": {"Farid Example": "worker", "Gulnar Example": "supervisor", "Elchin Example": "administrator"},
}  # fmt: skip
"""Of each agency of an example, names with a role."""
OFFICES: Final = {"statistics": "Example Statistics Office", "coordinator": "Example Coordinator's Office"}
"""Agencies of an example that have no cases, by id, which is their role too, with their name: no file of agencies for trying a system has them."""

CODE: Final = "4711000000000018"
"""Receipt code of the message that an invented person has written on each public page; printed for everybody too."""
MESSAGE: Final = Written(
    "Invented: They took my passport when I came to work in the kitchen. I sleep there and may not go out. What can I do?",
    "en", "myself",
)  # fmt: skip

_DONE_BY: Final = {
    "D-REFER": "refer", "D-ACK": "acknowledge", "D-ANSWER": "answer", "D-SERVICE": "answer", "D-ASSIGN": "begin the work",
    "D-BED": "answer about a bed", "D-RG": "decide on reasonable grounds", "D-HOLD": "confirm a hold",
    "D-REPRESENT": "assign a representative",
}  # fmt: skip
"""Deed that ends a duty of a day's work."""
_DECISION: Final = "decide"
"""Beginning of a deed that workers leave to who may decide."""
_ACCEPTED: Final = "begin a stage of identification"
"""Deed that ends D-ANSWER once the referral is accepted."""
_MANAGES: Final = "Add colleagues, end sessions, look at health"


def write_on_page(folder: BusFolder, agency: str) -> None:
    """Have an invented person write on the public page of *agency*; wait until its desk has named the key for this."""
    store = IntakeStore(folder.agency(agency).path)
    try:
        while store.key_kid is None:
            time.sleep(LOOK_SECONDS)
        hotline, holder, id = Hotline(folder.settings.bus, agency), Holder.of_code(CODE, store.salt), new_event_id()
        seal = partial(hotline.seal, MESSAGE, id=id, ref=holder.ref)
        store.take(holder, id, seal, now=wall_now())
    finally:
        store.close()


async def to_do(door: Door, agency: str, now: datetime) -> dict[str, str]:
    """Return in a few words what each role of *agency* can do at *now*, by the duties, questions, beds and tasks at its desk."""
    if agency in OFFICES:
        return _of_offices(agency, len(await _all(door, "tasks")), now)
    duties = [each for each in await _duties(door) if each["agency"] == agency and "due" in each]
    referrals = await _all(door, "referrals")
    accepted = {each["ref"] for each in referrals if _has_accepted(agency, each)}
    dues: dict[str, list[timedelta]] = {}
    for each in duties:
        is_accepted = each["code"] == "D-ANSWER" and each.get("ref") in accepted
        done = _ACCEPTED if is_accepted else _DONE_BY.get(each["code"])
        if done and (due := times.read(each["due"])):
            dues.setdefault(done, []).append(due - now)
    sent = [each for each in referrals if each["direction"] == "sent"]
    houses = [house for bed in await _all(door, "beds") for house in bed["houses"]]
    tasks = await _all(door, "tasks")
    best_interests = sum(each["kind"] == "best_interests" for each in tasks)
    counts = {
        "answer a question": sum(agency in each["waits_for"] for each in sent),
        "admit a person whose bed is kept": sum((each["agency"], each["state"]) == (agency, "offered") for each in houses),
        "decide where a child may live": best_interests,
        "look at new events": len(tasks) - best_interests,
    }  # fmt: skip
    late = sum(left < timedelta() for lefts in dues.values() for left in lefts)
    work = [_deed(done, lefts) for done, lefts in sorted(dues.items(), key=lambda each: min(each[1]))]
    work += [f"{deed}: {count}" for deed, count in counts.items() if count]
    decisions = [each for each in work if each.startswith(_DECISION)]
    return {
        "worker": _sentence([each for each in work if each not in decisions] or ["read the cases"]),
        "duty_officer": _sentence(work),
        "supervisor": _sentence(
            [*decisions, *([f"look at what is overdue: {late}"] if late else []), "see who read what"]
        ),
        "administrator": _MANAGES,
    }


def _of_offices(agency: str, tasks: int, now: datetime) -> dict[str, str]:
    """Return in a few words what each role of an agency without cases can do."""
    if agency == "statistics":
        last = now.year - (now.month < 4), ((now.month - 1) // 3 - 1) % 4 + 1
        worker = f"Make a draft of the figures of {last[0]}, quarter {last[1]}, and ask for a signature"
        supervisor = "Sign the draft that a worker asked you to sign"
    else:
        worker = (
            f"Read new figures: {tasks}; see what another profile of the Rules would change, and ask for a signature"
        )
        supervisor = "Sign the profile that a worker asked you to sign"
    return {"worker": worker, "supervisor": supervisor, "administrator": _MANAGES}


def _has_accepted(agency: str, referral: Mapping[str, Any]) -> bool:
    return any((each["agency"], each["state"]) == (agency, "accepted") for each in referral["receivers"])


async def _duties(door: Door) -> list[dict[str, Any]]:
    cases = [await door.case(each["case"]) for each in await _all(door, "cases")]
    return [duty for each in cases for duty in each.get("open_deadlines", ())]


async def _all(door: Door, what: str) -> list[dict[str, Any]]:
    """Return every entry of a list at the door."""
    found: list[dict[str, Any]] = []
    page = await door.get(f"/v1/{what}")
    while True:
        found += page[what]
        if page["next"] is None:
            return found
        page = await door.get(f"/v1/{what}", after=page["next"])


def _deed(deed: str, lefts: Collection[timedelta]) -> str:
    """Return a deed with the number of times due, the longest delay, and the time until the next."""
    late = [-each for each in lefts if each < timedelta()]
    left = [each for each in lefts if each >= timedelta()]
    overdue = f"overdue by {_length(max(late))}" if late else ""
    due = f"due in {_length(min(left))}" if left else ""
    when = f"{len(late)} {overdue}, next {due}" if late and left else overdue or due
    return f"{deed}: {len(late) + len(left)} ({when})"


def _length(length: timedelta) -> str:
    minutes = int(length.total_seconds()) // 60
    hours, days = minutes // 60, minutes // 1440
    return f"{days} days" if days > 1 else f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _sentence(deeds: Iterable[str]) -> str:
    words = "; ".join(deeds)
    return words[:1].upper() + words[1:]
