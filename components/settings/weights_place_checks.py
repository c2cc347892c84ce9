"""Whether a model's weights can get to the volume that its storage makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from components.settings.mistakes import Mistake, quote, refused
from components.settings.model import Model
from components.settings.source import parse_source
from components.settings.source_forms import ENGINES
from components.settings.stack import Settings
from components.settings.storage import Gp3


def models_and_schemes(settings: Settings, *, in_image: bool) -> Iterator[tuple[str, Model, str]]:
    """Name, model and scheme of its source, of those with weights in the engine's image or of the others."""
    schemes = ((name, model, parse_source(model.source).scheme) for name, model in settings.models.items())
    return (each for each in schemes if (each[2] == "image") is in_image)


def _a_folder_is_somewhere(settings: Settings) -> Iterator[Mistake]:
    for name, model, scheme in models_and_schemes(settings, in_image=False):
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
        if settings.seeds_nodes(model):
            yield refused(
                (*at, "storage"),
                f"{quote(model.weights.storage)} is seeded on each node of pool {model.pool}, where the folder is not",
                allowed="storage of another kind, or sourceClaim with a claim that many nodes can mount",
                fix="choose another storage, or put the folder on a claim",
            )


def _snapshots_are_of_what_can(settings: Settings) -> Iterator[Mistake]:
    for name, model, _ in models_and_schemes(settings, in_image=False):
        storage = settings.storage_of(model)
        given = {"dataSource": model.weights.data_source, "snapshotClass": model.weights.snapshot_class}
        for key, value in given.items():
            if value is not None and storage is not None and not isinstance(storage, Gp3):
                yield refused(
                    ("models", name, "weights", key),
                    f"is for volumes that have snapshots, and {model.weights.storage} is of kind {storage.kind}",
                    allowed="storage of kind gp3, or a storageClass whose driver has them",
                    fix="take it out, or choose another storage",
                )


def _tools_of_engines_run_in_a_job(settings: Settings) -> Iterator[Mistake]:
    for name, model, scheme in models_and_schemes(settings, in_image=False):
        if scheme in ENGINES and settings.seeds_nodes(model):
            yield refused(
                ("models", name, "weights", "storage"),
                f"{quote(model.weights.storage)} is seeded by the replicas of each node, a source {scheme}:// by a Job",
                allowed="storage of another kind, or a storageClass",
                fix="choose another storage",
            )


CHECKS: Final[tuple[Callable[[Settings], Iterator[Mistake]], ...]] = (
    _a_folder_is_somewhere,
    _snapshots_are_of_what_can,
    _tools_of_engines_run_in_a_job,
)
