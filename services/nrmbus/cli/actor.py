"""Staff numbers of people who use this machine's account at the command line."""

import os
import pwd

from nrmbus.auditor.web.users import Users
from nrmbus.bus.folder import BusFolder


def number_at(folder: BusFolder, agency: str, actor: str | None) -> str:
    """Return the staff number of the reader at *agency*: *actor*, or the number of this machine's account in that agency's folder.

    Raises:
        BusError: the file with the numbers cannot be read.
    """
    if actor is not None or agency not in folder.agencies():  # the door says that there is none
        return actor or ""
    return Users(folder.agency(agency).path).account(account())


def account() -> str:
    """Return the name of the account that runs this process, from the system and not from the environment, which anybody may set."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may have a number without a name
        return f"uid-{os.getuid()}"
