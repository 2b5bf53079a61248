"""Documents: the announcement, and how many chunks of it came."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nrmbus.rules.changes import Changes, Folder, put
from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.records import Document


def _shared(context: EventContext, _: Mark) -> Changes:
    document = Document(context.source, context.recipients, value(context.event, "chunks", 0))
    return {"documents": put(context.view.documents, context.event.id, document)}


def _chunk_sent(context: EventContext, _: Mark) -> Changes:
    document, id = context.document, context.event.causationid
    if document is None or id is None:
        return {}
    came = replace(document, came=value(context.event, "index", 0) + 1)
    return {"documents": put(context.view.documents, id, came)}


DOCUMENT: Final[Mapping[str, Folder]] = {"document.shared": _shared, "document.chunk_sent": _chunk_sent}
