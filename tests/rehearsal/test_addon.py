"""What a cluster gets only where it is needed: a gateway, and the controller of replicas over several nodes."""

from __future__ import annotations

import pytest

from rehearsal import images, stack
from rehearsal.addon import Addon, asked_for
from rehearsal.fault import Fault
from rehearsal.places import Places
from rehearsal.toolchain import pins


def test_the_local_stack_builds_and_starts_nothing_that_it_does_not_need() -> None:
    assert stack.addons(stack.read("local")) == frozenset()


def test_a_stack_with_a_gateway_needs_one() -> None:
    read = stack.read("local").model_copy(update={"gateway": object()})
    assert stack.addons(read) == {Addon.GATEWAY}


def test_a_model_on_several_nodes_needs_the_controller_of_such_replicas() -> None:
    read = stack.read("local")
    model = read.models["chat"].model_copy(update={"nodes_per_replica": 2})
    assert stack.addons(read.model_copy(update={"models": {"chat": model}})) == {Addon.LEADER_WORKER_SET}


def test_tests_ask_for_them_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REHEARSAL_ADDONS", "traefik, lws")
    assert asked_for() == {*Addon}
    monkeypatch.delenv("REHEARSAL_ADDONS")
    assert asked_for() == frozenset()


def test_an_unknown_one_is_refused_with_those_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REHEARSAL_ADDONS", "istio")
    with pytest.raises(Fault, match=r"^REHEARSAL_ADDONS: 'istio'; allowed: traefik, lws; run: REHEARSAL_ADDONS="):
        asked_for()


@pytest.mark.parametrize("addon", Addon)
def test_each_is_a_pinned_program_with_its_manifests_in_an_image_of_its_version(addon: Addon) -> None:
    program = pins().program(addon)
    assert program.manifests
    assert images.ADDONS[addon] == f"docker.io/local/{addon}:{program.version.removeprefix('v')}"


def test_images_of_addons_are_made_only_where_they_are_wanted() -> None:
    places = Places.of_user()
    plain = {image.name for image in images.images(places)}
    assert plain.isdisjoint(images.ADDONS.values())
