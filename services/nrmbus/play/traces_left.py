"""Looks for words of a letter where none may stand: the broker's files or topics, the carriers' folders, every log."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from nrmbus.bus.folder import BusFolder
from nrmbus.play.trail import read_all
from nrmbus.wire.names import AUDITOR, REGISTRAR, TIMEKEEPER
from nrmbus.wire.record import Record

_SKIP: Final = {".index", ".timeindex", ".snapshot", ".checkpoint"}
_TOPICS: Final = r"nrm\..*"


def spellings(texts: Collection[str]) -> tuple[bytes, ...]:
    """Return the bytes that *texts* could stand as: UTF-8, and JSON with each letter as it is or in ASCII."""
    found = {text.encode() for text in texts}
    found |= {json.dumps(text, ensure_ascii=ascii)[1:-1].encode() for text in texts for ascii in (True, False)}
    return tuple(sorted(each for each in found if each))


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix not in _SKIP:
            yield path


def _holds(path: Path, needles: tuple[bytes, ...]) -> bool:
    try:
        content = path.read_bytes()
    except FileNotFoundError:  # rolled away while we looked
        return False
    return any(needle in content for needle in needles)


def places(folder: BusFolder) -> dict[str, tuple[Path, ...]]:
    """Carriers, and the folders in which each could leave traces. Logs are everybody's: they count as the broker's."""
    return {
        "broker": (folder.kafka, folder.logs),
        REGISTRAR: (folder.service(REGISTRAR), folder.service(TIMEKEEPER)),
        AUDITOR: (folder.service(AUDITOR),),
    }


def found(folder: BusFolder, texts: Collection[str]) -> tuple[str, ...]:
    """Return the sorted carriers (broker, registrar, auditor) that hold any of *texts* readably."""
    needles = spellings(texts)
    holders = {
        name
        for name, folders in places(folder).items()
        if any(_holds(path, needles) for each in folders if each.is_dir() for path in _files(each))
    }
    # The files of somebody else's cluster lie elsewhere; what is in its topics can be read.
    if needles and folder.settings.bootstrap and "broker" not in holders:
        records = (each.record for each in read_all(folder.as_operator, _TOPICS))
        holders |= {"broker"} if any(_carries(each, needles) for each in records) else set()
    return tuple(sorted(holders))


def _carries(record: Record, needles: tuple[bytes, ...]) -> bool:
    content = (record.key, record.value, *(value for _, value in record.headers))
    return any(needle in each for each in content if each for needle in needles)
