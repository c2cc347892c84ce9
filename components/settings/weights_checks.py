"""Whether a model's weights can come from its source, and whether its volume holds them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from components.settings.eks import EksCluster
from components.settings.mistakes import Mistake, quote, refused
from components.settings.model import Model
from components.settings.schema import allowed, node_at, settings_schema
from components.settings.section import alias
from components.settings.source import parse_source
from components.settings.stack import Settings
from components.settings.storage import Gp3, InstanceStore
from components.settings.types import size_bytes
from components.settings.weights import Weights
from components.sizing import BESIDE_KEPT, needed_bytes, revision_bytes, with_head_room

_FETCHED: Final = ("hf", "s3", "oci")
_AWS: Final = re.compile(r"\.amazonaws\.com(\.cn)?$")
# Keys that mean something for sources of some schemes only.
_KEYS: Final = MappingProxyType(
    {
        "endpoint": _FETCHED,
        "credentials": _FETCHED,
        "region": ("s3",),
        "serviceAccount": ("s3",),
        "egress": _FETCHED,
        "sourceClaim": ("file",),
    }
)


def _each(settings: Settings, *, in_image: bool) -> Iterator[tuple[str, Model, str]]:
    """Name, model and scheme of its source."""
    schemes = ((name, model, parse_source(model.source).scheme) for name, model in settings.models.items())
    return (each for each in schemes if (each[2] == "image") is in_image)


def _an_image_with_weights_is_pinned_and_all_there_is(settings: Settings) -> Iterator[Mistake]:
    for name, model, _ in _each(settings, in_image=True):
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
    for name, model, scheme in _each(settings, in_image=False):
        given = _given(model.weights)
        for key, schemes in _KEYS.items():
            if key in given and scheme not in schemes:
                yield refused(
                    ("models", name, "weights", key),
                    f"means nothing for a source {scheme}://",
                    allowed=f"none, or a source {' or '.join(f'{each}://' for each in schemes)}",
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
    for name, model, scheme in _each(settings, in_image=False):
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


def _a_folder_is_somewhere(settings: Settings) -> Iterator[Mistake]:
    for name, model, scheme in _each(settings, in_image=False):
        if scheme != "file" or model.weights.source_claim is not None:
            continue
        at = ("models", name, "weights")
        if not model.weights.node_selector:
            yield refused(
                (*at, "nodeSelector"),
                f"is missing, and the folder of {quote(model.source)} is on nodes that nothing else tells",
                allowed="labels of the nodes that have the folder, or sourceClaim with the claim that it is on",
                fix="write one of the two in the stack file",
            )
        if isinstance(settings.storage.get(model.weights.storage or ""), InstanceStore):
            yield refused(
                (*at, "storage"),
                f"{quote(model.weights.storage)} is seeded on each node of pool {model.pool}, where the folder is not",
                allowed="storage of another kind, or sourceClaim with a claim that many nodes can mount",
                fix="choose another storage, or put the folder on a claim",
            )


def _snapshots_are_of_what_can(settings: Settings) -> Iterator[Mistake]:
    for name, model, _ in _each(settings, in_image=False):
        storage = settings.storage.get(model.weights.storage or "")
        given = {"dataSource": model.weights.data_source, "snapshotClass": model.weights.snapshot_class}
        for key, value in given.items():
            if value is not None and storage is not None and not isinstance(storage, Gp3):
                yield refused(
                    ("models", name, "weights", key),
                    f"is for volumes that have snapshots, and {model.weights.storage} is of kind {storage.kind}",
                    allowed="storage of kind gp3, or a storageClass whose driver has them",
                    fix="take it out, or choose another storage",
                )


def _the_size_is_known(settings: Settings) -> Iterator[Mistake]:
    for name, model, _ in _each(settings, in_image=False):
        path = ("models", name, "weights", "size")
        one = revision_bytes(model)
        if one == 0:
            yield refused(
                (*path[:-1], "include"),
                f"takes none of the files of {quote(model.source)}",
                allowed="patterns that files of the source are like, and exclude does not leave out",
                fix="correct include or exclude in the stack file",
            )
        if one is None and model.weights.size is None:
            yield refused(
                path,
                f"is missing, and the program has no list of the files of {quote(model.source)}",
                allowed=f"{allowed(node_at(settings_schema(), path))}; none where there is such a list",
                fix=f"make the list with: make model-facts STACK=<name> MODEL={name}, or give weights.size",
            )


def _the_volume_holds_a_change(settings: Settings) -> Iterator[Mistake]:
    """Where a volume has a size at all; what is given may leave out the head room, not a revision."""
    for name, model, _ in _each(settings, in_image=False):
        storage = settings.storage.get(model.weights.storage or "")
        size, one, needed = model.weights.size, revision_bytes(model), needed_bytes(model)
        if not one or not needed or size is None or not (storage is None or isinstance(storage, Gp3)):
            continue
        given, kept = size_bytes(size), model.weights.keep_revisions
        if given >= needed:
            continue
        fewer = given // one - BESIDE_KEPT
        during = f"{kept} kept, the one that is served and the new one are {kept + BESIDE_KEPT} x {one:,}"
        yield refused(
            ("models", name, "weights", "size"),
            f"{quote(size)} is less than one revision's {one:,} bytes"
            if given < one
            else f"{quote(size)} is too small for a change of the revision: {during} = {needed:,} bytes",
            allowed=f"at least {with_head_room(needed)}" + (f", or keepRevisions {fewer}" if fewer >= 0 else ""),
            example=with_head_room(needed),
        )


CHECKS: Final[tuple[Callable[[Settings], Iterator[Mistake]], ...]] = (
    _an_image_with_weights_is_pinned_and_all_there_is,
    _keys_go_with_the_source,
    _a_bucket_lets_somebody_in,
    _a_folder_is_somewhere,
    _snapshots_are_of_what_can,
    _the_size_is_known,
    _the_volume_holds_a_change,
)
