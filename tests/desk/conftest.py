"""Fixtures of the desk's tests."""

from desk.kept import kept, postgresql, server

__all__ = ("kept", "postgresql", "server")
