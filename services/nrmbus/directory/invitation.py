"""Invitation: the file that tells another machine which bus it joins, where the broker is, and which key to trust.

The file holds no secret. Somebody who altered it on the way would act as the operator to that machine. So the file has
a fingerprint, which two people compare over another channel, such as the telephone.
"""

import hashlib
import re
from dataclasses import fields, replace
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field

from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder, BusSettings
from nrmbus.bus.private_files import make_private, write_json, write_private
from nrmbus.bus.reach import ADDRESS
from nrmbus.directory.entry import body_of
from nrmbus.directory.errors import DirectoryCode, DirectoryError
from nrmbus.directory.operator import OPERATOR_KEY, operator_key
from nrmbus.directory.requests import Carried
from nrmbus.events.policy import MOST_CHARACTERS, PROFILE_NAME
from nrmbus.wire import json

_GROUP: Final = 4
_DIGITS: Final = 32
"""Hex digits of a fingerprint: 128 bits, which nobody meets by trying."""


class Invitation(Carried):
    """The file: what `nrmbus.bus.folder.BusSettings` holds of the bus, and its operator's public key."""

    malformed: ClassVar[DirectoryCode] = "invitation_malformed"

    form: Literal["nrmbus-invitation/1"] = "nrmbus-invitation/1"
    bus: Annotated[str, Field(pattern=r"^(play-)?[0-9a-f]{16}$")]
    created: Annotated[str, Field(pattern=r"^[0-9TZ:-]{20}$")]
    play: bool
    partitions: Annotated[int, Field(ge=1, le=1024)]
    policy: Annotated[str, Field(pattern=PROFILE_NAME)]
    policy_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    profiles: (
        dict[Annotated[str, Field(pattern=PROFILE_NAME)], Annotated[str, Field(max_length=MOST_CHARACTERS)]] | None
    ) = None
    """Profiles that the bus has beside those of the release, by name: the fingerprint is over them too."""
    bootstrap: Annotated[str, Field(pattern=ADDRESS, max_length=1000)]
    tls: bool
    operator: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="Its Ed25519 key, in hex")]

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint that two people compare: 32 hex digits in groups of four, over the whole invitation."""
        return in_fours(hashlib.sha256(json.dumps(body_of(self))).hexdigest())

    @property
    def settings(self) -> BusSettings:
        """Return the settings of the bus as a joining machine stores them."""
        known = {each.name for each in fields(BusSettings)} & type(self).model_fields.keys()
        return BusSettings(**{name: getattr(self, name) for name in known})

    @classmethod
    def to(cls, folder: BusFolder, bootstrap: str | None = None) -> Self:
        """Invite to the bus of *folder*; its broker is met at *bootstrap*, else where other machines reach it, or this one.

        Raises:
            NoBus: no bus was made here, or its broker is not running.
            DirectoryError: ``operator_key_missing``, ``invitation_malformed`` for an address that is none (`is_address`).
        """
        # One machine joins as to a single broker: it needs the brokers' addresses, and not their number.
        known = replace(
            folder.settings, brokers=1, bootstrap=bootstrap or ",".join(folder.addresses) or folder.bootstrap
        )
        profiles = folder.own_profiles()
        more = {"profiles": profiles} if profiles else {}
        return cls.parsed(json.dumps(known.body | more | {"operator": operator_key(folder.path).public.hex()}))

    def accept(self, folder: BusFolder, fingerprint: str | None = None) -> bool:
        """Join *folder* to this bus, or update the broker's address; return whether it had joined before.

        Raises:
            DirectoryError: ``invitation_altered``: *fingerprint*, as the operator read it out, differs from that of the
                file, or the folder trusts another operator's key.
            NoBus: another bus is there, or the operator's own folder.
        """
        if fingerprint is not None and digits_of(fingerprint) != digits_of(self.fingerprint):
            raise DirectoryError("invitation_altered")
        was = folder.exists
        if was and replace(folder.settings, bootstrap=self.bootstrap) != self.settings:
            raise NoBus(f"There is another bus in {folder.path}: choose another folder with --data DIR.")
        trusts = (folder.keys / OPERATOR_KEY).exists()  # where that file is gone, this is how it comes back
        if trusts and operator_key(folder.path).public.hex() != self.operator:
            raise DirectoryError("invitation_altered")
        if (folder.keys / "operator.seed").exists():
            raise NoBus(f"The folder {folder.path} is the operator's own: choose another with --data DIR.")
        make_private(folder.keys)
        write_private(folder.keys / OPERATOR_KEY, self.operator.encode() + b"\n")
        for name, text in (self.profiles or {}).items():
            folder.keep_profile(name, text)
        write_json(folder.path / "bus.json", self.settings.body)
        folder.forget_addresses()
        return was


def in_fours(digest: str) -> str:
    """Return the first 32 hex digits of a *digest* in groups of four, as two people read them out."""
    return " ".join(digest[at : at + _GROUP] for at in range(0, _DIGITS, _GROUP))


def digits_of(fingerprint: str) -> str:
    """Return the digits of a *fingerprint*, however it was typed."""
    return re.sub(r"[^0-9a-f]", "", fingerprint.lower())


def is_this_machine(bootstrap: str) -> bool:
    """Return whether all addresses of *bootstrap* name this machine, so that no other machine meets a broker there."""
    return all(address.startswith(("127.", "localhost", "[::1]")) for address in bootstrap.split(","))
