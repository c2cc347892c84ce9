"""The Pulumi CLI as the make targets run it: its environment, its plugins, and how it goes on after an interruption."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from rehearsal.command import run
from rehearsal.fault import Fault
from rehearsal.places import CHECKOUT, Places
from rehearsal.progress import console
from rehearsal.toolchain import Tools

STAND_INS = CHECKOUT / "rehearsal" / "plugins" / "bin"
KUBERNETES_PLUGIN = ("resource", "kubernetes", "v4.34.2")
ASK_AGAIN_S = 24 * 3600
"""How long a refusal of the official plugin's download is remembered."""


@dataclass(frozen=True, kw_only=True)
class Pulumi:
    """Pulumi on one backend. `environment` is all that its commands need, on top of the caller's own."""

    cli: Path
    environment: Mapping[str, str]

    def run(self, *arguments: str, folder: Path = CHECKOUT) -> int:
        """Run a command with the terminal's own input and output; give its exit code.

        Ctrl-C reaches Pulumi too, which then ends in order and saves its state; so it is waited for.
        """
        process = subprocess.Popen([self.cli, *arguments], cwd=folder, env=self.environment)
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                console.print("interrupted: Pulumi saves its state (Ctrl-C again to not wait for it)")
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def read(self, *arguments: str, folder: Path = CHECKOUT) -> str:
        """Run a command and give its output; Fault with its last words if it fails."""
        return run(self.cli, *arguments, cwd=folder, environment=self.environment)

    def select(self, stack: str) -> None:
        """Have the stack, and free it from an operation that was killed."""
        known = {entry["name"].rsplit("/", 1)[-1] for entry in json.loads(self.read("stack", "ls", "--json"))}
        if stack not in known:
            self.read("stack", "init", "--stack", stack, "--no-select")
        elif self._abandoned(stack):
            console.print(f"an earlier run on stack {stack} was killed: unlocking it")
            self.read("cancel", "--yes", "--stack", stack)

    def adopt_pending(self, stack: str, exists: Callable[[str, str], bool]) -> None:
        """Settle what a killed `pulumi up` left half-created: import what `exists(type, id)`, forget the rest.

        Without this the next `up` would try to create an object that is already there.
        """
        state = json.loads(self.read("stack", "export", "--stack", stack))
        pending = (state.get("deployment") or {}).get("pending_operations") or []
        if not pending:
            return
        console.print(f"an earlier run left {len(pending)} unfinished operation(s) on stack {stack}: settling them")
        for operation in pending:
            resource = operation["resource"]
            if (
                operation["type"] == "creating"
                and (identity := _kubernetes_id(resource))
                and exists(resource["type"], identity)
            ):
                self.read(
                    "refresh", "--yes", "--skip-preview", "--stack", stack,
                    "--target", resource["urn"], "--import-pending-creates", resource["urn"], identity,
                )  # fmt: skip
        self.read("refresh", "--yes", "--skip-preview", "--stack", stack, "--clear-pending-creates")

    def _abandoned(self, stack: str) -> bool:
        """Whether the stack is locked by a process of this host that is gone."""
        backend = Path(self.environment["PULUMI_BACKEND_URL"].removeprefix("file://"))
        locks = [json.loads(path.read_text()) for path in backend.glob(f".pulumi/locks/**/{stack}/*.json")]
        return any(not psutil.pid_exists(int(lock["pid"])) for lock in locks)


def display() -> tuple[str, ...]:
    """Options for Pulumi's display: live on a terminal, else only what happened."""
    return () if console.is_terminal else ("--non-interactive", "--suppress-progress")


def pulumi(places: Places, tools: Tools, kubeconfig: Path) -> Pulumi:
    """Pulumi on this user's file backend, with stand-ins only for those plugins that cannot be had."""
    places.pulumi.mkdir(parents=True, exist_ok=True)
    built = tools.pulumi.parent == places.bin
    environment = {
        **os.environ,
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_BACKEND_URL": os.environ.get("PULUMI_BACKEND_URL", f"file://{places.pulumi}"),
        "KUBECONFIG": str(kubeconfig),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if "PULUMI_CONFIG_PASSPHRASE" not in environment and "PULUMI_CONFIG_PASSPHRASE_FILE" not in environment:
        # The local stack holds no secret worth a passphrase; a stack that does brings its own.
        environment["PULUMI_CONFIG_PASSPHRASE"] = ""
    path = [tools.bin]
    if built:
        # A Pulumi that was built here has no plugins of its own; a home of its own keeps it from an installed one's.
        environment["PULUMI_HOME"] = str(places.cache / "pulumi-home")
        environment["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
        path += [str(places.bin)]
        if (
            shutil.which("pulumi-language-python", path=os.pathsep.join([str(places.bin), os.environ.get("PATH", "")]))
            is None
        ):
            path += [str(_linked(places, "pulumi-language-python"))]
    if _official_kubernetes_plugin(places, tools, environment) is None:
        path += [str(_linked(places, "pulumi-resource-kubernetes"))]
        environment["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    environment["PATH"] = os.pathsep.join([*dict.fromkeys(path), environment["PATH"]])
    return Pulumi(cli=tools.pulumi, environment=environment)


def _linked(places: Places, name: str) -> Path:
    """A folder with a link to that one stand-in, so that only what is needed gets on PATH."""
    folder = places.cache / "stand-ins" / name
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / name
    if not link.is_symlink() or link.resolve() != (STAND_INS / name).resolve():
        aside = folder / f".{name}.partial"
        aside.unlink(missing_ok=True)
        aside.symlink_to(STAND_INS / name)
        aside.replace(link)
    return folder


def _official_kubernetes_plugin(places: Places, tools: Tools, environment: Mapping[str, str]) -> Path | None:
    """The official plugin, installed if it can be had."""
    home = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")
    kind, name, version = KUBERNETES_PLUGIN
    if found := shutil.which("pulumi-resource-kubernetes"):
        return Path(found)
    folder = home / "plugins" / f"{kind}-{name}-{version}"
    if folder.exists():
        return folder
    refused = places.cache / "official-kubernetes-plugin.refused"
    if refused.exists() and time.time() - refused.stat().st_mtime < ASK_AGAIN_S:
        return None
    try:
        run(tools.pulumi, "plugin", "install", *KUBERNETES_PLUGIN, environment=environment)
    except Fault as refusal:
        refused.write_text(str(refusal))
    else:
        return folder
    console.print("stand-in: pulumi-resource-kubernetes (the official plugin cannot be downloaded from here)")
    return None


def _kubernetes_id(resource: dict[str, Any]) -> str | None:
    """The id that a Kubernetes object has in Pulumi's state: `namespace/name`, or `name` where it has no namespace."""
    if not resource["type"].startswith("kubernetes:"):
        return None
    metadata = resource.get("inputs", {}).get("metadata") or {}
    if "name" not in metadata:
        return None
    return f"{metadata['namespace']}/{metadata['name']}" if "namespace" in metadata else str(metadata["name"])
