"""What the build of the image does for WEIGHTS: a revision of a model into a folder, or an empty folder."""

from __future__ import annotations

import re
import sys
from pathlib import Path

SECRET = Path("/run/secrets/hf_token")
REVISION = re.compile(r"hf://(?P<name>[\w.-]+/[\w.-]+)@(?P<commit>[0-9a-f]{40})")


def bake(weights: str, folder: Path, secret: Path = SECRET) -> None:
    """Download `weights` into the folder; the token, where there is one, goes no further than this process."""
    folder.mkdir(parents=True)
    if not weights:
        return
    found = REVISION.fullmatch(weights)
    if found is None:
        sys.exit(
            f"WEIGHTS: {weights}; allowed: hf://<owner>/<name>@<commit of 40 digits>, or nothing; "
            "a branch or a tag would be another model tomorrow"
        )
    # Imported late: without weights the base need not have it.
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    token = secret.read_text().strip() if secret.exists() else False
    snapshot_download(found["name"], revision=found["commit"], local_dir=folder, token=token)


if __name__ == "__main__":
    bake(sys.argv[1], Path(sys.argv[2]))
