"""The Pulumi CLI as the make targets run it: whose backend, which plugins, and how it goes on after an interruption."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from rehearsal import policy
from rehearsal.command import run
from rehearsal.fault import Fault
from rehearsal.kubectl import without_proxy
from rehearsal.places import CHECKOUT, Places
from rehearsal.plugin_path import joined, plugin_path, require_aws
from rehearsal.plugins.aws_guard import without_aws
from rehearsal.progress import console, notes
from rehearsal.toolchain import Tools

PROJECT_FILE = "Pulumi.yaml"
PASSPHRASES = {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"}


@dataclass(frozen=True, kw_only=True)
class Pulumi:
    """Pulumi on one backend. `environment` is all that its commands need.

    `keeps_stacks` says whether the backend is the user's, whose stack files Pulumi may write to.
    """

    cli: Path
    environment: Mapping[str, str]
    keeps_stacks: bool

    def run(self, *arguments: str) -> int:
        """Run a command with the terminal's own input and output; give its exit code.

        Ctrl-C reaches Pulumi too, which ends in order and saves its state: so it is waited for, however often.
        """
        process = subprocess.Popen([self.cli, *arguments], cwd=CHECKOUT, env=self.environment)
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                notes.print("interrupted: waiting for Pulumi to save its state (Ctrl-C again: it ends at once)")

    def read(self, *arguments: str, folder: Path = CHECKOUT) -> str:
        """Run a command and give its output; Fault with its last words if it fails."""
        return run(self.cli, *arguments, cwd=folder, environment=self.environment)

    def knows(self, stack: str) -> bool:
        """Whether the backend has the stack."""
        listed = json.loads(self.read("stack", "ls", "--json"))
        return stack in {entry["name"].rsplit("/", 1)[-1] for entry in listed}

    def select(self, stack: str, config: Path | None = None) -> None:
        """Have the stack, and free it from an operation that was killed.

        `config` is a copy of its file, by the same name, that Pulumi may write to and that later commands are given.
        """
        if not self.knows(stack):
            self._initialise(stack, config)
        elif self._abandoned(stack):
            notes.print(f"an earlier run on stack {stack} was killed: unlocking it")
            self.read("cancel", "--yes", "--stack", stack)

    def up(self, stack: str, config: Path | None = None) -> int:
        """Bring the stack up, by its own configuration file or by `config`; give Pulumi's exit code.

        A run that was killed may have made objects that the state does not have. On the embedded cluster they are taken
        over first; elsewhere they might be somebody else's. The switch for it becomes an input of the provider, so that
        a plain run has to follow.
        https://www.pulumi.com/registry/packages/kubernetes/installation-configuration/
        """
        given = ("--config-file", str(config)) if config else ()
        command = ("up", "--stack", stack, *given, "--yes", "--skip-preview", *display())
        state = json.loads(self.read("stack", "export", "--stack", stack))
        pending = (state.get("deployment") or {}).get("pending_operations") or []
        if pending and self.keeps_stacks:
            notes.print(
                f"an earlier run left {len(pending)} operation(s) of stack {stack} unfinished: where an object "
                "`already exists`, put it into the state with pulumi import, or delete it; then run again"
            )
        elif pending:
            notes.print(f"an earlier run left {len(pending)} operation(s) of stack {stack} unfinished: taking over")
            # Pulumi keeps them in the state until a refresh is told to forget them.
            self.read("refresh", "--stack", stack, "--yes", "--skip-preview", "--clear-pending-creates")
            taking_over = {**self.environment, "PULUMI_K8S_UPSERT_EXISTING_OBJECTS": "true"}
            if code := replace(self, environment=taking_over).run(*command):
                return code
        return self.run(*command)

    def destroy(self, stack: str) -> int:
        """Remove what the stack made; give Pulumi's exit code."""
        return self.run("destroy", "--stack", stack, "--yes", "--skip-preview", *display())

    def preview(self, stack: str, config: Path) -> int:
        """Preview the stack with the configuration file `config`, under its policies; give Pulumi's exit code."""
        options = ("--config-file", str(config), *policy.options(stack), *display())
        return self.run("preview", "--stack", stack, "--diff", *options)

    def _initialise(self, stack: str, config: Path | None) -> None:
        if self.keeps_stacks:
            self.read("stack", "init", "--stack", stack, "--no-select")
            return
        # Pulumi writes the salt of its passphrase into the stack's file, a shipped one here, unless it has one.
        # State and file get the same: of two salts, every command derives two keys, a tenth of a second each.
        shipped = CHECKOUT / f"Pulumi.{stack}.yaml"
        with tempfile.TemporaryDirectory() as folder:
            home = config.parent if config else Path(folder)
            if not config and shipped.exists():
                shutil.copy(shipped, home)
            shutil.copy(CHECKOUT / PROJECT_FILE, home)
            self.read("stack", "init", "--stack", stack, "--no-select", folder=home)

    def _abandoned(self, stack: str) -> bool:
        """Whether the stack is locked by a process of this host that is gone; only a file backend's lock can tell."""
        url = self.environment.get("PULUMI_BACKEND_URL", "")
        if not url.startswith("file://"):
            return False
        folder = Path(url.removeprefix("file://")).expanduser()
        locks = [json.loads(path.read_text()) for path in folder.glob(f".pulumi/locks/**/{stack}/*.json")]
        return any(lock["hostname"] == socket.gethostname() and _gone(lock) for lock in locks)


def _gone(lock: Mapping[str, Any]) -> bool:
    """Whether the process that took the lock has ended; one with its pid that started later is another."""
    taken = datetime.fromisoformat(lock["timestamp"]).timestamp()
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(int(lock["pid"])).create_time() > taken
    return True


def embedded(places: Places, tools: Tools, network: str) -> Pulumi:
    """Pulumi for stacks on the embedded cluster at `network`: their state goes with it, and holds no secret."""
    engine = _on_files(places.pulumi, places, tools, kubeconfig=str(places.kubeconfig))
    return replace(engine, environment={**engine.environment, **without_proxy(network)})


def throwaway(folder: Path, places: Places, tools: Tools, kubeconfig: str, stand_ins: Collection[str] = ()) -> Pulumi:
    """Pulumi for what touches nothing: its backend is `folder`.

    With the stand-in for `aws`, nothing of AWS in the caller's environment gets to it: no account is asked.
    """
    engine = _on_files(folder, places, tools, kubeconfig=kubeconfig, stand_ins=stand_ins)
    return replace(engine, environment=without_aws(engine.environment)) if "aws" in stand_ins else engine


def users_own(places: Places, tools: Tools, kubeconfig: str, *, aws: bool = False) -> Pulumi:
    """Pulumi for the user's own cluster: on the backend that they are logged in to, else on one of files.

    `aws` says whether the stack is one on AWS, for which there must be the official plugin.
    """
    environment = _environment(places, kubeconfig)
    credentials = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi") / "credentials.json"
    if "PULUMI_BACKEND_URL" not in environment and not credentials.exists():
        places.stacks.mkdir(parents=True, exist_ok=True)
        environment["PULUMI_BACKEND_URL"] = f"file://{places.stacks}"
        notes.print(f"no pulumi login: the state of stacks is kept in {places.stacks}")
    if environment.get("PULUMI_BACKEND_URL", "").startswith("file://") and not PASSPHRASES & environment.keys():
        raise Fault(
            "PULUMI_CONFIG_PASSPHRASE: not set; a backend of files encrypts secrets with it; choose one, keep it, and "
            "run: export PULUMI_CONFIG_PASSPHRASE=<passphrase>"
        )
    if aws:
        require_aws(places, tools, environment)
    return _with_plugins(places, tools, environment, keeps_stacks=True)


def display() -> tuple[str, ...]:
    """Options for Pulumi's display: live on a terminal, else only what happened."""
    return () if console.is_terminal else ("--non-interactive", "--suppress-progress")


def _on_files(
    backend: Path, places: Places, tools: Tools, *, kubeconfig: str, stand_ins: Collection[str] = ()
) -> Pulumi:
    backend.mkdir(parents=True, exist_ok=True)
    environment = _environment(places, kubeconfig) | {
        "PULUMI_BACKEND_URL": f"file://{backend}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        # A home of its own, so that nothing here changes what the user has installed or is logged in to.
        "PULUMI_HOME": str(places.cache / "pulumi-home"),
    }
    return _with_plugins(places, tools, environment, keeps_stacks=False, stand_ins=stand_ins)


def _environment(places: Places, kubeconfig: str) -> dict[str, str]:
    return {
        **os.environ,
        "KUBECONFIG": kubeconfig,
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        # Compiled once, outside the checkout: a preview that parses pulumi_kubernetes again takes half as long again.
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(places.bytecode),
    }


def _with_plugins(
    places: Places,
    tools: Tools,
    environment: dict[str, str],
    *,
    keeps_stacks: bool,
    stand_ins: Collection[str] = (),
) -> Pulumi:
    folders = plugin_path(places, tools, environment, stand_ins)
    if folders:
        # What cannot be had would be asked for again and again.
        environment["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    environment["PATH"] = joined([*tools.folders, *folders], environment["PATH"])
    return Pulumi(cli=tools.pulumi, environment=environment, keeps_stacks=keeps_stacks)
