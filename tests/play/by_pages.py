"""A program that only fills in forms: it plays a story through the pages of the agencies, as their people do, without script.

The program reads each page as a browser does, types into the page's fields, and presses the page's buttons.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urlencode, urljoin
from zoneinfo import ZoneInfo

import httpx

from nrmbus.bus.folder import BusFolder
from nrmbus.client.errors import RequestRefused
from nrmbus.desk.web.acts.form import form_of, typed_of
from nrmbus.events.registry import data_type
from nrmbus.play.bus import VERDICT_SECONDS, BusStage, asked, outcome
from nrmbus.play.stage import Happened, Outcome, StageError, Standing, Words

PASSWORD: Final = "an-invented-password"
ZONE: Final = ZoneInfo("Asia/Baku")
MOST_PAGES: Final = 12
Typed = Mapping[str, tuple[str, ...]]


@dataclass
class Field:
    """Field of a form: kind, value, and the choices that the field offers."""

    kind: str
    values: list[str] = field(default_factory=list)
    choices: list[str] | None = None


@dataclass
class Form:
    """Form of a page: target address, fields and buttons."""

    action: str
    fields: dict[str, Field] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    @property
    def named_buttons(self) -> list[tuple[str, str]]:
        """Return the buttons that say something of their own."""
        return [each for each in self.buttons if each[0]]


class Page(HTMLParser):
    """Content of a page: forms, links and text."""

    def __init__(self, url: str, status: int, text: str) -> None:
        super().__init__()
        self.url, self.status, self.text = url, status, ""
        self.forms: list[Form] = []
        self.links: list[str] = []
        self._select = ""
        self._area = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take up a form, a field, a button or a link."""
        given = {name: value or "" for name, value in attrs}
        name, kind = given.get("name", ""), given.get("type", "text")
        if tag == "a" and given.get("href"):
            self.links.append(urljoin(self.url, given["href"]))
        elif tag == "form":
            self.forms.append(Form(urljoin(self.url, given.get("action", ""))))
        if not self.forms:
            return
        fields = self.forms[-1].fields
        match tag:
            case "input" if kind in {"radio", "checkbox"}:
                found = fields.setdefault(name, Field(kind, choices=[]))
                found.choices = [*(found.choices or []), given.get("value", "on")]
                if "checked" in given:
                    found.values.append(given.get("value", "on"))
            case "input":
                fields[name] = Field(kind, [given.get("value", "")])
            case "textarea":
                fields[name], self._area = Field("textarea", [""]), name
            case "select":
                fields[name], self._select = Field("select", choices=[]), name
            case "option" if self._select:
                fields[self._select].choices = [*(fields[self._select].choices or []), given.get("value", "")]
                if "selected" in given:
                    fields[self._select].values = [given.get("value", "")]
            case "button":
                self.forms[-1].buttons.append((name, given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        """Leave a field."""
        self._area = "" if tag == "textarea" else self._area
        self._select = "" if tag == "select" else self._select

    def handle_data(self, data: str) -> None:
        """Keep the text, and what a long field holds."""
        self.text += data
        if self._area:
            self.forms[-1].fields[self._area].values[0] += data

    def form_to(self, *ends: str) -> Form:
        """Return the form whose address ends with one of *ends*. Raises StageError if the page has none."""
        for form in self.forms:
            if form.action.partition("?")[0].endswith(ends):
                return form
        raise StageError(f"{self.status} {self.url}: no form leads to {' or '.join(ends)}")


def _page_of(answer: httpx.Response) -> Page:
    return Page(str(answer.url), answer.status_code, answer.text)


class NotOfferedError(StageError):
    """A page without the button or the choice that a step needs."""


class Person:
    """Somebody at a browser without script."""

    def __init__(self, url: str, name: str, around: list[str]) -> None:
        self._name = name

        async def note(answer: httpx.Response) -> None:
            around.extend(
                (str(answer.request.url), *map(repr, (*answer.request.headers.items(), *answer.headers.items())))
            )

        self._browser = httpx.AsyncClient(
            base_url=url, follow_redirects=True, headers={"accept": "text/html"}, timeout=60,
            event_hooks={"response": [note]},
        )  # fmt: skip

    async def close(self) -> None:
        """Close the browser."""
        await self._browser.aclose()

    async def see(self, path: str) -> Page:
        """Open *path*; sign in first if the page asks for it."""
        page = await self.open(path)
        for _ in range(3):
            if "/sign-in" not in page.url:
                return page
            page = await self.send(page.form_to("/sign-in"), {"name": (self._name,), "password": (PASSWORD,)})
            if "/sign-in" not in page.url and not page.url.endswith(path):
                page = await self.open(path)
        raise StageError(f"{self._name} cannot sign in")

    async def open(self, path: str) -> Page:
        """Ask for *path*, and return what came."""
        return _page_of(await self._browser.get(path))

    async def send(self, form: Form, typed: Typed, *buttons: tuple[str, str]) -> Page:
        """Type *typed* into the fields of *form* that are there, press the button, and return the next page."""
        pairs = self.filled(form, typed, *buttons)
        answer = await self._browser.post(
            form.action, content=urlencode(pairs), headers={"content-type": "application/x-www-form-urlencoded"}
        )
        return _page_of(answer)

    @staticmethod
    def filled(form: Form, typed: Typed, *buttons: tuple[str, str]) -> list[tuple[str, str]]:
        """Return the fields of *form* with the *typed* values of existing fields, and the pressed *buttons*.

        Raises:
            NotOfferedError: a field does not offer what was typed.
            StageError: the form has no such button.
        """
        pairs: list[tuple[str, str]] = []
        for name, known in form.fields.items():
            values = known.values if name not in typed else list(typed[name])
            if known.choices is not None and (wrong := [each for each in values if each not in known.choices]):
                raise NotOfferedError(f"{form.action}: {name} offers no {wrong[0]}")
            pairs += [(name, value) for value in values]
        if missing := [each for each in buttons if each not in form.buttons]:
            raise StageError(f"{form.action}: there is no button {missing[0]}")
        return [*pairs, *buttons]


class PagesStage(BusStage):
    """A running bus whose agencies' people work in their pages; one person acts for each agency.

    A step that no page offers is asked of the door, as an agency's own system might: the Rules must refuse it.

    A desk gives a new case and a new record references of its own. The story goes on with the references that it made
    up: they are exchanged here, in both directions.
    """

    def __init__(self, folder: BusFolder) -> None:
        super().__init__(folder)
        self.around: list[str] = []
        """Addresses and headers of all that the browsers asked for and got."""
        self._people: dict[str, Person] = {}
        self._real: dict[str, str] = {}

    async def _close(self) -> None:
        for each in self._people.values():
            await each.close()
        await super()._close()

    def _told(self, real: str | None) -> str | None:
        return next((told for told, each in self._real.items() if each == real), real)

    # -- saying ------------------------------------------------------------------------------------------------------

    async def _publish(self, words: Words) -> Outcome:
        person = await self._person(words.by)
        try:
            id = await self._filled_in(person, words)
            found = await self._verdict(words.by, id)
        except NotOfferedError as lack:
            subject, ref = self._real.get(words.subject, words.subject), self._real.get(words.ref or "", words.ref)
            found = await super()._publish(replace(words, subject=subject, ref=ref))
            if found.registered:
                raise StageError(f"the Rules allow what no page offers: {lack}") from None
            return found
        self._sender[id] = words.by
        await self._quiet.wait({words.by})
        await self._learn(words, id)
        return found

    async def _learn(self, words: Words, id: str) -> None:
        """Note which case and which record of the desk stand for the story's case and record."""
        await self._catch_up()
        for subject in self._history.subjects():
            for fact in self._history.facts(subject):
                if fact.event.id == id:
                    self._real.setdefault(words.subject, subject)
                    if words.ref and fact.event.referral:
                        self._real.setdefault(words.ref, fact.event.referral)

    async def _person(self, agency: str) -> Person:
        if agency not in self._people:
            door, name = self._doors[agency], f"Example of {agency}"
            about = {"roles": ["worker", "duty_officer", "supervisor"], "language": "en", "example_password": PASSWORD}
            await door.post("/v1/staff", {"name": name, **about})
            self._people[agency] = await self._at_a_browser(door.url, name)
        return self._people[agency]

    async def _at_a_browser(self, url: str, name: str) -> Person:
        return Person(url, name, self.around)

    async def _filled_in(self, person: Person, words: Words) -> str:
        """Do in pages what *words* say; return the id of the event."""
        request = asked(words)
        if words.to:
            request["data"] = {**request["data"], "to": list(words.to)}
        typed = typed_of(form_of(data_type(words.type, 1)), request, ZONE)
        page = await self._begun(person, words)
        untold = set(typed)
        for _ in range(MOST_PAGES):
            _, _, rest = page.url.partition("?")[0].partition("/app/acts/")
            id, _, step = rest.partition("/")
            if step == "sent":
                return id
            if step == "check":
                if untold:
                    first = f"/app/acts/{id}/what"
                    if urljoin(page.url, first) not in page.links:
                        raise StageError(f"{words.type}: no page asks for {', '.join(sorted(untold))}")
                    page = await person.see(first)
                    continue
                form = page.form_to("/send")
                page = await person.send(form, {}, *form.named_buttons[-1:])
            else:
                form = page.form_to(f"/{step}")
                untold -= form.fields.keys()
                page = await person.send(form, typed, ("go", "on"))
        raise StageError(f"{words.type} ends on no page: {page.status} {page.url}")

    async def _begun(self, person: Person, words: Words) -> Page:
        """Press the button of the step that *words* say."""
        subject, ref = self._real.get(words.subject, words.subject), self._real.get(words.ref or "", words.ref)
        if words.type == "case.signal_recorded":
            page = await person.see("/app/signals/new")
            return await person.send(page.form_to("/signals/alone"), {})
        choose = await person.see(f"/app/cases/{subject}/acts")
        for form in choose.forms:
            about = form.fields["ref"].values[0] if "ref" in form.fields else None
            if form.action.endswith(f"/acts/{words.type}") and (ref is None or about in (None, ref)):
                return await person.send(form, {})
        raise NotOfferedError(f"no button leads to {words.type}: {choose.status} {choose.url}")

    async def _verdict(self, agency: str, id: str) -> Outcome:
        until = time.monotonic() + VERDICT_SECONDS
        while True:
            try:
                answer = await self._doors[agency].event(id)
            except RequestRefused:
                raise NotOfferedError("it waits for a second person") from None
            if answer["verdict"] != "pending" or time.monotonic() > until:
                return outcome(answer)
            await asyncio.sleep(0.05)

    # -- looking -----------------------------------------------------------------------------------------------------

    def history(self, subject: str, *, technical: bool = False) -> tuple[Happened, ...]:
        """Return the registered events of a case, with the references of the story."""
        found = super().history(self._real.get(subject, subject), technical=technical)
        return tuple(replace(each, subject=subject, ref=self._told(each.ref)) for each in found)

    def standing(self, subject: str) -> Standing:
        """Return the standing of a case, with the references of the story."""
        found = super().standing(self._real.get(subject, subject))
        return replace(found, open_referrals=tuple(self._told(each) or "" for each in found.open_referrals))

    def status_at(self, agency: str, subject: str) -> str | None:
        """Return the status that the agency's own desk shows."""
        return super().status_at(agency, self._real.get(subject, subject))

    def inbox(self, agency: str, subject: str | None = None) -> tuple[str, ...]:
        """Return the types that the agency's desk shows as received."""
        return super().inbox(agency, self._real.get(subject, subject) if subject else None)

    def replay(self, subject: str | None = None) -> tuple[str, ...]:
        """Fold the history again, and compare it with what everybody holds."""
        return super().replay(self._real.get(subject, subject) if subject else None)
