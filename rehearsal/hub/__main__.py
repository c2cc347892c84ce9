"""Serve models from a folder: `python -m rehearsal.hub --root FOLDER [--host HOST] [--port PORT]`.

FOLDER holds one folder `owner/name` a model; the small model `rehearsal/tiny-llama` is written there at the start.
The token of a gated repository comes from the environment (`HUB_TOKEN`), where the process list does not show it.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import uvicorn

from . import model, repository
from .server import Hub, application


def main() -> None:
    """Write the model, take in every repository below the root, and serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m rehearsal.hub", description="Hugging Face hub for the rehearsal")
    parser.add_argument("--root", type=Path, required=True, help="folder with one folder owner/name a model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--gated", action="append", default=[], metavar="OWNER/NAME", help="needs HUB_TOKEN")
    arguments = parser.parse_args()

    model.write(arguments.root / model.REPOSITORY)
    folders = sorted(path for path in arguments.root.glob("*/*") if path.is_dir())
    repositories = [repository.read(path, repository_id=f"{path.parent.name}/{path.name}") for path in folders]
    for each in repositories:
        size = sum(file.size for file in each.files)
        sys.stdout.write(f"serving {each.id} at {each.commit}: {size:,} bytes\n")
    sys.stdout.flush()
    hub = Hub(
        repositories={each.id: each for each in repositories},
        gated=frozenset(arguments.gated),
        token=os.environ.get("HUB_TOKEN"),
    )
    uvicorn.run(application(hub), host=arguments.host, port=arguments.port, timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
