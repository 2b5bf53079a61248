"""Profiles of the Rules that lie in the folder of a bus: known to a process before it asks them anything.

A running service takes profiles that are added meanwhile, so nobody restarts it before an activation. A name means the same
values for good, so another name changes no judgement. Cases that the service has set aside, because it lacked their
profile, wait for its next start: otherwise it would fold them with a gap.
"""

import threading
import time
from hashlib import sha256
from typing import Final

from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.rules import ProfileError, UnknownProfileError, add_profiles, load_profile, profile_names
from nrmbus.rules.profile_files import name_in
from nrmbus.telemetry import log

LOOK_SECONDS: Final = 2.0
"""Time between two looks into the folder."""


def know_profiles(folder: BusFolder) -> None:
    """Let this process know the profiles in *folder*, and check that the first profile is the one that the bus was made with.

    Raises:
        NoBus: a profile does not read, is another than its file's name says, or than the bus has known under its name.
    """
    texts = folder.own_profiles()
    settings = folder.settings if folder.exists else None
    if texts:
        _add(folder, texts)
    if settings is None or settings.policy_digest is None:
        return
    digest = None
    try:
        digest = load_profile(settings.policy).digest
    except UnknownProfileError:
        digest = None
    if digest != settings.policy_digest:
        raise NoBus(
            f"{folder.profiles / settings.policy}.yaml is not the profile that this bus was made with, whose digest begins with "
            f"{settings.policy_digest[:12]}: put that file back; the operator and every agency have it."
        )


def _add(folder: BusFolder, texts: dict[str, str]) -> None:
    why = ""
    try:
        for (name, _), profile in zip(texts.items(), add_profiles(texts.values()), strict=True):
            if profile.name != name:
                raise NoBus(f"{folder.profiles / name}.yaml is the profile {profile.name}: give the file that name.")
    except ProfileError as error:
        why = str(error)
    if why:
        raise NoBus(f"A profile in {folder.profiles} cannot be used: nrmbus rules check FILE says why. {why}")


class Newcomers:
    """Profiles that come into *folder* while this process runs."""

    def __init__(self, folder: BusFolder) -> None:
        """Look into *folder*, whose profiles `know_profiles` has read."""
        self._folder = folder
        self._refused: dict[str, str] = {}

    def look(self) -> None:
        """Take each new profile that reads; report one that does not, once for each of its texts, and go on without it."""
        try:
            texts = self._folder.own_profiles()
        except NoBus:  # a file that is being written, or is no text: the next look, or the next start says so
            return
        known = set(profile_names())
        unknown = {name: text for name, text in texts.items() if name not in known}
        fresh = {name for name, text in unknown.items() if self._refused.get(name) != text}
        while any(self._take(name, unknown) for name in sorted(fresh)):
            fresh = set(unknown)  # one may extend another, also one that was refused by an earlier look
        for name, text in unknown.items():
            if self._refused.get(name) != text:
                self._refused[name] = text
                log.report("profile_refused", sha256=sha256(text.encode()).hexdigest())

    def _take(self, name: str, unknown: dict[str, str]) -> bool:
        """Take the profile *name* out of *unknown* and let this process know it; return False if it does not read, or not yet."""
        try:
            if name_in(unknown[name]) != name:
                return False
            (profile,) = add_profiles([unknown[name]])
        except (ProfileError, UnknownProfileError):
            return False
        log.report("profile_known", sha256=profile.digest)
        del unknown[name]
        return True


def take_newcomers(folder: BusFolder) -> None:
    """Look for new profiles in *folder* in a thread of its own, for as long as this process runs."""
    newcomers = Newcomers(folder)

    def forever() -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            newcomers.look()

    threading.Thread(target=forever, name="profiles", daemon=True).start()
