"""Return: a voluntary journey home, in steps, and how the person fares afterwards. CoM 25/2013 [S17], text [u]."""

from typing import Annotated

from nrmbus.events.codes import Citizenship, ConsentForm, GivenBy, ReturnRisk, ReturnStop, StillSafe
from nrmbus.events.model import Agencies, Data, Days, Letter, Text, clear, sealed


class _CountryLetter(Letter):
    """Which country; the step alone is for everybody on the plan."""

    country: Annotated[
        Citizenship | None, sealed("coded", "DC2", "Country of the return, two letters", example="XA")
    ] = None


class ReturnConsentedLetter(_CountryLetter):
    """To which country the person wants to go."""


class ReturnConsented(Data):
    """The person wants to go home: the voluntary return begins. CoM 25/2013 [S17], text [u]."""

    type = "return.consented"
    letter = ReturnConsentedLetter

    given_by: Annotated[GivenBy, clear("Who consented to the return")]
    form: Annotated[ConsentForm, clear("In which form the consent to the return was given")]
    to: Annotated[
        Agencies | None,
        clear(
            "Who helps with the return: an organisation, consulate or embassy that the person agreed to",
            example=["example-organisation"],
        ),
    ] = None


class ReturnRiskAssessedLetter(_CountryLetter):
    """Country and dangers there; the embassy of that country gets neither."""


class ReturnRiskAssessed(Data):
    """The dangers of a return were assessed, before any travel. CoM 25/2013 [S17], text [u]; [D]."""

    type = "return.risk_assessed"
    letter = ReturnRiskAssessedLetter

    outcome: Annotated[ReturnRisk, clear("Whether the person can return")]


class ReturnTravelArrangedLetter(Letter):
    """When and how the person travels; traffickers wait at airports."""

    itinerary: Annotated[
        Text | None,
        sealed("place", "DC3", "Times, places and company of the journey", example="Example of an itinerary."),
    ] = None


class ReturnTravelArranged(Data):
    """The journey is arranged, or arranged again. CoM 25/2013 [S17], text [u]."""

    type = "return.travel_arranged"
    letter = ReturnTravelArrangedLetter

    days: Annotated[Days, clear("Calendar days within which the person travels and the arrival is recorded")]


class ReturnCompletedLetter(_CountryLetter):
    """In which country the person arrived."""


class ReturnCompleted(Data):
    """The person has arrived. CoM 25/2013 [S17], text [u]."""

    type = "return.completed"
    letter = ReturnCompletedLetter


class ReturnMonitoredLetter(Letter):
    """How the person fares after the return."""

    still_safe: Annotated[StillSafe | None, sealed("coded", "DC2", "Whether the person is safe after the return")] = (
        None
    )


class ReturnMonitored(Data):
    """The person was asked after the return how life goes. CoM 25/2013 [S17], text [u]; [S55]."""

    type = "return.monitored"
    letter = ReturnMonitoredLetter

    again: Annotated[bool, clear("Whether the person is asked once more, after the same time", example=True)]


class ReturnStopped(Data):
    """The return does not take place: nobody travels against their will [D]."""

    type = "return.stopped"

    reason: Annotated[ReturnStop, clear("Why the return does not take place")]
