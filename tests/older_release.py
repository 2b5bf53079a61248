"""Imported first by a process, it makes that process a release from before the second versions were published."""

from contextlib import ExitStack

from generations import before_version

FOR_LIFE = ExitStack()
"""Never closed: a context that nobody holds would end at once."""
FOR_LIFE.enter_context(before_version(2))
