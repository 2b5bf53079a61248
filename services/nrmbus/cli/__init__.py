"""The command line, ``nrmbus``, and the supervisor behind ``nrmbus up``."""

import contextlib
import logging
import sys


def leave_no_picture() -> None:
    """Have the system write no core file of this process or of those that it starts: keys and open letters are in it."""
    import resource

    # 1, since Linux heeds no other limit where core files go to a program (core(5)); who may not raise it from 0 keeps 0.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


def main() -> None:
    """Run one command. What goes wrong is one sentence on standard error, and exit status 1."""
    from nrmbus.bus.errors import BusError
    from nrmbus.cli.app import app

    leave_no_picture()
    # Other libraries' loggers say nothing, as in the services: what went wrong is one sentence, below.
    logging.basicConfig(level=logging.CRITICAL, handlers=[logging.NullHandler()])
    try:
        app()
    except BusError as error:
        sys.exit(f"nrmbus: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from nrmbus.bus.failures import sentence_of

        if sentence := sentence_of(error):
            sys.exit(f"nrmbus: {sentence}")
        raise
