"""``python -m nrmbus.cli.asyncapi write|check``."""

import sys

from nrmbus.cli.asyncapi import main

sys.exit(main())
