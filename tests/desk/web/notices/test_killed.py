"""A desk that is killed between a mail and its record sends the same mail again, once, under the same id."""

import asyncio
import json
import os
import signal
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from agencies import town
from desk.given import REF, FakeRegistrar, desk_of
from desk.web.notices.mail_server import mail_server
from desk.web.notices.test_notices import REFERRAL, WALL
from nrmbus.desk.staff.members import NewMember
from nrmbus.desk.web.notices.dispatcher import GATHERED, Notices
from nrmbus.desk.web.notices.settings import MailSettings


async def looked(folder: Path, registrar: FakeRegistrar, smtp: dict[str, Any], *, is_new: bool = False) -> None:
    """Open the ledger in *folder* as a starting desk does, and send what is due; *is_new*: have somebody told first."""
    async with desk_of("vac", folder, registrar=registrar) as here:
        members, now = here.behind.staff.members, WALL
        notices = Notices(here.desk, lambda: members, MailSettings.read(smtp), now=lambda: now)
        if is_new:
            await notices.once()
            await members.add(
                NewMember(name="Ayla", roles=("worker",), email="ayla@agency.example"), "S-1", None, is_example=True
            )
            await here.hear(
                registrar.register(registrar.event("ngo-a", "referral.submitted", REFERRAL, referral=REF), to="vac")
            )
            await notices.once()
        now += GATHERED
        await notices.once()


async def served(folder: Path, registrar: FakeRegistrar, child: int, pipe: int) -> list[EmailMessage]:
    """Let the *child* send, kill it before it hears that its mail was taken, and start anew twice; return the mails."""
    async with mail_server(folder) as (inbox, smtp):
        inbox.before_answer = lambda: os.kill(child, signal.SIGKILL)
        os.write(pipe, json.dumps(smtp).encode())
        os.close(pipe)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert status == signal.SIGKILL
        inbox.before_answer = lambda: None
        for _ in range(2):
            await looked(folder, registrar, smtp)
        return inbox.mails


def test_a_mail_whose_record_was_lost_comes_once_more_and_no_more(tmp_path: Path) -> None:
    """Given SIGKILL after the server has the mail whole, the next start repeats it with the same id, date and words."""
    registrar = FakeRegistrar(town())
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        smtp = json.loads(os.read(told, 4096))
        asyncio.run(looked(tmp_path, registrar, smtp, is_new=True))
        os._exit(0)

    first, again = asyncio.run(served(tmp_path, registrar, child, tell))

    for name in ("Message-ID", "Date", "Subject", "To"):
        assert first[name] == again[name]
    assert first.get_content() == again.get_content()
