"""A volume, and Jobs that seed it one after another by the project's own command and the real Ollama."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from components import engine_seeding
from components.settings import Model
from components.volume import Place, Volume
from tests.ollama.tool import Tool
from tests.seeder.seeding import lets_start
from tests.simulator.engines import MODEL, free_port

FOLDER = "tiny/0123456789ab-00000000"
AT_ONCE = 2
MARKER = ".seeded.json"


def settings(location: str, pin: str, *, check: str = "sizes", concurrency: int = 2, context: int = 512) -> Model:
    """A model of engine `ollama`, as a stack has it."""
    return Model.model_validate(
        {
            "engine": "ollama",
            "source": f"ollama://{location}@sha256:{pin}",
            "pool": "l4",
            "replicas": {"min": 1, "max": 1},
            "contextLength": context,
            "concurrency": concurrency,
            "weights": {"size": "1Gi", "check": check},
        }
    )


@dataclass(kw_only=True)
class Job:
    """One volume's."""

    tool: Tool
    volume: Path
    location: str
    revision: str
    check: str = "sizes"
    said: str = field(default="", init=False)

    @property
    def model(self) -> Model:
        return settings(self.location, self.revision, check=self.check)

    @property
    def published(self) -> Path:
        return self.volume / FOLDER

    @property
    def work(self) -> Path:
        return self.volume / ".incoming" / FOLDER.replace("/", "--")

    @property
    def home(self) -> Path:
        """What each pod has of its own."""
        return self.volume.parent / "home"

    @property
    def log(self) -> Path:
        """What the last pod has said."""
        return self.volume.parent / "said"

    def last(self) -> str:
        return self.said.splitlines()[-1]

    def run(self, *, killed_after: float | None = None, since: str = "") -> int:
        """One pod; `killed_after` so many seconds all its processes are killed, as a node that fails does.

        They count from when its log says `since`.
        """
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.volume.mkdir(exist_ok=True)
        place = Place(volume=Volume(), claim_name="weights", root=str(self.volume), folder=FOLDER)
        with self.log.open("wb") as output:
            process = subprocess.Popen(
                engine_seeding.command(MODEL, self.model, place),
                env=self.tool.environment(self.home, free_port()),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        while since not in self.log.read_text():
            assert process.poll() is None, self.log.read_text()
            time.sleep(0.01)
        try:
            process.wait(300 if killed_after is None else killed_after)
        except subprocess.TimeoutExpired:
            assert killed_after is not None, self.log.read_text()
        finally:
            # Nothing of it is left when it has ended by itself.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.said = self.log.read_text()
        return process.returncode

    def passes(self) -> bool:
        """Whether a replica's check, every byte read, lets the engine start."""
        return lets_start(self.model.source, self.volume, FOLDER, "--checksums")

    def listed(self) -> Mapping[str, str]:
        """Path and sha256 of each file, as the manifest on the volume has them."""
        document: dict[str, Any] = json.loads((self.published / MARKER).read_text())
        return {file["path"]: file["sha256"] for file in document["files"]}

    def found(self) -> Mapping[str, str]:
        """Path and sha256 of each file that is there."""
        files = (path for path in self.published.rglob("*") if path.is_file() and path.name != MARKER)
        return {str(path.relative_to(self.published)): sha256(path.read_bytes()).hexdigest() for path in files}
