"""Work beside a service on another machine than the operator's: what the supervisor does for it on the operator's own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from aiokafka.errors import KafkaError

from nrmbus import telemetry
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clock_check
from nrmbus.bus.periodic import every
from nrmbus.bus.reach import Reach
from nrmbus.directory import addresses, own_certificate
from nrmbus.directory.admission import home_of
from nrmbus.directory.directory import Directory
from nrmbus.directory.operator import Identity
from nrmbus.directory.own_certificate import Renewing
from nrmbus.telemetry import log
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.names import DIRECTORY

Work = Callable[[], Awaitable[object]]


@asynccontextmanager
async def beside(
    folder: BusFolder, service: str, where: Reach, directory: Directory, begin_anew: Callable[[], None]
) -> AsyncIterator[list[Work]]:
    """Yield what has to run beside *service*; *begin_anew* is called when it must connect again.

    The broker's addresses are followed and the certificate is renewed. On a standby host the clock is watched too.
    """
    async with addresses.following(folder, where, directory) as watched:
        work: list[Work] = [partial(addresses.run, watched, begin_anew)]
        if folder.settings.tls:
            signing = partial(_signing, folder, service)
            work.append(partial(own_certificate.run, Renewing(folder, service, signing), begin_anew))
        if folder.host is not None:
            work.append(partial(watch_clock, where, service, begin_anew))
        yield work


def _signing(folder: BusFolder, service: str) -> SigningKey:
    return Identity.at(home_of(folder, service), service).signing


async def watch_clock(where: Reach, service: str, begin_anew: Callable[[], None]) -> None:
    """Check the clock now and then until cancelled; call *begin_anew* when it is wrong, since a start waits until it is right."""

    async def look() -> None:
        if clock_check.is_wrong(seconds := await clock_check.ahead(where, service)):
            log.report("clock_wrong", seconds=round(seconds, 1))
            begin_anew()

    def failed(error: Exception) -> None:  # a broker that is away says nothing of the clock
        if not isinstance(error, KafkaError):
            raise error
        telemetry.handled("not_available", topic=DIRECTORY, error=type(error).__name__)

    await every(clock_check.LOOK_SECONDS, look, first=clock_check.LOOK_SECONDS, failed=failed)
