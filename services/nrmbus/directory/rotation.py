"""A change of keys that goes over the topics: an agency asks, two admitters sign, each where they are, the operator enters it.

What is asked for lies in the agency's topic of requests, what waits for an admitter in the topic of answers, where the
operator puts it once it was checked; what an admitter signed goes into the topic of whoever's certificate they come with.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiokafka import TopicPartition

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.directory.commands import is_complete
from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import Kind, body_of
from nrmbus.directory.errors import DirectoryError
from nrmbus.directory.heads import utc_time
from nrmbus.directory.renewal import ANSWERS, topic_of
from nrmbus.directory.requests import Request
from nrmbus.wire import json

BY_TOPIC: Final[frozenset[Kind]] = frozenset({"rotated", "confirmed"})
"""What goes over the topics. What ends an agency, or is asked for without its present key, a person carries."""

_READ_MS: Final = 200


def signed(directory: Directory, request: Request, agency: str) -> int:
    """How many admitters have signed *request*, as it was found in the topic of *agency*, if it is in order so far.

    What no admitter has signed, and what the agency confirms, counts in its own topic only.

    Raises:
        DirectoryError: the code says why it is not.
    """
    entry = request.entry
    if entry.kind not in BY_TOPIC or request.disposals or request.csr is not None:
        raise DirectoryError("request_invalid")
    if entry.agency != agency and (not entry.admitted or entry.kind == "confirmed"):
        raise DirectoryError("request_invalid")
    directory.check_request(entry)
    if entry.kind == "rotated" and directory.signing_kid(entry.agency, utc_time()) not in {
        each.keyid for each in entry.asked
    }:
        raise DirectoryError("previous_key_missing")
    return directory.check_admitting(entry)


async def waiting(folder: BusFolder, home: Path, directory: Directory) -> Mapping[str, Request]:
    """What waits for an admitter's signature, by agency, read by whoever's folder is *home*. What is done is not among it."""
    topic, found = TopicPartition(ANSWERS, 0), dict[str, Request]()
    async with clients.reading(folder.reach(home), topic) as (consumer, end):
        while await consumer.position(topic) < end:
            for record in (await consumer.getmany(topic, timeout_ms=_READ_MS)).get(topic, ()):
                try:
                    request = Request.parsed(record.value or b"")
                    signed(directory, request, request.entry.agency)
                except DirectoryError:  # a certificate that was issued, or what was entered since
                    continue
                found[request.entry.agency] = request
    return {agency: request for agency, request in sorted(found.items()) if not is_complete(request)}


async def send(folder: BusFolder, home: Path, request: Request) -> None:
    """Put *request* into the topic of whoever's folder is *home*; the operator, who may write any, puts it into its agency's."""
    agency = request.entry.agency if home == folder.keys else home.name
    async with clients.producer(folder.reach(home)) as producer:
        await producer.send_and_wait(topic_of(agency), value=json.dumps(body_of(request)), partition=0)
