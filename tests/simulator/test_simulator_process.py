"""The simulator as a process, where it does what 0.33 and no other version, or no real engine here, would do."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import httpx
import openai
import pytest

from rehearsal.simulator import __main__, answer, environment, flags, weights
from tests.simulator import engines

PROMPT = "Count the tokens of this answer."


def test_answers_can_be_checked_token_by_token_by_those_who_know_the_prompt(model_folder: Path, tmp_path: Path) -> None:
    with engines.running(model_folder, tmp_path / "log") as engine:
        chunks = [chunk for chunk in engine.open_stream(PROMPT, tokens=70) if chunk.choices]

    tokens = [chunk.choices[0].delta.content for chunk in chunks[1:]]
    assert tokens == list(islice(answer.tokens(PROMPT), 70))


def test_a_hung_engine_is_healthy_and_makes_no_token_until_it_goes_on(model_folder: Path, tmp_path: Path) -> None:
    with engines.running(model_folder, tmp_path / "log") as engine, ThreadPoolExecutor(1) as clients:
        engine.process.send_signal(signal.SIGUSR1)
        reply = clients.submit(engine.stream, PROMPT, tokens=3)
        engine.wait_for("vllm:num_requests_running", 1)
        made = engine.metric("vllm:generation_tokens_total")
        time.sleep(0.3)

        assert engines.healthy(engine)
        assert engine.metric("vllm:generation_tokens_total") == made == 0
        engine.process.send_signal(signal.SIGUSR1)
        assert (reply.result().finish_reason, reply.result().tokens) == ("length", 3)


def test_an_engine_that_is_to_hang_from_the_start_makes_no_token(model_folder: Path, tmp_path: Path) -> None:
    with engines.running(model_folder, tmp_path / "log", SIMULATOR_HUNG="1") as engine:
        with pytest.raises(openai.APITimeoutError):
            engine.client().with_options(timeout=0.5).completions.create(model=engines.MODEL, prompt=PROMPT)

        assert engines.healthy(engine)


def test_a_stream_says_which_host_it_comes_from(model_folder: Path, tmp_path: Path) -> None:
    with engines.running(model_folder, tmp_path / "log") as engine:
        body = {"model": engines.MODEL, "prompt": PROMPT, "max_tokens": 1, "stream": True}
        with httpx.stream("POST", f"{engine.url}/v1/completions", json=body) as reply:
            assert reply.headers["x-simulator-host"] == socket.gethostname()


def test_streams_that_outlast_the_shutdown_timeout_are_aborted(model_folder: Path, tmp_path: Path) -> None:
    with (
        engines.running(model_folder, tmp_path / "log", "--shutdown-timeout=1") as engine,
        ThreadPoolExecutor(1) as clients,
    ):
        reply = clients.submit(engine.stream, PROMPT, tokens=3000)
        engine.wait_for("vllm:num_requests_running", 1)

        assert engine.terminate() == 0
        assert reply.result().finish_reason == "abort"


def test_a_second_signal_ends_the_process_at_once(model_folder: Path, tmp_path: Path) -> None:
    with (
        engines.running(model_folder, tmp_path / "log", "--shutdown-timeout=60") as engine,
        engine.open_stream(PROMPT, tokens=3000) as stream,
    ):
        next(iter(stream))
        engine.process.terminate()
        while "draining for up to 60 s" not in engine.log.read_text():
            assert engine.process.poll() is None
        engine.process.send_signal(signal.SIGINT)

        assert engine.process.wait(timeout=20) == 128 + signal.SIGINT


def test_a_signal_while_loading_ends_the_process(model_folder: Path, tmp_path: Path) -> None:
    engine = engines.spawn(model_folder, tmp_path / "log", port=engines.free_port(), SIMULATOR_STARTUP_SECONDS="600")
    while "KV cache size" not in engine.log.read_text():
        assert engine.process.poll() is None

    assert engine.terminate() == 128 + signal.SIGTERM


def test_a_full_kv_cache_shows_in_the_metrics(model_folder: Path, tmp_path: Path) -> None:
    with (
        engines.running(
            model_folder, tmp_path / "log", "--max-model-len=512", SIMULATOR_KV_CACHE_TOKENS="512"
        ) as engine,
        ThreadPoolExecutor(4) as clients,
    ):
        replies = [clients.submit(engine.stream, PROMPT, tokens=200) for _ in range(4)]
        assert {reply.result().tokens for reply in replies} == {200}

        assert engine.metric("vllm:num_preemptions_total") > 0


@pytest.mark.parametrize(
    ("flag", "variables", "message"),
    [
        ("--tensor-parallel-size=2", {"NVIDIA_VISIBLE_DEVICES": "GPU-1"}, "World size (2) is larger than the number"),
        ("--pipeline-parallel-size=2", {"NVIDIA_VISIBLE_DEVICES": "GPU-1"}, "World size (2) is larger than the number"),
        ("-tp=3", {"NVIDIA_VISIBLE_DEVICES": "GPU-1,GPU-2,GPU-3"}, "must be divisible by tensor"),
        ("--max-model-len=8192", {"NVIDIA_VISIBLE_DEVICES": "GPU-1"}, "is greater than the derived max_model_len"),
        ("--max-model-len=2048", {"SIMULATOR_KV_CACHE_TOKENS": "1024"}, "To serve at least one request"),
        ("--num-gpu-blocks-override=64", {}, "there is memory for 1024"),
        ("--kv-cache-memory-bytes=1M", {}, "there is memory for 1024"),
        ("--max-num-seqs=8", {"SIMULATOR_GPU_MEMORY_GIB": "0.01"}, "No available memory for the cache blocks"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_port_opens(
    model_folder: Path, flag: str, variables: dict[str, str], message: str
) -> None:
    without_gpu = "0" if "NVIDIA_VISIBLE_DEVICES" in variables else "1"
    constants = environment.read(variables | {"SIMULATOR_WITHOUT_GPU": without_gpu, "SIMULATOR_STARTUP_SECONDS": "0"})

    with pytest.raises(weights.LoadError, match=re.escape(message)):
        __main__.load(flags.parse(["serve", str(model_folder), flag]), constants)


def test_the_context_that_is_left_to_the_engine_is_what_the_memory_holds(model_folder: Path) -> None:
    constants = environment.read(
        {"SIMULATOR_WITHOUT_GPU": "1", "SIMULATOR_STARTUP_SECONDS": "0", "SIMULATOR_KV_CACHE_TOKENS": "1024"}
    )

    model, tokens = __main__.load(flags.parse(["serve", str(model_folder), "--max-model-len=auto"]), constants)

    assert (model.max_model_len, tokens) == (1024, 1024)


def test_a_refusal_is_the_last_line_of_the_log_without_a_traceback(model_folder: Path, tmp_path: Path) -> None:
    engine = engines.spawn(
        model_folder,
        tmp_path / "log",
        port=engines.free_port(),
        NVIDIA_VISIBLE_DEVICES="void",
        SIMULATOR_WITHOUT_GPU="0",
    )

    assert engine.process.wait(timeout=20) == 1
    assert "No GPU: NVIDIA_VISIBLE_DEVICES lists none" in engine.log.read_text().splitlines()[-1]
    assert "Traceback" not in engine.log.read_text()


def test_a_port_in_use_ends_the_process_before_the_model_is_loaded(model_folder: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        engine = engines.spawn(model_folder, tmp_path / "log", port=taken.getsockname()[1])
        assert engine.process.wait(timeout=20) == 1

    assert "Address already in use" in engine.log.read_text().splitlines()[-1]
    assert "Loading" not in engine.log.read_text()


def test_the_package_works_under_another_name_and_without_the_rest_of_the_rehearsal(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(Path("rehearsal/simulator").resolve())
    command = [sys.executable, "-P", "-m", "elsewhere", "--version"]

    version = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, check=True)

    assert version.stdout == b"0.33.0\n"
