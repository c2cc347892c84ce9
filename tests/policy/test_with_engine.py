"""The pack under the real engine: our stacks, and one to which somebody has added what breaks every policy."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from inference_policy.pack import RULES
from inference_policy.rule import Rule

from rehearsal import stack, toolchain
from rehearsal.places import CHECKOUT, Places
from rehearsal.policy import PACK
from rehearsal.pulumi_cli import throwaway
from tests.aws.test_previews import run

pytestmark = pytest.mark.engine

Preview = Callable[..., subprocess.CompletedProcess[str]]
ADDED = """
    import runpy, sys

    sys.path.insert(0, {checkout!r})
    program = runpy.run_path({checkout!r} + "/__main__.py", run_name="__main__")

    import pulumi
    import pulumi_aws as aws
    import pulumi_kubernetes as k8s

    on_cluster, here = program["on_cluster"], {{"namespace": program["workloads"]}}
    engine = {{
        "name": "engine",
        "image": "vllm/vllm-openai:latest",
        "resources": {{"limits": {{"nvidia.com/gpu": "1"}}}},
        "env": [{{"name": "HF_TOKEN", "value": "hf_abc"}}],
    }}
    volume = {{"name": "weights", "persistentVolumeClaim": {{"claimName": "bad-weights"}}}}
    k8s.core.v1.PersistentVolumeClaim("bad-weights", metadata={{"name": "bad-weights", **here}}, opts=on_cluster)
    deployment = k8s.apps.v1.Deployment(
        "bad",
        metadata={{"name": "bad", **here}},
        spec={{
            "replicas": 2,
            "selector": {{"matchLabels": {{"app": "bad"}}}},
            "template": {{
                "metadata": {{"labels": {{"app": "bad"}}}},
                "spec": {{"containers": [engine], "volumes": [volume]}},
            }},
        }},
        opts=on_cluster,
    )
    k8s.autoscaling.v2.HorizontalPodAutoscaler(
        "bad",
        metadata={{"name": "bad", **here}},
        spec={{
            "maxReplicas": 3,
            "scaleTargetRef": {{"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment.metadata.name}},
        }},
        opts=on_cluster,
    )
    k8s.core.v1.Service(
        "bad", metadata=here, spec={{"type": "LoadBalancer", "selector": {{"app": "bad"}}}}, opts=on_cluster
    )
    k8s.core.v1.Pod(
        "stray",
        metadata=here,
        spec={{"tolerations": [{{"operator": "Exists"}}], "containers": [{{"name": "stray", "image": "busybox"}}]}},
        opts=on_cluster,
    )
    k8s.core.v1.Namespace("open", opts=on_cluster)
    aws.eks.NodeGroup(
        "untainted",
        cluster_name="prod",
        node_role_arn="arn:aws:iam::123456789012:role/nodes",
        subnet_ids=["subnet-0a1b2c3d4e5f60001"],
        instance_types=["p5.48xlarge"],
        scaling_config={{"desired_size": 1, "max_size": 1, "min_size": 1}},
    )
"""


@pytest.mark.parametrize("name", ["local", "dev", "prod"])
def test_make_preview_finds_nothing_against_a_stack_that_ships(name: str) -> None:
    done = run("preview", name, {"KUBECONFIG": os.devnull, "XDG_STATE_HOME": "/nonexistent"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"Policy Packs run:\n.*\n +inference\|local\|{PACK} +0\.1\.0", done.stdout), done.stdout
    for said in ("Policy Violations", "[mandatory]", "[advisory]", "can't run policy"):
        assert said not in done.stdout


@pytest.fixture
def preview(tmp_path: Path) -> Preview:
    """Previews prod with resources that somebody has added, under a configuration of the pack."""
    places = Places.of_user()
    engine = throwaway(tmp_path / "state", places, toolchain.ensure_cli(places), os.devnull, stand_ins=("aws",))
    project = tmp_path / "project"
    project.mkdir()
    (project / "__main__.py").write_text(textwrap.dedent(ADDED.format(checkout=str(CHECKOUT))))
    config = Path(shutil.copy(stack.file("prod"), project))
    engine.select("prod", config)
    runtime = f"{{name: python, options: {{virtualenv: {CHECKOUT / '.venv'}}}}}"
    (project / "Pulumi.yaml").write_text(f"name: inference\nruntime: {runtime}\n")

    def previewed(given: dict[str, object], *words: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "policy.json").write_text(json.dumps(given))
        pack = ("--policy-pack", str(PACK), "--policy-pack-config", str(tmp_path / "policy.json"))
        command = [str(engine.cli), "preview", "--stack", "prod", "--non-interactive", *pack, *words]
        return subprocess.run(
            command, cwd=project, env=engine.environment, capture_output=True, text=True, timeout=300, check=False
        )

    return previewed


def test_what_somebody_adds_breaks_every_policy_and_ends_the_preview(preview: Preview) -> None:
    done = preview({}, "--suppress-progress")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    broken = re.findall(r"\[mandatory\] +([\w-]+) +\((\S+): (\S+)\)", done.stdout)
    assert {policy for policy, _, _ in broken} == {rule.name for rule in RULES}, done.stdout
    assert {name for _, _, name in broken} == {"bad", "bad-weights", "stray", "open", "untainted"}
    assert "hf_abc" not in done.stdout.split("Policies:")[1]


def test_what_is_advisory_lets_the_preview_go_on_and_what_is_remediated_is_mended(preview: Preview) -> None:
    mended = [rule.name for rule in RULES if isinstance(rule, Rule) and rule.remedy]
    given: dict[str, object] = {"all": "advisory", **dict.fromkeys(mended, "remediate")}
    done = preview(given, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    inputs = {
        step["urn"].rpartition("::")[2]: step["newState"]["inputs"]
        for step in json.loads(done.stdout)["steps"]
        if "inputs" in step.get("newState", {})
    }
    assert inputs["untainted"]["tags"] == {"managed-by": "pulumi"}
    assert inputs["open"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    spec = inputs["stray"]["spec"]
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert spec["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
