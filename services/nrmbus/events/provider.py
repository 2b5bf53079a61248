"""A provider as such: the places that it has free. Events about no case; each is part of its publisher's bulletin (``bulletin.py``)."""

from typing import Annotated

from nrmbus.events.codes import Availability
from nrmbus.events.model import Data, clear


class CapacityChanged(Data):
    """A provider says for whom it has places: the whole state each time, in steps and never as a number [S3] [D].

    A category that is left out is one that the provider does not take. A house's number of free places would tell that
    somebody has come or gone, so there is none.
    """

    type = "provider.capacity_changed"
    keyed_by = "agency"

    women: Annotated[Availability | None, clear("Beds for women")] = None
    children: Annotated[Availability | None, clear("Beds for children")] = None
    men: Annotated[Availability | None, clear("Beds for men")] = None
    support: Annotated[Availability | None, clear("Help without a bed: new people that the provider can take on")] = (
        None
    )
