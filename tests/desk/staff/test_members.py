"""Members: sealed in the ledger, a number on the bus, roles that permit, and nobody locked out of managing."""

import asyncio
from pathlib import Path

import pytest
from pydantic import ValidationError

from desk.given import StandingClock, desk_of
from desk.staff.given import one_time_in, staff_at
from nrmbus.desk.errors import DeskError
from nrmbus.desk.staff.permissions import PERMISSIONS, ROLES, StaffSettings, defaults, permits
from nrmbus.desk.staff.staff import Staff
from nrmbus.desk.store import tables
from nrmbus.web.folding import folded
from nrmbus.web.languages import LANGUAGES

pytestmark = pytest.mark.usefixtures("kept", "cheap_passwords")

NAME, ADDRESS = "Leyla Example", "leyla@example.org"


async def test_the_ledger_says_of_a_member_nothing_but_a_number(tmp_path: Path) -> None:
    """Name, address and secrets of the second factor lie sealed; a restart opens them again."""
    clock = StandingClock()
    async with staff_at(tmp_path, clock) as here:
        member, secret, cookie, codes = await here.settled(NAME, "worker", "supervisor")
        member = await here.staff.members.change(member.number, sealed={"email": ADDRESS})
        with here.seat.ledger.read() as tx:
            rows = repr([tx.execute(each.select()).all() for each in tables.METADATA.sorted_tables])
        for text in (NAME, "Leyla", ADDRESS, secret, cookie, *codes):
            assert text not in rows
        assert member.number in rows
        assert NAME not in repr(member)

    async with staff_at(tmp_path, clock) as here:
        again = here.staff.members.there(member.number)
        assert again == member
        assert here.staff.sessions.look(cookie) is not None
        assert here.staff.members.secrets_of(member.number).code == secret


async def test_a_name_whose_key_is_destroyed_leaves_the_number(tmp_path: Path) -> None:
    """A ledger that is older than the keys does not stop the desk; the administrator adds the member again."""
    async with staff_at(tmp_path) as here:
        member, _ = await here.invited()
        async with here.seat.ledger.write() as tx:
            tx.execute(tables.book.update().values(state=b'{"kid": "gone", "sealed": ""}'))
    async with staff_at(tmp_path) as here:
        assert here.staff.members.there(member.number).name == ""
        assert here.staff.members.name_of(member.number) == member.number
        assert here.staff.members.named("") is None


async def test_whoever_leaves_keeps_number_and_name_and_nothing_else(tmp_path: Path) -> None:
    """Who read a letter last year is still known; the name can be given to another person."""
    async with staff_at(tmp_path) as here:
        member, _, cookie, _ = await here.settled(NAME, "worker")
        gone = await here.staff.members.remove(member.number, "door.json")

        assert (gone.standing, gone.permissions, gone.email) == ("removed", frozenset(), None)
        assert here.staff.sessions.look(cookie) is None
        assert here.staff.members.secrets_of(gone.number) == type(here.staff.members.secrets_of(gone.number))()
        assert here.staff.members.name_of(member.number) == NAME
        another, _ = await here.invited(NAME)
        assert another.number != member.number
        for change in (
            here.staff.reset(member.number, "door.json"),
            here.staff.members.remove(member.number, "door.json"),
        ):
            with pytest.raises(DeskError, match="not_found"):
                await change


async def test_a_name_is_given_once(tmp_path: Path) -> None:
    """However it is written: nobody signs in with another one's name."""
    async with staff_at(tmp_path) as here:
        await here.invited("Leyla Məmmədova")
        for same in ("leyla  memmedova", "LEYLA MƏMMƏDOVA"):
            with pytest.raises(DeskError, match="member_exists"):
                await here.invited(same)
    assert folded("IŞIL") == folded("ışıl") == folded("işil") == folded("İŞİL")


@pytest.mark.parametrize("pasted", ["Leyla Əliyeva\u200b", "\u2068Leyla Əliyeva\u2069", "Ley\u00adla \u202eƏliyeva"])
async def test_a_pasted_name_is_signed_in_with_as_it_is_seen(tmp_path: Path, pasted: str) -> None:
    """Given a name that was pasted with invisible marks, then the member signs in with what everybody sees, and no second member gets the same name."""
    async with staff_at(tmp_path) as here:
        member, once = await here.invited(pasted)
        _, stage = await here.staff.with_password("Leyla Əliyeva", once)
        with pytest.raises(DeskError, match="member_exists"):
            await here.invited("Leyla Əliyeva")

    assert (member.name, stage) == ("Leyla Əliyeva", "password")


@pytest.mark.parametrize("name", ["\u200b\u200b", "\u200d\u200d", "L\u200b", "  "])
async def test_a_name_of_which_nothing_is_seen_is_refused(tmp_path: Path, name: str) -> None:
    """Given a name without two letters that somebody sees, then nobody is added."""
    async with staff_at(tmp_path) as here:
        with pytest.raises(ValidationError):
            await here.invited(name)
        assert here.staff.members.everybody() == []


async def test_a_mark_between_the_parts_of_a_name_stays(tmp_path: Path) -> None:
    """Given a Persian name with a joiner, then it is stored as it is written, and found as it is typed."""
    async with staff_at(tmp_path) as here:
        member, _ = await here.invited("گل\u200cپری")

        assert member.name == "گل\u200cپری"
        assert here.staff.members.named("گلپری") == member


async def test_a_pasted_name_of_an_earlier_release_is_found(tmp_path: Path) -> None:
    """Given a member whose stored name has invisible marks, then the name is found as it is typed; a second member with that very name comes first."""
    async with staff_at(tmp_path) as here:
        members = here.staff.members
        pasted, _ = await here.invited("Rena Example")
        pasted = await members.change(pasted.number, sealed={"name": "Leyla Əliyeva\u200b"})
        assert members.named("Leyla Əliyeva") == pasted

        typed, _ = await here.invited("Sevda Example")
        typed = await members.change(typed.number, sealed={"name": "Leyla Əliyeva"})
        assert members.named("leyla əliyeva") == typed


async def test_nobody_is_added_for_a_provider_that_the_agency_does_not_have(tmp_path: Path) -> None:
    """Given an agency without a provider, then a member with a subject, who would have no password either, is refused."""
    async with staff_at(tmp_path) as here:
        with pytest.raises(DeskError, match="unknown_field") as refused:
            await here.invited(subject="17")
        assert [(each.pointer, each.kind) for each in refused.value.problems] == [("/subject", "no_provider")]
        assert here.staff.members.everybody() == []


async def test_changed_roles_end_the_sessions(tmp_path: Path) -> None:
    """A page that was open yesterday has not yesterday's rights."""
    async with staff_at(tmp_path) as here:
        member, _, cookie, _ = await here.settled(NAME, "worker")
        changed = await here.staff.members.set_roles(member.number, ["administrator"], "door.json")
        assert here.staff.sessions.look(cookie) is None
        assert permits(changed, "manage_staff")
        assert not permits(changed, "read_cases")


async def test_somebody_manages_the_staff_in_the_end(tmp_path: Path) -> None:
    """The last administrator cannot be made something else; with a second one it can."""
    async with staff_at(tmp_path) as here:
        first, _ = await here.invited("First Example", "administrator")
        with pytest.raises(DeskError, match="last_administrator"):
            await here.staff.members.set_roles(first.number, ["worker"], "door.json")
        with pytest.raises(DeskError, match="last_administrator"):
            await here.staff.members.remove(first.number, "door.json", keeps_one=True)
        await here.invited("Second Example", "administrator")
        assert (await here.staff.members.set_roles(first.number, ["worker"], "door.json")).roles == ("worker",)


@pytest.mark.parametrize("how", ["roles", "removal"])
async def test_two_administrators_do_not_put_each_other_out_at_the_same_time(tmp_path: Path, how: str) -> None:
    """The second one is told that nobody would be left."""
    async with staff_at(tmp_path) as here:
        both = [(await here.invited(name, "administrator"))[0].number for name in ("Aa Example", "Bb Example")]
        members = here.staff.members
        ends = [
            members.set_roles(one, ["worker"], other) if how == "roles" else members.remove(one, other, keeps_one=True)
            for one, other in (both, both[::-1])
        ]
        done = await asyncio.gather(*ends, return_exceptions=True)

        assert [each.code for each in done if isinstance(each, DeskError)] == ["last_administrator"]
        left = [each for each in members.everybody() if each.standing != "removed" and permits(each, "manage_staff")]
        assert len(left) == 1


def test_the_permissions_of_each_role_are_those_of_the_page() -> None:
    """Every role has its row and every permission somebody; an administrator sees no case."""
    given = defaults()
    assert set(given) == set(ROLES)
    assert set().union(*given.values()) == set(PERMISSIONS)
    assert not given["administrator"] & {"read_cases", "open_letters", "publish", "decide", "approve", "see_reads"}


@pytest.mark.parametrize(
    "given",
    [
        [], "worker", {"role": {}}, {"roles": []}, {"roles": {"chief": ["publish"]}}, {"roles": {"worker": ["everything"]}},
        {"roles": {"worker": "publish"}}, {"roles": {"administrator": ["manage_staff", "read_cases"]}}, {"provider": {}},
        {"provider": {"issuer": "http://id.example.org", "client_id": "a"}},
        {"provider": {"issuer": "https://id.example.org", "client_id": 7}},
        {"provider": {"issuer": "https://", "client_id": "a"}},
        {"provider": {"issuer": "https://[::1", "client_id": "a"}},
        {"provider": {"issuer": "https://id.example.org:port", "client_id": "a"}},
        {"provider": {"issuer": "https://id.example.org:0", "client_id": "a"}},
        {"provider": {"issuer": "https://id.example.org:84433", "client_id": "a"}},
        {"provider": {"issuer": "https://id.example.org\n", "client_id": "a"}},
        {"provider": {"issuer": "https://id.example.org/?realm=a", "client_id": "a"}},
        {"provider": {"issuer": "https://desk:CANARY@id.example.org", "client_id": "a"}},
        {"provider": {"issuer": "https://id.example.org", "client_id": "a", "only": "yes"}},
    ],
    ids=repr,
)  # fmt: skip
def test_settings_that_nobody_meant_are_refused(given: object) -> None:
    """A desk does not start with permissions that it does not know, nor with an administrator who sees cases."""
    with pytest.raises(DeskError, match="staff_unfit"):
        StaffSettings.read(given)


def test_an_agency_gives_a_role_other_permissions() -> None:
    """Roles that it does not name keep theirs."""
    settings = StaffSettings.read({"roles": {"worker": ["read_cases"]}})
    assert settings.permissions["worker"] == {"read_cases"}
    assert settings.permissions["supervisor"] == defaults()["supervisor"]
    assert StaffSettings.read(None) == StaffSettings()


async def test_the_door_adds_lists_resets_and_removes(tmp_path: Path) -> None:
    """As `nrmbus staff` does: the one-time password is in the answer once, and never in a list."""
    async with desk_of("ngo-a", tmp_path) as here:
        asked = {"name": NAME, "roles": ["worker", "administrator"], "language": "az", "email": ADDRESS}
        made = await here.door.post("/v1/staff", json=asked)
        once, number = one_time_in(made.text), made.json()["number"]
        assert made.json()["state"] == "invited"
        assert (await here.behind.staff.with_password(NAME, once))[1] == "password"
        assert (await here.door.post("/v1/staff", json=asked)).json()["code"] == "member_exists"

        listed = await here.door.get("/v1/staff")
        assert [each["number"] for each in listed.json()["staff"]] == [number]
        assert once not in listed.text
        again = one_time_in((await here.door.post(f"/v1/staff/{number}/reset")).text)
        assert again != once
        assert (await here.door.delete(f"/v1/staff/{number}")).json()["state"] == "removed"
        assert (await here.door.delete("/v1/staff/100000")).status_code == 404
        example = {"name": "Aysel", "roles": ["worker"], "example_password": "open sesame"}
        assert (await here.door.post("/v1/staff", json=example)).json()["example"] is True


async def test_a_removal_holds_though_others_ask_for_the_staff_at_the_same_time(tmp_path: Path) -> None:
    """Given a desk that begins anew, when a removal and a page are the first to need the staff, then the removed member is removed for everybody."""
    async with staff_at(tmp_path) as given:
        member, _ = await given.invited(NAME)
        await given.invited("Aysel Example")
    async with desk_of("ngo-a", tmp_path) as here:
        door = here.behind

        async def shown() -> Staff:
            return door.staff

        async def removed() -> Staff:
            staff = door.staff
            await staff.members.remove(member.number, "door.json")
            return staff

        first, second = await asyncio.gather(removed(), shown())

        assert first is second is door.staff
        assert door.staff.members.has_left(member.number)


def test_the_languages_are_those_of_the_pages() -> None:
    """A page speaks every language that a member may choose."""
    assert set(LANGUAGES) == {"az", "en", "ru"}
