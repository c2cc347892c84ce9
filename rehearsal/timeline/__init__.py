"""What happened in the course of a scenario, drawn as SVG: panels one below the other, over the same seconds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

WIDTH, HEIGHT = 860, 120
"""Of a panel's plot, in pixels."""
COLOURS = ("#1f6feb", "#d1242f", "#2da44e", "#bf8700")
TICKS = 4


@dataclass(frozen=True, kw_only=True)
class Line:
    """One measure: seconds and values, in order. `holds`: each value lasts until the next, as a count does."""

    name: str
    points: Sequence[tuple[float, float]]
    holds: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Lines of one unit, which the title names."""

    title: str
    lines: tuple[Line, ...]


def draw(title: str, panels: Sequence[Panel]) -> str:
    """The drawing's text; a line without points is left out."""
    seconds = [at for panel in panels for line in panel.lines for at, _ in line.points]
    first, last = min(seconds, default=0.0), max(seconds, default=1.0)
    span = last - first or 1.0
    drawn = []
    for panel in panels:
        values = [value for line in panel.lines for _, value in line.points]
        top = ceiling(max(values, default=1.0))
        lines = [
            (line.name, colour, path(line, first, span, top))
            for line, colour in zip(panel.lines, COLOURS, strict=False)
            if line.points
        ]
        ticks = [(top * n / TICKS, HEIGHT - HEIGHT * n / TICKS) for n in range(TICKS + 1)]
        drawn.append((panel.title, lines, ticks))
    step = ceiling(span / 10)
    times = [(n * step, WIDTH * n * step / span) for n in range(int(span / step) + 1)]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, autoescape=True
    )
    template = environment.get_template("timeline.svg.j2")
    return template.render(title=title, panels=drawn, times=times, width=WIDTH, height=HEIGHT)


def ceiling(value: float) -> float:
    """The least 1, 2 or 5 times a power of ten that is not below the value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


def path(line: Line, first: float, span: float, top: float) -> str:
    """The points as an SVG path in a panel's own pixels."""
    corners = [(WIDTH * (at - first) / span, HEIGHT * (1 - value / top)) for at, value in line.points]
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in (_held(corners) if line.holds else corners))


def _held(corners: Sequence[tuple[float, float]]) -> Iterable[tuple[float, float]]:
    """With a corner before each change."""
    yield corners[0]
    for (_, before), (x, y) in itertools.pairwise(corners):
        yield (x, before)
        yield (x, y)
