"""Names of languages, countries and regions: people type a name, and an event has its code."""

from typing import Final
from zoneinfo import ZoneInfo

import pytest

from nrmbus.rules import load_profile, profile_names
from nrmbus.web import names
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.words import Words

BAKU: Final = ZoneInfo("Asia/Baku")
ISO_639_2: Final = """
    aar abk ace ach ada ady afa afh afr ain aka akk ale alg alt amh ang anp apa ara arc arg arn arp art arw asm ast ath aus ava ave awa aym aze
    bad bai bak bal bam ban bas bat bej bel bem ben ber bho bih bik bin bis bla bnt bod bos bra bre btk bua bug bul byn cad cai car cat cau ceb
    cel ces cha chb che chg chk chm chn cho chp chr chu chv chy cmc cnr cop cor cos cpe cpf cpp cre crh crp csb cus cym dak dan dar day del den
    deu dgr din div doi dra dsb dua dum dyu dzo efi egy eka ell elx eng enm epo est eus ewe ewo fan fao fas fat fij fil fin fiu fon fra frm fro
    frr frs fry ful fur gaa gay gba gem gez gil gla gle glg glv gmh goh gon gor got grb grc grn gsw guj gwi hai hat hau haw heb her hil him hin
    hit hmn hmo hrv hsb hun hup hye iba ibo ido iii ijo iku ile ilo ina inc ind ine inh ipk ira iro isl ita jav jbo jpn jpr jrb kaa kab kac kal
    kam kan kar kas kat kau kaw kaz kbd kha khi khm kho kik kin kir kmb kok kom kon kor kos kpe krc krl kro kru kua kum kur kut lad lah lam lao
    lat lav lez lim lin lit lol loz ltz lua lub lug lui lun luo lus mad mag mah mai mak mal man map mar mas mdf mdr men mga mic min mkd mkh mlg
    mlt mnc mni mno moh mon mos mri msa mun mus mwl mwr mya myn myv nah nai nap nau nav nbl nde ndo nds nep new nia nic niu nld nno nob nog non
    nor nqo nso nub nwc nya nym nyn nyo nzi oci oji ori orm osa oss ota oto paa pag pal pam pan pap pau peo phi phn pli pol pon por pra pro pus
    que raj rap rar roa roh rom ron run rup rus sad sag sah sai sal sam san sas sat scn sco sel sem sga sgn shn sid sin sio sit sla slk slv sma
    sme smi smj smn smo sms sna snd snk sog som son sot spa sqi srd srn srp srr ssa ssw suk sun sus sux swa swe syc syr tah tai tam tat tel tem
    ter tet tgk tgl tha tig tir tiv tkl tlh tli tmh tog ton tpi tsi tsn tso tuk tum tup tur tut tvl twi tyv udm uga uig ukr umb urd uzb vai ven
    vie vol vot wak wal war was wen wln wol xal xho yao yap yid yor ypk zap zbl zen zgh zha zho znd zul zun zza
"""
"""Codes of ISO 639-2/T but for uncoded, several, undetermined and no languages, and those for local use (list of the Library of Congress)."""


@pytest.mark.parametrize(
    ("kind", "typed", "code"),
    [
        ("language", "украинский", "ukr"),
        ("language", "Fars", "fas"),
        ("language", "Filipino", "tgl"),
        ("language", "пушту", "pus"),
        ("language", "Rus", "rus"),
        ("language", "sign language", "sgn"),
        ("language", "jest dili", "sgn"),
        ("language", "Жестовый язык", "sgn"),
        ("language", "Bərbər", "ber"),
        ("language", "Karen", "kar"),
        ("language", "майя", "myn"),
        ("language", "Nahuatl", "nah"),
        ("country", "Украина", "UA"),
        ("country", "türkiyə", "TR"),
        ("country", "IRAN", "IR"),
        ("country", "xa", "XA"),
        ("region", "Гянджа", "AZ-GA"),
        ("region", "gence", "AZ-GA"),
        ("region", "Chișinău", "MD-CU"),
        ("region", "tr-34", "TR-34"),
    ],
)
def test_a_name_or_a_code_means_its_code(kind: names.Kind, typed: str, code: str) -> None:
    """Given a name in any language of the pages, or a code in any case of letters, then it is the code that an event has."""
    assert names.code_of(kind, typed) == code
    assert names.is_known(kind, code)


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        ("language", "far"), ("language", "qqq"), ("language", "uk"), ("country", "UK"), ("country", "QQ"), ("country", "EU"),
        ("region", "AZ-QQ"), ("region", "UK-1"), ("region", "Lənkəran"), ("region", "AZ"), ("language", ""), ("country", ""),
    ],
)  # fmt: skip
def test_what_is_no_name_stays_as_it_was_typed(kind: names.Kind, typed: str) -> None:
    """Given a code that nobody has, or a name of two regions, then nothing is guessed, and it is not known."""
    assert names.code_of(kind, typed) == typed
    assert not names.is_known(kind, typed)


def test_every_language_of_the_standard_is_an_answer() -> None:
    """Given a code of ISO 639-2, then it is known, also if it is one of sign languages or of another group of languages."""
    codes = ISO_639_2.split()

    assert len(codes) == 482
    assert [code for code in codes if not names.is_known("language", code)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_that_a_page_proposes_has_a_name_that_leads_back(language: Language) -> None:
    """Given a language, a country, or a region of a profile's country, then the page has its name, and the name typed is its code."""
    t = Words(language, BAKU)
    countries = {load_profile(each).calendar.country for each in profile_names()} - {None}
    assert countries == set(names.REGIONS)

    lists = [("language", ""), ("country", ""), *(("region", each) for each in sorted(names.REGIONS))]
    for kind, country in lists:
        found = names.proposed(t, kind, country)  # type: ignore[arg-type]  # a kind each
        assert len(found) > 30
        assert [each for each in found if names.code_of(kind, each[1]) != each[0]] == []  # type: ignore[arg-type]


def test_a_name_stands_before_its_code() -> None:
    """Given a code, then a page has its name in the reader's language; a code without a name stays alone."""
    t = Words("ru", BAKU)

    shown = [("language", "ukr"), ("country", "UA"), ("region", "AZ-GA"), ("region", "TR-34")]
    shown += [("language", "sgn"), ("language", "btk")]
    assert [names.named(t, kind, code) for kind, code in shown] == [  # type: ignore[arg-type]
        "Украинский (ukr)", "Украина (UA)", "Гянджа (AZ-GA)", "TR-34", "Жестовый язык (sgn)", "btk",
    ]  # fmt: skip
