"""The Python language host: runs a program or a policy pack with the interpreter that Pulumi.yaml's `runtime:` names.

As Pulumi's own host does: the same script runs the program, and its exit status 32 says that the user knows already.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import language_pb2 as pb
from pulumi.runtime.proto import language_pb2_grpc, plugin_pb2

from rehearsal.plugins.properties import load

EXEC = "pulumi-language-python-exec"
TOLD_THE_USER = 32


def interpreter(info: pb.ProgramInfo) -> tuple[str, dict[str, str]]:
    """The Python of the program and the environment to run it in."""
    options = load(info.options)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    virtualenv = options.get("virtualenv") or (".venv" if options.get("toolchain") == "uv" else "")
    if not virtualenv:
        return os.environ.get("PULUMI_PYTHON_CMD", "python3"), environment
    home = Path(info.root_directory, virtualenv)
    path = f"{home / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
    return str(home / "bin/python"), environment | {"VIRTUAL_ENV": str(home), "PATH": path}


def arguments(request: pb.RunRequest, engine: str) -> list[str]:
    """What the script that runs the program is told."""
    names = ("project", "stack", "organization", "pwd", "parallel")
    options = {name: getattr(request, name) for name in names} | {"monitor": request.monitor_address, "engine": engine}
    options |= {"dry_run": str(request.dryRun).lower(), "root_directory": request.info.root_directory}
    given = [f"--{name}={value}" for name, value in options.items() if value]
    return [*given, request.info.entry_point or request.program or ".", *request.args]


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Whatever it started ends when the engine cancels the call or goes away."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.running: list[subprocess.Popen[bytes]] = []

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
        return pb.AboutResponse(executable=interpreter(request.info)[0])

    def Run(self, request: pb.RunRequest, context: Any) -> Any:
        python, environment = interpreter(request.info)
        environment["PULUMI_CONFIG"] = json.dumps(dict(request.config))
        environment["PULUMI_CONFIG_SECRET_KEYS"] = json.dumps(list(request.configSecretKeys))
        command = [python, "-u", shutil.which(EXEC) or EXEC, *arguments(request, self.engine)]
        # stdout and stderr are inherited: the engine reads them from this process, line by line.
        try:
            status = self._start(context, command, cwd=request.info.program_directory, env=environment).wait()
        except FileNotFoundError as fault:
            return pb.RunResponse(error=f"there is no virtual environment as Pulumi.yaml names it: {fault.filename}")
        error = f"Program exited with non-zero exit code: {status}" if status not in (0, TOLD_THE_USER) else ""
        return pb.RunResponse(error=error, bail=status == TOLD_THE_USER)

    def RunPlugin(self, request: pb.RunPluginRequest, context: Any) -> Iterator[Any]:
        python, environment = interpreter(request.info)
        environment |= dict(pair.split("=", 1) for pair in request.env)
        # Of the plugins that are folders, a rehearsal has policy packs only.
        words = ["-m", "pulumi.policy", *request.args, request.info.program_directory]
        options = {"cwd": request.pwd, "env": environment, "stdout": subprocess.PIPE}
        with self._start(context, [python, "-u", *words], **options) as process:
            yield from (pb.RunPluginResponse(stdout=line) for line in process.stdout or ())
        yield pb.RunPluginResponse(exitcode=process.wait())

    def Cancel(self, request: Empty, context: Any) -> Any:
        for process in self.running:
            process.terminate()
        return Empty()


def register(server: grpc.Server, engine: str) -> None:
    """Serve the host."""
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(engine), server)
