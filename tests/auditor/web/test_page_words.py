"""The catalogue of the auditor's pages: whole in three languages, nothing in it that nobody says, and no code without a word."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, get_args, get_type_hints

import pytest
from babel.messages.catalog import Message

from nrmbus.auditor.history.outcomes import VERDICTS
from nrmbus.auditor.reports.why import ClockState, Receipt, WhyCode
from nrmbus.auditor.web import pages
from nrmbus.auditor.web.names import PURPOSES
from nrmbus.directory import SERVICES
from nrmbus.events.access import Access, AccessPurpose
from nrmbus.events.codes import Unreadable
from nrmbus.events.model import PARTS
from nrmbus.events.registry import TYPES
from nrmbus.rules import Status, load_profile
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.words import catalogues
from web.test_words import messages

FOLDER: Final = Path(pages.__file__).parent
PROFILE: Final = load_profile("az@2022-04-29")

FAMILIES: Final = {
    "type": {name for name, _ in TYPES},
    "status": set(get_args(Status)),
    "role": {*PROFILE.expand(("AGENCIES",)), *SERVICES.values()},
    "part": set(PARTS),
    "access": set(get_args(Access)),
    "purpose": set(get_args(AccessPurpose)),
    "clock": set(PROFILE.clocks),
    "state": set(get_args(ClockState)),
    "why": {each for some in get_args(WhyCode) for each in get_args(some)},
    "receipt": set(get_args(get_type_hints(Receipt)["state"])),
    "Unreadable": set(get_args(Unreadable)),
    "refusal": {each.code for each in PROFILE.refusals.values()} | {"of_the_wire"},
    "verdict": set(VERDICTS),
}
"""Families of codes that the pages show."""


def written(language: Language, domain: str) -> Mapping[tuple[str | None, str], Message]:
    """Return the messages of *language* in the catalogue *domain*, by context and key."""
    found = (each for each in catalogues(language) if each.domain == domain)
    return {(each.context, str(each.id)): each for some in found for each in some if each.id}


@pytest.mark.thorough
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_has_its_words(language: Language, family: str) -> None:
    """A new code of a list fails here until somebody has said what it means, in English too."""
    known = {
        message.id
        for catalogue in catalogues(language)
        for message in catalogue
        if message.context == family and message.string
    }
    assert FAMILIES[family] <= known


@pytest.mark.parametrize("language", ["az", "ru"])
def test_pages_and_catalogue_have_the_same_sentences(language: Language) -> None:
    """Every sentence of the catalogue is said by a page."""
    catalogue = written(language, "auditor")
    assert {key for key in catalogue if key[0] not in FAMILIES} <= messages((FOLDER,))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_is_in_its_language_alone(language: Language) -> None:
    """Nothing that markup could begin with, and no letters of another language."""
    for (_, key), message in written(language, "auditor").items():
        text = str(message.string)
        assert text.strip() == text != ""
        assert not set("<>&") & set(text)
        if language == "ru":
            kept = re.sub(r"\{\w+\}|nrmbus|SHA-256|C2SP", "", text)
            assert not re.search("[A-Za-zƏəĞğİıÖöŞşÜüÇç]{4,}", kept), key
        else:
            assert not re.search("[\u0400-\u04ff]", text), key


def test_an_auditor_reads_for_published_purposes_only() -> None:
    """The purposes to choose from are in the list of the event."""
    assert set(PURPOSES) < set(get_args(AccessPurpose))
