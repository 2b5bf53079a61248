"""A fact about a person is nowhere but in a letter."""

from typing import Annotated, Any

import pytest
from pydantic import Field

from nrmbus.events.model import Code, Data, Frozen, Letter, Text, clear, sealed
from nrmbus.events.registry import TYPES
from nrmbus.published.placement import misplaced


def test_nothing_about_a_person_is_in_the_clear() -> None:
    """Of every published type, what stands in the clear is process metadata, bounded, and can hold no sentence."""
    assert misplaced(TYPES.values()) == ()


class _Inner(Frozen):
    place: Annotated[Code, Field(json_schema_extra={"x-class": "DC3"})]


class _Identifying(Data):
    type = "bad.identifying"
    birth_year: Annotated[
        int, Field(description="Year of birth", ge=1900, le=2100, json_schema_extra={"x-class": "DC3"})
    ]


class _Pseudonymous(Data):
    type = "bad.pseudonymous"
    band: Annotated[Code, Field(description="Age band", json_schema_extra={"x-class": "DC2"})]


class _Unmarked(Data):
    type = "bad.unmarked"
    anything: Annotated[Code, Field(description="Not said")]


class _Nested(Data):
    type = "bad.nested"
    where: Annotated[_Inner, clear("Marked harmless, but holds a place")]


class _Sentence(Data):
    type = "bad.sentence"
    remark: Annotated[str, Field(max_length=50), clear("A remark")]


class _Elsewhere(Data):
    type = "bad.elsewhere"
    citizenship: Annotated[Code, clear("Marked harmless, but other types seal it")]


class _Endless(Data):
    type = "bad.endless"
    number: Annotated[int, clear("A number of any size")]


class _PartInTheClear(Data):
    type = "bad.part"
    region: Annotated[Code, sealed("coded", "DC2", "Meant for a letter")]


class _PartlessLetter(Letter):
    name: Annotated[Text | None, clear("In no part")] = None


class _Partless(Data):
    type = "bad.partless"
    letter = _PartlessLetter


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (_Identifying, "_Identifying.birth_year is in the clear and not of class DC0 or DC1"),
        (_Pseudonymous, "_Pseudonymous.band is in the clear and not of class DC0 or DC1"),
        (_Unmarked, "_Unmarked.anything is in the clear and not of class DC0 or DC1"),
        (_Nested, "_Nested.where.place is in the clear and holds something not of class DC0 or DC1"),
        (_Sentence, "_Sentence.remark is in the clear and could hold a sentence"),
        (_Elsewhere, "_Elsewhere.citizenship is in the clear and sealed in another type"),
        (_Endless, "_Endless.number has no bound"),
        (_PartInTheClear, "_PartInTheClear.region is in the clear and names a part of a letter"),
        (_Partless, "_PartlessLetter.name lies in no part"),
    ],
)
def test_a_fact_put_in_the_wrong_place_is_noticed(bad: type[Data], told: str) -> None:
    """A sentence names each fact of a person in the clear, and each letter's field in no part."""
    assert told in misplaced((*TYPES.values(), bad))


def test_a_letter_without_a_part_cannot_be_split() -> None:
    """A field that lies in no part stops the sealing, instead of going along with some part."""
    with pytest.raises(TypeError, match="lies in no part"):
        _PartlessLetter(name="Alina Example").parts()


def test_only_letters_hold_free_text() -> None:
    """Free text is a letter's alone: each clear text field has a closed list or a pattern of its own."""
    for data in TYPES.values():
        properties: dict[str, Any] = data.model_json_schema().get("properties", {})
        for name, field in properties.items():
            assert "maxLength" not in field, (data.type, name)
