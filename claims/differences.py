"""What differs between two versions of a resource's inputs, said as an engineer would.

The position of a list's item says little, and one item more shifts all that follow: so items that have a name go by
it, and the arguments of a command by their flag. `spec.template.spec` of a workload is `pod`.

    pod.containers[engine].args[--max-model-len]: 8192 -> 16384
    pod.containers[engine].env[VLLM_LOGGING_LEVEL].value: nothing -> DEBUG
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from claims.secret_names import named_secret, without_logins
from components.settings.concealment import masked

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine's protocol has for a value that is known after the update: pulumi/sdk, resource/plugin/rpc.go."""
KNOWN_LATER: Final = "(known after the update)"
SECRET: Final = "[secret]"  # noqa: S105 - what the engine shows for one
_SIGNATURE: Final = ("4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270")
"""Key and value of the map that stands for a secret in events: pulumi/sdk, resource/properties.go."""
LONGEST: Final = 160
_SECRETS: Final = ("data", "stringData")
_POD: Final = (("spec.template.spec.", "pod."), ("spec.leaderWorkerTemplate.", ""))
_STEP: Final = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")
_REPEATED: Final = re.compile(r" #\d+$")
_NAMES: Final = ("name", "mountPath", "containerPort", "key", "ipBlock")


@dataclass(frozen=True, kw_only=True, order=True)
class Difference:
    """One property; a side without it is None. Texts are masked, on one line, and cut where they are long."""

    path: str
    old: str | None
    new: str | None


def differences(old: Mapping[str, Any], new: Mapping[str, Any], *, kind: str) -> tuple[Difference, ...]:
    """Those of two versions of a resource's inputs, by path; a Secret's contents are hidden whatever they are."""
    left, right = (dict(_leaves(_hidden(each, kind), "")) for each in (old, new))
    return tuple(
        Difference(path=_short(path), old=_text(left, path), new=_text(right, path))
        for path in sorted({**left, **right})
        if path not in left or path not in right or left[path] != right[path]
    )


def at(path: str, inputs: Mapping[str, Any]) -> tuple[str, Any]:
    """A path of the engine's own, `spec.template.spec.containers[0].args[8]`, with names, and what is there or None."""
    node: Any = inputs
    told = ""
    for step in path.replace("[", ".[").split("."):
        index = step.removeprefix("[").removesuffix("]")
        if step.startswith("[") and isinstance(node, list) and index.isdecimal() and int(index) < len(node):
            names = list(_named(node))
            told, node = f"{told}[{names[int(index)] if len(names) == len(node) else index}]", node[int(index)]
        else:
            told = f"{told}.{step}" if told and not step.startswith("[") else f"{told}{step}"
            node = node.get(step) if isinstance(node, dict) else None
    return _short(told), node


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every value that holds no other, by its path; empty maps and lists are values."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            step = f"[{key}]" if any(each in key for each in "./ ") else f".{key}"
            yield from _leaves(value, f"{path}{step}".removeprefix("."))
    elif isinstance(node, list) and node:
        for name, value in _named(node).items():
            rest = {key: each for key, each in value.items() if each != name} if isinstance(value, dict) else value
            yield from _leaves(rest or value, f"{path}[{name}]")
    else:
        yield path, node


def _named(items: Sequence[Any]) -> dict[str, Any]:
    """The items by what tells them apart: their name, their flag, or else their position."""
    if all(isinstance(item, dict) for item in items):
        for key in _NAMES:
            names = [item.get(key) for item in items]
            if all(isinstance(name, str | int) for name in names) and len({*names}) == len(names):
                return dict(zip(map(str, names), items, strict=True))
    elif any(isinstance(item, str) and item.startswith("--") for item in items):
        return _flags([str(item) for item in items])
    return {str(index): item for index, item in enumerate(items)}


def _flags(words: Sequence[str]) -> dict[str, Any]:
    """A command's arguments: flags with their values, others by position; a flag that is repeated is numbered."""
    found: dict[str, Any] = {}
    flag = ""
    for index, word in enumerate(words):
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            times = sum(each == name or each.startswith(f"{name} #") for each in found)
            flag = f"{name} #{times + 1}" if times else name
            found[flag] = value if equals else True
            flag = "" if equals else flag
        elif flag and found[flag] is True:
            found[flag] = word
        else:
            found[str(index)] = word
    return found


def _hidden(inputs: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The inputs without what is secret: what the engine says is, and all that a Secret holds."""
    secret = _SECRETS if kind.endswith(":Secret") else ()
    return {key: _each_hidden(value) if key in secret else value for key, value in without_secrets(inputs).items()}


def _each_hidden(value: Any) -> Any:
    return dict.fromkeys(value, SECRET) if isinstance(value, dict) else SECRET


def without_secrets(node: Any) -> Any:
    """A tree with `SECRET` for each map that stands for one."""
    if isinstance(node, Mapping):
        key, value = _SIGNATURE
        return SECRET if node.get(key) == value else {name: without_secrets(each) for name, each in node.items()}
    return [without_secrets(each) for each in node] if isinstance(node, list) else node


def _short(path: str) -> str:
    for long, short in _POD:
        if path.startswith(long):
            return short + path.removeprefix(long)
    return path


def _secret_by_name(path: str, text: str) -> bool:
    """By the last step that is a name; of a variable's `value` that is the variable's."""
    steps = [_REPEATED.sub("", item or key) for item, key in _STEP.findall(path)]
    names = [step for step in steps if not step.isdecimal()]
    variable = any(step.lower().endswith("env") for step in names[:-1])
    if names[-1:] == ["value"] and len(names) > 1:
        names.pop()
    return bool(names) and named_secret(names[-1], text, variable=variable)


def _text(leaves: Mapping[str, Any], path: str) -> str | None:
    if path not in leaves:
        return None
    value = leaves[path]
    if value == UNKNOWN:
        return KNOWN_LATER
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if _secret_by_name(path, text):
        return SECRET
    text = without_logins(masked(text))
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
