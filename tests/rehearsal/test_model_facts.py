"""`make model-facts`: a model's files into the facts of the program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.facts import models
from rehearsal import model_facts, stack
from rehearsal.fault import Fault

COMMIT = "1" * 40
PIN = "sha256:" + "ab" * 32
STACK = f"""
config:
  inference:models:
    chat: {{source: "hf://owner/name@{COMMIT}", weights: {{endpoint: "http://hub.inside.svc"}}}}
    draft: {{source: "s3://weights/llm"}}
    local: {{source: "file:///mnt/llama@{PIN}"}}
    baked: {{source: "image:///models"}}
    branch: {{source: "hf://owner/name@main"}}
    slash: {{source: "s3://weights/llm/"}}
    none: {{}}
    pulled: {{source: "ollama://llama3.1:8b@{PIN}"}}
    short: {{source: "hf://owner/name@0e9e39f", weights: {{endpoint: "http://hub.inside.svc"}}}}
"""
# Tells what it was asked, and lists a file at the top and one below.
SEEDER = """
import json, os, sys
if os.environ.get("FAILS"):
    sys.exit("weight-seeder: error: " + os.environ["FAILS"])
named = {key: os.environ.get(key) for key in ("HF_ENDPOINT", "AWS_ENDPOINT_URL_S3")}
open(os.environ["ASKED"], "w").write(json.dumps([sys.argv[1:], named]))
print(json.dumps({"source": sys.argv[3], "files": [{"path": "b/c", "size": 2}, {"path": "a", "size": 1}]}))
"""


@pytest.fixture(autouse=True)
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with stacks, facts and a seeder of the test's own; what the seeder is asked goes to a file."""
    (tmp_path / "Pulumi.dev.yaml").write_text(STACK)
    (tmp_path / "Pulumi.one.yaml").write_text('config: {"inference:models": {only: {source: s3://weights/one}}}')
    (tmp_path / "Pulumi.empty.yaml").write_text("config: {}")
    package = tmp_path / "seeder" / "weight_seeder"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text(SEEDER)
    (tmp_path / "models.json").write_text(models.render({"s3://weights/zulu": {"z": 26}}))
    for name in ("HF_ENDPOINT", "AWS_ENDPOINT_URL_S3", "FAILS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASKED", str(tmp_path / "asked.json"))
    monkeypatch.setattr(stack, "CHECKOUT", tmp_path)
    monkeypatch.setattr(model_facts, "CHECKOUT", tmp_path)
    monkeypatch.setattr(model_facts, "SEEDER", tmp_path / "seeder")
    monkeypatch.setattr(models, "DATA", tmp_path / "models.json")
    return tmp_path / "asked.json"


def renew(name: str, model: str | None, *, endpoint: str | None = None, read_from: str | None = None) -> str:
    return model_facts.renew(name, model, endpoint=endpoint, read_from=read_from)


def test_the_list_goes_beside_those_that_are_there_in_order() -> None:
    said = renew("dev", "draft")
    assert said == "s3://weights/llm: 2 files, 3 bytes, are in models.json now"
    listed = {"s3://weights/llm": {"a": 1, "b/c": 2}, "s3://weights/zulu": {"z": 26}}
    assert models.DATA.read_text() == models.render(listed)
    assert list(json.loads(models.DATA.read_text())["s3://weights/llm"]["files"]) == ["a", "b/c"]
    assert renew("dev", "draft") == said
    assert models.DATA.read_text() == models.render(listed)


def test_a_source_is_asked_for_all_of_its_files_at_the_stacks_endpoint(asked: Path) -> None:
    renew("dev", "chat")
    words, named = json.loads(asked.read_text())
    assert words == ["list", "--source", f"hf://owner/name@{COMMIT}", "--patience", "20"]
    assert named == {"HF_ENDPOINT": "http://hub.inside.svc", "AWS_ENDPOINT_URL_S3": None}


def test_an_endpoint_that_is_given_goes_first(asked: Path) -> None:
    renew("dev", "chat", endpoint="http://127.0.0.1:8080")
    assert json.loads(asked.read_text())[1]["HF_ENDPOINT"] == "http://127.0.0.1:8080"
    renew("dev", "draft", endpoint="http://127.0.0.1:9000")
    assert json.loads(asked.read_text())[1] == {"HF_ENDPOINT": None, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000"}


def test_a_folder_is_one_of_this_machine_or_of_a_volume_that_is_mounted(asked: Path) -> None:
    renew("dev", "local")
    assert json.loads(asked.read_text())[0][5:] == ["--read-from", "/"]
    renew("dev", "local", read_from=str(asked.parent))
    assert json.loads(asked.read_text())[0][5:] == ["--read-from", str(asked.parent)]


def test_the_one_model_of_a_stack_need_not_be_named(asked: Path) -> None:
    assert renew("one", None).startswith("s3://weights/one: ")


HUB = "hf://OWNER/NAME@COMMIT with the commit's 40 hexadecimal digits"
S3 = "s3://BUCKET/PREFIX, or s3://BUCKET/PREFIX@sha256:DIGEST with the 64 digits of PREFIX/SHA256SUMS"
NAMES = "chat, draft, local, baked, branch, slash, none, pulled, short"


@pytest.mark.parametrize(
    ("name", "model", "line"),
    [
        ("dev", None, f"MODEL: is not given; allowed: {NAMES}; run: make model-facts STACK=dev MODEL=chat"),
        (
            "dev",
            "caht",
            (
                f"MODEL: there is no model caht in Pulumi.dev.yaml; allowed: {NAMES}; "
                "run: make model-facts STACK=dev MODEL=chat"
            ),
        ),
        (
            "empty",
            None,
            "MODEL: is not given; allowed: a key of inference:models; run: make model-facts STACK=empty MODEL=<name>",
        ),
        (
            "dev",
            "branch",
            (
                "inference:models.branch.source: is not pinned: main is no full commit, so the weights could change "
                f"under it; allowed: {HUB}; find the commit with: git ls-remote https://huggingface.co/owner/name main"
            ),
        ),
        (
            "dev",
            "slash",
            f"inference:models.slash.source: is almost a source; allowed: {S3}; such as s3://weights/llm",
        ),
        (
            "dev",
            "baked",
            (
                "inference:models.baked.source: weights in the engine's image have no volume, and their files are not "
                "needed; leave it so"
            ),
        ),
        (
            "dev",
            "pulled",
            (
                "inference:models.pulled.source: only the engine's own tool knows the files of ollama://; "
                "give weights.size"
            ),
        ),
        (
            "dev",
            "none",
            (
                "inference:models.none.source: is no source; allowed: hf://OWNER/NAME@COMMIT, "
                "s3://BUCKET/PREFIX[@sha256:DIGEST], oci://REGISTRY/REPOSITORY@sha256:DIGEST, "
                "file:///PATH@sha256:DIGEST, image:///PATH, ollama://MODEL:TAG@sha256:DIGEST or "
                "ngc://ORGANIZATION/MODEL@profile:ID; write it in one of these forms"
            ),
        ),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(name: str, model: str | None, line: str, asked: Path) -> None:
    before = models.DATA.read_text()
    with pytest.raises(Fault) as fault:
        renew(name, model)
    assert str(fault.value) == line
    assert models.DATA.read_text() == before
    assert not asked.exists()


@pytest.mark.parametrize(
    ("model", "given", "line"),
    [
        (
            "local",
            {"endpoint": "http://127.0.0.1:8080"},
            (
                "ENDPOINT: means nothing for a source file://; allowed: none, or a source hf://, s3://, oci://; unset "
                "ENDPOINT, or mend it, and run again"
            ),
        ),
        (
            "draft",
            {"read_from": "/"},
            (
                "READ_FROM: means nothing for a source s3://; allowed: none, or a source file://; unset READ_FROM, or "
                "mend it, and run again"
            ),
        ),
        (
            "local",
            {"read_from": "/nowhere"},
            (
                "READ_FROM: /nowhere is no folder of this machine; allowed: where the source's volume is mounted; "
                "unset READ_FROM, or mend it, and run again"
            ),
        ),
        (
            "chat",
            {"endpoint": "127.0.0.1:8080"},
            (
                "ENDPOINT: 127.0.0.1:8080 is no address; allowed: http://HOST:PORT or https://HOST; unset ENDPOINT, or "
                "mend it, and run again"
            ),
        ),
        (
            "chat",
            {"endpoint": "http://user:hunter2@127.0.0.1"},
            (
                "ENDPOINT: holds credentials in clear; allowed: an address without user, password and query; unset "
                "ENDPOINT, or mend it, and run again"
            ),
        ),
    ],
)
def test_what_would_be_ignored_is_refused(model: str, given: dict[str, str], line: str, asked: Path) -> None:
    with pytest.raises(Fault) as fault:
        renew("dev", model, **given)
    assert str(fault.value) == line
    assert not asked.exists()


@pytest.mark.parametrize(
    ("endpoint", "address"), [(None, "http://hub.inside.svc"), ("http://127.0.0.1:8080", "http://127.0.0.1:8080")]
)
def test_a_way_out_asks_the_endpoint_that_was_asked(endpoint: str | None, address: str) -> None:
    with pytest.raises(Fault) as fault:
        renew("dev", "short", endpoint=endpoint)
    assert f"git clone --bare --filter=tree:0 {address}/owner/name history.git" in str(fault.value)


def test_a_stack_that_there_is_not_is_told_with_those_that_there_are() -> None:
    with pytest.raises(Fault) as fault:
        renew("deb", "chat")
    assert str(fault.value) == (
        "STACK: there is no Pulumi.deb.yaml; allowed: dev, empty, one; run the same again with one of these, such as "
        "STACK=dev"
    )


def test_a_seeder_that_fails_is_one_line_with_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    before = models.DATA.read_text()
    monkeypatch.setenv("FAILS", "the hub answered 503")
    with pytest.raises(Fault) as fault:
        renew("dev", "chat")
    assert str(fault.value).endswith(
        " failed: weight-seeder: error: the hub answered 503; run again; where only the cluster knows the address: "
        "ENDPOINT=http://127.0.0.1:<forwarded port>"
    )
    assert "\n" not in str(fault.value)
    assert models.DATA.read_text() == before


def test_the_seeder_of_this_checkout_lists_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    folder = tmp_path / "llama"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "model.safetensors").write_bytes(b"12345")
    make = "find * -type f ! -name SHA256SUMS -exec sha256sum {} + > SHA256SUMS && sha256sum SHA256SUMS"
    digest = subprocess.check_output(["sh", "-c", make], cwd=folder, text=True).split()[0]
    asks = ["list", "--source", f"file:///llama@sha256:{digest}", "--read-from", str(tmp_path)]
    said = subprocess.check_output(
        [sys.executable, "-m", "weight_seeder", *asks],
        env={**os.environ, "PYTHONPATH": str(model_facts.SEEDER)},
        text=True,
    )
    assert {file["path"]: file["size"] for file in json.loads(said)["files"]} == {"sub/model.safetensors": 5}
