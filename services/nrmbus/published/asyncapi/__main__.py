"""``python -m nrmbus.published.asyncapi write|check``."""

import sys

from nrmbus.published.asyncapi import main

sys.exit(main())
