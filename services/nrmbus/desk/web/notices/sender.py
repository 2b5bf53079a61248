"""Hands mails over to the agency's mail server, one after the other on one connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final, Literal

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPTimeoutError,
)

from nrmbus.desk.web.notices.settings import MailSettings

SECONDS: Final = 20.0
"""Time for each answer of the server."""
_FOR_GOOD: Final = 500

State = Literal["sent", "refused", "failed"]
"""Refused: the server knows no such address, and never will. Failed: tried again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a mail, with the server's code if it answered; the server's words may repeat the address, and are left out."""

    state: State
    code: str = ""


class Unreachable(Exception):
    """Raised where the server takes no mail at all now; *code* says why."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Post:
    """Open connection to the mail server."""

    def __init__(self, client: SMTP) -> None:
        """Send over *client*."""
        self._client = client

    async def send(self, mail: EmailMessage) -> Outcome:
        """Hand *mail* over; return what became of it.

        Raises:
            Unreachable: the connection is gone, so other mails need not be tried.
        """
        try:
            await self._client.send_message(mail)
        except SMTPRecipientsRefused as error:
            return _of_recipient(error.recipients[0])
        except SMTPNotSupported:  # letters of other alphabets in the address, and a server that takes none
            return Outcome("refused", "not_supported")
        except SMTPResponseException as error:
            if not self._client.is_connected:
                raise Unreachable(str(error.code)) from None
            return Outcome("failed", str(error.code))
        except (SMTPException, OSError) as error:
            raise Unreachable(_code_of(error)) from None
        return Outcome("sent")


def _of_recipient(refused: SMTPRecipientRefused) -> Outcome:
    return Outcome("refused" if refused.code >= _FOR_GOOD else "failed", str(refused.code))


@asynccontextmanager
async def post(settings: MailSettings) -> AsyncIterator[Post]:
    """Yield a connection to the mail server of *settings*.

    Raises:
        Unreachable: there is none: no answer, a certificate that does not fit, or a password that is wrong or cannot be read.
    """
    try:
        client = SMTP(
            hostname=settings.host, port=settings.port, timeout=SECONDS, username=settings.user, password=settings.password,
            use_tls=settings.tls == "implicit", start_tls=settings.tls == "starttls", tls_context=settings.context,
            local_hostname=settings.domain,  # else the greeting, and so the mail, would have this machine's name
        )  # fmt: skip
        await client.connect()
    except (SMTPException, OSError, UnicodeError) as error:  # no UTF-8 in the password's file, no domain in `host`
        raise Unreachable(_code_of(error)) from None
    try:
        yield Post(client)
    finally:
        with suppress(SMTPException, OSError):
            await client.quit()
        client.close()


def _code_of(error: Exception) -> str:
    if isinstance(error, SMTPAuthenticationError | UnicodeDecodeError):
        return "not_let_in"
    if isinstance(error, SMTPTimeoutError | TimeoutError):
        return "timeout"
    if isinstance(error, SMTPResponseException):
        return str(error.code)
    return "unreachable"
