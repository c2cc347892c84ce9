"""`rollout.surge`: a number, or as many replicas as the pool's spare GPUs hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.surge import surge_of
from tests.components.samples import AWS_CREATED, SMALLEST, changed, chat, settings


def surges(pool: dict[str, Any], **models: dict[str, Any]) -> dict[str, int]:
    """What the surge of each model is in a pool; of a model its replicas.max, GPUs, nodes and surge."""
    gpu = {"product": "NVIDIA-L4", "memoryGiB": 24, "count": pool["count"]}
    config = changed(SMALLEST, "gpuPools.l4", {"nodes": pool["nodes"], "gpu": gpu})
    # Of a model whose heads nobody knows: any number of GPUs may share them.
    sample = config["models"].pop("chat") | {"source": f"hf://example/unknown@{'0' * 40}"}
    for name, model in models.items():
        config["models"][name] = sample | {
            "gpus": model.get("gpus", 1),
            "nodesPerReplica": model.get("nodes", 1),
            "replicas": {"min": 1, "max": model.get("max", 1)},
            "rollout": {"surge": model.get("surge", "auto")},
            "resources": {"requests": {"memory": "96Gi"}, "limits": {"memory": "128Gi"}},
        }
    loaded = settings(changed(config, "devicePlugin", {"timeSlicing": pool.get("slices", 1)}))
    return {name: surge_of(model) for name, model in loaded.models.items()}


def test_a_rollout_starts_one_replica_more_unless_told_otherwise() -> None:
    assert surge_of(chat()) == 1
    config = changed(SMALLEST, "models.chat.replicas", {"min": 4, "max": 4})
    assert surge_of(chat(changed(config, "models.chat.rollout.surge", 3))) == 3


def test_a_surge_beyond_all_replicas_is_all_replicas() -> None:
    config = changed(SMALLEST, "models.chat.replicas", {"min": 2, "max": 4})
    assert surge_of(chat(changed(config, "models.chat.rollout.surge", 9))) == 4


@pytest.mark.parametrize(
    ("pool", "models", "expected"),
    [
        pytest.param({"nodes": 8, "count": 1}, {"a": {"max": 4}}, {"a": 4}, id="all of it"),
        pytest.param({"nodes": 6, "count": 1}, {"a": {"max": 4}}, {"a": 2}, id="6 x 1 - 4 x 1 = 2"),
        pytest.param({"nodes": 4, "count": 1}, {"a": {"max": 4}}, {"a": 1}, id="a full pool: at least 1"),
        pytest.param({"nodes": 3, "count": 1}, {"a": {"max": 4}}, {"a": 1}, id="too small a pool: at least 1"),
        pytest.param({"nodes": 99, "count": 8}, {"a": {"max": 4}}, {"a": 4}, id="no more than there are replicas"),
        pytest.param(
            {"nodes": 2, "count": 8}, {"a": {"max": 3, "gpus": 4}}, {"a": 1}, id="what is left holds 1 replica of 4"
        ),
        pytest.param(
            {"nodes": 3, "count": 4}, {"a": {"max": 3, "gpus": 3}}, {"a": 1}, id="1 GPU left on each node is no 3"
        ),
        pytest.param(
            {"nodes": 6, "count": 1},
            {"a": {"max": 2}, "b": {"max": 2, "surge": 1}},
            {"a": 1, "b": 1},
            id="another model's replicas and surge are not spare",
        ),
        pytest.param(
            {"nodes": 10, "count": 1},
            {"a": {"max": 4}, "b": {"max": 2}},
            {"a": 2, "b": 2},
            id="models take what is spare in turn",
        ),
        pytest.param(
            {"nodes": 3, "count": 1, "slices": 2}, {"a": {"max": 4}}, {"a": 2}, id="a GPU that is shared counts twice"
        ),
        pytest.param(
            {"nodes": 6, "count": 8},
            {"a": {"max": 1}, "b": {"max": 2, "gpus": 8, "nodes": 2}},
            {"a": 1, "b": 1},
            id="a replica on two nodes is replaced beside itself",
        ),
    ],
)
def test_auto_is_what_the_pool_spares(
    pool: dict[str, Any], models: dict[str, dict[str, Any]], expected: dict[str, int]
) -> None:
    assert surges(pool, **models) == expected


@pytest.mark.parametrize(("most", "expected"), [(1, 1), (2, 2), (3, 1)])
def test_replicas_on_a_volume_of_one_node_surge_on_that_node(most: int, expected: int) -> None:
    config = changed(AWS_CREATED, "models.chat.replicas", {"min": 1, "max": most})
    config = changed(config, "models.chat.rollout", {"surge": "auto"})
    # A node has 4 GPUs, and the pool 3 nodes.
    assert surge_of(settings(config).models["chat"]) == expected


MODELS = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.fixed_dictionaries(
        {
            "max": st.integers(1, 6),
            "gpus": st.sampled_from([1, 2, 3, 4]),
            "surge": st.just("auto") | st.integers(1, 3),
        }
    ),
    min_size=1,
)


@given(nodes=st.integers(1, 30), count=st.integers(4, 8), models=MODELS)
def test_auto_never_takes_what_is_not_there(nodes: int, count: int, models: dict[str, dict[str, Any]]) -> None:
    found = surges({"nodes": nodes, "count": count}, **models)
    automatic = [name for name in models if models[name]["surge"] == "auto"]
    for name in automatic:
        assert 1 <= found[name] <= models[name]["max"]
    if any(found[name] > 1 for name in automatic):
        taken = sum((model["max"] + found[name]) * model["gpus"] for name, model in models.items())
        # The one that every rollout needs is given even where it has no room.
        owed = sum(models[name]["gpus"] for name in automatic if found[name] == 1)
        assert taken - owed <= nodes * count


@given(nodes=st.integers(1, 40), count=st.integers(1, 8), gpus=st.integers(1, 8), most=st.integers(1, 12))
def test_for_one_model_auto_is_the_replicas_that_fit_less_those_that_run(
    nodes: int, count: int, gpus: int, most: int
) -> None:
    if gpus <= count:
        fit = nodes * (count // gpus)
        assert surges({"nodes": nodes, "count": count}, a={"max": most, "gpus": gpus}) == {
            "a": min(most, max(1, fit - most))
        }
