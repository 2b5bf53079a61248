"""Words of the figures: names of tables, dimensions and codes, from the catalogues of the pages."""

from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale

from nrmbus.events.figures import TOTAL, UNKNOWN, Table
from nrmbus.web.languages import LANGUAGES
from nrmbus.web.words import Words

FAMILIES: Final[Mapping[str, str]] = {
    "sex": "Sex",
    "age_band": "AgeBand",
    "sector": "Sector",
    "detector": "role",
    "role": "role",
    "sender": "role",
    "status": "VictimStatus",
    "reason": "DeclineReason",
    "service": "Service",
    "kind": "PaymentKind",
    "purpose": "GrantPurpose",
    "source": "GrantSource",
    "rule": "clock",
    "measure": "type",
    "step": "type",
}
"""Family of words of each dimension that shares its codes with the events; the others have words of their own."""
_COUNTRIES: Final = frozenset({"citizenship", "country"})


def word_of(t: Words, dimension: str, key: str) -> str:
    """Return the words of *key* of *dimension* in the language of *t*; an agency or a region is its own name."""
    if key == TOTAL:
        return t("Total")
    if key == UNKNOWN:
        return t("Not known")
    if found := t.meaning(FAMILIES.get(dimension, f"figures.{dimension}"), key):
        return t.capital(found)
    return str(Locale(t.language).territories.get(key, key)) if dimension in _COUNTRIES else key


def heading_of(t: Words, dimension: str) -> str:
    """Return the heading of the column of *dimension*."""
    return t.capital(t.code("figures.dimension", dimension))


def title_of(t: Words, table: Table) -> str:
    """Return the title of *table*."""
    return t(table.title)


class InAllLanguages:
    """Names in every language of the pages, as SDMX asks for them."""

    def __init__(self, zone: ZoneInfo) -> None:
        """Use the catalogues of the pages."""
        english_first = sorted(LANGUAGES, key=lambda each: each != "en")
        self._words = {language: Words(language, zone) for language in english_first}

    def table(self, table: Table) -> Mapping[str, str]:
        """Return the name of *table* by language."""
        return {language: title_of(t, table) for language, t in self._words.items()}

    def dimension(self, dimension: str) -> Mapping[str, str]:
        """Return the name of *dimension* by language."""
        return {language: heading_of(t, dimension) for language, t in self._words.items()}

    def code(self, dimension: str, code: str) -> Mapping[str, str]:
        """Return the name of *code* of *dimension* by language."""
        return {language: word_of(t, dimension, code) for language, t in self._words.items()}
