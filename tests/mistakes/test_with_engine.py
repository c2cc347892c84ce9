"""A sample of the corpus in the real engine: `pulumi preview` refuses what is bad, and previews what is good."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from rehearsal import toolchain
from rehearsal.places import CHECKOUT, Places
from rehearsal.pulumi_cli import display, throwaway
from tests.mistakes.corpus import BAD, CLAIM, GOOD, caught_by, configuration

REFUSED: Final = (
    "five-of-eight-gpus",
    "heads-that-eight-gpus-do-not-divide",
    "multi-attach",
    "password-in-chart-values",
    "silence-of-an-answer-without-stream",
    "weights-larger-than-the-gpu",
)
PASSED: Final = ("disk-on-one-node", "eks-from-nothing", "more-requests-than-fit-accepted", "sglang")
NOWHERE: Final = "http://127.0.0.1:9"
OFFLINE: Final = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), NOWHERE)


def preview(path: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """`pulumi preview` of a stack file, against an empty state, without a network."""
    on_aws = configuration(path)["cluster"]["provider"] == "aws"
    places = Places.of_user()
    stand_ins = ("aws",) if on_aws else ("kubernetes",)
    engine = throwaway(folder / "state", places, toolchain.ensure_cli(places), os.devnull, stand_ins=stand_ins)
    config = Path(shutil.copy(path, folder / f"Pulumi.{path.stem}.yaml"))
    engine.select(path.stem, config)
    words = [str(engine.cli), "preview", "--stack", path.stem, "--config-file", str(config), *display()]
    own = {**engine.environment, **OFFLINE, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return subprocess.run(words, cwd=CHECKOUT, env=own, capture_output=True, text=True, check=False)


@pytest.mark.engine
@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_is_an_error_of_the_preview(name: str, tmp_path: Path) -> None:
    (path,) = [each for each in BAD if each.stem == name]
    done = preview(path, tmp_path)
    told = done.stdout + done.stderr
    assert done.returncode > 0, told
    assert "Traceback" not in told
    assert "nothing was changed" in told
    (expected,) = caught_by(path)
    assert f"error: {expected.removeprefix(CLAIM)}" in told, told
    # The stack itself, and nothing below it.
    assert set(re.findall(r"\b(?:aws|kubernetes|inference|pulumi):[\w./]+:\w+", told)) == {"pulumi:pulumi:Stack"}


@pytest.mark.engine
@pytest.mark.parametrize("name", PASSED)
def test_a_good_stack_is_previewed(name: str, tmp_path: Path) -> None:
    (path,) = [each for each in GOOD if each.stem == name]
    done = preview(path, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\+ \d+ to create", done.stdout)
    assert "claims:" in done.stdout
