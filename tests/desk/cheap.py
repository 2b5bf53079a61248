"""Passwords that cost nothing, for tests that are not about their cost."""

import pytest
from argon2 import PasswordHasher

from nrmbus.desk.staff import passwords


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given hashes that are made at once."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "hasher", lambda: cheap)
