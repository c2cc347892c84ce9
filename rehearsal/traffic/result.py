"""What became of all streams."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rehearsal.traffic.load import Load
from rehearsal.traffic.outcome import Ending, Outcome

_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Percentiles:
    """Of seconds; None of everything where nothing was measured."""

    p50: float | None
    p99: float | None
    most: float | None


@dataclass(frozen=True, kw_only=True)
class Result:
    """Streams by how they ended, latencies of the complete ones, and the lost ones themselves.

    `slow` are complete, and later than the load allows. `lag` is the generator's own: where it is not small beside the
    latencies, these are the generator's too. `by_pod` counts streams by who answered them, as far as they say so.
    """

    streams: int
    endings: Mapping[Ending, int]
    slow: int
    tokens: int
    seconds: float
    most_open: int
    first_token: Percentiles
    per_token: Percentiles
    longest_gap: Percentiles
    lag: Percentiles
    lost: tuple[Outcome, ...]
    by_pod: Mapping[str | None, int]

    @property
    def lost_on(self) -> Mapping[str | None, int]:
        """Lost streams by the pod that answered them; None is a stream that nobody answered."""
        return Counter(outcome.pod for outcome in self.lost)

    def summary(self) -> str:
        """Counts and latencies as people read them, and the first of what was lost."""
        lost = ", ".join(f"{count} {kind}" for kind, count in self.endings.items() if kind != Ending.COMPLETE)
        lines = [
            f"{self.streams} streams in {self.seconds:.1f} s, {self.most_open} open at most, {self.tokens} tokens",
            f"{self.endings.get(Ending.COMPLETE, 0)} complete, {self.slow} of them slow; lost: {lost or 'none'}",
            f"first token {_shown(self.first_token)}; a token {_shown(self.per_token)}",
            f"longest gap {_shown(self.longest_gap)}; sent late by {_shown(self.lag)}",
            *(
                f"{each.ending} at {each.due + each.total:.1f} s on {each.pod or 'nobody'}: "
                f"stream {each.number}, {each.detail}"
                for each in self.lost[:_SHOWN]
            ),
            *([f"and {len(self.lost) - _SHOWN} more lost"] if len(self.lost) > _SHOWN else []),
        ]
        return "\n".join(lines)


def result(load: Load, outcomes: Iterable[Outcome], *, most_open: int) -> Result:
    """Add up outcomes."""
    every = sorted(outcomes, key=lambda outcome: outcome.number)
    complete = [outcome for outcome in every if outcome.ending == Ending.COMPLETE]
    return Result(
        streams=len(every),
        endings=Counter(outcome.ending for outcome in every),
        slow=sum(is_slow(load, outcome) for outcome in complete),
        tokens=sum(outcome.tokens for outcome in every),
        seconds=max((outcome.due + outcome.total for outcome in every), default=0.0),
        most_open=most_open,
        first_token=_percentiles([each.first_token for each in complete if each.first_token is not None]),
        per_token=_percentiles([each.per_token for each in complete if each.per_token is not None]),
        longest_gap=_percentiles([each.longest_gap for each in complete]),
        lag=_percentiles([each.lag for each in every]),
        lost=tuple(each for each in every if each.ending != Ending.COMPLETE),
        by_pod=Counter(outcome.pod for outcome in every),
    )


def is_slow(load: Load, outcome: Outcome) -> bool:
    """Whether its first token came too late, or any other too long after the one before."""
    return (outcome.first_token or 0.0) > load.first_token_s or outcome.longest_gap > load.gap_s


def _percentiles(values: Sequence[float]) -> Percentiles:
    """By nearest rank: each is a value that was measured."""
    ranked = sorted(values)

    def at(share: float) -> float | None:
        return ranked[math.ceil(share * len(ranked)) - 1] if ranked else None

    return Percentiles(p50=at(0.5), p99=at(0.99), most=at(1))


def _shown(found: Percentiles) -> str:
    if found.p50 is None or found.p99 is None or found.most is None:
        return "not measured"
    return f"p50 {found.p50 * 1e3:.0f} ms, p99 {found.p99 * 1e3:.0f} ms, at most {found.most * 1e3:.0f} ms"
