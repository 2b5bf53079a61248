"""Take a picture of every page of a running desk, at three widths and in three languages: what people see is looked at, not only tested.

``python .ci/pictures.py ADDRESS NAME PASSWORD FOLDER`` signs in at the desk's ADDRESS and follows every link.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from nrmbus.web.languages import LANGUAGES
from web.browser import CHROMIUM, chromium, kinds, pictures, widths


async def take(address: str, name: str, password: str, folder: Path) -> None:
    """Sign in at *address*, and take the pictures into *folder*."""
    named = pictures(folder)
    for language in LANGUAGES:
        async with chromium(CHROMIUM[0]) as browser:
            page = await browser.new_page()
            await page.goto(f"{address}/app/sign-in?lang={language}")
            await page.fill("input[name=name]", name)
            await page.fill("input[name=password]", password)
            async with page.expect_navigation():
                await page.click("main button[type=submit]")
            async for kind, _ in kinds(page, f"{address}/app/"):
                for width in widths():
                    await page.set_viewport_size({"width": width, "height": 900})
                    await page.screenshot(path=named(kind, width, language), full_page=True)
                print(f"{language} {kind}", flush=True)


if __name__ == "__main__":
    where, who, secret, into = sys.argv[1:]
    Path(into).mkdir(parents=True, exist_ok=True)
    asyncio.run(take(where, who, secret, Path(into)))
