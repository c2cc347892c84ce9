"""Driving a rehearsal from a test as a person would: make targets in a copy of the checkout, kubectl, streams."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import openai
import yaml

from rehearsal.answer import ask, service_address
from rehearsal.fault import Fault
from rehearsal.kubectl import Kubectl
from rehearsal.places import CHECKOUT, Places
from rehearsal.toolchain import library_path
from tests.figures import FIGURES

# Of this test process alone: others may be under way on this host, and a cluster that somebody uses. The processes of
# one run are numbered, so that no two of them come upon the same network.
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
_NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
NAME = f"it-{os.getpid() % 100_000}"
NETWORK = f"10.{100 + (zlib.crc32(_RUN.encode()) + _NUMBER) % 100}.0.0/16"
CONTROL = NETWORK.replace(".0.0/16", ".0.1")

# Lines of the components' logs that would be an error elsewhere, each with its reason.
EXPECTED = (
    r"RuntimeConfig from runtime service failed",  # containerd 1.6 does not have the call
    r"Failed to set rlimit|Failed to ensure process in container with oom score",  # a host without CAP_SYS_RESOURCE
    r"nodes? \\?\"[a-z0-9-]+\\?\" not found",  # a kubelet looks for its node before it has registered it
    r"Skipping pod synchronization|checkpoint is not found",  # a kubelet's first seconds
    r"no imagefs label for configured runtime",  # as its first seconds, until the runtime has told its statistics
    r"forbidden: User .*system:node:",  # a node may ask for what its pods use: learnt and forgotten late
    r"Failed to ensure lease exists",  # an API server's first second, before it has made its namespaces
    r"http2: stream closed|use of closed network connection|transport is closing",  # a client that went away
    r"rpc error: code = NotFound",  # a container or sandbox that was removed between two looks at it
    r"Failed to list existing nftables objects",  # kube-proxy's first look at a new namespace, which has no table yet
    r"Cache consistency check error.*too old",  # an API server compares with what etcd has compacted meanwhile
    r"Cache consistency check error.*resourceVersion for the provided list is too old",  # of a kind that nobody changed
    # since etcd last forgot old revisions: there is nothing to compare it with
    r"object has been modified|StorageError: invalid object|Precondition failed",  # a controller's look was out of date
    r"Error getting updated StatefulSet from lister",  # as the line below, in other words
    r"not found|NotFound|being terminated",  # what it looks for was deleted meanwhile: namespaces come and go here
    r"loading OpenAPI spec for .*external\.metrics\.k8s\.io",  # KEDA's server of metrics is known before it serves
    r"controller\.go:\d+\] \"Unhandled Error\" err=<$",  # of the same, which says why in the lines that follow
    r"failed to compute desired number of replicas",  # no metric yet of what was just made: replicas stay as they are
    r"stale GroupVersion discovery: external\.metrics",  # KEDA's server of metrics was busy, or starts
    r"broken pipe|context canceled|context deadline exceeded",  # a client that went away, or a request given up
    r"connection refused|connect: no route|EOF|connection reset",  # a part waits for another that starts, or was killed
)
_BROKEN = re.compile(r"^panic:|^fatal error:|^F\d{4} |level=fatal|Traceback \(most recent call last\)")
"""What no component may ever log, whatever was done to it."""

# containerd's own errors tell of containers that ended between two of its looks; what it dies of is fatal.
_ERROR = re.compile(r"^E\d{4} (?P<time>[\d:]{8})")
_START_UP = timedelta(seconds=60)
"""Parts that start wait for each other, and say so as errors."""


@dataclass(kw_only=True)
class Rehearsed:
    """One copy of the checkout with a state folder, a cluster name and a network of its own."""

    checkout: Path
    state: Path
    ports_before: set[int] = field(default_factory=set)
    first_up: subprocess.CompletedProcess[str] | None = field(default=None)
    errors: list[str] | None = field(default=None)
    """Unexpected lines of the logs before parts of the cluster were killed: what comes afterwards tells of that."""

    @classmethod
    def copy_into(cls, folder: Path) -> Rehearsed:
        """What git would clone, plus what is not committed yet, with the virtual environment that runs this test."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=CHECKOUT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        checkout = folder / "checkout"
        for name in filter(None, listed.split("\0")):
            if (CHECKOUT / name).exists():
                (checkout / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / name, checkout / name, follow_symlinks=False)
        (checkout / ".venv").symlink_to(CHECKOUT / ".venv")
        return cls(checkout=checkout, state=folder / "state", ports_before=listening_ports())

    @property
    def environment(self) -> dict[str, str]:
        """The caller's environment with this rehearsal's own places."""
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "KUBECONFIG"))},
            "XDG_STATE_HOME": str(self.state),
            "REHEARSAL_NAME": NAME,
            "REHEARSAL_NETWORK": NETWORK,
        }

    @property
    def cluster(self) -> Path:
        """The cluster's folder."""
        return self.state / NAME / "cluster"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.cluster / "kubeconfig"

    @cached_property
    def client(self) -> Kubectl:
        """The rehearsal's kubectl, as the cluster's administrator."""
        found = shutil.which("kubectl", path=self.pulumi_environment["PATH"])
        assert found
        return Kubectl(program=Path(found), kubeconfig=str(self.kubeconfig))

    def make(self, *arguments: str, ok: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a make target to its end; by default it must succeed."""
        done = subprocess.run(
            ["make", "--silent", *arguments],
            cwd=self.checkout,
            env={**self.environment, **environment},
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert (done.returncode == 0) is ok, f"make {' '.join(arguments)} exited with {done.returncode}:\n{done.stdout}"
        return done

    def make_killed(self, target: str, after_s: float, kill: signal.Signals = signal.SIGKILL) -> bool:
        """Run a make target and `kill` it with all its children `after_s` seconds later; False if it ended before."""
        process = subprocess.Popen(
            ["make", "--silent", target],
            cwd=self.checkout,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, kill)
            process.wait()
            return True
        return False

    @cached_property
    def pulumi_environment(self) -> dict[str, str]:
        """What `make env` prints, parsed as a shell would."""
        lines = shlex.split(self.make("env").stdout)
        return dict(word.split("=", 1) for word in lines if "=" in word)

    def pulumi(self, *arguments: str, ok: bool = True) -> str:
        """Run plain pulumi in the checkout, in the environment that `make env` gives."""
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.checkout,
            env={**self.environment, **self.pulumi_environment},
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert (done.returncode == 0) is ok, (
            f"pulumi {' '.join(arguments)} exited with {done.returncode}:\n{done.stdout}"
        )
        return done.stdout

    def kubectl(self, *arguments: str, ok: bool | None = True) -> str:
        """Run kubectl as the cluster's administrator and give what it prints; with `ok` None it may fail."""
        done = subprocess.run(
            self.client.command(*arguments),
            env={**os.environ, **self.client.environment},
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert ok is None or (done.returncode == 0) is ok, f"kubectl {' '.join(arguments)}: {done.stdout}"
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """An object, or a list of them, of the cluster."""
        found = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return found["items"] if found["kind"] == "List" else found

    def configure(self, key: str, value: Any) -> None:
        """Set one value below `inference:` in the local stack's file, by a dotted path; None removes it."""
        path = self.checkout / "Pulumi.local.yaml"
        document = yaml.safe_load(path.read_text())
        *path_to_it, last = f"inference:{key}".split(".")
        target = document["config"]
        for part in path_to_it:
            target = target[part]
        if value is None:
            target.pop(last, None)
        else:
            target[last] = value
        path.write_text(yaml.safe_dump(document, sort_keys=False))

    def restore_configuration(self) -> None:
        """Give the local stack's file its shipped content."""
        shutil.copy2(CHECKOUT / "Pulumi.local.yaml", self.checkout / "Pulumi.local.yaml")

    def announce_gpus(self, count: int) -> None:
        """Have the pool's nodes announce so many GPUs, which they do at the start of the device plugin alone."""
        self.kubectl("delete", "pods", "--all", "--namespace=nvidia-device-plugin")
        enough = f"--for=jsonpath={{.status.allocatable.nvidia\\.com/gpu}}={count}"
        self.kubectl("wait", "nodes", "--selector=inference/gpu-pool=l4", enough, "--timeout=120s")

    @property
    def address(self) -> str:
        """`cluster IP:port` of the model's Service."""
        return service_address(self.client, "inference", "chat")

    def broken(self) -> list[str]:
        """Lines of the components' logs that tell of a part that broke."""
        return [f"{log.name}: {line[:300]}" for log, lines in self._logs() for line in lines if _BROKEN.search(line)]

    def unexpected_errors(self, *, kubelets: bool) -> list[str]:
        """Error lines of the components' logs, after their start-up, that no entry of EXPECTED explains.

        A kubelet's errors tell of every container that breaks, or that ends while it looks: of a healthy cluster only.
        """
        expected = re.compile("|".join(EXPECTED))
        found: list[str] = []
        for log, lines in self._logs():
            if log.stem.endswith("kubelet") and not kubelets:
                continue
            errors = [(line, match) for line in lines if (match := _ERROR.search(line))]
            times = [datetime.strptime(line[6:14], "%H:%M:%S") for line in lines if re.match(r"[IWE]\d{4} ", line)]  # noqa: DTZ007
            for line, match in errors:
                at = datetime.strptime(match["time"], "%H:%M:%S")  # noqa: DTZ007
                if at - times[0] >= _START_UP and not expected.search(line):
                    found.append(f"{log.name}: {line[:300]}")
        return found

    def _logs(self) -> Iterator[tuple[Path, list[str]]]:
        for log in sorted((self.cluster / "logs").glob("*.log")):
            yield log, log.read_text(errors="replace").splitlines()


class Streams:
    """Live traffic: streams one after another on several threads until told to stop, each read to its end."""

    def __init__(self, address: str, threads: int = 3) -> None:
        self.completed: list[int] = []
        self.lost: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._stream, args=(address,)) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        FIGURES["streams checked"] += len(self.completed) + len(self.lost)
        FIGURES["streams lost"] += len(self.lost)

    def _stream(self, address: str) -> None:
        while not self._stop.is_set():
            try:
                self.completed.append(ask(f"http://{address}/v1", "chat").tokens)
            except (Fault, openai.OpenAIError) as fault:
                self.lost.append(f"{time.strftime('%X')} {fault}")


def listening_ports() -> set[int]:
    """TCP ports that something on the host itself, outside of any namespace of ours, listens on."""
    tables = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    return {int(line.split()[1].rsplit(":", 1)[1], 16) for line in tables.splitlines() if " 0A " in line}


def host_state() -> dict[str, list[str]]:
    """What a rehearsal must leave as it was: links, routes, network namespaces, mounts, firewall, cgroups."""
    debs = Places.of_user().debs
    nft = {"LD_LIBRARY_PATH": library_path(debs)}

    def lines(*command: str, **environment: str) -> list[str]:
        done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **environment})
        return sorted(done.stdout.splitlines())

    return {
        "links": [link for link in lines("ip", "-brief", "link") if NAME in link],
        "routes": [route for route in lines("ip", "route") if NETWORK.removesuffix("0.0/16") in route],
        "namespaces": [space for space in lines("ip", "netns", "list") if space.startswith(f"{NAME}.")],
        "mounts": [line for line in Path("/proc/self/mounts").read_text().splitlines() if NAME in line],
        "cgroups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{NAME}*")),
        "firewall": lines(f"{debs}/usr/sbin/nft", "--stateless", "list", "ruleset", **nft),
        "forwarding": [Path("/proc/sys/net/ipv4/ip_forward").read_text()],
        "owners": [str(path) for path in Path("/run").glob(f"{NAME}*")],
        "processes": _processes_of_ours(),
        "host folders": [
            path for path in ("/var/lib/kubelet", "/var/lib/cni", "/etc/cni", "/opt/cni") if Path(path).exists()
        ],
    }


def _processes_of_ours() -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            groups = (folder / "cgroup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # A process without command line has ended, and waits for its parent to take note.
        if (command and f"/{NAME}" in groups) or (NAME in command and "kube" in command):
            found.append(command)
    return found
