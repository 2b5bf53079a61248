"""Command line, ``nrmbus``."""

import logging
import sys


def main() -> None:
    """Run one command. What goes wrong is one sentence on standard error, and exit status 1."""
    from nrmbus.bus.errors import BusError
    from nrmbus.cli.app import app
    from nrmbus.host.core_dumps import leave_no_picture

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
        from nrmbus.bus.kafka.failures import sentence_of

        if sentence := sentence_of(error):
            sys.exit(f"nrmbus: {sentence}")
        raise
