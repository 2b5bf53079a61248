"""Doing something in a case: the form of an event, its draft, checked answers and what became of it."""

from typing import Final

from nrmbus.desk.web.acts import answering, approvals, bulletins, groups, guide, pages
from nrmbus.desk.web.shell import Pages

ROUTES: Final[tuple[Pages, ...]] = (
    answering.routes,
    approvals.routes,
    bulletins.routes,
    groups.routes,
    guide.routes,
    pages.routes,
)
"""The pages of this subject."""
