"""Ollama's and NIM's own tools as seeders: the container, and the script around a tool that stands in for them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.egress import destination
from components.engine_seeding import SCRIPT
from components.settings import parse_source
from components.weight_seeder import TMP
from tests.components.program import plain, run_program
from tests.components.samples import SMALLEST, changed
from tests.seeder.seeding import lets_start

FOLDER = "llama3.1-8b/0123456789ab-00000000"
LAYERS = {"weights": "w" * 300_000, "template": "{{ .Prompt }}"}
DIGESTS = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in LAYERS.items()}
MANIFEST = json.dumps({"schemaVersion": 2, "layers": [{"digest": f"sha256:{each}"} for each in DIGESTS.values()]})
PIN = hashlib.sha256(MANIFEST.encode()).hexdigest()
OTHER = "ab" * 32
PROFILE = "cd" * 32
AT_ONCE = 2

# As the real one keeps its store: blobs under their digests, and a manifest under the name, written last.
OLLAMA = f"""#!/bin/sh
set -eu
store=${{OLLAMA_MODELS:-}}
[ -n "$store" ] || store=$(cat "$HOME/store")
case $1 in
serve)
    echo "$store" >"$HOME/store"
    [ "${{MODE:-}}" != mute ] || exit 1
    : >"$HOME/up"; trap 'rm "$HOME/up"; exit 0' TERM
    while :; do sleep 0.05; done ;;
list) [ -e "$HOME/up" ] ;;
pull)
    echo pulling manifest
    [ "${{MODE:-}}" != nothing ] || {{ echo 'Error: pull model manifest: file does not exist'; exit 1; }}
    mkdir -p "$store/blobs" "$store/manifests/registry.ollama.ai/library/llama3.1"
    [ "${{MODE:-}}" != torn ] || {{ printf '{{}}' >"$store/blobs/sha256-x-partial-0"; exit 1; }}
    ! find "$store" -name '*-partial-*' -size 0 | grep -q . || {{ echo 'Error: EOF'; exit 1; }}
    printf %s '{LAYERS["template"]}' >"$store/blobs/sha256-{DIGESTS["template"]}"
    [ "${{MODE:-}}" != killed ] || kill -9 0
    printf %s '{LAYERS["weights"]}' >"$store/blobs/sha256-{DIGESTS["weights"]}"
    [ "${{MODE:-}}" != flipped ] || printf x >>"$store/blobs/sha256-{DIGESTS["weights"]}"
    printf %s '{MANIFEST}' >"$store/manifests/registry.ollama.ai/library/llama3.1/8b"
    echo success ;;
cp)
    [ "$2" = llama3.1:8b ]
    cd "$store/manifests/registry.ollama.ai/library"
    mkdir -p "$3"
    cp llama3.1/8b "$3/latest" ;;
esac
"""
# As the hub's cache is laid out: links beside what they lead to.
NIM = """#!/bin/sh
set -eu
[ "$1 $2" = "--profiles PROFILE" ]
[ "$NGC_API_KEY" = sesame ]
hub=$NIM_CACHE_PATH/ngc/hub/models--nim--meta--llama
mkdir -p "$hub/blobs" "$hub/snapshots/1"
printf weights >"$hub/blobs/0123"
[ "${MODE:-}" != torn ] || exit 1
ln -sf ../../blobs/0123 "$hub/snapshots/1/model.safetensors"
""".replace("PROFILE", PROFILE)


@dataclass(kw_only=True)
class Job:
    """A volume, and pods that seed it one after another."""

    volume: Path
    home: Path
    tool: str = "ollama"
    location: str = "llama3.1:8b"
    revision: str = PIN
    check: str = "sizes"
    said: str = field(default="", init=False)

    @property
    def source(self) -> str:
        kind, scheme = ("sha256", "ollama") if self.tool == "ollama" else ("profile", "ngc")
        return f"{scheme}://{self.location}@{kind}:{self.revision}"

    @property
    def published(self) -> Path:
        return self.volume / FOLDER

    @property
    def work(self) -> Path:
        return self.volume / ".incoming" / FOLDER.replace("/", "--")

    def run(self, mode: str = "", *, path: str | None = None) -> int:
        """One pod; `mode` is what goes wrong."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()
        words = (self.tool, self.volume, FOLDER, self.source, self.revision, self.check, self.location, "chat")
        environment = {
            "HOME": str(self.home),
            "PATH": path or f"{self.home.parent / 'bin'}:{os.environ['PATH']}",
            "MODE": mode,
            "NGC_API_KEY": "sesame",
        }
        done = subprocess.run(
            ["/bin/sh", "-c", SCRIPT, "seed", *map(str, words)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            timeout=60,
            check=False,
        )
        self.said = done.stdout
        return done.returncode

    def last(self) -> str:
        return self.said.splitlines()[-1]

    def passes(self, *flags: str) -> bool:
        """Whether a replica's check, which is that of the seeder for every source, lets the engine start."""
        return lets_start(self.source, self.volume, FOLDER, *flags)

    def files(self) -> Mapping[str, str]:
        """The contents that a reader finds."""
        found = (path for path in self.published.rglob("*") if path.is_file() and path.name != ".seeded.json")
        return {path.relative_to(self.published).as_posix(): path.read_text() for path in found}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "bin").mkdir()
    for name, text in {"ollama": OLLAMA, "download-to-cache": NIM}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "volume").mkdir()
    return Job(volume=tmp_path / "volume", home=tmp_path / "home")


def test_what_ollama_pulls_is_published_whole_under_both_names(job: Job) -> None:
    assert job.run() == 0
    assert job.files() == {
        **{f"blobs/sha256-{DIGESTS[name]}": text for name, text in LAYERS.items()},
        "manifests/registry.ollama.ai/library/llama3.1/8b": MANIFEST,
        "manifests/registry.ollama.ai/library/chat/latest": MANIFEST,
    }
    assert job.passes("--checksums")
    assert not job.work.exists()
    assert not (job.home / "up").exists()


def test_what_is_there_is_not_pulled_again(job: Job) -> None:
    job.run()
    before = (job.published / ".seeded.json").stat().st_mtime_ns
    assert job.run("nothing") == 0
    assert job.last() == f"weight-seeder: {job.source} is in place: nothing to do"
    assert (job.published / ".seeded.json").stat().st_mtime_ns > before


@pytest.mark.parametrize("mode", ["torn", "killed", "flipped", "mute"])
def test_a_pull_that_fails_leaves_no_marker_and_the_next_one_completes_it(job: Job, mode: str) -> None:
    assert job.run(mode) not in {0, AT_ONCE}
    assert not job.published.exists()
    assert not list(job.volume.rglob(".seeded.json"))
    assert not job.passes()
    assert job.run() == 0
    assert job.passes("--checksums")


def test_the_empty_state_of_a_part_is_removed_since_ollama_stumbles_over_it(job: Job) -> None:
    (job.work / "blobs").mkdir(parents=True)
    (job.work / "blobs" / f"sha256-{DIGESTS['weights']}-partial-0").touch()
    assert job.run() == 0
    assert job.passes("--checksums")
    assert not list(job.published.rglob("*-partial*"))


def test_a_tag_that_means_another_manifest_is_refused_at_once(job: Job) -> None:
    job.revision = OTHER
    assert job.run() == AT_ONCE
    assert job.last() == (
        f"weight-seeder: error: llama3.1:8b is sha256:{PIN} as ollama keeps it, not sha256:{OTHER}: choose that "
        "digest, or another tag"
    )
    assert not job.passes()


def test_a_model_that_there_is_not_is_told_at_once(job: Job) -> None:
    assert job.run("nothing") == AT_ONCE
    assert job.last() == "weight-seeder: error: llama3.1:8b: there is no such model, or no such tag"


def test_a_flipped_blob_is_named_with_both_digests_and_removed(job: Job) -> None:
    assert job.run("flipped") == 1
    found = hashlib.sha256(f"{LAYERS['weights']}x".encode()).hexdigest()
    named = DIGESTS["weights"]
    assert f"checksum mismatch: blobs/sha256-{named} has the sha256 {found}: removed" in job.last()
    assert not (job.work / "blobs" / f"sha256-{named}").exists()


@pytest.mark.parametrize(("check", "found"), [("sizes", False), ("checksums", True)])
def test_damage_within_a_file_is_found_where_every_byte_is_read(job: Job, check: str, found: bool) -> None:  # noqa: FBT001
    job.run()
    blob = job.published / "blobs" / f"sha256-{DIGESTS['weights']}"
    blob.write_text("v" + LAYERS["weights"][1:])
    job.check = check
    assert job.run() == 0
    assert job.passes("--checksums") is found
    assert ("is damaged: fetched again" in job.said) is found


def test_a_file_that_is_cut_short_is_fetched_again(job: Job) -> None:
    job.run()
    os.truncate(job.published / "blobs" / f"sha256-{DIGESTS['weights']}", 5)
    assert not job.passes()
    assert job.run() == 0
    assert job.passes("--checksums")


def test_what_nim_downloads_is_published_with_its_links(job: Job) -> None:
    job.tool, job.location, job.revision = "nim", "nim/meta/llama", PROFILE
    assert job.run("torn") == 1
    assert not job.passes()
    assert job.run() == 0
    assert job.passes("--checksums")
    link = job.published / "ngc/hub/models--nim--meta--llama/snapshots/1/model.safetensors"
    assert link.is_symlink()
    assert link.read_text() == "weights"


def test_the_key_is_in_nothing_that_is_left(job: Job) -> None:
    job.tool, job.location, job.revision = "nim", "nim/meta/llama", PROFILE
    assert job.run() == 0
    assert "sesame" not in job.said
    assert not [path for path in job.volume.rglob("*") if path.is_file() and "sesame" in path.read_text()]


def test_two_pods_of_one_revision_do_not_meet(job: Job) -> None:
    job.work.parent.mkdir()
    with (job.work.with_name(f"{job.work.name}.lock")).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(subprocess.TimeoutExpired) as waits:
            subprocess.run(
                [
                    "/bin/sh",
                    "-c",
                    SCRIPT,
                    "seed",
                    "ollama",
                    str(job.volume),
                    FOLDER,
                    job.source,
                    PIN,
                    "sizes",
                    "l",
                    "c",
                ],
                env={"HOME": str(job.volume), "PATH": os.environ["PATH"]},
                capture_output=True,
                timeout=1,
                check=False,
            )
    assert b"another seeder is at work on this revision: waiting for it" in (waits.value.stdout or b"")
    assert not job.published.exists()


@dataclass(frozen=True, kw_only=True)
class Case:
    """A source of an engine's own, and what its Job is."""

    source: str
    model: Mapping[str, object]
    image: str
    words: tuple[str, ...]
    env: Mapping[str, str]
    secrets: Mapping[str, str]


CASES = {
    "ollama": Case(
        source=f"ollama://llama3.1:8b@sha256:{OTHER}",
        model={"engine": "ollama", "image": "docker.io/ollama/ollama:0.40.2"},
        image="docker.io/ollama/ollama:0.40.2",
        words=("ollama", f"llama3.1-8b/{OTHER[:12]}-", OTHER, "sizes", "llama3.1:8b", "chat"),
        env={"HOME": TMP, "USER": "inference", "OLLAMA_HOST": "127.0.0.1:11434", "OLLAMA_NOPRUNE": "1"},
        secrets={},
    ),
    "nim": Case(
        source=f"ngc://nim/meta/llama-3.1-8b-instruct@profile:{PROFILE}",
        model={"engine": "nim", "image": "nvcr.io/nim/meta/llama:2.0.6", "ngcKeySecret": "ngc-api"},
        image="nvcr.io/nim/meta/llama:2.0.6",
        words=(
            *("nim", f"nim--meta--llama-3.1-8b-instruct/{PROFILE[:12]}-", PROFILE, "sizes"),
            *("nim/meta/llama-3.1-8b-instruct", "chat"),
        ),
        env={"HOME": TMP, "USER": "inference", "XDG_CACHE_HOME": f"{TMP}/.cache", "XDG_CONFIG_HOME": f"{TMP}/.config"},
        secrets={"NGC_API_KEY": "ngc-api"},
    ),
}


def pods(case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pod that seeds, and a replica's."""
    config = changed(SMALLEST, "models.chat", dict(SMALLEST["models"]["chat"]))
    for key, value in {"source": case.source, **case.model}.items():
        config = changed(config, f"models.chat.{key}", value)
    recorder = run_program(config)
    (job,) = [each for each in recorder.of("Job") if "-seed-" in each.name]
    seeding, replica = (plain(each.inputs)["spec"]["template"]["spec"] for each in (job, recorder.one("Deployment")))
    return seeding, replica


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_job_is_that_of_every_source_with_the_engines_image(case: Case) -> None:
    spec, replica = pods(case)
    (container,) = spec["containers"]
    assert (container["name"], container["image"]) == ("seed", case.image)
    assert container["command"][:4] == ["/bin/sh", "-c", SCRIPT, "seed"]
    tool, root, folder, source, *rest = container["command"][4:]
    assert (tool, root, source) == (case.words[0], "/weights", case.source)
    assert folder.startswith(case.words[1])
    assert tuple(rest) == case.words[2:]
    assert {each["name"]: each["value"] for each in container["env"] if "value" in each} == case.env
    secrets = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in container["env"] if "valueFrom" in each}
    assert secrets == {name: {"name": secret, "key": name} for name, secret in case.secrets.items()}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert spec["securityContext"]["runAsUser"] == replica["securityContext"]["runAsUser"]
    (check,) = replica["initContainers"]
    assert check["command"] == [
        *("weight-seeder", "check", "--source", case.source, "--volume", "/weights", "--folder", folder)
    ]


@pytest.mark.parametrize(
    ("source", "host", "ports", "public"),
    [
        (f"ollama://llama3.1:8b@sha256:{OTHER}", "registry.ollama.ai", {443}, True),
        (f"ollama://team/llama:8b@sha256:{OTHER}", "registry.ollama.ai", {443}, True),
        (f"ollama://models.example.com:5000/team/llama:8b@sha256:{OTHER}", "models.example.com", {5000, 443}, False),
        (f"ngc://nim/meta/llama@profile:{PROFILE}", "api.ngc.nvidia.com", {443}, True),
    ],
)
def test_the_tool_may_reach_its_registry(source: str, host: str, ports: set[int], public: bool) -> None:  # noqa: FBT001
    where = destination(parse_source(source), None)
    assert where is not None
    assert (where.host, set(where.ports), where.public) == (host, ports, public)
