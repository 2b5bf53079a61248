"""One person, two NGOs: found with her consent alone, told to both NGOs at once, unknown to carriers and evaluators."""

from datetime import timedelta

import pytest

from agencies import NOW
from nrmbus.play.matching import MONTHLY, PURPOSE, Asker, Comparer, Consent, Evaluator, Match, NotAsked, Sent, identity
from nrmbus.wire.errors import LetterClosed

WHO = identity("XA", "0000-0001")


class Town:
    """Two evaluators, a comparer, three NGOs, and a broker that keeps whatever passes."""

    def __init__(self) -> None:
        self.consents: dict[str, Consent] = {}
        self.carried: list[Sent] = []
        self.evaluators = [Evaluator(name, self.consents.get) for name in ("ombudsman", "statistics")]
        self.comparer = Comparer("matching-desk", self.consents.get)
        self.askers = {
            each: Asker(each, self.consents.get, self.carried.append) for each in ("ngo-a", "ngo-b", "ngo-c")
        }

    def agrees(self, agency: str, id: str, *, purpose: str = PURPOSE, days: int = 90) -> None:
        """The person agrees at *agency*."""
        self.consents[id] = Consent(id, agency, purpose, NOW + timedelta(days=days))

    def ask(self, agency: str, consent: str, who: bytes = WHO, days: int = 0) -> tuple[Match, ...]:
        """Let *agency* ask."""
        keys = {each: each.public for each in self.evaluators}
        now = NOW + timedelta(days=days)
        return self.askers[agency].ask(who, consent, f"ref of {agency}", keys, self.comparer, now)


@pytest.fixture
def town() -> Town:
    """Return a town in which the person has agreed at two NGOs."""
    town = Town()
    town.agrees("ngo-a", "consent-a")
    town.agrees("ngo-b", "consent-b")
    return town


def test_both_are_told_at_once_and_of_nothing_but_each_other(town: Town) -> None:
    """The first hears nothing, neither yes nor no; with the second, each gets the other's name and reference."""
    first = town.ask("ngo-a", "consent-a")
    second = town.ask("ngo-b", "consent-b", identity("xa", " 00000001 "))

    assert first == ()
    assert second == (
        Match("ngo-b", "ref of ngo-b", "ngo-a", "ref of ngo-a"),
        Match("ngo-a", "ref of ngo-a", "ngo-b", "ref of ngo-b"),
    )


def test_another_person_is_no_match_and_nobody_learns_that_somebody_was_asked_for(town: Town) -> None:
    """No count, no list, no difference from having asked first."""
    town.ask("ngo-a", "consent-a")

    assert town.ask("ngo-b", "consent-b", identity("XA", "0000-0002")) == ()


@pytest.mark.parametrize(
    "typed", ["aa 12-34", "AA\u201312\u201134", "\u0410\u0410 1234", "\uff41\uff411234", "AA_12/34", "aa\u00a012.34"]
)
def test_the_same_document_typed_otherwise_is_the_same_person(town: Town, typed: str) -> None:
    """Gaps, dashes, capitals and a Cyrillic keyboard make no other person of her."""
    town.ask("ngo-a", "consent-a", identity("XA", "AA1234"))

    assert len(town.ask("ngo-b", "consent-b", identity("xa", typed))) == 2
    assert identity("xi", "\u01301") == identity("XI", "i1")


@pytest.mark.parametrize("typed", ["", " - ", "Алина Пример", "AA12Ж4"])
def test_what_no_document_has_is_refused_before_anything_is_asked(typed: str) -> None:
    """A name, or a letter that no other agency would type, would never match; the sentence repeats nothing of it."""
    with pytest.raises(ValueError, match="as they stand there") as error:
        identity("XA", typed)
    assert not typed.strip(" -") or typed not in str(error.value)


def test_a_question_that_was_interrupted_is_asked_again_under_the_same_consent(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a second evaluator or a comparer that is away, she is not asked for another consent, and a guess stays one guess."""
    first, second = town.evaluators
    for away, name in ((second, "evaluate"), (town.comparer, "deposit")):
        with monkeypatch.context() as gone:
            gone.setattr(away, name, lambda *_: (_ for _ in ()).throw(ConnectionError))
            with pytest.raises(ConnectionError):
                town.ask("ngo-a", "consent-a")

    assert town.ask("ngo-a", "consent-a") == ()
    assert len(town.ask("ngo-b", "consent-b")) == 2
    assert (sum(first._spent.values()), sum(second._spent.values())) == (2, 2)
    with pytest.raises(NotAsked, match="consent_used"):
        town.ask("ngo-a", "consent-a", identity("XA", "0000-0002"))


@pytest.mark.parametrize("wrong", ["none", "another agency's", "another purpose", "expired"])
def test_without_her_consent_nothing_is_asked(town: Town, wrong: str) -> None:
    """Not one byte leaves the agency; an evaluator refuses it too, should the agency try."""
    consent = {
        "none": "consent-x",
        "another agency's": "consent-b",
        "another purpose": "consent-p",
        "expired": "consent-e",
    }[wrong]
    town.agrees("ngo-a", "consent-p", purpose="services")
    town.agrees("ngo-a", "consent-e", days=0)

    with pytest.raises(NotAsked, match="consent_missing"):
        town.ask("ngo-a", consent)
    assert town.carried == []
    with pytest.raises(NotAsked, match="consent_missing"):
        town.evaluators[0].evaluate("ngo-a", consent, b"\0" * 32, NOW)
    with pytest.raises(NotAsked, match="consent_missing"):
        town.comparer.deposit("ngo-a", consent, "ref", b"", NOW)


def test_who_takes_her_consent_back_is_found_no_more(town: Town) -> None:
    """A withdrawn consent is none: the token that waited matches nothing."""
    town.ask("ngo-a", "consent-a")
    del town.consents["consent-a"]

    assert town.ask("ngo-b", "consent-b") == ()


def test_neither_broker_nor_evaluator_learns_who_she_is_or_that_it_is_the_same_person(town: Town) -> None:
    """Messages hold no identity, and no two are the same: not to one evaluator, not to two, not of one person."""
    town.ask("ngo-a", "consent-a")
    town.ask("ngo-b", "consent-b")

    for sent in town.carried:
        assert WHO not in sent.content
        assert b"0000" not in sent.content
    assert len({each.content for each in town.carried}) == len(town.carried) == 10


def test_who_compares_cannot_try_identities(town: Town) -> None:
    """A token is no digest of an identity: with the comparer's tokens and one evaluator's key no identity can be checked."""
    town.ask("ngo-a", "consent-a")
    (token,) = town.comparer._waiting
    first, second = town.evaluators

    alone = first._server.evaluate_known_input(WHO)
    both = [alone, second._server.evaluate_known_input(WHO)]

    assert Asker._token([alone]) != token
    assert Asker._token([alone, alone]) != token
    assert Asker._token(both) == token


def test_numbers_cannot_be_tried_one_after_the_other(town: Town) -> None:
    """One consent buys one evaluation, and an agency has a monthly limit however many consents it writes down."""
    town.ask("ngo-a", "consent-a")
    with pytest.raises(NotAsked, match="consent_used"):
        town.ask("ngo-a", "consent-a", identity("XA", "0000-0002"))

    for number in range(MONTHLY):
        town.agrees("ngo-c", f"consent-{number}")
        town.ask("ngo-c", f"consent-{number}", identity("XA", f"{number:08}"))
    town.agrees("ngo-c", "one-more")
    with pytest.raises(NotAsked, match="monthly_limit"):
        town.ask("ngo-c", "one-more")
    assert town.ask("ngo-c", "one-more", days=31) != ()


def test_an_evaluator_that_uses_another_key_for_one_agency_is_noticed(town: Town) -> None:
    """Else it could mark whom an agency asks for; the proof is checked against the key in the directory."""
    other = Evaluator("ombudsman", town.consents.get)
    keys = {other: town.evaluators[0].public, town.evaluators[1]: town.evaluators[1].public}

    with pytest.raises(NotAsked, match="evaluator_wrong") as error:
        town.askers["ngo-a"].ask(WHO, "consent-a", "ref", keys, town.comparer, NOW)
    assert error.value.__cause__ is None


def test_a_token_of_one_agency_is_none_of_another(town: Town) -> None:
    """A sealed token that is caught and deposited under another name does not open."""
    town.ask("ngo-a", "consent-a")
    caught = next(each for each in town.carried if each.to == "matching-desk")

    with pytest.raises(LetterClosed):
        town.comparer.deposit("ngo-b", "consent-b", "ref", caught.content, NOW)
