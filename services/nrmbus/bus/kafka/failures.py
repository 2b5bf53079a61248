"""Sentences for a person at a command line about errors of a Kafka client and of the operating system, with what to do."""

import errno
import os
from typing import Any, Final

_AWAY: Final = "Kafka does not answer: check that the bus is running and reachable; nrmbus check says where the way ends. If the broker moved, run nrmbus join with a new invitation; if the certificate expired, nrmbus agency renew. A suspended or retired agency gets no answer."
_NOT_LET: Final = "Kafka denied access: this agency is not admitted yet, is suspended, has left, or does not own this topic. Ask the operator: nrmbus agency show AGENCY, on the operator's machine, shows its state."
_PLACES: Final = {
    errno.EACCES: "choose another place, or have its owner give this account access.",
    errno.EPERM: "choose another place, or have its owner give this account access.",
    errno.ENOENT: "check the name, or make the missing folder first.",
    errno.ENOTDIR: "a part of this path is a file and not a folder; choose another path.",
    errno.EEXIST: "a file is where a folder is needed; choose another path.",
    errno.EISDIR: "this is a folder; name a file.",
    errno.EROFS: "the file system is read-only; choose another place.",
}
"""By error number: what to do about a file or folder that the system refused."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_OTHERWISE: Final = "Kafka refused or broke off ({}): nrmbus doctor looks for the cause."


def nobody_at(where: object) -> str:
    """Return the sentence for an administration client that no broker answers at *where*."""
    return (
        f"No broker answers at {where}: nrmbus check says where the way ends. A bus with its own Kafka is started by nrmbus up; "
        "a cluster has to be set as nrmbus cluster settings prints, and restarted."
    )


def sentence_of(error: BaseException) -> str | None:
    """Return the sentence for *error*, or None if neither a Kafka client nor the operating system raised it.

    The sentence names kinds of errors, files and folders, and nothing that was read.
    """
    if isinstance(error, OSError) and (sentence := of_system(error)):
        return sentence
    # Imported where one of them was raised: whoever got here has loaded the client.
    library = type(error).__module__.partition(".")[0]
    if library == "aiokafka":
        return _of_aiokafka(error)
    if library in ("confluent_kafka", "cimpl"):
        return _of_confluent(error)
    return None


def is_away(error: BaseException) -> bool:
    """Return whether *error*, of aiokafka, says that no broker answers: another attempt may find one."""
    from aiokafka import errors  # noqa: PLC0415 - see above

    return isinstance(
        error,
        errors.KafkaConnectionError | errors.NodeNotReadyError | errors.KafkaTimeoutError | errors.RequestTimedOutError,
    )


def is_passing(error: Any) -> bool:
    """Return whether another attempt may succeed: no broker answers, or aiokafka calls its *error* retriable.

    On a line that is cut again and again, a known topic is reported as unknown.
    """
    return is_away(error) or bool(error.retriable)


def of_system(error: OSError) -> str | None:
    """Return the sentence for what the operating system refused, or None if *error* is about no file, folder or full disk."""
    if error.errno in _FULL:
        return "The disk is full: make room, then give the command again."
    if not isinstance(error.filename, str | bytes) and not hasattr(error.filename, "__fspath__"):
        return None
    what = _PLACES.get(error.errno or 0, "choose another place.")
    return f"{os.fsdecode(error.filename)} cannot be used ({error.strerror}): {what}"


def _of_aiokafka(error: BaseException) -> str | None:
    from aiokafka import errors  # noqa: PLC0415 - see above

    if not isinstance(error, errors.KafkaError):
        return None
    if isinstance(error, errors.TopicAuthorizationFailedError | errors.GroupAuthorizationFailedError):
        return _NOT_LET
    if isinstance(error, errors.ClusterAuthorizationFailedError | errors.TransactionalIdAuthorizationFailed):
        return _NOT_LET
    return _AWAY if is_away(error) else _OTHERWISE.format(type(error).__name__)


def _of_confluent(error: BaseException) -> str | None:
    from confluent_kafka import KafkaException  # noqa: PLC0415 - see above

    if not isinstance(error, KafkaException) or not error.args:
        return None
    name = error.args[0].name() if hasattr(error.args[0], "name") else ""
    if "AUTHORIZATION" in name:
        return _NOT_LET
    return _AWAY if name.startswith("_") else _OTHERWISE.format(name)
