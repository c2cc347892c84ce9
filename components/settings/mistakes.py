"""Mistakes in the settings, one line each: key path, what is wrong, what is allowed, and what puts it right."""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import ErrorDetails

from components.settings.claims import CLAIM_KEY_ALLOWED
from components.settings.concealment import HIDDEN, masked
from components.settings.schema import Json, allowed, full_key, kinds, node_at, without_kinds
from components.settings.types import OWN_TAGS

LONGEST_VALUE: Final = 80
_REVOKE: Final = (
    f"what is {HIDDEN} here looks like a secret, and stands in clear in the stack file: take it out and revoke it; "
    "what signs in is a Secret: weights.credentials, or inference:hfToken"
)

_PROBLEMS: Final = {
    "missing": "is missing",
    "int_type": "{value} is not an integer",
    "int_parsing": "{value} is not an integer",
    "int_from_float": "{value} is not an integer",
    "float_type": "{value} is not a number",
    "float_parsing": "{value} is not a number",
    "bool_type": "{value} is not true or false",
    "bool_parsing": "{value} is not true or false",
    "string_type": "{value} is not text",
    "tuple_type": "{value} is not a list",
    "dict_type": "{value} is not a map",
    "mapping_type": "{value} is not a map",
    "model_type": "{value} is not a map",
    "model_attributes_type": "{value} is not a map",
    "literal_error": "{value} is not available",
    "string_pattern_mismatch": "{value} is not valid",
    "string_too_long": "{value} is longer than {max_length} characters",
    "greater_than_equal": "{value} is less than {ge}",
    "less_than_equal": "{value} is more than {le}",
}

# What somebody may well write for a kind of section.
_MEANS: Final = {"eks": "aws", "amazon": "aws", "k8s": "kubernetes", "lustre": "fsx", "ebs": "gp3"}


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake of the user, and its way out."""

    key: str
    problem: str
    allowed: str
    fix: str

    def __str__(self) -> str:
        """The line, which goes to terminals and logs: what looks like a secret is not shown, wherever it was pasted."""
        parts = (self.key, f": {self.problem}", f"; allowed: {self.allowed}", f"; {self.fix}")
        line = "".join(map(masked, parts))
        return f"{line}; {_REVOKE}" if HIDDEN in line else line


def key_path(path: Sequence[int | str]) -> str:
    """A key path as `pulumi config set --path` reads it: `inference:models.chat.engineArgs[0]`."""
    first, *rest = path
    steps = "".join(
        f"[{step}]"
        if isinstance(step, int)
        else f".{step}"
        if step.replace("-", "").isalnum()
        else f"[{json.dumps(step)}]"
        for step in rest
    )
    return f"{full_key(str(first))}{steps}"


def from_pydantic(error: ErrorDetails, schema: Json) -> Mistake:
    """The mistake that one of pydantic's errors stands for; `schema` is that of the settings."""
    context = error.get("ctx", {})
    # A check that compares two keys names the one to change: pydantic knows the one that was being checked.
    named = context.get("path") or ((*error["loc"][:-1], *context["at"]) if "at" in context else error["loc"])
    path = without_kinds(schema, named)
    if error["loc"][-1] == "[key]":
        return _bad_name(path[:-1])
    if error["type"] == "extra_forbidden":
        return unknown_key(path, list(node_at(schema, error["loc"][:-1])["properties"]))
    if error["type"] in {"union_tag_not_found", "union_tag_invalid"}:
        return _no_kind(error, path, schema)
    key, node = key_path(path), node_at(schema, named)
    example = context.get("example", _example(node))
    return Mistake(
        key=key,
        problem=_problem(error, context),
        allowed=context.get("allowed") or allowed(node),
        fix=context.get("fix") or set_with(key, example),
    )


def refused(
    path: Sequence[int | str], problem: str, *, allowed: str, fix: str | None = None, example: object = None
) -> Mistake:
    """A mistake that only the settings as a whole show; `example` is a value that would do, where there is no `fix`."""
    key = key_path(path)
    return Mistake(key=key, problem=problem, allowed=allowed, fix=fix or set_with(key, example))


def without_misspelt(errors: Sequence[ErrorDetails], schema: Json) -> list[ErrorDetails]:
    """The errors without "is missing" for a key that is there misspelt: the unknown key's line names it already."""
    misspelt = {
        (*error["loc"][:-1], *_nearest(error["loc"][-1], list(node_at(schema, error["loc"][:-1])["properties"])))
        for error in errors
        if error["type"] == "extra_forbidden"
    }
    return [error for error in errors if error["type"] != "missing" or error["loc"] not in misspelt]


def _no_kind(error: ErrorDetails, path: Sequence[int | str], schema: Json) -> Mistake:
    """A section of which there are several kinds, without the key that says which, or with another value of it."""
    choices = list(kinds(schema, node_at(schema, error["loc"])))
    discriminator = error["ctx"]["discriminator"].strip("'")
    key = key_path((*path, discriminator))
    given = error["input"].get(discriminator)
    meant = str(given).lower()
    near = _nearest(_MEANS.get(meant, meant), choices) or choices
    return Mistake(
        key=key,
        problem="is missing" if given is None else f"{quote(given)} is not available",
        allowed=", ".join(choices),
        fix=set_with(key, near[0]),
    )


def unknown_key(path: Sequence[int | str], known: Sequence[str]) -> Mistake:
    """A key that nothing reads: most often a slip of the pen, so the nearest name comes with it."""
    near = _nearest(path[-1], known)
    remove = f"pulumi config rm --path {_single(key_path(path))}"
    return Mistake(
        key=key_path(path),
        problem="is not a setting" + (f"; did you mean {near[0]}?" if near else ""),
        allowed=", ".join(known),
        fix=f"rename it in the stack file, or remove it with: {remove}",
    )


def without_counts_of_the_rest(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """The errors without those of lists too short once an item was refused: the item's own line says what is wrong."""
    parents = {error["loc"][:-1] for error in errors}
    return [error for error in errors if error["type"] != "too_short" or error["loc"] not in parents]


def _nearest(name: int | str, known: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(str(name), known, n=1)


def _bad_name(path: Sequence[int | str]) -> Mistake:
    text = {
        "accept": CLAIM_KEY_ALLOWED,
        "annotations": "an annotation key",
        "env": "an environment variable's name",
        "instanceTypes": "an EC2 instance type such as g6e.4xlarge",
        "labels": "a label key",
        "nodeSelector": "a label key",
        "subnets": "an availability zone such as us-west-2a",
        "tags": f"a tag's key: at most 128 characters, not aws:*, {', '.join(OWN_TAGS)}",
    }
    parent = str(path[-2])
    return Mistake(
        key=key_path(path),
        problem=f"{quote(path[-1])} is not a valid name",
        allowed=text.get(parent, "lower-case letters, digits and hyphens, first a letter, at most 40 characters"),
        fix="rename it in the stack file",
    )


def _problem(error: ErrorDetails, context: dict[str, Any]) -> str:
    if error["type"] in {"too_short", "too_long"}:
        # With a longer list pydantic counts only up to the first too many.
        count = len(error["input"])
        return "is empty" if count == 0 else f"has {count} item{'' if count == 1 else 's'}"
    template = _PROBLEMS.get(error["type"])
    if template is not None:
        return template.format(value=quote(error["input"]), **context)
    if context.get("hide") or isinstance(error["input"], dict | list | None):
        return error["msg"]
    return f"{quote(error['input'])} {error['msg']}"


def quote(value: object) -> str:
    """A value as it is in a stack file, cut where it is long: hidden before, since half a secret looks like none."""
    text = masked(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "..."


def _example(node: Json) -> object:
    """A value that would do, if there is one that fits on a command line."""
    candidates = (
        node.get("default"),
        *node.get("examples", ()),
        node.get("const"),
        *node.get("enum", ())[:1],
        node.get("minimum"),
    )
    return next((value for value in candidates if value is not None and not isinstance(value, dict | list)), None)


def set_with(key: str, example: object) -> str:
    """The command that sets a key to a value that would do; where there is none, the way to the stack file."""
    if example is None:
        return "write it in the stack file; the README's table of settings has its keys"
    value = str(example).lower() if isinstance(example, bool) else str(example)
    return f"set it with: pulumi config set --path {_single(key)} {shlex.quote(value)}"


def _single(key: str) -> str:
    return f"'{key}'"
