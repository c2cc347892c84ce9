"""Where the rehearsal keeps things, all of it outside the checkout's tracked files."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from rehearsal.fault import Fault

CHECKOUT = Path(__file__).resolve().parent.parent
"""The root of this checkout: the Pulumi project."""


DEFAULT_NAME = "inference"


def _base(variable: str, default: str) -> Path:
    """The folder of the XDG base directory specification for this user."""
    # Resolved, because the kernel names mounts by what a path leads to.
    return Path(os.environ.get(variable) or Path.home() / default).expanduser().resolve()


@dataclass(frozen=True, kw_only=True)
class Places:
    """Folders of one user. The cache outlives `make down`; the state does not.

    `name` tells clusters on one host apart: it is in the names of all that is not in a folder (network namespaces,
    control groups).
    """

    cache: Path
    state: Path
    name: str = DEFAULT_NAME

    @classmethod
    def of_user(cls) -> Places:
        """The folders that `XDG_CACHE_HOME` and `XDG_STATE_HOME` name, or their defaults under the home folder.

        `REHEARSAL_NAME` names the cluster; a second one on this host needs its own `REHEARSAL_NETWORK` too.
        """
        name = os.environ.get("REHEARSAL_NAME", DEFAULT_NAME)
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,12}[a-z0-9]", name):
            raise Fault(
                f"REHEARSAL_NAME: {name!r}; allowed: 2 to 14 of a-z, 0-9 and -, not at an end; unset it, or mend it"
            )
        return cls(
            cache=_base("XDG_CACHE_HOME", ".cache") / "inference",
            state=_base("XDG_STATE_HOME", ".local/state") / name,
            name=name,
        )

    @property
    def bin(self) -> Path:
        """Executables that the toolchain built."""
        return self.cache / "bin"

    @property
    def bytecode(self) -> Path:
        """Compiled modules, each by the path of its source: what the Makefile has Python told as its prefix."""
        return self.cache / "bytecode"

    @property
    def debs(self) -> Path:
        """Debian packages, unpacked here so that the host's own set of packages stays as it is."""
        return self.cache / "debs"

    @property
    def vllm(self) -> Path:
        """The real vLLM with all that it imports: a folder of the module path."""
        return self.cache / "vllm"

    @property
    def ollama(self) -> Path:
        """The real Ollama, and the headers that it was built with."""
        return self.cache / "ollama"

    @property
    def images(self) -> Path:
        """Archives of the container images that were built here."""
        return self.cache / "images"

    @property
    def cluster(self) -> Path:
        """Everything of the embedded cluster: keys, data, volumes, logs."""
        return self.state / "cluster"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig of the embedded cluster."""
        return self.cluster / "kubeconfig"

    @property
    def pulumi(self) -> Path:
        """Pulumi's file backend for stacks on the embedded cluster; it goes with the cluster."""
        return self.state / "pulumi"

    @property
    def reports(self) -> Path:
        """Drawings of what became of scenarios; they stay."""
        return self.state.parent / "inference-reports"

    @property
    def stacks(self) -> Path:
        """Pulumi's file backend for stacks on the user's own cluster, where they use no other; it stays."""
        return self.state.parent / "inference-stacks"
