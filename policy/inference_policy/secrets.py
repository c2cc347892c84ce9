"""Secrets come from Secrets: what is written into a pod can be read by whoever may list pods."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Final

from inference_policy.pods import pods
from inference_policy.resource import Resource, at, listed
from inference_policy.rule import Config, Rule, names

_SECRET: Final = re.compile(r"(?:^|_)(?:TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|API_?KEY|ACCESS_KEY|PRIVATE_KEY)$")
_OPTION: Final = re.compile(r"--(?:api-key|hf-token|token|password)(?:=(?!\$\().+)?$")
"""With a value, or followed by one; `$(NAME)` is the value of a variable, which may come from a Secret."""


def by_reference(resource: Resource, config: Config) -> Iterator[str]:
    """Variables and options whose names say that they are secrets. No message repeats one."""
    for pod in pods(resource):
        for container in pod.containers:
            for variable in listed(container.spec, "env"):
                name = str(at(variable, "name"))
                if _SECRET.search(name.upper()) and at(variable, "value") and name not in config["public"]:
                    yield f"{container.title}: {name} is written out; take it from a Secret by valueFrom.secretKeyRef"
            words = [str(each) for key in ("command", "args") for each in listed(container.spec, key)]
            for word, following in itertools.pairwise([*words, ""]):
                given = "=" in word or (bool(following) and not following.startswith(("-", "$(")))
                if _OPTION.match(word) and given:
                    option = word.partition("=")[0]
                    yield f"{container.title}: {option} is written out; let the engine read it from a mounted Secret"


BY_REFERENCE: Final = Rule(
    name="secrets-by-reference",
    description="No token, key or password is written into a pod.",
    check=by_reference,
    settings={"public": names("Variables that are no secret, whatever their names say.")},
)
