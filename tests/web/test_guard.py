"""The guard of the pages: another site's form changes nothing here, and a form is as long as a person can type."""

from typing import Any

import pytest
from starlette.requests import Request

from nrmbus.web import guard
from nrmbus.web.guard import Form, FormTooLarge, is_foreign


def request(headers: dict[str, str] | None = None, method: str = "POST", body: bytes = b"") -> Request:
    """Return a request to ``desk.example.org`` with *headers* and *body*."""
    sent = {"host": "desk.example.org", **{name.replace("_", "-"): value for name, value in (headers or {}).items()}}
    scope: dict[str, Any] = {"type": "http", "method": method, "path": "/", "query_string": b""}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in sent.items()]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(scope, receive)


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({"sec_fetch_site": "same-origin"}, False),
        ({"sec_fetch_site": "none"}, False),
        ({"sec_fetch_site": "same-site"}, True),
        ({"sec_fetch_site": "cross-site", "origin": "https://desk.example.org"}, True),
        ({"origin": "https://desk.example.org"}, False),
        ({"origin": "https://desk.example.org.evil.example"}, True),
        ({"origin": "null"}, True),
        ({}, False),
    ],
)
def test_a_form_counts_by_what_the_browser_says_of_its_origin(headers: dict[str, str], *, foreign: bool) -> None:
    """Given what a browser sends with a form, only the desk's own pages get through; a program sends nothing of it."""
    assert is_foreign(request(headers)) is foreign
    assert not is_foreign(request(headers, "GET"))


async def test_a_form_has_every_box_that_was_ticked() -> None:
    """A field has its first value, all of them, or an empty text."""
    form = await Form.read(request(body=b"a=1&b=%C9%99&a=2&c="))

    assert (form["a"], form.all("a"), form["b"], form["c"], form["d"]) == ("1", ["1", "2"], "ə", "", "")
    assert "c" in form
    assert "d" not in form


async def test_a_line_break_is_one_character_whoever_sends_it() -> None:
    """Given a text as a browser sends it and as a script does, then both are the same words."""
    browser, script = [await Form.read(request(body=body)) for body in (b"a=1%0D%0A%0D%0A2", b"a=1%0A%0A2")]

    assert browser.pairs == script.pairs == [("a", "1\n\n2")]


async def test_what_is_no_form_has_no_fields() -> None:
    """Bytes that are no text, and too many fields, are read as nothing."""
    assert (await Form.read(request(body=b"a=\xff\xfe&\xff"))).pairs == []
    assert (await Form.read(request(body=b"&".join(b"a=1" for _ in range(3000))))).pairs == []


async def test_a_form_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood is not read to its end."""
    monkeypatch.setattr(guard, "FORM_LIMIT", 8)
    with pytest.raises(FormTooLarge):
        await Form.read(request(body=b"a=123456789"))
