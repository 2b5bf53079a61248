"""The command line, ``nrmbus``, and the supervisor behind ``nrmbus up``."""

import sys


def main() -> None:
    """Run one command. What goes wrong is one sentence on standard error, and exit status 1."""
    from nrmbus.bus.errors import BusError
    from nrmbus.cli.app import app

    try:
        app()
    except BusError as error:
        sys.exit(f"nrmbus: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
