"""Replicas on several nodes: groups of pods that LeaderWorkerSet makes, places and restarts as one.

https://lws.sigs.k8s.io/: its controller has to be in the cluster. Read in its version 0.8, whose own rolling update
serves with a group less than wanted at its end, and of a single group never ends with maxUnavailable 0. So every
change of the pods is another LeaderWorkerSet: it is made, awaited, and only then the one before it is deleted. So the
surge is all groups at once, and needs as many nodes again; settings that say otherwise are refused.
"""

from __future__ import annotations

from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components.engine_pod import Part
from components.engines import engine_of
from components.engines.profile import MultiNode
from components.settings import Model

API_VERSION: Final = "leaderworkerset.x-k8s.io/v1"
# No group is replaced in place, so that its name tells the revision.
REVISION: Final = "leaderworkerset.sigs.k8s.io/name"
GROUP: Final = "leaderworkerset.sigs.k8s.io/group-key"
LEADERS: Final = {"leaderworkerset.sigs.k8s.io/worker-index": "0"}
"""Label of the pods that requests go to, which LeaderWorkerSet gives."""

# All pods of a group are stopped at once, and a worker that stops cuts the leader's answers: it stays as long as the
# processes of the two are connected, which they are until the leader's has drained and ended. The leader's name would
# not do: it goes at once with the Service of its group.
_WAIT: Final = """\
import pathlib, time
tables = [path for name in ("tcp", "tcp6") if (path := pathlib.Path("/proc/net", name)).exists()]
joined = lambda line: line[2].endswith(":{port:04X}") and line[3] == "01"
while any(joined(line.split()) for table in tables for line in table.read_text().splitlines()[1:]):
    time.sleep(1)
"""


def leader(model: Model) -> Part:
    """The pod that requests go to."""
    return Part(arguments=_arguments(model).leader, revision=REVISION, group=GROUP)


def worker(model: Model) -> Part:
    """The pods beside it, which nobody asks anything."""
    told = _arguments(model)
    wait = ("python3", "-c", _WAIT.format(port=told.port))
    return Part(arguments=told.worker, serves=False, pre_stop=wait, revision=REVISION, group=GROUP)


def _arguments(model: Model) -> MultiNode:
    multi_node = engine_of(model).multi_node
    if multi_node is None:  # the settings refuse it
        raise ValueError(f"{engine_of(model).title} runs on one node")
    return multi_node(model)


def groups(
    name: str,
    model: Model,
    *,
    namespace: pulumi.Input[str],
    labels: dict[str, str],
    templates: tuple[k8s.core.v1.PodTemplateSpecArgs, k8s.core.v1.PodTemplateSpecArgs],
    opts: pulumi.ResourceOptions,
) -> k8s.apiextensions.CustomResource:
    """As many groups as there are replicas; `templates` are the leader's and the workers'.

    Pulumi names it, as it names each that replaces it; also because it makes a headless Service of its own name, which
    must not be that of the model's Service.
    """
    leading, working = templates
    return k8s.apiextensions.CustomResource(
        f"{name}-group",
        api_version=API_VERSION,
        kind="LeaderWorkerSet",
        metadata=k8s.meta.v1.ObjectMetaArgs(
            namespace=namespace,
            labels=labels,
            # Pulumi knows nothing of its kind, and would not wait. Of one that is new, the condition is never stale.
            annotations={"pulumi.com/waitFor": "condition=Available"},
        ),
        spec={
            "replicas": model.replicas.min,
            "startupPolicy": "LeaderCreated",
            "leaderWorkerTemplate": {
                "size": model.nodes_per_replica,
                # vLLM's processes cannot join a group that runs.
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": leading,
                "workerTemplate": working,
            },
        },
        opts=pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(replace_on_changes=["spec.leaderWorkerTemplate"])
        ),
    )
