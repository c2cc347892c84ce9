"""From Pulumi's configuration to checked settings: the only reader of `pulumi.Config`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret
from pydantic import TypeAdapter, ValidationError

from components.settings.access_checks import mistakes_of_engines_without_keys, mistakes_of_keys
from components.settings.checks import mistakes_between_sections
from components.settings.mistakes import (
    Mistake,
    from_pydantic,
    refused,
    unknown_key,
    without_counts_of_the_rest,
    without_misspelt,
)
from components.settings.pools import ExistingPool, GpuPool
from components.settings.schema import API_KEYS_KEY, PROJECT, SECRETS, allowed, node_at, settings_schema
from components.settings.secrets import misplaced_secrets, plain_secrets
from components.settings.source_errors import at_endpoint
from components.settings.stack import AWS_KEYS, Settings

_POOL: Final[TypeAdapter[GpuPool]] = TypeAdapter(GpuPool)


class SettingsError(Exception):
    """The mistakes of a stack's settings, all of them."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = mistakes


def load(config: pulumi.Config) -> Settings:
    """The stack's settings.

    Every mistake goes to Pulumi's error channel as a line of its own; the `pulumi.RunError` that follows ends the
    program without a traceback and before any resource is registered.
    """
    try:
        return parse(*_read(config))
    except SettingsError as error:
        for mistake in error.mistakes:
            pulumi.log.error(str(mistake))
        count = "a mistake" if len(error.mistakes) == 1 else f"{len(error.mistakes)} mistakes"
        message = f"the settings of stack {pulumi.get_stack()} have {count}; nothing was changed"
        raise pulumi.RunError(message) from None


def parse(values: Mapping[str, str], secrets: frozenset[str] = frozenset(), *, decrypted: bool = True) -> Settings:
    """Settings of raw configuration values by key, as Pulumi gives them: text, or JSON for maps and lists.

    `decrypted`: whether the secrets are what they stand for, and not as a stack file has them. Raises `SettingsError`
    with every mistake found.
    """
    tree = {key: _decode(value) for key, value in values.items() if key not in SECRETS}
    mistakes = [*misplaced_secrets(values, secrets), *plain_secrets(values, secrets), *_empty_create(tree)]
    if decrypted and API_KEYS_KEY in values:
        mistakes += mistakes_of_keys(values[API_KEYS_KEY])
    tree = _for_aws(tree) if _on_aws(tree) else {key: value for key, value in tree.items() if key not in AWS_KEYS}
    try:
        settings = Settings.model_validate(tree, context={"pools": _gpus_by_pool(tree)})
    except ValidationError as error:
        schema = settings_schema()
        known = [*(key for key in schema["properties"] if key not in AWS_KEYS), *SECRETS]
        # A default that follows from other keys is no mistake where one of those is.
        told = [each for each in error.errors(include_url=False) if each["type"] != "default_factory_not_called"]
        found = [each for each in told if each["loc"][0] not in secrets]
        mistakes += [
            unknown_key(each["loc"], known)
            if each["type"] == "extra_forbidden" and len(each["loc"]) == 1
            else from_pydantic(at_endpoint(each, tree), schema)
            for each in without_counts_of_the_rest(without_misspelt(found, schema))
        ]
    else:
        mistakes += mistakes_between_sections(settings)
        if API_KEYS_KEY in values:
            mistakes += mistakes_of_engines_without_keys(settings)
    if mistakes:
        raise SettingsError(mistakes)
    return settings


def parse_file(configuration: Mapping[str, Any]) -> Settings:
    """Settings of what stands under `config` in a stack file; secrets stay as they are written. Raises as `parse`."""
    ours = {
        str(key).removeprefix(f"{PROJECT}:"): value
        for key, value in configuration.items()
        if str(key).startswith(f"{PROJECT}:") or key in AWS_KEYS
    }
    secrets = frozenset(key for key, value in ours.items() if isinstance(value, dict) and "secure" in value)
    texts = {key: value if isinstance(value, str) else json.dumps(_plain(value)) for key, value in ours.items()}
    return parse(texts, secrets, decrypted=False)


def _plain(node: Any) -> Any:
    """What JSON has; the rest of what YAML has, dates, sets and bytes, as text."""
    if isinstance(node, dict):
        return {str(key) if not isinstance(key, str) else key: _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(each) for each in node]
    return node if isinstance(node, str | int | float | bool | None) else str(node)


def _read(config: pulumi.Config) -> tuple[dict[str, str], frozenset[str]]:
    """Every key of the project with its text, the AWS provider's that are read, and which of them hold a secret.

    `pulumi.Config` answers for known keys only; the names of all come from where it looks itself, so that a misspelt
    section is noticed.
    """
    prefix = f"{config.name}:"
    names = sorted({key for key in (*get_config_env(), *CONFIG.get()) if key.startswith(prefix)})
    values = {key.removeprefix(prefix): config.get(key.removeprefix(prefix)) or "" for key in names}
    theirs = {key: pulumi.Config("aws").get(key.removeprefix("aws:")) for key in AWS_KEYS}
    values |= {key: value for key, value in theirs.items() if value is not None}
    return values, frozenset(key.removeprefix(prefix) for key in names if is_config_secret(key))


def _decode(value: str) -> Any:
    """Maps and lists arrive as JSON, scalars as they are written."""
    if not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _on_aws(tree: Mapping[str, Any]) -> bool:
    """Whether the stack uses AWS: the provider's keys are another's affair where it does not."""
    cluster = tree.get("cluster")
    return isinstance(cluster, dict) and cluster.get("provider") == "aws"


def _empty_create(tree: Mapping[str, Any]) -> list[Mistake]:
    """`create:` with nothing below it: for the model the same as no such key, for who wrote it a cluster to be made."""
    cluster = tree.get("cluster")
    if not isinstance(cluster, dict) or cluster.get("create", {}) is not None:
        return []
    path = ("cluster", "create")
    return [refused(path, "null is not a map", allowed=allowed(node_at(settings_schema(), path)))]


def _for_aws(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with a key in each pool that says nothing yet of its kind: on AWS that is one that EKS provides."""
    pools = tree.get("gpuPools")
    if not isinstance(pools, dict):
        return dict(tree)
    return {**tree, "gpuPools": {name: _with_kind(pool) for name, pool in pools.items()}}


def _with_kind(pool: Any) -> Any:
    existing = {field.alias for field in ExistingPool.model_fields.values()}
    return {"min": 0, **pool} if isinstance(pool, dict) and not existing & pool.keys() else pool


def _gpus_by_pool(tree: Mapping[str, Any]) -> dict[str, int | None]:
    """GPUs a node of each named pool, None for a pool with a mistake of its own: its name is still a name."""
    pools = tree.get("gpuPools")
    plugin = tree.get("devicePlugin")
    slices = plugin.get("timeSlicing") if isinstance(plugin, dict) else None
    shared = slices if isinstance(slices, int) else 1
    return {name: _gpus(pool, shared) for name, pool in pools.items()} if isinstance(pools, dict) else {}


def _gpus(pool: Any, shared: int) -> int | None:
    """GPUs as the device plugin announces them: each once for every pod that may share it."""
    try:
        return _POOL.validate_python(pool).gpu.count * shared
    except (ValidationError, LookupError):
        return None
