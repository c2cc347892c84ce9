"""Previews of the AWS stacks that ship: in the engine, without account, credentials, network or official plugin."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from rehearsal import stack, toolchain
from rehearsal.fault import Fault
from rehearsal.places import CHECKOUT, Places
from rehearsal.plugin_path import STAND_INS, plugin_path, require_aws
from rehearsal.plugins.aws_guard import without_aws
from rehearsal.pulumi_cli import throwaway
from rehearsal.toolchain import Tools

NOWHERE = "http://127.0.0.1:9"
OFFLINE = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"), NOWHERE),
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


def run(command: str, name: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    python = str(CHECKOUT / ".venv/bin/python")
    own = {**without_aws(os.environ), **OFFLINE, **environment}
    words = [python, "-m", "rehearsal", command, "--stack", name]
    return subprocess.run(words, cwd=CHECKOUT, env=own, capture_output=True, text=True, check=False)


@pytest.mark.engine
@pytest.mark.parametrize("name", ["dev", "prod"])
@pytest.mark.parametrize("credentials", [False, True], ids=["no credentials", "credentials that nobody must use"])
def test_a_stack_is_previewed_offline(name: str, credentials: bool) -> None:  # noqa: FBT001 - a parameter of the test
    given = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL": NOWHERE}
    before = stack.file(name).read_text()
    done = run("preview", name, given if credentials else {})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "using pulumi-resource-aws from $PATH" in done.stderr
    assert re.search(r"\+ \d+ to create", done.stdout)
    assert "aws:eks/nodeGroup:NodeGroup: (create)" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert stack.file(name).read_text() == before


@pytest.mark.engine
def test_a_cluster_that_is_there_is_previewed_with_placeholders_and_one_that_is_not_with_unknowns() -> None:
    attached, created = run("preview", "prod", {}), run("preview", "dev", {})
    assert attached.stderr.count("no Kubernetes is asked: https://prod.eks.invalid") == 1
    assert "eks.invalid" not in created.stdout + created.stderr
    assert re.search(r"nodeRoleArn *: \[unknown\]", created.stdout), created.stdout


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_an_aws_stack_has_no_embedded_cluster(name: str) -> None:
    done = run("up", name, {"CLUSTER": "embedded"})
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: inference:cluster.provider: aws is no embedded cluster")
    assert "make rehearse-aws STACK=<name>" in line
    assert "CLUSTER=existing make up STACK=<name>" in line


def test_an_account_is_never_worked_on_with_the_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rehearsal.plugin_path.official", lambda *_: False)
    places, tools = Places.of_user(), Tools.__new__(Tools)
    with pytest.raises(
        Fault, match=r"^CLUSTER=existing: a real account needs the official aws plugin, .*rehearse-aws$"
    ):
        require_aws(places, tools, os.environ)
    assert str(STAND_INS / "aws") not in plugin_path(places, tools, os.environ)
    assert str(STAND_INS / "aws") in plugin_path(places, tools, os.environ, ("aws",))


def test_a_kubeconfig_is_the_programs_own_on_aws() -> None:
    assert stack.existing_kubeconfig(stack.read("dev")) == os.devnull
    assert stack.on_aws(stack.read("prod"))
    assert not stack.on_aws(stack.read("local"))
    assert [stack.says_aws(name) for name in ("dev", "prod", "local")] == [True, True, False]


@pytest.mark.engine
def test_a_stack_that_attaches_to_a_cluster_loads_nothing_of_ec2() -> None:
    done = run("preview", "prod", {"PYTHONPROFILEIMPORTTIME": "1"})
    loaded = set(re.findall(r"\| +(pulumi_aws\.\w+)", done.stdout + done.stderr))
    assert "pulumi_aws.eks" in loaded
    assert "pulumi_aws.ec2" not in loaded


@pytest.mark.engine
@pytest.mark.parametrize("name", ["local", "prod"])
def test_the_state_and_the_file_of_a_preview_have_one_salt_so_that_one_key_is_derived(
    name: str, tmp_path: Path
) -> None:
    places = Places.of_user()
    engine = throwaway(tmp_path / "state", places, toolchain.ensure_cli(places), os.devnull, stand_ins=("aws",))
    config = Path(shutil.copy(stack.file(name), tmp_path))
    engine.select(name, config)
    state = json.loads(engine.read("stack", "export", "--stack", name))
    assert state["deployment"]["secrets_providers"]["state"]["salt"] in config.read_text()
