"""Languages of the pages. A module of its own: a desk that serves no page, and the light commands, load no catalogue for it."""

from collections.abc import Mapping
from typing import Final, Literal

from nrmbus.events.codes import PaperLanguage

Language = Literal["az", "en", "ru"]
LANGUAGES: Final[Mapping[Language, str]] = {"az": "Azərbaycanca", "en": "English", "ru": "Русский"}
"""Languages with their own names."""
IN_EVENTS: Final[Mapping[str, PaperLanguage]] = {"az": "aze", "en": "eng", "ru": "rus"}
"""Codes of the same languages in events (ISO 639-2/T)."""
