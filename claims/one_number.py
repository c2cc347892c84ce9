"""Whether a PromQL query yields one number: all that it reads of Prometheus stands inside an aggregation."""

from __future__ import annotations

import re
from typing import Final

_AGGREGATION: Final = re.compile(r"\b(?:sum|avg|min|max|count)\s*(by\s*\(le\)\s*)?\(")
_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`')
_OF_LE: Final = re.compile(r"\bhistogram_quantile\s*\(\s*[\d.]+\s*,\s*LE\s*\)")
_NAME: Final = re.compile(r"(?<![\w.])[a-zA-Z_:][\w:]*")
# What may stand beside aggregations and makes no series of its own.
_HARMLESS: Final = frozenset(
    {"and", "or", "unless", "bool", "on", "ignoring", "vector", "scalar", "time", "abs", "ceil", "floor", "round"}
    | {"clamp", "clamp_min", "clamp_max", "inf", "nan"}
)
_SELECTOR: Final = re.compile(r"\b([a-zA-Z_:][a-zA-Z0-9_:]*)\{")
_HISTOGRAM: Final = "_bucket"
_OF_PROMETHEUS: Final = frozenset({"up"})


def metrics_in(query: str) -> list[str]:
    """Names of the engine's metrics that a query reads, each once, and histograms without their ending."""
    names = (match[1].removesuffix(_HISTOGRAM) for match in _SELECTOR.finditer(query))
    return [name for name in dict.fromkeys(names) if name not in _OF_PROMETHEUS]


def is_one_number(query: str) -> bool:
    """False where a part of the query is a number for each series, as a metric that is not summed, or may be."""
    rest = _TEXT.sub('""', query)
    while match := _AGGREGATION.search(rest):
        # By `le` it is a number for each bucket, of which histogram_quantile makes one.
        result = "LE" if match[1] else "1"
        rest = f"{rest[: match.start()]}{result}{rest[_closing(rest, match.end()) :]}"
    rest = _OF_LE.sub("1", rest)
    return "[" not in rest and all(name.lower() in _HARMLESS for name in _NAME.findall(rest))


def _closing(text: str, start: int) -> int:
    """Just behind the bracket that closes one opened before `start`."""
    depth = 1
    for index in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index + 1
    return len(text)
