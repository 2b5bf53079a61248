"""Tables of the Rules on the pages for people: made from a profile, never by hand.

``python -m nrmbus.rules.grounds FILE…`` renews each table between its marks in each FILE; ``make rules`` renews all pages.
"""

import argparse
import sys
from pathlib import Path

from nrmbus.rules.handbook.default import PROFILE
from nrmbus.rules.handbook.tables import renewed
from nrmbus.rules.profile_files import load_profile


def main() -> int:
    """Renew the tables in each file; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m nrmbus.rules.grounds", description=main.__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--profile", default=PROFILE)
    chosen = parser.parse_args()
    for file in chosen.files:
        file.write_text(renewed(file.read_text(encoding="utf-8"), load_profile(chosen.profile)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
