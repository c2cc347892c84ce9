"""The `kubernetes` provider: objects by server-side apply, diffs by dry run, awaits. Follows pulumi-kubernetes 4.34."""

from __future__ import annotations

import functools
import os
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2_grpc, status_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from rehearsal.plugins import awaits, diff
from rehearsal.plugins.api_server import FORBIDDEN, INVALID, NOT_FOUND, ApiServer, Refused, Unreachable
from rehearsal.plugins.properties import annotation, at, dump, has_unknown, load, secret

Obj = dict[str, Any]
POLL_S, LOOK_CLOSER_S, PATIENCE_S, RETRY_S = 0.5, 5.0, 600.0, (0.5, 1.0, 2.0, 4.0, 8.0)


class Unfit(Exception):
    """What this plugin does not do."""


class NotReady(Exception):
    """The object is there but not ready: it goes into the stack's state, and the next `up` takes it up again."""

    def __init__(self, message: str, live: Obj, state: Obj, reasons: list[str]) -> None:
        super().__init__(message)
        details = pb.ErrorResourceInitFailed(id=object_id(live), properties=dump(state), reasons=[message, *reasons])
        details.inputs.CopyFrom(dump(state["__inputs"]["value"]))
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message, details=[AnyMessage()])
        status.details[0].Pack(details)
        self.metadata = (("grpc-status-details-bin", status.SerializeToString()),)


def object_id(obj: Obj) -> str:
    """`namespace/name`, or the name alone."""
    return "/".join(filter(None, (obj["metadata"].get("namespace"), obj["metadata"]["name"])))


def checkpoint(inputs: Obj, live: Obj, manager: str) -> Obj:
    """The state of an object, in the official plugin's shape; what may be secret in it has no path of the inputs'."""
    hidden = {"data": secret(live["data"])} if live["kind"] == "Secret" and "data" in live else {}
    ours = {"__inputs": secret(inputs), "__fieldManager": manager, "__initialApiVersion": live["apiVersion"]}
    return live | hidden | ours


def state_of(properties: Any) -> tuple[Obj, str]:
    """The live object that a state holds, and the owner of its fields: a new one, random, if none is recorded."""
    state = load(properties)
    manager = state.get("__fieldManager") or f"pulumi-kubernetes-{secrets.token_hex(4)}"
    return {k: v for k, v in state.items() if not k.startswith("__")}, manager


def answer(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what the cluster or the inputs are at fault for into one clear line instead of a traceback."""

    @functools.wraps(method)
    def call(self: Kubernetes, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request)
        except (NotReady, Refused, Unreachable, Unfit) as fault:
            context.set_trailing_metadata(getattr(fault, "metadata", ()))
            context.abort(grpc.StatusCode.UNKNOWN, str(fault))

    return call


class Kubernetes(provider_pb2_grpc.ResourceProviderServicer):
    """One provider of a program, that is one cluster. Its own settings are compared by the engine (no DiffConfig)."""

    def __init__(self, engine: str) -> None:
        self.engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine))
        self.cancelled, self.warned = threading.Event(), threading.Event()
        self.api = ApiServer({})

    def GetPluginInfo(self, request: Empty, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="4.34.2+stand-in")

    def Configure(self, request: pb.ConfigureRequest, context: Any) -> Any:
        self.api = ApiServer({k.removeprefix("kubernetes:config:"): v for k, v in request.variables.items()})
        return pb.ConfigureResponse(supportsPreview=True, supports_autonaming_configuration=True)

    def Cancel(self, request: Empty, context: Any) -> Any:
        self.cancelled.set()
        return Empty()

    @answer
    def Check(self, request: pb.CheckRequest) -> Any:
        inputs, old = load(request.news), load(request.olds)
        kind, metadata = request.type.rpartition(":")[2], inputs["metadata"]
        if kind.endswith(("List", "Patch")) or "helm.sh" in request.type or at(metadata, "generateName", default=""):
            raise Unfit(f"{request.type} is beyond this stand-in; declare and name the objects themselves")
        if isinstance(metadata, dict) and not metadata.get("name"):
            proposed = request.autonaming.proposed_name or f"{request.name}-{request.randomSeed[:4].hex()}"
            metadata["name"] = old["metadata"]["name"] if annotation(old, "autonamed") == "true" else proposed
            metadata["annotations"] = metadata.get("annotations", {}) | {"pulumi.com/autonamed": "true"}
        return pb.CheckResponse(inputs=dump(inputs))

    @answer
    def Diff(self, request: pb.DiffRequest) -> Any:
        (live, manager), new = state_of(request.olds), load(request.news)
        found = diff.changes(load(request.old_inputs), new)
        outcome = self._dry_run(new, manager, anew=True) if {*found.values()} - {"DELETE"} else None
        found = diff.confirmed(found, live, outcome) if outcome else found
        names = {path: diff.property_path(path) for path in found}
        replaced = [name for path, name in names.items() if diff.replaces(new, path)]
        kinds = {name: f"{found[path]}_REPLACE" if name in replaced else found[path] for path, name in names.items()}
        if annotation(new, "replaceUnready") == "true" and not awaits.judge(self._get(live) or live, self._ask)[0]:
            replaced.append("metadata.annotations")
        same_place = all(at(new, "metadata", key, default=None) == live["metadata"].get(key) for key in ("name", "namespace"))
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if names or replaced else pb.DiffResponse.DIFF_NONE,
            detailedDiff={k: pb.PropertyDiff(kind=v, inputDiff=v.startswith("DELETE")) for k, v in kinds.items()},
            hasDetailedDiff=True,
            replaces=replaced,
            deleteBeforeReplace=bool(replaced) and same_place and annotation(new, "autonamed") != "true",
        )

    @answer
    def Create(self, request: pb.CreateRequest) -> Any:
        inputs, (_, manager) = load(request.properties), state_of(request.properties)
        if request.preview:
            return pb.CreateResponse(properties=dump(self._promised(inputs, manager, anew=True)))
        state = self._settled(request, inputs, self._create(request.urn, inputs, manager), manager, request.timeout)
        return pb.CreateResponse(id=object_id(state), properties=dump(state))

    @answer
    def Update(self, request: pb.UpdateRequest) -> Any:
        inputs, (_, manager) = load(request.news), state_of(request.olds)
        if request.preview:
            return pb.UpdateResponse(properties=dump(self._promised(inputs, manager, anew=False)))
        state = self._settled(request, inputs, self._apply(inputs, manager), manager, request.timeout)
        return pb.UpdateResponse(properties=dump(state))

    @answer
    def Read(self, request: pb.ReadRequest) -> Any:
        old, (_, manager) = load(request.inputs), state_of(request.properties)
        namespace, _, name = request.id.rpartition("/")
        module, _, kind = request.type.partition(":")[2].rpartition(":")
        known = {"apiVersion": module.removeprefix("core/"), "kind": kind, "metadata": {"name": name}}
        known["metadata"] |= {"namespace": namespace} if namespace else {}
        live = self._get(old or known)
        if not live:
            return pb.ReadResponse()
        if old:  # a refresh: of what is managed, what it is like by now
            inputs = diff.prune(diff.readable(live), old)
            state = self._settled(request, inputs, live, manager, 0)
        else:  # an import or a get: all that a user may have said
            wanted = {k: v for k, v in live["metadata"].items() if k in ("labels", "annotations")}
            inputs = {k: v for k, v in live.items() if k != "status"} | {"metadata": known["metadata"] | wanted}
            state = checkpoint(inputs, live, manager)
        return pb.ReadResponse(id=request.id, properties=dump(state), inputs=dump(inputs))

    @answer
    def Delete(self, request: pb.DeleteRequest) -> Any:
        old, manager = state_of(request.properties)
        live = self._get(old)
        if live:
            self.api.ask("DELETE", self.api.path(old), {"propagationPolicy": "Foreground"})
        deadline = time.monotonic() + (request.timeout or PATIENCE_S)
        while live and live["metadata"]["uid"] == old["metadata"]["uid"] and annotation(old, "skipAwait") != "true":
            if self.cancelled.wait(POLL_S) or time.monotonic() > deadline:
                held = live["metadata"].get("finalizers") or at(live, "spec", "finalizers", default="none")
                message = f"{object_id(old)} is not gone yet; finalizers: {held}"
                raise NotReady(message, old, checkpoint(load(request.old_inputs), old, manager), [])
            live = self._get(old)
        return Empty()

    def _log(self, urn: str, message: str, severity: Any = engine_pb2.INFO, *, ephemeral: bool = False) -> None:
        self.engine.Log(engine_pb2.LogRequest(severity=severity, message=message, urn=urn, ephemeral=ephemeral))

    def _ask(self, path: str, **query: Any) -> Any:
        """What helps to understand: nothing where it is refused."""
        try:
            return self.api.ask("GET", path, **query)
        except Refused:
            return {}

    def _get(self, obj: Obj) -> Obj:
        """The live object, or nothing where it or its kind is gone."""
        try:
            live: Obj = self.api.ask("GET", self.api.path(obj))
        except Refused as fault:
            if fault.status != NOT_FOUND:
                raise
            return {}
        return live

    def _upserts(self) -> bool:
        return os.environ.get("PULUMI_K8S_UPSERT_EXISTING_OBJECTS") == "true"

    def _apply(self, inputs: Obj, manager: str, **query: str) -> Obj:
        force = str(annotation(inputs, "patchForce") == "true" or self._upserts()).lower()
        query |= {"fieldManager": manager, "force": force, "fieldValidation": "Warn"}
        try:
            live: Obj = self.api.ask("PATCH", self.api.path(inputs), inputs, "application/apply-patch+yaml", **query)
        except Refused as fault:
            what = f"the Kubernetes API server refused {inputs['kind']} {object_id(inputs)}"
            raise Refused(fault.status, f"{what}: {fault}") from None
        return live

    def _dry_run(self, inputs: Obj, manager: str, *, anew: bool) -> Obj | None:
        """What the server would make of `inputs`; `anew`: if need be, in place of the one there is. None: cannot say."""
        try:
            return None if has_unknown(inputs) else self._apply(inputs, manager, dryRun="All")
        except Unreachable as fault:
            if not self.warned.is_set():
                self._log("", str(fault), engine_pb2.WARNING)
            self.warned.set()
        except Refused as fault:
            if fault.status == INVALID and anew:
                other = inputs["metadata"] | {"name": f"preview-{secrets.token_hex(4)}"}
                return self._dry_run(inputs | {"metadata": other}, manager, anew=False)
            if fault.status not in (FORBIDDEN, NOT_FOUND):  # its namespace or kind may be part of this very preview
                raise
        return None

    def _promised(self, inputs: Obj, manager: str, *, anew: bool) -> Obj:
        outcome = self._dry_run(inputs, manager, anew=anew) or inputs
        promised = {k: v for k, v in outcome.items() if k != "status"} | {"metadata": inputs["metadata"]}
        return checkpoint(inputs, promised, manager)

    def _create(self, urn: str, inputs: Obj, manager: str, waits: tuple[float, ...] = RETRY_S) -> Obj:
        if not self._upserts() and self._get(inputs):
            raise Unfit(f"{inputs['kind']} {object_id(inputs)} already exists; import it, or delete it first")
        try:
            return self._apply(inputs, manager)
        except Refused as fault:
            if fault.status != NOT_FOUND or not waits or self.cancelled.wait(waits[0]):
                raise
            self._log(urn, f"trying again: {fault}", ephemeral=True)  # its kind or namespace may be on its way
        return self._create(urn, inputs, manager, waits[1:])

    def _settled(self, request: Any, inputs: Obj, live: Obj, manager: str, patience: float) -> Obj:
        """The state of the object once it is ready. Raises NotReady, with all that is known of why, if it fails."""
        started = looked = time.monotonic()
        said, closer = "", ""
        while annotation(inputs, "skipAwait") != "true":
            ready, message = awaits.judge(live, self._ask)
            now = time.monotonic()
            if ready:
                break
            if ready is None or self.cancelled.is_set() or now - started >= patience:
                how = "failed" if ready is None else "was cancelled" if self.cancelled.is_set() else "timed out"
                message = f"{live['kind']} {object_id(live)} exists, but the wait for it {how}: {message}"
                raise NotReady(message, live, checkpoint(inputs, live, manager), awaits.troubles(live, self._ask))
            if now - looked > LOOK_CLOSER_S:
                looked, closer = now, "; ".join(awaits.troubles(live, self._ask, lines=1))
            if f"{message}; {closer}" != said:
                said = f"{message}; {closer}"
                self._log(request.urn, said.removesuffix("; "), ephemeral=True)
            self.cancelled.wait(POLL_S)
            live = self._get(live) or live
        return checkpoint(inputs, live, manager)


def register(server: grpc.Server, engine: str) -> Callable[[], None]:
    """Serve the provider; the result ends its awaits."""
    host = Kubernetes(engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(host, server)
    return host.cancelled.set
