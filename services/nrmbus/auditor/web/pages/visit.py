"""One request at the auditor's page, and the check that its form came from this page."""

import hmac
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request

from nrmbus.auditor.web.sessions import Session
from nrmbus.web.guard import Form
from nrmbus.web.words import Words


@dataclass(frozen=True, slots=True)
class Visit:
    """One request: its language, its session, and its address."""

    request: Request
    t: Words
    session: Session | None

    @property
    def here(self) -> str:
        """Path and query, without the language; a form leads nowhere by its address."""
        if self.request.method == "POST":
            return "/"
        query = [(name, value) for name, value in self.request.query_params.multi_items() if name != "lang"]
        return self.request.url.path + (f"?{urlencode(query)}" if query else "")

    def asked(self, name: str, longest: int = 64) -> str:
        """Return the value of *name* in the query, cut to *longest* characters, or an empty text."""
        return self.request.query_params.get(name, "").strip()[:longest]


def comes_from(visit: Visit, form: Form) -> bool:
    """Return whether *form* was made for this session: an old browser does not say from which site a form comes."""
    known = visit.session.form if visit.session else ""
    return bool(known) and hmac.compare_digest(form["form"].encode("utf-8", "replace"), known.encode())


def inside(path: str) -> str:
    """Return *path* if it leads to a page of this site, else the search: a link to this site sends nobody elsewhere."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path[:2000] if safe else "/search"
