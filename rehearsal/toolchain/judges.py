"""The programs that judge what we ship, for tests: Pod Security's evaluator, kube-score, Checkov and actionlint."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from rehearsal.places import Places
from rehearsal.toolchain import golang, one_builder, pins, python

CHECKOV = golang.FOLDER / "checkov.txt"
CHECKOV_SECONDS = 20


@dataclass(frozen=True, kw_only=True)
class Judges:
    """Where each program is."""

    pod_security: Path
    kube_score: Path
    checkov: Path
    """A folder of the module path: Checkov's dependencies are not ours."""
    actionlint: Path

    @property
    def checkov_command(self) -> tuple[str, ...]:
        """Checkov as a command, which sees no other package (`-S`), with what it is told of the module path."""
        return ("env", f"PYTHONPATH={self.checkov}", sys.executable, "-S", "-m", "checkov.main")


def ensure(places: Places) -> Judges:
    """Have the programs built or installed in the cache."""
    with one_builder(places):
        for name in ("pod-security", "kube-score", "actionlint"):
            golang.build(pins().program(name), places.bin)
        checkov = places.cache / "checkov"
        python.install(CHECKOV, checkov, title="install Checkov", about_s=CHECKOV_SECONDS)
    return Judges(
        pod_security=places.bin / "pod-security",
        kube_score=places.bin / "kube-score",
        checkov=checkov,
        actionlint=places.bin / "actionlint",
    )
