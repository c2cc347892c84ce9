"""Where engines write: everything below one folder, their home, since the rest of their root is read-only."""

from __future__ import annotations


def python_home(home: str) -> dict[str, str]:
    """The places that every engine in Python writes to, and a hub's client that asks nobody."""
    return {
        "HOME": home,
        "USER": "inference",  # getpass.getuser() fails for a uid without a passwd entry
        "XDG_CACHE_HOME": f"{home}/.cache",
        "XDG_CONFIG_HOME": f"{home}/.config",
        "HF_HOME": f"{home}/.cache/huggingface",
        "HF_HUB_OFFLINE": "1",  # the weights are on the volume; a serving pod has no business with the hub
        "TORCHINDUCTOR_CACHE_DIR": f"{home}/.cache/torchinductor",
        "TRITON_CACHE_DIR": f"{home}/.cache/triton",
    }
