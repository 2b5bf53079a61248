"""Fund: money beyond the one-time allowance, granted by the fund or by a court. CoM 8/2006 [S9, S12]."""

from typing import Annotated

from nrmbus.events.codes import AmountBand, GrantPurpose, GrantSource
from nrmbus.events.model import Data, clear


class CompensationGranted(Data):
    """The fund or a court grants money to a victim: compensation, or money for rehabilitation. CoM 8/2006 [S9, S12]."""

    type = "fund.compensation_granted"

    purpose: Annotated[GrantPurpose, clear("What the money is for")]
    amount_band: Annotated[AmountBand, clear("How much, coarsely, in the currency of the country")]
    source: Annotated[GrantSource, clear("Where the money comes from")]
