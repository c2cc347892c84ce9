"""What a preview says, from the events that `pulumi preview --json` streams.

`PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true pulumi preview --json` writes one event a line, in the form of Pulumi's
apitype.EngineEvent. Unlike the document that it writes without that variable, the events have the findings of policy
packs, and what went wrong. Secrets are hidden by the engine; what looks like one nevertheless is masked here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from claims.differences import SECRET, Difference, at, differences, without_secrets
from components.settings.concealment import masked

# Of a replacement the engine tells three steps: the one that says so, and the two that it is done in.
_OPERATIONS: Final = MappingProxyType(
    {
        "create": "create", "update": "update", "delete": "delete", "replace": "replace", "import": "import",
        "discard": "forget", "read-replacement": "read",
    }
)  # fmt: skip
_WORKLOADS: Final = ("kubernetes:apps/v1:Deployment", "kubernetes:leaderworkerset.x-k8s.io/v1:LeaderWorkerSet")
_UNHANDLED: Final = "an unhandled error occurred: Program exited with non-zero exit code"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A resource that the update would change."""

    operation: str
    type: str
    name: str
    differences: tuple[Difference, ...]
    """Of inputs; none for what is made, removed, or changed outside of the program."""
    elsewhere: tuple[str, ...]
    """Paths that differ although the inputs do not: somebody changed the resource itself, or a secret changed."""
    replaced_for: tuple[str, ...]
    """Paths that cannot be changed in place."""

    @property
    def kind(self) -> str:
        """Type without its module: Deployment."""
        return self.type.rpartition(":")[2]

    @property
    def ends(self) -> bool:
        """Whether the resource goes away, for good or for another."""
        return self.operation in {"delete", "replace"}

    @property
    def rolls_out(self) -> bool:
        """Whether it replaces a model's replicas: `name` is the model's."""
        return self.type in _WORKLOADS and self.operation != "delete"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a policy says of a resource, or of the stack: `resource` is then empty."""

    policy: str
    level: str
    resource: str
    message: str

    @property
    def stops(self) -> bool:
        """Whether nothing is updated because of it."""
        return self.level == "mandatory"


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a preview found."""

    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    errors: tuple[str, ...]
    unchanged: int
    complete: bool
    """Whether the preview came to its end; what it would change is not known otherwise."""


def preview(told: str) -> Preview:
    """The events' sum. ValueError for a text that is none."""
    events = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    summary = next((event["summaryEvent"] for event in events if "summaryEvent" in event), None)
    if summary is None:
        raise ValueError(
            "no summaryEvent: write it with PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true pulumi preview --json"
        )
    steps = (event["resourcePreEvent"]["metadata"] for event in events if "resourcePreEvent" in event)
    errors = tuple(dict.fromkeys(_errors(events)))
    return Preview(
        changes=tuple(_change(each) for each in steps if each["op"] in _OPERATIONS and not _component(each)),
        findings=tuple(_finding(event["policyEvent"]) for event in events if "policyEvent" in event),
        errors=errors,
        unchanged=summary.get("resourceChanges", {}).get("same", 0),
        complete=summary.get("result") != "failed" and not errors,
    )


def _errors(events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for event in events:
        told = event.get("diagnosticEvent", {})
        message = masked(told.get("message", "").strip())
        if told.get("severity") == "error" and message and not message.startswith(_UNHANDLED):
            yield message


def _component(step: Mapping[str, Any]) -> bool:
    """A component is its children; of the stack and its providers nobody has to see anything."""
    return str(step["type"]).startswith(("pulumi:", "inference:"))


def _change(step: Mapping[str, Any]) -> Change:
    kind, operation = step["type"], _OPERATIONS[step["op"]]
    old, new = (without_secrets((step.get(side) or {}).get("inputs") or {}) for side in ("old", "new"))
    both = operation in {"update", "replace"}
    found = differences(old, new, kind=kind) if both else ()
    engine = step.get("detailedDiff") or {} if both else {}
    return Change(
        operation=operation,
        type=kind,
        name=step["urn"].rpartition("::")[2],
        differences=found,
        elsewhere=tuple(sorted({*_elsewhere(engine, new, told=bool(found))})),
        replaced_for=tuple(sorted({*_replacing(engine, new), *(step.get("keys") or ())})) if both else (),
    )


def _elsewhere(engine: Mapping[str, Any], new: Mapping[str, Any], *, told: bool) -> Iterator[str]:
    """What the engine knows to differ, and the inputs do not show: on the cluster, or hidden in both."""
    for path, each in engine.items():
        name, value = at(path, new)
        if not told or not each.get("inputDiff") or value == SECRET:
            yield name


def _replacing(engine: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    return (at(path, new)[0] for path, each in engine.items() if each.get("diffKind", "").endswith("replace"))


def _finding(told: Mapping[str, Any]) -> Finding:
    return Finding(
        policy=told["policyName"],
        level=told["enforcementLevel"],
        resource=told.get("resourceUrn", "").rpartition("::")[2],
        message=" ".join(masked(told["message"]).split()),
    )
