"""Weights on the embedded cluster: another revision, the way back, what is cleaned, damaged or killed, every source."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from components.model_weights import weights_folder
from components.settings.weights import DEFAULT_EXCLUDE, DEFAULT_INCLUDE
from rehearsal import cluster, registry, s3, toolchain
from rehearsal.hub import model
from rehearsal.images import BUSYBOX
from rehearsal.places import Places
from tests.cluster.rehearsed import CONTROL, NAME, Rehearsed, Streams
from tests.figures import FIGURES
from tests.hub.hubs import RunningHub

pytestmark = pytest.mark.cluster
SOURCES = {edition: f"hf://{model.REPOSITORY}@{model.commit(edition)}" for edition in model.EDITIONS}
FOLDERS = {edition: weights_folder(source, DEFAULT_INCLUDE, DEFAULT_EXCLUDE) for edition, source in SOURCES.items()}
SHARD = "model-00002-of-00002.safetensors"
KILLS = 20
OWN = (".seeded.json", ".served")
"""What the seeder keeps beside the files of the model."""
KILLED = "killed"
SHARED = "shared"
S3_PORT, OCI_PORT = 5555, 5556
PATIENCE_S = 90.0


@pytest.fixture(autouse=True)
def as_shipped(rehearsed: Rehearsed) -> Iterator[None]:
    """Every test starts and ends with the stack as it ships."""
    rehearsed.restore_configuration()
    yield
    rehearsed.restore_configuration()


@contextmanager
def hub_of(rehearsed: Rehearsed) -> Iterator[RunningHub]:
    """The cluster's hub, which is sound again at the end."""
    with httpx.Client(trust_env=False) as http:
        folder = rehearsed.cluster / "hub" / model.REPOSITORY
        log = rehearsed.cluster / "logs/hub.log"
        hub = RunningHub(url=f"http://{CONTROL}:{cluster.HUB_PORT}", folder=folder, log=log, http=http)
        try:
            yield hub
        finally:
            hub.inject()


def volume_of(rehearsed: Rehearsed, claim: str = "chat-weights-rehearsal-shared") -> Path:
    """Where this host has the claim's volume."""
    name = rehearsed.get("pvc", claim, "--namespace=inference")["spec"]["volumeName"]
    (folder,) = (rehearsed.cluster / "volumes").glob(f"{name}_*")
    return folder


def published(volume: Path) -> set[str]:
    """Folders with a marker."""
    return {path.parent.relative_to(volume).as_posix() for path in volume.glob("*/*/.seeded.json")}


def assert_whole(folder: Path, edition: int) -> None:
    """The folder holds what was selected of this edition, byte for byte, and its manifest says so."""
    wanted = dict(model.files(edition))
    manifest = json.loads((folder / ".seeded.json").read_bytes())
    here = {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in OWN}
    assert manifest["source"] == SOURCES[edition]
    assert {file["path"] for file in manifest["files"]} == here.keys()
    assert here == {name: content for name, content in wanted.items() if name not in ("LICENSE", "README.md")}


def job_of(rehearsed: Rehearsed, what: str, name: str = "chat") -> str:
    """Name of the one Job of the model that seeds or cleans."""
    names = [job["metadata"]["name"] for job in rehearsed.get("jobs", "--namespace=inference")]
    (found,) = [each for each in names if each.startswith(f"{name}-{what}-")]
    return str(found)


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"it never came about that {what}"
        time.sleep(0.5)


def test_another_revision_is_seeded_beside_the_old_one_and_no_stream_is_lost_on_the_way_there_and_back(
    rehearsed: Rehearsed,
) -> None:
    volume = volume_of(rehearsed)
    before = job_of(rehearsed, "seed")
    with hub_of(rehearsed) as hub, Streams(rehearsed.address) as streams:
        rehearsed.configure("models.chat.source", SOURCES[2])
        hub.inject()
        rehearsed.make("up")

        assert job_of(rehearsed, "seed") != before
        assert published(volume) == {FOLDERS[1], FOLDERS[2]}
        assert_whole(volume / FOLDERS[2], 2)
        # The shard that both have is one file, and only the other one was asked for.
        shards = [request["path"] for request in hub.requests() if request["path"].endswith(".safetensors")]
        assert {Path(path).name for path in shards} == {SHARD}
        first = next(name for name, _ in model.files() if name.startswith("model-00001"))
        assert (volume / FOLDERS[1] / first).samefile(volume / FOLDERS[2] / first)
        (replica,) = serving(rehearsed)
        assert replica["metadata"]["annotations"]["inference/weights"] == FOLDERS[2]

        # Back: the old folder is there still, and the hub, which is down now, is not asked.
        rehearsed.restore_configuration()
        hub.inject({"kind": "status", "code": 503})
        rehearsed.make("up")
        assert hub.injected()["503"] == 0
        (replica,) = serving(rehearsed)
        assert replica["metadata"]["annotations"]["inference/weights"] == FOLDERS[1]
    assert streams.lost == []
    assert len(streams.completed) >= 3


def test_no_revision_stays_that_is_not_kept_and_none_goes_that_a_pod_reads(rehearsed: Rehearsed) -> None:
    rehearsed.configure("models.chat.source", SOURCES[2])
    rehearsed.make("up")
    volume = volume_of(rehearsed)
    assert published(volume) == {FOLDERS[1], FOLDERS[2]}
    reader = pod("reader", BUSYBOX, ["sleep", "3600"], annotations={"inference/weights": FOLDERS[1]})
    reader["metadata"]["labels"] = {"app.kubernetes.io/instance": "chat", "app.kubernetes.io/component": "engine"}
    apply(rehearsed, reader)
    rehearsed.configure("models.chat.weights.keepRevisions", 0)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(rehearsed.make, "up")
        try:
            eventually(lambda: cleaning(rehearsed), "a pod that cleans was running")
            time.sleep(3)
            assert published(volume) == {FOLDERS[1], FOLDERS[2]}
        finally:
            rehearsed.kubectl("delete", "pod", "reader", "--namespace=inference", "--now")
        done.result()
    assert published(volume) == {FOLDERS[2]}
    rehearsed.restore_configuration()
    rehearsed.make("up")
    assert_whole(volume / FOLDERS[1], 1)


def test_a_replica_refuses_damaged_weights_and_serves_when_they_were_seeded_again(rehearsed: Rehearsed) -> None:
    rehearsed.make("up")
    shard = volume_of(rehearsed) / FOLDERS[1] / SHARD
    os.truncate(shard, shard.stat().st_size // 2)
    rehearsed.kubectl("delete", "pod", "--namespace=inference", "--selector=app.kubernetes.io/component=engine")

    def refused() -> bool:
        pods = serving(rehearsed)
        statuses = [each for found in pods for each in found["status"].get("initContainerStatuses", [])]
        last = [status.get("lastState", {}).get("terminated") for status in statuses]
        said = [ended["message"] for ended in [*last, *(s["state"].get("terminated") for s in statuses)] if ended]
        return any(SHARD in line for line in said)

    eventually(refused, "a replica refused the damaged shard")
    rehearsed.kubectl("delete", "job", job_of(rehearsed, "seed"), "--namespace=inference")
    # A container that has failed is started again later and later, a new pod at once.
    rehearsed.kubectl("scale", "deployment/chat", "--replicas=0", "--namespace=inference")
    rehearsed.make("up")
    assert_whole(shard.parent, 1)
    FIGURES["faults injected"] += 1


def test_weights_come_whole_through_20_kills_of_the_seeding_pod(rehearsed: Rehearsed) -> None:
    """Kill -9 at random moments of one seeding; nothing is published before the last run, which completes it."""
    rehearsed.make("up")
    job = rehearsed.get("job", job_of(rehearsed, "seed"), "--namespace=inference")
    template = job["spec"]["template"]
    # A volume without the other revisions, whose files would only be linked.
    volumes = template["spec"]["volumes"]
    claim = next(each["persistentVolumeClaim"] for each in volumes if each["name"] == "weights")
    claim["claimName"] = KILLED
    choose = random.Random(20261121)  # noqa: S311 - the same times in every run
    killed = 0
    try:
        apply(rehearsed, volume_claim(KILLED))
        with hub_of(rehearsed) as hub:
            hub.inject({"kind": "throttle", "rate": 1_000_000})
            for number in range(KILLS):
                apply(rehearsed, seeding_pod(f"{KILLED}-{number}", template))
                killed += kill_seeders(after_s=choose.uniform(0, 2))
                rehearsed.kubectl("delete", "pod", f"{KILLED}-{number}", "--namespace=inference", "--now")
                assert published(volume_of(rehearsed, KILLED)) == set()
            hub.inject()
            apply(rehearsed, seeding_pod(KILLED, template))
            assert_succeeds(rehearsed, KILLED)
            shards = [request for request in hub.requests() if request["path"].endswith(".safetensors")]
        assert killed == KILLS
        # It went on where the others had stopped.
        assert any(request["range"] for request in shards)
        assert_whole(volume_of(rehearsed, KILLED) / FOLDERS[1], 1)
    finally:
        rehearsed.kubectl("delete", f"pod/{KILLED}", f"pvc/{KILLED}", "--namespace=inference", "--ignore-not-found")
    FIGURES["seeding pods killed"] += killed


def test_weights_come_from_a_bucket_an_artifact_and_a_folder_alike(rehearsed: Rehearsed, tmp_path: Path) -> None:
    """Three more models beside the hub's, each from a source of another kind, in one `make up`."""
    files = {name: content for name, content in model.files() if name not in ("LICENSE", "README.md")}
    within = ("nsenter", f"--net=/var/run/netns/{NAME}.control")
    program = toolchain.ensure_registry(Places.of_user())
    with (
        s3.running(tmp_path / "s3", host=CONTROL, port=S3_PORT, within=within) as bucket,
        registry.running(program, tmp_path / "oci", f"{CONTROL}:{OCI_PORT}", within=within) as address,
    ):
        client = s3.client(bucket)
        client.create_bucket(Bucket="weights")
        for name, content in files.items():
            client.put_object(Bucket="weights", Key=f"tiny/1/{name}", Body=content, ChecksumAlgorithm="SHA256")
        with httpx.Client(base_url=address, trust_env=False) as http:
            digest = registry.push(http, "models/tiny", files)
        shared = copied(rehearsed, files)
        keys = ("AWS_ACCESS_KEY_ID=testing", "AWS_SECRET_ACCESS_KEY=testing")
        literals = [f"--from-literal={key}" for key in keys]
        rehearsed.kubectl("create", "secret", "generic", "s3-keys", "--namespace=inference", *literals)
        sources: dict[str, tuple[str, dict[str, Any]]] = {
            "bucket": ("s3://weights/tiny/1", {"endpoint": bucket, "credentials": "s3-keys"}),
            "artifact": (f"oci://registry.example.com/models/tiny@{digest}", {"endpoint": address}),
            "folder": (f"file:///tiny@sha256:{shared}", {"sourceClaim": SHARED}),
        }
        chat = yaml.safe_load((rehearsed.checkout / "Pulumi.local.yaml").read_text())["config"]["inference:models"][
            "chat"
        ]
        try:
            for name, (source, weights) in sources.items():
                kept = {key: value for key, value in chat["weights"].items() if key not in ("endpoint", "egress")}
                rehearsed.configure(f"models.{name}", {**chat, "source": source, "weights": {**kept, **weights}})
            rehearsed.configure("claims.accept.schedules", "no model is rolled out while all four are here")
            answered = rehearsed.make("up").stdout
            for name, (source, _) in sources.items():
                assert re.search(rf"^{name} is asked", answered, re.MULTILINE)
                folder = volume_of(rehearsed, f"{name}-weights-rehearsal-shared") / weights_folder(
                    source, DEFAULT_INCLUDE, DEFAULT_EXCLUDE
                )
                here = {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in OWN}
                assert here == files
                text = (folder / ".seeded.json").read_text()
                assert json.loads(text)["source"] == source
                assert "testing" not in text
            assert len(re.findall(r"finish_reason (stop|length)", answered)) == len(sources) + 1
        finally:
            rehearsed.restore_configuration()
            rehearsed.make("up")
            rehearsed.kubectl("delete", f"pvc/{SHARED}", "secret/s3-keys", "--namespace=inference")


def serving(rehearsed: Rehearsed) -> list[Any]:
    """The replicas that are not about to end."""
    pods = rehearsed.get("pods", "--namespace=inference", "--selector=app.kubernetes.io/component=engine")
    return [each for each in pods if "deletionTimestamp" not in each["metadata"]]


def cleaning(rehearsed: Rehearsed) -> bool:
    """Whether a pod that cleans is at work."""
    pods = rehearsed.get("pods", "--namespace=inference", "--selector=app.kubernetes.io/name=weight-cleaner")
    return any(each["status"]["phase"] == "Running" for each in pods)


def pod(name: str, image: str, command: list[str], annotations: dict[str, str] | None = None) -> dict[str, Any]:
    """A pod that Pod Security's restricted level lets in."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    identity = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    container = {"name": "main", "image": image, "command": command, "securityContext": security}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "inference", "annotations": annotations or {}},
        "spec": {"restartPolicy": "Never", "securityContext": identity, "containers": [container]},
    }


def seeding_pod(name: str, template: dict[str, Any]) -> dict[str, Any]:
    """The seeding Job's pod without its Job, which would wait longer after every kill.

    With its labels, since a pod without them may reach nobody; without those by which the Job would know it.
    """
    of_the_job = ("batch.kubernetes.io/", "controller-uid", "job-name")
    labels = {key: text for key, text in template["metadata"]["labels"].items() if not key.startswith(of_the_job)}
    metadata = {"name": name, "namespace": "inference", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def assert_succeeds(rehearsed: Rehearsed, name: str) -> None:
    """The pod ends well; if not, say what became of it."""
    ended: dict[str, Any] = {}

    def ends() -> bool:
        ended.update(rehearsed.get("pod", name, "--namespace=inference")["status"])
        return ended["phase"] in {"Succeeded", "Failed"}

    try:
        eventually(ends, f"pod {name} ended")
        assert ended["phase"] == "Succeeded"
    except AssertionError as failed:
        log = rehearsed.kubectl("logs", name, "--namespace=inference", ok=None)
        raise AssertionError(f"{failed}\n{json.dumps(ended)}\n{log}") from None


def apply(rehearsed: Rehearsed, manifest: dict[str, Any]) -> None:
    rehearsed.client.read("create", "--filename=-", text=json.dumps(manifest))


def copied(rehearsed: Rehearsed, files: dict[str, bytes]) -> str:
    """Put a folder `tiny` with a list of its checksums on a claim of its own; gives the sha256 of the list."""
    apply(rehearsed, volume_claim(SHARED))
    binder = pod("binder", BUSYBOX, ["true"])
    binder["spec"]["volumes"] = [{"name": "shared", "persistentVolumeClaim": {"claimName": SHARED}}]
    binder["spec"]["containers"][0]["volumeMounts"] = [{"name": "shared", "mountPath": "/shared"}]
    apply(rehearsed, binder)
    assert_succeeds(rehearsed, "binder")
    rehearsed.kubectl("delete", "pod/binder", "--namespace=inference", "--now")
    folder = volume_of(rehearsed, SHARED) / "tiny"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    (folder / "SHA256SUMS").write_text(sums)
    return hashlib.sha256(sums.encode()).hexdigest()


def volume_claim(name: str) -> dict[str, Any]:
    """A claim of the rehearsal's shared class."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "inference"},
        "spec": {
            "storageClassName": "rehearsal-shared",
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "64Mi"}},
        },
    }


def kill_seeders(*, after_s: float) -> bool:
    """Kill what seeds, so long after it has started; False if it ended before."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := seeders()):
        assert time.monotonic() < deadline, "the seeding pod never started"
        time.sleep(0.02)
    time.sleep(after_s)
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
    return True


def seeders() -> list[int]:
    """Processes of seeding pods, as this host sees them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"seed" in words and FOLDERS[1].encode() in words:
            found.append(int(path.parent.name))
    return found
