"""The command line, ``nrmbus``, and the supervisor behind ``nrmbus up``."""

import resource
import sys


def leave_no_core() -> None:
    """Have a crash of this process, and of all that it starts, leave no picture of its memory: keys and open letters are in it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Run one command. What goes wrong is one sentence on standard error, and exit status 1."""
    from nrmbus.bus.errors import BusError
    from nrmbus.cli.app import app

    leave_no_core()
    try:
        app()
    except BusError as error:
        sys.exit(f"nrmbus: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
