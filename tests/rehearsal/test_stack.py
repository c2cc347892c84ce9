"""What the commands make of a stack, and what they refuse before anything is touched."""

from __future__ import annotations

import ipaddress
import platform
from pathlib import Path
from typing import Any

import pytest

from rehearsal import cli, stack
from rehearsal.cluster import preflight
from rehearsal.cluster.layout import Gpus
from rehearsal.fault import Fault
from rehearsal.places import Places
from tests.components.samples import SMALLEST, changed, settings


def test_nodes_are_those_that_the_pools_describe() -> None:
    nodes = stack.nodes(stack.read("local"))
    assert [node.name for node in nodes] == ["l4-0", "l4-1"]
    assert {node.gpus for node in nodes} == {Gpus(product="NVIDIA-L4", memory_gib=24, count=2)}
    assert {node.taints for node in nodes} == {("nvidia.com/gpu=present:NoSchedule",)}
    assert all(dict(node.labels)["inference/gpu-pool"] == "l4" for node in nodes)


def test_region_and_profile_of_the_aws_provider_are_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = stack.file("prod").read_text().replace("config:\n", "config:\n  aws:profile: ml\n")
    (tmp_path / "Pulumi.own.yaml").write_text(text)
    monkeypatch.setattr(stack, "CHECKOUT", tmp_path)
    read = stack.read("own")
    assert (read.region, read.profile) == ("us-west-2", "ml")


def test_an_unknown_stack_is_refused_with_those_that_exist() -> None:
    with pytest.raises(
        Fault,
        match=r"^STACK: there is no Pulumi.nope.yaml; allowed: dev, local, prod; run the same again with one of these, "
        r"such as STACK=dev$",
    ):
        stack.read("nope")
    with pytest.raises(Fault, match=r"such as STACK=local$"):
        stack.read("locale")


def test_a_secret_in_a_line_that_is_no_yaml_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = f"hf_{'aB3' * 11}"
    (tmp_path / "Pulumi.own.yaml").write_text(f"config:\n  inference:hfToken: {token}: {{\n")
    monkeypatch.setattr(stack, "CHECKOUT", tmp_path)
    with pytest.raises(Fault, match=r"^Pulumi.own.yaml: .*; mend the YAML and run again$") as fault:
        stack.read("own")
    assert token not in str(fault.value)


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"autoscaling": {"keda": {"install": True}}, "monitoring": {}}, "autoscaling.keda"),
        ({"autoscaling": {"httpAddOn": {"install": True}}, "monitoring": {}}, "autoscaling.httpAddOn"),
        ({"monitoring": {"prometheus": {"install": True}}}, "monitoring.prometheus"),
    ],
)
def test_the_embedded_cluster_brings_its_own_add_ons(sections: dict[str, Any], key: str) -> None:
    with pytest.raises(Fault, match=rf"^inference:{key}.install: true; allowed on the embedded cluster: false"):
        stack.require_embedded(settings(SMALLEST | sections))
    stack.require_embedded(settings(SMALLEST | {"autoscaling": {"httpAddOn": {}}, "monitoring": {}}))


def test_an_own_cluster_cannot_have_images_of_the_rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").touch()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(Fault, match=r"docker.io/local/weight-seeder.*STACK=<name>$"):
        stack.existing_kubeconfig(stack.read("local"))


def test_a_missing_kubeconfig_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    with pytest.raises(
        Fault, match=r"^CLUSTER=existing: no kubeconfig at /nowhere/config; set one with: KUBECONFIG=<file>"
    ):
        stack.existing_kubeconfig(settings())


def test_several_kubeconfigs_are_one_as_kubectl_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").touch()
    monkeypatch.setenv("KUBECONFIG", f"/nowhere/config:{tmp_path}/config")
    assert stack.existing_kubeconfig(settings()) == f"/nowhere/config:{tmp_path}/config"


def test_another_kind_of_cluster_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "kind")
    with pytest.raises(Fault, match=r"^CLUSTER: 'kind'; allowed: embedded \(the default\), existing;"):
        cli.existing_cluster()


def test_another_user_than_root_gets_one_line_with_the_alternative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(Fault, match=r"needs root .*sudo.*CLUSTER=existing make up$"):
        preflight.check(Places.of_user().state)


def test_another_system_than_linux_gets_one_line_with_the_alternative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(Fault, match=r"needs Linux, this is Darwin;.*CLUSTER=existing make up$"):
        preflight.check(Places.of_user().state)


def test_too_little_space_is_said_with_needed_and_free(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"^disk: the cluster needs 1048576 GiB under .*, [\d.]+ GiB are free; free some"):
        preflight.require_space(tmp_path / "not" / "there", 1 << 50, "the cluster")


@pytest.mark.parametrize(
    ("policy", "let_in"),
    [
        ({"clients": ["10.77.0.0/24"]}, True),
        ({"clients": ["192.168.0.0/16", "10.0.0.0/8"]}, True),
        ({"clients": ["10.77.0.0/25"]}, False),
        ({"clients": ["10.201.0.0/16"]}, False),
        ({}, False),
        ({"enabled": False}, True),
    ],
)
def test_an_engine_is_asked_directly_only_where_the_policies_let_this_host_in(
    policy: dict[str, Any], *, let_in: bool
) -> None:
    found = settings(changed(SMALLEST, "networkPolicy", policy))
    assert stack.lets_in(found, ipaddress.IPv4Network("10.77.0.0/24")) is let_in


def test_the_local_stack_lets_this_host_in_from_any_network_that_the_rehearsal_may_have() -> None:
    found = stack.read("local")
    for network in ("10.77.0.0/24", "172.20.0.0/24", "192.168.0.0/24"):
        assert stack.lets_in(found, ipaddress.IPv4Network(network))


def test_an_encrypted_key_of_a_stack_is_no_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "config:\n  inference:apiKeys: {secure: v1:abc=:def}\n"
    text = stack.file("local").read_text().replace("config:\n", secret, 1)
    (tmp_path / "Pulumi.own.yaml").write_text(text)
    monkeypatch.setattr(stack, "CHECKOUT", tmp_path)
    assert stack.read("own").models
