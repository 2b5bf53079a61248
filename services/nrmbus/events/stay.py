"""Stay: the hold on removal, permits, and the bar on contact with an embassy. CETS 197 art. 13 [S30]; [S28, S33]."""

from typing import Annotated

from nrmbus.events.codes import EmbassyBar, HoldEnd, HoldGround, PermitGround
from nrmbus.events.model import Agencies, Data, Day, Days, Letter, Line, clear, sealed


class HoldRequestedLetter(Letter):
    """Who is meant: without a name migration could not apply the hold."""

    name: Annotated[Line | None, sealed("identity", "DC3", "Name")] = None
    birth_date: Annotated[Day | None, sealed("identity", "DC3", "Date of birth")] = None
    document: Annotated[Line | None, sealed("identity", "DC3", "Kind and number of a document")] = None


class HoldRequested(Data):
    """The special unit asks that the person be not removed. CETS 197 art. 13 [S30]."""

    type = "stay.hold_requested"
    letter = HoldRequestedLetter

    to: Annotated[Agencies, clear("The migration service")]
    ground: Annotated[HoldGround, clear("What it rests on")]
    until_days: Annotated[Days, clear("Calendar days for which it is asked")]


class HoldConfirmed(Data):
    """Migration will not remove the person [S28]."""

    type = "stay.hold_confirmed"

    until_days: Annotated[Days, clear("Calendar days for which it holds")]


class HoldEnded(Data):
    """The special unit ends the hold; nobody else can [S30]."""

    type = "stay.hold_ended"

    reason: Annotated[HoldEnd, clear("Why")]


class _PermitLetter(Letter):
    """On which ground; cooperation with the police endangers."""

    ground: Annotated[PermitGround | None, sealed("story", "DC4", "Ground of the permit")] = None


class PermitIssuedLetter(_PermitLetter):
    """On which ground it was issued."""


class PermitIssued(Data):
    """Migration lets the person stay [S33]; article [u]."""

    type = "stay.permit_issued"
    letter = PermitIssuedLetter

    valid_days: Annotated[Days, clear("Calendar days for which it is valid")]


class PermitRefusedLetter(_PermitLetter):
    """The ground on which it was asked for."""


class PermitRefused(Data):
    """Migration does not issue or renew a permit [S33]; article [u]."""

    type = "stay.permit_refused"
    letter = PermitRefusedLetter


class PermitRenewedLetter(_PermitLetter):
    """On which ground it was renewed."""


class PermitRenewed(Data):
    """Migration lets the person stay longer [S33]; article [u]."""

    type = "stay.permit_renewed"
    letter = PermitRenewedLetter

    valid_days: Annotated[Days, clear("Calendar days more")]


class EmbassyBarredLetter(Letter):
    """Why; a claim of asylum endangers the person and the family."""

    ground: Annotated[EmbassyBar | None, sealed("story", "DC4", "Why no embassy is contacted")] = None


class EmbassyBarred(Data):
    """No embassy or consulate is contacted about the person, whatever the person agreed to before [u], [D]."""

    type = "stay.embassy_barred"
    letter = EmbassyBarredLetter


class EmbassyBarLifted(Data):
    """An embassy or consulate may be contacted again, if the person agrees [u], [D]."""

    type = "stay.embassy_bar_lifted"
