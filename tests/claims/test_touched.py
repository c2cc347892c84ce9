"""Which stacks a pull request touches, and what a review stack is made of."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from claims import review_stack, touched
from components.settings import EksCluster, EksPool, Settings, parse
from components.settings.storage import Efs

CHECKOUT = Path(__file__).resolve().parents[2]
STACKS = {"dev", "prod"}


@pytest.mark.parametrize(
    ("paths", "stacks"),
    [
        (["Pulumi.prod.yaml"], ["prod"]),
        (["Pulumi.prod.yaml", "Pulumi.dev.yaml", "README.md"], ["dev", "prod"]),
        (["components/settings/model.py"], ["dev", "prod"]),
        (["components/facts/prices.json"], ["dev", "prod"]),
        (["claims/fits.py"], ["dev", "prod"]),
        (["policy/PulumiPolicy.yaml"], ["dev", "prod"]),
        (["uv.lock"], ["dev", "prod"]),
        (["__main__.py"], ["dev", "prod"]),
        (["Pulumi.local.yaml", "Pulumi.review-7.yaml"], []),
        (["README.md", "docs/a.md", "tests/x.py", "rehearsal/cli.py", "images/vllm/Dockerfile"], []),
        ([], []),
    ],
)
def test_a_stacks_file_touches_it_and_the_program_touches_all(paths: list[str], stacks: list[str]) -> None:
    assert touched.touched(paths, STACKS) == stacks


def test_every_file_of_the_program_touches_all_stacks() -> None:
    """So that nothing that a preview depends on is forgotten when a folder is added."""
    files = [each for folder in ("components", "claims", "policy") for each in (CHECKOUT / folder).rglob("*.*")]
    paths = [str(each.relative_to(CHECKOUT)) for each in files if "__pycache__" not in each.parts]
    assert [path for path in paths if touched.touched([path], STACKS) != ["dev", "prod"]] == []


def test_the_command_reads_paths_and_writes_a_matrix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Pulumi.prod.yaml\nPulumi.local.yaml\n"))
    touched.main(["--except", "local"])
    touched.main(["--every", "--except", "local"])
    # Of nothing, nothing: the workflows' shell has to notice a diff that failed.
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    touched.main(["--except", "local"])
    touched.main(["--except", "local", "--also", "dev"])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told == [["prod"], ["dev", "prod"], [], ["dev"]]
    with pytest.raises(SystemExit):
        touched.main(["--except", "local", "--also", "local"])
    assert "there is no stack local; allowed: dev, prod" in capsys.readouterr().err


def reviewed(name: str, **more: Any) -> Settings:
    document = yaml.safe_load((CHECKOUT / f"Pulumi.{name}.yaml").read_text())
    document["config"] |= more
    config = review_stack.review(document, 12)["config"]
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    return parse({key.removeprefix("inference:"): text for key, text in texts.items()})


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_a_review_stack_is_small_and_can_be_destroyed(name: str) -> None:
    found = reviewed(name)
    assert found.namespace == "review-12"
    assert {(model.replicas.min, model.replicas.max) for model in found.models.values()} == {(1, 1)}
    assert [model.weights.protect for model in found.models.values() if model.weights.protect] == []
    assert all(isinstance(pool, EksPool) and pool.min == 0 for pool in found.gpu_pools.values())
    assert [each for each in found.storage.values() if isinstance(each, Efs) and each.protect] == []
    assert (found.autoscaling, found.monitoring, found.gateway) == (None, None, None)


def test_a_cluster_of_its_own_has_a_name_of_its_own_and_one_that_is_there_keeps_its_own() -> None:
    made, attached = reviewed("dev").cluster, reviewed("prod").cluster
    assert isinstance(made, EksCluster)
    assert made.create is not None
    assert (made.name, made.create.protect) == ("review-12", False)
    assert attached.name == "prod"
    assert not reviewed("prod").device_plugin.enabled
    assert reviewed("dev").device_plugin.enabled


def test_weights_of_an_image_have_no_volume_to_protect() -> None:
    document = yaml.safe_load((CHECKOUT / "Pulumi.dev.yaml").read_text())
    models = document["config"]["inference:models"]
    models["chat"] |= {"source": "image:///weights"}
    found = review_stack.review(document, 12)["config"]["inference:models"]
    assert [name for name, model in found.items() if "protect" in model.get("weights", {})] == [*models][1:]


def test_an_acceptance_goes_along_where_it_is_still_one() -> None:
    document = yaml.safe_load((CHECKOUT / "Pulumi.dev.yaml").read_text())
    document["config"]["inference:models"]["chat"]["concurrency"] = 4000
    why = "a demo of one day, with few users"
    accept = {"fits:models.chat": why, "fits": why, "scales:models.chat": why, "drops": why}
    document["config"]["inference:claims"] = {"accept": accept}
    assert review_stack.review(document, 12)["config"]["inference:claims"] == {
        "accept": {"fits:models.chat": why, "fits": why}
    }
    document["config"]["inference:models"]["chat"]["concurrency"] = 1
    assert "inference:claims" not in review_stack.review(document, 12)["config"]


def test_secrets_are_not_taken_along() -> None:
    secret = {"secure": "v1:abc"}
    document = {**yaml.safe_load((CHECKOUT / "Pulumi.dev.yaml").read_text()), "encryptionsalt": "v1:x"}
    document["config"] |= {"inference:hfToken": secret, "inference:apiKeys": secret}
    assert "v1:" not in json.dumps(review_stack.review(document, 12))
    assert "inference:hfToken" in document["config"]


def test_the_command_writes_the_file_and_names_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text((CHECKOUT / "Pulumi.dev.yaml").read_text())
    monkeypatch.setattr(review_stack, "CHECKOUT", tmp_path)
    review_stack.main(["--of", "dev", "--number", "7"])
    assert capsys.readouterr().out == "review-7\n"
    assert (
        yaml.safe_load((tmp_path / "Pulumi.review-7.yaml").read_text())["config"]["inference:namespace"] == "review-7"
    )
