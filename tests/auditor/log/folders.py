"""Folders of a log to alter (sound, an older copy, a fork), and the codes of the log."""

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from auditor.given import BUS, KEY, LASTING, ORIGIN, PARTITION, TIME, fed, history
from nrmbus.auditor.errors import LogError
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.log.publisher import Publisher
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.directory import LogIdentity, Published
from nrmbus.wire.log.checkpoint import Checkpoint
from nrmbus.wire.log.note import Note

SIZE, SIGNED, EARLIER = 600, 520, 300
"""How far the log reaches, how far it was signed, and how far when it was copied."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A log's folder and the table of what it signed."""

    home: Path

    @property
    def log(self) -> Path:
        """The folder with the tiles."""
        return self.home / "log"

    @property
    def heads(self) -> Path:
        """Return the note that was signed last."""
        return self.home / "heads.db"

    def opened(self) -> Log:
        """Return the opened log; the caller closes it."""
        return Log(self.log, SignedHeads(self.heads), BUS, PARTITION)

    def change(self, path: str, how: Callable[[bytes], bytes]) -> None:
        """Change the bytes of a file of the log."""
        (self.log / path).write_bytes(how((self.log / path).read_bytes()))


class Folders:
    """The sound log, an older copy, and a fork, each with its own table of signed checkpoints."""

    def __init__(self, home: Path) -> None:
        """Make all three below *home*."""
        self._home = home
        self.sound, self.older, self.fork = (Folder(home / name) for name in ("sound", "older", "fork"))
        for folder, steps, forked_at in (
            (self.sound, (SIGNED, SIZE), 0),
            (self.older, (EARLIER,), 0),
            (self.fork, (SIGNED, SIZE), 100),
        ):
            folder.home.mkdir(parents=True)
            with closing(folder.opened()) as log:
                fed(log, history(steps[0], forked_at))
                log.sign(KEY, LASTING, TIME)
                fed(log, history(steps[-1], forked_at))

    def copy(self, target: Path) -> Folder:
        """The sound one, to be altered at *target*."""
        shutil.copytree(self.sound.home, target / "copy")
        return Folder(target / "copy")

    def shown(self) -> Publisher:
        """A publisher that has read of the sound log's checkpoint in the topic."""
        note = SignedHeads(self.sound.heads).last(ORIGIN)
        assert note is not None
        publisher = Publisher(LogIdentity.at(self._home / "keys"), ORIGIN)
        publisher.found(Published(Checkpoint.parse(Note.parse(note).text), note, datetime.fromtimestamp(TIME, UTC)))
        return publisher


def code_of(attempt: Callable[[], object]) -> str:
    """The code with which a log refuses *attempt*; empty if it does not."""
    try:
        attempt()
    except LogError as error:
        return error.code
    return ""


def starts(folder: Folder, *_: object) -> str:
    """Return the code on opening; a log that is set aside is damaged."""

    def attempt() -> None:
        with closing(folder.opened()) as log:
            if log.set_aside:
                raise LogError("state_damaged", log.origin)

    return code_of(attempt)


def checks(folder: Folder, *_: object) -> str:
    """Return the code of a complete check, after an opening without fault."""
    with closing(folder.opened()) as log:
        assert log.set_aside is None
        return code_of(log.check)


def reads(folder: Folder, *_: object) -> str:
    """Return the code on reading registrations, after an opening without fault."""
    with closing(folder.opened()) as log:
        assert log.set_aside is None
        return code_of(lambda: [log.registration(number) for number in range(1, log.size + 1)])


def signs(folder: Folder, *_: object) -> str:
    """Return the code on signing, after an opening without fault."""
    with closing(folder.opened()) as log:
        assert log.set_aside is None
        return code_of(lambda: log.sign(KEY, LASTING, TIME + 3600))
