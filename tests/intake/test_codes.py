"""Receipt codes: what a person types, and what nobody can guess."""

import pytest

from nrmbus.intake import codes
from nrmbus.intake.codes import Holder


def test_a_code_is_read_as_people_type_it() -> None:
    """Spaces and dashes do not matter; nothing but 16 digits is a code."""
    code = codes.new()

    assert len(code) == 16
    assert codes.read(f"  {codes.shown(code)}\n") == codes.read(codes.shown(code).replace(" ", "-")) == code
    assert [codes.read(each) for each in ("", code[:-1], code + "1", "x" + code[1:], "²" + code[1:])] == [None] * 5


@pytest.mark.parametrize(
    "zero", ["\u06f0", "\u0660", "\u0966", "\u09e6"], ids=["Persian", "Arabic", "Hindi", "Bengali"]
)
def test_a_code_is_read_in_the_digits_of_the_telephone(zero: str) -> None:
    """Given a telephone that writes the digits of its language, then the right code is read; a wrong digit is found as in others."""
    code = codes.new()
    wrong = str((int(code[0]) + 1) % 10) + code[1:]

    def typed(digits: str) -> str:
        return digits.translate({ord("0") + each: ord(zero) + each for each in range(10)})

    assert codes.read(typed(codes.shown(code))) == code
    assert codes.read(typed(wrong)) is None


@pytest.mark.parametrize("between", ["–", "—", "\u2011", "\u2212", "\u200e", "\u200b", "\u2068", "\xa0", "\t", ", "])
def test_marks_of_a_telephone_or_a_copy_do_not_matter(between: str) -> None:
    """Given the dash that a telephone makes of a hyphen, or an invisible mark of a copied text, then the code is read."""
    code = codes.new()

    assert codes.read(codes.shown(code).replace(" ", between)) == code


def test_each_mistyped_digit_is_found_without_any_work() -> None:
    """ISO/IEC 7064 MOD 11,10: no single wrong digit passes, and of random guesses one in ten does."""
    code = "0000000000000000"
    good = next(each for each in (code[:-1] + str(last) for last in range(10)) if codes.read(each))

    wrong = [good[:at] + str(digit) + good[at + 1 :] for at in range(16) for digit in range(10)]

    assert {codes.read(each) for each in wrong} == {None, good}
    assert sum(codes.read(f"{number:016d}") is not None for number in range(1000)) == 100


def test_the_check_digit_is_that_of_the_standard() -> None:
    """The standard's own example: 0794 has the check digit 5."""
    assert codes._check_digit("0794") == "5"


def test_a_code_gives_the_same_keys_again_and_in_another_file_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the code and the file's salt is needed; a table of codes made for one file fits no other."""
    monkeypatch.setattr(codes, "MEMORY", 1 << 20)
    code, salt, other = codes.new(), b"s" * 16, b"t" * 16

    first, again, elsewhere = Holder.of_code(code, salt), Holder.of_code(code, salt), Holder.of_code(code, other)

    assert (first.ref, first.key.kid) == (again.ref, again.key.kid)
    assert first.ref != elsewhere.ref
    assert first.key.kid != elsewhere.key.kid
    assert Holder.of_raw(first.raw).key.kid == first.key.kid
    assert first.key.seed.hex() not in repr(first)


def test_a_guess_costs_what_the_decision_says() -> None:
    """128 MiB and five passes: a change of these numbers is a decision, not an accident."""
    assert (codes.MEMORY, codes.PASSES) == (128 * 1024 * 1024, 5)
