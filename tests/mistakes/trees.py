"""Settings as nobody would write them: good stacks with parts of others, odd values, keys left out and added."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from hypothesis import strategies as st

from components.settings.schema import Json, node_at, settings_schema
from tests.mistakes.corpus import GOOD, configuration

Path = tuple[int | str, ...]
Change = Callable[[st.DrawFn, dict[str, Any]], None]
DEEPEST: Final = 3
"""Of what is taken over whole: a key of a model."""
STACKS: Final = tuple(map(configuration, GOOD))
ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 7, 2**31, 2**63, 0.5, -0.0, 1e308, math.inf, math.nan),
    *("", " ", "0", "-1", "1e9", "auto", "none", "a" * 300, "a\nb", "☃", "../..", "${stack}", "{", "[", "@sha256:"),
    *([], [[]], [None], ["a", "a"], {}, {"": 1}, {"secure": "v1:x:y"}, {"a.b": {"c": [1]}}),
)


@st.composite
def odd_stacks(draw: st.DrawFn) -> dict[str, Any]:
    """A stack that was good, after one to five changes of any kind."""
    return _changed(draw, (_replace, _replace_near, _leave_out, _add, _graft), draw(st.integers(1, 5)))


@st.composite
def likely_stacks(draw: st.DrawFn) -> dict[str, Any]:
    """A stack that was good, after one to four changes each of which might be meant."""
    return _changed(draw, (_replace_in_range, _replace_in_range, _scale, _graft), draw(st.integers(1, 4)))


def _changed(draw: st.DrawFn, changes: Sequence[Change], count: int) -> dict[str, Any]:
    config: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(STACKS)))
    for _ in range(count):
        draw(st.sampled_from(changes))(draw, config)
    return config


def _replace(draw: st.DrawFn, config: dict[str, Any]) -> None:
    """One value becomes something odd."""
    _put(config, draw(st.sampled_from(list(_paths(config)))), draw(st.sampled_from(ODD)))


def _replace_near(draw: st.DrawFn, config: dict[str, Any]) -> None:
    """One value becomes another that the schema has, or one just beyond."""
    path = draw(st.sampled_from(list(_paths(config))))
    node = node_at(settings_schema(), path)
    _put(config, path, draw(st.sampled_from([*_values(node), *_beyond(node)])))


def _replace_in_range(draw: st.DrawFn, config: dict[str, Any]) -> None:
    """One number, switch or choice of a section becomes another, which may not have been there before."""
    sections = [path for path in _paths(config) if isinstance(_at(config, path), dict)]
    path = draw(st.sampled_from(sections))
    properties = node_at(settings_schema(), path).get("properties", {})
    nodes = {key: node_at(settings_schema(), (*path, key)) for key in properties}
    simple = [key for key, node in nodes.items() if "enum" in node or _kind(node) in {"integer", "number", "boolean"}]
    if simple:
        key = draw(st.sampled_from(simple))
        _put(config, (*path, key), draw(st.sampled_from(_values(nodes[key]))))


def _scale(draw: st.DrawFn, config: dict[str, Any]) -> None:
    """One number becomes a half, twice or four times what it was."""
    numbers = [path for path in _paths(config) if isinstance(_at(config, path), int) and _at(config, path) is not True]
    path = draw(st.sampled_from(numbers))
    _put(config, path, max(1, int(_at(config, path) * draw(st.sampled_from((0.5, 0.75, 1.5, 2, 4))))))


def _leave_out(draw: st.DrawFn, config: dict[str, Any]) -> None:
    path = draw(st.sampled_from(list(_paths(config))))
    del _at(config, path[:-1])[path[-1]]


def _add(draw: st.DrawFn, config: dict[str, Any]) -> None:
    """A key that a section may have, or one that none has."""
    places = [(), *(path for path in _paths(config) if isinstance(_at(config, path), dict))]
    path = draw(st.sampled_from(places))
    properties = node_at(settings_schema(), path).get("properties", {})
    key = draw(st.sampled_from([*properties, "somethingElse"]))
    _put(config, (*path, key), draw(st.sampled_from(_values(node_at(settings_schema(), (*path, key))))))


def _graft(draw: st.DrawFn, config: dict[str, Any]) -> None:
    """A part of another stack, in the same place."""
    other = draw(st.sampled_from(STACKS))
    path = draw(st.sampled_from([path for path in _paths(other) if len(path) <= DEEPEST]))
    if isinstance(_parent(config, path), dict):
        _put(config, path, _at(other, path))


def _values(node: Json) -> list[Any]:
    """Values that a node of the schema has, those at the ends of its range among them."""
    if "enum" in node or "const" in node:
        return list(node.get("enum", [node.get("const")]))
    kind = _kind(node)
    if kind in {"integer", "number"}:
        least, most = node.get("minimum", 0), node.get("maximum", 1000)
        # Near the lower end, where most settings are.
        return [least, most, *(min(most, least + each) for each in (1, 2, 3, 7, 15, 63, 255))]
    examples = node.get("examples", [])
    item = next(iter(node.get("items", {}).get("examples", [])), None)
    by_kind: dict[Any, list[Any]] = {
        "boolean": [True, False],
        "array": [[], *([[item]] if item is not None else [])],
        "object": [{}],
        "string": ["one", "1Gi", "10m", "us-west-2a", "10.0.0.0/8"],
    }
    return [*examples, *by_kind.get(kind, [None])]


def _beyond(node: Json) -> list[Any]:
    """Values just beyond what a node of the schema has."""
    return ["other", "", *(node[bound] + step for bound, step in (("minimum", -1), ("maximum", 1)) if bound in node)]


def _kind(node: Json) -> str | None:
    kind = node["type"][0] if isinstance(node.get("type"), list) else node.get("type")
    return None if kind is None else str(kind)


def _paths(node: Any, path: Path = ()) -> Iterator[Path]:
    """Every key path below a node, those of maps and lists too."""
    items: Iterator[tuple[int | str, Any]] = iter(())
    if isinstance(node, Mapping):
        items = iter(node.items())
    elif isinstance(node, list):
        items = iter(enumerate(node))
    for key, value in items:
        yield (*path, key)
        yield from _paths(value, (*path, key))


def _at(node: Any, path: Path) -> Any:
    for step in path:
        node = node[step]
    return node


def _parent(config: Any, path: Path) -> Any:
    """What holds the last step of a path; None where an earlier one leads nowhere."""
    node = config
    for step in path[:-1]:
        node = node.get(step) if isinstance(node, dict) else None
    return node


def _put(config: Any, path: Path, value: Any) -> None:
    # A copy: what is drawn is drawn again.
    _at(config, path[:-1])[path[-1]] = copy.deepcopy(value)
