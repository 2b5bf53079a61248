"""A token does what its scopes permit and nothing else, at every route of the door, whoever adds one."""

from pathlib import Path

from agencies import CASE
from desk.documented import operations
from desk.given import TOKEN, desk_of
from nrmbus.desk.http.scopes import SCOPES

PLACES = {
    "id": "0" * 32,
    "ref": CASE,
    "task": "1",
    "name": "booking",
    "number": "100000",
    "webhook": "0" * 16,
    "message": "msg_0",
}


def _operations() -> list[tuple[str, str, list[str]]]:
    """Return method, an address, and the scopes of each route, as OpenAPI shows them."""
    found = []
    for path, method, operation in operations():
        (scheme,) = operation["security"]  # a route without declared scopes has none
        found.append((method, path.format_map({**PLACES}), list(scheme["token"])))
    return found


async def test_every_route_refuses_a_token_without_its_scope(tmp_path: Path) -> None:
    """Whoever lacks the scope is refused with a code that names the scope, before the request is read."""
    async with desk_of("ngo-a", tmp_path) as here:
        for method, path, needed in _operations():
            for scope in SCOPES:
                if path.endswith("/stream") and set(needed) <= {scope}:
                    continue  # it would never end
                answer = await here.door.request(
                    method, path, headers={"authorization": f"Bearer a-token-to-{scope}"}, content=b"{"
                )
                if set(needed) <= {scope}:
                    assert answer.status_code != 403, (method, path)
                else:
                    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing"), (method, path)
                    assert answer.json()["scope"] == next(each for each in needed if each != scope)


async def test_who_may_read_opens_no_letter(tmp_path: Path) -> None:
    """Letters need the scope `open` besides `read`; without it nothing is recorded and nothing opened."""
    async with desk_of("ngo-a", tmp_path) as here:
        asked = {"open": "true", "actor": "S-1"}
        answer = await here.door.get("/v1/inbox", params=asked, headers={"authorization": "Bearer a-token-to-read"})

        assert (answer.status_code, answer.json()["scope"]) == (403, "open")
        everything = await here.door.get("/v1/inbox", params=asked, headers={"authorization": f"Bearer {TOKEN}"})
        assert everything.status_code == 200
