"""Times of a rollout, all from one estimate."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.facts import models
from components.settings import SettingsError
from components.timing import (
    cleaning_wait,
    load_estimate,
    rounds,
    seeding_deadline,
    seeding_seconds,
    seeding_timeout,
    timing,
)
from rehearsal.hub import model as hub
from tests.components.samples import AWS_ATTACHED, SMALLEST, changed, chat, settings, without

ROOT = Path(__file__).parents[2]


def test_the_estimate_is_transfer_and_engine_start() -> None:
    # 20 GiB at 125 MB/s are 171.8 s, and the engine takes 65 s to start.
    assert load_estimate(chat()) == 172 + 65


def test_an_engine_starts_as_fast_as_the_user_has_measured() -> None:
    assert load_estimate(chat(changed(SMALLEST, "models.chat.probes", {"engineStartSeconds": 0}))) == 172


def test_where_the_files_are_known_their_bytes_are_what_is_transferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the volume, which has room for several revisions, nor the files that are not seeded."""
    config = changed(SMALLEST, "models.chat.weights", {"size": "60Gi"})
    files = {"model.safetensors": 16_000_000_000, "pytorch_model.bin": 16_000_000_000}
    monkeypatch.setattr(models, "_data", lambda: {config["models"]["chat"]["source"]: files})
    for model in (chat(config), chat(without(config, "models.chat.weights"))):
        assert load_estimate(model) == 128 + 65
        assert seeding_seconds(model) == 2 * 320 + 600


def test_weights_in_the_image_load_in_half_the_time_that_their_replica_is_allowed() -> None:
    config = changed(SMALLEST, "models.chat.source", "image:///models/llama")
    config = changed(config, "models.chat.image", f"example.com/vllm@sha256:{'0' * 64}")
    config = changed(config, "models.chat.probes", {"startupSeconds": 900})
    model = chat(without(config, "models.chat.weights"))
    assert (load_estimate(model), timing(model).startup_budget) == (450, 900)


def test_the_startup_budget_is_twice_the_estimate_in_whole_attempts_of_its_probe() -> None:
    assert timing(chat()).startup_budget == 480
    assert timing(chat(changed(SMALLEST, "models.chat.probes.firstTokenSeconds", 100))).startup_budget == 500


def test_a_startup_budget_of_the_user_wins() -> None:
    assert timing(chat(changed(SMALLEST, "models.chat.probes", {"startupSeconds": 902}))).startup_budget == 910


def test_the_grace_period_covers_pre_stop_drain_and_exit() -> None:
    assert timing(chat()).grace == 10 + 300 + 15


def test_the_progress_deadline_covers_pull_startup_readiness_and_a_draining_predecessor() -> None:
    assert timing(chat()).progress_deadline == 600 + 480 + 30 + 325


@pytest.mark.parametrize("stack", ["dev", "local"])
def test_no_shipped_stack_gives_a_replica_less_time_than_it_is_estimated_to_take(stack: str) -> None:
    config = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    for model in settings({key.removeprefix("inference:"): value for key, value in config.items()}).models.values():
        assert timing(model).startup_budget >= load_estimate(model)


def test_the_local_simulator_reads_at_the_bandwidth_that_its_volume_is_said_to_have() -> None:
    model = yaml.safe_load((ROOT / "Pulumi.local.yaml").read_text())["config"]["inference:models"]["chat"]
    pool = yaml.safe_load((ROOT / "Pulumi.local.yaml").read_text())["config"]["inference:gpuPools"]["l4"]
    assert model["env"]["SIMULATOR_LOAD_MBPS"] == model["weights"]["bandwidthMBps"]
    assert model["env"]["SIMULATOR_STARTUP_SECONDS"] == model["probes"]["engineStartSeconds"]
    assert model["env"]["SIMULATOR_GPU_MEMORY_GIB"] == pool["gpu"]["memoryGiB"]
    seconds = sum(len(content) for _, content in hub.files()) / 1e6 / model["env"]["SIMULATOR_LOAD_MBPS"]
    assert 2 < seconds + model["env"]["SIMULATOR_STARTUP_SECONDS"] < 4


@pytest.mark.parametrize(("replicas", "surge", "expected"), [(4, 1, 4), (4, 2, 2), (4, 3, 2), (4, 4, 1), (4, 9, 1)])
def test_a_rollout_has_as_many_rounds_as_its_surge_leaves(replicas: int, surge: int, expected: int) -> None:
    config = changed(SMALLEST, "models.chat.replicas", {"min": replicas, "max": replicas})
    model = chat(changed(config, "models.chat.rollout", {"surge": surge}))
    assert rounds(model) == expected
    assert timing(model).deployment_timeout == expected * timing(model).progress_deadline + 60


def test_times_of_the_user_win_where_they_are_in_order() -> None:
    times = timing(chat(changed(SMALLEST, "models.chat.rollout", {"progressDeadlineSeconds": 2000})))
    assert (times.progress_deadline, times.deployment_timeout) == (2000, 2060)
    times = timing(chat(changed(SMALLEST, "models.chat.rollout", {"timeoutSeconds": 1436})))
    assert (times.progress_deadline, times.deployment_timeout) == (1435, 1436)


def test_pulumi_waits_for_one_deployed_replica_after_the_other() -> None:
    config = changed(SMALLEST, "models.chat.replicas", {"min": 2, "max": 4})
    assert timing(chat(config)).deployment_timeout == 2 * 1435 + 60


def test_seeding_may_take_twice_the_download_from_a_slow_hub() -> None:
    # 20 GiB at 50 MB/s are 429.5 s.
    assert seeding_seconds(chat()) == 859 + 600


def test_weights_that_are_checked_by_checksums_are_read_once_more_before_the_engine_starts() -> None:
    # 8 GB at 125 MB/s are 64 s, twice over.
    weights = {"size": "8000000Ki", "bandwidthMBps": 128}
    plain, checked = (
        chat(changed(SMALLEST, "models.chat.weights", {**weights, "check": check})) for check in ("sizes", "checksums")
    )
    assert timing(checked).progress_deadline - timing(plain).progress_deadline == 128
    assert seeding_deadline(checked) - seeding_deadline(plain) == 128
    assert timing(checked).startup_budget == timing(plain).startup_budget
    assert timing(checked, seeds=True).progress_deadline - timing(plain, seeds=True).progress_deadline == 128


def test_a_volume_slower_than_the_hub_bounds_seeding() -> None:
    slow = chat(changed(SMALLEST, "models.chat.weights.bandwidthMBps", 10))
    assert seeding_seconds(slow) == 4295 + 600


def test_a_seeding_job_has_time_for_its_node_and_its_image() -> None:
    assert seeding_deadline(chat()) == 600 + 1459
    assert seeding_timeout(chat()) == 600 + 1459 + 60
    assert seeding_deadline(chat(AWS_ATTACHED)) == 600 + seeding_deadline(chat())
    quick = {"nodeSeconds": 60, "imagePullSeconds": 30}
    assert seeding_deadline(chat(changed(SMALLEST, "models.chat.rollout", quick))) == 60 + 30 + 1459


def test_cleaning_waits_for_replicas_that_drain() -> None:
    assert cleaning_wait(chat()) == 325 + 60
    assert cleaning_wait(chat(changed(SMALLEST, "models.chat.drainSeconds", 3600))) == 3625 + 60


@given(
    size=st.integers(1, 2000),
    bandwidth=st.integers(1, 100_000),
    startup=st.none() | st.integers(10, 14_400),
    attempt=st.integers(2, 300),
    pull=st.integers(0, 7200),
    ready=st.integers(0, 3600),
    drain=st.integers(0, 3600),
    replicas=st.integers(1, 1000),
    surge=st.integers(1, 1000),
    deadline=st.none() | st.integers(1, 100_000),
    timeout=st.none() | st.integers(1, 10_000_000),
)
def test_who_knows_the_reason_best_gives_up_first_in_all_settings_that_are_taken(
    size: int,
    bandwidth: int,
    startup: int | None,
    attempt: int,
    pull: int,
    ready: int,
    drain: int,
    replicas: int,
    surge: int,
    deadline: int | None,
    timeout: int | None,
) -> None:
    rollout = {
        "imagePullSeconds": pull,
        "minReadySeconds": ready,
        "surge": surge,
        "progressDeadlineSeconds": deadline,
        "timeoutSeconds": timeout,
    }
    config = changed(SMALLEST, "models.chat.weights", {"size": f"{size}Gi", "bandwidthMBps": bandwidth})
    config = changed(config, "models.chat.probes", {"startupSeconds": startup, "firstTokenSeconds": attempt})
    config = changed(config, "models.chat.rollout", rollout)
    config = changed(config, "models.chat.drainSeconds", drain)
    config = changed(config, "models.chat.replicas", {"min": replicas, "max": replicas})
    try:
        model = chat(config)
    except SettingsError:
        # Only what the user has set can be out of order: what follows from the estimate never is.
        assert {startup, deadline, timeout} != {None}
        return
    times = timing(model)
    assert load_estimate(model) <= times.startup_budget
    assert startup is not None or times.startup_budget >= 2 * load_estimate(model)
    assert times.startup_budget % attempt == 0
    assert startup is None or 0 <= times.startup_budget - startup < attempt
    assert times.startup_budget + pull + ready < times.progress_deadline
    assert rounds(model) * times.progress_deadline < times.deployment_timeout
    # Kubernetes refuses a Deployment whose progress deadline is not above its minReadySeconds.
    assert ready < times.progress_deadline
    assert model.pre_stop_seconds + drain < times.grace < times.progress_deadline
    assert seeding_deadline(model) < seeding_timeout(model)


def test_a_rollout_on_eks_leaves_time_for_a_node_to_come() -> None:
    here, eks = chat(), chat(AWS_ATTACHED)
    assert here.rollout.node_seconds == 0
    assert eks.rollout.node_seconds == 600
    quick = chat(changed(AWS_ATTACHED, "models.chat.rollout", {"nodeSeconds": 60}))
    assert timing(eks).progress_deadline - timing(quick).progress_deadline == 540
