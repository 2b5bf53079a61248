"""Withdrawals that an agency hears long after their registration, just before another event, and the duty to confirm (D-STOP)."""

from collections.abc import Callable
from typing import Final

import pytest

from rules.test_duties import desk, owed
from rules.test_grown_up import FOUND, OneDesk

STOP: Final = "D-STOP"
WITHDRAWN: Final = "consent.withdrawn"
SHARING: Final = ["information_sharing"]
SERVICES: Final = ["services"]
Way = Callable[[OneDesk], None]


def withdrawn(case: OneDesk, purposes: list[str] | None = None) -> None:
    """Register that the boy takes his consent to the agency back."""
    case.says("school", WITHDRAWN, receivers=[case.agency], purposes=purposes or [*SHARING, *SERVICES])


def agreed(case: OneDesk) -> None:
    """Register his consent until 20 March, behind which the withdrawal waits."""
    more = {"expires": "2026-03-20", "given_by": "individual", "purposes": [*SHARING, *SERVICES]}
    case.says("school", "consent.given", receivers=[case.agency], **more)


def with_the_finding(case: OneDesk) -> None:
    """The agency is told of a child, and hears the withdrawal when he is found to be an adult."""
    withdrawn(case)
    case.refer("R-2")
    case.grown_up()


def with_a_consent(case: OneDesk) -> None:
    """The agency is told of a child, and hears the withdrawal with the consent that follows."""
    withdrawn(case)
    case.refer("R-2")
    agreed(case)


def with_an_override(case: OneDesk) -> None:
    """The agency is told of a child, and hears the withdrawal with an override."""
    withdrawn(case)
    case.refer("R-2")
    case.says("school", "consent.overridden", receivers=[case.agency])


def behind_another(case: OneDesk) -> None:
    """The first that the agency hears are two withdrawals, one for each purpose."""
    withdrawn(case, SHARING)
    withdrawn(case, SERVICES)
    agreed(case)
    case.refer("R-2")


def behind_the_flag(case: OneDesk) -> None:
    """The first that the agency hears is that he is a child."""
    withdrawn(case)
    agreed(case)
    case.refer("R-2", child=None)


def behind_the_finding(case: OneDesk) -> None:
    """The first that the agency hears is that he is an adult."""
    case.grown_up()
    withdrawn(case)
    agreed(case)
    case.refer("R-2")


WAYS: Final = (
    with_the_finding, with_a_consent, with_an_override, behind_another, behind_the_flag, behind_the_finding,
)  # fmt: skip


def stops(case: OneDesk) -> tuple[int, int]:
    """Return how many confirmations the agency owes by the registrar and by its desk."""
    own = desk(case.b, case.agency, *case.said)
    there = [clock.code for clock in case.b.rules.clocks(own) if clock.answerable == case.agency]
    return owed(case.b, case.agency).count(STOP), there.count(STOP)


@pytest.mark.parametrize("agency", ["vac", "ngo-l"])
class TestAWithdrawalThatComesLate:
    """Given a withdrawal that was registered when the agency knew nothing of the case, and that comes before another event."""

    @pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
    def test_is_owed_no_confirmation_at_registrar_or_desk(self, agency: str, way: Way) -> None:
        """When the agency hears it, then registrar and desk show no duty to confirm, and nobody is late with one."""
        case = OneDesk(agency, knows=False)
        way(case)
        assert any(WITHDRAWN in firsts for firsts in case.first().values())

        assert stops(case) == (0, 0)
        assert STOP not in [due.data.to_mapping().get("rule") for due in case.b.rules.due(case.b.view)]

    def test_may_be_confirmed_all_the_same(self, agency: str) -> None:
        """When the agency hears it with the finding of an adult, then it may still say that it deleted what it had."""
        case = OneDesk(agency, knows=False)
        with_the_finding(case)

        assert case.b.ask(agency, "consent.stop_confirmed", answer="deleted") is None

    def test_p7_leaves_the_next_withdrawal_to_be_confirmed(self, agency: str) -> None:
        """P7: when he takes a new consent back, then registrar and desk show the duty to confirm."""
        case = OneDesk(agency, knows=False)
        with_a_consent(case)
        withdrawn(case)

        assert stops(case) == (1, 1)


@pytest.mark.parametrize("agency", ["guardianship", "child-commission"])
def test_p7_a_body_that_knows_of_the_flag_alone_confirms_a_withdrawal(agency: str) -> None:
    """P7: given a body to which the flag of a child is addressed, when consent to it is taken back, then registrar and desk show the duty to confirm."""
    case = OneDesk(agency, knows=False)
    withdrawn(case)

    assert stops(case) == (1, 1)


def test_p7_an_agency_that_knows_the_case_confirms_a_withdrawal() -> None:
    """P7: given an agency that was told of a child, when consent is taken back, and he is found to be an adult, then registrar and desk show one duty."""
    case = OneDesk("ngo-l", knows=True)
    withdrawn(case)
    assert stops(case) == (1, 1)

    case.grown_up()
    assert case.first().get(FOUND) is None
    assert stops(case) == (1, 1)
