"""The stand-ins under the real Pulumi engine, against a real API server."""

from __future__ import annotations

import json
import subprocess
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
Pulumi = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM = """
    import pulumi
    import pulumi_kubernetes as k8s

    config = pulumi.Config()
    namespace = k8s.core.v1.Namespace("plugins")
    where = {"namespace": namespace.metadata.name}
    k8s.core.v1.Secret("token", metadata=where, string_data={"token": config.require_secret("token")})
    k8s.core.v1.ConfigMap("map", metadata={"name": "map", **where}, data={"size": config.get("size") or "1"})
    pod = {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"memory": "1024Mi", "cpu": "0.5"}}}]}
    k8s.apps.v1.Deployment(
        "none",
        metadata={"name": "none", **where},
        spec={
            "replicas": 0,
            "selector": {"matchLabels": {"app": config.get("app") or "none"}},
            "template": {"metadata": {"labels": {"app": config.get("app") or "none"}}, "spec": pod},
        },
    )
    pulumi.export("namespace", namespace.metadata.name)
"""


@pytest.fixture
def pulumi(tmp_path: Path, kubeconfig: str, pulumi_env: Mapping[str, str]) -> Iterator[Pulumi]:
    """A project of its own on a backend of its own; what it has deployed is destroyed at the end."""
    (tmp_path / "state").mkdir()
    (tmp_path / "__main__.py").write_text(textwrap.dedent(PROGRAM))
    runtime = f"{{name: python, options: {{virtualenv: {ROOT / '.venv'}}}}}"
    (tmp_path / "Pulumi.yaml").write_text(f"name: plugins\nruntime: {runtime}\n")
    own = {"KUBECONFIG": str(kubeconfig), "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["pulumi", "--non-interactive", "--color", "never", *words]
        return subprocess.run(
            command, cwd=tmp_path, env={**pulumi_env, **own}, capture_output=True, text=True, timeout=120, check=False
        )

    run("stack", "init", "dev")
    run("config", "set", "--secret", "token", "hunter2hunter2")
    yield run
    destroyed = run("destroy", "--yes", "--skip-preview")
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr


def changes(result: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What `preview --json` says is to be done with each resource, by name."""
    assert result.returncode == 0, result.stdout + result.stderr
    return {step["urn"].rpartition("::")[2]: step["op"] for step in json.loads(result.stdout)["steps"]}


def test_a_stack_goes_up_then_finds_no_change_and_then_only_the_changes_that_are_made(pulumi: Pulumi) -> None:
    up = pulumi("up", "--yes", "--skip-preview")
    assert up.returncode == 0, up.stdout + up.stderr
    state = pulumi("stack", "export").stdout
    assert "hunter2hunter2" not in state
    assert "aHVudGVyMmh1bnRlcjI" not in state  # the same, as the API server encodes it

    assert pulumi("refresh", "--yes").returncode == 0
    again = pulumi("preview", "--expect-no-changes")
    assert again.returncode == 0, again.stdout

    planned = changes(pulumi("preview", "--json", "--config", "size=2", "--config", "app=other"))
    assert {name: op for name, op in planned.items() if op != "same"} == {"map": "replace", "none": "replace"}
    shown = pulumi("preview", "--diff").stdout
    assert '"1" => "2"' in shown
    assert "memory" not in shown  # the server says 1Gi where the program says 1024Mi


def test_an_object_that_exists_is_not_taken_over(pulumi: Pulumi, tmp_path: Path) -> None:
    program = tmp_path / "__main__.py"
    program.write_text(f"{program.read_text()}\nk8s.core.v1.Namespace('kube', metadata={{'name': 'kube-system'}})\n")
    up = pulumi("up", "--yes", "--skip-preview")
    assert up.returncode != 0
    assert "Namespace kube-system already exists" in up.stdout
    assert "Traceback" not in up.stdout + up.stderr


def test_a_mistake_of_the_user_is_told_without_a_traceback(pulumi: Pulumi, tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text("import pulumi\nraise pulumi.RunError('models.chat.pool: no such pool')\n")
    preview = pulumi("preview")
    assert preview.returncode != 0
    assert "models.chat.pool: no such pool" in preview.stdout
    assert "Traceback" not in preview.stdout + preview.stderr
