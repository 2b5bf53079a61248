"""Passkeys: two factors in one, good for one desk, one challenge and one authenticator."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from webauthn import base64url_to_bytes

from desk.staff.given import HOST, ORIGIN, PASSWORD, Authenticator, GivenStaff, holds, staff_at
from nrmbus.desk.errors import DeskError
from nrmbus.desk.staff import passkeys
from nrmbus.desk.staff.members import Member
from nrmbus.desk.staff.permissions import StaffSettings
from nrmbus.desk.staff.staff import NotSignedIn

pytestmark = pytest.mark.usefixtures("cheap_passwords")


def to_add(here: GivenStaff, member: Member) -> str:
    """Return the options for a new passkey of *member*."""
    known = here.staff.members.passkeys_of(member.number)
    return passkeys.options_to_add(member, known, HOST, here.staff.challenges.new(member.number))


def to_use(here: GivenStaff) -> str:
    """Return the options for a sign-in."""
    return passkeys.options_to_use(HOST, here.staff.challenges.new(passkeys.SIGN_IN))


async def settled(here: GivenStaff, phone: Authenticator) -> Member:
    """Return a member whose only second factor is a passkey on *phone*."""
    member, once = await here.invited()
    value = await here.half_way("Leyla Example", once)
    assert await here.staff.set_first_password(value, PASSWORD) is None
    cookie, codes = await here.staff.with_first_passkey(value, phone.added(to_add(here, member)), HOST, ORIGIN)
    assert here.staff.sessions.look(cookie)
    assert len(codes) == 8
    return here.staff.members.there(member.number)


async def test_a_passkey_signs_in_without_name_and_password(tmp_path: Path) -> None:
    """It is also a second factor: with it alone, a password leads to no code but a recovery code."""
    phone = Authenticator()
    async with staff_at(tmp_path) as here:
        member = await settled(here, phone)
        assert (member.passkeys, member.has_code) == (1, False)
    async with staff_at(tmp_path) as here:
        cookie = await here.staff.with_passkey(phone.used(to_use(here)), HOST, ORIGIN)
        session = here.staff.sessions.look(cookie)
        assert session is not None
        assert (session.member, session.how) == (member.number, "passkey")
        value = await here.half_way("Leyla Example", PASSWORD)
        with pytest.raises(NotSignedIn, match="code_wrong"):
            await here.staff.with_code(value, "000000")
        (key,) = here.staff.members.passkeys_of(member.number)
        assert (key.uses, key.used) == (1, "2026-03-02T05:00:00Z")


async def test_a_passkey_names_neither_the_member_nor_the_agency(tmp_path: Path) -> None:
    """Given a phone that copies the labels of its passkeys to an account elsewhere, then they have the member's number and the host alone; a passkey from before is still the same account's."""
    async with staff_at(tmp_path) as here:
        member, _ = await here.invited()
        options = json.loads(to_add(here, member))

    assert options["rp"] == {"id": HOST, "name": HOST}
    assert (options["user"]["name"], options["user"]["displayName"]) == (member.number, member.number)
    assert base64url_to_bytes(options["user"]["id"]) == member.number.encode()


async def test_an_answer_that_does_not_hold_signs_nobody_in(tmp_path: Path) -> None:
    """Another site's, an old one, one without a person, one of a copy, one of another key, and nonsense."""
    phone = Authenticator()
    async with staff_at(tmp_path) as here:
        member = await settled(here, phone)
        good = phone.used(options := to_use(here))
        await here.staff.with_passkey(good, HOST, ORIGIN)
        copied = replace(phone, uses=0)
        nobody = replace(phone, verifies_user=False)
        refused = {
            "again": (good, HOST, ORIGIN),
            "the same challenge": (phone.used(options), HOST, ORIGIN),
            "another site": (phone.used(to_use(here), origin="https://evil.example"), HOST, ORIGIN),
            "another host": (phone.used(to_use(here)), "evil.example", "https://evil.example"),
            "a copy": (copied.used(to_use(here)), HOST, ORIGIN),
            "no person": (nobody.used(to_use(here)), HOST, ORIGIN),
            "another key": (replace(phone, key=Authenticator().key).used(to_use(here)), HOST, ORIGIN),
            "an unknown id": (replace(phone, id=b"another-id-of-16").used(to_use(here)), HOST, ORIGIN),
            "a challenge for a new one": (
                phone.used(passkeys.options_to_use(HOST, here.staff.challenges.new(member.number))), HOST, ORIGIN,
            ),
            "nonsense": ("{", HOST, ORIGIN),
            "nothing": ("", HOST, ORIGIN),
            "a list": ("[]", HOST, ORIGIN),
        }  # fmt: skip
        for answer in refused.values():
            with pytest.raises(NotSignedIn, match="passkey_wrong"):
                await here.staff.with_passkey(*answer)
        late = phone.used(to_use(here))
        here.later(minutes=11)
        with pytest.raises(NotSignedIn, match="passkey_wrong"):
            await here.staff.with_passkey(late, HOST, ORIGIN)
        assert await here.staff.with_passkey(phone.used(to_use(here)), HOST, ORIGIN)


async def test_the_only_second_factor_cannot_be_removed(tmp_path: Path) -> None:
    """With a second passkey it can; a reset removes all; nobody else's passkey is taken."""
    phone, ring = Authenticator(), Authenticator(id=b"another-id-of-16")
    async with staff_at(tmp_path) as here:
        member = await settled(here, phone)
        (key,) = here.staff.members.passkeys_of(member.number)
        assert not await here.staff.remove_passkey(member, key.id)
        assert not await here.staff.add_passkey(
            member, ring.added(to_add(here, member), "https://evil.example"), HOST, ORIGIN, holds
        )
        assert await here.staff.add_passkey(member, ring.added(to_add(here, member)), HOST, ORIGIN, holds)
        member = here.staff.members.there(member.number)
        other, _ = await here.invited("Rena Example")
        with pytest.raises(DeskError, match="not_found"):
            await here.staff.members.remove_passkey(other.number, key.id)
        with pytest.raises(DeskError, match="member_exists"):
            await here.staff.add_passkey(other, ring.added(to_add(here, other)), HOST, ORIGIN, holds)
        assert await here.staff.remove_passkey(member, key.id)
        with pytest.raises(NotSignedIn, match="passkey_wrong"):
            await here.staff.with_passkey(phone.used(to_use(here)), HOST, ORIGIN)
        await here.staff.reset(member.number, "door.json")
        with pytest.raises(NotSignedIn, match="passkey_wrong"):
            await here.staff.with_passkey(ring.used(to_use(here)), HOST, ORIGIN)


async def test_a_stolen_device_of_the_providers_member_signs_in_no_more(tmp_path: Path) -> None:
    """Given a member whom the provider signs in, then the only passkey can be removed; without the provider it is all she has, and stays."""
    phone, settings = (
        Authenticator(),
        StaffSettings.read({"provider": {"issuer": "https://id.example.org", "client_id": "x"}}),
    )
    async with staff_at(tmp_path, settings=settings) as here:
        member, _ = await here.invited(subject="17")
        assert await here.staff.add_passkey(member, phone.added(to_add(here, member)), HOST, ORIGIN, holds)
        (key,) = here.staff.members.passkeys_of(member.number)
    async with staff_at(tmp_path) as here:
        assert not await here.staff.remove_passkey(here.staff.members.there(member.number), key.id)
    async with staff_at(tmp_path, settings=settings) as here:
        assert await here.staff.remove_passkey(here.staff.members.there(member.number), key.id)
        with pytest.raises(NotSignedIn, match="passkey_wrong"):
            await here.staff.with_passkey(phone.used(to_use(here)), HOST, ORIGIN)


def test_browsers_make_passkeys_for_names_only() -> None:
    """An address has none, so the page says which name to use."""
    hosts = ("localhost", "desk.example.org", "127.0.0.1", "::1", "")
    assert [each for each in hosts if passkeys.is_possible_at(each)] == ["localhost", "desk.example.org"]


@pytest.mark.parametrize("turns", range(6))
async def test_a_reset_forgets_a_passkey_that_signs_in_at_the_same_moment(tmp_path: Path, turns: int) -> None:
    """A stolen phone gets no session that outlives the reset, and its key never works again."""
    async with staff_at(tmp_path) as here:
        phone, staff = Authenticator(), here.staff
        member, _, _, _ = await here.settled()
        here.later(minutes=1)
        asked = passkeys.options_to_add(member, [], HOST, staff.challenges.new(member.number))
        assert await staff.add_passkey(staff.members.there(member.number), phone.added(asked), HOST, ORIGIN, holds)
        answer = phone.used(passkeys.options_to_use(HOST, staff.challenges.new(passkeys.SIGN_IN)))
        hashed = await staff._passwords.hashed("ABCD-ABCD-ABCD-ABCD")

        async def reset() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await staff.members.reset(member.number, hashed, "door.json")

        await asyncio.gather(reset(), staff.with_passkey(answer, HOST, ORIGIN), return_exceptions=True)

        assert staff.sessions.of(member.number) == []
        assert list(staff.members.passkeys_of(member.number)) == []


async def test_two_tabs_do_not_remove_both_second_factors(tmp_path: Path) -> None:
    """Given two passkeys and nothing else, when each is removed at the same moment, then one stays."""
    phone, ring = Authenticator(), Authenticator(id=b"another-id-of-16")
    async with staff_at(tmp_path) as here:
        member = await settled(here, phone)
        assert await here.staff.add_passkey(member, ring.added(to_add(here, member)), HOST, ORIGIN, holds)
        member, keys = here.staff.members.there(member.number), here.staff.members.passkeys_of(member.number)

        removed = await asyncio.gather(*(here.staff.remove_passkey(member, key.id) for key in keys))

        assert (sorted(removed), here.staff.members.there(member.number).passkeys) == ([False, True], 1)


@pytest.mark.parametrize("turns", range(6))
async def test_a_reset_leaves_no_passkey_of_a_first_sign_in_at_the_same_moment(tmp_path: Path, turns: int) -> None:
    """Given a one-time password in the wrong hands, when the member is reset, then no second factor outlives the reset."""
    async with staff_at(tmp_path) as here:
        member, once = await here.invited()
        value = await here.half_way("Leyla Example", once)
        assert await here.staff.set_first_password(value, PASSWORD) is None
        answer = Authenticator().added(to_add(here, member))
        hashed = await here.staff._passwords.hashed("ABCD-ABCD-ABCD-ABCD")

        async def signs_in() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await here.staff.with_first_passkey(value, answer, HOST, ORIGIN)

        reset = here.staff.members.reset(member.number, hashed, "door.json")
        await asyncio.gather(reset, signs_in(), return_exceptions=True)

        member = here.staff.members.there(member.number)
        assert (member.standing, member.passkeys, member.recovery_codes) == ("invited", 0, 0)
