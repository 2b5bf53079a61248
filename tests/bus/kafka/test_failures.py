"""Sentences for a person at a command line when Kafka or the operating system says no: one each, never a traceback."""

import errno
import socket
from pathlib import Path

import pytest
from aiokafka import errors
from confluent_kafka import KafkaError, KafkaException

import typed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.failures import is_passing, sentence_of
from nrmbus.directory import Operator

NO_RIGHT, AWAY, OTHERWISE = "denied access", "does not answer", "refused or broke off"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.TopicAuthorizationFailedError("CANARY"), NO_RIGHT),
        (errors.GroupAuthorizationFailedError("CANARY"), NO_RIGHT),
        (errors.ClusterAuthorizationFailedError("CANARY"), NO_RIGHT),
        (KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "CANARY")), NO_RIGHT),
        (errors.KafkaConnectionError("CANARY"), AWAY),
        (errors.RequestTimedOutError("CANARY"), AWAY),
        (KafkaException(KafkaError(KafkaError._TRANSPORT, "CANARY")), AWAY),
        (errors.CorruptRecordException("CANARY"), OTHERWISE),
        (KafkaException(KafkaError(KafkaError.INVALID_MSG, "CANARY")), OTHERWISE),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "/a/b cannot be used (Permission denied)"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", Path("/a/b")), "a part of this path is a file"),
        (OSError(errno.EROFS, "Read-only file system", b"/a/b"), "the file system is read-only"),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
    ],
    ids=repr,
)
def test_each_kind_of_error_is_one_sentence_that_repeats_nothing(error: Exception, said: str) -> None:
    """Of whichever client it comes."""
    sentence = sentence_of(error)
    assert sentence is not None
    assert said in sentence
    assert "CANARY" not in sentence


def test_a_denied_agency_is_sent_to_the_operator() -> None:
    """Given an agency whose certificate Kafka denies the directory too, then the sentence names a command that works: one of the operator's."""
    sentence = sentence_of(errors.TopicAuthorizationFailedError())
    assert sentence is not None
    assert "Ask the operator: nrmbus agency show AGENCY, on the operator's machine" in sentence


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), KafkaException()], ids=repr)
def test_an_error_of_our_own_is_not_explained_away(error: Exception) -> None:
    """It is a mistake of ours, and shown as one."""
    assert sentence_of(error) is None


def test_a_command_without_a_broker_ends_in_a_sentence(tmp_path: Path) -> None:
    """And with exit status 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
    BusFolder(tmp_path).create(bootstrap=nobody, tls=False)
    Operator(tmp_path)
    ended = typed.run("agency", "list", "--data", tmp_path)

    assert ended.returncode == 1
    assert ended.stderr.startswith("nrmbus: Kafka does not answer")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (errors.KafkaConnectionError(), True),
        (errors.RequestTimedOutError(), True),
        (errors.UnknownTopicOrPartitionError(), True),  # as aiokafka reports a line that is cut again and again
        (errors.TopicAuthorizationFailedError(), False),
        (errors.UnsupportedVersionError(), False),
    ],
)
def test_a_desk_elsewhere_tries_again_after_what_may_pass(error: errors.KafkaError, passing: bool) -> None:  # noqa: FBT001 - expected of each row
    """A bad line ends no desk; a right that is missing does."""
    assert is_passing(error) is passing
