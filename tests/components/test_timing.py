"""Times of a rollout, all from one estimate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from components.timing import seeding_deadline, seeding_timeout, timing
from tests.components.samples import SMALLEST, changed, chat


def test_the_estimate_is_transfer_and_engine_start() -> None:
    # 20 GiB at 125 MB/s are 171.8 s, and the engine takes 65 s to start.
    assert timing(chat()).load_estimate == 172 + 65


def test_the_startup_budget_is_twice_the_estimate() -> None:
    times = timing(chat())
    assert (times.startup_budget, times.startup_failures) == (475, 95)


def test_a_startup_budget_of_the_user_wins() -> None:
    times = timing(chat(changed(SMALLEST, "models.chat.probes", {"startupSeconds": 900})))
    assert (times.startup_budget, times.startup_failures) == (900, 180)


def test_the_grace_period_covers_pre_stop_drain_and_exit() -> None:
    assert timing(chat()).grace == 10 + 300 + 15


def test_the_progress_deadline_covers_pull_startup_readiness_and_a_draining_predecessor() -> None:
    assert timing(chat()).progress_deadline == 600 + 475 + 10 + 325


def test_pulumi_waits_for_one_replica_after_the_other() -> None:
    config = changed(SMALLEST, "models.chat.replicas", {"min": 2, "max": 4})
    assert timing(chat(config)).deployment_timeout == 4 * 1410 + 60


def test_seeding_may_take_twice_the_download_from_a_slow_hub() -> None:
    # 20 GiB at 50 MB/s are 429.5 s.
    assert seeding_deadline(chat().weights) == 859 + 600
    assert seeding_timeout(chat().weights) == 1459 + 60


def test_a_volume_slower_than_the_hub_bounds_seeding() -> None:
    slow = chat(changed(SMALLEST, "models.chat.weights.bandwidthMBps", 10)).weights
    assert seeding_deadline(slow) == 4295 + 600


@given(
    size=st.integers(1, 2000),
    bandwidth=st.integers(1, 100_000),
    startup=st.none() | st.integers(10, 14_400),
    pull=st.integers(0, 7200),
    ready=st.integers(0, 3600),
    drain=st.integers(0, 3600),
    replicas=st.integers(1, 1000),
)
def test_who_knows_the_reason_best_gives_up_first(
    size: int, bandwidth: int, startup: int | None, pull: int, ready: int, drain: int, replicas: int
) -> None:
    config = changed(SMALLEST, "models.chat.weights", {"size": f"{size}Gi", "bandwidthMBps": bandwidth})
    config = changed(config, "models.chat.probes", {"startupSeconds": startup})
    config = changed(config, "models.chat.rollout", {"imagePullSeconds": pull, "minReadySeconds": ready})
    config = changed(config, "models.chat.drainSeconds", drain)
    config = changed(config, "models.chat.replicas", {"max": replicas})
    model = chat(config)
    times = timing(model)
    assert startup is not None or times.startup_budget >= 2 * times.load_estimate
    assert startup is None or 0 <= times.startup_budget - startup < 5
    assert times.startup_budget + pull + ready < times.progress_deadline < times.deployment_timeout
    # Kubernetes refuses a Deployment whose progress deadline is not above its minReadySeconds.
    assert ready < times.progress_deadline
    assert drain < times.grace
    assert seeding_deadline(model.weights) < seeding_timeout(model.weights)
