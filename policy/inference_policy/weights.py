"""What holds weights is protected: losing a volume is hours of downloads, and an outage at the next start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from inference_policy.pods import pods
from inference_policy.resource import UNKNOWN, Resource, Stack, at, listed, may_be
from inference_policy.rule import Config, StackRule, names

_FILE_SYSTEMS: Final = frozenset(
    {
        "aws:efs/fileSystem:FileSystem",
        "aws:fsx/lustreFileSystem:LustreFileSystem",
        "aws:fsx/ontapFileSystem:OntapFileSystem",
        "aws:fsx/openZfsFileSystem:OpenZfsFileSystem",
    }
)


def protected(stack: Stack, config: Config) -> Iterator[tuple[Resource, str]]:
    """File systems, and claims that pods with GPUs mount; a node's own copy is a cache, and goes with its node."""
    for each in [*_claims(stack, config), *_of_aws(stack)]:
        if not each.protect and each.name not in config["exempt"]:
            yield each, f"{each.title}: holds weights and is not protected; set protect=True in its ResourceOptions"


def _of_aws(stack: Stack) -> Iterator[Resource]:
    return (each for each in stack.resources.values() if each.type in _FILE_SYSTEMS)


def _claims(stack: Stack, config: Config) -> Iterator[Resource]:
    claims = stack.of("PersistentVolumeClaim")
    mounted: set[str] = set()
    for resource in stack.resources.values():
        for pod in pods(resource):
            for volume in listed(pod.spec, "volumes") if pod.gpus else ():
                name = at(volume, "persistentVolumeClaim", "claimName")
                known = claims if name is not UNKNOWN else stack.behind(resource, "spec")
                mounted |= {each.urn for each in known if name is not None and _is(each, name, resource)}
    for claim in claims:
        class_name = at(claim.inputs, "spec", "storageClassName")
        if claim.urn in mounted and class_name not in config["caches"] and not _node_local(stack, claim):
            yield claim


def _is(claim: Resource, name: object, pod: Resource) -> bool:
    here, there = (at(each.inputs, "metadata", "namespace") or "default" for each in (claim, pod))
    same = claim.kind == "PersistentVolumeClaim" and may_be(at(claim.inputs, "metadata", "name"), name)
    return same and may_be(here, there)


def _node_local(stack: Stack, claim: Resource) -> bool:
    """Whether the claim is for a folder of every node."""
    volume = at(claim.inputs, "spec", "volumeName")
    volumes = stack.behind(claim, "spec") if volume is UNKNOWN else stack.of("PersistentVolume")
    return any(
        each.kind == "PersistentVolume"
        and may_be(at(each.inputs, "metadata", "name"), volume)
        and at(each.inputs, "spec", "local") is not None
        for each in volumes
    )


PROTECTED: Final = StackRule(
    name="weights-protected",
    description="Volumes and file systems that hold weights are protected from deletion.",
    check=protected,
    settings={
        "caches": names("Storage classes of claims that may be lost."),
        "exempt": names("Names of resources that may be lost."),
    },
)
