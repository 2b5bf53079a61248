"""Words of the pages: every message has its translation, with the same values, and a missing one is found."""

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from babel.messages.extract import extract

from contract.tree import ROOT
from nrmbus.rules import load_profile
from nrmbus.rules.handbook.citations import citations
from nrmbus.rules.handbook.default import PROFILE
from nrmbus.rules.handbook.lookup import PHRASES
from nrmbus.rules.handbook.soundness import cited_values
from nrmbus.web import words
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.words import Words, catalogues, language_of

ROOMS: Final = tuple(
    ROOT / "services/nrmbus" / room
    for room in ("web", "desk/web", "auditor/web", "public", "statistics", "coordinator")
)
BAKU: Final = ZoneInfo("Asia/Baku")
_VALUE: Final = re.compile(r"\{(\w+)\}")
_KEYWORDS: Final = {"t": None, "_t": None, "many": (1, 2)}
GIVEN_UP: Final[dict[Language, re.Pattern[str]]] = {
    "az": re.compile(
        r"\b[Şş]in(də|in|i)?\b|[İi]nzibatçı|[Qq]eydiyyatçı|[Yy]önləndir|[Gg]öndəriş|[Xx]üsusi bölmə|yenidən baxış\b|qurumunun masası|[Öö]türülmüş|dentifikasiya qurum|(vacib|məcburi) deyil\)"
    ),
    "ru": re.compile(
        r"\b[Шш]ин[аыеу]\b|[Вв]едомств|[Рр]егистратор|\b[Лл]ицо\b|[Сс]пецподразд|[Зз]афиксир|спис(ок|ке) (дел|работы)\b|\bЛица\b|[Вв]ыписан|[Зз]аселени|сто[ия]т здесь"  # noqa: RUF001 - Cyrillic it is
    ),
}
"""Words that were given up for those of the table in web/README.md."""
_OF_FIGURES: Final = re.compile(r"\b[Hh]idden\b|\b[Gg]izli\b")
"""Words that pages of figures gave up for "suppressed", in English and Azerbaijani; Russian had one word."""
Message = tuple[str | None, str]


def of_python(source: bytes) -> Iterator[Message]:
    """Yield context and key of each message in *source*, Python."""
    for _, message, _, _ in extract("python", BytesIO(source), keywords=_KEYWORDS):
        yield None, message if isinstance(message, str) else message[0]
    for found in re.finditer(r"\bt\(\s*(\"[^\"]+\"|'[^']+')[^()]*?ctx=\"(\w+)\"", source.decode()):
        yield found[2], found[1][1:-1]


def of_template(source: bytes) -> Iterator[Message]:
    """Yield context and key of each message in *source*, a template."""
    for found in re.finditer(r"\bt\(\s*\"([^\"]+)\"([^()]*?ctx=\"(\w+)\")?", source.decode()):
        yield found[3], found[1]
    for found in re.finditer(r"\bt\.many\(\s*\"([^\"]+)\"", source.decode()):
        yield None, found[1]


def messages(rooms: tuple[Path, ...]) -> set[Message]:
    """Return context and key of every message in the code and the templates of *rooms*."""
    found: set[Message] = set()
    for path in (each for room in rooms for each in room.rglob("*") if each.is_file()):
        if path.suffix == ".py":
            found |= set(of_python(path.read_bytes()))
        elif path.suffix == ".j2":
            found |= set(of_template(path.read_bytes()))
    with_context = {key for context, key in found if context}
    return {(context, key) for context, key in found if context or key not in with_context}


def untranslated(wanted: set[Message], language: Language) -> list[str]:
    """Return each of *wanted* that *language* lacks, or says with other values."""
    known: dict[Message, list[str]] = {}
    for catalogue in catalogues(language):
        for message in catalogue:
            key = message.id if isinstance(message.id, str) else message.id[0]
            texts = [message.string] if isinstance(message.string, str) else list(message.string or ())
            known[message.context, key] = [] if message.fuzzy else texts
    wrong = []
    for context, key in sorted(wanted, key=str):
        texts = known.get((context, key), [])
        if not all(texts) or not texts:
            wrong.append(f"{key!r} has no translation")
        elif any(not set(_VALUE.findall(text)) <= set(_VALUE.findall(key)) | {"n", "decider"} for text in texts):
            wrong.append(f"{key!r} is translated with another value")
    return wrong


@pytest.mark.parametrize("name", [".DS_Store", "._codes.po", "codes.mo", "codes.po~"])
def test_what_lies_beside_a_catalogue_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Given a file that Finder, an editor or a translator's program left there, then the pages have their words as before."""
    before = [each.domain for each in catalogues("en")]
    monkeypatch.setattr(words, "LOCALE", shutil.copytree(Path(str(words.LOCALE)), tmp_path / "locale"))
    (tmp_path / "locale" / "en" / name).write_bytes(bytes.fromhex("de120495c999"))

    assert [each.domain for each in catalogues("en")] == before


@pytest.mark.thorough
@pytest.mark.parametrize("language", ["az", "ru"])
def test_every_message_of_the_pages_is_translated(language: Language) -> None:
    """Given all code and templates of the pages, no sentence is shown in another language than the reader's."""
    assert untranslated(messages(ROOMS), language) == []


@pytest.mark.parametrize("language", ["az", "ru"])
def test_every_phrase_about_the_rules_is_translated(language: Language) -> None:
    """The page of a rule or deadline is made of these phrases: a new term, condition or law gets its words in rules.po.

    Laws of other countries' profiles may stay in English.
    """
    wanted: set[Message] = {("rules", phrase) for table in PHRASES for phrase in table.values()}
    bases = (each["basis"] for _, each in cited_values(load_profile(PROFILE).model_dump(mode="json")))
    titles = {cited.title for basis in bases for cited in citations(basis) if cited.title}

    assert len(titles) > 5
    assert untranslated(wanted | {("law", title) for title in titles}, language) == []


def test_a_number_that_is_not_shown_has_one_word() -> None:
    """Given the pages of figures, then such a number is suppressed in each sentence, as in the files that leave the desk."""
    rooms = tuple(each for each in ROOMS if each.name in {"statistics", "coordinator"})
    sentences = [key for _, key in messages(rooms)] + [
        str(each.string)
        for catalogue in catalogues("az")
        for each in catalogue
        if catalogue.domain in {"figures", "coordinator"}
    ]

    assert len(sentences) > 300
    assert [each for each in sentences if _OF_FIGURES.search(each)] == []


@pytest.mark.parametrize("language", GIVEN_UP)
def test_a_concept_has_one_word_in_a_language(language: Language) -> None:
    """Given the table of web/README.md, no sentence of a page has a word that was given up."""
    texts = [
        text
        for catalogue in catalogues(language)
        for message in catalogue
        for text in ([message.string] if isinstance(message.string, str) else message.string or ())
        if message.id
    ]

    assert len(texts) > 1000
    assert [text for text in texts if GIVEN_UP[language].search(text)] == []


def test_a_missing_translation_is_found(tmp_path: Path) -> None:
    """Sabotage: sentences of code and template, with context and with plural, that no catalogue has."""
    (tmp_path / "page.py").write_text(
        'visit.t("Only here")\nvisit.t.many("{n} only", "{n} onlies", 3)\nt("Shut", ctx="verb")\n'
    )
    (tmp_path / "page.html.j2").write_text('{{ t("Here {too}", too=1) }} {{ t.many("{n} there", "{n} theres", 2) }}')

    found = untranslated(messages((tmp_path,)), "az")

    assert found == [
        f"{key!r} has no translation" for key in ("Shut", "Here {too}", "Only here", "{n} only", "{n} there")
    ]


def test_no_message_is_translated_twice() -> None:
    """Each message stands in one catalogue, so that a change of words is made once."""
    for language in LANGUAGES:
        keys = [(message.context, message.id) for each in catalogues(language) for message in each if message.id]
        assert len(keys) == len({str(key) for key in keys})


def test_a_code_without_words_is_shown_with_spaces() -> None:
    """A new code of a later release is readable before somebody has translated it."""
    assert Words("az", BAKU).code("SomeList", "a_new_code") == "A new code"
    assert Words("en", BAKU).code("role", "auditor") == "auditor"  # it has words, which are the code


def test_times_are_those_of_the_country_with_the_month_in_words() -> None:
    """A moment is shown in the profile's zone; lengths have one unit."""
    moment = datetime(2026, 11, 27, 20, 30, tzinfo=UTC)

    assert Words("en", BAKU).moment(moment) == "28 November 2026, 00:30"
    assert Words("az", BAKU).moment(moment, seconds=True) == "28 noyabr 2026, 00:30:00"
    assert Words("ru", BAKU).weekday(moment) == "28 ноября 2026, суббота"
    assert Words("en", BAKU).deadline(moment) == "28 November 2026, 00:30"
    assert Words("en", BAKU).deadline(moment - timedelta(minutes=30)) == "27 November 2026, 24:00"
    assert Words("az", BAKU).day(moment) == "28 noyabr 2026"
    assert Words("ru", BAKU).length(timedelta(hours=-30)) == "1 день"


@pytest.mark.parametrize(
    ("zone", "moment", "shown"),
    [
        ("Asia/Baku", datetime(9999, 12, 31, 23, tzinfo=UTC), ("31 December 9999", "Friday", "23:00")),
        ("America/New_York", datetime(1, 1, 1, 0, 30, tzinfo=UTC), ("1 January 1", "Monday", "00:30")),
    ],
)
def test_a_time_beyond_the_zone_s_calendar_is_shown_in_utc(
    zone: str, moment: datetime, shown: tuple[str, str, str]
) -> None:
    """An event may name the last hour of all, or the first one: its page opens and shows the time."""
    t, (day, weekday, clock) = Words("en", ZoneInfo(zone)), shown

    assert (t.day(moment), t.clock(moment)) == (day, clock)
    assert t.weekday(moment) == f"{day}, {weekday}"
    assert t.moment(moment) == t.deadline(moment) == f"{day}, {clock}"


@pytest.mark.parametrize(
    ("seconds", "length"),
    [(0, "0 sec"), (59, "59 sec"), (3000, "50 min"), (90_061, "1 day 1 hr"), (86_400, "1 day")],
)
def test_a_duration_is_shown_in_its_two_largest_units(seconds: int, length: str) -> None:
    """Nobody counts seconds of a month."""
    assert Words("en", BAKU).duration(seconds) == length


def test_a_refusal_of_the_wire_has_the_sentence_that_all_of_them_share() -> None:
    """A refusal by a rule has a sentence of its own."""
    t = Words("en", BAKU)

    assert t.refusal("wrong_state") == "The case is not in a status from which this may follow."
    assert t.refusal("signature_invalid") == t.refusal(None) == t.code("refusal", "of_the_wire")


def test_a_word_begins_with_the_capital_letter_of_its_language() -> None:
    """Azerbaijani has two letters i, each with its own capital."""
    assert [Words(each, BAKU).capital("ilkin") for each in LANGUAGES] == ["İlkin", "Ilkin", "Ilkin"]


def test_the_reader_s_choice_comes_before_the_browser_s() -> None:
    """The language is the asked one, else the account's, else the browser's first known one, else Azerbaijani."""
    assert language_of("ru", "en", accepted="az") == "ru"
    assert language_of(None, None, accepted="de, en;q=0.4, ru;q=0.9") == "ru"
    assert language_of(None, accepted="ru;q=0, en;q=0.1") == language_of(None, accepted="ru; q=0.000, en") == "en"
    assert language_of(None, accepted="ru;q=0", default="en") == "en"
    assert language_of("xx", None, accepted=None) == "az"
    assert language_of("xx", None, accepted="ro", default="en") == "en"


@pytest.mark.thorough
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_message_names_the_body_of_one_profile(language: Language) -> None:
    """A social service that decides is not called the special unit: frozen descriptions have words with its place; roles and laws keep their names."""
    t = Words(language, BAKU, deciders=("social_services",))
    unit = t.agency_role("special_unit").lower()
    found = [each for name in LANGUAGES for catalogue in catalogues(name) for each in catalogue]
    known = {(each.context, each.id) for each in found if isinstance(each.id, str)}
    said = {
        (context, key): t.placed(t._known.pgettext(context, key) if context else t._known.gettext(key))
        for context, key in known
        if key and context not in ("role", "law")
    }

    assert t.label("How sure the special unit is").count(t.agency_role("social_services")) == 1
    assert [each for each in said.items() if unit in each[1].lower() or "special unit" in each[1].lower()] == []
