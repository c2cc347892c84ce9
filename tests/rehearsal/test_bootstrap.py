"""The first step of every make target, before there is any Python of ours."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

BOOTSTRAP = Path(__file__).parents[2] / "rehearsal/bootstrap"


def test_a_cache_that_cannot_be_written_is_one_line() -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": "/proc/none"}
    done = subprocess.run([BOOTSTRAP], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: XDG_CACHE_HOME: cannot write to /proc/none/inference; ")
