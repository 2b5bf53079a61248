"""``nrmbus webhook``: what the administrator reads of an endpoint."""

from datetime import UTC, datetime
from typing import Any

import pytest

from nrmbus.cli.desk.webhook import standing

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
HOOK = {"id": "9f86d081884c7d65", "state": "active", "since": "2026-03-01T05:00:00Z", "order": "none", "waiting": 43}


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({}, "9f86d081884c7d65  active, 43 waiting, as they come"),
        (
            {"held": "2026-03-02T06:10:00Z", "failing": "2026-03-02T05:58:00Z"},
            "9f86d081884c7d65  active, fails since 2026-03-02 05:58, nothing is sent until 2026-03-02 06:10 UTC, 43 waiting, as they come",
        ),
        ({"held": "2026-03-02T05:59:00Z"}, "9f86d081884c7d65  active, 43 waiting, as they come"),
        (
            {"state": "paused", "order": "case"},
            "9f86d081884c7d65  paused since 2026-03-01 05:00, 43 waiting, in order of each case",
        ),
    ],
    ids=["in order", "overloaded", "overloaded before", "paused"],
)
def test_a_webhook_is_one_line_that_says_why_something_waits(more: dict[str, Any], line: str) -> None:
    """The line distinguishes an active endpoint that asked for a pause from a slow one."""
    assert standing(HOOK | more, NOW) == line
