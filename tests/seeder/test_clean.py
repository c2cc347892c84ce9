"""Cleaning: what goes, what stays, and what the API server has to say about it."""

from __future__ import annotations

import errno
import json
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from weight_seeder import trash
from weight_seeder.cli import main
from weight_seeder.lock import Lease

from tests.seeder.certificates import certify

TOKEN = "a-token-of-a-pod"


@dataclass
class Api:
    """A server of pods behind TLS, two to a page; `pods` by name, with phase and folder."""

    pods: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    status: int = 200
    asked: list[str] = field(default_factory=list)
    before: Callable[[Api], None] = lambda _: None
    url: str = ""
    account: Path = Path()

    def page(self, query: dict[str, list[str]]) -> dict[str, Any]:
        first = int(query.get("continue", ["0"])[0])
        listed = list(self.pods.items())
        items = [
            {
                "metadata": {"name": name} | ({"annotations": {"inference/weights": folder}} if folder else {}),
                "status": {"phase": phase},
            }
            for name, (phase, folder) in listed[first : first + 2]
        ]
        rest = {"continue": str(first + 2)} if first + 2 < len(listed) else {}
        return {"kind": "PodList", "metadata": {"resourceVersion": "1"} | rest, "items": items}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    found = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = parse_qs(url.query)
            found.asked.append(f"{url.path}?labelSelector={query['labelSelector'][0]}")
            if "continue" not in query:
                found.before(found)
            allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
            self.send_response(found.status if allowed else 401)
            self.end_headers()
            self.wfile.write(json.dumps(found.page(query)).encode())

        def log_message(self, *_: Any) -> None:
            """The test asks `asked`."""

    found.account = tmp_path / "account"
    found.account.mkdir()
    (found.account / "token").write_text(f"{TOKEN}\n")
    certificate, key = certify(found.account)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    found.url = f"https://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def folder(number: int, slug: str = "owner--name") -> str:
    return f"{slug}/{number:012x}-01234567"


CURRENT = folder(0)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Six revisions, the higher the number the longer ago it was wanted, and things that belong to somebody else."""
    volume = tmp_path / "weights"
    for number in range(6):
        make(volume, folder(number), age=100 * number)
    for other in OTHERS:
        (volume / other).mkdir(parents=True)
        (volume / other / "file").write_text("mine")
    return volume


OTHERS = ("lost+found/a", "models/llama", "owner--name/v1", f"owner--name/{'0' * 40}", "deep/er/still-01234567")


def make(volume: Path, name: str, *, age: float) -> None:
    (volume / name).mkdir(parents=True)
    (volume / name / "model.safetensors").write_bytes(b"weights")
    marker = volume / name / ".seeded.json"
    marker.write_text("{}")
    os.utime(marker, (time.time() - age, time.time() - age))


def clean(api: Api, volume: Path, *, keep: int = 1, flags: tuple[str, ...] = ()) -> int:
    asked = ("--in-use=models/app=vllm,inference/model=m", f"--api-server={api.url}")
    account = f"--service-account={api.account}"
    return main(["clean", f"--volume={volume}", f"--folder={CURRENT}", f"--keep={keep}", *asked, account, *flags])


def left(volume: Path) -> set[int]:
    return {number for number in range(6) if (volume / folder(number) / "model.safetensors").exists()}


def intact(volume: Path) -> bool:
    return all((volume / other / "file").read_text() == "mine" for other in OTHERS)


@pytest.mark.parametrize(("keep", "stay"), [(0, {0}), (1, {0, 1}), (3, {0, 1, 2, 3}), (10, {0, 1, 2, 3, 4, 5})])
def test_the_current_one_and_those_wanted_last_stay(api: Api, volume: Path, keep: int, stay: set[int]) -> None:
    assert clean(api, volume, keep=keep) == 0

    assert left(volume) == stay
    assert intact(volume)
    assert set(api.asked) == {"/api/v1/namespaces/models/pods?labelSelector=app=vllm,inference/model=m"}
    assert [path.name for path in (volume / ".incoming").iterdir()] == [".clean.lock"]
    # It is called after the rollout.
    assert [path.parent.name for path in volume.rglob(".served")] == [CURRENT.split("/")[1]]


def test_what_a_pod_has_in_use_stays_unless_the_pod_is_over(api: Api, volume: Path) -> None:
    api.pods = {
        "old": ("Running", folder(5)),
        "new": ("Pending", folder(3)),
        "other": ("Running", None),
        "failed": ("Failed", folder(4)),
        "done": ("Succeeded", folder(2)),
    }
    assert clean(api, volume, keep=0) == 0
    assert left(volume) == {0, 3, 5}


def test_what_comes_into_use_while_it_is_removed_is_put_back(
    api: Api, volume: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def start_a_pod(_: Api) -> None:
        if len(api.asked) > 1:
            assert not (volume / folder(4)).exists()
            api.pods = {"rollback": ("Pending", folder(4))}

    api.before = start_a_pod
    assert clean(api, volume) == 0

    assert left(volume) == {0, 1, 4}
    assert f"{folder(4)} is wanted again: left in its place" in capsys.readouterr().out


@pytest.mark.parametrize("status", [401, 403, 500])
def test_an_api_server_that_does_not_answer_means_that_nothing_is_removed(
    api: Api, volume: Path, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    api.status = status

    assert clean(api, volume) == 1

    assert left(volume) == set(range(6))
    assert capsys.readouterr().err == (
        f"weight-seeder: error: the API server answered {status} to the question for pods of models: nothing is"
        " removed\n"
    )


def test_an_api_server_that_fails_the_second_time_gets_all_put_back(api: Api, volume: Path) -> None:
    def fail(_: Api) -> None:
        api.status = 200 if len(api.asked) == 1 else 503

    api.before = fail
    assert clean(api, volume) == 1
    assert left(volume) == set(range(6))
    assert (volume / folder(5) / ".seeded.json").exists()


def test_a_server_that_the_cluster_does_not_vouch_for_is_not_believed(
    api: Api, volume: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "strange").mkdir()
    certify(tmp_path / "strange")
    (tmp_path / "strange/token").write_text(TOKEN)
    api.account = tmp_path / "strange"

    assert clean(api, volume) == 1
    assert left(volume) == set(range(6))
    assert "the API server cannot be asked for pods" in capsys.readouterr().err
    assert not api.asked


def test_a_pod_without_a_service_account_removes_nothing(api: Api, volume: Path, tmp_path: Path) -> None:
    api.account = tmp_path / "none"
    assert clean(api, volume) == 1
    assert left(volume) == set(range(6))


def test_a_folder_that_is_being_seeded_or_repaired_stays(api: Api, volume: Path) -> None:
    (volume / ".incoming").mkdir()
    held = Lease(volume / ".incoming" / f"{folder(5).replace('/', '--')}.lock", seconds=30, on_loss=lambda _: None)
    held.acquire()
    try:
        assert clean(api, volume) == 0
        assert left(volume) == {0, 1, 5}
    finally:
        held.release()
    assert clean(api, volume) == 0
    assert left(volume) == {0, 1}


def test_one_without_a_marker_goes_before_those_that_are_whole(api: Api, volume: Path) -> None:
    (volume / folder(1) / ".seeded.json").unlink()
    assert clean(api, volume) == 0
    assert left(volume) == {0, 2}


def test_what_an_interrupted_cleaning_has_moved_is_judged_anew(api: Api, volume: Path) -> None:
    (volume / ".incoming").mkdir()
    for number in (3, 4):
        (volume / folder(number)).rename(volume / ".incoming" / f".trash-{folder(number).replace('/', '--')}")
    api.pods = {"pod": ("Running", folder(3))}

    assert clean(api, volume) == 0

    assert left(volume) == {0, 1, 3}
    assert not list((volume / ".incoming").glob(".trash-*"))


def test_the_last_revision_of_a_model_takes_its_folder_with_it(api: Api, volume: Path) -> None:
    make(volume, folder(9, "other--model"), age=9999)
    assert clean(api, volume) == 0
    assert not (volume / "other--model").exists()


def test_abandoned_work_goes_after_a_day_and_only_where_nobody_holds_it(api: Api, volume: Path) -> None:
    day = 24 * 3600
    works = {name: volume / ".incoming" / name for name in ("old", "fresh", "held", CURRENT.replace("/", "--"))}
    for name, work in works.items():
        (work / "sub").mkdir(parents=True)
        (work / "sub/weights.part").write_bytes(b"x")
        age = 60 if name == "fresh" else day + 60
        for path in (work / "sub/weights.part", work / "sub", work):
            os.utime(path, (time.time() - age, time.time() - age))
    held = Lease(works["held"].with_name("held.lock"), seconds=30, on_loss=lambda _: None)
    held.acquire()

    assert clean(api, volume, keep=10) == 0

    held.release()
    assert {name for name, work in works.items() if work.exists()} == set(works) - {"old"}
    assert not works["old"].with_name("old.lock").exists()


@pytest.mark.parametrize("in_use", ["models", "/app=vllm", "models/"])
def test_pods_are_named_by_namespace_and_selector(
    api: Api, volume: Path, capsys: pytest.CaptureFixture[str], in_use: str
) -> None:
    assert clean(api, volume, flags=(f"--in-use={in_use}",)) == 2
    assert "is not of the form NAMESPACE/LABEL-SELECTOR" in capsys.readouterr().err


def test_a_seeder_of_a_node_makes_room_first_and_seeds_where_it_cannot(
    api: Api, volume: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (volume / CURRENT / ".seeded.json").write_text(
        json.dumps(
            {
                "format": 1,
                "source": f"hf://a/b@{'0' * 40}",
                "selection": {"include": [], "exclude": []},
                "files": [{"path": "model.safetensors", "size": 7, "sha256": ""}],
            }
        )
    )
    flags = ["seed", f"--source=hf://a/b@{'0' * 40}", f"--volume={volume}", f"--folder={CURRENT}", "--keep=1"]
    flags += ["--in-use=models/app=vllm", f"--api-server={api.url}", f"--service-account={api.account}"]

    api.status = 500
    assert main(flags) == 0
    assert left(volume) == set(range(6))
    assert "cleaning is put off: the API server answered 500" in capsys.readouterr().out
    (volume / CURRENT / ".served").unlink()

    def is_not_served_yet(_: Api) -> None:
        assert not (volume / CURRENT / ".served").exists()

    api.status, api.before = 200, is_not_served_yet
    assert main(flags) == 0
    assert left(volume) == {0, 1}
    # The replica that has waited for it starts now.
    assert (volume / CURRENT / ".served").exists()

    api.before = lambda _: None
    with monkeypatch.context() as full:
        full.setattr(trash, "remove", refuse)
        make(volume, folder(2), age=999)
        assert main(flags) == 0
    assert "cleaning is put off: [Errno 28] full" in capsys.readouterr().out


def refuse(*_: object) -> None:
    raise OSError(errno.ENOSPC, "full")
