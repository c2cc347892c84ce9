"""Commands that ask an engine for one token, from inside its container: a startup probe that proves the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # settings look up profiles, so that an import at run time would be a circle
    from components.settings import Model

# The engine's image has a Python, its own; curl is in few of them. No traceback: a probe's output is one event.
_ASK: Final = """\
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], sys.argv[2].encode(), {"Content-Type": "application/json"})
try:
    sys.exit(not urllib.request.urlopen(request, timeout=float(sys.argv[3])).read())
except OSError as error:
    sys.exit(f"no token yet: {error}")
"""


def completion(name: str, port: int, path: str, model: Model) -> tuple[str, ...]:
    """Ask an OpenAI-compatible completions API for one token; ends before the probe's own time limit."""
    body = json.dumps({"model": name, "prompt": "1", "max_tokens": 1})
    timeout = str(max(1, model.probes.readiness.timeout_seconds - 1))
    return ("python3", "-c", _ASK, f"http://127.0.0.1:{port}{path}", body, timeout)
