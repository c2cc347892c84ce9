"""Whether a replica that leaves ends its answers before anything ends it."""

from __future__ import annotations

from typing import Any

import pytest

from claims.claim import Verdict
from claims.drops import claims
from tests.claims.one import chat_with, claim_on, line, pool_with
from tests.components.samples import AWS_ATTACHED, AWS_CREATED, SMALLEST, SUM, changed

SHORT = chat_with(SMALLEST, outputTokens=4000)
ON_AWS = chat_with(AWS_ATTACHED, outputTokens=4000)
NGINX = {"kind": "ingress", "className": "nginx", "controller": "nginx", "host": "llm.example.com"}
POLICY = {"gatewayNamespace": "ingress"}
OLLAMA: dict[str, Any] = {"engine": "ollama", "source": f"ollama://llama3.1:8b@sha256:{SUM}"}


def behind(gateway: dict[str, Any], **model: Any) -> dict[str, Any]:
    return chat_with({**SHORT, "gateway": gateway, "networkPolicy": POLICY}, **model)


def with_image(image: str) -> dict[str, Any]:
    return chat_with(SHORT, image=image)


def test_sleep_drain_and_exit_are_told_in_their_order() -> None:
    claim = claim_on(claims, SHORT)
    assert (claim.verdict, claim.change, claim.proof) == (Verdict.PROVED, None, None)
    assert claim.sentence == "a replica that leaves gets 200 s to end its answers, and nothing cuts them"
    assert claim.arithmetic == (
        "drain: 10 s sleep before the stop + 200 s of vLLM's own = 210 s < 225 s grace period, 15 s of them to exit",
        "vLLM 0.31: --shutdown-timeout 200, without which it cuts streams",
        "longest answer: 4,000 tokens x 50 ms = 200 s <= 200 s drain",
        "nodes: whoever drains one that is there waits for the 225 s (kubectl drain's default)",
        "front door: none in this stack; what is inside the cluster cuts nothing",
    )


def test_an_engine_that_cuts_its_answers_sleeps_as_long_as_it_would_drain() -> None:
    claim = claim_on(claims, chat_with(SHORT, **OLLAMA))
    assert line(claim, "drain").startswith("drain: 210 s sleep before the stop + 0 s of Ollama's own = 210 s < 225 s")
    assert claim.verdict is Verdict.PROVED


def test_without_output_tokens_the_context_bounds_an_answer_and_the_claim_says_so() -> None:
    claim = claim_on(claims, SMALLEST)
    assert claim.verdict is Verdict.UNPROVEN
    assert line(claim, "longest") == (
        "longest answer, which only contextLength bounds: 8,192 tokens x 50 ms = 410 s > 300 s drain"
    )
    assert claim.proof == (
        "inference:models.chat.outputTokens N, with N the longest answer that clients ask for: up to 6,000 end in time"
    )
    assert claim_on(claims, chat_with(SMALLEST, contextLength=6000)).verdict is Verdict.PROVED
    assert claim_on(claims, chat_with(SMALLEST, contextLength=6001)).verdict is Verdict.UNPROVEN


@pytest.mark.parametrize(
    ("image", "verdict"),
    [
        pytest.param("docker.io/vllm/vllm-openai:v0.18.0", Verdict.PROVED, id="the first with the flag"),
        pytest.param("docker.io/vllm/vllm-openai:v0.17.1", Verdict.REFUSED, id="the last without"),
        pytest.param("docker.io/vllm/vllm-openai:v0.6.3.post1", Verdict.REFUSED, id="a year older"),
        pytest.param("docker.io/vllm/vllm-openai:v0.34.0", Verdict.UNPROVEN, id="newer than what was read"),
        pytest.param("docker.io/vllm/vllm-openai:nightly", Verdict.UNPROVEN, id="a tag that is no version"),
        pytest.param(f"registry.example.com/vllm@sha256:{SUM}", Verdict.UNPROVEN, id="a digest alone"),
        pytest.param("registry.example.com:5000/ml/serving:0.5", Verdict.UNPROVEN, id="somebody's own numbers"),
    ],
)
def test_the_engine_is_of_a_version_that_drains(image: str, verdict: Verdict) -> None:
    claim = claim_on(claims, with_image(image))
    assert claim.verdict is verdict
    assert ("--shutdown-timeout" in (claim.proof or "")) is (verdict is Verdict.UNPROVEN)
    assert (claim.change == "inference:models.chat.image of 0.18 or newer, by its digest") is (
        verdict is Verdict.REFUSED
    )


def test_spot_interruptions_come_sooner_than_a_drain_ends() -> None:
    claim = claim_on(claims, pool_with(ON_AWS, "l40s", capacity="SPOT"))
    assert claim.verdict is Verdict.REFUSED
    assert "nodes: 225 s grace period > 120 s of a spot interruption" in claim.arithmetic
    assert claim.change == (
        "inference:gpuPools.l40s.capacity ON_DEMAND (or inference:models.chat.drainSeconds 95, with outputTokens to "
        "match)"
    )
    short = chat_with(pool_with(AWS_ATTACHED, "l40s", capacity="SPOT"), outputTokens=1900)
    assert claim_on(claims, short).verdict is Verdict.PROVED


@pytest.mark.parametrize(("drain", "verdict"), [(575, Verdict.PROVED), (576, Verdict.UNPROVEN)])
def test_the_autoscaler_of_a_cluster_that_is_there_is_taken_to_be_as_it_comes(drain: int, verdict: Verdict) -> None:
    claim = claim_on(claims, chat_with(ON_AWS, drainSeconds=drain))
    assert claim.verdict is verdict
    assert (claim.proof == "the cluster autoscaler's own --max-graceful-termination-sec=601") is (drain > 575)
    there = chat_with(SHORT, drainSeconds=drain, rollout={"nodeSeconds": 300})
    assert claim_on(claims, there).verdict is verdict


def test_the_autoscaler_of_this_program_waits_for_the_longest_drain() -> None:
    node_group = pool_with(AWS_CREATED, "l4", capacity="ON_DEMAND", autoscaler="cluster-autoscaler")
    config = chat_with(node_group, outputTokens=4000, drainSeconds=3000)
    claim = claim_on(claims, config)
    assert claim.verdict is Verdict.PROVED
    assert "nodes: 3025 s grace period <= 3,025 s of the cluster autoscaler of this program" in claim.arithmetic


def test_karpenter_waits_and_auto_mode_for_a_day() -> None:
    karpenter = pool_with(ON_AWS, "l40s", autoscaler="karpenter")
    assert line(claim_on(claims, karpenter), "nodes").startswith("nodes: Karpenter waits for the 225 s")
    auto = changed(karpenter, "cluster.autoMode", value=True)
    assert line(claim_on(claims, auto), "nodes").endswith("<= 86,400 s of EKS Auto Mode (its default)")


def test_an_update_in_place_gives_up_after_a_quarter_of_an_hour() -> None:
    long = chat_with(pool_with(ON_AWS, "l40s", updates="inPlace"), drainSeconds=876)
    claim = claim_on(claims, long)
    assert claim.verdict is Verdict.REFUSED
    assert claim.change is not None
    assert claim.change.startswith("inference:gpuPools.l40s.updates replace (or inference:models.chat.drainSeconds 875")
    assert claim_on(claims, chat_with(long, drainSeconds=500)).verdict is Verdict.PROVED


def test_of_a_capacity_block_nobody_knows_the_end() -> None:
    claim = claim_on(claims, AWS_CREATED, "models.expert")
    assert claim.verdict is Verdict.UNPROVEN
    assert "a schedule of yours that scales h100 to 0 nodes before the block ends" in (claim.proof or "")


def test_an_answer_that_is_no_stream_is_silent_and_must_not_be_cut_for_it() -> None:
    assert claim_on(claims, behind(NGINX)).verdict is Verdict.PROVED
    silent = behind({**NGINX, "idleSeconds": 300}, outputTokens=8000)
    claim = claim_on(claims, silent)
    assert (claim.verdict, claim.change) == (Verdict.REFUSED, "inference:gateway.idleSeconds 400")
    assert "front door: 400 s of an answer <= 600 s of a request" in claim.arithmetic


@pytest.mark.parametrize(
    ("gateway", "verdict"),
    [
        pytest.param({**NGINX, "controller": "traefik", "className": "traefik"}, Verdict.PROVED, id="traefik"),
        pytest.param(
            {**NGINX, "controller": "other", "hosts": {"chat": "chat.example.com"}}, Verdict.UNPROVEN, id="any other"
        ),
        pytest.param({"kind": "gateway", "name": "edge", "host": "llm.example.com"}, Verdict.UNPROVEN, id="a Gateway"),
    ],
)
def test_a_front_door_whose_times_nobody_knows_is_unproven(gateway: dict[str, Any], verdict: Verdict) -> None:
    claim = claim_on(claims, behind(gateway))
    assert claim.verdict is verdict
    assert ("a request of 200 s through" in (claim.proof or "")) is (verdict is Verdict.UNPROVEN)
