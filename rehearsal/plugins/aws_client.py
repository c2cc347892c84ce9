"""Calls of AWS's own SDK, with requests that are fitted to the service's model and checked against it."""

import os
import re
import threading
from typing import Any

from rehearsal.plugins.aws_guard import ENDPOINT, KEY, MADE_UP, on_loopback, real_credentials
from rehearsal.plugins.aws_kinds import Loose
from rehearsal.plugins.told import Told, Unfit

ALSO = {"securitygroups": "groups"}
"""Names of the provider's, bare, that the services' models have under another one."""

TAG = (("Key", "Value"), ("TagKey", "TagValue"))
"""How services write a tag."""


class Refused(Told):
    """What AWS, or its model in the SDK, says of a request that was not carried out."""

    def __init__(self, operation: str, code: str, said: str) -> None:
        super().__init__(f"AWS refused {operation}: {code}: {' '.join(said.split())}")
        self.gone = "NotFound" in code or "NoSuch" in code


def bare(name: str) -> str:
    """A name as it is compared: `nodegroupName`, `nodeGroupName` and `NodegroupName` are one."""
    return name.replace("_", "").lower()


def fit(shape: Any, value: Any, path: str) -> Any:
    """`value`, in the provider's names and types, as the service's model has it.

    Raises Unfit for a member that the model lacks and for a value that its enum, pattern or length excludes.
    """
    kind = shape.type_name
    if kind == "structure":
        return _structure(shape, value, path)
    if kind == "list":
        return _list(shape, value, path)
    if kind == "map":
        return _of_length(shape, {key: fit(shape.value, each, f"{path}.{key}") for key, each in value.items()}, path)
    if kind == "string":
        return _text(shape, value if isinstance(value, str) else str(value), path)
    as_number: Any = {"boolean": lambda given: given in (True, "true"), "integer": int, "long": int}
    return as_number.get(kind, lambda given: given)(value)


def _list(shape: Any, value: Any, path: str) -> Any:
    pair = next((pair for pair in TAG if {*pair} == {*getattr(shape.member, "members", ())}), None)
    if isinstance(value, dict) and pair:
        return _of_length(shape, [dict(zip(pair, each, strict=True)) for each in value.items()], path)
    values = value if isinstance(value, list) else [value]
    return _of_length(shape, [fit(shape.member, each, f"{path}[{i}]") for i, each in enumerate(values)], path)


def _of_length(shape: Any, value: Any, path: str) -> Any:
    """`value`, if it is as long as the service takes it: the SDK itself looks at the least length only."""
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max")
    if len(value) < least or (most is not None and len(value) > most):
        what = f"{value!r} has {len(value)} characters" if isinstance(value, str) else f"{len(value)} entries"
        raise Unfit(f"{path}: {what}; allowed by AWS: {least} to {'any number' if most is None else most}")
    return value


def _structure(shape: Any, value: Any, path: str) -> Any:
    if isinstance(value, list):
        (value,) = value
    if not isinstance(value, dict):
        value = {"value": value}
    members = {bare(name): name for name in shape.members}
    fitted = {}
    for key, each in value.items():
        name = members.get(bare(key)) or members.get(ALSO.get(bare(key), ""))
        if name:
            fitted[name] = fit(shape.members[name], each, f"{path}.{key}")
        elif not isinstance(value, Loose):
            raise Unfit(f"{path}.{key}: AWS's {shape.name} has no such member; allowed: {', '.join(shape.members)}")
    return fitted


def _text(shape: Any, value: str, path: str) -> str:
    if shape.enum and value not in shape.enum:
        raise Unfit(f"{path}: {value!r}; allowed by AWS: {', '.join(shape.enum)}")
    pattern = shape.metadata.get("pattern")
    try:
        wrong = pattern and not re.search(rf"^(?:{pattern})$", value)
    except re.error:  # written for another language's regular expressions
        wrong = False
    if wrong:
        raise Unfit(f"{path}: {value!r}; AWS wants the pattern {pattern}")
    return str(_of_length(shape, value, path))


class Aws:
    """The services of one region, at the loopback endpoint of the environment. Nothing is asked before it is needed."""

    def __init__(self, region: str) -> None:
        self.region = region
        self._clients: dict[str, Any] = {}
        self._session: Any = None
        self._lock = threading.Lock()

    def _client(self, service: str) -> Any:
        # The engine reads many resources at once, and a service's model takes half a second to load.
        with self._lock:
            return self._clients.get(service) or self._connect(service)

    def _connect(self, service: str) -> Any:
        endpoint, real = os.environ.get(ENDPOINT, ""), real_credentials(os.environ)
        if not on_loopback(endpoint):
            raise Unfit(
                f"{ENDPOINT}: {endpoint or 'not set'}: this stand-in for the aws plugin works on a rehearsal's "
                "loopback address only; run: make rehearse-aws, or install the official plugin for a real account"
            )
        if real:
            raise Unfit(
                f"{', '.join(real)}: set, and might be real: a rehearsal does not run with that; "
                f"run: unset {' '.join(real)}"
            )
        os.environ.update(MADE_UP)
        import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - half a second, and no preview needs it
        from botocore.config import Config  # type: ignore[import-untyped]  # noqa: PLC0415

        # One session, which reads what all services have in common once.
        self._session = self._session or boto3.session.Session()
        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": KEY, "region_name": self.region}
        plain = Config(proxies={}, retries={"total_max_attempts": 1})
        self._clients[service] = self._session.client(service, endpoint_url=endpoint, config=plain, **keys)
        return self._clients[service]

    def shape(self, service: str, operation: str) -> Any:
        """The model of an operation's request."""
        meta = self._client(service).meta
        return meta.service_model.operation_model(meta.method_to_api_mapping[operation]).input_shape

    def ask(self, service: str, operation: str, **request: Any) -> Any:
        """The answer to a request. Raises Refused with the service's word, or with the SDK's on the parameters."""
        client = self._client(service)
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # noqa: PLC0415

        try:
            given: Any = getattr(client, operation)(**request)
        except ClientError as fault:
            error = fault.response["Error"]
            raise Refused(f"{service}:{operation}", error["Code"], error["Message"]) from None
        except BotoCoreError as fault:
            raise Refused(f"{service}:{operation}", type(fault).__name__, str(fault)) from None
        return given
