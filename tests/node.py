"""Programs for Node that judge our bytes: packages pinned by hash, installed once, without running anything of theirs."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path


def installed(home: Path, pinned: Path) -> Path | None:
    """A folder in *home* with what the folder *pinned* names, installed there once; None without npm, or without a network for it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    lock = (pinned / "package-lock.json").read_bytes()
    ready = home / "ready"
    if (ready / "node_modules").is_dir() and (ready / "package-lock.json").read_bytes() == lock:
        return ready
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(pinned / name, scratch)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        quick = {**os.environ, "npm_config_fetch_retries": "1", "npm_config_update_notifier": "false"}
        try:
            done = subprocess.run(command, cwd=scratch, capture_output=True, check=False, timeout=60, env=quick)
        except subprocess.TimeoutExpired:  # a network that swallows everything
            return None
        if done.returncode:
            return None
        shutil.rmtree(ready, ignore_errors=True)
        Path(scratch).rename(ready)
        Path(scratch).mkdir()
    return ready
