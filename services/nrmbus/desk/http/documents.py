"""Routes of documents: upload one that an event then announces, and read one that was shared."""

from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse, StreamingResponse

from nrmbus.desk.access import documents as reading
from nrmbus.desk.access import opening
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http.answers import AT, CASE, EVENT, Uploaded
from nrmbus.desk.http.documented import answers, guarded, subject
from nrmbus.desk.http.parameters import Actor, DocumentPath, InCase, OfCase, Purpose
from nrmbus.desk.http.scopes import caller_of
from nrmbus.desk.http.served import door_of
from nrmbus.desk.outbox import documents
from nrmbus.events.document import ENDINGS, LARGEST, DocumentFile
from nrmbus.events.errors import Problem

routes: Final = subject("documents")

_FORM: Final = "multipart/"
"""Type of a form: around a text, it would be kept as part of the text."""
_UPLOADED: Final = {
    "document": EVENT, "case": CASE, "chunks": 3,
    "file": {"media_type": "application/pdf", "size": 204_800, "sha256": "0" * 64}, "ends": AT,
}  # fmt: skip
_CONTENT: Final[dict[str, Any]] = {
    "description": "The content, as it was uploaded.",
    "content": {
        kind: {"schema": {"type": "string", "format": "binary"}, "example": f"the bytes of a {ending}"}
        for kind, ending in ENDINGS.items()
    },
}
_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": f"The content, at most {LARGEST:,} bytes: PDF, JPEG, PNG, TIFF, or plain text in UTF-8.",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


@routes.post(
    "/v1/documents",
    summary="Upload a document",
    openapi_extra={"requestBody": _BODY},
    **answers(
        Uploaded, _UPLOADED, "document_unfit", "document_too_large", "documents_waiting", "unknown_field",
        needs=["publish"], said="What was uploaded, for the event that announces it.",
    ),
)  # fmt: skip
async def upload_document(request: Request, case: OfCase) -> JSONResponse:
    """Keep a document of a case, sealed to this desk, until an event `document.shared` announces it. Records and sends nothing.

    The content itself is the body, not a form with a file in it.

    Publish that event within a day: `document` and `chunks` as answered here; in the letter, as `identity_file`,
    `health_file`, `money_file` or `story_file` by the type of the document, `file` as answered here with the `name`. The
    content decides the kind, and the name stands in the letter alone.
    """
    if request.headers.get("content-type", "").lower().startswith(_FORM):
        raise DeskError("unknown_field", [Problem("content-type:", "form")])
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:12]) > LARGEST:
        raise DeskError("document_too_large")
    found = await documents.upload(door_of(request).seat, case, request.stream())
    file = {name: getattr(found, name) for name in ("media_type", "size", "sha256")}
    return JSONResponse(
        {"document": found.document, "case": case, "chunks": found.chunks, "file": file, "ends": found.ends}
    )


@routes.get(
    "/v1/documents/{id}",
    summary="Read a document",
    response_class=StreamingResponse,
    response_model=None,
    **guarded(
        {200: _CONTENT}, "not_found", "document_incomplete", "document_damaged", "document_shut", "unknown_field",
        "reader_unnamed", "inbox_unread", "read_not_registered", "read_refused", needs=["read", "open"],
    ),
)  # fmt: skip
async def read_document(
    request: Request, id: DocumentPath, case: InCase = None, actor: Actor = None, purpose: Purpose = "case_work"
) -> StreamingResponse:
    """Return the content of the document that the event `id` announces, of this agency or of another.

    An id is unique within its case alone. Without `case`, an id that announces a document in several cases is refused.

    The registrar records the reading first, for `actor` and `purpose`, once for the whole document; then the desk records
    who opened which part. The content was compared with its announced digest before the first byte of it is sent. Its name
    is in the letter of the event alone.
    """
    door = door_of(request)
    with door.ledger.read() as tx:
        shared = reading.find(tx, door.seat.me, id, case)
    if shared is None:
        raise DeskError("not_found")
    who = opening.reader(door.desk, actor)
    await door.put_on_record([await reading.reading(door.desk, shared, who=who, purpose=purpose)])
    file = await reading.open_file(door.desk, shared, who=who, purpose=purpose, system=caller_of(request).name)
    return StreamingResponse(
        reading.pieces(door.desk, shared, file), headers=disposition(file), media_type=file.media_type
    )


def disposition(file: DocumentFile) -> dict[str, str]:
    """Return the headers of an answer with the content of *file*: nobody keeps it, and its name says nothing."""
    return {
        "content-length": str(file.size),
        "content-disposition": f'attachment; filename="document.{ENDINGS[file.media_type]}"',
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
