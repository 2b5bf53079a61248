"""Hand-over: a person or papers change hands, and only the special unit's duty officer receives. CoM 21/2008 [S2]."""

from typing import Annotated

from pydantic import Field

from nrmbus.events.codes import DocumentType, DutyRole, PlaceType
from nrmbus.events.model import Codes, Data, Letter, Text, clear, sealed

Items = Annotated[int, Field(ge=0, le=999)]


class PersonReceived(Data):
    """The special unit's duty officer has received the person [S2]."""

    type = "handover.person_received"

    place_type: Annotated[PlaceType, clear("Kind of place, never the place")]
    duty_role: Annotated[DutyRole, clear("Who received")]
    items: Annotated[Items, clear("Pieces of belongings taken over")]


class DocumentTransferredLetter(Letter):
    """What the papers say."""

    documents: Annotated[Text | None, sealed("identity", "DC3", "Which papers, with their numbers")] = None


class DocumentTransferred(Data):
    """The sender has given papers to the special unit [S2]."""

    type = "handover.document_transferred"
    letter = DocumentTransferredLetter

    document_types: Annotated[Codes[DocumentType], clear("Kinds of papers")]
    items: Annotated[Items, clear("How many papers")]
