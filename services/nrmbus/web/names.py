"""Names of languages, countries and regions: the code that somebody means by a name, and the name of a code.

Names are in the three languages of the pages: of languages and countries as babel has them, of languages that babel lacks in
``languages.po``, of regions in ``regions.po``.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final, Literal

from babel import Locale
from babel.core import get_global

from nrmbus.web.folding import folded
from nrmbus.web.languages import LANGUAGES
from nrmbus.web.words import Words
from nrmbus.zone import zone_of

Kind = Literal["language", "country", "region"]
"""Codes of ISO 639-2/T, of ISO 3166-1 alpha-2, and of ISO 3166-2."""

SPOKEN: Final = (
    "aze", "rus", "eng", "tur", "kat", "hye", "fas", "kur", "ara", "uzb", "tuk", "kaz", "kir", "tgk", "ukr", "bel", "ron", "bul",
    "hin", "urd", "ben", "nep", "sin", "tam", "vie", "zho", "tha", "tgl", "ind", "fra", "spa", "por", "deu", "amh", "som", "swa",
    "sgn",
)  # fmt: skip
"""Languages that a page proposes; others can be typed."""
REGIONS: Final[Mapping[str, tuple[str, ...]]] = {
    country: tuple(f"{country}-{each}" for each in regions.split())
    for country, regions in {
        "AZ": "ABS AGA AGC AGM AGS AGU AST BA BAB BAL BAR BEY BIL CAB CAL CUL DAS FUZ GA GAD GOR GOY GYG HAC IMI ISM KAL KAN KUR"
        " LA LAC LAN LER MAS MI NA NEF NV NX OGU ORD QAB QAX QAZ QBA QBI QOB QUS SA SAB SAD SAH SAK SAL SAR SAT SBN SIY SKR SM"
        " SMI SMX SR SUS TAR TOV UCA XA XAC XCI XIZ XVD YAR YE YEV ZAN ZAQ ZAR",
        "MD": "AN BA BD BR BS CA CL CM CR CS CT CU DO DR DU ED FA FL GA GL HI IA LE NI OC OR RE RI SD SI SN SO ST SV TA TE UN",
    }.items()
}
"""Regions of the countries that have a profile; of other countries every code of the form is taken."""

_NO_COUNTRIES: Final = frozenset({"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"})
"""Territories of babel that are no country of ISO 3166-1."""
_EXAMPLE: Final = re.compile("X[A-Z]")
"""Countries of examples."""
_OTHER_CODES: Final = (
    "alb", "arm", "baq", "bur", "chi", "cze", "dut", "fre", "geo", "ger", "gre", "ice", "mac", "mao", "may",
    "per", "rum", "slo", "tib", "wel", "scc", "scr", "mol", "adp", "als", "arb", "ayr", "azj", "cls", "cmn",
    "cwd", "drh", "ekk", "esk", "fuc", "gaz", "gug", "ike", "khk", "kmr", "knc", "kng", "kpv", "lvs", "npi",
    "ojg", "ory", "pbu", "pes", "plt", "prp", "quz", "src", "swh", "twi", "uzn", "ydd", "zsm", "zyb", "fil",
)  # fmt: skip
"""Codes that babel reads as a language that has another code in ISO 639-2/T, or that pages propose by another one."""

_GROUPS: Final = (
    "afa", "alg", "apa", "art", "ath", "aus", "bad", "bai", "bat", "ber", "bnt", "btk", "cai", "cau", "cel", "cmc", "cpe", "cpf", "cpp", "crp",
    "cus", "day", "dra", "fiu", "gem", "him", "ijo", "inc", "ine", "ira", "iro", "kar", "khi", "kro", "map", "mkh", "mno", "mun", "myn", "nah",
    "nai", "nic", "nub", "oto", "paa", "phi", "pra", "roa", "sai", "sal", "sem", "sgn", "sio", "sit", "sla", "smi", "son", "ssa", "tai", "tup",
    "tut", "wak", "wen", "ypk", "znd",
)  # fmt: skip
"""Codes of ISO 639-2 that babel lacks, all of groups of languages: sign languages have no other code there."""


def code_of(kind: Kind, typed: str) -> str:
    """Return the code that *typed* is, in any case of letters, or is a name of; *typed* itself if it is none, or of several."""
    code = typed.lower() if kind == "language" else typed.upper()
    return code if is_known(kind, code) else _meant(kind).get(folded(typed), typed)


def is_known(kind: Kind, code: str) -> bool:
    """Return whether *code* is one of a language, a country or a region, as far as this release has a list of them."""
    if kind == "language":
        return bool(_language(code, "en")) or code in _GROUPS
    if kind == "country":
        return code in _countries() or _EXAMPLE.fullmatch(code) is not None
    country, _, rest = code.partition("-")
    known = REGIONS.get(country)
    return is_known("country", country) and bool(rest) and (known is None or code in known)


def named(t: Words, kind: Kind, code: str) -> str:
    """Return the name of *code* with the code behind it; the code alone if it has no name."""
    name = _name(t, kind, code)
    return f"{name} ({code})" if name else code


def proposed(t: Words, kind: Kind, country: str = "") -> list[tuple[str, str]]:
    """Return the codes that a page proposes, by name: of regions those of *country*."""
    codes = {"language": SPOKEN, "country": _countries(), "region": REGIONS.get(country, ())}[kind]
    return sorted(((code, _name(t, kind, code)) for code in codes), key=lambda each: folded(each[1]))


def _name(t: Words, kind: Kind, code: str) -> str:
    if kind == "region":
        return t.meaning("Region", code)
    if kind == "language":
        return t.capital(_language(code, t.language) or t.meaning("Language", code))
    return t.capital(Locale.parse(t.language).territories.get(code, ""))


def _language(code: str, language: str) -> str:
    """Return the name of the language *code* in *language*; empty if it has none. A code of two letters is none."""
    short = get_global("language_aliases").get(code, code)
    return Locale.parse(language).languages.get(short, "") if re.fullmatch("[a-z]{3}", code) else ""


@cache
def _countries() -> tuple[str, ...]:
    codes = map(str, Locale.parse("en").territories)
    return tuple(each for each in codes if re.fullmatch("[A-Z]{2}", each) and each not in _NO_COUNTRIES)


def _languages() -> Iterator[str]:
    """Yield every code of a language with a name; of several codes of one language that of ISO 639-2/T."""
    own = (each for each in map(str, Locale.parse("en").languages) if len(each) == 3)
    shorter = (code for code, short in get_global("language_aliases").items() if len(code) == 3 and len(short) == 2)
    yield from (each for each in (*own, *shorter) if each not in _OTHER_CODES)


@cache
def _meant(kind: Kind) -> Mapping[str, str]:
    """Return the code by each name, as names are compared; a name of several codes is left out, since nobody knows which is meant."""
    codes = {
        "language": (*_languages(), *SPOKEN, *_GROUPS), "country": _countries(),
        "region": tuple(code for each in REGIONS.values() for code in each),
    }[kind]  # fmt: skip
    found: dict[str, set[str]] = defaultdict(set)
    for t in (Words(each, zone_of("UTC")) for each in LANGUAGES):
        for code in codes:
            found[folded(_name(t, kind, code))].add(code)
    return {name: next(iter(codes)) for name, codes in found.items() if name and len(codes) == 1}
