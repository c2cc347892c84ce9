"""What the loader takes, refuses and says about it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.settings import SettingsError, parse
from tests.components.samples import (
    AWS_ATTACHED,
    AWS_CREATED,
    COMMIT,
    CUSTOM,
    SMALLEST,
    changed,
    chat,
    raw,
    settings,
    without,
)

MODEL_KEYS = (
    "engine, triton, image, cuda, dtype, quantization, weightsFile, adapters, ngcKeySecret, source, facts, gpus, "
    "nodesPerReplica, pool, contextLength, concurrency, gpuMemoryUtilization, replicas, scaling, weights, "
    "outputTokens, tpotMillis, tokensPerSecond, objectives, drainSeconds, preStopSeconds, probes, rollout, "
    "priorityClass, engineArgs, env, sharedMemory, resources, readOnlyRoot, labels, annotations"
)
NAMES = "lower-case letters, digits and hyphens, first a letter, at most 40 characters"
IMAGES = "an image with a tag other than latest, or with a digest"
COMMITS = "hf://OWNER/NAME@COMMIT with the commit's 40 hexadecimal digits"
NAMESPACES = "a namespace other than default and kube-*: lower-case letters, digits and hyphens, at most 63 characters"
OWN = "is Kubernetes' own, and its pods would come under our Pod Security level"
SIZES = "a size in Ki, Mi, Gi or Ti, such as 16Gi"
ENGINE_ARGS = "arguments that neither a setting nor the program gives"
TABLE = "write it in the stack file; the README's table of settings has its keys"


def mistakes(config: dict[str, Any], secrets: frozenset[str] = frozenset()) -> list[str]:
    with pytest.raises(SettingsError) as error:
        parse(raw(config), secrets)
    return [str(each) for each in error.value.mistakes]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        pytest.param(
            "models.chat.contextLenght",
            8192,
            "inference:models.chat.contextLenght: is not a setting; did you mean contextLength?; "
            f"allowed: {MODEL_KEYS}; rename it in the stack file, or remove it with: "
            "pulumi config rm --path 'inference:models.chat.contextLenght'",
            id="an unknown key, with the nearest name",
        ),
        pytest.param(
            "namespce",
            "llm",
            "inference:namespce: is not a setting; did you mean namespace?; "
            "allowed: cluster, namespace, images, devicePlugin, storage, gpuPools, priorityClasses, autoscaling, "
            "monitoring, models, gateway, networkPolicy, claims, prices, hfToken, apiKeys; "
            "rename it in the stack file, or remove it with: pulumi config rm --path 'inference:namespce'",
            id="an unknown section",
        ),
        pytest.param(
            "models.chat.contextLength",
            "long",
            'inference:models.chat.contextLength: "long" is not an integer; allowed: an integer from 16 to 10485760; '
            "set it with: pulumi config set --path 'inference:models.chat.contextLength' 8192",
            id="a wrong type",
        ),
        pytest.param(
            "models.chat.concurrency",
            True,
            "inference:models.chat.concurrency: true is not an integer; allowed: an integer from 1 to 4096; "
            "set it with: pulumi config set --path 'inference:models.chat.concurrency' 32",
            id="a boolean for a number",
        ),
        pytest.param(
            "models.chat.gpuMemoryUtilization",
            1.5,
            "inference:models.chat.gpuMemoryUtilization: 1.5 is more than 0.98; allowed: a number from 0.1 to 0.98; "
            "set it with: pulumi config set --path 'inference:models.chat.gpuMemoryUtilization' 0.9",
            id="a number out of range",
        ),
        pytest.param(
            "models.chat.pool",
            "l40",
            'inference:models.chat.pool: "l40" is no GPU pool; allowed: a key of inference:gpuPools (l4); '
            "set it with: pulumi config set --path 'inference:models.chat.pool' l4",
            id="a pool that does not exist",
        ),
        pytest.param(
            "models.chat.source",
            "hf://meta-llama/Llama-3.1-8B-Instruct@main",
            'inference:models.chat.source: "hf://meta-llama/Llama-3.1-8B-Instruct@main" is not pinned: main is no full '
            f"commit, so the weights could change under it; allowed: {COMMITS}; find the commit with: "
            "git ls-remote https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct main",
            id="a branch for a revision",
        ),
        pytest.param(
            "models.chat.source",
            "hf://meta-llama/Llama-3.1-8B-Instruct@0e9e39f",
            'inference:models.chat.source: "hf://meta-llama/Llama-3.1-8B-Instruct@0e9e39f" is not pinned: 0e9e39f is '
            "no "
            f"full commit, so the weights could change under it; allowed: {COMMITS}; find the commit's 40 "
            "digits with: git clone --bare --filter=tree:0 https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct "
            "history.git && git -C history.git rev-parse 0e9e39f",
            id="a short commit",
        ),
        pytest.param(
            "models.chat.replicas",
            {"min": 2, "max": 1},
            "inference:models.chat.replicas.max: 1 is less than min 2; allowed: an integer of at least replicas.min; "
            "set it with: pulumi config set --path 'inference:models.chat.replicas.max' 2",
            id="more replicas at least than at most",
        ),
        pytest.param(
            "models.chat.replicas",
            {"min": 2},
            "inference:models.chat.replicas.max: 1 is less than min 2; allowed: an integer of at least replicas.min; "
            "set it with: pulumi config set --path 'inference:models.chat.replicas.max' 2",
            id="more replicas at least than at most by default",
        ),
        pytest.param(
            "models.chat.gpus",
            2,
            "inference:models.chat.gpus: 2 is more than the 1 GPU of a node of pool l4; allowed: 1; "
            "set it with: pulumi config set --path 'inference:models.chat.gpus' 1",
            id="more GPUs than a node has",
        ),
        pytest.param(
            "models.chat.image",
            "vllm/vllm-openai:latest",
            'inference:models.chat.image: "vllm/vllm-openai:latest" has the tag latest: pods started on different days '
            f"would differ; allowed: {IMAGES}; "
            "add its digest (IMAGE@sha256:...), which this prints: oras resolve vllm/vllm-openai:latest",
            id="the tag latest",
        ),
        pytest.param(
            "images.weightSeeder",
            "registry.example.com:5000/weight-seeder",
            'inference:images.weightSeeder: "registry.example.com:5000/weight-seeder" has no tag, which means latest: '
            "pods "
            f"started on different days would differ; allowed: {IMAGES}; add its digest (IMAGE@sha256:...), "
            "which this prints: oras resolve registry.example.com:5000/weight-seeder:TAG",
            id="no tag, with a port",
        ),
        pytest.param(
            "models.chat.engineArgs",
            ["--seed=1", "--max_model_len=4096"],
            "inference:models.chat.engineArgs: holds --max-model-len, which is reserved; "
            f"allowed: {ENGINE_ARGS}; take it out: contextLength sets it",
            id="an engine argument that a setting governs",
        ),
        pytest.param(
            "models.chat.engineArgs",
            ["--port", "9000"],
            "inference:models.chat.engineArgs: holds --port, which is reserved; "
            f"allowed: {ENGINE_ARGS}; take it out: the Service and the probes rely on the program's own",
            id="an engine argument that the program relies on",
        ),
        pytest.param(
            "models.chat.engineArgs",
            ["--api-key=hunter2"],
            "inference:models.chat.engineArgs: holds --api-key, which is reserved; "
            f"allowed: {ENGINE_ARGS}; take it out: it would show a secret in clear",
            id="a secret among the engine arguments",
        ),
        pytest.param(
            "models.chat.env",
            {"HF_TOKEN": "hf_in_clear"},
            "inference:models.chat.env: holds HF_TOKEN in clear; allowed: variables without secrets; "
            "take it out and set it as a secret: pulumi config set --secret inference:hfToken",
            id="a token among the environment variables",
        ),
        pytest.param(
            "models.chat.resources",
            {"limits": {"cpu": "1", "memory": "8Gi"}},
            "inference:models.chat.resources.limits: is below the requests in cpu and memory; "
            "allowed: amounts of at least the requests; raise it in the stack file, or lower the requests",
            id="limits below requests",
        ),
        pytest.param(
            "models.chat.sharedMemory",
            "12Gi",
            "inference:models.chat.resources: limits.memory 12Gi is not above the shared memory of 12Gi, which is "
            "part of it; "
            "allowed: limits.memory above sharedMemory; raise resources.limits.memory in the stack file, "
            "or set a smaller sharedMemory",
            id="shared memory that fills the limit",
        ),
        pytest.param(
            "models.Chat_1",
            SMALLEST["models"]["chat"],
            f'inference:models["Chat_1"]: "Chat_1" is not a valid name; allowed: {NAMES}; rename it in the stack file',
            id="a name that is no DNS label",
        ),
        pytest.param(
            "models.chat.weights.size",
            "20GB",
            f'inference:models.chat.weights.size: "20GB" is not valid; allowed: {SIZES}; '
            "set it with: pulumi config set --path 'inference:models.chat.weights.size' 16Gi",
            id="a size without a binary unit",
        ),
        pytest.param(
            "cluster.provider",
            "gke",
            'inference:cluster.provider: "gke" is not available; allowed: kubernetes, aws; '
            "set it with: pulumi config set --path 'inference:cluster.provider' kubernetes",
            id="a provider that there is not",
        ),
        pytest.param(
            "gpuPools",
            "l4",
            f'inference:gpuPools: "l4" is not a map; allowed: a map of names to values; {TABLE}',
            id="text for a map",
        ),
        pytest.param(
            "namespace",
            "kube-system",
            f'inference:namespace: "kube-system" {OWN}; allowed: {NAMESPACES}; '
            "set it with: pulumi config set --path 'inference:namespace' inference",
            id="a namespace of Kubernetes",
        ),
        pytest.param(
            "devicePlugin.namespace",
            "default",
            f'inference:devicePlugin.namespace: "default" {OWN}; allowed: {NAMESPACES}; '
            "set it with: pulumi config set --path 'inference:devicePlugin.namespace' nvidia-device-plugin",
            id="the default namespace",
        ),
        pytest.param(
            "devicePlugin.namespace",
            "inference",
            'inference:devicePlugin.namespace: "inference" is that of the models, whose pods may do less; '
            "allowed: another one than inference:namespace; "
            "set it with: pulumi config set --path 'inference:devicePlugin.namespace' nvidia-device-plugin",
            id="one namespace for the plugin and the models",
        ),
        pytest.param(
            "namespace",
            "nvidia-device-plugin",
            'inference:devicePlugin.namespace: "nvidia-device-plugin" is that of the models, whose pods may do less; '
            "allowed: another one than inference:namespace; "
            "set it with: pulumi config set --path 'inference:devicePlugin.namespace' gpu-device-plugin",
            id="the plugin's default namespace for the models",
        ),
        pytest.param(
            "images.pullSecrets",
            ["My Secret"],
            'inference:images.pullSecrets[0]: "My Secret" is not valid; allowed: a Secret\'s name: lower-case letters, '
            "digits, hyphens and dots, at most 253 characters; "
            "set it with: pulumi config set --path 'inference:images.pullSecrets[0]' registry",
            id="a Secret's name that is none",
        ),
        pytest.param(
            "models.chat.weights.tolerations",
            ["gpu"],
            'inference:models.chat.weights.tolerations[0]: "gpu" is not valid; allowed: a taint as kubectl writes it: '
            "KEY[=VALUE]:NoSchedule, PreferNoSchedule or NoExecute; "
            "set it with: pulumi config set --path 'inference:models.chat.weights.tolerations[0]' "
            "nvidia.com/gpu=present:NoSchedule",
            id="a toleration that is no taint",
        ),
        pytest.param(
            "models.chat.weights.nodeSelector",
            {"-network": "hub"},
            'inference:models.chat.weights.nodeSelector.-network: "-network" is not a valid name; '
            "allowed: a label key; rename it in the stack file",
            id="a node label that is none",
        ),
        pytest.param(
            "models",
            {},
            f"inference:models: is empty; allowed: a map of names to values; {TABLE}",
            id="no model at all",
        ),
    ],
)
def test_a_mistake_is_one_line_with_key_value_allowed_and_fix(path: str, value: object, message: str) -> None:
    found = mistakes(changed(SMALLEST, path, value))
    assert message in found
    assert len(found) == 1 or path == "gpuPools"
    assert "\n" not in message


def test_a_missing_setting_is_named_with_a_value_that_would_do() -> None:
    assert mistakes(without(SMALLEST, "models.chat.contextLength")) == [
        (
            "inference:models.chat.contextLength: is missing; allowed: an integer from 16 to 10485760; "
            "set it with: pulumi config set --path 'inference:models.chat.contextLength' 8192"
        )
    ]


@pytest.mark.parametrize(
    ("key", "slip", "near"),
    [
        ("models.chat.contextLength", "models.chat.contextLenght", "contextLength"),
        ("models", "modles", "models"),
        ("gpuPools.l4.gpu.memoryGiB", "gpuPools.l4.gpu.memoryGib", "memoryGiB"),
    ],
)
def test_a_required_key_that_is_misspelt_is_one_mistake(key: str, slip: str, near: str) -> None:
    config = changed(SMALLEST, slip, "anything")
    (line,) = mistakes(without(config, key))
    assert line.startswith(f"inference:{slip}: is not a setting; did you mean {near}?;")


def test_a_required_key_is_missing_whatever_else_is_unknown_elsewhere() -> None:
    config = without(changed(SMALLEST, "gpuPools.l4.contextLenght", 1), "models.chat.contextLength")
    assert [line.split(": ")[0] for line in mistakes(config)] == [
        "inference:gpuPools.l4.contextLenght",
        "inference:models.chat.contextLength",
    ]


def test_without_a_plugin_of_ours_its_namespace_is_nobodys() -> None:
    config = changed(SMALLEST, "devicePlugin", {"enabled": False, "namespace": "inference"})
    assert settings(config).namespace == "inference"


def test_all_mistakes_are_reported_together() -> None:
    config = changed(SMALLEST, "models.chat.pool", "l40")
    config = changed(config, "models.chat.replicas", {"min": 3, "max": 2})
    config = changed(config, "models.chat.source", "hf://a/b@main")
    config = changed(config, "models.chat.contextLength", "long")
    config = changed(config, "gpuPools.l4.gpu.memoryGib", 24)
    config = changed(config, "sections", {})
    assert [line.split(": ")[0] for line in mistakes(config)] == [
        "inference:gpuPools.l4.gpu.memoryGib",
        "inference:models.chat.source",
        "inference:models.chat.pool",
        "inference:models.chat.contextLength",
        "inference:models.chat.replicas.max",
        "inference:sections",
    ]


def test_a_pool_with_a_mistake_of_its_own_is_still_a_pool() -> None:
    config = changed(changed(SMALLEST, "gpuPools.l4.gpu.memoryGiB", 0), "models.chat.gpus", 1)
    assert [line.split(": ")[0] for line in mistakes(config)] == ["inference:gpuPools.l4.gpu.memoryGiB"]


def test_an_empty_configuration_names_every_required_section() -> None:
    assert [line.split(": ")[0] for line in mistakes({})] == [
        "inference:cluster",
        "inference:images",
        "inference:gpuPools",
        "inference:models",
    ]


def test_no_part_of_a_section_that_holds_a_secret_is_shown() -> None:
    config = changed(SMALLEST, "models.chat.env", {"API-KEY": "hunter2"})
    found = mistakes(config, frozenset({"models"}))
    assert found == [
        (
            "inference:models: holds a secret; allowed: plain values; the secrets are inference:hfToken "
            "and inference:apiKeys; take the value under secure: out of the stack file"
        )
    ]


def test_a_token_in_plain_text_is_refused_without_being_shown() -> None:
    assert mistakes(SMALLEST | {"hfToken": "hf_plain"}) == [
        (
            "inference:hfToken: is stored in plain text; allowed: a secret; "
            "revoke that token and set a new one with: pulumi config set --secret inference:hfToken"
        )
    ]


def test_a_secret_token_is_no_part_of_the_settings() -> None:
    assert "hf_secret" not in repr(parse(raw(SMALLEST | {"hfToken": "hf_secret"}), frozenset({"hfToken"})))


def test_text_that_config_set_stores_for_numbers_is_taken() -> None:
    config = changed(changed(SMALLEST, "models.chat.gpuMemoryUtilization", "0.85"), "models.chat.contextLength", "4096")
    assert (chat(config).gpu_memory_utilization, chat(config).context_length) == (0.85, 4096)


def test_numbers_and_booleans_that_config_set_stores_for_text_are_taken() -> None:
    config = changed(SMALLEST, "models.chat.env", {"A": 1, "B": True, "C": 0.5})
    config = changed(config, "models.chat.resources", {"requests": {"cpu": 4}})
    assert dict(chat(config).env) == {"A": "1", "B": "true", "C": "0.5"}
    assert chat(config).resources.requests.cpu == "4"


def test_a_map_stored_as_json_text_is_taken() -> None:
    assert parse({key: json.dumps(value) for key, value in SMALLEST.items()}) == settings(SMALLEST)


def test_one_key_of_resources_leaves_the_others_at_their_defaults() -> None:
    resources = chat(changed(SMALLEST, "models.chat.resources", {"limits": {"memory": "64Gi"}})).resources
    assert (resources.limits.memory, resources.limits.cpu, resources.requests.memory) == ("64Gi", "8", "12Gi")


def test_one_key_of_a_probe_leaves_the_others_at_their_defaults() -> None:
    probe = chat(changed(SMALLEST, "models.chat.probes", {"readiness": {"timeoutSeconds": 9}})).probes.readiness
    assert (probe.timeout_seconds, probe.period_seconds) == (9, 5)


def test_several_gpus_need_a_memory_limit_above_their_shared_memory() -> None:
    config = changed(changed(SMALLEST, "gpuPools.l4.gpu.count", 4), "models.chat.gpus", 4)
    (line,) = mistakes(config)
    assert line.startswith("inference:models.chat.resources: limits.memory 12Gi is not above the shared memory of 16Gi")


@pytest.mark.parametrize(
    "image",
    [
        "vllm/vllm-openai:v0.33.0",
        "localhost:5000/vllm:1",
        f"registry.example.com/a/b@sha256:{'0' * 64}",
        f"vllm:latest@sha256:{'0' * 64}",
    ],
)
def test_a_pinned_image_is_taken(image: str) -> None:
    assert chat(changed(SMALLEST, "models.chat.image", image)).image == image


NAME = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)


@given(
    pool=NAME,
    name=NAME,
    least=st.integers(1, 1000),
    more=st.integers(0, 1000),
    count=st.integers(1, 16),
    context=st.integers(16, 10_485_760),
    share=st.floats(0.1, 0.98),
    as_text=st.booleans(),
)
def test_valid_settings_survive_a_round_trip(
    pool: str, name: str, least: int, more: int, count: int, context: int, share: float, *, as_text: bool
) -> None:
    most = min(1000, least + more)
    model = {
        "source": f"hf://owner/model@{COMMIT}",
        "pool": pool,
        "contextLength": str(context) if as_text else context,
        "gpus": 1,
        "gpuMemoryUtilization": str(share) if as_text else share,
        "replicas": {"min": least, "max": most},
        "weights": {"size": "20Gi"},
    }
    gpus = {"product": "NVIDIA-L4", "memoryGiB": 24, "count": count}
    config = SMALLEST | {"gpuPools": {pool: {"nodes": least + 1, "gpu": gpus}}, "models": {name: model}}
    parsed = settings(config)
    assert parsed.models[name].context_length == context
    assert parsed.models[name].gpu_memory_utilization == share
    assert parse(raw(parsed.model_dump(mode="json", by_alias=True, exclude_none=True))) == parsed


@pytest.mark.parametrize("config", [CUSTOM, AWS_ATTACHED, AWS_CREATED], ids=["custom", "attached", "created"])
def test_settings_of_a_sample_survive_a_round_trip(config: dict[str, Any]) -> None:
    parsed = settings(config)
    assert parse(raw(parsed.model_dump(mode="json", by_alias=True, exclude_none=True))) == parsed


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        chat().gpus = 2


def test_nodes_that_are_there_may_be_too_few_for_a_surge() -> None:
    """Whoever has a single GPU may serve one model from it, and stop it for a change."""
    assert settings(changed(SMALLEST, "gpuPools.l4.nodes", 1)).gpu_pools["l4"].nodes == 1
