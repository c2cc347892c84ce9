"""Adds a model's files and its heads to the program's facts: `make model-facts STACK=<name> MODEL=<name>`.

The weight seeder lists them, all that the source has: patterns may change without a new list.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn

from pydantic_core import PydanticCustomError

from components.facts import models
from components.settings import ModelSource, parse_source
from components.settings.concealment import concealed_part
from rehearsal import stack
from rehearsal.command import run
from rehearsal.fault import Fault
from rehearsal.model_shape import shape
from rehearsal.places import CHECKOUT

SEEDER: Final = CHECKOUT / "images" / "weight-seeder"
PATIENCE_SECONDS: Final = 20
"""Somebody waits; a Job in the cluster has more."""
# By the source's scheme, the variable of its client with the address of another service than the public one.
ENDPOINT_VARIABLES: Final = MappingProxyType({"hf": "HF_ENDPOINT", "s3": "AWS_ENDPOINT_URL_S3", "oci": "OCI_ENDPOINT"})


def renew(stack_name: str, model: str | None, *, endpoint: str | None, read_from: str | None) -> str:
    """Write the list of the model's files into the facts, and say so. Fault for a mistake, or if they are not told.

    `endpoint` is another address of the source than the stack's, whose names may be those of a cluster; `read_from` is
    the folder that the volume of a source file:///PATH is on.
    """
    name, section = _model(stack_name, model)
    weights = section.get("weights")
    given = weights.get("endpoint") if isinstance(weights, dict) else None
    asked = endpoint or (given if isinstance(given, str) else None)
    text, source = _source(name, section, asked)
    _refuse_what_is_ignored(source, endpoint=endpoint, read_from=read_from)
    files = _listed(text, source, endpoint=endpoint or given, read_from=read_from)
    config = shape(source, endpoint=endpoint or given, read_from=read_from) if "config.json" in files else {}
    known = json.loads(models.DATA.read_text())
    data = {each: entry["files"] for each, entry in known.items() if "files" in entry} | {text: files}
    configs = {each: entry.get("config", {}) for each, entry in known.items()} | {text: config}
    models.DATA.write_text(models.render(data, configs))
    told = f", and {len(config)} facts of its config.json" if config else ""
    size = f"{len(files)} files, {sum(files.values()):,} bytes{told}"
    return f"{text}: {size}, are in {models.DATA.relative_to(CHECKOUT)} now"


def _model(stack_name: str, wanted: str | None) -> tuple[str, dict[str, Any]]:
    """Name and section of the model as they are written: before there is a list, the settings may not be whole."""
    found = stack.configuration(stack_name).get(f"{stack.PROJECT}:models")
    sections = {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}
    name = wanted or (next(iter(sections)) if len(sections) == 1 else None)
    if name is None or not isinstance(sections.get(name), dict):
        wrong = f"there is no model {name} in Pulumi.{stack_name}.yaml" if name else "is not given"
        example = next(iter(sections), "<name>")
        raise Fault(
            f"MODEL: {wrong}; allowed: {', '.join(sections) or 'a key of inference:models'}; "
            f"run: make model-facts STACK={stack_name} MODEL={example}"
        )
    return name, sections[name]


def _source(name: str, section: dict[str, Any], endpoint: str | None) -> tuple[str, ModelSource]:
    """The model's source, as text and in parts; what is none is told with the way out, to be asked at `endpoint`."""
    key, text = f"{stack.PROJECT}:models.{name}.source", section.get("source")
    try:
        source = parse_source(text if isinstance(text, str) else "", endpoint=endpoint)
    except PydanticCustomError as error:
        told = error.context or {}
        way_out = told.get("fix") or f"such as {told['example']}"
        raise Fault(f"{key}: {error.message()}; allowed: {told['allowed']}; {way_out}") from None
    if source.scheme == "image":
        raise Fault(f"{key}: weights in the engine's image have no volume, and their files are not needed; leave it so")
    if source.scheme not in (*ENDPOINT_VARIABLES, "file"):
        raise Fault(f"{key}: only the engine's own tool knows the files of {source.scheme}://; give weights.size")
    return str(text), source


def _refuse_what_is_ignored(source: ModelSource, *, endpoint: str | None, read_from: str | None) -> None:
    """Fault for an ENDPOINT or READ_FROM that nothing would read, or nothing can: the list would be another's."""
    schemes = [f"{scheme}://" for scheme in ENDPOINT_VARIABLES]
    if endpoint and source.scheme not in ENDPOINT_VARIABLES:
        _refuse("ENDPOINT", f"means nothing for a source {source.scheme}://", f"none, or a source {', '.join(schemes)}")
    concealed = concealed_part(endpoint or "")
    if concealed:
        _refuse("ENDPOINT", concealed.problem, "an address without user, password and query")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        _refuse("ENDPOINT", f"{endpoint} is no address", "http://HOST:PORT or https://HOST")
    if read_from and source.scheme != "file":
        _refuse("READ_FROM", f"means nothing for a source {source.scheme}://", "none, or a source file://")
    if read_from and not Path(read_from).is_dir():
        _refuse("READ_FROM", f"{read_from} is no folder of this machine", "where the source's volume is mounted")


def _refuse(variable: str, problem: str, allowed: str) -> NoReturn:
    raise Fault(f"{variable}: {problem}; allowed: {allowed}; unset {variable}, or mend it, and run again")


def _listed(text: str, source: ModelSource, *, endpoint: str | None, read_from: str | None) -> dict[str, int]:
    """Bytes by path of every file of the source, as the seeder lists them."""
    variable = ENDPOINT_VARIABLES.get(source.scheme)
    environment = {variable: endpoint} if variable and endpoint else {}
    # A folder of this machine unless the volume that has it is mounted somewhere.
    folder = ("--read-from", read_from or "/") if source.scheme == "file" else ()
    then = "run again; where only the cluster knows the address: ENDPOINT=http://127.0.0.1:<forwarded port>"
    asks = ("list", "--source", text, "--patience", str(PATIENCE_SECONDS), *folder)
    said = run(
        *(sys.executable, "-m", "weight_seeder", *asks),
        environment={"PYTHONPATH": str(SEEDER), **environment},
        then=then if variable else "run again",
    )
    return {file["path"]: file["size"] for file in json.loads(said)["files"]}
