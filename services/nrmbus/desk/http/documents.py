"""Routes of documents: upload one that an event then announces, and read one that was shared."""

from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse

from nrmbus.desk.errors import DeskError
from nrmbus.desk.http.answers import AT, CASE, EVENT, Uploaded
from nrmbus.desk.http.documented import answers, subject
from nrmbus.desk.http.parameters import OfCase
from nrmbus.desk.http.served import door_of
from nrmbus.desk.outbox import documents
from nrmbus.events.document import LARGEST

routes: Final = subject("documents")

_UPLOADED: Final = {
    "document": EVENT, "case": CASE, "chunks": 3,
    "file": {"media_type": "application/pdf", "size": 204_800, "sha256": "0" * 64}, "ends": AT,
}  # fmt: skip
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

    Publish that event within a day: `document` and `chunks` as answered here; in the letter, as `identity_file`,
    `health_file`, `money_file` or `story_file` by the type of the document, `file` as answered here with the `name`. The
    content decides the kind, and the name stands in the letter alone.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:12]) > LARGEST:
        raise DeskError("document_too_large")
    found = await documents.upload(door_of(request).seat, case, request.stream())
    file = {name: getattr(found, name) for name in ("media_type", "size", "sha256")}
    return JSONResponse(
        {"document": found.document, "case": case, "chunks": found.chunks, "file": file, "ends": found.ends}
    )
