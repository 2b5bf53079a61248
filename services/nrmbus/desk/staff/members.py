"""Members of staff: rows in the ledger, and what is about the person sealed in the book. Memory follows each commit.

The bus sees of a member a random number, and nothing else. A member who leaves keeps number and name in the ledger, so
that the agency can still say who read a letter; everything that signs in is gone.
"""

import json
import secrets
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.errors import MessageError
from email.headerregistry import Address as HeaderAddress
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field
from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from nrmbus.desk.errors import DeskError
from nrmbus.desk.outbox import drafts
from nrmbus.desk.staff import changes
from nrmbus.desk.staff.changes import Also
from nrmbus.desk.staff.permissions import ROLES, Given, Permission, Role, together
from nrmbus.desk.state import book, labels
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.events.model import Frozen
from nrmbus.web.folding import folded
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.wire import times

When = Literal["at_once", "daily", "none"]
"""When notices come by mail."""
WHEN: Final[tuple[When, ...]] = get_args(When)
Standing = Literal["invited", "active", "removed"]
"""Invited: a one-time password was given out and not used yet."""

MOST: Final = 500
"""Most members of one agency who have not left."""
FIRST_SIGN_IN: Final = timedelta(days=3)
"""Time for which a one-time password is good."""

_ROWS, _KEYS = tables.members.c, tables.passkeys.c
_CHANGE: Final = update(tables.members).where(_ROWS.number == bindparam("member"))
_STEP: Final = _CHANGE.where((_ROWS.code_step.is_(None)) | (_ROWS.code_step < bindparam("step")))
_SIGNED_OUT: Final = delete(tables.sessions).where(tables.sessions.c.member == bindparam("member"))
_WITHOUT_KEYS: Final = delete(tables.passkeys).where(_KEYS.member == bindparam("member"))

_JOINERS: Final = "\u200c\u200d"
"""Invisible marks that are part of how a name is written, such as the one between the parts of a Persian name."""


def _typed(name: Any) -> Any:
    """Return *name* without the invisible marks of a text that was pasted; empty if nothing is left to see."""
    if not isinstance(name, str):
        return name
    left = "".join(each for each in name if each in _JOINERS or unicodedata.category(each) != "Cf")
    return left if folded(left) else ""


Name = Annotated[
    str,
    Field(
        min_length=2, max_length=64, pattern=r"^[^\x00-\x1f\x7f<>@/]+$",
        description="By which the member signs in, and which colleagues see.",
    ),
    BeforeValidator(_typed),
]  # fmt: skip


def is_address(text: str) -> bool:
    """Return whether a mail can be addressed to *text*: without comment, quotes or an empty label, which mail servers refuse."""
    try:
        read = HeaderAddress(addr_spec=text)
    except (ValueError, MessageError, AttributeError, IndexError):  # what the parser raises depends on where it stops
        return False
    return read.addr_spec == text and "[" not in text


def _address(text: str) -> str:
    if not is_address(text):
        raise ValueError("no address")
    return text


Address = Annotated[
    str,
    Field(max_length=254, pattern=r"^[^\s@<>]+@[^\s@<>]+$", description="For notices, which have no content."),
    AfterValidator(_address),
]


class NewMember(Frozen):
    """A member as the administrator asks for one."""

    name: Name
    roles: Annotated[tuple[Role, ...], Field(min_length=1, max_length=len(ROLES))]
    language: Language = "en"
    email: Address | None = None
    subject: Annotated[
        str | None, Field(min_length=1, max_length=255, description="By which the agency's own sign-in names the member.")
    ] = None  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """A member of staff as pages see one."""

    number: str
    """Random; the ``actor`` of everything that the member publishes."""
    name: str = field(repr=False)
    """Never leaves the desk; empty if the key that it was sealed to is destroyed."""
    roles: tuple[Role, ...]
    language: Language
    permissions: frozenset[Permission] = field(repr=False, default=frozenset())
    email: str | None = field(repr=False, default=None)
    standing: Standing = "active"
    once_ends: str | None = None
    """End of the one-time password."""
    has_code: bool = False
    """True if an authenticator app is the second factor, or one of them."""
    passkeys: int = 0
    recovery_codes: int = 0
    is_example: bool = False
    """True for an invented member of a bus for playing, who has no second factor."""
    is_of_provider: bool = False
    """True if the agency's own provider signs the member in."""
    notices: When = "at_once"
    made: str = ""
    signed_in: str | None = None


@dataclass(frozen=True, slots=True)
class Secrets:
    """Means by which a member signs in."""

    password: str | None = field(repr=False, default=None)
    code: str | None = field(repr=False, default=None)
    step: int | None = None
    recovery: tuple[str, ...] = field(repr=False, default=())
    subject: str | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class Passkey:
    """One passkey of a member."""

    id: str
    member: str
    host: str
    public_key: bytes = field(repr=False)
    uses: int
    made: str
    used: str | None


class Members:
    """All members of one agency."""

    def __init__(self, seat: Seat, given: Given, now: Callable[[], datetime]) -> None:
        """Read the members of the desk at *seat*; *given* are the permissions of each role."""
        self._seat, self._given, self._now = seat, given, now
        self._members: dict[str, Member] = {}
        self._secrets: dict[str, Secrets] = {}
        self._passkeys: dict[str, Passkey] = {}
        self.signed_out: Callable[[str], None] = lambda _: None
        """Called with a member's number after a commit that ended the member's sessions."""
        with seat.ledger.read() as tx:
            for key in tx.execute(select(tables.passkeys)):
                self._passkeys[key.id] = _passkey(key)
            for row in tx.execute(select(tables.members)).all():
                raw, _ = book.load_within(seat, tx, _book_of(row.number))
                self._take(row, {} if raw is None else json.loads(raw))

    # -- what is known -------------------------------------------------------------------------------------------------

    def everybody(self) -> list[Member]:
        """Return every member there ever was, by name; those who left come last."""
        return sorted(self._members.values(), key=lambda each: (each.standing == "removed", folded(each.name)))

    def page(self, after: str, limit: int) -> list[Member]:
        """Return the members after the number *after*, at most *limit*, by number."""
        return [self._members[number] for number in sorted(self._members) if number > after][:limit]

    def find(self, number: str) -> Member | None:
        """Return the member with *number*, also one who has left; None if there never was one."""
        return self._members.get(number)

    def there(self, number: str) -> Member:
        """Return the member with *number*, who has not left; raise DeskError ``not_found`` otherwise."""
        found = self._members.get(number)
        if found is None or found.standing == "removed":
            raise DeskError("not_found")
        return found

    def has_left(self, number: str) -> bool:
        """Return whether the member with *number* has left the agency."""
        found = self._members.get(number)
        return found is not None and found.standing == "removed"

    def named(self, name: str) -> Member | None:
        """Return the member called *name* who has not left."""
        wanted = folded(name)
        found = (each for each in self._members.values() if each.standing != "removed" and folded(each.name) == wanted)
        # An earlier release took two members whose names differ in invisible marks: only one of these names can be typed.
        return min(found, key=lambda each: _typed(each.name) != each.name, default=None) if wanted else None

    def of_subject(self, subject: str) -> Member | None:
        """Return the member whom the agency's provider calls *subject*."""
        numbers = (number for number, each in self._secrets.items() if each.subject == subject)
        return next((self._members[each] for each in numbers if self._members[each].standing != "removed"), None)

    def secrets_of(self, number: str) -> Secrets:
        """Return what the member with *number* signs in with."""
        return self._secrets[number]

    def passkey(self, id: str) -> Passkey | None:
        """Return the passkey *id*."""
        return self._passkeys.get(id)

    def passkeys_of(self, number: str) -> list[Passkey]:
        """Return the passkeys of a member, the oldest first."""
        return sorted((each for each in self._passkeys.values() if each.member == number), key=lambda each: each.made)

    def name_of(self, number: str) -> str:
        """Return the name behind a number of this agency; the number itself if no member has it."""
        found = self._members.get(number)
        return found.name if found and found.name else number

    # -- what changes --------------------------------------------------------------------------------------------------

    async def add(
        self, new: NewMember, by: str, password: str | None, *, is_example: bool = False, also: Also = lambda _: None
    ) -> Member:
        """Add a member with the hash of a one-time *password*, or the own password of an invented member.

        *also* is done in the same transaction.

        Raises:
            DeskError: ``member_exists``, ``staff_full``.
        """
        now = self._now()
        async with self._seat.ledger.write() as tx:
            also(tx)
            if self.named(new.name) or (new.subject is not None and self.of_subject(new.subject)):
                raise DeskError("member_exists")
            if sum(each.standing != "removed" for each in self._members.values()) >= MOST:
                raise DeskError("staff_full")
            row: dict[str, Any] = {
                "number": self._new_number(), "roles": _written(new.roles), "language": new.language, "password": password,
                "once_ends": None if is_example or password is None else times.write(now + FIRST_SIGN_IN),
                "code_step": None, "example": int(is_example), "made": times.write(now), "made_by": by, "signed_in": None,
                "removed": None,
            }  # fmt: skip
            tx.execute(insert(tables.members), row)
            self._seal(tx, row["number"], {"name": _tidy(new.name), "email": new.email, "subject": new.subject})
            self._note(tx, "added", row["number"], by, row["roles"])
            self._follow(tx, row["number"])
        return self._members[row["number"]]

    async def change(
        self,
        number: str,
        *,
        sealed: Mapping[str, Any] | None = None,
        signs_out: bool = False,
        also: Also = lambda _: None,
        **columns: Any,
    ) -> Member:
        """Change *columns* and *sealed* values of a member, and do what *also* does, in one transaction.

        *signs_out* ends every session of the member.

        Raises:
            DeskError: ``not_found``: no such member, or the member has left.
        """
        async with self._seat.ledger.write() as tx:
            self.there(number)
            if columns:
                tx.execute(_CHANGE, {"member": number, **columns})
            if sealed:
                self._seal(tx, number, self._unsealed(number) | dict(sealed))
            if signs_out:
                tx.execute(_SIGNED_OUT, {"member": number})
                self._seat.ledger.then(lambda: self.signed_out(number))
            also(tx)
            self._follow(tx, number)
        return self._members[number]

    async def set_roles(
        self,
        number: str,
        roles: Iterable[Role],
        by: str,
        also: Also = lambda _: None,
        sealed: Mapping[str, Any] | None = None,
    ) -> Member:
        """Have *by* give a member other roles, which ends the member's sessions; the same roles change nothing.

        Nobody has the cases any more of a member who may read none afterwards.

        *sealed* values change with the roles, and *also* is done, in the same transaction.

        Raises:
            DeskError: ``last_administrator``: nobody would be left who manages the staff.
        """
        wanted = _written(roles)
        if wanted == _written(self.there(number).roles):
            return await self.change(number, sealed=sealed, also=also) if sealed else self.there(number)

        def noted(tx: Connection) -> None:
            also(tx)
            permissions = together(_roles_of(wanted), self._given)
            if "manage_staff" not in permissions:
                self._keep_an_administrator(number)
            if "read_cases" not in permissions:
                labels.give_up(tx, number)
            self._note(tx, "roles", number, by, wanted)

        return await self.change(number, sealed=sealed, roles=wanted, signs_out=True, also=noted)

    def _keep_an_administrator(self, number: str) -> None:
        """Raise DeskError ``last_administrator`` if only the member with *number* manages the staff.

        It is asked within the transaction of the change: two administrators may do this to each other.
        """
        left = [each for each in self._members.values() if each.standing != "removed" and each.number != number]
        if "manage_staff" in self.there(number).permissions and not any("manage_staff" in e.permissions for e in left):
            raise DeskError("last_administrator")

    async def reset(self, number: str, password: str | None, by: str, also: Also = lambda _: None) -> Member:
        """Have *by* give a member the hash of a one-time *password*, or none; second factors are forgotten and sessions end.

        *also* is done in the same transaction.
        """
        ends = None if password is None else times.write(self._now() + FIRST_SIGN_IN)
        forget_keys = self._forget_keys(number)

        def noted(tx: Connection) -> None:
            also(tx)
            forget_keys(tx)
            self._note(tx, "reset", number, by, _written(self.there(number).roles))

        return await self.change(
            number, sealed={"code": None, "recovery": []}, signs_out=True, also=noted,
            password=password, once_ends=ends, code_step=None, example=0,
        )  # fmt: skip

    async def remove(self, number: str, by: str, *, keeps_one: bool = False, also: Also = lambda _: None) -> Member:
        """Have *by* let a member sign in no more, and destroy the drafts that nobody else can open; number and name stay.

        Nobody has the member's cases and tasks any more, so that a colleague can take them.

        *also* is done in the same transaction.

        Raises:
            DeskError: ``last_administrator``, with *keeps_one*: nobody would be left who manages the staff.
        """
        nothing: dict[str, Any] = {"email": None, "code": None, "recovery": [], "subject": None}
        forget_keys = self._forget_keys(number)

        def forget(tx: Connection) -> None:
            also(tx)
            if keeps_one:
                self._keep_an_administrator(number)
            forget_keys(tx)
            drafts.drop(tx, drafts.nobodys(number))
            labels.give_up(tx, number)
            self._note(tx, "removed", number, by, "")

        return await self.change(
            number, sealed=nothing, signs_out=True, also=forget,
            removed=times.write(self._now()), password=None, once_ends=None, code_step=None,
        )  # fmt: skip

    async def take_step(self, number: str, step: int) -> bool:
        """Note that the code of a time *step* was used; return False if it, or a later one, was used before."""
        async with self._seat.ledger.write() as tx:
            taken = bool(tx.execute(_STEP, {"member": number, "step": step, "code_step": step}).rowcount)
            self._follow(tx, number)
        return taken

    async def use_recovery_code(self, number: str, before: Iterable[str], left: Iterable[str]) -> bool:
        """Leave a member the recovery codes *left*; return False if the codes are no longer those *before*, since one was used."""
        async with self._seat.ledger.write() as tx:
            self.there(number)
            if list(self._secrets[number].recovery) != list(before):
                return False
            self._seal(tx, number, self._unsealed(number) | {"recovery": list(left)})
            self._follow(tx, number)
        return True

    async def add_passkey(self, key: Passkey, also: Also = lambda _: None) -> None:
        """Add a passkey of a member, and do what *also* does in the same transaction.

        Raises:
            DeskError: ``not_found``: no such member; ``member_exists``: another member has this passkey.
        """
        row = {
            "id": key.id, "member": key.member, "host": key.host, "public_key": key.public_key, "uses": key.uses,
            "made": key.made, "used": key.used,
        }  # fmt: skip

        def added(tx: Connection) -> None:
            also(tx)
            if key.id in self._passkeys:
                raise DeskError("member_exists")
            tx.execute(insert(tables.passkeys), row)
            self._seat.ledger.then(lambda: self._passkeys.update({key.id: key}))

        await self.change(key.member, also=added)

    async def used_passkey(self, key: Passkey, uses: int) -> None:
        """Note a use of *key*, and the authenticator's counter; raise DeskError ``not_found`` if it was removed meanwhile."""
        new = replace(key, uses=uses, used=times.write(self._now()))

        def noted(tx: Connection) -> None:
            if key.id not in self._passkeys:
                raise DeskError("not_found")
            tx.execute(update(tables.passkeys).where(_KEYS.id == key.id).values(uses=uses, used=new.used))
            self._seat.ledger.then(lambda: self._passkeys.update({key.id: new}))

        await self.change(key.member, also=noted)

    async def remove_passkey(self, number: str, id: str, *, keeps_one: bool = True) -> bool:
        """Remove one passkey of a member; return False, with *keeps_one*, if it is the only second factor.

        Raises:
            DeskError: ``not_found``: the member has no such passkey.
        """

        def dropped() -> None:
            self._passkeys.pop(id, None)

        async with self._seat.ledger.write() as tx:
            member, key = self.there(number), self._passkeys.get(id)
            if key is None or key.member != number:
                raise DeskError("not_found")
            if keeps_one and not member.has_code and member.passkeys == 1 and not member.is_example:
                return False
            tx.execute(delete(tables.passkeys).where(_KEYS.id == id))
            self._seat.ledger.then(dropped)
            self._follow(tx, number)
        return True

    # -- within a transaction ------------------------------------------------------------------------------------------

    def _forget_keys(self, number: str) -> Callable[[Connection], None]:
        def forgotten() -> None:
            self._passkeys = {id: each for id, each in self._passkeys.items() if each.member != number}

        def forget(tx: Connection) -> None:
            tx.execute(_WITHOUT_KEYS, {"member": number})
            self._seat.ledger.then(forgotten)

        return forget

    def _new_number(self) -> str:
        while (number := str(secrets.randbelow(900_000) + 100_000)) in self._members:
            pass
        return number

    def _seal(self, tx: Connection, number: str, about: Mapping[str, Any]) -> None:
        book.store(self._seat, tx, _book_of(number), json.dumps(about).encode())

    def _unsealed(self, number: str) -> dict[str, Any]:
        member, known = self._members[number], self._secrets[number]
        return {
            "name": member.name, "email": member.email, "subject": known.subject, "code": known.code,
            "recovery": list(known.recovery),
        }  # fmt: skip

    def _note(self, tx: Connection, what: changes.What, number: str, by: str, roles: str) -> None:
        """Record in the open transaction that *by* has changed a member: supervisors see it, and nobody can delete it at a page."""
        changes.note(tx, what, at=times.write(self._now()), who=by, of=number, may=roles)

    def _follow(self, tx: Connection, number: str) -> None:
        """Have memory say of a member what the open transaction leaves, once it is committed."""
        row = tx.execute(select(tables.members).where(_ROWS.number == number)).one()
        about, _ = book.load_within(self._seat, tx, _book_of(number))
        self._seat.ledger.make_nothing_due()

        def take() -> None:
            self._take(row, {} if about is None else json.loads(about))

        self._seat.ledger.then(take)

    def _take(self, row: Row[Any], about: Mapping[str, Any]) -> None:
        roles = _roles_of(row.roles)
        recovery = tuple(about.get("recovery") or ())
        self._secrets[row.number] = Secrets(
            row.password, about.get("code"), row.code_step, recovery, about.get("subject")
        )
        self._members[row.number] = Member(
            number=row.number, name=about.get("name") or "", roles=roles,
            language=row.language if row.language in LANGUAGES else "en",
            permissions=frozenset() if row.removed else together(roles, self._given), email=about.get("email"),
            standing="removed" if row.removed else "invited" if row.once_ends else "active", once_ends=row.once_ends,
            has_code=about.get("code") is not None, passkeys=len(self.passkeys_of(row.number)),
            recovery_codes=len(recovery), is_example=bool(row.example), is_of_provider=about.get("subject") is not None,
            notices=row.notices if row.notices in WHEN else "none", made=row.made, signed_in=row.signed_in,
        )  # fmt: skip


def _book_of(number: str) -> str:
    return f"staff/{number}"


def _written(roles: Iterable[Role]) -> str:
    wanted = set(roles)
    return " ".join(each for each in ROLES if each in wanted)


def _roles_of(written: str) -> tuple[Role, ...]:
    return tuple(each for each in ROLES if each in written.split())


def _tidy(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).split())


def _passkey(row: Row[Any]) -> Passkey:
    return Passkey(row.id, row.member, row.host, row.public_key, row.uses, row.made, row.used)
