"""Stop strings over a stream: text that may turn out to belong to one is kept back until it is known."""

from __future__ import annotations


class StopFilter:
    """Feed it tokens, send on what it returns; after `stopped`, nothing more comes. A stop string is not sent."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._kept = ""
        self._keep = max(map(len, stops), default=1) - 1
        self.stopped = False

    def feed(self, token: str) -> str:
        """Take in the next token; returns the text that is final with it."""
        self._kept += token
        found = [index for stop in self._stops if (index := self._kept.find(stop)) >= 0]
        if found:
            self.stopped = True
            final, self._kept = self._kept[: min(found)], ""
            return final
        cut = max(0, len(self._kept) - self._keep)
        final, self._kept = self._kept[:cut], self._kept[cut:]
        return final

    def flush(self) -> str:
        """What was kept back, at the end of the stream."""
        final, self._kept = self._kept, ""
        return final
