"""Sign-in by the agency's own OpenID provider: the member whose subject the administrator entered, and nobody else."""

import base64
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from desk.staff.given import HOST, ORIGIN, Authenticator, holds
from desk.web.staff.given import Office, errors_of, office, text_of
from nrmbus.desk.staff import passkeys
from nrmbus.desk.staff.members import NewMember
from nrmbus.desk.staff.permissions import StaffSettings
from nrmbus.desk.staff.provider import (
    AGAIN,
    ANSWERS,
    BEGINNINGS,
    FROM_ONE,
    KNOWN_FOR,
    ProviderFailed,
    SignInElsewhere,
    TooManyAtOnce,
)

ISSUER = "https://id.example.org"
SECRET = "a secret of the client"


@dataclass
class FakeProvider:
    """An OpenID provider in this process, whose answers a test may spoil."""

    now: Callable[[], int]
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "1"}))
    other_keys: list[dict[str, Any]] = field(default_factory=list)
    secret: str = SECRET
    subject: str = "17"
    asked: dict[str, str] = field(default_factory=dict)
    spoilt: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    signs_with: ECKey | None = None
    is_away: bool = False
    requests: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(request.url.path)
        if self.is_away:
            raise httpx.ConnectError("away")
        match request.url.path:
            case "/.well-known/openid-configuration":
                known = {name: f"{ISSUER}/{name}" for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
                return httpx.Response(200, json={"issuer": ISSUER, **known, **self.about})
            case "/jwks_uri":
                own = KeySet([self.key]).as_dict(private=False)["keys"]
                return httpx.Response(200, json={"keys": [*self.other_keys, *own]})
            case "/token_endpoint":
                return self._token(request)
        return httpx.Response(404)

    def goes_to(self, address: str) -> dict[str, str]:
        """Let the person sign in at the *address* where the browser was led; return what the browser brings back."""
        self.asked = {name: each[0] for name, each in parse_qs(urlsplit(address).query).items()}
        assert address.startswith(f"{ISSUER}/authorization_endpoint?")
        return {"code": "a-code", "state": self.asked["state"]}

    def _token(self, request: httpx.Request) -> httpx.Response:
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # noqa: PLC0415 - the provider's side

        form = {name: each[0] for name, each in parse_qs(request.content.decode()).items()}
        fits = (
            form["code"] == "a-code"
            and create_s256_code_challenge(form["code_verifier"]) == self.asked["code_challenge"]
            and form["redirect_uri"] == self.asked["redirect_uri"]
            and self._knows(request.headers["authorization"])
        )
        if not fits:
            return httpx.Response(400, json={"error": "invalid_grant"})
        claims = {
            "iss": ISSUER, "aud": "nrmbus", "sub": self.subject, "nonce": self.asked["nonce"], "iat": self.now(),
            "exp": self.now() + 300, **self.spoilt,
        }  # fmt: skip
        header = {"alg": "ES256", "kid": "1"}
        token = jwt.encode(header, claims, self.signs_with or self.key)
        return httpx.Response(200, content=json.dumps({"id_token": token, "access_token": "x", "token_type": "Bearer"}))

    def _knows(self, authorization: str) -> bool:
        """Return whether the client is the desk, with its secret, read as RFC 6749, section 2.3.1, says."""
        scheme, _, given = authorization.partition(" ")
        name, _, secret = base64.b64decode(given).decode().partition(":")
        return (scheme, unquote_plus(name), unquote_plus(secret)) == ("Basic", "nrmbus", self.secret)


@asynccontextmanager
async def elsewhere(home: Path, secret: str = SECRET, **more: Any) -> AsyncIterator[tuple[Office, FakeProvider]]:
    """Yield a desk whose people sign in at a provider; Leyla is the provider's 17."""
    (home / "secret").write_text(f"{secret}\n")
    given = {"issuer": ISSUER, "client_id": "nrmbus", "secret_file": str(home / "secret"), **more}
    settings = StaffSettings.read({"provider": given})
    async with office(home, settings=settings) as it:
        provider = FakeProvider(lambda: int(it.clock.time.timestamp()), secret=secret)
        assert settings.provider is not None
        it.staff.elsewhere = SignInElsewhere(
            settings.provider, it.clock.now, httpx.MockTransport(provider), lambda: it.clock.now().timestamp()
        )
        await it.staff.add(NewMember(name="Leyla Example", roles=("worker",), subject="17"), "door.json")
        yield it, provider


async def administers(it: Office) -> None:
    """Let an administrator have a session at the browser."""
    who = await it.example("Aysel Example", "administrator")
    it.browser.cookies.set("nrmbus-ngo-a", await it.staff.sessions.begin(who.number, "passkey"))


def comes_from(it: Office, address: str) -> None:
    """Let the browser ask from *address* from now on."""
    it.browser._transport.client = address, 1  # type: ignore[attr-defined]


async def test_the_provider_signs_a_member_in(tmp_path: Path) -> None:
    """Code, PKCE, nonce and state fit; the address that the browser carries has neither cookie nor secret."""
    async with elsewhere(tmp_path) as (it, provider):
        assert "Sign in with your agency" in (await it.get("/sign-in")).text
        led = (await it.get("/sign-in/provider")).headers["location"]
        back = provider.goes_to(led)
        assert provider.asked["scope"] == "openid"
        assert it.browser.cookies["nrmbus-ngo-a-provider"] not in led
        answer = await it.browser.get("/app/sign-in/provider/back", params=back)
        assert answer.headers["location"] == "/app/"
        (session,) = it.staff.sessions.everybodys()
        assert (it.staff.members.name_of(session.member), session.how) == ("Leyla Example", "provider")
        again = await it.browser.get("/app/sign-in/provider/back", params=back)
        assert again.status_code == 422, "an answer is good once"


async def test_a_secret_may_have_any_character(tmp_path: Path) -> None:
    """Given a secret with signs that a form encodes, as base64 has them, when a member comes back, then the provider knows the desk by it."""
    async with elsewhere(tmp_path, secret="a+b%2Fc/d= ё") as (it, provider):
        back = provider.goes_to((await it.get("/sign-in/provider")).headers["location"])

        answer = await it.browser.get("/app/sign-in/provider/back", params=back)

        assert answer.headers.get("location") == "/app/"


UNKNOWN: dict[str, dict[str, Any]] = {
    "curve": {"kty": "EC", "crv": "brainpoolP256r1", "kid": "2", "x": "AAAA", "y": "AAAA"},
    "type": {"kty": "AKP", "alg": "ML-DSA-65", "kid": "2", "pub": "AAAA"},
    "no type": {"kid": "2"},
    "broken": {"kty": "RSA", "kid": "2", "n": 7, "e": "AQAB"},
}


@pytest.mark.parametrize("unknown", UNKNOWN)
async def test_a_key_of_the_provider_that_nobody_here_can_read_is_passed_over(tmp_path: Path, unknown: str) -> None:
    """Given a provider that publishes one more key, of a kind unknown here, then a token signed with the known key signs the member in."""
    async with elsewhere(tmp_path) as (it, provider):
        provider.other_keys = [UNKNOWN[unknown]]
        back = provider.goes_to((await it.get("/sign-in/provider")).headers["location"])

        answer = await it.browser.get("/app/sign-in/provider/back", params=back)

        assert answer.headers.get("location") == "/app/"


async def test_the_providers_sign_in_leads_to_the_page_that_was_wanted(tmp_path: Path) -> None:
    """Given an address that asked for a sign-in, the member comes there; another site's address leads to the first page."""
    async with elsewhere(tmp_path) as (it, provider):
        for wanted, page in (("/acts", "/app/acts"), ("//elsewhere.example", "/app/")):
            first = (await it.browser.get("/app/sign-in", params={"back": wanted})).text
            link = re.search(r'id="provider" href="([^"]+)"', first)
            assert link is not None
            back = provider.goes_to((await it.browser.get(unescape(link[1]))).headers["location"])
            answer = await it.browser.get("/app/sign-in/provider/back", params=back)
            assert answer.headers["location"] == page
            it.browser.cookies.clear()


async def test_somebody_whom_nobody_entered_is_told_whom_to_ask(tmp_path: Path) -> None:
    """A colleague of the agency who does not work here, and a member who has left."""
    async with elsewhere(tmp_path) as (it, provider):
        provider.subject = "18"
        back = provider.goes_to((await it.get("/sign-in/provider")).headers["location"])
        answer = await it.browser.get("/app/sign-in/provider/back", params=back)
        assert errors_of(answer) == ["Your agency's account belongs to nobody here. Ask your agency's administrator."]
        await it.staff.members.remove(it.staff.members.everybody()[0].number, "door.json")
        provider.subject = "17"
        back = provider.goes_to((await it.get("/sign-in/provider")).headers["location"])
        assert (await it.browser.get("/app/sign-in/provider/back", params=back)).status_code == 422
        assert it.staff.sessions.everybodys() == []


@pytest.mark.thorough
@pytest.mark.parametrize(
    "spoil",
    [
        {"spoilt": {"iss": "https://evil.example"}}, {"spoilt": {"aud": "another"}}, {"spoilt": {"nonce": "another"}},
        {"spoilt": {"exp": 1}}, {"spoilt": {"aud": ["nrmbus", "other"], "azp": "other"}}, {"signs_with": ECKey.generate_key("P-256")},
        {"about": {"issuer": "https://evil.example"}}, {"about": {"token_endpoint": "http://id.example.org/token_endpoint"}},
        {"is_away": True},
    ],
    ids=["issuer", "audience", "nonce", "over", "party", "key", "other-provider", "plain-http", "away"],
)  # fmt: skip
async def test_an_answer_that_cannot_be_believed_signs_nobody_in(tmp_path: Path, spoil: dict[str, Any]) -> None:
    """A token for somebody else, from somebody else, of yesterday, or with another key."""
    async with elsewhere(tmp_path) as (it, provider):
        back = provider.goes_to((await it.get("/sign-in/provider")).headers["location"])
        for name, value in spoil.items():
            setattr(provider, name, value)
        it.later(minutes=6)  # what the provider says of itself is asked again
        answer = await it.browser.get("/app/sign-in/provider/back", params=back)
        said = "The agency's own sign-in did not answer, or its answer did not fit. Try again."
        assert (answer.status_code, errors_of(answer)) == (422, [said])
        assert it.staff.sessions.everybodys() == []


@pytest.mark.parametrize("member", ["token_endpoint", "jwks_uri"])
async def test_an_address_of_the_provider_that_is_none_is_no_fault_of_the_desk(tmp_path: Path, member: str) -> None:
    """Given a provider that names an address with a slip, then the member is told that the sign-in failed, as for every other answer."""
    async with elsewhere(tmp_path) as (it, provider):
        provider.about[member] = "https://id.example.org:port/there"
        back = provider.goes_to((await it.get("/sign-in/provider")).headers["location"])

        answer = await it.browser.get("/app/sign-in/provider/back", params=back)

        assert answer.status_code == 422
        assert list(it.staff.sessions.everybodys()) == []


async def test_an_answer_counts_only_in_the_browser_that_asked(tmp_path: Path) -> None:
    """Nobody signs a colleague in to an account of theirs by a link; an answer that comes late is refused."""
    async with elsewhere(tmp_path) as (it, provider):
        back = provider.goes_to((await it.get("/sign-in/provider")).headers["location"])
        own = it.browser.cookies["nrmbus-ngo-a-provider"]
        it.browser.cookies.clear()
        assert (await it.browser.get("/app/sign-in/provider/back", params=back)).status_code == 422
        it.browser.cookies.set("nrmbus-ngo-a-provider", own)
        assert (await it.browser.get("/app/sign-in/provider/back", params={"code": "a-code"})).status_code == 422
        it.later(minutes=11)
        assert (await it.browser.get("/app/sign-in/provider/back", params=back)).status_code == 422


@pytest.mark.usefixtures("cheap_passwords")
async def test_an_agency_may_have_its_own_sign_in_alone(tmp_path: Path) -> None:
    """Then no password opens anything; without a provider there is no such page."""
    async with elsewhere(tmp_path, only=True) as (it, _):
        assert 'name="password"' not in (await it.get("/sign-in")).text
        await it.example("Aysel Example", "worker")
        assert (await it.send("/sign-in", name="Aysel Example", password="open sesame")).status_code == 422
    async with office(tmp_path / "other") as it:
        assert (await it.get("/sign-in/provider")).status_code == 404
        assert (await it.get("/sign-in/provider/back")).status_code == 404


@pytest.mark.parametrize("only", [True, False], ids=["alone", "beside passwords"])
@pytest.mark.usefixtures("cheap_passwords")
async def test_a_reset_of_the_providers_member_gives_no_password(tmp_path: Path, *, only: bool) -> None:
    """Given a member whom the provider signs in, after a reset the member signs in there and sets up a passkey that works."""
    async with elsewhere(tmp_path, only=only) as (it, _):
        leyla, phone = it.staff.members.everybody()[0], Authenticator()
        await administers(it)
        asked = text_of(await it.get(f"/staff/{leyla.number}/reset"))
        answer = text_of(await it.send(f"/staff/{leyla.number}/reset"))
        assert "one-time password" not in asked + answer
        assert "Leyla Example signs in with the agency's account." in answer
        assert (await it.staff.reset(leyla.number, "door.json"))[1] is None

        member, staff = it.staff.members.there(leyla.number), it.staff
        assert (member.standing, staff.members.secrets_of(member.number).password) == ("active", None)
        assert await staff.with_subject("17")
        options = passkeys.options_to_add(member, (), HOST, staff.challenges.new(member.number))
        assert await staff.add_passkey(member, phone.added(options), HOST, ORIGIN, holds)
        asked = passkeys.options_to_use(HOST, staff.challenges.new(passkeys.SIGN_IN))
        assert await staff.with_passkey(phone.used(asked), HOST, ORIGIN)


@pytest.mark.usefixtures("cheap_passwords")
async def test_a_reset_gives_no_password_that_would_open_nothing(tmp_path: Path) -> None:
    """Given a member of before the provider alone signs in, when the sign-in is reset, then no password is handed over, and the page says what to do."""
    async with elsewhere(tmp_path, only=True) as (it, _):
        await administers(it)
        rena = await it.example("Rena Example", "worker")
        asked = text_of(await it.get(f"/staff/{rena.number}/reset"))
        answer = text_of(await it.send(f"/staff/{rena.number}/reset"))

        assert "one-time password" not in asked + answer
        assert "signs in with the agency's account." not in answer
        for page in (asked, answer):
            assert "remove the member, and add the member again with the subject" in page
        assert it.staff.members.secrets_of(rena.number).password is None
        assert not it.staff.sessions.of(rena.number)


@pytest.mark.usefixtures("cheap_passwords")
async def test_nobody_is_added_whom_the_only_provider_would_not_know(tmp_path: Path) -> None:
    """Given an agency whose provider alone signs in, then page and door refuse a member without a subject."""
    async with elsewhere(tmp_path, only=True) as (it, _):
        await administers(it)
        new = {"name": "Rena Example", "roles": "worker", "language": "en"}
        answer = await it.send("/staff/add", **new)
        asked = await it.here.door.post("/v1/staff", json=new | {"roles": ["worker"]})

        assert errors_of(answer) == ["Enter the subject: members sign in with the agency's account alone."]
        assert "(optional)" not in answer.text.partition('id="subject"')[0].rpartition("<label")[2]
        assert (asked.status_code, asked.json()["problems"]) == (422, [{"pointer": "/subject", "kind": "missing"}])
        assert (await it.send("/staff/add", **new, subject="18")).status_code == 200


@pytest.mark.thorough
async def test_a_stranger_makes_the_desk_ask_the_provider_little(tmp_path: Path) -> None:
    """Who it is, is asked once in minutes, and seldom while it is away; answers are taken to it at a bounded rate."""
    async with elsewhere(tmp_path) as (it, provider):
        provider.is_away = True
        away = [(await it.get("/sign-in/provider")).status_code for _ in range(5)]
        assert (set(away), len(provider.requests)) == ({503}, 1)
        provider.is_away = False
        it.later(seconds=10)
        states = [provider.goes_to((await it.get("/sign-in/provider")).headers["location"]) for _ in range(5)]
        assert len(provider.requests) == 2
        for _ in range(5):  # each state is good once, and only in the browser that asked
            await it.browser.get("/app/sign-in/provider/back", params=states[-1] | {"code": "guessed"})
        assert provider.requests[2:] == ["/token_endpoint"]
        for number in range(2 * ANSWERS.at_once + 20):
            comes_from(it, f"198.51.100.{number}")
            back = provider.goes_to((await it.get("/sign-in/provider")).headers["location"])
            await it.browser.get("/app/sign-in/provider/back", params=back | {"code": "guessed"})
        assert provider.requests.count("/token_endpoint") == 2 * ANSWERS.at_once
        it.later(seconds=5)
        back = provider.goes_to((await it.get("/sign-in/provider")).headers["location"])
        assert (await it.browser.get("/app/sign-in/provider/back", params=back)).headers["location"] == "/app/"


async def test_a_clock_that_is_set_back_keeps_nobody_from_the_providers_sign_in(tmp_path: Path) -> None:
    """Given a desk that started with its clock ahead, or whose provider failed meanwhile, then the provider is asked as before."""
    async with elsewhere(tmp_path) as (it, provider):
        known, seconds = it.staff.settings.provider, 0.0
        assert known is not None
        staff = SignInElsewhere(known, it.clock.now, httpx.MockTransport(provider), lambda: seconds)
        it.later(hours=-4)
        assert await staff.begin("https://desk.example/back", "/", "192.0.2.8")

        provider.is_away = True
        seconds = KNOWN_FOR.total_seconds()
        with pytest.raises(ProviderFailed):
            await staff.begin("https://desk.example/back", "/", "192.0.2.8")
        it.later(hours=-4)
        provider.is_away = False
        seconds += AGAIN.total_seconds()
        assert await staff.begin("https://desk.example/back", "/", "192.0.2.8")
        assert len(provider.requests) == 3


async def test_a_stranger_keeps_nobody_from_the_providers_sign_in(tmp_path: Path) -> None:
    """From one address few sign-ins are begun, and few answers taken; a colleague elsewhere signs in meanwhile."""
    async with elsewhere(tmp_path) as (it, provider):
        begun = []
        for number in range(ANSWERS.at_once):
            comes_from(it, "192.0.2.7" if number < FROM_ONE.at_once + 5 else f"198.51.100.{number}")
            answer = await it.get("/sign-in/provider")
            begun.append(answer.status_code)
            assert (answer.status_code == 429) == ("Too many people sign in at this moment." in answer.text)
            if answer.status_code == 303:  # all answers come from the stranger, wherever they were begun
                comes_from(it, "192.0.2.7")
                back = provider.goes_to(answer.headers["location"])
                taken = await it.browser.get("/app/sign-in/provider/back", params=back | {"code": "guessed"})
                is_one_too_many = number >= FROM_ONE.at_once
                assert taken.status_code == (429 if is_one_too_many else 422)
                assert ("Too many people sign in at this moment." in taken.text) == is_one_too_many
        assert begun == [303] * FROM_ONE.at_once + [429] * 5 + [303] * (ANSWERS.at_once - FROM_ONE.at_once - 5)
        assert provider.requests.count("/token_endpoint") == FROM_ONE.at_once

        comes_from(it, "192.0.2.8")
        back = provider.goes_to((await it.get("/sign-in/provider")).headers["location"])
        assert (await it.browser.get("/app/sign-in/provider/back", params=back)).headers["location"] == "/app/"


async def test_strangers_at_several_addresses_keep_nobody_from_signing_in(tmp_path: Path) -> None:
    """Given sixteen addresses that begin and bring back all that they may, again a minute later, then a colleague signs in."""
    async with elsewhere(tmp_path) as (it, provider):
        staff = it.staff.elsewhere
        assert staff is not None
        for _ in range(2):
            refused = 0
            for number in range(16 * FROM_ONE.at_once):
                try:
                    value, there = await staff.begin("https://desk.example/back", "/", f"198.51.100.{number % 16}")
                    await staff.subject(value, provider.goes_to(there)["state"], "guessed", f"198.51.100.{number % 16}")
                except TooManyAtOnce:
                    refused += 1
                except ProviderFailed:
                    pass
            assert refused > 0, "they have used up what there is beyond their shares"
            comes_from(it, "192.0.2.8")
            back = provider.goes_to((await it.get("/sign-in/provider")).headers["location"])
            answer = await it.browser.get("/app/sign-in/provider/back", params=back)
            assert answer.headers["location"] == "/app/"
            it.later(minutes=1)


async def test_a_crowd_of_addresses_pushes_out_no_sign_in_that_is_under_way(tmp_path: Path) -> None:
    """Given strangers at many addresses who begin all the time, then memory has a bound, and a colleague's sign-in ends well."""
    async with elsewhere(tmp_path) as (it, provider):
        staff = it.staff.elsewhere
        assert staff is not None
        value, there = await staff.begin("https://desk.example/back", "/", "192.0.2.8")
        back = provider.goes_to(there)
        refused = 0
        for number in range(1_000):
            try:
                await staff.begin("https://desk.example/back", "/", f"10.0.{number // 256}.{number % 256}")
            except ProviderFailed:
                refused += 1
        assert refused == 1_001 - 2 * BEGINNINGS.at_once
        assert await staff.subject(value, back["state"], back["code"], "192.0.2.8") == ("17", "/")
