"""Telephone numbers and e-mail addresses at which nobody can be reached, as far as a page can see."""

from typing import Final

from nrmbus.web.words import Words

FEWEST_DIGITS: Final = 5


def unreachable(t: Words, method: str, value: str) -> str:
    """Return what to look at if *value* cannot be a number or an address of *method*; empty if it can, or nothing was typed."""
    if method == "phone" and value and sum(each.isdecimal() for each in value) < FEWEST_DIGITS:
        return t("Is the number right? Write all its digits.")
    if method == "email" and value and "@" not in value:
        return t("Is the address right? An e-mail address has an @.")
    return ""
