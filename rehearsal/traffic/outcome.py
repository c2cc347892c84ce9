"""What became of one stream. Pure: what was asked, what was read and how the connection ended decide it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rehearsal.traffic.load import Asked
from rehearsal.traffic.reading import Reading


class Ending(StrEnum):
    """How a stream ended; all but `complete` are lost."""

    COMPLETE = "complete"
    REFUSED = "refused"
    """No answer began: no connection, an HTTP error, or an abort before the first token, as vLLM refuses in a drain."""
    TRUNCATED = "truncated"
    """It began and was cut: the connection ended without a finish reason or `[DONE]`."""
    ABORTED = "aborted"
    """The engine ended it itself: finish reason `abort`, or an error among the events."""
    DAMAGED = "damaged"
    """It ended well, and a token is missing, doubled or another's."""
    STALLED = "stalled"
    """It said nothing for longer than anyone waits."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One stream; times in seconds. `due` counts from the start of the traffic, the latencies from `due`."""

    number: int
    ending: Ending
    detail: str
    """Why it is lost; empty where it is not."""
    pod: str | None
    """Who answered, where the answer says so."""
    due: float
    lag: float
    """From when it was due to when it was sent: the generator's own delay, and the wait for its turn."""
    total: float
    first_token: float | None
    per_token: float | None
    longest_gap: float
    tokens: int


def ending(asked: Asked, read: Reading, broke: str | None, *, opened: bool, silent: bool) -> tuple[Ending, str]:
    """How a stream ended, and why it counts as that.

    `opened`: there was an answer with HTTP 200. `broke`: how the connection failed. `silent`: it was given up.
    """
    if silent:
        return Ending.STALLED, broke or "silence"
    if not opened:
        return Ending.REFUSED, broke or "no answer"
    reason = read.finish_reason
    if read.fault or (reason and reason not in ("stop", "length")):
        why = read.fault or f"finish_reason {reason}"
        return (Ending.ABORTED if read.events else Ending.REFUSED), f"{why} after {read.events} tokens"
    if broke or not reason or not read.done:
        why = broke or ("no [DONE]" if reason else "no finish_reason")
        return Ending.TRUNCATED, f"{why} after {read.events} tokens"
    damage = _damage(asked, read)
    return (Ending.DAMAGED, damage) if damage else (Ending.COMPLETE, "")


def _damage(asked: Asked, read: Reading) -> str:
    """What is wrong with an answer that ended well; empty where nothing is."""
    if asked.text is not None and read.text != asked.text:
        return _difference(asked.text, read.text)
    return "" if read.tokens == asked.tokens else f"{read.tokens} tokens, not {asked.tokens}"


def _difference(owed: str, came: str) -> str:
    """The first word that is another one."""
    pairs = enumerate(zip([*owed.split(), ""], [*came.split(), ""], strict=False), start=1)
    number, (wanted, found) = next(((at, pair) for at, pair in pairs if pair[0] != pair[1]), (0, ("", "")))
    return f"token {number} is {found!r}, not {wanted!r}"
