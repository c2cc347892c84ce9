"""One streamed chat completion through a model's Service, with the official client."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from rehearsal.fault import Fault
from rehearsal.kubectl import Kubectl
from rehearsal.progress import console

PROMPT = "In two sentences: what is a surge-only rollout, and why does it cut no stream?"
MAX_TOKENS = 96
PATIENCE_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back: its text, why it ended, tokens as the engine counted them, and two times in seconds."""

    text: str
    finish_reason: str
    tokens: int
    first_token_s: float
    total_s: float


def ask(base_url: str, model: str, prompt: str = PROMPT, *, key: str = "none", host: str | None = None) -> Answer:
    """Stream one answer and show it as it comes. Fault unless the stream ends of itself (`stop` or `length`).

    `host` is what to call who is asked, where that is not what stands in the address.
    """
    import openai  # noqa: PLC0415 - half a second that no other command needs

    # The address is one of this host's: a proxy that the environment names has no way to it.
    http = openai.DefaultHttpxClient(trust_env=False)
    client = openai.OpenAI(
        base_url=base_url,
        api_key=key,
        max_retries=0,
        timeout=PATIENCE_SECONDS,
        http_client=http,
        default_headers={"Host": host} if host else {},
    )
    started = time.monotonic()
    first: float | None = None
    text, finish, tokens = "", "", 0
    try:
        for chunk in client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": prompt}],
            max_tokens=MAX_TOKENS,
            stream=True,
            stream_options={"include_usage": True},
        ):
            if chunk.usage:
                tokens = chunk.usage.completion_tokens
            for choice in chunk.choices:
                if choice.delta.content:
                    first = first or time.monotonic()
                    text += choice.delta.content
                    console.print(choice.delta.content, end="", markup=False)
                finish = choice.finish_reason or finish
    except openai.OpenAIError as error:
        raise Fault(f"{base_url}: no answer from model {model}: {error}; look at: kubectl get pods -A") from error
    console.print()
    # An engine that shuts down ends a stream with HTTP 200 too: only the finish reason tells.
    if finish not in ("stop", "length") or first is None:
        raise Fault(f"{base_url}: the stream of model {model} ended with {finish or 'nothing'!r} after {tokens} tokens")
    return Answer(
        text=text,
        finish_reason=finish,
        tokens=tokens,
        first_token_s=first - started,
        total_s=time.monotonic() - started,
    )


def service_address(kubectl: Kubectl, namespace: str, service: str) -> str:
    """`cluster IP:port` of a Service."""
    found = kubectl.read("get", "service", service, f"--namespace={namespace}", "--output=json")
    spec = json.loads(found)["spec"]
    return f"{spec['clusterIP']}:{spec['ports'][0]['port']}"


@contextlib.contextmanager
def forwarded(kubectl: Kubectl, namespace: str, service: str, *, port: str = "http") -> Iterator[str]:
    """`127.0.0.1:port` that leads to a Service of a cluster whose cluster IPs are not reachable from here."""
    command = kubectl.command("port-forward", f"service/{service}", f"--namespace={namespace}", f":{port}")
    environment = {**os.environ, **kubectl.environment}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            if not found:
                words = process.stderr.read().strip() if process.stderr else ""
                raise Fault(f"port-forward to {namespace}/{service} failed: {words}")
            yield f"127.0.0.1:{found[1]}"
        finally:
            process.terminate()
