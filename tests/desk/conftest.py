"""Fixtures of the desk's tests."""

from desk.cheap import cheap_passwords
from desk.kept import kept, postgresql, server

__all__ = ("cheap_passwords", "kept", "postgresql", "server")
