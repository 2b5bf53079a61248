"""A real mail server on this machine, which keeps what it gets and answers as a test wants."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "desk", "a-password-of-a-test"
NAME = "mail.example.org"


@dataclass
class Inbox:
    """Handler: accepts, but for the addresses of *refused* and while it *fails*; counts greetings."""

    refused: dict[str, str] = field(default_factory=dict)
    """Address -> answer at RCPT."""
    fails: str | None = None
    """Answer to the content of every mail."""
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    greetings: list[str] = field(default_factory=list)
    before_answer: Callable[[], None] = field(default=lambda: None)
    """Called when a mail is there and its sender waits for the answer."""

    async def handle_EHLO(  # noqa: D102, N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.greetings.append(hostname)
        session.host_name = hostname
        return responses

    async def handle_RCPT(  # noqa: D102, N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: D102, N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        if self.fails:
            return self.fails
        content = envelope.original_content or b""
        self.raw.append(content)
        self.mails.append(message_from_bytes(content, policy=default))
        self.envelopes.append((envelope.mail_from or "", envelope.rcpt_tos))
        self.before_answer()
        return "250 OK"


@asynccontextmanager
async def mail_server(folder: Path, **how: Any) -> AsyncIterator[tuple[Inbox, dict[str, Any]]]:
    """Run a server that wants TLS and a password; yield what it gets, and the setting ``smtp`` for a desk."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "password").write_text(f"{PASSWORD}\n")

    def let_in(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, auth: Any) -> AuthResult:
        fits = isinstance(auth, LoginPassword) and (auth.login, auth.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=fits, handled=fits)

    inbox = Inbox(**how)

    def server() -> SMTP:
        return SMTP(
            inbox, hostname=NAME, tls_context=context, require_starttls=True, authenticator=let_in, auth_required=True
        )

    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    async with listening:
        yield (
            inbox,
            {
                "host": "127.0.0.1", "port": listening.sockets[0].getsockname()[1], "from": "notices@agency.example",
                "user": USER, "password_file": str(folder / "password"), "ca": str(folder / "ca.pem"),
                "pages": "https://work.agency.example:8443",
            },
        )  # fmt: skip
