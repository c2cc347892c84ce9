"""The Python language host: runs a program or a policy pack with the interpreter that Pulumi.yaml's `runtime:` names.

As Pulumi's own host does: the same script runs the program, and its exit status 32 says that the user knows already.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import language_pb2 as pb
from pulumi.runtime.proto import language_pb2_grpc, plugin_pb2

EXEC = "pulumi-language-python-exec"
TOLD_THE_USER = 32


def interpreter(info: pb.ProgramInfo) -> tuple[str, dict[str, str]]:
    """The Python of the program and the environment to run it in. Raises FileNotFoundError if its venv is not there."""
    options = MessageToDict(info.options)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    virtualenv = options.get("virtualenv") or (".venv" if options.get("toolchain") == "uv" else "")
    if not virtualenv:
        return os.environ.get("PULUMI_PYTHON_CMD", "python3"), environment
    home = Path(info.root_directory, virtualenv)
    if not (home / "bin/python").exists():
        raise FileNotFoundError(
            f"The 'virtualenv' option in Pulumi.yaml is set to {virtualenv!r}, but there is no virtual environment in "
            f"{home}: run `pulumi install` to create it."
        )
    path = f"{home / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
    return str(home / "bin/python"), environment | {"VIRTUAL_ENV": str(home), "PATH": path}


def arguments(request: pb.RunRequest, engine: str) -> list[str]:
    """What the script that runs the program is told."""
    options = {
        "monitor": request.monitor_address,
        "engine": engine,
        "project": request.project,
        "stack": request.stack,
        "organization": request.organization,
        "root_directory": request.info.root_directory,
        "pwd": request.pwd,
        "dry_run": str(request.dryRun).lower(),
        "parallel": str(request.parallel),
    }
    given = [f"--{name}={value}" for name, value in options.items() if value]
    return [*given, request.info.entry_point or request.program or ".", *request.args]


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Whatever it started ends when the engine cancels the call or goes away."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.running: list[subprocess.Popen[bytes]] = []

    def stop(self) -> None:
        """End what still runs."""
        for process in self.running:
            process.terminate()

    def _start(self, context: Any, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
        self.running.append(process)
        context.add_callback(process.terminate)
        return process

    def GetPluginInfo(self, request: Empty, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="3.259.0+stand-in")

    def GetRequiredPackages(self, request: pb.GetRequiredPackagesRequest, context: Any) -> Any:
        # None, on purpose: a plugin is looked for when the program uses it, and there is nowhere to fetch one from.
        return pb.GetRequiredPackagesResponse()

    def About(self, request: pb.AboutRequest, context: Any) -> Any:
        python, environment = interpreter(request.info)
        version = subprocess.run([python, "--version"], env=environment, capture_output=True, text=True, check=True)
        return pb.AboutResponse(executable=python, version=version.stdout.removeprefix("Python ").strip())

    def InstallDependencies(self, request: pb.InstallDependenciesRequest, context: Any) -> Iterator[Any]:
        home = Path(request.directory, MessageToDict(request.info.options).get("virtualenv") or ".venv")
        pip = [str(home / "bin/python"), "-m", "pip", "install", "-r", "requirements.txt"]
        locked = Path(request.directory, "uv.lock").exists()
        for command in [["uv", "sync"]] if locked else [["python3", "-m", "venv", str(home)], pip]:
            where = {"cwd": request.directory, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            process = self._start(context, command, **where)
            yield from (pb.InstallDependenciesResponse(stdout=line) for line in process.stdout or ())
            if process.wait():
                context.abort(grpc.StatusCode.UNKNOWN, f"`{' '.join(command)}` failed in {request.directory}")

    def Run(self, request: pb.RunRequest, context: Any) -> Any:
        script = shutil.which(EXEC)
        if not script:
            return pb.RunResponse(error=f"{EXEC} is not on PATH: `make toolchain` puts it beside the Pulumi CLI")
        try:
            python, environment = interpreter(request.info)
        except FileNotFoundError as fault:
            return pb.RunResponse(error=str(fault))
        environment["PULUMI_CONFIG"] = json.dumps(dict(request.config))
        environment["PULUMI_CONFIG_SECRET_KEYS"] = json.dumps(list(request.configSecretKeys))
        command = [python, "-u", script, *arguments(request, self.engine)]
        # stdout and stderr are inherited: the engine reads them from this process, line by line.
        status = self._start(context, command, cwd=request.info.program_directory, env=environment).wait()
        told = status == TOLD_THE_USER
        error = f"Program exited with non-zero exit code: {status}" if status and not told else ""
        return pb.RunResponse(error=error, bail=told)

    def RunPlugin(self, request: pb.RunPluginRequest, context: Any) -> Iterator[Any]:
        python, environment = interpreter(request.info)
        environment |= dict(pair.split("=", 1) for pair in request.env)
        words = [request.info.program_directory, *request.args]
        if request.kind == "analyzer":
            words = ["-m", "pulumi.policy", *request.args, request.info.program_directory]
        process = self._start(context, [python, "-u", *words], cwd=request.pwd, env=environment, stdout=subprocess.PIPE)
        yield from (pb.RunPluginResponse(stdout=line) for line in process.stdout or ())
        yield pb.RunPluginResponse(exitcode=process.wait())

    def Cancel(self, request: Empty, context: Any) -> Any:
        self.stop()
        return Empty()


def register(server: grpc.Server, engine: str) -> Callable[[], None]:
    """Serve the host; the result ends what it still runs."""
    host = LanguageHost(engine)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    return host.stop
