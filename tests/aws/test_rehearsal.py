"""The whole life of the AWS stacks that ship, on moto's server, in the engine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest
import yaml

from rehearsal import stack, toolchain
from rehearsal.aws import inventory, rehearse, running
from rehearsal.fault import Fault
from rehearsal.places import CHECKOUT, Places
from rehearsal.plugins.aws_guard import REAL, without_aws
from tests.figures import FIGURES

pytestmark = pytest.mark.engine


def make(name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`make rehearse-aws`, by what is behind it."""
    command = [str(CHECKOUT / ".venv/bin/python"), "-m", "rehearsal", "rehearse-aws", "--stack", name]
    own = {**without_aws(os.environ), "COLUMNS": "300", **environment}
    return subprocess.run(command, cwd=CHECKOUT, env=own, capture_output=True, text=True, check=False)


def servers() -> set[int]:
    """The processes below this one that are moto's server."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= {process.pid} if "rehearsal.aws.server" in process.cmdline() else set()
    return found


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
    assert (
        outcome.text
        == f"{outcome.made} AWS resources made, pool l40s changed as AWS demands, all removed: nothing is left"
    )
    assert servers() == before
    assert not [*Path(tempfile.gettempdir()).glob(f"{running.FOLDER}{os.getpid()}-*")]
    assert stack.file(name).read_text() == files
    FIGURES["AWS resources made and removed"] += outcome.removed


def test_a_pool_of_a_capacity_block_with_weights_on_gp3_is_changed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its template has the instance type, and its claims are protected."""
    document = yaml.safe_load(stack.file("dev").read_text())
    block = {"capacity": "CAPACITY_BLOCK", "reservation": "cr-0123456789abcdef0", "checkOffering": False}
    document["config"] |= {
        "inference:cluster": {
            "provider": "aws", "name": "blocks", "subnets": {"us-west-2a": "subnet-0a1b2c3d4e5f60001"}
        },
        "inference:storage": {"disk": {"kind": "gp3"}},
        "inference:gpuPools": {"h100": {"instanceType": "p5.48xlarge", "max": 2, "zones": ["us-west-2a"], **block}},
    }  # fmt: skip
    document["config"]["inference:models"]["chat"] |= {"pool": "h100", "weights": {"storage": "disk", "size": "20Gi"}}
    own = tmp_path / "Pulumi.blocks.yaml"
    own.write_text(yaml.safe_dump(document))
    for variable in [key for key in os.environ if key.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setattr(stack, "file", lambda _: own)
    monkeypatch.setattr(stack, "names", lambda: ["blocks"])
    places = Places.of_user()
    outcome = rehearse.rehearse("blocks", places, lambda: toolchain.ensure_cli(places))
    told = capsys.readouterr()
    assert outcome.differences == ()
    assert outcome.changed == "h100"
    assert "0-2 x p5.48xlarge CAPACITY_BLOCK" in told.out
    assert "pulumi state unprotect, claim chat-weights-disk-" in told.err


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", *REAL])
def test_a_rehearsal_refuses_to_start_where_credentials_might_be_real(variable: str) -> None:
    before = servers()
    done = make("dev", **{variable: "AKIAIOSFODNN7EXAMPLE"})
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {variable}: set, and might lead to a real account")
    assert line.endswith(f"run: env -u {variable} make rehearse-aws STACK=dev")
    assert servers() == before


def test_all_that_might_be_real_is_named_at_once() -> None:
    near = {"AWS_PROFILE": "work", "AWS_SESSION_TOKEN": "x", "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"}
    with pytest.raises(Fault, match=r"^AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_SESSION_TOKEN: set, ") as told:
        running.refuse_real_credentials(near, "prod")
    fix = "run: env -u AWS_ACCESS_KEY_ID -u AWS_PROFILE -u AWS_SESSION_TOKEN make rehearse-aws STACK=prod"
    assert str(told.value).endswith(fix)


@pytest.mark.parametrize(
    ("name", "wrong"), [("local", "local is no stack on AWS"), ("de", "there is no Pulumi.de.yaml")]
)
def test_a_stack_that_is_not_on_aws_is_refused(name: str, wrong: str) -> None:
    done = make(name)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: STACK: {wrong}; allowed: dev, ")
    assert line.endswith("; run: make rehearse-aws STACK=dev")
    assert "local" not in line.partition("allowed")[2]


WORK = """
import sys, time
from pathlib import Path
from rehearsal.aws import running
from rehearsal.fault import Fault
try:
    with running.ends_in_order(), running.own_folder(Path(sys.argv[1])) as folder, running.server(folder / "log"):
        print(folder, flush=True)
        time.sleep(60)
except Fault as fault:
    print(fault, flush=True)
"""


def working(root: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process in the middle of a rehearsal, and its folder."""
    command = [str(CHECKOUT / ".venv/bin/python"), "-c", WORK, str(root)]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_in_order_and_says_so(tmp_path: Path, number: int) -> None:
    before = servers()
    process, folder = working(tmp_path)
    assert folder.is_dir()
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert said == "interrupted: nothing is left running; run the same command again\n"
    assert not folder.exists()
    assert servers() == before


def test_the_folder_of_a_killed_process_goes_at_the_next_start(tmp_path: Path) -> None:
    process, folder = working(tmp_path)
    with running.own_folder(tmp_path):
        assert folder.is_dir(), "its process works yet"
    process.kill()
    process.communicate()
    with running.own_folder(tmp_path) as own:
        assert [*tmp_path.iterdir()] == [own]


def test_why_pulumi_failed_is_told_whole() -> None:
    told = (
        "Updating (dev):\n@ updating....\n +  aws:iam:Role nodes creating (0s) \n"
        "Diagnostics:\n  aws:iam:Role (nodes):\n    error: the group was created\n\n    error: still creating\n"
    )
    assert rehearse.reasons(told) == [
        "Updating (dev):",
        "  aws:iam:Role (nodes):", "    error: the group was created", "", "    error: still creating",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "what", "said"),
    [
        (1, "key", "1 key"), (2, "key", "2 keys"), (7, "add-on", "7 add-ons"), (4, "pod identity", "4 pod identities"),
        (2, "alias of a key", "2 aliases of keys"), (2, "address", "2 addresses"),
        (0, "StorageClass", "0 StorageClasses"),
    ],
)  # fmt: skip
def test_counts_have_their_plurals(number: int, what: str, said: str) -> None:
    assert inventory.counted(number, what) == said


def test_a_line_read_back_leaves_out_what_is_ours_and_cuts_long_lists() -> None:
    row = inventory.Row(what="node group", name="g", facts={"subnets": list("abcdef"), "labels": {}, "n": 1})
    assert row.text() == "subnets a b c d and 2 more, n 1"


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
