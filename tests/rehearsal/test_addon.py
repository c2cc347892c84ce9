"""What a cluster gets only where it is needed: a gateway, and the controller of replicas over several nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.settings.autoscaling import Autoscaling
from components.settings.monitoring import Monitoring
from rehearsal import images, stack, toolchain
from rehearsal.addon import PROGRAMS, Addon, asked_for, in_order
from rehearsal.fault import Fault
from rehearsal.places import Places
from rehearsal.toolchain import golang, pins


def test_the_local_stack_builds_and_starts_nothing_that_it_does_not_need() -> None:
    assert stack.addons(stack.read("local")) == frozenset()


def test_a_stack_with_a_gateway_needs_one() -> None:
    read = stack.read("local").model_copy(update={"gateway": object()})
    assert stack.addons(read) == {Addon.GATEWAY}


def test_a_model_on_several_nodes_needs_the_controller_of_such_replicas() -> None:
    read = stack.read("local")
    model = read.models["chat"].model_copy(update={"nodes_per_replica": 2})
    assert stack.addons(read.model_copy(update={"models": {"chat": model}})) == {Addon.LEADER_WORKER_SET}


@pytest.mark.parametrize(
    ("update", "needed"),
    [
        ({"monitoring": Monitoring()}, {Addon.PROMETHEUS}),
        ({"autoscaling": Autoscaling()}, {Addon.KEDA}),
        ({"autoscaling": Autoscaling.model_validate({"httpAddOn": {}})}, {Addon.KEDA, Addon.HTTP_ADD_ON}),
    ],
    ids=["one that is watched", "one that scales", "one that scales to zero"],
)
def test_a_stack_needs_what_its_settings_count_on(update: dict[str, Any], needed: set[Addon]) -> None:
    plain = stack.read("local").model_copy(update={"monitoring": None, "autoscaling": None})
    assert stack.addons(plain) == frozenset()
    assert stack.addons(plain.model_copy(update=update)) == needed


def test_tests_ask_for_them_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REHEARSAL_ADDONS", "traefik, lws")
    assert asked_for() == {Addon.GATEWAY, Addon.LEADER_WORKER_SET}
    monkeypatch.delenv("REHEARSAL_ADDONS")
    assert asked_for() == frozenset()


def test_one_comes_with_what_it_needs_and_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REHEARSAL_ADDONS", "http-add-on")
    assert in_order(asked_for()) == (Addon.KEDA, Addon.HTTP_ADD_ON)


def test_an_unknown_one_is_refused_with_those_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REHEARSAL_ADDONS", "istio")
    allowed = "traefik, lws, prometheus, keda, http-add-on"
    with pytest.raises(Fault, match=rf"^REHEARSAL_ADDONS: 'istio'; allowed: {allowed}; run: REHEARSAL_ADDONS="):
        asked_for()


@pytest.mark.parametrize("addon", Addon)
def test_each_is_pinned_programs_the_first_with_manifests_in_images_of_their_version(addon: Addon) -> None:
    programs = [pins().program(name) for name in PROGRAMS[addon]]
    assert [program.manifests is not None for program in programs] == [True] + [False] * (len(programs) - 1)
    expected = tuple(f"docker.io/local/{each.name}:{each.version.removeprefix('v')}" for each in programs)
    assert images.ADDONS[addon] == expected


def test_programs_of_addons_are_built_only_where_they_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    monkeypatch.setattr(golang, "build", lambda program, _: built.append(program.name))
    monkeypatch.setattr(toolchain, "unpack", lambda *_, title, **__: built.append(title))
    monkeypatch.setattr(toolchain, "_pause", lambda _: None)
    places = Places(cache=tmp_path / "cache", state=tmp_path / "state")
    toolchain.ensure_cluster(places)
    plain = {*built}
    assert plain.isdisjoint({name for programs in PROGRAMS.values() for name in programs})
    toolchain.ensure_cluster(places, {Addon.PROMETHEUS})
    assert {*built} - plain == {*PROGRAMS[Addon.PROMETHEUS]}
    toolchain.ensure_cluster(places, Addon)
    assert {*built} >= {name for programs in PROGRAMS.values() for name in programs}


def test_images_of_addons_are_made_only_where_they_are_wanted() -> None:
    places = Places.of_user()
    plain = {image.name for image in images.images(places)}
    assert plain.isdisjoint(name for names in images.ADDONS.values() for name in names)
    assert images.PROMETHEUS not in plain
