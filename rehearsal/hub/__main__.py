"""Serve models from a folder: `python -m rehearsal.hub --root FOLDER [--host HOST] [--port PORT] [--faults FILE]`.

FOLDER holds one folder `owner/name` a model, and `owner/name@ANYTHING` for a further revision of it; the small model
`rehearsal/tiny-llama` is written there at the start.
The token of a gated repository comes from the environment (`HUB_TOKEN`), where the process list does not show it.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import uvicorn

from . import model, repository
from .faults import Plan
from .injector import PATH, Injector
from .repository import Repository
from .server import Hub, application


def main() -> None:
    """Write the model, take in every repository below the root, and serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m rehearsal.hub", description="Hugging Face hub for the rehearsal")
    parser.add_argument("--root", type=Path, required=True, help="folder with one folder owner/name a model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--gated", action="append", default=[], metavar="OWNER/NAME", help="needs HUB_TOKEN")
    parser.add_argument("--faults", type=Path, metavar="FILE", help=f"what to inject, as in PUT {PATH}")
    arguments = parser.parse_args()
    plan = Plan.model_validate_json(arguments.faults.read_bytes()) if arguments.faults else Plan()

    for edition in model.EDITIONS:
        model.write(arguments.root / (model.REPOSITORY + (f"@{edition}" if edition > 1 else "")), edition)
    repositories: dict[str, list[Repository]] = {}
    # A folder without `@` sorts first, and so is what the branch shows.
    for path in sorted(path for path in arguments.root.glob("*/*") if path.is_dir()):
        repository_id = f"{path.parent.name}/{path.name.partition('@')[0]}"
        found = repository.read(path, repository_id=repository_id)
        repositories.setdefault(repository_id, []).append(found)
        sys.stdout.write(f"serving {found.id} at {found.commit}: {sum(file.size for file in found.files):,} bytes\n")
    sys.stdout.flush()
    hub = Hub(
        repositories=repositories,
        gated=frozenset(arguments.gated),
        token=os.environ.get("HUB_TOKEN"),
    )
    answering = Injector(application(hub), plan)
    uvicorn.run(answering, host=arguments.host, port=arguments.port, timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
