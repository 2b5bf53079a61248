"""What a person at a command line is told of a Kafka client's error: one sentence, with what to do."""

from typing import Final

_AWAY: Final = "Kafka does not answer: see that the bus runs and can be reached from here. Where it has moved, nrmbus join with a newer invitation; whose certificate has ended gets another by nrmbus agency renew; who is suspended or has left is told nothing."
_NOT_LET: Final = "Kafka lets whoever asks from here do that no more, or not yet: an agency that is suspended or has left may do nothing, another has its own topics only."
_OTHERWISE: Final = "Kafka refused or broke off ({}): nrmbus doctor says what is wrong here."


def sentence_of(error: BaseException) -> str | None:
    """The sentence for *error*; none where it is no Kafka client's. It names kinds of errors, and nothing that was read."""
    # Imported where one of them was raised: whoever got here has loaded the client.
    library = type(error).__module__.partition(".")[0]
    if library == "aiokafka":
        return _of_aiokafka(error)
    if library in ("confluent_kafka", "cimpl"):
        return _of_confluent(error)
    return None


def _of_aiokafka(error: BaseException) -> str | None:
    from aiokafka import errors  # noqa: PLC0415 - see above

    if not isinstance(error, errors.KafkaError):
        return None
    if isinstance(error, errors.TopicAuthorizationFailedError | errors.GroupAuthorizationFailedError):
        return _NOT_LET
    if isinstance(error, errors.ClusterAuthorizationFailedError | errors.TransactionalIdAuthorizationFailed):
        return _NOT_LET
    away = (
        errors.KafkaConnectionError,
        errors.NodeNotReadyError,
        errors.KafkaTimeoutError,
        errors.RequestTimedOutError,
    )
    return _AWAY if isinstance(error, away) else _OTHERWISE.format(type(error).__name__)


def _of_confluent(error: BaseException) -> str | None:
    from confluent_kafka import KafkaException  # noqa: PLC0415 - see above

    if not isinstance(error, KafkaException) or not error.args:
        return None
    name = error.args[0].name() if hasattr(error.args[0], "name") else ""
    if "AUTHORIZATION" in name:
        return _NOT_LET
    return _AWAY if name.startswith("_") else _OTHERWISE.format(name)
