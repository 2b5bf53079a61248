"""A document that somebody of this agency shares: uploaded from the browser, checked, and announced by an event.

The content goes from the request into the ledger, sealed, and never onto the disk in the clear.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response

from nrmbus.desk.errors import DeskError
from nrmbus.desk.http import batches
from nrmbus.desk.outbox import documents
from nrmbus.desk.web.acts import around, sending
from nrmbus.desk.web.acts.form import form_of
from nrmbus.desk.web.cases.case import Case
from nrmbus.desk.web.cases.pages import article, reason
from nrmbus.desk.web.shell import Pages, Visit, url
from nrmbus.events.codes import DocumentType
from nrmbus.events.document import LARGEST, PART_OF, DocumentShared
from nrmbus.web.frame import LANGUAGE
from nrmbus.wire.ids import new_event_id

routes: Final = Pages()

OTHER: Final = "other"
"""Kind of a paper that has none of its own: the last of the list."""

TYPE: Final = DocumentShared.type
_FIELDS: Final = 200
_ROOM: Final = 64 * 1024
"""Bytes of a form beside its file."""
_LONGEST: Final = 200
"""Characters of a file's name."""
_KEPT: Final = ("id", "document", "chunks", "media_type", "size", "sha256", "name")
"""Fields in which the page keeps what was uploaded."""


class _InMemory(MultiPartParser):
    spool_max_size = LARGEST + _ROOM


class _BeyondError(MultiPartException):
    """A form beyond the largest document; the parser then closes what it has read."""


class _TooLargeError(Exception):
    """A file beyond the largest document; *typed* is the rest of the form."""

    def __init__(self, typed: "Typed") -> None:
        super().__init__()
        self.typed = typed


@dataclass(frozen=True, slots=True)
class File:
    """Name and content of what somebody chose."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Typed:
    """The form as somebody filled it in, and the upload that the page keeps."""

    kind: str = ""
    to: tuple[str, ...] = ()
    kept: Mapping[str, str] | None = None
    is_language: bool = False
    """Whether the form only asks for its page in another language."""


@routes.get("/cases/{ref}/documents/share", may="publish")
async def ask(visit: Visit) -> Response:
    """Ask for a document, its kind, and the agencies that get it."""
    with visit.door.ledger.read() as tx:
        case = Case(visit, tx)
    return _form(case, Typed(), {})


@routes.post("/cases/{ref}/documents/share", may="publish")
async def upload(visit: Visit) -> Response:
    """Keep the document sealed for a day, and show what would be sent, to whom, and who will be able to read it."""
    with visit.door.ledger.read() as tx:
        case = Case(visit, tx)
    t, errors, typed = visit.t, dict[str, str](), Typed()
    try:
        typed, file = await _read(visit.request)
        visit.must_go_on()
        if file is not None:
            typed = replace(typed, kept=await _kept(visit, case, file))
    except _TooLargeError as error:
        large = DeskError("document_too_large")
        return _form(case, error.typed, {"file": t(large.sentence)}, status=large.status)
    except DeskError as error:
        return _form(case, typed, {"file": t(error.sentence)}, status=error.status)
    if typed.is_language:
        return _form(case, typed, {})
    if typed.kept is None:
        errors["file"] = t("Choose a file")
    if typed.kind not in get_args(DocumentType):
        errors["kind"] = t("Choose what kind of paper it is")
    if not typed.to or not set(typed.to) <= {agency for agency, _ in _agencies(case)}:
        errors["to"] = t("Choose who gets it")
    if errors:
        return _form(case, typed, errors)
    return await _check(case, typed)


@routes.post("/cases/{ref}/documents/send", may="publish")
async def send(visit: Visit) -> Response:
    """Publish the event that announces the document; its pieces follow by themselves. Safe to repeat."""
    form, door = await visit.form(), visit.door
    with door.ledger.read() as tx:
        case = Case(visit, tx)
    typed = Typed(form["kind"], tuple(sorted(form.all("to"))), {name: form[name] for name in _KEPT})
    await batches.publish(door, [_body(case, typed)], door.desk.speaks, lambda _: visit.must_go_on())
    return visit.see(f"/acts/{form['id']}/sent")


async def _read(request: Request) -> tuple[Typed, File | None]:
    """Return the fields and the file of a form. Raises _TooLargeError."""
    parser = _InMemory(request.headers, _bounded(request), max_files=1, max_fields=_FIELDS)
    try:
        form = await parser.parse()
    except _BeyondError:
        raise _TooLargeError(_typed(parser.items)) from None
    except (MultiPartException, KeyError):
        return Typed(), None
    try:
        found = [each for each in form.values() if isinstance(each, UploadFile) and each.filename]
        files = [File(each.filename or "", await each.read()) for each in found]
    finally:
        await form.close()
    return _typed(form.multi_items()), files[0] if files else None


def _typed(items: Iterable[tuple[str, UploadFile | str]]) -> Typed:
    pairs = [(name, value) for name, value in items if isinstance(value, str)]
    fields = dict(pairs)
    kept = {name: fields.get(name, "") for name in _KEPT} if fields.get("document") else None
    to = tuple(sorted(value for name, value in pairs if name == "to"))
    return Typed(fields.get("kind", ""), to, kept, fields.get("go") == LANGUAGE)


async def _bounded(request: Request) -> AsyncGenerator[bytes, None]:
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST + _ROOM:
            raise _BeyondError("")
        yield part


async def _kept(visit: Visit, case: Case, file: File) -> Mapping[str, str]:
    """Keep the content of *file* for the case; return what the page has to know of the upload.

    Raises:
        DeskError: ``document_unfit``, ``document_too_large``, ``documents_waiting``.
    """

    async def content() -> AsyncIterator[bytes]:
        yield file.content

    found = await documents.upload(visit.door.seat, case.subject, content())
    name = " ".join(file.name.replace("\\", "/").rpartition("/")[2].split())[-_LONGEST:]
    return {
        "id": new_event_id(int(visit.now.timestamp() * 1000)), "document": found.document, "chunks": str(found.chunks),
        "media_type": found.media_type, "size": str(found.size), "sha256": found.sha256, "name": name or "document",
    }  # fmt: skip


def _body(case: Case, typed: Typed) -> sending.Body:
    """Return the request that announces the document, as `POST /v1/events` takes it."""
    visit, kept = case.visit, typed.kept or {}
    numbers = {name: int(kept[name]) if kept[name].isdecimal() else 0 for name in ("chunks", "size")}
    file = {name: kept[name] for name in ("name", "media_type", "sha256")} | {"size": numbers["size"]}
    model, basis = sending.model_of(visit.door, TYPE), around.basis_of(visit, TYPE)
    part = next((of for kind, of in PART_OF.items() if kind == typed.kind), "story")
    return {
        "type": TYPE, "version": model.version, "id": kept["id"], "case": case.subject, "actor": visit.me.number,
        "document": kept["document"], "data": {**_data(typed), "chunks": numbers["chunks"]},
        "sealed": {f"{part}_file": file}, **({"legal_basis": basis} if basis else {}),
    }  # fmt: skip


def _data(typed: Typed) -> dict[str, Any]:
    return {"to": list(typed.to), "document_type": typed.kind}


def _agencies(case: Case) -> list[tuple[str, str]]:
    """Return the agencies that a document of the case may be sent to, with their names, those on the case first."""
    visit, field = case.visit, form_of(DocumentShared).named("data.to")
    assert field is not None  # noqa: S101 - for mypy: the model has it
    known = around.Case(case.subject, case.view, is_whole=case.is_whole, clocks=case.clocks)
    found = around.choices(visit, known, DocumentShared, {}, None).agencies(field)
    return sorted(found, key=lambda each: not case.view.on_case(each[0]))


def _form(case: Case, typed: Typed, errors: Mapping[str, str], status: int = 0) -> Response:
    t = case.visit.t
    kinds = sorted(
        ((kind, t.code("DocumentType", kind)) for kind in get_args(DocumentType)),
        key=lambda each: (each[0] == OTHER, each[1]),
    )
    return case.visit.page(
        "cases/share.html.j2", title=t("Share a document"), case=case, kinds=kinds, agencies=_agencies(case), typed=typed,
        errors=errors, has_errors=bool(errors), largest=LARGEST // 1_000_000, status=status or (422 if errors else 200),
        keeps=url(f"{case.path}/documents/share"),
    )  # fmt: skip


async def _check(case: Case, typed: Typed) -> Response:
    visit, t = case.visit, case.visit.t
    (found,) = await sending.checked(visit.door, [_body(case, typed)])
    known = around.Case(case.subject, case.view, is_whole=case.is_whole, clocks=case.clocks)
    part = next(of for kind, of in PART_OF.items() if kind == typed.kind)
    readers = around.readers_of(visit, known, DocumentShared, _data(typed), None).get(part, [])
    refused = ""
    if found["verdict"] == "refused":
        refused = " ".join((reason(visit, found["code"], found["sentence"]), article(found.get("article", ""))))
    return visit.page(
        "cases/share_check.html.j2", title=t("Check what you send"), case=case, typed=typed, refused=refused.strip(),
        kind=t.code("DocumentType", typed.kind), part=t.capital(t.code("part", part)), readers=readers,
        keeps=url(f"{case.path}/documents/share"), keeps_file=True, to=[case.agency(each) for each in typed.to], kilobytes=-(-int((typed.kept or {})["size"]) // 1000),
    )  # fmt: skip
