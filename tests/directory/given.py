"""A directory in memory, with everybody's keys, for tests of what it believes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies import BUS, NOW
from nrmbus.directory import Directory, DirectoryError, Identity, Operator, joining
from nrmbus.directory.entry import Entry, Kind
from nrmbus.directory.operator import Admitter
from nrmbus.wire import json, statement
from nrmbus.wire.keys.keys import SigningKey, VerifyKey

HOUR = timedelta(hours=1)


class Office:
    """The operator of a bus and its two admitters, with a directory that has them."""

    def __init__(self, home: Path, bus: str = BUS) -> None:
        self.home = home
        self.operator = Operator(home)
        self.directory = Directory(bus, VerifyKey(self.operator.public))
        self.operator.found(self.directory)
        self.admitters = Admitter.here(home)

    @property
    def key(self) -> SigningKey:
        """The operator's own key, for who forges with it."""
        return SigningKey.from_seed((self.home / "keys" / "operator.seed").read_bytes())

    def identity(self, agency: str, turn: int = 1) -> Identity:
        """Keys of *agency*; other ones for each *turn*."""
        return Identity.at(self.home / f"{agency}-{turn}", agency)

    def wanted(self, identity: Identity, role: str = "ngo_outreach") -> joining.Wanted:
        """Return the entry data that an agency with these keys requests."""
        public = (identity.signing.public, identity.sealing.public, identity.witness.public)
        return joining.Wanted(identity.agency, role, *public)

    def asked(
        self,
        identity: Identity,
        kind: Kind = "admitted",
        *,
        before: Identity | None = None,
        made: datetime = NOW,
        until: datetime | None = None,
        role: str = "ngo_outreach",
    ) -> Entry:
        """A request for the keys of *identity*, signed by them and by those *before*."""
        entry = joining.proposed(self.directory, self.wanted(identity, role), kind, made=made, until=until)
        return joining.asked_by(entry, [identity.signing, identity.witness, *([before.signing] if before else [])])

    def admitted(self, entry: Entry, at: datetime = NOW, by: Sequence[Admitter] | None = None) -> Entry:
        """Return *entry* signed at *at* by two admitters, or by those in *by*."""
        signed = joining.challenged(joining.holding_from(self.directory, entry, at))
        for admitter in self.admitters if by is None else by:
            signed = joining.admitted_by(signed, admitter.key)
        return signed

    def enter(self, entry: Entry) -> Entry:
        """Number *entry*, sign it, and have the directory take it."""
        taken = self.directory.add(self.operator.number(entry, self.directory))
        assert taken is not None
        return taken

    def joins(self, agency: str = "ngo-a", at: datetime = NOW) -> Identity:
        """An agency that was admitted, and whose sealing key is confirmed."""
        identity = self.identity(agency)
        self.enter(self.admitted(self.asked(identity), at))
        self.confirms(identity, at)
        return identity

    def confirms(self, identity: Identity, at: datetime = NOW) -> Entry:
        """The agency opens its challenge, and says so."""
        last = self.directory.roll.agencies[identity.agency].periods[-1].entry
        secret = joining.opened(last, [identity.sealing])
        entry = joining.repeated(self.directory, identity.agency, "confirmed", made=at, opened=secret)
        return self.enter(joining.asked_by(entry, [identity.signing]))

    def state(self, agency: str, kind: Kind, at: datetime) -> Entry:
        """Two admitters suspend or resume an agency."""
        return self.enter(self.admitted(joining.repeated(self.directory, agency, kind, made=at), at))

    def leaves(self, identity: Identity, at: datetime) -> Entry:
        """An agency retires, by its own word."""
        entry = joining.repeated(self.directory, identity.agency, "retired", made=at)
        return self.enter(self.admitted(joining.asked_by(entry, [identity.signing]), at))

    def forged(self, entry: Entry, **members: Any) -> bytes:
        """*entry* with other *members*, as the operator alone could write it."""
        body = json.loads(statement.body_of("directory", self.operator.number(entry, self.directory)), limit=65536)
        return statement.sign("directory", {**body, **members}, self.key)


def refused(office: Office, raw: bytes) -> str:
    """Return the code with which the directory refuses *raw*; the directory must stay unchanged."""
    before, number = office.directory.digest, office.directory.number
    with pytest.raises(DirectoryError) as caught:
        office.directory.add(raw)
    assert (office.directory.digest, office.directory.number) == (before, number)
    return caught.value.code
