"""Chromium at the pages of a desk in a test: pages are served over HTTP, looked at, and asked for faults of accessibility."""

import asyncio
import re
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
import uvicorn
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # without types
from playwright.async_api import BrowserContext, Page, PdfMargins, Response, async_playwright
from starlette.types import ASGIApp

from nrmbus.web.languages import LANGUAGES

CHROMIUM: Final = [found for found in map(shutil.which, ("chromium", "google-chrome")) if found][:1]
"""The browser of this machine, if there is one: Debian's ``chromium``."""
WALKED: Final = [pytest.param(each, marks=[] if each == "az" else [pytest.mark.slow]) for each in LANGUAGES]
"""CI walks in Azerbaijani, the longest words and most of the readers; the other languages are for `make test-all`."""
SERIOUS: Final = frozenset({"serious", "critical"})
_RANDOM: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+")
_OF_THE_RULES: Final = (
    (re.compile(r"(?<=/rules/)[a-z_]+\.[a-z_]+$"), "event"),
    (re.compile(r"(?<=/rules/)[A-Z]+-[A-Z\d]+$"), "row"),
    (re.compile(r"(?<=/rules/)[A-Z_]+$"), "state"),
)
"""Names in the Rules, and the word for one: the page of an event is like that of any other, and there are over a hundred."""


SHOWS_FOCUS: Final = """each => {
  const look = () => { const { outline, boxShadow, backgroundColor } = getComputedStyle(each); return [outline, boxShadow, backgroundColor].join(); };
  const focused = look();
  each.blur();
  const blurred = look();
  each.focus();
  return focused !== blurred;
}"""
"""Whether an element looks different while it has the focus."""


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Yield the address at which *app* is served."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def chromium(
    program: str, *, width: int = 1280, script: bool = True, dark: bool = False
) -> AsyncIterator[BrowserContext]:
    """Yield a browser of its own, without a window, *width* pixels wide."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = await browser.new_context(
            viewport={"width": width, "height": 900},
            java_script_enabled=script,
            color_scheme="dark" if dark else "light",
        )
        try:
            yield context
        finally:
            await browser.close()


def kind(path: str) -> str:
    """Return *path* with each reference, id and number left out, and a word for each name in the Rules: what pages of one kind have in common."""
    found = urlsplit(path).path
    for name, word in _OF_THE_RULES:
        found = name.sub(word, found)
    return _RANDOM.sub("…", found)


def _every(_path: str) -> bool:
    return True


async def kinds(
    page: Page, *starts: str, follows: Callable[[str], bool] = _every
) -> AsyncIterator[tuple[str, Response]]:
    """Open one page of every kind that links lead to from *starts*, within their host; yield its kind and the answer.

    Of the links, those are opened whose path *follows* says yes to.
    """
    host, waiting, seen = urlsplit(starts[0]).netloc, [*starts], {*map(kind, starts)}
    while waiting:
        answer = await page.goto(waiting.pop(0))
        assert answer is not None
        seen.add(kind(page.url))
        yield kind(page.url), answer
        links = await page.eval_on_selector_all("a[href]:not([download])", "all => all.map(each => each.href)")
        for link in links:
            whole = urldefrag(urljoin(page.url, link)).url
            is_new = urlsplit(whole).netloc == host and kind(whole) not in seen and "lang=" not in whole
            if is_new and follows(urlsplit(whole).path):
                seen.add(kind(whole))
                waiting.append(whole)


async def faults(page: Page) -> list[str]:
    """Return what axe finds serious on *page*, as rule and element."""
    found = await Axe().run(page)
    return [
        f"{each['id']}: {node['html'][:160]}"
        for each in found.response["violations"]
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]


async def too_wide(page: Page) -> int:
    """Return by how many pixels *page* is wider than its window: nobody should have to scroll sideways."""
    return int(await page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


async def has_head_and_foot(page: Page) -> bool:
    """Return whether *page* on paper has the browser's own head and foot, as the browser adds by default: title, date and address."""
    margin = PdfMargins(top="1cm", right="1cm", bottom="1cm", left="1cm")
    both = [await page.pdf(display_header_footer=each, margin=margin) for each in (True, False)]
    with_them, without = [re.findall(rb"stream\r?\n(.*?)endstream", each, re.DOTALL) for each in both]
    return with_them != without


def watched(page: Page) -> list[str]:
    """Return a list that grows with each error of a script or of the policy, and each request that fails, on *page*."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    return errors


def pictures(folder: Path) -> Callable[[str, int, str], Path]:
    """Return a function that names a picture in *folder* by page, width and language."""

    def named(page: str, width: int, language: str) -> Path:
        return folder / f"{page.strip('/').replace('/', '-') or 'home'}-{language}-{width}.png"

    return named


def widths() -> Iterator[int]:
    """Yield the widths of a phone, a tablet and a desk."""
    yield from (360, 768, 1280)


async def tab_to(page: Page, selector: str) -> None:
    """Press Tab until an element that fits *selector* has the focus, which must be seen."""
    for _ in range(300):
        await page.keyboard.press("Tab")
        focused = await page.evaluate_handle("document.activeElement")
        if await focused.evaluate("(each, wanted) => each.matches(wanted)", selector):
            assert await focused.evaluate(SHOWS_FOCUS), f"nobody sees that {selector} has the focus"
            return
    raise AssertionError(f"the keyboard does not lead to {selector}")
