"""A resource as rules see it: plain dictionaries, in which what a preview cannot know is `UNKNOWN`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pulumi_policy import PolicyResourceOptions, proxy
from pulumi_policy.deserialize import serialize_properties


class Unknown:
    """What a preview cannot know: neither a mistake nor a proof."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Final = Unknown()
_SENTINELS: Final = frozenset(value for name, value in vars(proxy).items() if name.startswith("UNKNOWN_"))
KUBERNETES: Final = "kubernetes:"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """What the program asks for, before a server adds its defaults, and the options that rules go by."""

    type: str
    name: str
    urn: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    protect: bool = False
    ignored: tuple[str, ...] = ()
    """Paths of `ignoreChanges`."""

    @property
    def kind(self) -> str:
        """Kubernetes' kind, for resources of other providers empty."""
        return self.type.rpartition(":")[2] if self.type.startswith(KUBERNETES) else ""

    @property
    def title(self) -> str:
        """What messages call it: `Deployment chat`."""
        return f"{self.type.rpartition(':')[2]} {self.name}"


@dataclass(frozen=True, kw_only=True)
class Stack:
    """All resources by URN, and for each those that one of its inputs is made of."""

    resources: Mapping[str, Resource]
    dependencies: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    """By URN and input."""

    def of(self, *kinds: str) -> list[Resource]:
        """Those of Kubernetes' kinds."""
        return [each for each in self.resources.values() if each.kind in kinds]

    def behind(self, resource: Resource, key: str) -> list[Resource]:
        """Those that the input `key` is made of."""
        urns = self.dependencies.get((resource.urn, key), ())
        return [self.resources[urn] for urn in urns if urn in self.resources]


def read(kind: str, name: str, urn: str, props: Mapping[str, Any], options: PolicyResourceOptions) -> Resource:
    """A resource as the SDK gives it to a policy."""
    return Resource(
        type=kind,
        name=name,
        urn=urn,
        inputs=_plain(serialize_properties(props)),
        protect=bool(options.protect),
        ignored=tuple(options.ignore_changes),
    )


def _plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_plain(value) for value in tree]
    return UNKNOWN if isinstance(tree, str) and tree in _SENTINELS else tree


def at(tree: Any, *path: str) -> Any:
    """What stands at the path: None where nothing does, UNKNOWN where something on the way to it is."""
    for step in path:
        if tree is UNKNOWN:
            return UNKNOWN
        tree = tree.get(step) if isinstance(tree, Mapping) else None
    return tree


def mapping(tree: Any, *path: str) -> Mapping[str, Any]:
    """The map at the path, empty where there is none that is known."""
    found = at(tree, *path)
    return found if isinstance(found, Mapping) else {}


def listed(tree: Any, *path: str) -> Sequence[Any]:
    """The list at the path, empty where there is none that is known."""
    found = at(tree, *path)
    return found if isinstance(found, list) else ()


def may_be(left: Any, right: Any) -> bool:
    """Whether two values are the same as far as can be known."""
    return left is UNKNOWN or right is UNKNOWN or left == right
