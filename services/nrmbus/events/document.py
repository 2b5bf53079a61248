"""Document: a file, up to 10 MB, that one agency shares with others in sealed chunks.

The announcement names the file in its letter; each chunk has a piece of it. All of them lie in the part that the type of
the document belongs to, so that a role opens a document as it opens that part of any letter.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import Field

from nrmbus.events.codes import DocumentType
from nrmbus.events.model import Data, Digest, FewAgencies, Frozen, Letter, Line, Part, clear, sealed

LARGEST: Final = 10_000_000
"""Largest size of a document in bytes."""

CHUNK: Final = 98_000
"""Bytes of a document in each chunk but the last: in base64 they just fit the largest padded size of a part."""

MOST_CHUNKS: Final = -(-LARGEST // CHUNK)

MediaType = Literal["application/pdf", "image/jpeg", "image/png", "image/tiff", "text/plain"]
"""Kinds of content, as the sender's desk found them in the first bytes."""

ENDINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "application/pdf": "pdf",
        "image/jpeg": "jpg",
        "image/png": "png",
        "image/tiff": "tif",
        "text/plain": "txt",
    }
)
"""Ending of the name of a file, without the dot, for each `MediaType`."""

_BASE64: Final = -(-CHUNK // 3) * 4
Base64 = Annotated[
    str,
    Field(min_length=4, max_length=_BASE64, pattern=r"^[A-Za-z0-9+/]+={0,2}$", description="Bytes in base64"),
]

PART_OF: Final[Mapping[DocumentType, Part]] = MappingProxyType(
    {
        "passport": "identity",
        "id_card": "identity",
        "birth_certificate": "identity",
        "residence_doc": "identity",
        "travel_doc": "identity",
        "medical_report": "health",
        "payment_order": "money",
        "interview_record": "story",
        "indicator_sheet": "story",
        "referral_form": "story",
        "consent_form": "story",
        "decision": "story",
        "guardianship_act": "story",
        "court_order": "story",
        "other": "story",
    }
)
"""Part of a letter that each type of document lies in."""


class DocumentFile(Frozen):
    """The file as a whole; its chunks are complete when size and digest fit."""

    name: Annotated[Line, Field(description="Name of the file, as the sender had it", examples=["example.pdf"])]
    media_type: Annotated[MediaType, Field(description="Kind of content, by its first bytes")]
    size: Annotated[int, Field(ge=1, le=LARGEST, description="Size in bytes")]
    sha256: Annotated[Digest, Field(description="SHA-256 of the content in lower hex", examples=["e" * 64])]


class DocumentSharedLetter(Letter):
    """The file, in the part of its type; the other parts stay empty."""

    identity_file: Annotated[DocumentFile | None, sealed("identity", "DC3", "The file of an identity document")] = None
    health_file: Annotated[DocumentFile | None, sealed("health", "DC4", "The file of a medical document")] = None
    money_file: Annotated[DocumentFile | None, sealed("money", "DC4", "The file of a payment")] = None
    story_file: Annotated[DocumentFile | None, sealed("story", "DC4", "The file of any other document")] = None


class DocumentShared(Data):
    """An agency shares a document with those in `to`; its content follows in chunks [D]."""

    type = "document.shared"
    letter = DocumentSharedLetter

    to: Annotated[FewAgencies, clear("With whom it is shared", example=["example-unit"])]
    document_type: Annotated[DocumentType, clear("Kind of paper; it says in which part of the letter the file lies")]
    chunks: Annotated[int, clear("How many chunks follow", ge=1, le=MOST_CHUNKS, example=1)]


class DocumentChunkSentLetter(Letter):
    """A piece of the file, in the part of its type; the other parts stay empty."""

    identity_chunk: Annotated[
        Base64 | None, sealed("identity", "DC3", "Piece of an identity document", example="RXhhbXBsZQ==")
    ] = None
    health_chunk: Annotated[
        Base64 | None, sealed("health", "DC4", "Piece of a medical document", example="RXhhbXBsZQ==")
    ] = None
    money_chunk: Annotated[Base64 | None, sealed("money", "DC4", "Piece of a payment", example="RXhhbXBsZQ==")] = None
    story_chunk: Annotated[
        Base64 | None, sealed("story", "DC4", "Piece of any other document", example="RXhhbXBsZQ==")
    ] = None


class DocumentChunkSent(Data):
    """The sender's desk sends the next piece of a document; `causationid` is the announcement [D]."""

    type = "document.chunk_sent"
    technical = True
    letter = DocumentChunkSentLetter

    to: Annotated[FewAgencies, clear("With whom the document is shared", example=["example-unit"])]
    index: Annotated[int, clear("Which piece, from 0; each comes once, in order", ge=0, le=MOST_CHUNKS - 1, example=0)]
