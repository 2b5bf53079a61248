"""A real Chromium, driven by its DevTools protocol over a pipe: no port, no driver, nothing to download."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from patience import PATIENCE

NAMES: Final = (
    "chromium", "chromium-browser", "google-chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)  # fmt: skip
BROWSERS: Final = [found for name in NAMES if (found := shutil.which(name))][:1]
"""The installed Chromium, such as Debian's package; empty if there is none."""
_WITH_PIPES: Final = """
import os, sys
high = [os.dup(int(each)) for each in sys.argv[1:3]]
while min(high) < 5:
    high = [os.dup(each) for each in high]
os.dup2(high[0], 3)
os.dup2(high[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Starts the browser with the two ends of the protocol as descriptors 3 and 4, where it looks for them."""


class Chromium:
    """One browser with one page. ``problems`` has what it wrote into its console, and what it could not load."""

    def __init__(self, reader: int, writer: int) -> None:
        """Speak by the two ends of a pipe."""
        self._reader, self._writer, self._rest, self._last = reader, writer, b"", 0
        self._session: str | None = None
        self.problems: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            found = os.read(self._reader, 1 << 20)
            assert found, "Chromium has gone"
            self._rest += found
        raw, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        match message.get("method"), message.get("params", {}):
            case "Runtime.exceptionThrown", params:
                self.problems.append(params["exceptionDetails"]["text"])
            case "Log.entryAdded", {"entry": {"level": "error" | "warning" as level, "text": text}}:
                self.problems.append(f"{level}: {text}")
            case "Runtime.consoleAPICalled", params:
                self.problems.append(str(params["args"]))
            case _:
                pass
        return message

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        call = {"id": self._last, "method": method, "params": params}
        if self._session:
            call["sessionId"] = self._session
        os.write(self._writer, json.dumps(call).encode() + b"\0")
        while True:
            message = self._read()
            if message.get("id") == self._last:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    def _another(self) -> None:
        """Wait until another document than the one that was marked is there, whole."""
        until = time.monotonic() + PATIENCE
        while not self.do("window.marked !== true && document.readyState === 'complete'"):
            assert time.monotonic() < until, "the page did not load"
            time.sleep(0.01)

    def wide(self, width: int, height: int = 900) -> None:
        """Have a window of *width* pixels."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def scripts(self, *, on: bool) -> None:
        """Run scripts, or none."""
        self._call("Emulation.setScriptExecutionDisabled", value=not on)

    def prints(self, *, on: bool) -> None:
        """Look as on paper, or as on a screen."""
        self._call("Emulation.setEmulatedMedia", media="print" if on else "")

    def go(self, url: str) -> None:
        """Load *url*."""
        self.do("window.marked = true")
        self._call("Page.navigate", url=url)
        self._another()

    def do(self, script: str) -> Any:
        """What *script* gives."""
        found = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def leads(self, script: str) -> None:
        """Run *script*, which leads to another page, and wait until that is there."""
        self.do("window.marked = true")
        self.do(script)
        self._another()

    def picture(self, path: Path) -> None:
        """Write a picture of the whole page to *path*."""
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        found = self._call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(found["data"]))

    def printed(self) -> bytes:
        """The page as PDF, as it is printed."""
        return base64.b64decode(self._call("Page.printToPDF", preferCSSPageSize=True)["data"])


@contextmanager
def chromium(path: str, home: Path) -> Iterator[Chromium]:
    """The browser at *path* with nothing in it, its profile in the folder *home*, until the end of the block."""
    to_browser, writer = os.pipe()
    reader, from_browser = os.pipe()
    options = [
        "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--hide-scrollbars", f"--user-data-dir={home}",
    ]  # fmt: skip
    browser = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WITH_PIPES, str(to_browser), str(from_browser), path, *options],
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Chromium(reader, writer)
    finally:
        browser.kill()
        browser.wait()
        os.close(reader)
        os.close(writer)
