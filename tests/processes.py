"""Which of several processes runs which files, and in which order: two of them have a cluster, and share it first."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

CLUSTERS = (
    (
        "tests/cluster/test_make_up.py",
        "tests/cluster/test_access.py",
        "tests/cluster/test_several_nodes.py",
        "tests/cluster/test_gateway.py",
        "tests/cluster/test_probes.py",
        "tests/cluster/test_time_slicing.py",
        "tests/cluster/test_node_local.py",
    ),
    (
        "tests/cluster/test_weights.py",
        "tests/cluster/test_network_policies.py",
        "tests/cluster/test_existing.py",
        "tests/plugins/test_with_engine.py",
        "tests/cluster/test_faults.py",
        "tests/cluster/test_rollout.py",
        "tests/cluster/test_disruptions.py",
        "tests/cluster/test_rollout_mutations.py",
        "tests/cluster/test_scaling.py",
        "tests/cluster/test_scale_to_zero.py",
    ),
)
"""Files that share a cluster, in their order.

`make up` comes first: it is a person's first command. Faults come after what is healthy, which should not have to be
read out of a mended cluster; the last of them makes a new one, whose stack those after it change for good.
"""
ORDER = [file for files in CLUSTERS for file in files]


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """A file at a time to each process, and to two of them first the files that share a cluster."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return next((files[0] for files in CLUSTERS if file in files), file)
