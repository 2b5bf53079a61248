"""Fixtures of the desk's tests."""

from desk.kept import kept, server

__all__ = ("kept", "server")
