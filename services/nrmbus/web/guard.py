"""Headers of every answer with a page, and the check of every request that changes something.

Another site's form is refused by what the browser says of its origin (Fetch Metadata, else ``Origin``), as Go's
``http.CrossOriginProtection`` does; cookies are SameSite too.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

HEADERS: Final[Mapping[str, str]] = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer, a browser would hide from a page too that a form is its own
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""Headers of every page: nothing is kept, nothing comes from elsewhere, nobody else shows or embeds it."""
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
FORM_LIMIT: Final = 256 * 1024
_FIELDS: Final = 2000


def is_foreign(request: Request) -> bool:
    """Return whether a request that changes something comes from another site's page."""
    if request.method in SAFE:
        return False
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("host", "")


class FormTooLarge(Exception):
    """A form beyond `FORM_LIMIT` bytes."""


class Form:
    """Fields of a form, each of them text."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs

    def __getitem__(self, name: str) -> str:
        """Return the first value of *name*, or an empty text."""
        return next((value for each, value in self.pairs if each == name), "")

    def __contains__(self, name: str) -> bool:
        """Return whether the form has a field *name*."""
        return any(each == name for each, _ in self.pairs)

    def all(self, name: str) -> list[str]:
        """Return every value of *name*: the boxes that were ticked."""
        return [value for each, value in self.pairs if each == name]

    @classmethod
    async def read(cls, request: Request) -> "Form":
        """Return the form of *request*, with line breaks of one character; one without fields if the body is no form.

        Raises:
            FormTooLarge: the body is longer than any form of the pages.
        """
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > FORM_LIMIT:
                raise FormTooLarge
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS)
        except ValueError:
            return cls([])
        # A browser sends two characters for each line break of a field, and a script sends the one that the field has.
        return cls([(name, value.replace("\r\n", "\n")) for name, value in pairs])
