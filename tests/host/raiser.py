"""A service for tests that fails, with a person's name in the error's message."""

from nrmbus.bus.folder import BusFolder


def main(folder: BusFolder) -> None:
    """Fail."""
    raise ValueError("CANARY-Alina Example", folder)
