"""The pages of the agency's people, by subject."""

from typing import Final

from nrmbus.desk.web.shell import Pages
from nrmbus.desk.web.staff import account, condition, people, session, sign_in, supervisor, systems

SUBJECTS: Final[tuple[Pages, ...]] = (
    sign_in.routes, session.routes, account.routes, people.routes, systems.routes, condition.routes, supervisor.routes,
)  # fmt: skip
"""In the order of their rooms."""
