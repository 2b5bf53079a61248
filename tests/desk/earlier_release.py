"""The fund's desk of an earlier release: it hears decisions that it cannot read yet, and a consent between them."""

from pathlib import Path
from typing import Any

from agencies import CASE
from desk.given import CANARY, REF, FakeRegistrar, Given, Read, desk_of
from generations import before_version
from nrmbus.desk.inbox import release

DECIDED = "identification.status_decided"
VICTIM: dict[int, dict[str, Any]] = {
    1: {"status": "ActualVictimOfTrafficking", "deciding_body": "Police"},
    2: {"status": "ActualVictimOfTrafficking", "deciding_body": {"type": "Police", "agency": "special-unit"}},
}
SHARING: dict[str, Any] = {
    "purposes": ["information_sharing"],
    "receivers": ["fund"],
    "given_by": "individual",
    "form": "written",
}


def decided(registrar: FakeRegistrar, version: int = 2, case: str = CASE) -> Read:
    """Return the special unit's decision that the person is a victim, sealed to the fund."""
    event = registrar.event(
        "special-unit", DECIDED, VICTIM[version], version=version, case=case, referral=REF,
        parts={"coded": {"exploitation": ["ForcedLabour"]}, "story": {"notes": CANARY}}, opens=["fund"],
    )  # fmt: skip
    return registrar.register(event, to="fund")


def consented(registrar: FakeRegistrar, case: str = CASE) -> Read:
    """Return the person's consent for the fund, after which an allowance goes to the person."""
    return registrar.register(registrar.event("special-unit", "consent.given", SHARING, case=case), to="fund")


async def parked(given: Given) -> list[tuple[str, str]]:
    """Return case and error of each parked record, in order."""
    return [(row.subject, row.error) for row in await given.rows("parked")]


async def payments(given: Given) -> list[str]:
    """Return the payees of the payments that the fund orders automatically, in order."""
    found = [row for row in await given.rows("outbox") if row.origin == "procedure"]
    return ["deposit" if b'"deposit"' in row.clear else "person" for row in found]


async def outcome(given: Given) -> dict[str, Any]:
    """Return the state that an upgraded desk must have left behind."""
    return {
        "events": [(row.id, row.parts, row.recipients, row.technical) for row in await given.rows("events")],
        "outbox": [(row.type, row.id, row.clear) for row in await given.rows("outbox")],
        "tasks": [(row.kind, row.event, row.done is None) for row in await given.rows("tasks")],
        "parked": await parked(given),
        "book": given.desk.book,
    }


async def by_itself(given: Given) -> None:
    """Release cases as the desk does after its start, when the inbox is read to its end."""
    await release.release_by_itself(given.desk, given.inbox)


async def waiting(home: Path, registrar: FakeRegistrar) -> None:
    """Have a desk of the earlier release hear two decisions and a consent between them, and end it."""
    async with desk_of("fund", home, registrar=registrar) as given:
        said = [decided(registrar), consented(registrar), decided(registrar)]
        with before_version(2):
            for record in said:
                await given.hear(record)
