"""Sender of webhooks: one request over HTTP/1.1 to one endpoint, to an address that the egress guard has checked.

No redirect is followed, no proxy of the environment is used, no cookie is kept, and no more than a few kilobytes of an
answer are read. A whole attempt has a limit in time.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from threading import Thread
from typing import Final

import httpx

from nrmbus.desk.errors import DeskError
from nrmbus.desk.webhooks.attempt import ANSWER_BYTES, CONNECTIONS, Attempt, Fault
from nrmbus.desk.webhooks.egress import Egress, Url, tls_by

ATTEMPT_SECONDS: Final = 20.0
"""Seconds that an attempt may take, from the name to the status of the answer; the specification says 15 to 30."""
CONNECT_SECONDS: Final = 5.0
"""Seconds that one address may take to accept a connection, before the next one is tried."""
REST_SECONDS: Final = 1.0
"""Seconds that the body of an answer may take: the status has decided already."""
ADDRESSES: Final = 4
"""Most addresses of a name that are tried."""


class Sender:
    """Connections to one endpoint."""

    def __init__(self, url: str, egress: Egress) -> None:
        """Send to *url* as *egress* allows."""
        self._egress, self._url = egress, url
        context = tls_by(egress.authorities) if url[:6].lower() == "https:" else _NO_TLS
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=30)
        self._transport = httpx.AsyncHTTPTransport(verify=context, trust_env=False, limits=limits)
        self._looking: asyncio.Future[list[str]] | None = None

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def post(
        self, headers: Mapping[str, str], body: bytes, *, method: str = "POST", seconds: float | None = None
    ) -> Attempt:
        """Send *body*; return the answer, or why none came within `ATTEMPT_SECONDS`, or *seconds*. Never raises."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS if seconds is None else seconds):
                url = self._egress.parsed(self._url)
                found = await self._addresses(url)
                if not found:
                    return Attempt(None, "not_resolved", _since(began))
                answer = await self._sent(url, self._egress.checked(url, found), method, headers, body)
            return Attempt(answer.status_code, None, _since(began), *await self._rest_of(answer))
        except DeskError:
            fault: Fault = "address_refused"
        except (TimeoutError, httpx.TimeoutException):
            fault = "timeout"
        except httpx.ConnectError as error:
            failed = _failed_tls(error)
            fault = "unreachable" if failed is None else "no_http"
            if isinstance(failed, ssl.SSLCertVerificationError):
                fault = "certificate"
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
            fault = "no_http"
        return Attempt(None, fault, _since(began))

    async def _sent(
        self, to: Url, addresses: tuple[str, ...], method: str, headers: Mapping[str, str], body: bytes
    ) -> httpx.Response:
        """Send to the first of *addresses* that accepts a connection; the certificate must be that of the name."""
        *others, last = addresses[:ADDRESSES]
        for address in (*others, last):
            url = httpx.URL(scheme=to.scheme, host=address, port=to.port, raw_path=to.target.encode())
            whole = {"host": to.name, "accept": "*/*", "user-agent": "nrmbus-webhooks", **headers}
            # The name is given beside the address: the request goes to the address that was checked, and to no other.
            extensions = {
                "sni_hostname": to.host,
                "timeout": httpx.Timeout(None, connect=CONNECT_SECONDS).as_dict(),
            }
            request = httpx.Request(method, url, headers=whole, content=body, extensions=extensions)
            try:
                return await self._transport.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if address == last or _failed_tls(error) is not None:
                    raise
        raise AssertionError("the last address answers, or raises")

    async def _rest_of(self, answer: httpx.Response) -> tuple[dict[str, str], bytes]:
        """Return headers and the beginning of the body; close what is longer, or slower, than it may be."""
        body = b""
        try:
            with suppress(TimeoutError, httpx.HTTPError):
                async with asyncio.timeout(REST_SECONDS):
                    async for part in answer.aiter_raw():
                        body += part
                        if len(body) > ANSWER_BYTES:
                            break
        finally:
            with suppress(httpx.HTTPError):
                await answer.aclose()
        return dict(answer.headers), body[:ANSWER_BYTES]

    async def _addresses(self, url: Url) -> list[str]:
        """Return the addresses of the name, none if it has none. One look-up runs at a time: a name server that is silent holds one thread."""
        if self._looking is None or self._looking.done():
            looking = asyncio.get_running_loop().create_future()
            try:
                Thread(target=_look_up, args=(url, looking), daemon=True).start()
            except RuntimeError:  # no thread is left on this machine: tried again as after any failure
                return []
            self._looking = looking
        return await asyncio.shield(self._looking)


_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP: reading the system's list of authorities takes 25 ms."""


def _look_up(url: Url, answer: asyncio.Future[list[str]]) -> None:
    """Resolve the name of *url* outside the event loop's own threads, which a silent name server would fill."""
    found: list[str] = []
    with suppress(OSError, UnicodeError):
        found = [str(each[4][0]) for each in socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)]
    with suppress(RuntimeError):  # the desk has ended meanwhile
        answer.get_loop().call_soon_threadsafe(answer.set_result, found)


def _failed_tls(error: BaseException | None) -> ssl.SSLError | None:
    """Return the failure of TLS behind *error*; None if another thing failed."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
