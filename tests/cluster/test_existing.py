"""`CLUSTER=existing make up`: a cluster that somebody brings, here the shared one under names of its own."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml

from rehearsal.places import Places
from tests.cluster.rehearsed import Rehearsed

pytestmark = pytest.mark.cluster
REGISTRY = "registry.example.com/"


def test_an_own_cluster_gets_the_stack_an_answer_and_is_left_clean(rehearsed: Rehearsed) -> None:
    _name_images_as_a_registry_would(rehearsed)
    stack = rehearsed.checkout / "Pulumi.mine.yaml"
    text = (rehearsed.checkout / "Pulumi.local.yaml").read_text().replace("docker.io/local/", REGISTRY)
    settings = yaml.safe_load(text)
    settings["config"] |= {"inference:namespace": "mine", "inference:devicePlugin": {"enabled": False}}
    # A stack of one's own has a passphrase of one's own.
    del settings["encryptionsalt"]
    stack.write_text(yaml.safe_dump(settings))
    # Its images have no digest here either, and its hub is as near.
    excused = rehearsed.checkout / "policy" / "local.json"
    excuses = excused.with_name("mine.json")
    excuses.write_text(excused.read_text().replace("docker.io/local/", REGISTRY))
    own: dict[str, Any] = {
        "CLUSTER": "existing",
        "STACK": "mine",
        "KUBECONFIG": str(rehearsed.kubeconfig),
        "PULUMI_CONFIG_PASSPHRASE": "a passphrase of the user's",
    }
    try:
        assert "to create" in rehearsed.make("preview", **own).stdout
        shown = rehearsed.make("up", **own).stdout
        assert "finish_reason" in shown
        assert rehearsed.get("deployment", "chat", "--namespace=mine")["status"]["readyReplicas"] == 1
        assert "unchanged" in rehearsed.make("preview", **own).stdout
        # The embedded cluster's own stack is another one, on another backend.
        assert rehearsed.get("deployment", "chat", "--namespace=inference")["status"]["readyReplicas"] == 1
    finally:
        rehearsed.make("down", **own)
        stack.unlink()
        excuses.unlink()
    assert "mine" not in rehearsed.kubectl("get", "namespaces", "--output=name")
    rehearsed.pulumi("preview", "--stack", "local", "--expect-no-changes")


def _name_images_as_a_registry_would(rehearsed: Rehearsed) -> None:
    ctr = Places.of_user().debs / "usr/bin/ctr"
    for node in ("system", "l4-0", "l4-1"):
        socket = rehearsed.cluster / "nodes" / node / "run/containerd/containerd.sock"
        for image in ("vllm-simulator:0.33", "weight-seeder:0.1", "nvidia-device-plugin:0.18.0"):
            names = (f"docker.io/local/{image}", f"{REGISTRY}{image}")
            subprocess.run([ctr, f"--address={socket}", "--namespace=k8s.io", "images", "tag", *names], check=True)
