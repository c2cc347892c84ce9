"""What a lock file says: who holds it, and when that lapses."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

_WIDTH = 256
"""Every state is as long as the next, so that one write replaces it."""


def write(descriptor: int, owner: str, seconds: float) -> None:
    """Write who holds the lock for the next `seconds`."""
    state = json.dumps({"owner": owner, "expires": round(time.time() + seconds, 3)})
    os.pwrite(descriptor, state.ljust(_WIDTH).encode(), 0)
    os.fsync(descriptor)


def read(path: Path) -> tuple[str, float]:
    """Owner and expiry that a lock file names; an empty one is free."""
    try:
        content = path.read_bytes()
        if not content:
            return "", path.stat().st_mtime
        state = json.loads(content)
        return str(state["owner"]), float(state["expires"])
    except FileNotFoundError:
        return "", 0.0
    except (ValueError, KeyError, TypeError):
        return "unknown", path.stat().st_mtime


def same(descriptor: int, path: Path) -> bool:
    """Whether the path still names the file that was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
