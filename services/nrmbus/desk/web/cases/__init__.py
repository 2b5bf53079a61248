"""A case: pages, letters, documents, prints."""

from typing import Final

from nrmbus.desk.web.cases import documents, letters, pages, prints, sharing
from nrmbus.desk.web.shell import Pages

ROUTES: Final[tuple[Pages, ...]] = (pages.routes, letters.routes, documents.routes, sharing.routes, prints.routes)
