"""A hotline's public page in process, with a person who fills in forms, and a clock that a test moves; or as a process."""

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from intake.given import CANARY, HOTLINE, KEY, opened
from nrmbus.bus.agency_folder import AgencyFolder
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_json
from nrmbus.bus.wall_clock import wall_now
from nrmbus.intake.store import IntakeStore
from nrmbus.public.app import served
from nrmbus.public.gate import Gate
from nrmbus.public.settings import PublicSettings
from nrmbus.public.site import PublicSite
from nrmbus.public.slips import Slips

SETTING: dict[str, Any] = {
    "name": {"az": "Nümunə xətti", "en": "Example Line", "ru": "Линия Пример"},
    "run_by": "ngo",
    "phone": "+994 00 000 00 02",
    "hours": {"az": "Hər gün, 9–21", "en": "Every day, 9–21", "ru": "Ежедневно, 9–21"},
    "exit": "https://weather.example/",
}
SETTINGS = PublicSettings.parse(SETTING, Path("agency.json"))
__all__ = ["CANARY", "HOTLINE", "KEY", "SETTING", "SETTINGS", "AgencyFolder", "Here", "here", "made", "running"]


class Fields(HTMLParser):
    """The fields of the first form with a `slip` or `pass`, as a browser would send them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._area = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a field."""
        of = {name: value or "" for name, value in attrs}
        is_off = of.get("type") == "radio" and "checked" not in of
        if tag == "input" and not is_off:
            self.found.setdefault(of["name"], of.get("value", ""))
        self._area = of["name"] if tag == "textarea" else ""

    def handle_endtag(self, tag: str) -> None:
        """Leave an area."""
        self._area = "" if tag == "textarea" else self._area

    def handle_data(self, data: str) -> None:
        """Take the text of an area."""
        if self._area:
            self.found[self._area] = self.found.get(self._area, "") + data


def proof(slip: str, bits: int = 16) -> str:
    """Return the proof of work that the page's script would find."""
    return next(
        str(each)
        for each in count()
        if int.from_bytes(hashlib.sha256(f"{slip}.{each}".encode()).digest()[:4]) >> (32 - bits) == 0
    )


@dataclass
class Here:
    """The page, the file behind it, and the clock."""

    store: IntakeStore
    home: Path
    client: httpx.AsyncClient
    time: list[float] = field(default_factory=lambda: [1000.0])

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask for a page."""
        return await self.client.get(path, headers=headers)

    async def send(self, path: str, page: httpx.Response, **fields: str) -> httpx.Response:
        """Fill in the form of *page*, and send it to *path* with the proof that the page's script finds."""
        slip = Fields(page.text).found.get("slip")
        return await self.send_unproved(path, page, **fields, **({"proof": proof(slip)} if slip else {}))

    async def send_unproved(self, path: str, page: httpx.Response, **fields: str) -> httpx.Response:
        """Fill in the form of *page*, and send it to *path* as a browser without scripts does."""
        return await self.client.post(path, data=Fields(page.text).found | fields)

    async def write(self, text: str = CANARY, **fields: str) -> httpx.Response:
        """Write a message in English."""
        return await self.send("/en/write", await self.get("/en/write"), text=text, **fields)

    async def come_back(self, code: str, **fields: str) -> httpx.Response:
        """Come back with a code."""
        return await self.send("/en/answer", await self.get("/en/answer"), code=code, **fields)


def code_in(page: httpx.Response) -> str:
    """Return the code on the page after a message."""
    found = re.search(r'<p class="code">(.*?)</p>', page.text)
    assert found is not None, page.text
    return re.sub(r"\D", "", found[1])


@contextmanager
def here(home: Path, address: str = "192.0.2.7", store: IntakeStore | None = None, **settings: Any) -> Iterator[Here]:
    """Yield the page of a hotline whose desk has named its key."""
    kept = store or opened(home)
    time = [1000.0]
    slips = Slips(lambda: time[0])
    chosen = PublicSettings.parse(SETTING | settings, Path("agency.json")) if settings else SETTINGS
    kept.keep(chosen.keep_days)
    site = PublicSite(chosen, kept, HOTLINE, slips=slips, gate=Gate(slips, lambda: time[0]))
    app = served(chosen, kept, HOTLINE, site)
    transport = httpx.ASGITransport(app=app, client=(address, 50000), raise_app_exceptions=True)
    yield Here(kept, home, httpx.AsyncClient(transport=transport, base_url="https://line.example"), time)
    kept.close()


@contextmanager
def running(folder: BusFolder) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield the process of `nrmbus run public hotline`, and its address."""
    command = [
        sys.executable,
        "-c",
        "from nrmbus.cli import main; main()",
        "run",
        "public",
        "hotline",
        "--data",
        str(folder.path),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found is not None
        yield process, found[0]
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def made(home: Path) -> BusFolder:
    """Return the folder of a bus with a hotline, whose desk has named its key."""
    folder = BusFolder(home)
    folder.create()
    write_json(folder.agency("hotline").agency_json, {"agency": "hotline", "role": "hotline", "public": SETTING})
    store = IntakeStore(folder.agency("hotline").path)
    store.tell(KEY.seal_to, wall_now())
    store.close()
    return folder
