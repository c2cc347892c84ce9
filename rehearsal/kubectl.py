"""kubectl on one cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rehearsal.command import run


def without_proxy(network: str | None) -> dict[str, str]:
    """Environment variables that keep clients from asking a proxy for addresses of `network`."""
    names = [name for name in ("NO_PROXY", "no_proxy") if network]
    return {name: ",".join(filter(None, [os.environ.get(name, ""), network])) for name in names}


@dataclass(frozen=True, kw_only=True)
class Kubectl:
    """`kubeconfig` is what KUBECONFIG would be: one path, or several; without `context`, its current one.

    `direct` is a network that is reached without the proxy that the user's environment may name.
    """

    program: Path
    kubeconfig: str
    context: str | None = None
    direct: str | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """What kubectl's environment needs on top of ours."""
        return {"KUBECONFIG": self.kubeconfig, **without_proxy(self.direct)}

    def command(self, *arguments: str) -> list[str]:
        """The words of a kubectl command, to be run in `environment`."""
        return [str(self.program), *([f"--context={self.context}"] if self.context else []), *arguments]

    def read(self, *arguments: str, text: str | None = None) -> str:
        """What a command prints, given `text` as its input. Fault with kubectl's own words if it fails."""
        return run(*self.command(*arguments), text=text, environment=self.environment, then="run make up again")
