"""Looking for words that may stand nowhere: in the clear, or in base64, as the payload of a signed statement is."""

from base64 import b64encode
from pathlib import Path


def spellings(text: str) -> tuple[bytes, ...]:
    """How *text* may stand in bytes: plainly, or in base64 after any number of bytes, less the digits it shares with others."""
    raw = text.encode()
    encoded = [
        b64encode(bytes(before) + raw + bytes(3))[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        for before in range(3)
    ]
    return (raw, *encoded)


def holds(content: bytes, text: str) -> bool:
    """Whether *content* has *text* in any spelling."""
    return any(each in content for each in spellings(text))


def files_with(folder: Path, text: str) -> list[str]:
    """Every file below *folder* that has *text*, logs, ledgers and what SQLite keeps beside them included."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [str(path.relative_to(folder)) for path in files if holds(_content(path), text)]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # rolled away, or checkpointed, while we looked
        return b""
