"""Commands that ask an engine for one token, from inside its container: a probe that proves the model."""

from __future__ import annotations

import json
from typing import Final

KEY_FILE: Final = "/etc/inference/api-keys/config.yaml"
"""Where an engine that wants keys has them, the first of which the probe takes: JSON, which YAML is a superset of."""

# The engine's image has a Python, its own; curl is in few of them. It tries until its time is over, so that a model is
# found to serve within half a second of doing so, however seldom the probe is run. No traceback: what a probe says is
# one event, and no event shows a key.
_ASK: Final = """\
import json, sys, time, urllib.request
url, body, end = sys.argv[1], sys.argv[2].encode() or None, time.monotonic() + float(sys.argv[3])
headers = {"Content-Type": "application/json"}
try:
    headers["Authorization"] = "Bearer " + json.load(open(sys.argv[4]))["api-key"][0]
except FileNotFoundError:
    pass
while True:
    left = end - time.monotonic()
    try:
        sys.exit(not urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=max(left, 0.1)).read())
    except Exception as error:
        if left <= 0.6:
            sys.exit(f"no token yet: {error}")
    time.sleep(0.5)
"""

# For images without a Python of their own: bash speaks TCP. The first question is asked by a process that outlives the
# probe, because an engine that loads its model on request gives the load up when the one who asked hangs up; what it
# found is in a file that belongs to this start of process 1. After that each probe asks for itself.
_ASK_SHELL: Final = r"""
ask() {
  exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
  printf 'POST %s HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
    "$2" "${#3}" "$3" >&3
  read -r -u 3 _ status _ && [ "$status" = 200 ]
}
read -r -a process < /proc/1/stat
state="${HOME:-/tmp}/.first-token-${process[21]}"
until [ -e "$state.answered" ]; do
  if mkdir "$state" 2>/dev/null; then
    { ask "$@" && : > "$state.answered"; rmdir "$state"; } < /dev/null > /dev/null 2>&1 &
  fi
  if [ "$SECONDS" -ge "$4" ]; then echo "no token yet" >&2; exit 1; fi
  sleep 0.5
done
ask "$@" 2>/dev/null || { echo "no token" >&2; exit 1; }
"""


def completion(name: str, port: int, path: str, seconds: int) -> tuple[str, ...]:
    """Ask an OpenAI-compatible completions API for one token, and give up within the seconds that a probe may take."""
    return post(port, path, _completion(name), seconds)


def post(port: int, path: str, body: object, seconds: int) -> tuple[str, ...]:
    """As `completion`, for an API of another kind."""
    return _command(port, path, json.dumps(body), seconds)


def get(port: int, path: str, seconds: int) -> tuple[str, ...]:
    """As `completion`, for an engine that has a question of its own."""
    return _command(port, path, "", seconds)


def shell_completion(name: str, port: int, path: str, seconds: int) -> tuple[str, ...]:
    """As `completion`, without a Python, and for engines that load their model when first asked."""
    body = json.dumps(_completion(name))
    return ("bash", "-c", _ASK_SHELL, "ask", str(port), path, body, str(_own(seconds)))


def _completion(name: str) -> dict[str, object]:
    return {"model": name, "prompt": "1", "max_tokens": 1}


def _command(port: int, path: str, body: str, seconds: int) -> tuple[str, ...]:
    return ("python3", "-c", _ASK, f"http://127.0.0.1:{port}{path}", body, str(_own(seconds)), KEY_FILE)


def _own(seconds: int) -> int:
    """Seconds of the command itself: the kubelet counts from before the interpreter starts."""
    return max(1, seconds - 1)
