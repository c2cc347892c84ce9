"""Whether each time of a rollout is longer than what it waits for, and how long it takes."""

from __future__ import annotations

from typing import Any

import pytest

from claims.claim import Verdict
from claims.loads import claims
from claims.rollouts import in_turn, most_seconds, rollout_time
from tests.claims.one import chat_with, claim_on, line
from tests.components.samples import AWS_ATTACHED, AWS_CREATED, SMALLEST, SOURCES, changed, settings

WEIGHTS = SMALLEST["models"]["chat"]["weights"]
MEASURED = chat_with(SMALLEST, weights={**WEIGHTS, "bandwidthMBps": 500})


def test_the_times_are_told_in_their_order_with_the_arithmetic() -> None:
    claim = claim_on(claims, MEASURED)
    assert (claim.verdict, claim.change, claim.proof) == (Verdict.PROVED, None, None)
    assert claim.sentence == "a replica loads in 108 s, and whatever waits for it waits longer"
    assert claim.arithmetic == (
        "read: 20Gi of volume at most / 500 MB/s = 43 s",
        "load: 43 s + 65 s until vLLM answers = 108 s",
        "startup budget: load 108 s < 220 s",
        (
            "progress deadline: 600 (image pull) + 220 (startup) + 30 (minReadySeconds) + 325 (grace period), with "
            "startup 220 s < 1,175 s"
        ),
        "Pulumi's timeout: 1 round x 1,175 s = 1,175 s < 1,235 s",
        (
            "rollout of 1 replica, surge 1: 1 round x (108 s + 30 s ready) = 3 min where nodes and images are there; "
            "56 min at most, seeding included, which a CI job has to allow"
        ),
    )


def test_four_replicas_of_three_minutes_are_twelve_minutes() -> None:
    slow = {"probes": {"engineStartSeconds": 107}, "rollout": {"minReadySeconds": 30}}
    config = chat_with(MEASURED, replicas={"min": 4, "max": 4}, **slow)
    assert "4 rounds x (150 s + 30 s ready) = 12 min where" in line(claim_on(claims, config), "rollout")
    assert rollout_time(settings(config), settings(config).models["chat"]).usual == 720


def test_the_most_that_it_takes_is_seeding_and_the_timeout_of_the_rollout() -> None:
    loaded = settings(MEASURED)
    # 2 x 20 GiB at 50 MB/s + 600 s of margin, an image of 600 s, and 60 s more that Pulumi waits.
    seeding = 859 + 1 + 600 + 600 + 60
    assert rollout_time(loaded, loaded.models["chat"]).most == pytest.approx(seeding + 1235, abs=1)
    with_weights = settings(SOURCES["image"])
    assert rollout_time(with_weights, with_weights.models["chat"]).most < seeding


def test_bytes_of_the_facts_are_taken_where_they_are_known() -> None:
    source = "hf://rehearsal/tiny-llama@6bbb9a4933d7c55a4f22f84cd91c58a8a8b30427"
    config = chat_with(MEASURED, source=source, weights={"bandwidthMBps": 10})
    assert line(claim_on(claims, config), "read") == "read: 17 MB of files / 10 MB/s = 2 s"


def test_a_startup_budget_without_any_margin_is_refused() -> None:
    """The settings let it through: it is not below the estimate."""
    none = chat_with(MEASURED, probes={"startupSeconds": 110, "engineStartSeconds": 67})
    claim = claim_on(claims, none)
    assert (claim.verdict, claim.change) == (Verdict.REFUSED, "inference:models.chat.probes.startupSeconds 220")
    assert line(claim, "startup budget") == "startup budget: load 110 s >= 110 s"


def test_a_bandwidth_that_nobody_has_told_is_unproven() -> None:
    claim = claim_on(claims, SMALLEST)
    assert claim.verdict is Verdict.UNPROVEN
    assert claim.proof == "inference:models.chat.weights.bandwidthMBps N, with N as measured on a node"
    assert claim_on(claims, AWS_ATTACHED).verdict is Verdict.PROVED


def test_weights_in_the_image_are_of_a_size_that_nobody_knows() -> None:
    claim = claim_on(claims, SOURCES["image"])
    assert claim.verdict is Verdict.UNPROVEN
    assert claim.proof is not None
    assert claim.proof.startswith("inference:models.chat.probes.startupSeconds N")


def test_replicas_that_seed_their_nodes_have_the_time_for_it_in_their_deadline() -> None:
    claim = claim_on(claims, AWS_CREATED, "models.draft")
    assert " (seeding) + " in line(claim, "progress deadline")
    assert " (seeding) + " not in line(claim_on(claims, AWS_CREATED, "models.chat"), "progress deadline")


def test_a_timeout_of_ones_own_is_held_against_all_rounds() -> None:
    config = changed(chat_with(MEASURED, replicas={"min": 2, "max": 2}), "models.chat.rollout.timeoutSeconds", 2351)
    assert line(claim_on(claims, config), "Pulumi") == "Pulumi's timeout: 2 rounds x 1,175 s = 2,350 s < 2,351 s"


def two_models(nodes: int, deadline: int | None = None) -> dict[str, Any]:
    """Twice 4 replicas of one GPU each: 8, and 2 of surge."""
    pool = {**SMALLEST["gpuPools"]["l4"], "nodes": nodes}
    config = chat_with(changed(MEASURED, "gpuPools.l4", pool), replicas={"min": 4, "max": 4}, rollout={"surge": 1})
    other = config["models"]["chat"]
    if deadline:
        config = chat_with(config, rollout={"surge": 1, "progressDeadlineSeconds": deadline})
    return changed(config, "models.draft", other)


def test_models_without_room_for_all_their_surges_roll_out_in_turn() -> None:
    loaded = settings(two_models(9))
    each = rollout_time(loaded, loaded.models["chat"]).most
    assert in_turn(loaded, ["chat", "draft"]) == ("l4",)
    assert most_seconds(loaded, ["chat", "draft"]) == 2 * each
    assert (in_turn(loaded, ["chat"]), most_seconds(loaded, ["chat"])) == ((), each)
    enough = settings(two_models(10))
    assert (in_turn(enough, ["chat", "draft"]), most_seconds(enough, ["chat", "draft"])) == ((), each)
    assert most_seconds(enough, []) == 0


def test_a_wait_for_others_that_the_deadline_does_not_allow_for_is_unproven_with_the_way_out() -> None:
    claim = claim_on(claims, two_models(9))
    assert (claim.verdict, claim.proof) == (
        Verdict.UNPROVEN,
        "inference:gpuPools.l4.nodes 10, with room for the surges of all; or a change of one model at a time",
    )
    assert line(claim, "others") == (
        "others of pool l4: 9 nodes without room for all surges at once: waits 4 x 1,175 s (draft) = 79 min at most if "
        "they roll out too, + 1,175 s of its own > 1,175 s progress deadline"
    )
    enough = claim_on(claims, two_models(10))
    assert enough.verdict is Verdict.PROVED
    assert line(enough, "others").endswith("10 nodes with room for the surges of all 2 models at once: none waits")
    patient = claim_on(claims, two_models(9, deadline=5 * 1175))
    assert patient.verdict is Verdict.PROVED
    assert "+ 1,175 s of its own <= 5,875 s progress deadline" in line(patient, "others")


def test_models_of_other_pools_are_not_waited_for() -> None:
    assert not [each for each in claim_on(claims, MEASURED).arithmetic if each.startswith("others")]


EXPERT = "hf://meta-llama/Llama-3.1-70B-Instruct@1605565b47bb9346c5515c34102e054115b4f98b"


def test_a_volume_smaller_than_the_weights_is_refused_since_it_bounds_the_load() -> None:
    claim = claim_on(claims, chat_with(SMALLEST, source=EXPERT, weights={"size": "20Gi"}))
    assert claim.verdict is Verdict.REFUSED
    assert line(claim, "volume: ") == "volume: 20Gi for weights of 141,105 MB at least"
    assert claim.change == "inference:models.chat.weights.size 434Gi"
    assert not list(_volume_lines(chat_with(SMALLEST, source=EXPERT, weights={"size": "132Gi"})))


def test_quantized_weights_and_those_of_an_unknown_shape_are_no_larger_than_is_known() -> None:
    awq = "hf://hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4@2123003760781134cfc31124aa6560a45b491fdf"
    assert not list(_volume_lines(chat_with(SMALLEST, source=awq, weights={"size": "40Gi"})))
    assert list(_volume_lines(chat_with(SMALLEST, source=awq, weights={"size": "30Gi"})))
    unknown = EXPERT.replace("meta-llama", "somebody")
    assert not list(_volume_lines(chat_with(SMALLEST, source=unknown, weights={"size": "1Gi"})))


def _volume_lines(config: dict[str, Any]) -> list[str]:
    return [each for each in claim_on(claims, config).arithmetic if each.startswith("volume: ")]
