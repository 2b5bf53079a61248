"""Rotation over the topics: an agency asks, two admitters sign on their own machines, the operator enters.

The request is in the agency's topic of requests. The operator checks it and puts it into the topic of answers, where
admitters find it. An admitter sends the signed request to the topic of the agency whose certificate they use.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiokafka import TopicPartition

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.wall_clock import wall_now
from nrmbus.directory.commands import is_complete
from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import Kind, body_of
from nrmbus.directory.errors import DirectoryError
from nrmbus.directory.requests import Request
from nrmbus.wire import json
from nrmbus.wire.names import ANSWERS, requests_of

BY_TOPIC: Final[frozenset[Kind]] = frozenset({"rotated", "confirmed"})
"""Kinds that go over the topics. A person carries requests that end an agency or lack the present key's signature."""

_READ_MS: Final = 200


def signed(directory: Directory, request: Request, agency: str) -> int:
    """Return how many admitters have signed *request*, found in the topic of *agency*, if it is valid so far.

    A request without an admitter's signature, and a confirmation, count only in the agency's own topic.

    Raises:
        DirectoryError: the request is not valid; the code names the reason.
    """
    entry = request.entry
    if entry.kind not in BY_TOPIC or request.disposals or request.csr is not None:
        raise DirectoryError("request_invalid")
    if entry.agency != agency and (not entry.admitted or entry.kind == "confirmed"):
        raise DirectoryError("request_invalid")
    directory.check_request(entry)
    if entry.kind == "rotated" and directory.signing_kid(entry.agency, wall_now()) not in {
        each.keyid for each in entry.asked
    }:
        raise DirectoryError("previous_key_missing")
    return directory.check_admitting(entry)


async def waiting(folder: BusFolder, home: Path, directory: Directory) -> Mapping[str, Request]:
    """Return the requests that wait for an admitter, by agency, without finished ones; read with *home*'s certificate."""
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
    """Send *request* to the topic of *home*'s agency; the operator sends it to the topic of the request's agency."""
    agency = request.entry.agency if home == folder.keys else home.name
    async with clients.producer(folder.reach(home), command=True) as producer:
        await producer.send_and_wait(requests_of(agency), value=json.dumps(body_of(request)), partition=0)
