"""One request at the auditor's page, and the check that its form came from this page."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request

from nrmbus.auditor.web.sessions import Session
from nrmbus.web.words import Words

BODY_LIMIT = 8192


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


async def form_of(request: Request) -> Mapping[str, str]:
    """Return the fields of a form; none if the body is no form, or larger than any form of the page."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            return {}
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=16)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def same_origin(request: Request) -> bool:
    """Return whether the browser names one of our pages as the origin; an old browser names none."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    ours = f"{request.url.scheme}://{request.url.netloc}"
    return origin in (None, ours) and site in (None, "same-origin", "none")


def comes_from(visit: Visit, form: Mapping[str, str]) -> bool:
    """Return whether *form* was sent from a page of this session."""
    given, known = form.get("form", ""), visit.session.form if visit.session else ""
    same = hmac.compare_digest(given.encode("utf-8", "replace"), known.encode())
    return bool(known) and same and same_origin(visit.request)


def inside(path: str) -> str:
    """Return *path* if it leads to a page of this site, else the search: a link to this site sends nobody elsewhere."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path[:2000] if safe else "/search"
