"""The pages of the agency's people, by subject."""

from typing import Final

from nrmbus.desk.web.shell import Pages
from nrmbus.desk.web.staff import account, session, sign_in

SUBJECTS: Final[tuple[Pages, ...]] = (sign_in.routes, session.routes, account.routes)
"""In the order of their rooms."""
