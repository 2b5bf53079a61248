"""The Coordinator's procedure, line by line."""

from agencies import NOW
from figures_published import CORRECTED, YEAR, said
from given import given, says
from nrmbus.coordinator import procedure
from nrmbus.events.agency import ListeningChanged
from nrmbus.events.breach import BreachReported
from nrmbus.events.provider import CapacityChanged
from nrmbus.events.stats import PeriodPublished

ME = "coordinator"


def listening(*, is_there: bool) -> ListeningChanged:
    """Return that the shelter's desk reads, or does not."""
    return ListeningChanged(agency="shelter", listening=is_there, since=NOW)


def breach(*, is_over: bool) -> BreachReported:
    """Return a breach of the NGO's, over or not."""
    return BreachReported(kind="lost", classes=("DC3",), persons="1-10", measures=("examined",), ended=is_over)


class TestSilence:
    """Line 1."""

    def test_an_agency_that_no_longer_reads_is_called(self) -> None:
        """A task for a person, since only a telephone reaches an agency whose desk is off."""
        given(procedure, me=ME).when(says("timekeeper", listening(is_there=False))).then(procedure.SILENT)

    def test_an_agency_that_reads_again_needs_nothing(self) -> None:
        """Nobody is called when a desk is back."""
        given(procedure, me=ME).when(says("timekeeper", listening(is_there=True))).then()

    def test_an_agency_that_reads_again_ends_its_own_tasks(self) -> None:
        """Given two silent agencies, when one reads again, then the task to call that one is over, and only once."""
        story = given(procedure, me=ME)
        called = story.when(says("timekeeper", listening(is_there=False))).task
        story.when(says("timekeeper", ListeningChanged(agency="vac", listening=False, since=NOW)))
        back = says("timekeeper", listening(is_there=True))

        assert story.when(back).said.over == ((procedure.SILENT, called.event),)
        assert story.when(back).said.over == ()


class TestBreach:
    """Line 2."""

    def test_a_breach_is_followed_until_it_is_over(self) -> None:
        """Each report is read by a person of the office, the last one too."""
        given(procedure, me=ME).when(says("ngo-a", breach(is_over=False))).then(procedure.BREACH)
        given(procedure, me=ME).when(says("ngo-a", breach(is_over=True))).then(procedure.BREACH)


class TestFigures:
    """Lines 3 and 4."""

    def test_released_figures_are_read(self) -> None:
        """A release is a task, since the yearly information is written by a person."""
        given(procedure, me=ME).when(says("statistics", PeriodPublished.from_mapping(said(YEAR)))).then(
            procedure.RELEASED
        )

    def test_a_correction_replaces_what_was_published(self) -> None:
        """A release that names the one before is another task, and only that one."""
        correction = PeriodPublished.from_mapping(said(CORRECTED))

        given(procedure, me=ME).when(says("statistics", correction)).then(procedure.CORRECTED)


def test_free_places_ask_nothing_of_the_office() -> None:
    """What concerns agencies that refer is no task of the Coordinator's."""
    given(procedure, me=ME).when(says("shelter", CapacityChanged(women="free"))).then()
