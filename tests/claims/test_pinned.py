"""Whether the same settings are the same bytes for ever."""

from __future__ import annotations

from typing import Any

import pytest

from claims.claim import Verdict
from claims.pinned import claims
from tests.claims.one import chat_with, claim_on, line, scaled
from tests.components.samples import AWS_ATTACHED, AWS_CREATED, DCGM_EXPORTER, SMALLEST, SOURCES, SUM, changed

WITH_EXPORTER = changed(SMALLEST, "devicePlugin", {"dcgmExporter": True})
DIGEST = f"@sha256:{SUM}"


def test_engine_and_weights_by_digest_and_commit_are_proved() -> None:
    claim = claim_on(claims, SMALLEST)
    assert (claim.verdict, claim.change, claim.proof) == (Verdict.PROVED, None, None)
    assert claim.arithmetic == (
        "image docker.io/vllm/vllm-openai:v0.31.0: digest c1c9f6fd5c10",
        "weights hf://meta-llama/Llama-3.1-8B-Instruct: revision 0e9e39f249a1",
    )


def test_what_runs_beside_the_models_is_proved_by_default() -> None:
    """Of an image that a user builds only the user has the digest; all others the program pins."""
    claim = claim_on(claims, scaled(), "stack")
    assert (claim.verdict, claim.change, claim.proof) == (Verdict.PROVED, None, None)
    assert claim.arithmetic == (
        f"image registry.example.com/weight-seeder:0.1: digest {'5d' * 6}",
        "image nvcr.io/nvidia/k8s-device-plugin:v0.18.2: digest b5788e29e7ae",
        "chart keda: version 2.21.0, and the images of that",
        "chart kube-prometheus-stack: version 81.4.2, and the images of that",
        "AMI of pool l40s: not claimed: the latest of EKS when a node or its group is made, unless amiRelease is set",
    )


def test_what_eks_chooses_is_not_claimed_and_told() -> None:
    assert (
        claim_on(claims, scaled(), "stack").sentence == "the images and charts beside the models are the same for ever"
    )
    assert not [each for each in claim_on(claims, SMALLEST, "stack").arithmetic if "not claimed" in each]
    released = changed(AWS_ATTACHED, "gpuPools.l40s.amiRelease", "1.34.1-20251112")
    assert line(claim_on(claims, released, "stack"), "AMI of pool l40s") == "AMI of pool l40s: release 1.34.1-20251112"
    assert not [each for each in claim_on(claims, released, "stack").arithmetic if each.startswith("add-ons")]
    told = line(claim_on(claims, changed(AWS_CREATED, "cluster.create.addons", {}), "stack"), "add-ons")
    assert told == (
        "add-ons and system nodes of EKS: not claimed: its versions of the day when they are made, unless "
        "cluster.create.addons names them"
    )
    named = changed(AWS_CREATED, "cluster.create.addons", {"coredns": "v1.12.4-eksbuild.1"})
    assert line(claim_on(claims, named, "stack"), "add-ons").endswith("made, but for coredns v1.12.4-eksbuild.1")


def test_a_tag_is_refused_with_the_command_that_finds_its_digest() -> None:
    claim = claim_on(claims, chat_with(SMALLEST, image="docker.io/vllm/vllm-openai:v0.33.0"))
    assert claim.verdict is Verdict.REFUSED
    assert claim.change == (
        "inference:models.chat.image docker.io/vllm/vllm-openai:v0.33.0@sha256:DIGEST, with what oras resolve "
        "docker.io/vllm/vllm-openai:v0.33.0 says, or taken out: the program's own is pinned"
    )
    pinned = chat_with(SMALLEST, image=f"docker.io/vllm/vllm-openai:v0.33.0{DIGEST}")
    assert claim_on(claims, pinned).verdict is Verdict.PROVED


def test_an_engine_without_an_image_of_the_program_has_nothing_to_take_out() -> None:
    config = chat_with(SMALLEST, engine="tgi", image="ghcr.io/huggingface/text-generation-inference:3.3.7")
    claim = claim_on(claims, config)
    assert claim.verdict is Verdict.REFUSED
    assert claim.change is not None
    assert claim.change.endswith(" says")


@pytest.mark.parametrize(
    ("config", "key"),
    [
        pytest.param(changed(SMALLEST, "images.weightSeeder", "r.example.com/s:1"), "weightSeeder", id="seeder"),
        pytest.param(changed(SMALLEST, "images.devicePlugin", "r.example.com/p:1"), "devicePlugin", id="plugin"),
        pytest.param(
            changed(
                changed(SMALLEST, "images.dcgmExporter", "r.example.com/d:1"), "devicePlugin.dcgmExporter", value=True
            ),
            "dcgmExporter",
            id="exporter",
        ),
    ],
)
def test_every_image_that_runs_is_looked_at(config: dict[str, Any], key: str) -> None:
    claim = claim_on(claims, config, "stack")
    assert claim.verdict is Verdict.REFUSED
    assert claim.change is not None
    assert claim.change.startswith(f"inference:images.{key} r.example.com/")


def test_an_image_that_does_not_run_is_not() -> None:
    """No exporter, no plugin where the nodes bring one, no seeder where the weights are in the image."""
    config = changed(SMALLEST, "images.dcgmExporter", "r.example.com/d:1")
    assert claim_on(claims, config, "stack").verdict is Verdict.PROVED
    bare = changed(SMALLEST, "images.devicePlugin", "r.example.com/p:1")
    assert claim_on(claims, changed(bare, "devicePlugin.enabled", value=False), "stack").verdict is Verdict.PROVED
    rocket = changed(
        changed(AWS_ATTACHED, "gpuPools.l40s.ami", "bottlerocket"), "images.devicePlugin", "r.example.com/p:1"
    )
    assert claim_on(claims, rocket, "stack").verdict is Verdict.PROVED
    inside = changed(SOURCES["image"], "images.weightSeeder", "r.example.com/s:1")
    assert claim_on(claims, inside, "stack").verdict is Verdict.PROVED


def test_the_exporter_of_the_settings_is_told_where_it_runs() -> None:
    name = DCGM_EXPORTER.partition("@")[0]
    assert line(claim_on(claims, AWS_CREATED, "stack"), f"image {name}").endswith(f"digest {'dc' * 6}")


@pytest.mark.parametrize(("source", "verdict"), [("s3", Verdict.UNPROVEN), ("oci", Verdict.PROVED)])
def test_weights_by_a_prefix_alone_are_whatever_is_there(source: str, verdict: Verdict) -> None:
    claim = claim_on(claims, SOURCES[source])
    assert claim.verdict is verdict
    if verdict is Verdict.UNPROVEN:
        assert claim.proof == (
            "inference:models.chat.source s3://example-weights/llm/chat/v1@sha256:DIGEST: find the digest with: aws s3 "
            "cp s3://example-weights/llm/chat/v1/SHA256SUMS - | sha256sum"
        )


def test_weights_in_the_image_are_as_pinned_as_the_image() -> None:
    assert line(claim_on(claims, SOURCES["image"]), "weights") == "weights image:///models/chat: of the image"
