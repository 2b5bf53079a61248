"""Scripted counterpart of a sandbox: agencies that answer referrals by themselves, so that an integrator can play alone."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nrmbus.bus.errors import BusError
from nrmbus.client import AsyncDesk, Received, Refused, Registered, Verdict
from nrmbus.client.cursors import CursorFile
from nrmbus.client.desk import Members
from nrmbus.events.model import Data
from nrmbus.events.referral import ReferralAccepted, ReferralAcknowledged, ReferralDeclined, ReferralSubmitted
from nrmbus.wire.ids import new_ref

ACTOR: Final = "sandbox-1"
"""Staff number for the answers; no member of staff has this number."""
ANSWERED: Final = "not_open"
"""Code of the refusal of an answer to a referral that was answered before."""
PEOPLE: Final[Mapping[str, Any]] = {
    "detector": "ngo_outreach", "child": False, "urgency": "emergency", "detected_abroad": False, "basis": ["indicators"],
}  # fmt: skip
"""Facts of an invented person's signal."""
PURPOSES: Final = ["services", "information_sharing"]


@dataclass(frozen=True, slots=True)
class Declines:
    """Rule by which a referral is declined: a member of its data has this value. Every other referral is accepted."""

    member: str
    value: str

    @classmethod
    def parse(cls, text: str) -> "Declines | None":
        """Return the rule ``member=value``, or None if the member is none of a referral's."""
        member, _, value = text.partition("=")
        return cls(member, value) if member in ReferralSubmitted.model_fields and value else None

    def holds_for(self, data: Mapping[str, Any]) -> bool:
        """Return whether the referral with *data* is declined."""
        found = data.get(self.member)
        texts = found if isinstance(found, list) else [str(found).lower() if isinstance(found, bool) else str(found)]
        return self.value in texts


async def prepare(desk: AsyncDesk, to: str) -> str:
    """Publish an invented person's signal and her consent to be referred to *to*; return the case.

    Raises:
        BusError: the bus refused it.
    """
    said = await desk.publish({"type": "case.signal_recorded", "data": PEOPLE}, actor=ACTOR)
    consent = {"purposes": PURPOSES, "receivers": [to], "given_by": "individual", "form": "written"}
    for verdict in (said, await desk.publish({"type": "consent.given", "data": consent}, actor=ACTOR, case=said.case)):
        _registered(verdict)
    return said.case


def referral(case: str, ref: str, to: str) -> dict[str, Any]:
    """Return an invented referral to *to*, as a system asks its desk for it."""
    reason = "FormalIdentification" if to == "special-unit" else "AdditionalServicesRequired"
    return {
        "type": "referral.submitted",
        "case": case,
        "ref": ref,
        "actor": ACTOR,
        "to": [to],
        "legal_basis": "CoM 21/2008 art. 7",
        "data": {"mode": "referral", "reason": reason, "urgency": "emergency", "services": ["health"], "child": False},
        "sealed": {"name": "Alina Example", "facts": "Everything about this person is invented."},
    }


async def refer(desk: AsyncDesk, to: str) -> tuple[str, str]:
    """Refer an invented person to *to*; return the case and the referral.

    Raises:
        BusError: the bus refused it.
    """
    case, ref = await prepare(desk, to), new_ref()
    _registered(await desk.publish(referral(case, ref, to)))
    return case, ref


def _registered(verdict: Verdict) -> None:
    if isinstance(verdict, Registered):
        return
    why = f"{verdict.code} {verdict.rule}" if isinstance(verdict, Refused) else "no verdict came"
    raise BusError(
        f"The bus did not take an event of the sandbox ({why}): look at nrmbus doctor, or use another --data DIR."
    )


async def answer_referrals(
    agencies: Mapping[str, Path], declines: Declines, cursors: Path, tell: Callable[[str], None]
) -> None:
    """Answer each referral to one of *agencies*, by id with the folder of its desk, until cancelled; *tell* of each answer.

    The folder *cursors* keeps how far each agency has come.
    """
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        for agency, home in agencies.items():
            desk = await stack.enter_async_context(AsyncDesk.of(home))
            _register(desk, agency, declines, tell)
            tasks.create_task(desk.run(CursorFile(cursors / f"{agency}.cursor"), signals=()))


def _register(desk: AsyncDesk, agency: str, declines: Declines, tell: Callable[[str], None]) -> None:
    @desk.on(ReferralSubmitted)
    async def answer(event: Received[ReferralSubmitted]) -> None:
        if agency not in event.data.to or event.ref is None:
            return
        is_declined = declines.holds_for(event.data.to_mapping())
        decision: Data = (
            ReferralDeclined(reason="no_capacity", declined_by="provider")
            if is_declined
            else ReferralAccepted(next_step="needs_assessment")
        )
        about: Members = {"actor": ACTOR, "case": event.case, "ref": event.ref, "cause": event.id}
        # An earlier player of this agency may have acknowledged it already: then only the decision is registered.
        await desk.publish(ReferralAcknowledged(receipt_no="SANDBOX-1", duty_role="duty_officer"), **about)
        verdict = await desk.publish(decision, **about)
        if isinstance(verdict, Registered):
            tell(f"{agency} acknowledged referral {event.ref[:8]}, and {'declined' if is_declined else 'accepted'} it.")
        elif isinstance(verdict, Refused) and verdict.code != ANSWERED:
            tell(
                f"{agency} could not answer referral {event.ref[:8]}: {verdict.code} {verdict.rule}: {verdict.sentence}"
            )
