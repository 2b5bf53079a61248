"""``python -m nrmbus.published write|check``: the schemas and examples of every published type.

``write`` makes the files that ``schemas/nrm.*`` lacks; ``check`` prints what the gate finds and exits 1.
"""

import sys

from nrmbus.events.schemas import write, write_or_check
from nrmbus.published import gate


def main(arguments: list[str] | None = None) -> int:
    """Write what the folder lacks, or check it; return the exit code."""
    return write_or_check("python -m nrmbus.published", main.__doc__, write, gate.findings, arguments)


if __name__ == "__main__":
    sys.exit(main())
