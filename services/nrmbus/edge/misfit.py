"""Errors of the mappings: a request that the bus has no place for, and a thing that is not there."""

from nrmbus.events.errors import Problem


class Misfit(Exception):
    """A request for which the bus has no place; ``problems`` names published names only."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("unknown_field")
        self.problems = problems


class NotThere(Exception):
    """The desk has nothing under the id that was asked for."""
