"""Mail of a notice: one subject for everything, a line for each kind, and where to look. Nothing of a case, no name, no agency."""

from collections.abc import Collection
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from typing import Final, Literal, get_args
from zoneinfo import ZoneInfo

from nrmbus.desk.web.beside import ROOT
from nrmbus.desk.web.notices.settings import MailSettings
from nrmbus.web.languages import Language
from nrmbus.web.words import Words

Kind = Literal["overdue", "due_soon", "message", "waits", "asked", "answered"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""Everything that a notice is about, the most urgent first."""
LASTING: Final = frozenset[Kind](("asked", "answered"))
"""Kinds without a duty by the Rules, whose end would show that there is nothing left to say."""
LEAD_HOURS: Final = 4
"""Hours before the due time at which a duty becomes a notice."""


def line_of(t: Words, kind: Kind) -> str:
    """Return the sentence of a notice."""
    match kind:
        case "overdue":
            return t("Something is overdue.")
        case "due_soon":
            return t("Something is due within {hours} hours.", hours=LEAD_HOURS)
        case "message":
            return t("A message without a name waits for you.")
        case "waits" | "asked":
            return t("A referral or a request waits for you.")
        case "answered":
            return t("A referral or a request of your agency was answered.")


def composed(
    settings: MailSettings, to: str, language: Language, kinds: Collection[Kind], *, id: str, at: datetime
) -> EmailMessage:
    """Return the mail *id* to the address *to* in *language*, about *kinds*, written *at*.

    The only host names in it are those of the two addresses, and of the pages if the agency wants a link.
    """
    t = Words(language, ZoneInfo("UTC"))
    lines = dict.fromkeys(line_of(t, kind) for kind in KINDS if kind in kinds)
    where = (
        [t("Your work list:"), f"{settings.pages.rstrip('/').removesuffix(ROOT)}{ROOT}/"]
        if settings.pages
        else [t("Sign in as usual to see your work list.")]
    )
    foot = [t("This mail says no more on purpose. When you get such mails is set on the page of your account.")]
    mail = EmailMessage(policy=SMTP if to.isascii() else SMTPUTF8)
    mail["From"] = settings.sender
    mail["To"] = Address(addr_spec=to)
    mail["Subject"] = t("Something on your work list")
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = f"<{id}@{settings.domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join([*lines, "", *where, "", *foot, ""]), cte="base64")
    mail["Content-Language"] = language
    return mail
