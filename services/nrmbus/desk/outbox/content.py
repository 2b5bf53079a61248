"""Content of a document: its kind, its size, and whether an announcement says the same of it. Pure: no ledger, no keys."""

import codecs
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from nrmbus.desk.errors import DeskError
from nrmbus.events.document import (
    CHUNK,
    LARGEST,
    PART_OF,
    DocumentFile,
    DocumentShared,
    DocumentSharedLetter,
    MediaType,
)
from nrmbus.events.errors import Problem
from nrmbus.events.model import Draft

_BEGINNINGS: Final[tuple[tuple[bytes, MediaType], ...]] = (
    (b"%PDF-", "application/pdf"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)
TEXT: Final[MediaType] = "text/plain"
_CONTROLS: Final = bytes(each for each in range(0x20) if each not in b"\t\n\f\r") + b"\x7f"


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload: its id, the file without its name, and the number of its chunks."""

    document: str
    media_type: MediaType
    size: int
    sha256: str
    ends: str

    @property
    def chunks(self) -> int:
        """Return the number of chunks."""
        return -(-self.size // CHUNK)

    @classmethod
    def of(cls, document: str, content: bytes, ends: str) -> Self:
        """Return the upload *document* with the whole *content*.

        Raises:
            DeskError: ``document_unfit``, ``document_too_large``.
        """
        if len(content) > LARGEST:
            raise DeskError("document_too_large")
        if not content:
            raise DeskError("document_unfit")
        kind = Kind().read(content, is_last=True)
        return cls(document, kind, len(content), sha256(content).hexdigest(), ends)


def _by_beginning(piece: bytes) -> MediaType:
    for beginning, kind in _BEGINNINGS:
        if piece.startswith(beginning):
            return kind
    return TEXT


class Kind:
    """Kind of content, by the content alone: what a name or a header claims counts for nothing."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._found: MediaType | None = None
        self._text = codecs.getincrementaldecoder("utf-8")()

    def read(self, piece: bytes, *, is_last: bool) -> MediaType:
        """Return the kind by the content so far, of which *piece* is the next.

        Raises:
            DeskError: ``document_unfit``.
        """
        found = self._found or _by_beginning(piece)
        if found == TEXT and not self._is_text(piece, is_last=is_last):
            raise DeskError("document_unfit")
        self._found = found
        return found

    def _is_text(self, piece: bytes, *, is_last: bool) -> bool:
        try:
            self._text.decode(piece, final=is_last)
        except UnicodeDecodeError:
            return False
        return len(piece) == len(piece.translate(None, _CONTROLS))


def differing(draft: Draft, found: Upload) -> list[Problem]:
    """Return the places at which the announcement *draft* says anything else of the file than the upload *found*."""
    data, letter = draft.data, draft.letter
    assert isinstance(data, DocumentShared)  # noqa: S101 - for mypy: the type of the draft says so
    problems = [] if data.chunks == found.chunks else [Problem("/data/chunks", "differs")]
    right = f"{PART_OF[data.document_type]}_file"
    for name in DocumentSharedLetter.model_fields:
        file = getattr(letter, name, None)
        if name == right and not isinstance(file, DocumentFile):
            problems.append(Problem(f"/sealed/{name}", "missing"))
        elif name == right:
            same = ("media_type", "size", "sha256")
            problems += [
                Problem(f"/sealed/{name}/{each}", "differs")
                for each in same
                if getattr(file, each) != getattr(found, each)
            ]
        elif isinstance(file, DocumentFile):
            problems.append(Problem(f"/sealed/{name}", "wrong_part"))
    return problems
