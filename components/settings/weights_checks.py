"""Whether a model's weights can come from its source, with what is said about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from components.settings import weights_files_checks, weights_place_checks
from components.settings.eks import EksCluster
from components.settings.mistakes import Mistake, quote, refused
from components.settings.schema import allowed, node_at, settings_schema
from components.settings.section import alias
from components.settings.source_forms import ENGINES
from components.settings.stack import Settings
from components.settings.weights import Weights
from components.settings.weights_place_checks import models_and_schemes

_FETCHED: Final = ("hf", "s3", "oci")
_AWS: Final = re.compile(r"\.amazonaws\.com(\.cn)?$")
# Keys that mean something for sources of some schemes only.
_KEYS: Final = MappingProxyType(
    {
        "endpoint": _FETCHED,
        "credentials": (*_FETCHED, "ngc"),
        "region": ("s3",),
        "serviceAccount": ("s3",),
        "egress": (*_FETCHED, *ENGINES),
        "sourceClaim": ("file",),
        "include": (*_FETCHED, "file"),
        "exclude": (*_FETCHED, "file"),
        "maxWorkers": (*_FETCHED, "file"),
    }
)


def _an_image_with_weights_is_pinned_and_all_there_is(settings: Settings) -> Iterator[Mistake]:
    for name, model, _ in models_and_schemes(settings, in_image=True):
        if "@sha256:" not in (model.image or ""):
            given = f"{quote(model.image)} has no digest" if model.image else "is missing"
            yield refused(
                ("models", name, "image"),
                f"{given}, and {quote(model.source)} is a folder of it",
                allowed="an image by its digest, so that the weights are always the same",
                fix=f"find the digest with: oras resolve {model.image or 'IMAGE'}",
            )
        if model.probes.startup_seconds is None:
            path = ("models", name, "probes", "startupSeconds")
            yield refused(
                path,
                "is missing, and nothing says how large the weights in the image are",
                allowed=allowed(node_at(settings_schema(), path)),
                example=600,
            )
        for key in _given(model.weights):
            yield refused(
                ("models", name, "weights", key),
                f"is for a volume, and {quote(model.source)} is a folder of the engine's image",
                allowed="nothing below weights with a source image:///PATH",
                fix="take it out",
            )


def _given(weights: Weights) -> list[str]:
    """The keys that are not as they would be if nobody had said anything."""
    return [alias(name) for name, field in Weights.model_fields.items() if getattr(weights, name) != field.default]


def _keys_go_with_the_source(settings: Settings) -> Iterator[Mistake]:
    for name, model, scheme in models_and_schemes(settings, in_image=False):
        given = _given(model.weights)
        for key, schemes in _KEYS.items():
            if key in given and scheme not in schemes:
                yield refused(
                    ("models", name, "weights", key),
                    f"means nothing for a source {scheme}://",
                    allowed=f"none, or a source {', '.join(f'{each}://' for each in schemes)}",
                    fix="take it out",
                )
        if "serviceAccount" in given and "credentials" in given:
            yield refused(
                ("models", name, "weights", "serviceAccount"),
                "is given together with credentials, whose keys would be used in place of its identity",
                allowed="credentials, or serviceAccount",
                fix="take one of the two out",
            )


def _a_bucket_lets_somebody_in(settings: Settings) -> Iterator[Mistake]:
    """A role of the program's own is for AWS's S3, from EKS; elsewhere its token would go to a stranger."""
    for name, model, scheme in models_and_schemes(settings, in_image=False):
        nobody = model.weights.credentials is None and model.weights.service_account is None
        host = urlsplit(model.weights.endpoint or "https://s3.amazonaws.com").hostname or ""
        on_aws = isinstance(settings.cluster, EksCluster) and bool(_AWS.search(host))
        if scheme == "s3" and nobody and not on_aws:
            yield refused(
                ("models", name, "weights", "credentials"),
                f"is missing, and {quote(model.source)} is read by nobody without",
                allowed="a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or serviceAccount with an identity",
                example="s3-credentials",
            )


def _engines_get_what_they_fetch(settings: Settings) -> Iterator[Mistake]:
    for name, model, scheme in models_and_schemes(settings, in_image=False):
        engine = ENGINES.get(scheme)
        if engine is not None and model.engine != engine:
            yield refused(
                ("models", name, "source"),
                f"{quote(model.source)} is fetched by the tool of engine {engine}, and the engine is {model.engine}",
                allowed=f"a source hf://, s3://, oci://, file:// or image://, or engine {engine}",
                fix="choose another source or engine in the stack file",
            )


CHECKS: Final[tuple[Callable[[Settings], Iterator[Mistake]], ...]] = (
    _an_image_with_weights_is_pinned_and_all_there_is,
    _keys_go_with_the_source,
    _a_bucket_lets_somebody_in,
    *weights_place_checks.CHECKS,
    _engines_get_what_they_fetch,
    *weights_files_checks.CHECKS,
)
