"""Answers that the models take and a page asks about, because another answer contradicts them or nobody can mean them.

The door and the Rules take them: an event of another system or of an earlier release may have them.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from nrmbus.desk.web.acts.form import DATA, SEALED
from nrmbus.events.codes import CHILD_BANDS
from nrmbus.events.figures import UNKNOWN
from nrmbus.events.model import Data
from nrmbus.events.provider import CapacityChanged
from nrmbus.web.reach import unreachable
from nrmbus.web.words import Words


def age_doubt(t: Words, child: str, band: str) -> str:
    """Return the doubt if the age *band* contradicts *child*, ``yes`` or ``no``; empty for an unclear or missing answer."""
    if child not in {"yes", "no"} or band in {"", UNKNOWN} or (band in CHILD_BANDS) == (child == "yes"):
        return ""
    return t("The age band and the answer about a child do not fit: correct one of them.")


def doubts(t: Words, data: type[Data], request: Mapping[str, Any], today: date) -> Iterator[tuple[str, str]]:
    """Yield pointer and doubt for each answer of *request*, an event of *data*, that somebody has to look at again."""
    letter = request.get(SEALED, {})
    contact = letter.get("contact", {})
    # The form of a signal has no third answer, so its yes also stands for an unclear age.
    child = "no" if request[DATA].get("child") is False else ""
    found = {
        f"/{SEALED}/age_band": age_doubt(t, child, letter.get("age_band", "")),
        f"/{SEALED}/birth_date": t("The date of birth lies in the future: correct it.")
        if letter.get("birth_date", "") > today.isoformat()
        else "",
        f"/{SEALED}/contact/value": unreachable(t, contact.get("method", ""), contact.get("value", "")),
    }
    if data is CapacityChanged and not request[DATA]:  # it would erase what the agency said before
        found[f"/{DATA}/women"] = t("Choose for at least one group whether there are places.")
    yield from ((pointer, doubt) for pointer, doubt in found.items() if doubt)
