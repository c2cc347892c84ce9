"""The flags of the `vllm serve` that is installed, as JSON: run by the interpreter, and on the module path, of vLLM.

`rehearsal/simulator/flags.json` is its output for the version that the simulator claims; `make calibrate` compares.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

# What a flag's type makes of these texts tells its kind; the first that fits.
_KINDS = (("string", "text"), ("json", "{}"), ("size", "2k"), ("float", "1.5"), ("integer", "1"))


def main() -> None:
    """Print one object a flag: its name in Python, all names, its kind, and where there are any choices and values."""
    # vLLM is there only where this is run on its own.
    from vllm.entrypoints.cli.serve import ServeSubcommand  # type: ignore[import-not-found]  # noqa: PLC0415
    from vllm.utils.argparse_utils import FlexibleArgumentParser  # type: ignore[import-not-found]  # noqa: PLC0415

    parser = ServeSubcommand().subparser_init(FlexibleArgumentParser().add_subparsers())
    names: dict[int, list[str]] = {}
    for name, action in parser._option_string_actions.items():  # noqa: SLF001 - help hides some that are taken
        names.setdefault(id(action), []).append(name)
    listed = {
        each[0]: _described(action, each)
        for action in parser._actions  # noqa: SLF001
        if (each := sorted(names.get(id(action), ())))
    }
    lines = ",\n".join(json.dumps(listed[first]) for first in sorted(listed))
    sys.stdout.write(f"[\n{lines}\n]\n")


def _described(action: argparse.Action, names: list[str]) -> dict[str, Any]:
    if action.nargs == 0:
        return {"dest": action.dest, "names": names, "kind": "switch"}
    described: dict[str, Any] = {"dest": action.dest, "names": names, "kind": _kind(action.type)}
    if action.choices is not None:
        described["choices"] = sorted(map(str, action.choices))
    if action.nargs is not None:
        described["values"] = action.nargs
    return described


def _kind(convert: Any) -> str:
    if not callable(convert):
        return "string"
    for kind, example in _KINDS:
        try:
            convert(example)
        except (ValueError, TypeError, argparse.ArgumentTypeError):
            continue
        return kind
    return "other"


if __name__ == "__main__":
    main()
