"""A notice as a mail: content-free, one subject, and no machine's name."""

import socket
from datetime import UTC, datetime
from errno import EACCES
from pathlib import Path
from typing import Any

import pytest

from desk.web.notices.mail_server import mail_server
from nrmbus.desk.errors import DeskError
from nrmbus.desk.web.notices.mail import KINDS, composed
from nrmbus.desk.web.notices.sender import Outcome, Unreachable, post
from nrmbus.desk.web.notices.settings import MailSettings
from nrmbus.web.languages import LANGUAGES, Language

AT = datetime(2026, 3, 2, 5, tzinfo=UTC)
GIVEN: dict[str, Any] = {
    "host": "mail.agency.example",
    "from": "notices@agency.example",
    "pages": "https://work.agency.example",
}


def settings(**more: Any) -> MailSettings:
    """Return the settings of an agency, with *more*."""
    return MailSettings.read({**GIVEN, **more})


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_subject_is_the_same_for_everything(language: Language) -> None:
    """Who looks over a shoulder at a list of mails cannot tell an answer from a breach."""
    mails = [composed(settings(), "ayla@agency.example", language, {kind}, id="1", at=AT) for kind in KINDS]

    assert len({mail["Subject"] for mail in mails}) == 1
    assert len({mail.get_content() for mail in mails}) == len(KINDS) - 1  # a question reads like a referral
    assert all(mail["Content-Language"] == language for mail in mails)


def test_a_mail_has_no_name_but_those_of_its_addresses_and_the_link() -> None:
    """Message-ID and date are made here: neither names the machine, and an answer by a machine is not wanted."""
    mail = composed(settings(), "ayla@agency.example", "en", {"overdue", "waits"}, id="0a1b", at=AT)

    assert mail.as_string().splitlines()[:10] == [
        "From: notices@agency.example",
        "To: ayla@agency.example",
        "Subject: Something on your work list",
        "Date: Mon, 02 Mar 2026 05:00:00 +0000",
        "Message-ID: <0a1b@agency.example>",
        "Auto-Submitted: auto-generated",
        'Content-Type: text/plain; charset="utf-8"',
        "Content-Transfer-Encoding: base64",
        "MIME-Version: 1.0",
        "Content-Language: en",
    ]
    assert mail.get_content().splitlines() == [
        "Something is overdue.",
        "A referral or a request waits for you.",
        "",
        "Your work list:",
        "https://work.agency.example/app/",
        "",
        "This mail says no more on purpose. When you get such mails is set on the page of your account.",
    ]
    assert socket.gethostname() not in mail.as_string()


@pytest.mark.parametrize("written", ["https://work.agency.example", "https://work.agency.example/app/"])
def test_the_link_leads_to_the_work_list_with_the_pages_own_path_or_without(written: str) -> None:
    """Given the address of the pages as somebody reads it in the browser, then the link names their path once."""
    mail = composed(settings(pages=written), "ayla@agency.example", "en", {"waits"}, id="1", at=AT)
    assert "https://work.agency.example/app/" in mail.get_content().splitlines()


def test_an_agency_whose_address_is_secret_sends_no_link() -> None:
    """A shelter that does not want to name its machine leaves `pages` out."""
    found = MailSettings.read({key: each for key, each in GIVEN.items() if key != "pages"})

    assert "http" not in composed(found, "ayla@agency.example", "en", {"waits"}, id="1", at=AT).get_content()


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": ""}, {"from": "nobody"}, {"from": "a@b\nBcc: c@d"}, {"port": "587"}, {"port": 0}, {"tls": "maybe"}, {"tls": "none"}, {"tls": []},
        {"user": "desk"}, {"password_file": "/there/is/none", "user": "desk"}, {"ca": "/there/is/none"}, {"pages": "http://work.agency.example"},
        {"pages": "https://a:b@work.agency.example"}, {"pages": "https://work.agency.example/?x=1"}, {"pages": "https://[work"},
        {"to": "somebody"},
    ],
)  # fmt: skip
def test_a_setting_that_cannot_work_or_would_leak_is_refused_at_the_start(wrong: dict[str, Any]) -> None:
    """Mail in the clear to another machine would show who works at the agency; a link in the clear, who signs in."""
    with pytest.raises(DeskError, match="smtp"):
        MailSettings.read({**GIVEN, **wrong})


def test_a_password_in_a_folder_that_is_closed_to_the_desk_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given a password file below root's own folder, when the desk starts, then it names the setting, and not an error of the system."""

    def refuse(path: Path, **_: Any) -> None:
        raise PermissionError(EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)  # root, who may run the tests, can look into every folder
    with pytest.raises(DeskError, match="smtp_unfit"):
        MailSettings.read({**GIVEN, "user": "desk", "password_file": "/etc/nrmbus/smtp"})


async def test_a_mail_is_handed_over_by_tls_under_the_name_of_the_sender(tmp_path: Path) -> None:
    """Given a real server, it gets the mail whole; the greeting has the sender's domain, and no machine's name."""
    async with mail_server(tmp_path) as (inbox, given):
        found = MailSettings.read(given)
        async with post(found) as server:
            assert await server.send(composed(found, "ayla@agency.example", "az", {"waits"}, id="1", at=AT)) == Outcome(
                "sent"
            )

    assert inbox.envelopes == [("notices@agency.example", ["ayla@agency.example"])]
    assert set(inbox.greetings) == {"agency.example"}
    assert "Sizi istiqamətləndirmə və ya sorğu gözləyir." in inbox.mails[0].get_content()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [("550 5.1.1 No such user", Outcome("refused", "550")), ("451 4.3.0 Later", Outcome("failed", "451"))],
)
async def test_an_address_is_refused_for_good_or_for_now(tmp_path: Path, answer: str, outcome: Outcome) -> None:
    """A code of 5xx for the receiver means never; everything else is tried again."""
    async with mail_server(tmp_path, refused={"ayla@agency.example": answer}) as (_, given):
        found = MailSettings.read(given)
        async with post(found) as server:
            assert await server.send(composed(found, "ayla@agency.example", "en", {"waits"}, id="1", at=AT)) == outcome
            assert await server.send(
                composed(found, "murad@agency.example", "en", {"waits"}, id="2", at=AT)
            ) == Outcome("sent")


@pytest.mark.parametrize("wrong", ["password", "letters", "authority", "port", "host"])
async def test_a_server_that_does_not_fit_gets_nothing(tmp_path: Path, wrong: str) -> None:
    """A wrong password or one that is not UTF-8, a certificate of nobody's, a closed port, a host that is no domain: no mail leaves, and a word says why."""
    async with mail_server(tmp_path) as (inbox, given):
        if wrong == "password":
            (tmp_path / "password").write_text("another")
        if wrong == "letters":
            (tmp_path / "password").write_bytes("şifrə".encode("utf-16"))
        if wrong == "authority":
            del given["ca"]
        if wrong == "port":
            given["port"] = 9
        if wrong == "host":
            given["host"] = "mail..agency.example"
        found = MailSettings.read(given)
        with pytest.raises(Unreachable) as raised:
            async with post(found):
                pass

    assert raised.value.code == ("not_let_in" if wrong in ("password", "letters") else "unreachable")
    assert inbox.mails == []
