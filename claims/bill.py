"""The cost of a change, as the tables of a comment have it."""

from __future__ import annotations

from dataclasses import dataclass

from claims.cost import Cost, Line, Tokens, cost
from components.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Row:
    """Dollars an hour under one name."""

    name: str
    least: str
    most: str


@dataclass(frozen=True, kw_only=True)
class Position:
    """One line of the bill, in words."""

    key: str
    what: str
    nodes: str
    price: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Bill:
    """All that is said of the cost."""

    summary: str
    rows: tuple[Row, ...]
    lines: tuple[Position, ...]
    unknown: tuple[Line, ...]
    tokens: tuple[Tokens, ...]
    left_out: tuple[str, ...]


def bill(after: Cost, before: Cost | None) -> Bill:
    """What the stack costs after the change, and before, where there was one."""
    rows = [Row(name="with this change", least=dollars(after.least), most=dollars(after.most))]
    summary = f"{dollars(after.least)} to {dollars(after.most)}"
    if before is not None:
        least, most = delta(after.least - before.least), delta(after.most - before.most)
        rows = [
            Row(name="before", least=dollars(before.least), most=dollars(before.most)),
            *rows,
            Row(name="**change**", least=f"**{least}**", most=f"**{most}**"),
        ]
        summary += f" ({least} to {most})" if least != most else f" ({least})"
    return Bill(
        summary=f"{summary}, and what has no price" if after.unknown else summary,
        rows=tuple(rows),
        lines=tuple(map(_position, after.lines)),
        unknown=after.unknown,
        tokens=after.tokens,
        left_out=after.left_out,
    )


def told(settings: Settings) -> str:
    """The cost of a stack in one line, below its claims."""
    found = cost(settings)
    if not found.most:
        return "cost: of none of its nodes is a price known; inference:prices takes yours"
    return f"cost an hour, at least and at most: {bill(found, None).summary}"


def dollars(amount: float) -> str:
    """`dollars(1234.5) == "$1,234.50"`."""
    return f"${amount:,.2f}"


def delta(amount: float) -> str:
    """`delta(-3) == "-$3.00"`; what rounds to nothing is no change."""
    if round(amount, 2) == 0:
        return "no change"
    return f"{'-' if amount < 0 else '+'}{dollars(abs(amount))}"


def _position(line: Line) -> Position:
    nodes = str(line.most) if line.least == line.most else f"{line.least} to {line.most}"
    price = "unknown" if line.price is None else f"${line.price:,.3f}"
    return Position(key=line.key, what=line.what, nodes=nodes, price=price, source=line.source)
