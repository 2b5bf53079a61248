"""The project's own files as the contract tests look at them."""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHES = {
    "__pycache__",
    ".git",
    ".venv",
    ".stamps",
    "build",
    "dist",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".hypothesis",
}


def files(root: Path = ROOT) -> list[Path]:
    """Every file of the project under *root*, sorted: what git holds or would take; without git, what is no cache."""
    if (root / ".git").exists():
        listed = subprocess.run(
            ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        paths = [root / name for name in listed.split("\0") if name]
    else:
        paths = [path for path in root.rglob("*") if not CACHES.intersection(path.relative_to(root).parts)]
    return sorted(path for path in paths if path.is_file())


def texts(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """Yield path below *root* and content of every text file; a file that is not UTF-8 is skipped."""
    for path in files(root):
        try:
            yield path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def lay(root: Path, tree: Mapping[str, str]) -> Path:
    """Write a small tree, path to text, for a checker to find fault with."""
    for name, text in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root
