"""A case in the work list, and what the list shows."""

import re
from typing import Any

import httpx

from agencies import CASE, SIGNAL
from desk.given import CANARY, REF, Given

REFERRAL: dict[str, Any] = {
    "to": ["vac"], "mode": "referral", "reason": "LegalAid", "urgency": "urgent", "services": ["legal"],
}  # fmt: skip


async def a_referral_comes(here: Given, case: str = CASE, ref: str = REF) -> None:
    """Have the NGO refer somebody to the assistance centre."""
    registrar = here.registrar
    await here.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL, case=case), to="vac"))
    sent = registrar.event(
        "ngo-a", "referral.submitted", REFERRAL, case=case, parts={"identity": {"name": CANARY}}, opens=["vac"],
        referral=ref,
    )  # fmt: skip
    await here.hear(registrar.register(sent, to="vac"))
    await here.settle()


def rows(page: httpx.Response) -> list[str]:
    """Return the text of each row of the list."""
    assert page.status_code == 200, page.text
    found = re.findall(r"<tr id=.*?</tr>", page.text, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", each).split()) for each in found]
