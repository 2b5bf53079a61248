"""An agency as such: whether it reads what it is sent. Events about no case, published by the timekeeper [D]."""

from typing import Annotated

from nrmbus.events.model import AgencyId, Data, Time, clear


class ListeningChanged(Data):
    """The timekeeper finds that an agency's desk no longer takes what is delivered to it, or takes it again [D].

    Both are seen at the broker, where no agency can speak for another; a letter to a silent agency is delivered, and
    waits until the agency is back.
    """

    type = "agency.listening_changed"
    keyed_by = "agency"

    agency: Annotated[AgencyId, clear("Which agency", example="example-shelter")]
    listening: Annotated[bool, clear("Whether its desk takes what is delivered")]
    since: Annotated[Time, clear("Since when, as far as the timekeeper saw", example="2026-03-02T05:00:00Z")]
