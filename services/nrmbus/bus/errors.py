"""What can go wrong with a bus on this machine. Each message is one sentence with the command that mends it."""


class BusError(Exception):
    """Raised when the bus cannot do what was asked; the message says what happened and what to do."""


class FolderHeld(BusError):
    """Raised when another process holds the folder; the message says which, and since when."""


class NoBus(BusError):
    """Raised when the folder has no bus in it, or one that is not running."""


class JarAltered(BusError):
    """Raised when a jar is not, byte for byte, the one that is pinned."""


class KafkaFailed(BusError):
    """Raised when Kafka could not be fetched, started or reached."""


class DeclarationError(BusError):
    """Raised when a topic file says something that is not understood; the message names the file and the line."""
