"""The JSON Schema that editors check the stack files with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from components.settings import parse
from components.settings.schema import SCHEMA_FILE, render
from tests.components.samples import AWS_ATTACHED, AWS_CREATED, CUSTOM, SMALLEST, changed, full, raw, without

ROOT = Path(__file__).parents[1]
STACKS = sorted(ROOT.glob("Pulumi.*.yaml"))
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))


def stack_file(config: dict[str, Any]) -> dict[str, Any]:
    return {"config": {"aws:profile": "lab"} | {full(key): value for key, value in config.items()}}


def test_the_checked_in_schema_is_that_of_the_models() -> None:
    assert SCHEMA_FILE.read_text() == render(), "renew it with: python -m components.settings"


def test_the_schema_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)


def test_there_are_stacks_to_check() -> None:
    assert {"Pulumi.dev.yaml", "Pulumi.local.yaml"} <= {path.name for path in STACKS}


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.name)
def test_a_shipped_stack_meets_schema_and_loader_and_names_the_schema(path: Path) -> None:
    text = path.read_text()
    content = yaml.safe_load(text)
    VALIDATOR.validate(content)
    parse(raw({key.removeprefix("inference:"): value for key, value in content["config"].items()}))
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA_FILE.relative_to(ROOT)}\n")


@pytest.mark.parametrize(
    "config",
    [SMALLEST, CUSTOM, AWS_ATTACHED, AWS_CREATED],
    ids=["smallest", "custom", "attached", "created"],
)
def test_what_the_loader_takes_meets_the_schema(config: dict[str, Any]) -> None:
    VALIDATOR.validate(stack_file(config))


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(changed(SMALLEST, "models.chat.contextLenght", 1), id="an unknown key"),
        pytest.param(changed(SMALLEST, "namespce", "llm"), id="an unknown section"),
        pytest.param(changed(SMALLEST, "models.chat.contextLength", "long"), id="a wrong type"),
        pytest.param(changed(SMALLEST, "models.chat.concurrency", 0), id="a number out of range"),
        pytest.param(changed(SMALLEST, "models.chat.source", "hf://owner/name@main"), id="an unpinned source"),
        *(
            pytest.param(changed(SMALLEST, "models.chat.source", source), id=f"the source {source}")
            for source in (
                "oci://ghcr.io/team/llama:v2",
                "file:///mnt/llama",
                "s3://weights/llm@v2",
                "s3://Weights/llm",
                "s3://weights/../llm",
                "s3://weights/llm?token=hunter2",
                "image:///",
                f"s3://weights/{'a' * 153}",
                "https://huggingface.co/owner/name",
            )
        ),
        pytest.param(
            changed(SMALLEST, "models.chat.weights.endpoint", "https://user:hunter2@hub.example.com"),
            id="credentials in an endpoint",
        ),
        pytest.param(changed(SMALLEST, "models.chat.weights.keepRevisions", 11), id="too many revisions"),
        pytest.param(changed(SMALLEST, "models.chat.weights.check", "all"), id="a check that there is not"),
        pytest.param(changed(SMALLEST, "models.chat.weights.dataSource", {"name": "llama"}), id="a copy of no kind"),
        pytest.param(changed(SMALLEST, "models.chat.image", "vllm/vllm-openai:latest"), id="the tag latest"),
        pytest.param(changed(SMALLEST, "models.chat.image", "localhost:5000/vllm"), id="no tag"),
        pytest.param(changed(SMALLEST, "models.Chat_1", SMALLEST["models"]["chat"]), id="a name that is no DNS label"),
        pytest.param(changed(SMALLEST, "cluster.provider", "gke"), id="a provider that there is not"),
        pytest.param(changed(AWS_ATTACHED, "cluster.kubeconfig", "config"), id="a key of another kind of cluster"),
        pytest.param(changed(AWS_ATTACHED, "storage.shared.iops", 3000), id="a key of another kind of storage"),
        pytest.param(changed(AWS_ATTACHED, "gpuPools.l40s.nodes", 1), id="a key of another kind of pool"),
        pytest.param(changed(AWS_ATTACHED, "cluster.tags", {"aws:team": "llm"}), id="a tag of AWS's own"),
        pytest.param(changed(AWS_ATTACHED, "aws:region", "Oregon"), id="a region that is none"),
        pytest.param(changed(AWS_CREATED, "cluster.create.cidr", "10.0.0.0/8"), id="a range too large for a VPC"),
        pytest.param(changed(AWS_CREATED, "models.chat.cuda", "latest"), id="a CUDA that is no version"),
        pytest.param(changed(SMALLEST, "hfToken", "hf_plain"), id="a token in plain text"),
        pytest.param(changed(SMALLEST, "models.chat.weights.size", "20GB"), id="a size without a binary unit"),
        pytest.param(changed(SMALLEST, "namespace", "default"), id="the default namespace"),
        pytest.param(changed(SMALLEST, "devicePlugin.namespace", "kube-system"), id="a namespace of Kubernetes"),
        pytest.param(without(SMALLEST, "models.chat.pool"), id="a required key missing"),
        pytest.param(without(SMALLEST, "gpuPools"), id="a required section missing"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(config: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(stack_file(config))


@pytest.mark.parametrize(
    "source",
    [
        f"hf://owner/name@{'0' * 40}",
        "s3://weights/llm/v2",
        f"s3://weights/llm@sha256:{'0' * 64}",
        f"oci://localhost:5000/team/llama@sha256:{'0' * 64}",
        f"file:///mnt/llama@sha256:{'0' * 64}",
        "image:///models/llama",
    ],
)
def test_the_schema_takes_every_form_of_source(source: str) -> None:
    VALIDATOR.validate(stack_file(changed(SMALLEST, "models.chat.source", source)))


def test_a_secret_token_meets_the_schema() -> None:
    VALIDATOR.validate(stack_file(SMALLEST | {"hfToken": {"secure": "v1:abc"}}))


@pytest.mark.parametrize(
    "image", ["localhost:5000/vllm:1", f"vllm@sha256:{'0' * 64}", f"vllm:latest@sha256:{'0' * 64}", "vllm:latest-cu13"]
)
def test_the_schema_takes_pinned_images(image: str) -> None:
    VALIDATOR.validate(stack_file(changed(SMALLEST, "models.chat.image", image)))
