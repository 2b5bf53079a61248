"""Sign-in by the agency's own OpenID provider: authorization code with PKCE (OpenID Connect Core 3.1, RFC 7636).

The provider says who somebody is by a subject, which the administrator has entered for a member; nothing else of its
answer is used or kept. A sign-in that is under way stays in memory, bound to the browser by a cookie.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

import httpx

from nrmbus.bus.rate_limit import AddressPace, Pace, Rate
from nrmbus.desk.staff.permissions import Provider
from nrmbus.desk.staff.sessions import digest_of

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

GOOD_FOR: Final = timedelta(minutes=10)
SECONDS: Final = 10.0
"""Patience with the provider."""
KNOWN_FOR: Final = timedelta(minutes=5)
"""How long what the provider says of itself is believed, so that nobody makes the desk ask it again and again."""
AGAIN: Final = timedelta(seconds=10)
"""How long a provider that did not answer is left alone."""
ANSWERS: Final = Rate(60, 1.0)
"""Bound of the answers that are taken to the provider, within shares and as much again beyond: each costs it two requests."""
BEGINNINGS: Final = Rate(300, 1.0)
"""The same of the sign-ins that are begun: fewer than `_MOST` within `GOOD_FOR`, so that nobody's is pushed out."""
FROM_ONE: Final = Rate(20, 1 / 3)
"""Bound of either from one address, so that one stranger leaves room for the others; an office may share an address."""
SHARE: Final = Rate(3, 1 / 60)
"""Share of one address in either bound, so that strangers at several addresses leave room for the others, too."""
_MOST: Final = 2_000
_LEEWAY_SECONDS: Final = 60
_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
_OUTSIDE: Final = (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError, OSError)


class ProviderFailed(Exception):
    """Raised where the provider does not answer, or where its answer cannot be believed."""


class TooManyAtOnce(ProviderFailed):
    """Raised where so many sign in at once that the provider is not asked."""


@dataclass(frozen=True, slots=True)
class _UnderWay:
    until: datetime
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    address: str
    page: str


class _Bound:
    """Bound of what browsers cause: for each address, and for all together.

    Room for all is kept apart for what is within the `SHARE` of its address: what is beyond it uses other room up.
    """

    def __init__(self, rate: Rate) -> None:
        self._within, self._beyond = Pace(rate), Pace(rate)
        self._each, self._share = AddressPace(FROM_ONE), AddressPace(SHARE)

    def take(self, client: str | None, now: float) -> None:
        """Count one more from the address *client*. What is refused is not counted, so the bound for all bounds the memory.

        Raises:
            TooManyAtOnce
        """
        is_within = self._share.wait(client, now) == 0 and self._within.may("", now)
        room = self._within if is_within else self._beyond
        if max(room.wait("", now), self._each.wait(client, now)) > 0:
            raise TooManyAtOnce
        room.took("", 1, now)
        self._each.took(client, now)
        if is_within:
            self._share.took(client, now)


class SignInElsewhere:
    """Sign-ins at the agency's provider that are under way."""

    def __init__(
        self, provider: Provider, now: Callable[[], datetime], transport: httpx.AsyncBaseTransport | None = None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Use *provider*; *transport* leads to one in this process. Bounds and pauses count *seconds*, which nobody sets back."""
        self._provider, self._now, self._transport, self._seconds = provider, now, transport, seconds
        self._under_way: dict[str, _UnderWay] = {}
        self._about_it: Mapping[str, Any] = {}
        self._asks_from = seconds()
        """When the provider is asked again what it says of itself, in *seconds*."""
        self._one_at_a_time = asyncio.Lock()
        self._beginnings, self._answers = _Bound(BEGINNINGS), _Bound(ANSWERS)

    async def begin(self, address: str, page: str, client: str | None) -> tuple[str, str]:
        """Return a value for the browser's cookie, and where to send the browser, which comes back to *address*.

        *client* is the browser's own address. *page* is where the member wanted to go; it stays here.

        Raises:
            ProviderFailed
        """
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # noqa: PLC0415 - few agencies need it
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # noqa: PLC0415 - the same

        self._beginnings.take(client, self._seconds())
        async with self._client() as http:
            about = await self._about(http)
        value, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        there = {each: one for each, one in self._under_way.items() if one.until > self._now()}
        self._under_way = dict(list(there.items())[1 - _MOST :])
        self._under_way[_state(value)] = _UnderWay(self._now() + GOOD_FOR, nonce, verifier, address, page)
        return value, prepare_grant_uri(
            str(about["authorization_endpoint"]), self._provider.client_id, "code", address, "openid", _state(value),
            nonce=nonce, code_challenge=create_s256_code_challenge(verifier), code_challenge_method="S256",
        )  # fmt: skip

    async def subject(self, value: str, state: str, code: str, client: str | None) -> tuple[str, str]:
        """Return whom the provider signed in, and the page that they wanted, by what the browser brings back.

        That is the cookie's *value*, *state* and *code*; *client* is the browser's address.

        Raises:
            ProviderFailed
        """
        now, under_way = self._now(), self._under_way.get(state) if state == _state(value) else None
        if under_way is None or under_way.until <= now:
            raise ProviderFailed
        self._answers.take(client, self._seconds())
        del self._under_way[state]
        async with self._client() as http:
            about = await self._about(http)
            try:
                return await self._subject(http, about, under_way, code), under_way.page
            except _OUTSIDE as error:
                raise ProviderFailed from error

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=SECONDS, transport=self._transport)

    async def _about(self, client: httpx.AsyncClient) -> Mapping[str, Any]:
        """Return what the provider says of itself, asked at most once in `KNOWN_FOR`, and in `AGAIN` after a failure."""
        async with self._one_at_a_time:
            if self._seconds() >= self._asks_from:
                self._about_it, self._asks_from = {}, self._seconds() + AGAIN.total_seconds()
                self._about_it = await self._asked(client)
                self._asks_from = self._seconds() + KNOWN_FOR.total_seconds()
            if not self._about_it:
                raise ProviderFailed
            return self._about_it

    async def _asked(self, client: httpx.AsyncClient) -> Mapping[str, Any]:
        """Ask the provider what it says of itself (OpenID Connect Discovery 4): each address is its own, by https."""
        issuer = self._provider.issuer
        try:
            answer = await client.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            about = dict(answer.raise_for_status().json())
            named = [str(about[each]) for each in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        except _OUTSIDE as error:
            raise ProviderFailed from error
        if about.get("issuer") != issuer or not all(each.startswith("https://") for each in named):
            raise ProviderFailed
        return about

    async def _subject(
        self, client: httpx.AsyncClient, about: Mapping[str, Any], under_way: _UnderWay, code: str
    ) -> str:
        from joserfc import jwt  # noqa: PLC0415 - as in `begin`
        from joserfc.errors import JoseError  # noqa: PLC0415 - the same

        us, secret = self._provider.client_id, self._provider.secret
        asked = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": under_way.address, "client_id": us,
            "code_verifier": under_way.verifier,
        }  # fmt: skip
        # RFC 6749, section 2.3.1: the provider decodes both as a form, so a + that is sent as it is becomes a blank.
        encoded = httpx.BasicAuth(quote_plus(us), quote_plus(secret)) if secret is not None else None
        auth = encoded or httpx.USE_CLIENT_DEFAULT
        given = await client.post(str(about["token_endpoint"]), data=asked, auth=auth)
        token = str(given.raise_for_status().json()["id_token"])
        keys = (await client.get(str(about["jwks_uri"]))).raise_for_status().json()
        registry = jwt.JWTClaimsRegistry(
            now=lambda: int(self._now().timestamp()), leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": self._provider.issuer}, aud={"essential": True, "value": us},
            nonce={"essential": True, "value": under_way.nonce}, sub={"essential": True}, exp={"essential": True},
        )  # fmt: skip
        try:
            claims = jwt.decode(token, _understood(keys), algorithms=list(_ALGORITHMS)).claims
            registry.validate(claims)
        except JoseError as error:
            raise ProviderFailed from error
        if isinstance(claims["aud"], list) and claims.get("azp", us) != us:
            raise ProviderFailed
        return str(claims["sub"])


def _understood(published: Mapping[str, Any]) -> "KeySet":
    """Return the *published* keys that joserfc can read; RFC 7517, section 5, has the others ignored.

    joserfc ignores an unknown type of key by itself, but fails for the whole set because of an unknown curve.

    Raises:
        ProviderFailed: there is none.
    """
    from joserfc.errors import JoseError  # noqa: PLC0415 - as in `begin`
    from joserfc.jwk import JWKRegistry, KeySet  # noqa: PLC0415 - the same

    keys = []
    for each in published["keys"]:
        with suppress(JoseError, ValueError, KeyError, TypeError):
            keys.append(JWKRegistry.import_key(each))
    if not keys:
        raise ProviderFailed
    return KeySet(keys)


def _state(value: str) -> str:
    """Return what the browser carries to the provider and back: a digest, so that an address does not have the cookie."""
    return digest_of(value)
