"""Secrets come from Secrets: what is written into a pod or a ConfigMap can be read by whoever may list those."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from typing import Any, Final

from inference_policy.pods import Container, pods
from inference_policy.resource import UNKNOWN, Resource, at, listed, mapping
from inference_policy.rule import Config, Rule, names

_SECRET: Final = re.compile(r"(?:^|_)(?:TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|API_?KEY|ACCESS_KEY|PRIVATE_KEY)$")
_MAYBE: Final = re.compile(r"(?<!PUBLIC)(?<!CACHE)(?:^|_)KEYS?$")
"""A secret where its value looks like one: OPENAI_KEY, and not SORT_KEY."""
_OF_THE_VOCABULARY: Final = re.compile(r"(?:^|_)(?:EOS|BOS|EOT|PAD|UNK|SEP|CLS|MASK|STOP|IMAGE|AUDIO|VIDEO)_TOKEN$")
_MARK: Final = re.compile(r"[<\[].*[>\]]$")
"""`</s>` is a token that no door opens to."""
_OPTION: Final = re.compile(
    r"--(?:(?:[\w-]+[-_])?api[-_]keys?|(?:hf|auth|access|api|bearer)[-_]token|token|(?:[\w-]+[-_])?password)(?:=.+)?$",
    re.DOTALL,
)
"""With a value, or followed by one."""
_VARIABLE: Final = re.compile(r"([A-Za-z_]\w*)=(.+)$", re.DOTALL)
_LINE: Final = re.compile(
    r"""(?:^|[{,])[ \t]*["']?(api[-_]?keys?|hf[-_]token|password)["']?[ \t]*[:=][ \t]*["'\[]*([^\s"'\]]+)""",
    re.MULTILINE | re.IGNORECASE,
)
_SHAPE: Final = re.compile(
    r"(?<![\w-])(?:hf_[A-Za-z0-9]{30,}|sk-(?:[a-z]+\d*-)*\w{20,}|nvapi-[\w-]{40,}|gh[pousr]_\w{36}|AKIA[0-9A-Z]{16})"
)
"""Tokens that say themselves what they are."""
_RUN: Final = re.compile(r"(?=[0-9]*[A-Za-z])(?=(?:[A-Za-z]*[0-9]){3})[A-Za-z0-9]{20,}")
_LEAST_LETTERS: Final = 8
"""Different ones in twenty or more: what is made by chance has them, and what is written for people has words."""


def by_reference(resource: Resource, config: Config) -> Iterator[str]:
    """Variables, options and lines whose names, or values, say that they are secrets. No message repeats one."""
    for pod in pods(resource):
        for container in pod.containers:
            for variable in listed(container.spec, "env"):
                name = str(at(variable, "name"))
                if name not in config["public"] and _is_secret(name, at(variable, "value")):
                    yield f"{container.title}: {name} is written out; take it from a Secret by valueFrom.secretKeyRef"
            for name in sorted(_in_command(container) - set(config["public"])):
                yield f"{container.title}: {name} is written out; let the engine read it from a mounted Secret"
    if resource.kind == "ConfigMap":
        for key, value in mapping(resource.inputs, "data").items():
            lines = [name for name, said in _LINE.findall(str(value)) if _random(said)]
            named = [key] if _is_secret(key, value) else []
            for name in dict.fromkeys([*named, *lines]):
                if name not in config["public"]:
                    yield f"{resource.title}: {name} is written out; a ConfigMap is no secret, make it a Secret"


def _is_secret(name: str, value: Any) -> bool:
    if not value or value is UNKNOWN:
        return False
    called, text = re.sub(r"[.-]", "_", name).upper(), str(value)
    if _SHAPE.search(text):
        return True
    if _OF_THE_VOCABULARY.search(called) or _MARK.match(text):
        return False
    return bool(_SECRET.search(called) or (_MAYBE.search(called) and _random(text)))


def _random(text: str) -> bool:
    """Whether a value of one word is made by chance."""
    found = _SHAPE.search(text) or (_RUN.search(text) if re.fullmatch(r"[\w+=-]+", text) else None)
    return found is not None and len(set(found[0].lower())) >= _LEAST_LETTERS


def _in_command(container: Container) -> set[str]:
    """Options, and variables of a shell's script, that have their secret beside them."""
    said = [each for key in ("command", "args") for each in listed(container.spec, key)]
    lines = [said, *(_words(each) for each in said if isinstance(each, str) and re.search(r"\s", each))]
    found = {name for line in lines for name in _options(line)}
    return found | {
        name
        for line in lines[1:]
        for name, value in (match.groups() for match in map(_VARIABLE.match, line) if match)
        if _given(value) and _is_secret(name, value)
    }


def _options(words: list[Any]) -> Iterator[str]:
    for word, following in itertools.pairwise([*words, ""]):
        if isinstance(word, str) and _OPTION.match(word):
            option, equals, value = word.partition("=")
            if _given(value if equals else following, beside=not equals):
                yield option


def _given(value: Any, *, beside: bool = False) -> bool:
    """Whether it is written here: `$(NAME)` and `$NAME` are a variable's, which may come from a Secret."""
    return isinstance(value, str) and bool(value) and not value.startswith(("$", "`", "-") if beside else ("$", "`"))


def _words(script: str) -> list[str]:
    try:
        return shlex.split(script)
    except ValueError:
        return script.split()


BY_REFERENCE: Final = Rule(
    name="secrets-by-reference",
    description="No token, key or password is written into a pod or a ConfigMap, as far as names and looks tell.",
    check=by_reference,
    settings={"public": names("Variables, options and entries that are no secret, whatever their names say.")},
)
