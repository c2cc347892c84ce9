"""Pulumi's plugins: the official ones where they can be had, stand-ins only where not."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from rehearsal.command import run
from rehearsal.fault import Fault
from rehearsal.places import CHECKOUT, Places
from rehearsal.progress import notes
from rehearsal.toolchain import Tools

STAND_INS = CHECKOUT / "rehearsal" / "plugins" / "bin"
"""A folder for each stand-in, so that only what is needed gets on PATH."""

KUBERNETES = ("resource", "kubernetes", "v4.34.2")
AWS = ("resource", "aws", "v7.51.1")
ASK_AGAIN_S = 24 * 3600
"""How long a refusal of the official plugin's download is remembered."""


def plugin_path(
    places: Places, tools: Tools, environment: Mapping[str, str], stand_ins: Collection[str] = ()
) -> list[str]:
    """Folders to put on PATH so that Pulumi finds its Python language host and the kubernetes plugin.

    `stand_ins` are put there whatever is installed: `aws` where there is no account, `kubernetes` where no cluster.
    """
    folders: list[str] = []
    if not _installed("pulumi-language-python", environment):
        # An installed Pulumi has its language hosts beside it; the one that was built here has none.
        folders += [str(STAND_INS / "language"), str(places.bin)]
    if "aws" in stand_ins:
        folders += [str(STAND_INS / "aws")]
    if "kubernetes" in stand_ins or not official(KUBERNETES, places, tools, environment):
        # Beside the stand-in for aws there is no cluster to ask.
        folders += [str(STAND_INS / ("kubernetes-on-aws" if "aws" in stand_ins else "kubernetes"))]
    return folders


def require_aws(places: Places, tools: Tools, environment: Mapping[str, str]) -> None:
    """Fault without the official aws plugin: no stand-in ever works on a real account."""
    if not official(AWS, places, tools, environment):
        raise Fault(
            "CLUSTER=existing: a real account needs the official aws plugin, which is not installed and cannot be had "
            f"from here; run: pulumi plugin install {' '.join(AWS)}, or without an account: make rehearse-aws"
        )


def official(plugin: tuple[str, str, str], places: Places, tools: Tools, environment: Mapping[str, str]) -> bool:
    """Whether Pulumi has the official plugin; tries to install it, once a day."""
    kind, name, version = plugin
    home = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")
    if _installed(f"pulumi-{kind}-{name}", environment) or (home / "plugins" / f"{kind}-{name}-{version}").exists():
        return True
    refused = places.cache / f"official-{name}-plugin.refused"
    if refused.exists() and time.time() - refused.stat().st_mtime < ASK_AGAIN_S:
        return False
    try:
        run(tools.pulumi, "plugin", "install", *plugin, environment=environment)
    except Fault as refusal:
        refused.write_text(str(refusal))
        if plugin == KUBERNETES:
            notes.print("stand-in: pulumi-resource-kubernetes (the official plugin cannot be downloaded from here)")
        return False
    return True


def _installed(name: str, environment: Mapping[str, str]) -> bool:
    """Whether a plugin of somebody else's is on PATH: ours may be, after `eval "$(make -s env)"`."""
    found = shutil.which(name, path=environment["PATH"])
    return found is not None and CHECKOUT not in Path(found).resolve().parents


def joined(folders: list[str], path: str) -> str:
    """A value of PATH: `folders` first, each folder once."""
    return os.pathsep.join(dict.fromkeys([*folders, *path.split(os.pathsep)]))
