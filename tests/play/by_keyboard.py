"""A person without a mouse: a story is played through the pages of the agencies in a real Chromium, by keys alone."""

import asyncio
from typing import Any, Final

from playwright.async_api import Browser, Playwright, async_playwright
from playwright.async_api import Page as Tab

from nrmbus.bus.folder import BusFolder
from nrmbus.play.stage import StageError
from play.by_pages import Form, Page, PagesStage, Person, Typed
from web.browser import SHOWS_FOCUS

MOST_TABS: Final = 600
"""More than any page has elements that the keyboard leads to."""
MOST_CHOICES: Final = 80
PATIENCE_MS: Final = 120_000
_FOCUSED: Final = """number => {
  const each = document.activeElement, form = document.forms[number];
  const fold = each.tagName === "SUMMARY" ? each.parentElement : null;
  return {
    in_form: form.contains(each), tag: each.tagName, kind: each.type || "", name: each.name || "", value: each.value || "",
    checked: each.checked || false, hides: fold && !fold.open ? [...fold.querySelectorAll("[name]")].map(one => one.name) : [],
  };
}"""
"""The element with the focus, as somebody without a mouse needs to know it, and the fields hidden by a fold."""


class KeyboardPerson(Person):
    """Somebody at a browser who types addresses, and presses Tab, arrows, space and Enter, and nothing else."""

    def __init__(self, url: str, name: str, around: list[str], tab: Tab) -> None:
        super().__init__(url, name, around)
        self._url, self._tab = url, tab
        self._shown: Page | None = None
        tab.set_default_timeout(PATIENCE_MS)
        tab.on("request", lambda asked: around.append(asked.url))

    async def close(self) -> None:
        """Close the browser's window."""
        await self._tab.context.close()
        await super().close()

    async def open(self, path: str) -> Page:
        """Type an address."""
        answer = await self._tab.goto(f"{self._url}{path}" if path.startswith("/") else path)
        return await self._read(answer.status if answer else 0)

    async def _read(self, status: int) -> Page:
        self._shown = Page(self._tab.url, status, await self._tab.content())
        return self._shown

    async def send(self, form: Form, typed: Typed, *buttons: tuple[str, str]) -> Page:
        """Go through the page from its beginning, fill in the *typed* fields of *form*, press Enter on the button."""
        self.filled(form, typed, *buttons)  # nobody can choose what is not offered
        assert self._shown is not None
        number = next(n for n, each in enumerate(self._shown.forms) if each is form)
        wanted = {name: list(values) for name, values in typed.items() if name in form.fields}
        pressed = buttons[0] if buttons else None
        for _ in range(MOST_TABS):
            await self._tab.keyboard.press("Tab")
            at = await self._tab.evaluate(_FOCUSED, number)
            if not at["in_form"]:
                continue
            if at["kind"] == "submit":
                if pressed in (None, (at["name"], at["value"])):
                    return await self._entered(at)
            elif not wanted.keys().isdisjoint(at["hides"]):
                await self._seen(at)
                await self._tab.keyboard.press("Enter")
            elif at["name"] in wanted:
                await self._seen(at)
                await self._fill(at, wanted[at["name"]], number)
        raise StageError(f"{form.action}: the keyboard leads to no button {pressed or ''}")

    async def _entered(self, at: dict[str, Any]) -> Page:
        await self._seen(at)
        async with self._tab.expect_navigation() as coming:
            await self._tab.keyboard.press("Enter")
        return await self._read((await coming.value).status)

    async def _seen(self, at: dict[str, Any]) -> None:
        focused = await self._tab.evaluate_handle("document.activeElement")
        assert await focused.evaluate(SHOWS_FOCUS), f"nobody sees that {at['name'] or at['tag']} has the focus"

    async def _fill(self, at: dict[str, Any], values: list[str], number: int) -> None:
        keys = self._tab.keyboard
        if at["kind"] == "checkbox":
            if at["checked"] != (at["value"] in values):
                await keys.press("Space")
        elif at["kind"] == "radio" or at["tag"] == "SELECT":
            if at["kind"] == "radio" and not at["checked"]:
                await keys.press("Space")
            for _ in range(MOST_CHOICES):
                now = await self._tab.evaluate(_FOCUSED, number)
                if [now["value"]] == values:
                    return
                await keys.press("ArrowDown")
            raise StageError(f"the arrows lead to no {values} of {at['name']}")
        elif at["value"] != values[0]:
            await keys.press("ControlOrMeta+a")
            await keys.type(values[0])


class KeyboardStage(PagesStage):
    """A running bus whose agencies' people have no mouse."""

    def __init__(self, folder: BusFolder, program: str) -> None:
        super().__init__(folder)
        self._program = program
        self._playwright: Playwright | None = None
        self._chromium: Browser | None = None
        self._begins = asyncio.Lock()

    async def _at_a_browser(self, url: str, name: str) -> Person:
        async with self._begins:
            if self._chromium is None:
                self._playwright = await async_playwright().start()
                self._chromium = await self._playwright.chromium.launch(
                    executable_path=self._program, args=["--no-sandbox"]
                )
        context = await self._chromium.new_context(locale="en-GB")
        return KeyboardPerson(url, name, self.around, await context.new_page())

    async def _close(self) -> None:
        await super()._close()
        if self._chromium is not None and self._playwright is not None:
            await self._chromium.close()
            await self._playwright.stop()
