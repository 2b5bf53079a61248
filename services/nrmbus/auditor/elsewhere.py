"""Work beside auditing of an auditor who is not on the operator's machine: what the supervisor does for her there."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from aiokafka import AIOKafkaConsumer

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.reach import Reach
from nrmbus.bus.vitals import BEFORE_RELEASE, RELEASE
from nrmbus.directory import Directory, apart
from nrmbus.wire.names import AUDITOR, inbox_of

READ_MS = 60_000
"""Longest wait for a record of her inbox; a member of a group must ask within five minutes."""


@asynccontextmanager
async def beside(
    folder: BusFolder, where: Reach, directory: Directory, begin_anew: Callable[[], None]
) -> AsyncIterator[list[Callable[[], Awaitable[object]]]]:
    """Yield what has to run beside the auditor; *begin_anew* is called when she must connect again.

    On a machine of her own she is seen as an agency is. On a standby host the operator sees who works and who stands by.
    """
    if folder.host is not None:
        async with apart.beside(folder, AUDITOR, where, directory, begin_anew) as work:
            yield work
        return
    member = AIOKafkaConsumer(
        client_id=f"{AUDITOR}{BEFORE_RELEASE}{RELEASE}",  # tells the operator on which release she is
        group_id=f"{AUDITOR}.desk",
        group_instance_id=AUDITOR,
        **where.settings(),
        **clients.settings("reader", "desk"),
    )
    async with apart.beside(folder, AUDITOR, where, directory, begin_anew) as work:
        await member.start()
        try:
            member.subscribe([inbox_of(AUDITOR)])
            yield [*work, partial(_be_seen, member)]
        finally:
            await member.stop()


async def _be_seen(member: AIOKafkaConsumer) -> None:
    """Stay in the group of her inbox until cancelled, so that the operator sees whether she is connected; receipts are left unread."""
    while True:
        await member.getmany(timeout_ms=READ_MS)
