"""Anonymous messages: written, confirmed by a code, answered, and read by nobody else."""

import html
import re
import sqlite3
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from intake.given import KEY, on_disk
from intake.public_page import CANARY, HOTLINE, Fields, Here, code_in, here
from nrmbus.bus.rate_limit import ROTATES, AddressPace, Rate
from nrmbus.bus.wall_clock import wall_now
from nrmbus.intake import codes
from nrmbus.intake.codes import Holder
from nrmbus.intake.messages import MOST_CHARACTERS, Written
from nrmbus.intake.store import IntakeStore, StoreFull
from nrmbus.public import gate
from nrmbus.public.gate import Gate, proves
from nrmbus.public.slips import Slips
from nrmbus.wire.ids import new_event_id
from nrmbus.wire.keys.keys import SealTo


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let codes and proofs cost less, as the tests of each hold their price."""
    monkeypatch.setattr(codes, "MEMORY", 1 << 20)


def read(page: Here, number: int = 1) -> list[Written]:
    """Return what the hotline reads of a thread."""
    thread = page.store.thread(number)
    assert thread is not None
    own = [each for each in thread.messages if each.who is None]
    return [Written.of_parts(HOTLINE.opened(each.letter, {KEY.kid: KEY}, id=each.id, ref=thread.ref)) for each in own]


def answer(page: Here, text: str, number: int = 1) -> None:
    """Have the hotline open a thread and answer it."""
    thread = page.store.thread(number)
    assert thread is not None
    page.store.mark_read(number, wall_now(), last=thread.messages[-1].row)
    id = new_event_id()
    letter = HOTLINE.seal_answer(text, KEY.seal_to, SealTo(thread.public), id=id, ref=thread.ref)
    assert page.store.answer(number, id, "a-17", letter, KEY.kid, last=thread.messages[-1].row, now=wall_now())


async def test_a_person_writes_and_comes_back_for_the_answer(tmp_path: Path) -> None:
    """The whole way: message, code, opened, answer, another message, all under one code."""
    with here(tmp_path) as page:
        written = await page.write(
            danger="no", for_whom="myself", reach="phone", contact="CANARY 09876", safe_times="night"
        )
        code = code_in(written)
        assert written.status_code == 200
        assert read(page) == [Written(CANARY, "en", "myself", "phone", "CANARY 09876", "night")]
        assert "Nobody has opened your message yet" in (await page.come_back(codes.shown(code))).text

        answer(page, "Come <at> ten.\nWe wait.")
        back = await page.come_back(code)
        assert "The hotline has answered" in back.text
        assert html.unescape(back.text).count("Come <at> ten.\nWe wait.") == 1
        assert "Come <at>" not in back.text

        more = await page.send("/en/more", back, text="CANARY I shall come")
        assert "Your message is with us" in more.text
        assert [each.text for each in read(page)] == [CANARY, "CANARY I shall come"]
        assert len(page.store.threads()) == 1


async def test_no_spelling_service_reads_what_a_person_types(tmp_path: Path) -> None:
    """P9: A browser may send what is typed to a spelling service of its maker: each form with a text field asks it not to."""
    with here(tmp_path) as page:
        written = await page.write()
        shown = [
            await page.get("/en/write"),
            await page.get("/en/answer"),
            written,
            await page.come_back(code_in(written)),
        ]
        forms = re.findall(r"<form.*?</form>", "".join(each.text for each in shown), re.DOTALL)
        typed = [each for each in forms if "<textarea" in each or 'type="text"' in each]

        assert len(typed) == 3
        assert all('spellcheck="false"' in each.partition(">")[0] for each in typed)


async def test_a_number_without_a_way_to_reach_her_is_not_thrown_away(tmp_path: Path) -> None:
    """Given a number or times and no way chosen, then nothing is sent, and the page keeps them and asks for the way."""
    typed = {"contact": "CANARY 09876", "safe_times": "after nine"}
    with here(tmp_path) as page:
        for name, text in typed.items():
            asked = await page.write(**{name: text})
            assert (asked.status_code, Fields(asked.text).found[name]) == (422, text)
            assert f'<a href="#{name}">Choose how we can reach you' in asked.text
        assert page.store.threads() == []

        code_in(await page.send("/en/write", await page.write(**typed), reach="phone"))
        code_in(await page.write(**typed, reach="code"))
        assert read(page, 1) == [Written(CANARY, "en", "", "phone", "CANARY 09876", "after nine")]
        assert read(page, 2) == [Written(CANARY, "en", "", "code")]


@pytest.mark.parametrize(
    ("reach", "contact", "sentence"),
    [("phone", "abc", "Is the number right?"), ("email", "nomail", "Is the address right?")],
)
async def test_a_number_or_address_that_reaches_nobody_is_asked_about(
    tmp_path: Path, reach: str, contact: str, sentence: str
) -> None:
    """Given a number without digits or an e-mail address without an @, then nothing is sent, and the page keeps it and asks; another way needs neither."""
    with here(tmp_path) as page:
        asked = await page.write(reach=reach, contact=contact)
        assert (asked.status_code, Fields(asked.text).found["contact"]) == (422, contact)
        assert f'<a href="#contact">{sentence}' in asked.text
        assert page.store.threads() == []

        code_in(await page.write(reach="other", contact=contact))


async def test_a_newer_message_that_nobody_opened_is_not_called_opened(tmp_path: Path) -> None:
    """Given an opened message and a newer one, then the heading is about the newer one, until somebody opens it."""
    with here(tmp_path) as page:
        code = code_in(await page.write())
        page.store.mark_read(1, wall_now(), last=page.store.thread(1).messages[-1].row)  # type: ignore[union-attr]
        back = await page.come_back(code)
        assert "Your message was opened" in back.text
        more = await page.send("/en/more", back, text="CANARY tonight")
        assert "<h1>Nobody has opened your newest message yet</h1>" in more.text
        page.store.mark_read(1, wall_now(), last=page.store.thread(1).messages[-1].row)  # type: ignore[union-attr]
        assert "Your message was opened" in (await page.come_back(code)).text


async def test_what_a_person_wrote_stands_nowhere_in_the_clear(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the file, not in a log, not in an address, not on a later page; nor the code, nor the sender's address."""
    with here(tmp_path, "198.51.100.99") as page:
        code = code_in(await page.write(reach="email", contact="CANARY@example.org"))
        answer(page, "CANARY answer")
        back = await page.come_back(code)

        left = on_disk(tmp_path)
        out = "".join(capfd.readouterr()) + caplog.text
        assert b"CANARY" not in left
        for secret in (code, codes.shown(code), "198.51.100.99"):
            assert secret.encode() not in left
            assert secret not in out
        assert "CANARY" not in out
        assert CANARY not in back.text
        assert code not in back.text
        assert back.headers["cache-control"] == "no-store"
        assert str(back.url) == "https://line.example/en/answer"


async def test_danger_puts_the_number_first(tmp_path: Path) -> None:
    """The message is taken at once, and the number to call stands above the code."""
    with here(tmp_path) as page:
        written = await page.write(danger="yes")

        assert written.text.index("tel:+994000000002") < written.text.index('class="code"')
        assert page.store.threads()[0].danger


async def test_another_language_keeps_what_was_typed_and_does_nothing(tmp_path: Path) -> None:
    """Without a script too: each language is a button of the form, which comes back unjudged; nothing is sent or deleted."""
    with here(tmp_path) as page:
        english = await page.get("/en/write")
        assert 'formaction="/ru/write"' in english.text
        typed = {"text": CANARY, "reach": "phone", "safe_times": "after nine", "danger": "yes"}
        russian = await page.send_unproved("/ru/write", english, **typed, language="ru")
        assert (russian.status_code, 'lang="ru"' in russian.text, page.store.threads()) == (200, True, [])
        assert 'role="alert"' not in russian.text
        kept = Fields(russian.text).found
        assert {name: kept[name] for name in typed} == typed
        assert kept["slip"] == Fields(english.text).found["slip"]  # so that what was waited counts

        receipt = await page.send("/ru/write", russian, contact="12345")
        code = code_in(receipt)
        assert "tel:" in receipt.text

        asked = await page.send_unproved("/az/answer", await page.get("/en/answer"), code=code, language="az")
        assert (asked.status_code, Fields(asked.text).found["code"]) == (200, code)
        thread = await page.send("/az/answer", asked)
        thread = await page.send_unproved("/en/more", thread, text=CANARY, language="en")
        assert (Fields(thread.text).found["text"], 'role="alert"' in thread.text) == (CANARY, False)
        sure = await page.send_unproved("/en/remove", thread)
        sure = await page.send_unproved("/ru/remove", sure, language="ru")
        assert Fields(sure.text).found["sure"] == "yes"
        assert len(page.store.threads()) == 1


@pytest.mark.thorough
async def test_a_code_is_not_lost_by_a_language(tmp_path: Path) -> None:
    """Given the only page with her code, then no language leads away from it, and what to do stands there in every language."""
    with here(tmp_path) as page:
        receipt = await page.write("first")

    header = receipt.text.partition("<header")[2].partition("</header>")[0]
    assert re.findall(r'(?:href|formaction)="([^"]+)"', header) == ["/en/"]
    for sentence in ("Write it on paper now", "Onu indi kağıza yazın", "Запишите его сейчас на бумаге"):  # noqa: RUF001 - Cyrillic it is
        assert receipt.text.count(sentence) == 1


@pytest.mark.thorough
async def test_a_form_sent_twice_is_one_message_under_one_code(tmp_path: Path) -> None:
    """A slow line makes people press twice: the same code is shown; other words are another message of it, which needs a proof or a wait of its own."""
    with here(tmp_path) as page:
        form = await page.get("/en/write")
        first = await page.send("/en/write", form, text="first")
        again = await page.send("/en/write", form, text="first")
        waits = await page.send("/en/write", form, text="second")
        assert (waits.status_code, Fields(waits.text).found["text"]) == (429, "second")
        page.time[0] += gate.WAITS["write"]
        other = await page.send("/en/write", waits)

        assert code_in(first) == code_in(again) == code_in(other)
        assert [each.text for each in read(page)] == ["first", "second"]


@pytest.mark.thorough
async def test_nothing_typed_is_lost_when_a_form_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old page, a missing contact, a full disk, a wait: the words are there again, and what to do."""
    words = {
        "text": f"{CANARY} <b>",
        "danger": "yes",
        "for_whom": "myself",
        "reach": "phone",
        "contact": "",
        "safe_times": "night",
    }
    told = {}
    with here(tmp_path) as page:
        form = await page.get("/en/write")
        told["contact"] = await page.send("/en/write", form, **words)
        words["contact"] = "CANARY 09876"
        told["wait"] = await page.send_unproved("/en/write", form, **words)
        page.time[0] += 5 * 3600
        told["old"] = await page.send("/en/write", form, **words)
        assert page.store.threads() == []
        renewed = await page.send("/en/write", told["old"])
        assert code_in(renewed)

        def full(*_: object, **__: object) -> None:
            raise StoreFull

        monkeypatch.setattr(IntakeStore, "take", full)
        told["full"] = await page.send("/en/write", await page.get("/en/write"), **words)

    assert {name: each.status_code for name, each in told.items()} == {
        "contact": 422,
        "wait": 429,
        "old": 200,
        "full": 503,
    }
    for each in told.values():
        assert f"{CANARY} &lt;b&gt;" in each.text
        assert re.search(r'id="for_whom-myself" value="myself" checked', each.text)
        assert 'value="night"' in each.text
    assert "Please wait 20 seconds" in told["wait"].text
    assert "or call" in told["full"].text


async def test_more_that_is_written_while_the_file_is_held_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a file that cannot be read, the page has the words, says that nothing was sent, and asks for the code."""
    with here(tmp_path) as page:
        code = code_in(await page.write())
        open_ = await page.send("/en/answer", await page.get("/en/answer"), code=code)

        def held(*_: object, **__: object) -> None:
            raise sqlite3.OperationalError

        with monkeypatch.context() as broken:
            broken.setattr(IntakeStore, "found", held)
            failed = await page.send("/en/more", open_, text=f"{CANARY} <b>")
            early = await page.send_unproved("/en/more", open_, text=f"{CANARY} <b>")
            again = await page.send("/en/answer", failed, code=code)

        assert [each.status_code for each in (failed, early, again)] == [503] * 3
        assert all(f"{CANARY} &lt;b&gt;" in each.text for each in (failed, early, again))
        assert "nothing was sent" in failed.text
        assert f'value="{code}"' in again.text
        back = await page.send("/en/answer", again)
        assert f"{CANARY} &lt;b&gt;" in back.text


async def test_a_crowd_costs_nobody_her_code_or_her_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given too many who ask at once, the page has her code still, and the same page is good for another try."""
    with here(tmp_path) as page:
        code = code_in(await page.write())
        with monkeypatch.context() as crowd:
            crowd.setattr("nrmbus.public.site._QUEUE", 0)
            busy = await page.send("/en/answer", await page.get("/en/answer"), code=code)
        assert busy.status_code == 503
        assert "Many people are here" in busy.text
        assert f'value="{code}"' in busy.text
        assert "Nobody has opened" in (await page.send("/en/answer", busy)).text


async def test_a_text_may_be_as_long_as_the_page_says(tmp_path: Path) -> None:
    """In the script that takes the most room; one character more is told, and kept."""
    with here(tmp_path) as page:
        assert code_in(await page.write("ə" * MOST_CHARACTERS))
        long = await page.write("ə" * (MOST_CHARACTERS + 1))
        empty = await page.write("  \n ")

        assert (long.status_code, empty.status_code) == (422, 422)
        assert "ə" * (MOST_CHARACTERS + 1) in long.text
        assert 'href="#text"' in empty.text


async def test_a_line_break_counts_as_one_character(tmp_path: Path) -> None:
    """Given a text in many lines, as a browser sends it, then it may be as long as the page says, and a longer one is told its own length."""
    line = "Help me, please.\r\n"
    text = line * 200 + "x" * (MOST_CHARACTERS - 200 * (len(line) - 1))
    with here(tmp_path) as page:
        written = await page.write(text)
        more = await page.send("/en/more", await page.come_back(code_in(written)), text=text)
        long = [await page.write(text + "x"), await page.send("/en/more", more, text=text + "x\r\n")]

        assert [each.text for each in read(page)] == [text.replace("\r\n", "\n")] * 2
        for each in long:
            assert f"Your text has {MOST_CHARACTERS + 1} characters" in each.text


async def test_without_script_a_form_waits_and_is_then_taken(tmp_path: Path) -> None:
    """A telephone without scripts proves nothing: it has to wait some seconds, and that is all."""
    with here(tmp_path) as page:
        form = await page.get("/en/write")
        early = await page.send_unproved("/en/write", form, text="words")
        page.time[0] += 20
        taken = await page.send_unproved("/en/write", early)

        assert early.status_code == 429
        code = code_in(taken)
        form = await page.get("/en/answer")
        asked = await page.send_unproved("/en/answer", form, code=code)
        assert (asked.status_code, "Please wait 8 seconds, then press Continue" in asked.text) == (429, True)
        assert (
            f'name="code" inputmode="numeric" autocomplete="off" aria-describedby="code-hint" value="{code}"'
            in asked.text
        )
        page.time[0] += 5
        asked = await page.send_unproved("/en/answer", asked)
        assert "Please wait 3 seconds" in asked.text
        page.time[0] += 3
        thread = await page.send_unproved("/en/answer", asked)
        assert "Nobody has opened" in thread.text

        page.time[0] += 12
        more = await page.send_unproved("/en/more", thread, text=" ")
        page.time[0] += 4
        more = await page.send_unproved("/en/more", more, text="more words")
        assert (more.status_code, "Please wait 4 seconds" in more.text) == (200, True), "what was waited before counts"
        page.time[0] += 4
        assert "Your message is with us" in (await page.send_unproved("/en/more", more)).text


@pytest.mark.thorough
async def test_a_flood_from_one_address_is_held_and_others_are_not(tmp_path: Path) -> None:
    """Proofs are not enough to fill the file; the bound is forgotten within the hour, with the key of its digests."""
    with here(tmp_path) as page:
        statuses = [(await page.write(f"{number}")).status_code for number in range(9)]
        site = page.client._transport.app  # type: ignore[attr-defined]
        elsewhere = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=site, client=("192.0.2.8", 1)), base_url="https://line.example"
        )
        other = Here(page.store, tmp_path, elsewhere)

        assert statuses == [200] * 8 + [429]
        assert code_in(await other.write())
        page.time[0] += 3601
        assert (await page.write("later")).status_code == 200


@pytest.mark.thorough
async def test_behind_a_web_server_each_person_is_counted_apart(tmp_path: Path) -> None:
    """The address that a known web server passes on counts; from anybody else the header means nothing."""
    for proxies, last in ((["192.0.2.7"], 200), (["192.0.2.99"], 429)):
        with here(tmp_path / str(last), proxies=proxies) as page:
            statuses = []
            for number in range(9):
                page.client.headers["x-forwarded-for"] = f"198.51.100.{number}"
                statuses.append((await page.write(f"{number}")).status_code)
            assert statuses == [200] * 8 + [last]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("proxy", "peer"),
    [
        ("192.0.2.7", "::ffff:192.0.2.7"),
        ("192.0.2.0/24", "::ffff:192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
    ],
)
async def test_a_web_server_is_known_in_each_form_of_its_address(tmp_path: Path, proxy: str, peer: str) -> None:
    """Given a page that listens on `::`, where a web server's IPv4 address comes within IPv6, then its visitors are counted apart too."""
    with here(tmp_path, peer, proxies=[proxy]) as page:
        statuses = []
        for number in range(9):
            page.client.headers["x-forwarded-for"] = f"198.51.100.{number}"
            statuses.append((await page.write(f"{number}")).status_code)

    assert statuses == [200] * 9


def test_an_address_is_counted_by_a_digest_whose_key_changes() -> None:
    """No address is in memory; IPv6 counts by subscriber, and an IPv4 address within IPv6 by itself."""
    here = AddressPace(Rate(8, 1.0))
    here.took("192.0.2.7", 0.0)
    digests = {each: here._digest(each) for each in ("192.0.2.7", "192.0.2.8", "2001:db8::1", "2001:db8::2",
                                                     "2001:db8:0:1::1", "::ffff:192.0.2.7", None, "x")}  # fmt: skip

    assert digests["192.0.2.7"] == digests["::ffff:192.0.2.7"] != digests["192.0.2.8"]
    assert digests["2001:db8::1"] == digests["2001:db8::2"] != digests["2001:db8:0:1::1"]
    assert digests[None] == digests["x"] == "unknown"
    assert here.wait("192.0.2.7", ROTATES) == 0
    assert here._digest("192.0.2.7") != digests["192.0.2.7"]


def test_a_proof_is_work_and_nothing_else() -> None:
    """Sixteen leading zero bits over slip and number; no other text passes."""
    slip = Slips().seal("write")
    good = next(each for each in range(1 << 24) if proves(slip, str(each)))

    assert good >= 0
    assert gate.BITS == 16
    assert not proves(slip + "x", str(good))
    assert [proves(slip, each, 0) for each in ("", "-1", "1e3", "9" * 21, "٣", " 1")] == [False] * 6
    assert sum(proves(slip, str(each), 8) for each in range(2048)) in range(1, 32)


def test_a_proof_is_taken_for_one_message() -> None:
    """The same words again pass; with others the form waits as one without a proof, until its slip is over, and memory is bounded."""
    time = [0.0]
    slips = Slips(lambda: time[0])
    here = Gate(slips, lambda: time[0])
    sealed = slips.seal("write", b"1")
    good = next(str(each) for each in range(1 << 24) if proves(sealed, str(each)))

    def waits(words: bytes, address: str) -> float:
        slip = slips.open("write", sealed)
        assert slip is not None
        return here.wait("write", slip, sealed, good, address, words)

    assert waits(b"one", "192.0.2.1") == waits(b"one", "192.0.2.2") == 0
    assert waits(b"two", "192.0.2.3") == gate.WAITS["write"]
    time[0] += gate.WAITS["write"]
    passed = [waits(b"%d" % number, f"198.51.100.{number}") == 0 for number in range(gate.WITHOUT_PROOF.at_once + 5)]
    assert passed == [True] * gate.WITHOUT_PROOF.at_once + [False] * 5
    assert waits(b"one", "192.0.2.4") == 0


@pytest.mark.thorough
async def test_a_wrong_code_costs_nothing_and_a_guessed_one_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistyped digit is found before any work; another code shows nothing, and one address has few tries."""
    asked: list[str] = []
    derive = Holder.of_code

    def counted(code: str, salt: bytes) -> Holder:
        asked.append(code)
        return derive(code, salt)

    monkeypatch.setattr(Holder, "of_code", counted)
    with here(tmp_path) as page:
        code = code_in(await page.write())
        asked.clear()
        mistyped = code[:-1] + str((int(code[-1]) + 1) % 10)
        assert "does not fit" in (await page.come_back(mistyped)).text
        assert asked == []

        statuses = [(await page.come_back(codes.new())).status_code for _ in range(13)]
        assert statuses == [404] * 12 + [429]
        assert len(asked) == 12
        assert (await page.come_back(code)).status_code == 429


async def test_one_proof_asks_for_one_code(tmp_path: Path) -> None:
    """A proof that was used once opens no second guess."""
    with here(tmp_path) as page:
        form = await page.get("/en/answer")
        tries = [await page.send("/en/answer", form, code=codes.new()) for _ in range(2)]

        assert [each.status_code for each in tries] == [404, 429]


async def test_words_that_are_kept_are_kept_to_the_end(tmp_path: Path) -> None:
    """Given a text that is too long, when her code is asked for again, then she has it back whole, and its length is judged when she sends it."""
    long = "a" * MOST_CHARACTERS + " CANARY end"
    with here(tmp_path) as page:
        code = code_in(await page.write("first"))
        back = await page.come_back(code)
        page.time[0] += 31 * 60
        late = await page.send("/en/more", back, text=long)
        assert Fields(late.text).found["text"] == long

        again = await page.send("/en/answer", late, code=code)
        told = await page.send("/en/more", again)
        assert f"Your text has {len(long)} characters" in told.text
        assert len(read(page)) == 1


@pytest.mark.thorough
async def test_somebody_who_was_let_in_stays_so_for_half_an_hour(tmp_path: Path) -> None:
    """Afterwards the code is asked for again, and what was typed goes with it."""
    with here(tmp_path) as page:
        code = code_in(await page.write("first"))
        back = await page.come_back(code)
        page.time[0] += 31 * 60
        late = await page.send("/en/more", back, text="CANARY second")
        assert "CANARY second" in late.text
        assert len(read(page)) == 1

        again = await page.send("/en/answer", late, code=code)
        assert "CANARY second" in again.text
        assert "Your message is with us" in (await page.send("/en/more", again)).text
        assert read(page)[1].text == "CANARY second"


async def test_a_person_deletes_everything(tmp_path: Path) -> None:
    """After a question she is sure of; then the code leads nowhere, and the file has nothing left."""
    with here(tmp_path) as page:
        code = code_in(await page.write())
        letter = page.store.thread(1).messages[0].letter  # type: ignore[union-attr]
        sure = await page.send("/en/remove", await page.come_back(code))
        assert len(page.store.threads()) == 1
        gone = await page.send("/en/remove", sure)

        assert "Everything is deleted" in gone.text
        assert page.store.threads() == []
        assert letter[200:1000] not in on_disk(tmp_path)
        assert (await page.come_back(code)).status_code == 404


async def test_the_page_says_since_when_nobody_could_read(tmp_path: Path) -> None:
    """A hotline whose desk is off takes messages, and says so; one that has never named a key takes none."""
    with here(tmp_path / "away") as page:
        page.store.tell(KEY.seal_to, wall_now() - timedelta(hours=2))
        for found in (await page.get("/en/before"), await page.get("/en/write"), await page.write()):
            assert "nobody at the hotline could read" in found.text
        page.store.tell(KEY.seal_to, wall_now())
        assert "nobody at the hotline could read" not in (await page.get("/en/write")).text
        ahead = wall_now() + timedelta(days=3650)
        page.store.tell(KEY.seal_to, ahead)  # by a clock that was ahead, and the desk has been off since
        found = await page.get("/en/write")
        assert "nobody at the hotline could read" in found.text
        assert f"{ahead.year}, " not in found.text
    with here(tmp_path / "never", store=IntakeStore(tmp_path / "never")) as page:
        form = await page.get("/en/write")
        assert "We cannot take a message now" in form.text
        assert "<form" not in form.text


async def test_another_site_sends_nothing(tmp_path: Path) -> None:
    """A form on another site's page would have its visitors write here."""
    with here(tmp_path) as page:
        form = await page.get("/en/write")
        page.client.headers["sec-fetch-site"] = "cross-site"

        assert (await page.send("/en/write", form, text="x")).status_code == 403
        assert page.store.threads() == []


async def test_an_error_shows_and_logs_nothing_of_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever fails, the page says to call, and the log has the kind of error alone."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError(CANARY)

    with here(tmp_path) as page:
        form = await page.get("/en/write")
        monkeypatch.setattr(IntakeStore, "take", broken)
        failed = await page.send("/en/write", form, text=CANARY)

        assert failed.status_code == 500
        assert "or call" in failed.text
        assert "CANARY" not in failed.text + "".join(capfd.readouterr())


def test_slips_are_this_process_s_own() -> None:
    """A slip of another process, another kind, or after its time, is none."""
    time = [0.0]
    slips = Slips(lambda: time[0])
    slip = slips.seal("pass", b"secret")

    assert slips.open("pass", slip).body == b"secret"  # type: ignore[union-attr]
    assert b"secret" not in slip.encode()
    assert [slips.open("write", slip), Slips().open("pass", slip), slips.open("pass", slip[:-4]), slips.open("pass", "")] == [None] * 4  # fmt: skip
    time[0] = 1801
    assert slips.open("pass", slip) is None
