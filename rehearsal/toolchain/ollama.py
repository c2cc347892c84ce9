"""The real Ollama for this machine's CPU: a Go program, most of which is llama.cpp in C++.

Its module has no folder named `vendor`, as no Go module has, and llama.cpp keeps headers of others in one. They come
from where they are pinned too: Debian's packages, and a Go module with miniaudio's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rehearsal.lock import locked
from rehearsal.places import Places
from rehearsal.toolchain import golang
from rehearsal.toolchain.debian import DebianGroup, unpack
from rehearsal.toolchain.golang import GoProgram

BYTES: Final = 3 << 30
"""What building it adds to Go's caches."""
_MINIAUDIO: Final = "github.com/gen2brain/malgo"


def program(places: Places) -> Path:
    """Where `ollama` lies once it is built."""
    return places.ollama / "ollama"


def installed(places: Places) -> bool:
    """Whether it is built."""
    return program(places).exists()


def ensure(places: Places, pinned: GoProgram, packages: DebianGroup) -> Path:
    """Build it into the cache, once; gives the executable."""
    # A lock of its own: minutes in which nobody else's builds have to wait.
    with locked(places.cache / "ollama.lock", what="builds Ollama"):
        headers = places.ollama / "headers"
        unpack(packages.packages, headers, title="headers of llama.cpp", about_s=packages.seconds)
        link = headers / "miniaudio"
        link.unlink(missing_ok=True)
        link.symlink_to(golang.source("ollama", _MINIAUDIO))
        golang.build(pinned, places.ollama, headers=(headers / "usr/include", headers))
    return program(places)
