"""In every version of an event, anybody with the directory can verify the sender and the original content."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agencies import town
from desk.given import CANARY, REF, TOKEN, desk_of
from nrmbus.client import verify_original
from nrmbus.client.door import Door
from nrmbus.wire import base64
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SigningKey, VerifyKey

TYPE = "referral.submitted"
DATA: dict[str, Any] = {
    "to": ["special-unit"], "mode": "referral", "reason": "FormalIdentification", "urgency": "emergency",
    "services": [{"code": "safe_shelter", "time_frame": "24_hours"}],
}  # fmt: skip
Row = dict[str, Any]


async def row(home: Path, **how: Any) -> Row:
    """A referral of version 2 as the special unit's desk hands it on."""
    async with desk_of("special-unit", home) as given:
        event = given.registrar.event(
            "ngo-a", TYPE, DATA, version=2, referral=REF, parts={"story": {"facts": CANARY}}, opens=["special-unit"]
        )
        await given.hear(given.registrar.register(event, to="special-unit"))
        (found,) = (await given.during(given.door.get("/v1/inbox", params=how))).json()["events"]
        return dict(found)


def key_of(agency: str, kid: str) -> VerifyKey:
    """A key as the directory has it."""
    return town().directory.any_verify_key(agency, kid)


@pytest.mark.parametrize(
    "how", [{}, {"speaks": f"{TYPE}:2"}, {"open": True, "actor": "S-1"}], ids=["cast", "as published", "opened"]
)
async def test_the_original_verifies_under_any_cast_of_the_row(how: dict[str, Any], tmp_path: Path) -> None:
    """The source's own signature over its own bytes, and the registrar's over the number under which they became true."""
    found = await row(tmp_path, **how)
    signed = verify_original(found, key_of)

    assert (signed.source, signed.type, signed.version, signed.subject) == ("ngo-a", TYPE, 2, found["case"])
    assert json.loads(signed.data) == DATA


async def test_the_original_holds_nothing_that_was_sealed(tmp_path: Path) -> None:
    """The envelope alone: the letter's digest is signed, so the signature needs no letter, open or sealed."""
    found = await row(tmp_path, open=True, actor="S-1")

    assert CANARY not in json.dumps(found["original"])
    assert set(found["original"]) == {"headers", "value", "registration"}
    assert all(name == "content-type" or name.startswith("ce_") for name in found["original"]["headers"])
    assert found["original"]["headers"]["ce_sealeddigest"]


def bit(text: str) -> str:
    """Base64 of the same bytes but for one bit, in their middle."""
    raw = bytearray(base64.decode(text, "unreadable"))
    raw[len(raw) // 2] ^= 1
    return base64.encode(bytes(raw))


def other(text: str) -> str:
    """Text with its last character changed, of the same kind."""
    return text[:-1] + ("1" if text[-1] != "1" else "2")


async def test_an_altered_byte_is_seen_wherever_it_is(tmp_path: Path) -> None:
    """In the data, in the registrar's word, in each header that there is."""
    found = await row(tmp_path)
    for name in ("value", "registration"):
        with pytest.raises(WireError):
            verify_original(found | {"original": found["original"] | {name: bit(found["original"][name])}}, key_of)
    for name, value in found["original"]["headers"].items():
        headers = found["original"]["headers"] | {name: bit(value) if name == "ce_dssematerial" else other(value)}
        with pytest.raises(WireError):
            verify_original(found | {"original": found["original"] | {"headers": headers}}, key_of)
    for name in found["original"]["headers"]:
        headers = {each: value for each, value in found["original"]["headers"].items() if each != name}
        with pytest.raises(WireError):
            verify_original(found | {"original": found["original"] | {"headers": headers}}, key_of)


@pytest.mark.parametrize(
    "other",
    [{"number": 9}, {"id": "x"}, {"type": "referral.revoked"}, {"published": 1}, {"case": REF}, {"source": "vac"}],
    ids=lambda other: next(iter(other)),
)
async def test_a_row_about_another_event_than_its_original_is_seen(other: Row, tmp_path: Path) -> None:
    """A desk cannot show one event and prove another."""
    found = await row(tmp_path)

    with pytest.raises(WireError, match="signature_invalid"):
        verify_original(found | other, key_of)


async def test_the_original_of_another_event_proves_nothing(tmp_path: Path) -> None:
    """Each part is genuine, and they do not belong together."""
    one, two = await row(tmp_path / "one"), await row(tmp_path / "two")
    mixed = one | {"original": one["original"] | {"registration": two["original"]["registration"]}}

    with pytest.raises(WireError, match="signature_invalid"):
        verify_original(mixed, key_of)


def strange(agency: str, kid: str) -> VerifyKey:
    """Everybody's key is another one."""
    del agency, kid
    return SigningKey.generate().verify_key


def nobody(agency: str, kid: str) -> VerifyKey:
    """A directory that knows nobody."""
    raise LookupError(agency, kid)


def no_registrar(agency: str, kid: str) -> VerifyKey:
    """A directory that knows all but the registrar."""
    return strange(agency, kid) if agency == "registrar" else key_of(agency, kid)


@pytest.mark.parametrize(
    ("keys", "code"),
    [(strange, "signature_invalid"), (nobody, "key_not_current"), (no_registrar, "signature_invalid")],
)
async def test_another_key_proves_nothing(keys: Callable[[str, str], VerifyKey], code: str, tmp_path: Path) -> None:
    """Neither the source's nor the registrar's."""
    found = await row(tmp_path)

    with pytest.raises(WireError, match=code):
        verify_original(found, keys)


@pytest.mark.parametrize(
    "row", [{}, {"original": None}, {"original": {"headers": {"x": CANARY}}}, {"original": {"headers": {"x": 1}}}]
)
def test_an_invalid_row_is_unreadable_and_not_repeated(row: Row) -> None:
    """Whatever a program hands over by mistake."""
    with pytest.raises(WireError, match="unreadable") as raised:
        verify_original(row, key_of)

    assert "CANARY" not in str(raised.value)
    assert raised.value.__cause__ is raised.value.__context__ is None


async def test_a_program_names_its_versions_once(tmp_path: Path) -> None:
    """`Door(speaks=…)` goes along with everything that it says and asks."""
    async with desk_of("special-unit", tmp_path) as given:
        event = given.registrar.event("ngo-a", TYPE, DATA, version=2, referral=REF)
        await given.hear(given.registrar.register(event, to="special-unit"))
        async with Door("http://desk", TOKEN, speaks={TYPE: 2}, transport=given.door._transport) as door:
            (newer,) = (await door.inbox())["events"]
            said = await door.publish(
                {"type": TYPE, "case": newer["case"], "actor": "S-1", "ref": REF, "data": DATA | {"to": ["vac"]}}
            )
            again = await door.event(said["id"])

        assert (newer["version"], newer["data"]) == (2, DATA)
        assert again["version"] == 2
