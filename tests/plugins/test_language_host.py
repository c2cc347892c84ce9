"""The Python language host: which interpreter, which arguments, and what the engine hears of the end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.proto import language_pb2 as pb

from rehearsal.plugins.language_host import EXEC, LanguageHost, arguments, interpreter


class Context:
    """A call that can be cancelled."""

    def __init__(self) -> None:
        self.callbacks: list[Any] = []

    def add_callback(self, callback: Any) -> None:
        self.callbacks.append(callback)


def info(root: Path, **options: str) -> pb.ProgramInfo:
    found = pb.ProgramInfo(root_directory=str(root), program_directory=str(root), entry_point=".")
    found.options.update(options)
    return found


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, **options: str) -> Any:
    """Run a program, with `script` (shell) in the place of the one that executes programs."""
    (tmp_path / EXEC).write_text(f"import subprocess, sys; sys.exit(subprocess.run({script!r}, shell=True).returncode)")
    (tmp_path / EXEC).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("PULUMI_PYTHON_CMD", sys.executable)
    request = pb.RunRequest(
        info=info(tmp_path, **options), config={"inference:x": "1"}, configSecretKeys=["inference:x"]
    )
    return LanguageHost("engine:1").Run(request, Context())


def test_the_virtual_environment_of_the_project_is_used_relative_to_its_root(tmp_path: Path) -> None:
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").touch()
    for options in ({"virtualenv": ".venv"}, {"toolchain": "uv"}):
        python, environment = interpreter(info(tmp_path, **options))
        assert python == str(tmp_path / ".venv/bin/python")
        assert environment["VIRTUAL_ENV"] == str(tmp_path / ".venv")
        assert environment["PATH"].startswith(f"{tmp_path}/.venv/bin:")


def test_a_missing_virtual_environment_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = run(tmp_path, monkeypatch, "true", virtualenv="venv")
    assert "there is no virtual environment" in answer.error
    assert "\n" not in answer.error


@pytest.mark.parametrize(
    ("status", "error", "bail"),
    [(0, "", False), (32, "", True), (1, "Program exited with non-zero exit code: 1", False)],
    ids=["success", "the user knows", "failure"],
)
def test_the_exit_status_becomes_the_engines_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, error: str, *, bail: bool
) -> None:
    answer = run(tmp_path, monkeypatch, f"exit {status}")
    assert (answer.error, answer.bail) == (error, bail)


def test_the_program_writes_to_the_hosts_stdout_and_stderr_and_finds_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, monkeypatch, 'echo "$PULUMI_CONFIG $PULUMI_CONFIG_SECRET_KEYS"; echo told >&2')
    assert capfd.readouterr() == ('{"inference:x": "1"} ["inference:x"]\n', "told\n")


def test_the_executor_is_told_all_that_the_engine_says(tmp_path: Path) -> None:
    request = pb.RunRequest(
        project="inference",
        stack="dev",
        monitor_address="m:1",
        dryRun=True,
        parallel=16,
        info=info(tmp_path),
        args=["x"],
    )
    words = arguments(request, "e:1")
    assert {"--monitor=m:1", "--engine=e:1", "--stack=dev", "--dry_run=true", "--parallel=16"} <= set(words)
    assert words[-2:] == [".", "x"]


def test_a_cancelled_call_ends_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / EXEC).write_text("import time; time.sleep(60)")
    (tmp_path / EXEC).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("PULUMI_PYTHON_CMD", sys.executable)

    class Impatient(Context):
        def add_callback(self, callback: Any) -> None:
            callback()

    answer = LanguageHost("engine:1").Run(pb.RunRequest(info=info(tmp_path)), Impatient())
    assert answer.error == "Program exited with non-zero exit code: -15"


def test_a_plugin_streams_its_stdout_and_ends_with_its_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_PYTHON_CMD", sys.executable)
    (tmp_path / "__main__.py").write_text("import os, sys; print(sys.argv[1], os.environ['WHO']); sys.exit(3)")
    request = pb.RunPluginRequest(info=info(tmp_path), pwd=str(tmp_path), args=["engine:1"], env=["WHO=pack"])
    said, ended = LanguageHost("engine:1").RunPlugin(request, Context())
    assert (said.stdout, ended.exitcode) == (b"engine:1 pack\n", 3)
