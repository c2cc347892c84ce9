"""Every image by its digest: a tag may be another image tomorrow, on the next node or the next day."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from inference_policy.pods import pods
from inference_policy.resource import UNKNOWN, Resource, at, listed
from inference_policy.rule import Config, Rule, names

_DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}$")
_TAG: Final = re.compile(r":(?!latest$)[\w.-]+$")


def by_digest(resource: Resource, config: Config) -> Iterator[str]:
    """Images of containers, and of volumes that are images."""
    for pod in pods(resource):
        images = [(each.title, at(each.spec, "image")) for each in pod.containers]
        images += [
            (f"{pod.title}, volume {at(each, 'name')}", at(each, "image", "reference"))
            for each in listed(pod.spec, "volumes")
            if at(each, "image") is not None
        ]
        for title, image in images:
            yield from (f"{title}: {problem}" for problem in _problems(image, config["tagged"]))


def _problems(image: Any, tagged: list[str]) -> Iterator[str]:
    if image is UNKNOWN or (isinstance(image, str) and _DIGEST.search(image)):
        return
    if not image:
        yield "has no image"
    elif not _TAG.search(image):
        yield f"{image} has neither digest nor version; find the digest with: oras resolve {image}"
    elif not image.startswith(tuple(tagged)):
        yield f"{image} has no digest; find it with: oras resolve {image}"


BY_DIGEST: Final = Rule(
    name="images-by-digest",
    description="Every image is named by its digest.",
    check=by_digest,
    settings={"tagged": names("Beginnings of images for which a tag other than latest will do.")},
)
