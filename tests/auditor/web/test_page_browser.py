"""The auditor's page in a real Chromium: at the widths of a telephone, a tablet and a desk; with and without scripts."""

import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from auditor.web.chromium import BROWSERS, Chromium, chromium
from auditor.web.given import NAME, PASSWORD, Hall

pytestmark = pytest.mark.oracle

WIDTHS = (360, 768, 1280)
LANGUAGES = ("az", "en", "ru")


@dataclass(frozen=True, slots=True)
class Sitting:
    """A browser that is signed in, at the page of a played history."""

    browser: Chromium
    hall: Hall
    base: str

    def go(self, path: str, language: str = "en") -> None:
        """Open *path* in *language*."""
        joint = "&" if "?" in path else "?"
        self.browser.go(f"{self.base}{path}{joint}lang={language}")


@pytest.fixture(name="sitting", scope="module", params=BROWSERS, ids=lambda path: Path(path).name)
def _sitting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sitting]:
    home = tmp_path_factory.mktemp("page")
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()  # or a browser that is quicker than the server is turned away
    with pytest.MonkeyPatch.context() as patch, chromium(request.param, home / "chromium") as browser:
        hall = Hall(home, patch)
        server = uvicorn.Server(uvicorn.Config(hall.app, log_config=None, lifespan="off"))
        serving = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        serving.start()
        sitting = Sitting(browser, hall, f"http://127.0.0.1:{listening.getsockname()[1]}")
        try:
            browser.wide(1280)
            sitting.go("/")
            fields = {"name": NAME, "password": PASSWORD, "purpose": "court"}
            browser.do("".join(f"document.getElementById('{each}').value='{value}';" for each, value in fields.items()))
            browser.leads("document.querySelector('form').requestSubmit()")
            assert browser.do("location.pathname") == "/search", "nobody was let in"
            yield sitting
        finally:
            server.should_exit = True
            serving.join()


@pytest.fixture(autouse=True)
def _quiet(sitting: Sitting) -> Iterator[None]:
    sitting.browser.problems.clear()
    yield
    assert sitting.browser.problems == []


def places(hall: Hall) -> list[str]:
    """Every page there is."""
    return [
        "/search?go=1", f"/cases/{hall.case}", f"/cases/{hall.case}?step=14", hall.event("referral.submitted"),
        hall.event("identification.status_decided"), "/agencies", "/checkpoints",
    ]  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_its_window(sitting: Sitting, width: int) -> None:
    """In any language nothing has to be pushed sideways, and what can be touched is large enough for a finger."""
    sitting.browser.wide(width)
    for language in LANGUAGES:
        for path in places(sitting.hall):
            sitting.go(path, language)
            # Not `innerWidth`: a telephone's grows with what does not fit.
            assert sitting.browser.do("document.documentElement.scrollWidth") <= width, (path, language)
            assert sitting.browser.do("document.documentElement.lang") == language
            small = "[...document.querySelectorAll('main button, main select, main input:not([type=hidden])')].filter(e => e.getBoundingClientRect().height < 34).length"
            assert sitting.browser.do(small) == 0, (path, language)


def test_every_field_has_a_label_and_every_table_its_headers(sitting: Sitting) -> None:
    """The page can be used with a screen reader."""
    for path in ["/search", *places(sitting.hall)]:
        sitting.go(path)
        for lacking in (
            "[...document.querySelectorAll('input:not([type=hidden]), select')].filter(e => !e.labels.length).length",
            "[...document.querySelectorAll('table')].filter(e => !e.querySelector('thead th[scope=col]')).length",
            "[...document.querySelectorAll('tbody tr')].filter(e => !e.querySelector('th[scope=row]')).length",
            "[...document.querySelectorAll('[aria-labelledby]')].filter(e => !document.getElementById(e.getAttribute('aria-labelledby'))).length",
            "document.querySelectorAll('[id]').length - new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size",
            "document.querySelectorAll('h1').length - 1",
        ):
            assert sitting.browser.do(lacking) == 0, (path, lacking)


def test_text_stands_out_from_its_ground(sitting: Sitting) -> None:
    """At least 4.5 to 1, as WCAG 2.2 asks for at level AA, wherever there is text."""
    script = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")
    for path in places(sitting.hall):
        sitting.go(path)
        assert sitting.browser.do(script) >= 4.5, path


def test_the_slider_shows_the_case_as_of_where_it_is_let_go(sitting: Sitting) -> None:
    """While moving, the slider names its registration; when released, the case is shown as of then, without a new question."""
    sitting.go(f"/cases/{sitting.hall.case}")
    before = len(sitting.hall.asked())
    slide = (
        "const slider = document.getElementById('step'); slider.value = 3; slider.dispatchEvent(new Event('input'));"
    )
    sitting.browser.do(f"{{ {slide} }}")
    assert sitting.browser.do("document.getElementById('step-time').textContent").startswith("3 of 66 · 2 March 2026")
    sitting.browser.leads("document.getElementById('step').dispatchEvent(new Event('change'))")

    assert "step=3" in sitting.browser.do("location.search")
    assert sitting.browser.do("document.querySelectorAll('ol.line > li').length") == 3
    assert sitting.browser.do("document.querySelector('.badge').textContent") == "Suspected"
    assert len(sitting.hall.asked()) == before


def test_it_does_so_without_a_script_too(sitting: Sitting) -> None:
    """By its button, and by a day: a plain form."""
    sitting.browser.scripts(on=False)
    try:
        sitting.go(f"/cases/{sitting.hall.case}?step=5")
        assert sitting.browser.do("document.querySelectorAll('ol.line > li').length") == 5
        sitting.browser.leads("document.querySelector('.slider button').click()")
        assert sitting.browser.do("document.querySelectorAll('ol.line > li').length") == 5
        sitting.browser.leads(
            "document.getElementById('as_of').value='2026-03-03'; document.querySelectorAll('.slider button')[1].click()"
        )
        assert sitting.browser.do("document.querySelectorAll('ol.line > li').length") == 28
    finally:
        sitting.browser.scripts(on=True)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_print_has_the_record_and_nothing_else(sitting: Sitting, language: str) -> None:
    """The print is A4 and ends with question, time and asker; it has no menu, form or slider."""
    for path in (f"/cases/{sitting.hall.case}", sitting.hall.event("referral.submitted")):
        sitting.go(path, language)
        printed = sitting.browser.printed()
        assert printed.startswith(b"%PDF-")
        assert re.search(rb"/MediaBox \[0 0 59[45][.0-9]* 84[12]", printed)
        pages = len(re.findall(rb"/Type /Page\b(?!s)", printed))
        assert 1 <= pages <= 9
    hidden = "[...document.querySelectorAll('nav, form, .slider')].filter(e => e.checkVisibility()).length"
    sitting.browser.prints(on=True)
    try:
        assert sitting.browser.do(hidden) == 0
        assert sitting.browser.do("document.querySelector('footer').checkVisibility()")
    finally:
        sitting.browser.prints(on=False)


def test_nothing_is_loaded_from_anywhere_else(sitting: Sitting) -> None:
    """Style and script of the page itself, and no other request."""
    for path in places(sitting.hall):
        sitting.go(path)
        loaded = "performance.getEntriesByType('resource').map(e => new URL(e.name).pathname)"
        assert set(sitting.browser.do(loaded)) <= {"/page.css", "/page.js"}
