"""``python -m nrmbus.published.openapi write|check``."""

import sys

from nrmbus.published.openapi import main

sys.exit(main())
