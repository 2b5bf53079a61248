"""Text as names are compared: people do not write a name the same way twice."""

import unicodedata


def folded(name: str) -> str:
    """Return *name* as it is compared: without capitals, accents, invisible marks and more than one space; Azerbaijani ı and ə are i and e."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    letters = "".join(each for each in plain if not unicodedata.combining(each) and not _is_invisible(each))
    return " ".join(letters.replace("ı", "i").replace("ə", "e").split())


def _is_invisible(letter: str) -> bool:
    """Return whether *letter* is a control or a format character, which people paste and cannot type; a line break is a space."""
    return unicodedata.category(letter).startswith("C") and not letter.isspace()
