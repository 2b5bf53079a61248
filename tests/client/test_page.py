"""Every example of the SDK's page runs against a real desk, as an integrator would copy it."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

from client.given import in_process
from contract.tree import ROOT
from desk.given import TOKEN
from nrmbus.client import new_ref

PAGE = (ROOT / "services" / "nrmbus" / "client" / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


async def printed(program: str, door: Path) -> str:
    """Return what *program* prints with the desk that the file *door* names; it must end with status 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", program, env={**os.environ, "NRMBUS_DOOR": str(door)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    text, _ = await process.communicate()
    assert process.returncode == 0, text.decode()
    return text.decode()


async def test_the_examples_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    """Given a desk that has heard of one person, then the first example publishes, and the second reads the report."""
    publishes, follows = EXAMPLES
    door = tmp_path / "door.json"
    async with in_process(tmp_path) as place:
        door.write_text(json.dumps({"url": place.url, "token": TOKEN}))
        await place.tell(case := new_ref())

        assert re.fullmatch(r"registered as number \d+, case [0-9a-f]{32}\n", await printed(publishes, door))
        assert re.fullmatch(rf"ngo-a {case} emergency 25-34\ngo on from \d+\.[0-9a-f]+\n", await printed(follows, door))
