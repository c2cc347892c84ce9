"""The whole life of the AWS stacks that ship, on moto's server, in the engine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from rehearsal import stack, toolchain
from rehearsal.aws import rehearse, running
from rehearsal.fault import Fault
from rehearsal.places import CHECKOUT, Places
from rehearsal.plugins.aws_guard import REAL, without_aws
from tests.figures import FIGURES


def make(name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`make rehearse-aws`, by what is behind it."""
    command = [str(CHECKOUT / ".venv/bin/python"), "-m", "rehearsal", "rehearse-aws", "--stack", name]
    own = {**without_aws(os.environ), "COLUMNS": "300", **environment}
    return subprocess.run(command, cwd=CHECKOUT, env=own, capture_output=True, text=True, check=False)


def servers() -> set[int]:
    """The processes that are moto's server."""
    listed = psutil.process_iter(["cmdline"])
    return {process.pid for process in listed if "rehearsal.aws.server" in (process.info["cmdline"] or [])}


@pytest.mark.engine
@pytest.mark.parametrize("name", ["dev", "prod"])
def test_a_stack_is_made_changed_and_removed_and_leaves_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in [key for key in os.environ if key.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    before, files = servers(), stack.file(name).read_text()
    places = Places.of_user()
    outcome = rehearse.rehearse(name, places, lambda: toolchain.ensure_cli(places))
    shown = capsys.readouterr().out
    assert outcome.differences == ()
    assert outcome.removed == outcome.made > 0
    assert outcome.objects > 0
    assert "taints nvidia.com/gpu=present:NO_SCHEDULE" in shown
    assert "node groups: create, then delete; the rest: " in shown
    assert servers() == before
    assert stack.file(name).read_text() == files
    FIGURES["AWS resources made and removed"] += outcome.removed


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", *REAL])
def test_a_rehearsal_refuses_to_start_where_credentials_might_be_real(variable: str) -> None:
    before = servers()
    done = make("dev", **{variable: "AKIAIOSFODNN7EXAMPLE"})
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {variable}: set, and might lead to a real account")
    assert line.endswith(f"run: env -u {variable} make rehearse-aws")
    assert servers() == before


def test_a_stack_that_is_not_on_aws_is_refused() -> None:
    done = make("local")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: STACK: local is no stack on AWS; allowed: ")


def test_only_made_up_keys_and_the_address_get_through(tmp_path: Path) -> None:
    mine: Mapping[str, str] = {"PATH": "/bin", "AWS_PROFILE": "work", "AWS_REGION": "eu-west-1", "NO_PROXY": "a"}
    own = running.environment("http://127.0.0.1:1", mine)
    assert {name: value for name, value in own.items() if name.startswith("AWS_")} == {
        "AWS_ACCESS_KEY_ID": "rehearsal",
        "AWS_SECRET_ACCESS_KEY": "rehearsal",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }
    assert own["NO_PROXY"] == "a,127.0.0.1"


def test_a_server_that_does_not_start_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(Fault, match=r"^moto's server did not start: "), running.server(tmp_path / "log"):
        pass


def test_what_is_left_running_when_this_process_is_killed_ends_by_itself(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom rehearsal.aws import running\n"
        f"with running.server(Path({str(tmp_path / 'log')!r})) as at:\n    print(at, flush=True)\n    time.sleep(60)\n"
    )
    before = servers()
    killed = subprocess.Popen([CHECKOUT / ".venv/bin/python", "-c", program], cwd=CHECKOUT, stdout=subprocess.PIPE)
    assert killed.stdout
    assert killed.stdout.readline().startswith(b"http://127.0.0.1:")
    (server,) = servers() - before
    addresses = {each.laddr.ip for each in psutil.Process(server).net_connections() if each.status == "LISTEN"}
    assert addresses == {"127.0.0.1"}
    killed.kill()
    killed.wait()
    killed.stdout.close()
    psutil.wait_procs([process for process in psutil.process_iter() if process.pid == server], timeout=5)
    assert not psutil.pid_exists(server)


def test_the_engines_log_is_read_in_its_order() -> None:
    urn = "urn:pulumi:dev::inference::aws:eks/nodeGroup:NodeGroup::l40s"

    def line(operation: str, kind: str = rehearse.NODE_GROUP) -> str:
        return f'{{"resOutputsEvent": {{"metadata": {{"op": "{operation}", "type": "{kind}", "urn": "{urn}"}}}}}}\n'

    log = (
        '{"preludeEvent": {}}\n' + line("create-replacement") + line("replace") + line("same") + line("delete-replaced")
    )
    told = rehearse.events(log + line("create", "inference:index:GpuNodePool"))
    assert [rehearse.plain(event.operation) for event in told] == ["create", "delete"]
    assert {event.name for event in told} == {"l40s"}
