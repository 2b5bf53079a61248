"""Folder of one bus: settings, the broker's data, the agencies' keys and ledgers. Everything is for the owner only.

bus.json                    settings that were fixed when the bus was made
listen.json                 addresses for other machines, as nrmbus up --listen set them
profiles/                   profiles of the Rules that this bus has beside those of the release, NAME.yaml each
audited-elsewhere           there if the auditor runs on a machine of her own, as nrmbus up --without-auditor set it
canary.json                 seconds between two test hand-overs, as nrmbus up --canary set them
backup.json                 when the last backup was complete, here and in an agency's folder
addresses.json              on another machine: the newest list of them that the operator signed
standby                     on a standby host: its name
kafka/                      the embedded broker's data
keys/operator.seed          the operator's key, which signs the directory
keys/authority/             the certificate authority's key and register
registrar/, timekeeper/     those services' keys
auditor/                    the auditor's keys, signed heads and logs
canary-a/, canary-b/        the keys of the two test agencies; canary/ has the door of the service that speaks for both
broker/tls/                 the embedded broker's key and certificate
*/tls/                      key.pem (sealed), cert.pem, ca.pem of the folder's owner; next/key.pem until there is a certificate over it
agencies/<id>/              agency.json, keys/{signing,sealing,witness}.seed, ledger.sqlite, door.json; import.json has the key of imports
agencies/<id>/public/       intake.sqlite with sealed anonymous messages, and door.json of the public page, if it has one
agencies/<id>/door/         key.pem (sealed) and ca.pem of the door's own authority, if other machines reach the door
registrar/history/          high-water marks of the history, per partition
registrar/snapshots/        the registrar's state, signed, per partition; may be removed
*/directory                 high-water mark of the directory
logs/                       one file a service
run/                        lock, idle, <service>.lock, broker.json, services.json: what runs now
"""

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from nrmbus import environment
from nrmbus.bus.agency_folder import AgencyFolder
from nrmbus.bus.errors import BusError, FolderHeld, NoBus
from nrmbus.bus.private_files import lock_file, locked, write_json, write_private
from nrmbus.bus.reach import Reach, Tls, is_address
from nrmbus.bus.waiting_marker import WaitingMarker
from nrmbus.bus.wall_clock import written_now
from nrmbus.wire.ids import AGENCY_ID

BUS_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A bus's name on this machine: one folder below `data_home`, and never a way out of it."""
_TOLD: Final = "addresses.json"
CANARY_SECONDS: Final = 60.0
"""Seconds between two test hand-overs, unless the operator sets others."""
POLICY: Final = "az@2022-04-29"
"""The policy profile of a new bus, unless another is asked for."""
PLAY: Final = "play-"
"""Prefix of the id of a bus for playing, fixed when the bus is made: only such a bus has a movable clock."""


def data_home() -> Path:
    """Return the default folder of all buses (XDG base directories): ``nrmbus`` below XDG_DATA_HOME."""
    return Path(environment.DATA_HOME.get() or Path.home() / ".local" / "share") / "nrmbus"


def cache_home() -> Path:
    """Return the folder of files that can be fetched again: ``nrmbus`` below XDG_CACHE_HOME."""
    return Path(environment.CACHE_HOME.get() or Path.home() / ".cache") / "nrmbus"


@dataclass(frozen=True, slots=True)
class BusSettings:
    """Settings that were fixed when a bus was made; none may ever change, since records are placed and signed by them."""

    bus: str
    """16 hex; ``play-`` before it on a bus for playing."""
    created: str
    """When the bus was made, in UTC."""
    play: bool = False
    """True for a bus on which stories are played, with a movable clock and raw keys."""
    partitions: int = 1
    """Partitions of each topic that holds cases."""
    policy: str = POLICY
    """The dated policy profile."""
    policy_digest: str | None = None
    """Digest of that profile if it came in a file; None for a profile of the release."""
    bootstrap: str | None = None
    """HOST:PORT of a foreign cluster, several with commas between; None if the broker is embedded."""
    tls: bool = True
    """True if the broker takes only TLS connections with a certificate; False for plain text without any check."""
    brokers: int = 1
    """How many brokers the embedded Kafka has, 1 or 3."""

    @property
    def body(self) -> dict[str, Any]:
        """Content of the file; without the number of brokers if there is one, since an older release knows no such setting."""
        found = {key: value for key, value in asdict(self).items() if value is not None}
        return found if self.brokers > 1 else {key: value for key, value in found.items() if key != "brokers"}


@dataclass(frozen=True, slots=True)
class Listening:
    """Addresses under which other machines reach the embedded broker."""

    addresses: tuple[str, ...] = ()
    """HOST:PORT each, as agencies use them; none if only this machine reaches it."""
    forwarded: bool = False
    """True if a router passes connections for these addresses on, so that the machine itself has others."""


class BusFolder:
    """The folder of one bus and the paths below. Making the object touches nothing on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.kafka: Final = self.path / "kafka"
        """The embedded broker's data."""
        self.keys: Final = self.path / "keys"
        """The operator's key."""
        self.run: Final = self.path / "run"
        """Folder of the running processes: ``lock``, ``broker.json``, ``services.json``."""
        self.logs: Final = self.path / "logs"
        """One file a service, appended to."""
        self._lock: int | None = None

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the folder of the bus called *name* on this machine.

        Raises:
            NoBus: *name* is not a plain name; as a path it could lead out of `data_home`.
        """
        if BUS_NAME.fullmatch(name) is None:
            raise NoBus(
                "--bus takes a plain name: up to 64 letters, digits, dots, dashes and underscores, a letter or digit "
                "first. Name a folder elsewhere with --data DIR."
            )
        return cls(data_home() / name)

    # -- made once ---------------------------------------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        """True if a bus was made here."""
        return (self.path / "bus.json").exists()

    def create(
        self,
        *,
        play: bool | None = None,
        partitions: int | None = None,
        policy: str | None = None,
        policy_digest: str | None = None,
        bootstrap: str | None = None,
        tls: bool | None = None,
        brokers: int | None = None,
    ) -> BusSettings:
        """Make a bus here, or return the present one. A missing argument means the present value, or the default of `BusSettings`.

        Raises:
            NoBus: the bus that is here was made otherwise.
        """
        asked = {
            "play": play, "partitions": partitions, "policy": policy, "policy_digest": policy_digest,
            "bootstrap": bootstrap, "tls": tls, "brokers": brokers,
        }  # fmt: skip
        given: dict[str, Any] = {key: value for key, value in asked.items() if value is not None}
        if self.exists:
            found = self.settings
            for key, value in given.items():
                if getattr(found, key) != value:
                    raise NoBus(
                        f"The bus in {self.path} was made with {key} {getattr(found, key)}, which cannot change: "
                        "leave the option out, or choose another folder with --data DIR."
                    )
            return found
        made = BusSettings((PLAY if play else "") + secrets.token_hex(8), created=written_now(), **given)
        write_json(self.path / "bus.json", made.body)
        return made

    @property
    def settings(self) -> BusSettings:
        """Settings that were fixed when the bus was made.

        Raises:
            NoBus: there is none here, or its file cannot be read.
        """
        try:
            made = json.loads((self.path / "bus.json").read_bytes())
            if "bootstrap" in made:  # made for another's cluster before there was a choice: as plain as it was
                made.setdefault("tls", False)
            return BusSettings(**made)
        except FileNotFoundError:
            message = (
                f"No bus was made in {self.path}: nrmbus up --data '{self.path}', or nrmbus join for another machine's."
            )
        except (ValueError, TypeError):
            message = (
                f"{self.path / 'bus.json'} cannot be read: move it away, then restore it with nrmbus restore DIR --part settings, "
                "or choose another folder with --data DIR."
            )
        raise NoBus(message)

    @property
    def listens(self) -> Listening:
        """Where other machines reach this bus's own broker.

        Raises:
            NoBus: the file cannot be read.
        """
        path = self.path / "listen.json"
        try:
            found = json.loads(path.read_bytes())
            return Listening(tuple(found["addresses"]), forwarded=found["forwarded"] is True)
        except FileNotFoundError:
            return Listening()
        except (ValueError, KeyError, TypeError):
            raise NoBus(f"{path} cannot be read: remove it, and say nrmbus up --listen again.") from None

    @property
    def profiles(self) -> Path:
        """The folder of profiles of the Rules that this bus has beside those of the release."""
        return self.path / "profiles"

    def own_profiles(self) -> dict[str, str]:
        """Return the YAML of each of these profiles by the name of its file. Values are not checked.

        Raises:
            NoBus: a file cannot be read as text.
        """
        found, path = {}, self.profiles
        try:
            for path in sorted(self.profiles.glob("*.yaml")):
                found[path.stem] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise NoBus(f"{path} cannot be read as text: put the file back, or remove it.") from None
        return found

    def keep_profile(self, name: str, text: str) -> None:
        """Keep the profile *name* with its YAML *text*: the services read it when they start."""
        write_private(self.profiles / f"{name}.yaml", text.encode())

    @property
    def canary_seconds(self) -> float:
        """Seconds between two test hand-overs of the canary; 0 if this bus has none.

        Raises:
            NoBus: the file cannot be read.
        """
        path = self.path / "canary.json"
        try:
            return max(0.0, float(json.loads(path.read_bytes())["seconds"]))
        except FileNotFoundError:
            return 0.0
        except (ValueError, KeyError, TypeError):
            raise NoBus(f"{path} cannot be read: remove it, and run nrmbus up --canary SECONDS again.") from None

    @property
    def audited_elsewhere(self) -> bool:
        """True if the auditor of this bus runs on a machine of her own, with keys that the operator never had."""
        return (self.path / "audited-elsewhere").exists()

    def audit(self, *, elsewhere: bool) -> None:
        """Have the auditor run on another machine, or here, from the next start on.

        The next start refuses to run an auditor here if one from another machine has joined (`admission.admit`).

        Raises:
            NoBus: the auditor's keys are here already, and would stay in the operator's hands.
        """
        mark = self.path / "audited-elsewhere"
        if not elsewhere:
            mark.unlink(missing_ok=True)
        elif (self.path / "auditor" / "keys").exists() and not mark.exists():
            raise NoBus(
                "This bus has an auditor whose keys the operator made: only a new bus can have one elsewhere. "
                "Leave --without-auditor out, or choose another folder with --data DIR."
            )
        else:
            write_private(mark, b"")

    def send_canary(self, seconds: float | None) -> None:
        """Have the bus make a test hand-over every so many *seconds*, from its next start on; None keeps what was set, or sets `CANARY_SECONDS`."""
        if seconds is not None or not (self.path / "canary.json").exists():
            write_json(self.path / "canary.json", {"seconds": CANARY_SECONDS if seconds is None else seconds})

    @property
    def is_joined(self) -> bool:
        """True if the folder was made by `nrmbus join`: the operator is on another machine, and only desks run here."""
        return (self.keys / "operator.pub").exists() and not (self.keys / "operator.seed").exists()

    @property
    def host(self) -> str | None:
        """The name of this standby host, which the operator has admitted to run services of the bus; None elsewhere."""
        with suppress(FileNotFoundError):
            return (self.path / "standby").read_text(encoding="utf-8").strip()
        return None

    def be_host(self, name: str) -> None:
        """Keep that this machine is the standby host *name*."""
        write_private(self.path / "standby", name.encode() + b"\n")

    def listen(self, listens: Listening) -> None:
        """Have the broker listen for other machines as *listens* says, from its next start on."""
        write_json(self.path / "listen.json", asdict(listens))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where other machines reach the broker of this bus: HOST:PORT each, none if it serves this machine only."""
        fixed = self.settings.bootstrap
        return tuple(fixed.split(",")) if fixed else self.listens.addresses

    def keep_addresses(self, addresses: tuple[str, ...]) -> None:
        """Keep *addresses*, the newest that the operator signed; this machine's clients try them before the invitation's.

        An address that is none is left out: a client that meets one tries no other.
        """
        usable = tuple(filter(is_address, addresses))
        if usable != self._kept_addresses():
            write_json(self.path / _TOLD, usable)

    def forget_addresses(self) -> None:
        """Forget the kept addresses: a newer invitation has others."""
        (self.path / _TOLD).unlink(missing_ok=True)

    def _kept_addresses(self) -> tuple[str, ...]:
        # What cannot be read is written again with the next look of a desk; the invitation's addresses serve meanwhile.
        with suppress(FileNotFoundError, ValueError):
            found = json.loads((self.path / _TOLD).read_bytes())
            return tuple(each for each in found if isinstance(each, str) and is_address(each))
        return ()

    # -- while it runs -----------------------------------------------------------------------------------------------

    @property
    def bootstrap(self) -> str:
        """HOST:PORT of the broker that serves this bus now, several with commas between. An embedded broker's port may differ after a restart.

        Raises:
            NoBus: no bus was made here, or its broker is not running.
        """
        if fixed := self.settings.bootstrap:
            known = (*self._kept_addresses(), *filter(is_address, fixed.split(",")))
            return ",".join(dict.fromkeys(known)) or fixed
        if self.is_held:  # the file of a killed holder means nothing
            with suppress(FileNotFoundError, ValueError, KeyError):
                return str(json.loads((self.run / "broker.json").read_bytes())["bootstrap"])
        raise NoBus(f"The bus in {self.path} is not running: nrmbus up --data '{self.path}'")

    def reach(self, home: Path) -> Reach:
        """Return how the owner of *home* (``service(…)``, an agency's folder, or ``keys``) reaches the broker of this bus.

        Raises:
            NoBus: no bus was made here, or its broker is not running.
        """
        return Reach(self.bootstrap, Tls(home) if self.settings.tls else None)

    @property
    def as_operator(self) -> Reach:
        """How the operator reaches the broker of this bus; raises as `reach` does."""
        return self.reach(self.keys)

    def service(self, name: str) -> Path:
        """Return the folder of the registrar, the timekeeper, the auditor, the canary or a test agency."""
        return self.path / name

    def agency(self, agency: str) -> AgencyFolder:
        """Return the folder of *agency*, whether or not it is there.

        Raises:
            BusError: this is nobody's id: keys would lie somewhere else.
        """
        if AGENCY_ID.fullmatch(agency) is None:
            raise BusError("This is no agency's id: 2 to 31 lower-case letters, digits and dashes, a letter first.")
        return AgencyFolder(self.path / "agencies" / agency)

    def agencies(self) -> tuple[str, ...]:
        """Return the ids of all agencies whose desks run on this machine, sorted."""
        try:
            found = [entry.name for entry in os.scandir(self.path / "agencies")]
        except FileNotFoundError:
            return ()
        named = (each for each in found if AGENCY_ID.fullmatch(each))  # a file manager may leave other folders there
        return tuple(sorted(each for each in named if self.agency(each).agency_json.exists()))

    # -- one holder --------------------------------------------------------------------------------------------------

    @property
    def is_held(self) -> bool:
        """True if any process runs this bus now."""
        return self._is_locked("lock")

    def runs(self, service: str) -> bool:
        """Return whether a process holds *service* here now, by `alone`."""
        return self._is_locked(f"{service}.lock")

    @property
    def running(self) -> tuple[str, ...]:
        """Return the sorted names of all services that a process holds here now, by `alone` or `among`."""
        names = sorted(path.stem for path in self.run.glob("*.lock"))
        return tuple(name for name in names if self._is_locked(f"{name}.lock", fcntl.LOCK_EX))

    def _is_locked(self, name: str, against: int = fcntl.LOCK_SH) -> bool:
        try:
            descriptor = os.open(self.run / name, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, against | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def standby_marker(self, service: str) -> WaitingMarker:
        """Return the mark that is there while *service* waits here for another process."""
        return WaitingMarker(self.run / f"{service}.standby")

    def unanswered_marker(self, service: str) -> WaitingMarker:
        """Return the mark that is there while *service* has had no answer of the broker since its start; as old as the first attempt."""
        return WaitingMarker(self.run / f"{service}.unanswered")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the one process that runs this bus, until the end of the block. The system releases the lock of a killed process.

        Held twice by the same object, the inner block changes nothing.

        Raises:
            FolderHeld: another process holds it; the message says which, and since when.
        """
        if self._lock is not None:
            yield
            return
        with lock_file(self.run / "lock") as descriptor:
            self._take(descriptor)
            self._lock = descriptor
            try:
                yield
            finally:
                self._lock = None

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Keep everything from starting here until the end of the block: the bus, and each service alone.

        Raises:
            FolderHeld: something runs here; the message says what.
        """
        with self.held(), lock_file(self.run / "idle") as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_idle = not self.running  # a service of an earlier release has its own lock alone
            except BlockingIOError:
                is_idle = False
            if not is_idle:
                raise FolderHeld(f"In {self.path} runs {' and '.join(self.running) or 'a service'}: end that first.")
            self._sign(descriptor)
            yield

    @contextmanager
    def alone(self, service: str) -> Iterator[None]:
        """Be the one process that is *service* here, until the end of the block.

        Raises:
            FolderHeld: another process is, or holds the folder `idle`; the message says which, and since when.
        """
        with self._busy(), lock_file(self.run / f"{service}.lock") as descriptor:
            self._take(descriptor, f"The ledger of {service}")
            yield

    @contextmanager
    def among(self, service: str) -> Iterator[None]:
        """Be one of possibly several processes of *service* here, until the end of the block.

        Raises:
            FolderHeld: a process holds the folder `idle`.
        """
        with self._busy(), locked(self.run / f"{service}.lock", fcntl.LOCK_SH):
            yield

    @contextmanager
    def _busy(self) -> Iterator[None]:
        with lock_file(self.run / "idle") as descriptor:
            self._lock_now(descriptor, "The bus", fcntl.LOCK_SH)
            yield

    def _take(self, descriptor: int, what: str = "The bus") -> None:
        self._lock_now(descriptor, what, fcntl.LOCK_EX)
        self._sign(descriptor)

    def _lock_now(self, descriptor: int, what: str, how: int) -> None:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderHeld(self._held_by(descriptor, what)) from None

    def _sign(self, descriptor: int) -> None:
        """Write for `_held_by` which process holds the lock."""
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "since": written_now()}).encode(), 0)

    def _held_by(self, descriptor: int, what: str) -> str:
        """Return the sentence about *what* and the process that holds the lock on *descriptor*."""
        try:
            holder = json.loads(os.pread(descriptor, 1024, 0))
            who = f"process {holder['pid']} since {holder['since']}"
            end = f"end it with kill {holder['pid']}"
        except (ValueError, KeyError):  # the holder is about to write its pid
            who, end = "a process that has just started", "wait for it"
        if self._is_locked("idle"):  # nobody may kill a process that has replaced half of the files
            return f"The files in {self.path} are being restored, sealed or upgraded by {who}: wait until it has ended."
        return f"{what} in {self.path} is held by {who}: {end}, or choose another folder with --data DIR."
