"""Profiles of the Rules that lie in the folder of a bus: known to a process before it asks them anything."""

from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.rules import ProfileError, UnknownProfileError, add_profiles, load_profile


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
