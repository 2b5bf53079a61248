"""Titles of the pages about the Rules."""

from nrmbus.web.words import Words


def title(t: Words, kind: str, name: str) -> str:
    """Return the title of the page about *name*, a rule, a clock, a type of event or a status."""
    if kind == "rule":
        return t("Rule {rule}", rule=name)
    if kind == "type":
        return t.type(name)
    return t.capital(t.code("clock" if kind == "clock" else "status", name))
