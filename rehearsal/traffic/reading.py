"""One stream's server-sent events as they come: tokens, their times, and how it says that it ends."""

from __future__ import annotations

import json
from typing import Any


class Reading:
    """Feed it what arrives; it holds what the stream has said so far. Times are of the caller's clock, in seconds."""

    def __init__(self) -> None:
        self.text = ""
        self.events = 0
        self.counted: int | None = None
        """Tokens as the engine counted them: it may put several into one event."""
        self.finish_reason: str | None = None
        self.done = False
        self.fault: str | None = None
        """What the stream says that no stream should: an error, words after its end, no JSON."""
        self.first_token_at: float | None = None
        self.last_token_at: float | None = None
        self.longest_gap = 0.0
        self._rest = b""

    @property
    def tokens(self) -> int:
        """Tokens that arrived, as far as is known: an event without a count is one."""
        return self.events if self.counted is None else self.counted

    def feed(self, data: bytes, at: float) -> None:
        """Take in bytes that arrived at this time, cut anywhere."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            # Other lines separate events, or are comments that keep a connection open.
            if line.startswith(b"data:"):
                self._event(line.removeprefix(b"data:").strip(), at)

    def _event(self, data: bytes, at: float) -> None:
        if self.done:
            self.fault = self.fault or "an event after [DONE]"
        elif data == b"[DONE]":
            self.done = True
        else:
            try:
                self._chunk(json.loads(data), at)
            except (ValueError, TypeError, KeyError, AttributeError):
                self.fault = self.fault or f"no chunk of a completion: {data[:80].decode(errors='replace')}"

    def _chunk(self, chunk: dict[str, Any], at: float) -> None:
        if error := chunk.get("error"):
            self.fault = self.fault or f"error: {error.get('message', error)}"
            return
        if usage := chunk.get("usage"):
            self.counted = usage["completion_tokens"]
        for choice in chunk["choices"]:
            if content := choice["delta"].get("content"):
                self.text += content
                self.events += 1
                self._token(at)
            self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def _token(self, at: float) -> None:
        if self.first_token_at is None:
            self.first_token_at = at
        elif self.last_token_at is not None:
            self.longest_gap = max(self.longest_gap, at - self.last_token_at)
        self.last_token_at = at
