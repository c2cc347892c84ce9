"""Records the previews that the tests of the comment read: `python -m tests.claims.record_previews`, about two minutes.

The stack prod goes up against moto's server, as in `make rehearse-aws`; then its file is changed as a pull request
would, and the real engine previews that. What is recorded is what the engine says of it, without the resources that
stay as they are, and without what names this machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import yaml

from rehearsal import stack, toolchain
from rehearsal.aws import running
from rehearsal.aws.rehearse import Rehearsal
from rehearsal.places import CHECKOUT, Places
from rehearsal.pulumi_cli import throwaway

FOLDER: Final = Path(__file__).parent / "previews"
KEPT: Final = ("diagnosticEvent", "policyEvent", "resourcePreEvent", "summaryEvent")
UNCHANGED: Final = ("same", "refresh", "read")
STREAMED: Final = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}
NAME: Final = "prod"


def pull_request(config: dict[str, Any]) -> None:
    """Change a stack's settings as the pull request of docs/pull-requests.md does."""
    config["inference:gpuPools"]["l40s"]["max"] = 12
    models = config["inference:models"]
    models["chat"] |= {"contextLength": 16384, "concurrency": 10, "replicas": {"min": 2, "max": 5}}
    models["chat"]["tokensPerSecond"] = 1200
    models["summary"]["env"] = {"VLLM_LOGGING_LEVEL": "DEBUG"}


def slim(told: str) -> str:
    """The events that a comment is made of, a line each: of resources those that change, without their outputs."""
    lines: list[str] = []
    for event in map(json.loads, told.splitlines()):
        metadata = event.get("resourcePreEvent", {}).get("metadata", {})
        diagnostic = event.get("diagnosticEvent", {})
        ours = diagnostic.get("severity") != "debug" and "from $PATH" not in diagnostic.get("message", "")
        if not event.keys() & set(KEPT) or metadata.get("op") in UNCHANGED or not ours:
            continue
        for state in filter(None, (metadata.get("old"), metadata.get("new"))):
            del state["outputs"]
        lines.append(json.dumps(event | {"sequence": len(lines), "timestamp": 0}, separators=(",", ":")))
    return "\n".join(lines) + "\n"


def stack_files() -> None:
    """The stack's file before and after the pull request, which the comment is made of too."""
    document = yaml.safe_load(stack.file(NAME).read_text())
    for name, change in (("before", None), ("after", pull_request)):
        if change:
            change(document["config"])
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
        (FOLDER / name / stack.file(NAME).name).write_text(yaml.safe_dump(document, sort_keys=False))


class Recording(Rehearsal):
    """A stack on moto's server whose previews are recorded."""

    def preview(self, name: str, *options: str) -> None:
        """Preview the document as it stands, and record what is told as `name`."""
        words = (
            *options,
            "--config-file",
            str(self._config()),
            "--stack",
            self.name,
            "--non-interactive",
            "--color",
            "never",
        )
        environment = {**self.engine.environment, **STREAMED}
        command = [str(self.engine.cli), "preview", "--json", *words]
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, check=False, capture_output=True, text=True)
        (FOLDER / f"{name}.jsonl").write_text(slim(done.stdout))

    def give_keys(self, keys: str) -> None:
        """Set the API's keys as a secret, as a user would."""
        path = self._config()
        self._pulumi("config", "set", "--secret", "inference:apiKeys", keys, "--config-file", str(path))
        self.document = yaml.safe_load(path.read_text())

    def record(self) -> None:
        """A new stack, one that is as it should be, the pull request, and settings with a mistake."""
        self._found()
        self.engine.select(self.name)
        self.give_keys("sk-recorded-0000000000000000")
        self.preview("create")
        self._up()
        self.preview("unchanged")
        pull_request(self.document["config"])
        self.give_keys("sk-recorded-1111111111111111")
        self.preview("change")
        # Without the stack's own configuration of the pack, and with an image by tag, which it forbids.
        models = self.document["config"]["inference:models"]
        models["tools"]["image"] = "docker.io/vllm/vllm-openai:v0.33.0"
        self.preview("judged", "--policy-pack", "policy")
        del models["chat"]["pool"]
        self.preview("refused")


def main() -> None:
    """Record them all."""
    places = Places.of_user()
    stack_files()
    with running.own_folder(Path(tempfile.gettempdir())) as folder, running.server(folder / "moto.log") as address:
        tools = toolchain.ensure_cli(places)
        engine = throwaway(folder / "state", places, tools, kubeconfig=os.devnull, stand_ins=("aws", "kubernetes"))
        Recording(NAME, stack.read(NAME), address, folder, engine).record()


if __name__ == "__main__":
    main()
