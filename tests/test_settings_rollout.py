"""Times, GPUs and priorities that do not go together: refused with the arithmetic."""

from __future__ import annotations

from typing import Any

import pytest

from components.facts import models
from tests.components.samples import AWS_ATTACHED, AWS_CREATED, SMALLEST, changed, chat, settings
from tests.test_settings import mistakes

CHAT = "inference:models.chat"
SET = "set it with: pulumi config set --path"
BIG = {"requests": {"memory": "96Gi"}, "limits": {"memory": "128Gi"}}
POOL = {"nodes": 3, "gpu": {"product": "NVIDIA-L4", "memoryGiB": 24, "count": 8}}


def chat_with(**values: Any) -> dict[str, Any]:
    """The smallest sample with other values of its model, on nodes of 8 GPUs."""
    config = changed(SMALLEST, "gpuPools.l4", POOL)
    return changed(config, "models.chat", {**config["models"]["chat"], "resources": BIG, **values})


@pytest.mark.parametrize(
    ("values", "line"),
    [
        pytest.param(
            {"probes": {"startupSeconds": 236}},
            f"{CHAT}.probes.startupSeconds: 236 is less than the 237 that a replica takes to load: 20Gi / 125 MB/s = "
            "172, and 65 for vLLM to start; allowed: at least 237, or a larger weights.bandwidthMBps or smaller "
            f"engineStartSeconds as measured; {SET} '{CHAT}.probes.startupSeconds' 474",
            id="a startup budget below the load",
        ),
        pytest.param(
            {"rollout": {"progressDeadlineSeconds": 1434}},
            f"{CHAT}.rollout.progressDeadlineSeconds: 1434 is less than what may come between one replica and the "
            "next: 600 for image pull + 480 for startup + 30 for minReadySeconds + 325 for grace period = 1435; "
            f"allowed: at least 1435, or less of its parts; {SET} '{CHAT}.rollout.progressDeadlineSeconds' 1435",
            id="a progress deadline below the startup budget and the rest",
        ),
        pytest.param(
            {"rollout": {"timeoutSeconds": 5740}, "replicas": {"min": 4, "max": 4}},
            f"{CHAT}.rollout.timeoutSeconds: 5740 is not above the progress deadlines of the rollout: 4 replicas with "
            "surge 1 are 4 rounds x 1435 = 5740; allowed: more than 5740, or a larger rollout.surge; "
            f"{SET} '{CHAT}.rollout.timeoutSeconds' 5800",
            id="a timeout of Pulumi's that is not above the progress deadlines",
        ),
        pytest.param(
            {"outputTokens": 8000, "drainSeconds": 399},
            f"{CHAT}.drainSeconds: 399 would cut the longest answers: 8000 outputTokens x 50 ms = 400 s; "
            f"allowed: an integer from 400 to 3600; without it 400; {SET} '{CHAT}.drainSeconds' 400",
            id="a drain shorter than an answer",
        ),
        pytest.param(
            {"outputTokens": 8000, "tpotMillis": 500},
            f"{CHAT}.outputTokens: 8000 would have a replica drain for longer than drainSeconds can be: "
            "8000 outputTokens x 500 ms = 4000 s; allowed: at most 7200 at that time per token; set the outputTokens "
            "that users really ask for, or tpotMillis as it is measured",
            id="answers longer than any drain",
        ),
        pytest.param(
            {"outputTokens": 8193},
            f"{CHAT}.outputTokens: 8193 is more than contextLength 8192, which holds prompt and answer; "
            f"allowed: an integer from 1 to 8192; {SET} '{CHAT}.outputTokens' 4096",
            id="answers longer than the context",
        ),
        pytest.param(
            {"probes": {"readiness": {"kind": "inference", "timeoutSeconds": 10}}},
            f"{CHAT}.probes.readiness.timeoutSeconds: 10 is less than a token takes on a replica that is merely full: "
            "32 answers run for up to drainSeconds 300, and 5 for the token; allowed: at least 305, or kind health; "
            f"{SET} '{CHAT}.probes.readiness.timeoutSeconds' 305",
            id="readiness by a token that does not wait for its turn",
        ),
        pytest.param(
            {"gpus": 4, "sharedMemory": "3Gi"},
            f'{CHAT}.sharedMemory: "3Gi" is too small for GPUs that work together: 4 x 1Gi = 4Gi; allowed: at least '
            f"4Gi; {SET} '{CHAT}.sharedMemory' 16Gi",
            id="too little shared memory",
        ),
        pytest.param(
            {"nodesPerReplica": 4},
            f"{CHAT}.nodesPerReplica: 4 is more than the 3 nodes of pool l4; allowed: an integer from 1 to 3, or a "
            f"larger pool; {SET} '{CHAT}.nodesPerReplica' 3",
            id="more nodes than there are",
        ),
        pytest.param(
            {"nodesPerReplica": 2, "rollout": {"surge": 1}, "replicas": {"min": 2, "max": 2}},
            f"{CHAT}.rollout.surge: 1 is not how replicas on several nodes are replaced: all 2 new ones start beside "
            f"the old ones, on 2 x 2 more nodes; allowed: auto, or none; {SET} '{CHAT}.rollout.surge' auto",
            id="a surge of some groups",
        ),
        pytest.param(
            {"priorityClass": "system-node-critical"},
            f'{CHAT}.priorityClass: "system-node-critical" is for what a cluster cannot do without; allowed: the name '
            "of an object of yours: lower-case letters, digits, hyphens and dots, at most 253 characters, not "
            "system-*; take a key of inference:priorityClasses (none yet)",
            id="a priority that is Kubernetes' own",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_arithmetic(values: dict[str, Any], line: str) -> None:
    assert mistakes(chat_with(**values)) == [line]


@pytest.mark.parametrize(
    "values",
    [
        {"probes": {"startupSeconds": 237}},
        {"rollout": {"progressDeadlineSeconds": 1435, "timeoutSeconds": 1436}},
        {"rollout": {"timeoutSeconds": 2871, "surge": 2}, "replicas": {"min": 4, "max": 4}},
        {"outputTokens": 8000, "drainSeconds": 400},
        {"outputTokens": 8192},
        {"probes": {"readiness": {"kind": "inference"}}},
        {"probes": {"readiness": {"kind": "inference", "timeoutSeconds": 305}}},
        {"probes": {"readiness": {"timeoutSeconds": 1}}},
        {"gpus": 4, "sharedMemory": "4Gi"},
        {"gpus": 1, "sharedMemory": "64Mi"},
        {"nodesPerReplica": 3, "gpus": 8},
        {"nodesPerReplica": 3, "gpus": 8, "rollout": {"surge": "auto"}},
        {"priorityClass": "gold"},
    ],
)
def test_what_just_goes_together_is_taken(values: dict[str, Any]) -> None:
    settings(chat_with(**values))


def test_a_drain_follows_from_the_longest_answer() -> None:
    assert chat(chat_with()).drain_seconds == 300
    assert chat(chat_with(outputTokens=1000)).drain_seconds == 50
    assert chat(chat_with(outputTokens=1001, tpotMillis=20)).drain_seconds == 21
    assert chat(chat_with(outputTokens=1000, drainSeconds=90)).drain_seconds == 90


def test_replicas_that_seed_their_nodes_have_the_time_for_it_in_every_time_of_the_user() -> None:
    config = changed(AWS_CREATED, "models.draft.rollout", {"progressDeadlineSeconds": 2000})
    (line,) = mistakes(config)
    assert "600 for a new node + 600 for image pull + 772 for seeding + 140 for startup + 30 for minReady" in line


@pytest.mark.parametrize(
    ("gpus", "heads", "groups", "problem"),
    [
        (3, 32, 8, "32 attention heads / 3 GPUs leave 2 over; allowed: 1, 2, 4, 8, 16; such as 2"),
        (8, 28, 4, "28 attention heads / 8 GPUs leave 4 over; allowed: 1, 2, 4; such as 4"),
        (6, 24, 4, "4 KV heads and 6 GPUs do not divide each other; allowed: 1, 2, 4, 8, 12; such as 4"),
        (8, 32, 4, None),
        (4, 32, None, None),
        (3, None, None, None),
        (1, 7, 3, None),
    ],
)
def test_gpus_divide_the_heads_of_a_model_whose_heads_are_known(
    monkeypatch: pytest.MonkeyPatch, gpus: int, heads: int | None, groups: int | None, problem: str | None
) -> None:
    known = {key: value for key, value in (("heads", heads), ("kvHeads", groups)) if value is not None}
    monkeypatch.setattr(models, "_configs", lambda: {SMALLEST["models"]["chat"]["source"]: known})
    config = chat_with(gpus=gpus)
    if problem is None:
        assert chat(config).gpus == gpus
        return
    why, allowed, example = problem.split("; ")
    fits = example.removeprefix("such as ")
    assert mistakes(config) == [
        f"{CHAT}.gpus: {gpus} cannot be its tensor parallel size: {why}; {allowed}; {SET} '{CHAT}.gpus' {fits}"
    ]


def test_a_volume_of_one_node_has_no_replica_on_several() -> None:
    config = changed(AWS_CREATED, "models.chat.nodesPerReplica", 2)
    config = changed(config, "models.chat.replicas", {"min": 1, "max": 1})
    assert mistakes(config) == [
        (
            f"{CHAT}.nodesPerReplica: 2 nodes cannot all mount a volume of storage disks, which is one node's; "
            f"allowed: 1, or storage of a kind that many nodes mount: efs, fsx, instanceStore; "
            f"{SET} '{CHAT}.nodesPerReplica' 1"
        )
    ]


def test_a_pool_holds_the_surge_that_is_asked_for() -> None:
    config = changed(AWS_ATTACHED, "models.chat.replicas", {"min": 3, "max": 3})
    config = changed(config, "models.chat.rollout", {"surge": 2})
    assert mistakes(changed(config, "gpuPools.l40s.max", 4)) == [
        (
            "inference:gpuPools.l40s.max: 4 nodes have 1 GPU each; model chat takes 3 and 2 more for the surge of a "
            "rollout; allowed: at least 5; set it with: pulumi config set --path 'inference:gpuPools.l40s.max' 5"
        )
    ]
    settings(changed(config, "gpuPools.l40s.max", 5))


def test_a_default_that_follows_from_a_wrong_key_is_no_mistake_of_its_own() -> None:
    (line,) = mistakes(chat_with(concurrency="many"))
    assert line.startswith(f"{CHAT}.concurrency: ")


@pytest.mark.parametrize("surge", [0, 1001, True, "some", -1, 1.5])
def test_a_surge_is_a_number_or_auto(surge: object) -> None:
    (line,) = mistakes(chat_with(rollout={"surge": surge}))
    assert "is neither a number of replicas nor auto; allowed: an integer from 1 to 1000, or auto; " in line
