"""What the settings of weights may be together with their source and their volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.facts import models
from components.settings import SettingsError, parse
from tests.components.samples import AWS_CREATED, SMALLEST, changed, chat, raw, without

DIGEST = "ab" * 32
HUB = "hf://owner/listed@" + "1" * 40
PARTS = "hf://owner/parts@" + "1" * 40
GGUF = "hf://owner/gguf@" + "1" * 40
CODE = "hf://owner/code@" + "1" * 40
OLLAMA = f"ollama://llama3.1:8b@sha256:{DIGEST}"
NIM = f"ngc://nim/meta/llama-3.1-8b-instruct@profile:{DIGEST}"
UNLISTED = "hf://owner/other@" + "1" * 40
S3 = "s3://weights/llm"
OCI = f"oci://ghcr.io/team/llama@sha256:{DIGEST}"
FOLDER = f"file:///mnt/llama@sha256:{DIGEST}"
IMAGE = "image:///models/llama"
CHAT = "inference:models.chat"
WEIGHTS = f"{CHAT}.weights"
SIZES = "a size in Ki, Mi, Gi or Ti, such as 16Gi"
GIB = 2**30


@pytest.fixture(autouse=True)
def _listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program knows the files of one source: 10 GiB of weights, and 20 GiB of the same in other forms."""
    files = {"model.safetensors": 10 * GIB, "pytorch_model.bin": 10 * GIB, "original/model.safetensors": 10 * GIB}
    parts = {f"model-0000{part}-of-00002.safetensors": 5 * GIB for part in (1, 2)}
    whole = parts | {"config.json": 500, "README.md": 100, "training_args.bin": 5, "tokenizer.json": 9000}
    quantized = {"llama-q4.gguf": 4 * GIB, "config.json": 500, "params.json": 300}
    monkeypatch.setattr(models, "_data", lambda: {HUB: files, PARTS: whole, GGUF: quantized, CODE: {"main.py": 7}})


def of(source: str, weights: dict[str, Any] | None = None, **model: Any) -> dict[str, Any]:
    """The smallest stack with another source, its `weights`, and other keys of the model."""
    config = changed(SMALLEST, "models.chat.source", source)
    if source == S3 and weights is not None and "credentials" not in weights:
        weights = {"serviceAccount": "seeder"} | weights
    for key, value in (({} if weights is None else {"weights": weights}) | model).items():
        config = changed(config, f"models.chat.{key}", value)
    return config


def in_image(**model: Any) -> dict[str, Any]:
    given = {"image": f"example.com/vllm@sha256:{DIGEST}", "probes": {"startupSeconds": 600}} | model
    return of(IMAGE, **({"weights": {}} | given))


def stored(kind: dict[str, Any], weights: dict[str, Any], source: str = S3) -> dict[str, Any]:
    """A stack on EKS whose one model has its weights on storage of a kind."""
    config = AWS_CREATED | {
        "storage": {"disk": kind},
        "models": {
            "chat": {
                "source": source,
                "pool": "l4",
                "contextLength": 8192,
                "weights": {"storage": "disk", "size": "20Gi"} | weights,
            }
        },
    }
    return without(config, "gpuPools.h100")


def mistakes(config: dict[str, Any]) -> list[str]:
    with pytest.raises(SettingsError) as error:
        parse(raw(config))
    return [str(each) for each in error.value.mistakes]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param(
            of(S3, {}),
            f'{WEIGHTS}.size: is missing, and the program has no list of the files of "{S3}"; allowed: {SIZES}; none '
            "where there is such a list; make the list with: make model-facts STACK=<name> MODEL=chat, or give "
            "weights.size",
            id="a source that the facts do not have, and no size",
        ),
        pytest.param(
            without(of(UNLISTED), "models.chat.weights"),
            f'{WEIGHTS}.size: is missing, and the program has no list of the files of "{UNLISTED}"; allowed: {SIZES}; '
            "none where there is such a list; make the list with: make model-facts STACK=<name> MODEL=chat, or give "
            "weights.size",
            id="no weights at all",
        ),
        pytest.param(
            changed(changed(SMALLEST, "models.chat.source", S3), "models.chat.weights", {"size": "20Gi"}),
            f'{WEIGHTS}.credentials: is missing, and "{S3}" is read by nobody without; allowed: a Secret with '
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or serviceAccount with an identity; set it with: "
            f"pulumi config set --path '{WEIGHTS}.credentials' s3-credentials",
            id="a bucket that nobody may read, where there is no EKS to make a role for",
        ),
        pytest.param(
            of(HUB, {"size": "9Gi"}),
            f'{WEIGHTS}.size: "9Gi" is less than one revision\'s 10,737,418,240 bytes; allowed: at least 33Gi; '
            f"set it with: pulumi config set --path '{WEIGHTS}.size' 33Gi",
            id="a volume that does not hold one revision",
        ),
        pytest.param(
            of(HUB, {"size": "29Gi"}),
            f'{WEIGHTS}.size: "29Gi" is too small for a change of the revision: 1 kept, the one that is served and the '
            "new one are 3 x 10,737,418,240 = 32,212,254,720 bytes; allowed: at least 33Gi, or keepRevisions 0; "
            f"set it with: pulumi config set --path '{WEIGHTS}.size' 33Gi",
            id="a volume that holds one revision too few",
        ),
        pytest.param(
            of(HUB, {"size": "40Gi", "keepRevisions": 5}),
            f'{WEIGHTS}.size: "40Gi" is too small for a change of the revision: 5 kept, the one that is served and the '
            "new one are 7 x 10,737,418,240 = 75,161,927,680 bytes; allowed: at least 77Gi, or keepRevisions 2; "
            f"set it with: pulumi config set --path '{WEIGHTS}.size' 77Gi",
            id="more revisions than the volume holds",
        ),
        pytest.param(
            of(HUB, {"size": "19Gi", "keepRevisions": 0}),
            f'{WEIGHTS}.size: "19Gi" is too small for a change of the revision: 0 kept, the one that is served and the '
            "new one are 2 x 10,737,418,240 = 21,474,836,480 bytes; allowed: at least 22Gi; "
            f"set it with: pulumi config set --path '{WEIGHTS}.size' 22Gi",
            id="no room for a change even without earlier revisions",
        ),
        pytest.param(
            of(HUB, {"include": ["*.gguf"]}),
            f'{WEIGHTS}.include: takes none of the files of "{HUB}"; allowed: patterns with which '
            "model.safetensors, original/model.safetensors, pytorch_model.bin are seeded; correct include in the stack "
            "file",
            id="patterns that take no file",
        ),
        pytest.param(
            of(HUB, {"exclude": ["*"]}),
            f'{WEIGHTS}.exclude: leaves none of the files of "{HUB}"; allowed: patterns with which model.safetensors, '
            "original/model.safetensors, pytorch_model.bin are seeded; correct exclude in the stack file",
            id="patterns that take files, and others that leave none of them",
        ),
        pytest.param(
            of(PARTS, {"include": ["*.json", "*.bin"]}),
            f'{WEIGHTS}.include: takes no weights of "{PARTS}", but config.json, tokenizer.json, training_args.bin; '
            "allowed: patterns with which model-00001-of-00002.safetensors, model-00002-of-00002.safetensors are "
            "seeded; correct include in the stack file",
            id="patterns that take all but the weights",
        ),
        pytest.param(
            of(PARTS, {"exclude": ["*.safetensors"]}),
            f'{WEIGHTS}.exclude: leaves no weights of "{PARTS}", but config.json, tokenizer.json; allowed: patterns '
            "with which model-00001-of-00002.safetensors, model-00002-of-00002.safetensors are seeded; correct exclude "
            "in the stack file",
            id="weights that are excluded",
        ),
        pytest.param(
            of(PARTS, {"include": ["*.json", "model-00001-*"]}),
            f'{WEIGHTS}.include: takes 1 of the 2 parts of the weights of "{PARTS}", but config.json, '
            "model-00001-of-00002.safetensors, tokenizer.json; allowed: patterns with which "
            "model-00002-of-00002.safetensors is seeded; correct include in the stack file",
            id="a part of the weights",
        ),
        pytest.param(
            of(PARTS, {"include": ["*.safetensors"]}),
            f'{WEIGHTS}.include: takes no config of "{PARTS}", but model-00001-of-00002.safetensors, '
            "model-00002-of-00002.safetensors; allowed: patterns with which config.json is seeded; correct include in "
            "the stack file",
            id="weights without the config",
        ),
        pytest.param(
            of(PARTS, {"exclude": ["config*"]}),
            f'{WEIGHTS}.exclude: leaves no config of "{PARTS}", but model-00001-of-00002.safetensors, '
            "model-00002-of-00002.safetensors, tokenizer.json; allowed: patterns with which config.json is seeded; "
            "correct exclude in the stack file",
            id="a config that is excluded",
        ),
        pytest.param(
            of(OLLAMA, engine="ollama", weights={"storageClass": "efs"}),
            f"{WEIGHTS}.size: is missing, and only the engine's own tool knows the files of \"{OLLAMA[:79]}...; "
            f"allowed: {SIZES}; set it with: pulumi config set --path '{WEIGHTS}.size' 100Gi",
            id="a model of Ollama's without a size",
        ),
        pytest.param(
            of(OLLAMA, {"size": "20Gi", "include": ["*.gguf"]}, engine="ollama"),
            f"{WEIGHTS}.include: means nothing for a source ollama://; allowed: none, or a source hf://, s3://, "
            "oci://, file://; take it out",
            id="patterns for what Ollama pulls",
        ),
        pytest.param(
            of(OLLAMA, {"size": "20Gi"}),
            f'{CHAT}.source: "{OLLAMA[:79]}... is fetched by the tool of engine ollama, and the engine is vllm; '
            "allowed: a source hf://, s3://, oci://, file:// or image://, or engine ollama; choose another source or "
            "engine in the stack file",
            id="a model of Ollama's for another engine",
        ),
        pytest.param(
            of(NIM, {"size": "20Gi"}),
            f'{CHAT}.source: "{NIM[:79]}... is fetched by the tool of engine nim, and the engine is vllm; allowed: a '
            "source hf://, s3://, oci://, file:// or image://, or engine nim; choose another source or engine in the "
            "stack file",
            id="a profile of a NIM image for another engine",
        ),
        pytest.param(
            of(HUB, {"serviceAccount": "loader"}),
            f"{WEIGHTS}.serviceAccount: means nothing for a source hf://; allowed: none, or a source s3://; take it "
            "out",
            id="an identity for the hub, which knows tokens",
        ),
        pytest.param(
            of(OCI, {"size": "20Gi", "serviceAccount": "loader"}),
            f"{WEIGHTS}.serviceAccount: means nothing for a source oci://; allowed: none, or a source s3://; take it "
            "out",
            id="an identity for a registry, which knows passwords",
        ),
        pytest.param(
            of(HUB, {"region": "us-west-2"}),
            f"{WEIGHTS}.region: means nothing for a source hf://; allowed: none, or a source s3://; take it out",
            id="a region for the hub",
        ),
        pytest.param(
            of(S3, {"size": "20Gi", "region": "US West"}),
            f'{WEIGHTS}.region: "US West" is not valid; allowed: a region as its S3 service names it, such as '
            f"us-west-2; set it with: pulumi config set --path '{WEIGHTS}.region' us-west-2",
            id="what is the name of no region",
        ),
        pytest.param(
            of(FOLDER, {"size": "20Gi", "sourceClaim": "nfs", "credentials": "key"}),
            f"{WEIGHTS}.credentials: means nothing for a source file://; allowed: none, or a source hf://, s3://, "
            "oci://, ngc://; take it out",
            id="credentials for a folder",
        ),
        pytest.param(
            of(FOLDER, {"size": "20Gi", "sourceClaim": "nfs", "endpoint": "https://hub.example.com"}),
            f"{WEIGHTS}.endpoint: means nothing for a source file://; allowed: none, or a source hf://, s3://, "
            "oci://; take it out",
            id="an endpoint for a folder",
        ),
        pytest.param(
            of(FOLDER, {"size": "20Gi", "sourceClaim": "nfs", "egress": ["10.0.0.0/8"]}),
            f"{WEIGHTS}.egress: means nothing for a source file://; allowed: none, or a source hf://, s3://, "
            "oci://, ollama://, ngc://; take it out",
            id="egress for a folder",
        ),
        pytest.param(
            of(S3, {"size": "20Gi", "sourceClaim": "nfs"}),
            f"{WEIGHTS}.sourceClaim: means nothing for a source s3://; allowed: none, or a source file://; take it out",
            id="a claim with the source of objects",
        ),
        pytest.param(
            of(S3, {"size": "20Gi", "serviceAccount": "loader", "credentials": "key"}),
            f"{WEIGHTS}.serviceAccount: is given together with credentials, whose keys would be used in place of its "
            "identity; allowed: credentials, or serviceAccount; take one of the two out",
            id="two ways to sign in",
        ),
        pytest.param(
            of(FOLDER, {"size": "20Gi"}),
            f'{WEIGHTS}.nodeSelector: is missing, and the folder of "{FOLDER[:79]}... is on nodes that nothing else '
            "tells; allowed: labels of the nodes that have the folder, or sourceClaim with the claim that it is on; "
            "write one of the two in the stack file",
            id="a folder that is nowhere",
        ),
        pytest.param(
            stored({"kind": "instanceStore"}, {"nodeSelector": {"disk": "models"}}, FOLDER),
            f'{WEIGHTS}.storage: "disk" is seeded on each node of pool l4, where the folder is not; allowed: storage '
            "of another kind, or sourceClaim with a claim that many nodes can mount; choose another storage, or put "
            "the folder on a claim",
            id="a folder on some nodes for the disks of others",
        ),
        *(
            pytest.param(
                stored({"kind": kind} | more, {key: value}),
                f"{WEIGHTS}.{key}: is for volumes that have snapshots, and disk is of kind {kind}; allowed: storage of "
                "kind gp3, or a storageClass whose driver has them; take it out, or choose another storage",
                id=f"{key} on {kind}",
            )
            for kind, more in (("efs", {}), ("fsx", {"zone": "us-east-2b"}), ("instanceStore", {}))
            for key, value in (
                ("dataSource", {"kind": "VolumeSnapshot", "name": "llama"}),
                ("snapshotClass", "csi-aws-vsc"),
            )
        ),
        pytest.param(
            in_image(image=None),
            f'{CHAT}.image: is missing, and "{IMAGE}" is a folder of it; allowed: an image by its digest, so that the '
            "weights are always the same; find the digest with: oras resolve IMAGE",
            id="weights in an image that is not named",
        ),
        pytest.param(
            in_image(image="example.com/vllm:1"),
            f'{CHAT}.image: "example.com/vllm:1" has no digest, and "{IMAGE}" is a folder of it; allowed: an image by '
            "its digest, so that the weights are always the same; find the digest with: oras resolve "
            "example.com/vllm:1",
            id="weights in an image by its tag",
        ),
        pytest.param(
            in_image(probes={}),
            f"{CHAT}.probes.startupSeconds: is missing, and nothing says how large the weights in the image are; "
            f"allowed: an integer from 10 to 14400; set it with: pulumi config set --path "
            f"'{CHAT}.probes.startupSeconds' 600",
            id="weights in an image, and no time to load them",
        ),
        *(
            pytest.param(
                in_image(weights={key: value}),
                f'{WEIGHTS}.{key}: is for a volume, and "{IMAGE}" is a folder of the engine\'s image; allowed: nothing '
                "below weights with a source image:///PATH; take it out",
                id=f"weights in an image with {key}",
            )
            for key, value in {
                "size": "20Gi",
                "storageClass": "efs",
                "dataSource": {"kind": "PersistentVolumeClaim", "name": "llama"},
                "credentials": "key",
                "keepRevisions": 3,
                "include": ["*.safetensors"],
                "protect": False,
            }.items()
        ),
        pytest.param(
            of(S3, {"size": "20Gi", "keepRevisions": 11}),
            f"{WEIGHTS}.keepRevisions: 11 is more than 10; allowed: an integer from 0 to 10; set it with: "
            f"pulumi config set --path '{WEIGHTS}.keepRevisions' 1",
            id="too many revisions to keep",
        ),
        pytest.param(
            of(S3, {"size": "20Gi", "check": "all"}),
            f'{WEIGHTS}.check: "all" is not available; allowed: sizes, checksums; set it with: '
            f"pulumi config set --path '{WEIGHTS}.check' sizes",
            id="a check that there is not",
        ),
        pytest.param(
            of(S3, {"size": "20Gi", "egress": ["10.0.0.1"]}),
            f'{WEIGHTS}.egress[0]: "10.0.0.1" is an address without a prefix; allowed: an IPv4 range such as '
            f"203.0.113.0/24; set it with: pulumi config set --path '{WEIGHTS}.egress[0]' 10.0.0.1/32",
            id="egress to an address without a prefix",
        ),
        pytest.param(
            of(S3, {"size": "20Gi", "dataSource": {"kind": "Volume", "name": "llama"}}),
            f'{WEIGHTS}.dataSource.kind: "Volume" is not available; allowed: VolumeSnapshot, PersistentVolumeClaim; '
            f"set it with: pulumi config set --path '{WEIGHTS}.dataSource.kind' VolumeSnapshot",
            id="a copy of what there is no copy of",
        ),
    ],
)
def test_a_mistake_is_one_line_with_what_is_allowed_and_the_way_out(config: dict[str, Any], message: str) -> None:
    assert mistakes(config) == [message]


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(of(HUB, {"credentials": "hub", "endpoint": "https://hub.example.com"}), id="a private hub"),
        pytest.param(of(S3, {"size": "20Gi", "serviceAccount": "loader", "egress": ["10.0.0.0/8"]}), id="objects"),
        pytest.param(of(S3, {"size": "20Gi", "region": "garage"}), id="objects of a service with a region of its own"),
        pytest.param(of(OCI, {"size": "20Gi", "credentials": "registry"}), id="an artifact"),
        pytest.param(of(FOLDER, {"size": "20Gi", "sourceClaim": "nfs"}), id="a folder on a claim"),
        pytest.param(of(FOLDER, {"size": "20Gi", "nodeSelector": {"disk": "models"}}), id="a folder on nodes"),
        pytest.param(
            stored({"kind": "instanceStore"}, {"sourceClaim": "nfs", "keepRevisions": 0}, FOLDER),
            id="a folder on a claim for every node",
        ),
        pytest.param(
            of(S3, {"size": "20Gi", "storageClass": "csi", "snapshotClass": "csi", "check": "checksums"}),
            id="snapshots of a class",
        ),
        pytest.param(
            stored({"kind": "gp3"}, {"dataSource": {"kind": "VolumeSnapshot", "name": "llama"}}), id="a clone on gp3"
        ),
        pytest.param(in_image(), id="weights in the image"),
        pytest.param(of(PARTS, {"include": ["*.safetensors", "config.json"]}), id="weights and config alone"),
        pytest.param(of(GGUF, {"include": ["*.gguf"]}), id="a file that holds its config"),
        pytest.param(of(CODE, {"include": ["*.py"]}), id="a source whose weights have another form"),
        pytest.param(without(in_image(), "models.chat.weights"), id="weights in the image, and no word of a volume"),
        pytest.param(without(of(HUB), "models.chat.weights"), id="a source that the facts have, and no word of sizes"),
        pytest.param(of(HUB, {"size": "30Gi"}), id="exactly what a change needs"),
        pytest.param(of(HUB, {"size": "20Gi", "keepRevisions": 0}), id="exactly what a change without a past needs"),
        pytest.param(stored({"kind": "efs"}, {"size": "1Gi"}, HUB), id="a size that its file system does not know"),
        pytest.param(stored({"kind": "instanceStore"}, {"size": "1Gi"}, HUB), id="a size that a disk does not know"),
    ],
)
def test_what_goes_together_is_taken(config: dict[str, Any]) -> None:
    assert chat(config).source == config["models"]["chat"]["source"]


def test_the_defaults_keep_one_earlier_revision_and_check_sizes_within_half_a_gibibyte() -> None:
    weights = chat().weights
    assert (weights.keep_revisions, weights.check, weights.egress) == (1, "sizes", ())
    assert weights.resources.limits.memory == "512Mi"
    assert [weights.credentials, weights.service_account, weights.source_claim] == [None] * 3
    assert [weights.data_source, weights.snapshot_class] == [None] * 2


def test_every_mistake_of_every_model_is_told() -> None:
    config = in_image(image=None, probes={}, weights={"size": "20Gi", "check": "checksums"})
    config = changed(config, "models.draft", of(S3, {})["models"]["chat"])
    assert [line.split(": ")[0] for line in mistakes(config)] == [
        f"{CHAT}.image",
        f"{CHAT}.probes.startupSeconds",
        f"{WEIGHTS}.size",
        f"{WEIGHTS}.check",
        "inference:models.draft.weights.size",
    ]


def test_weights_whose_size_is_not_known_are_no_measure_for_their_disk() -> None:
    config = without(stored({"kind": "gp3", "iops": 6000}, {}), "models.chat.weights.size")
    assert [line.split(": ")[0] for line in mistakes(config)] == [f"{WEIGHTS}.size"]


def test_what_follows_from_the_facts_has_to_fit_the_disks_too() -> None:
    monstrous = without(stored({"kind": "instanceStore"}, {"keepRevisions": 10}, HUB), "models.chat.weights.size")
    assert chat(monstrous).weights.size is None
    config = changed(stored({"kind": "fsx", "zone": "us-east-2b"}, {"size": "2Ti"}), "models.chat.source", HUB)
    (line,) = mistakes(config)
    assert line.startswith(
        "inference:storage.disk.capacityGiB: 1200 is too small: the weights of model chat are 2048Gi"
    )
    assert chat(without(config, "models.chat.weights.size")).weights.size is None


@pytest.mark.parametrize(
    "endpoint", ["http://h:99999", "http://h:0", "http://hub:http", "http://hub..svc", "https://-h"]
)
def test_an_endpoint_that_names_no_host_and_port_is_refused(endpoint: str) -> None:
    (mistake,) = mistakes(of(HUB, {"size": "60Gi", "endpoint": endpoint}))
    assert mistake.startswith(f"{WEIGHTS}.endpoint: ")


@pytest.mark.parametrize("registry", ["ghcr.io:99999", "ghcr.io:0", "ghcr..io"])
def test_a_registry_that_names_no_host_and_port_is_refused(registry: str) -> None:
    (mistake,) = mistakes(of(f"oci://{registry}/team/llama@sha256:{DIGEST}", {"size": "60Gi"}))
    assert mistake.startswith(f"{CHAT}.source: ")


def test_a_bucket_that_is_not_awss_needs_keys_on_eks_too() -> None:
    """A role of the program's own would hand its token to a stranger."""
    config = stored({"kind": "efs"}, {"endpoint": "https://minio.example.com"})
    (mistake,) = mistakes(config)
    assert mistake.startswith("inference:models.chat.weights.credentials: is missing")
    for endpoint in ("https://s3.us-west-2.amazonaws.com", "https://s3.cn-north-1.amazonaws.com.cn"):
        parse(raw(stored({"kind": "efs"}, {"endpoint": endpoint})))


def test_objects_of_the_user_may_have_any_name_that_kubernetes_gives() -> None:
    named = {"dataSource": {"kind": "VolumeSnapshot", "name": "snap.2024-01-01"}, "serviceAccount": "0-" + "a" * 60}
    parse(raw(of(S3, {"size": "60Gi", **named})))


def test_a_rate_that_follows_from_storage_is_not_blamed_on_weights_in_the_image() -> None:
    config = stored({"kind": "efs"}, {}, IMAGE)
    config = changed(config, "models.chat.weights", {"storage": "disk"})
    config = changed(config, "models.chat.image", f"example.com/vllm@sha256:{DIGEST}")
    config = changed(config, "models.chat.probes", {"startupSeconds": 600})
    assert [line.split(": ")[0] for line in mistakes(config)] == [f"{WEIGHTS}.storage"]
    both = changed(config, "models.chat.weights.bandwidthMBps", 900)
    assert {line.split(": ")[0] for line in mistakes(both)} == {f"{WEIGHTS}.storage", f"{WEIGHTS}.bandwidthMBps"}
