"""The `kubernetes` provider: objects by server-side apply, diffs by dry run, awaits. Follows pulumi-kubernetes 4.34."""

import hashlib
import os
import threading
import time
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2_grpc, status_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from rehearsal.plugins import awaits, diff
from rehearsal.plugins.api_server import FORBIDDEN, INVALID, NOT_FOUND, ApiServer, Refused, Unreachable
from rehearsal.plugins.properties import UNKNOWN, annotation, dump, load, secret
from rehearsal.plugins.told import Told, Unfit, answer

Obj = dict[str, Any]
POLL_S, PATIENCE_S = 0.5, 600.0


class NotReady(Told):
    """The object is there but not ready: it goes into the stack's state, and the next `up` takes it up again."""

    def __init__(self, inputs: Obj, state: Obj, reasons: list[str]) -> None:
        super().__init__(reasons[0])
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reasons[0])
        bags: Obj = {"id": object_id(state), "properties": dump(state), "inputs": dump(inputs)}
        status.details.add().Pack(pb.ErrorResourceInitFailed(reasons=reasons, **bags))
        self.metadata = (("grpc-status-details-bin", status.SerializeToString()),)


def object_id(obj: Obj) -> str:
    """`namespace/name`, or the name alone."""
    return "/".join(filter(None, (obj["metadata"].get("namespace"), obj["metadata"]["name"])))


def checkpoint(inputs: Obj, live: Obj, manager: str) -> Obj:
    """The state of an object, in the official plugin's shape; secret is where a secret has no path of the inputs'."""
    hidden = {"data": secret(live["data"])} if live["kind"] == "Secret" and "data" in live else {}
    ours = {"__inputs": secret(inputs), "__fieldManager": manager, "__initialApiVersion": live["apiVersion"]}
    return live | hidden | ours


def state_of(properties: Any, urn: str) -> tuple[Obj, str]:
    """The live object that a state holds, and the owner of its fields.

    The official plugin's owner is random. Ours follows from the URN, so that what a killed run made has the same one.
    """
    state = load(properties)
    manager = state.get("__fieldManager") or f"pulumi-kubernetes-{hashlib.sha256(urn.encode()).hexdigest()[:8]}"
    return {k: v for k, v in state.items() if not k.startswith("__")}, manager


class Kubernetes(provider_pb2_grpc.ResourceProviderServicer):
    """One provider of a program, that is one cluster. Its own settings are compared by the engine (no DiffConfig)."""

    def __init__(self, engine: str) -> None:
        self.engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine))
        self.cancelled, self.warning = threading.Event(), threading.Lock()
        self.upserts = os.environ.get("PULUMI_K8S_UPSERT_EXISTING_OBJECTS") == "true"
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
        metadata = inputs.setdefault("metadata", {})
        beyond = request.type.endswith(("List", "Patch", "CustomResourceDefinition")) or "helm.sh" in request.type
        if beyond or "generateName" in metadata or annotation(inputs, "waitFor")[:10] not in ("", "condition="):
            raise Unfit(f"{request.type}, as it is, is beyond this stand-in: no Helm, lists, patches, CRDs, jsonpath")
        if isinstance(metadata, dict) and not metadata.get("name"):
            proposed = request.autonaming.proposed_name or f"{request.name}-{request.randomSeed[:4].hex()}"
            metadata["name"] = old["metadata"]["name"] if annotation(old, "autonamed") == "true" else proposed
            metadata["annotations"] = metadata.get("annotations", {}) | {"pulumi.com/autonamed": "true"}
        return pb.CheckResponse(inputs=dump(inputs))

    @answer
    def Diff(self, request: pb.DiffRequest) -> Any:
        (live, manager), new = state_of(request.olds, request.urn), load(request.news)
        found = diff.changes(load(request.old_inputs), new)
        outcome = self._dry_run(new, manager, anew=True) if {*found.values()} - {"DELETE"} else None
        told = pb.DiffResponse(hasDetailedDiff=True)
        for path, kind in (diff.confirmed(found, live, outcome) if outcome else found).items():
            name, replaces = diff.property_path(path), diff.replaces(new, path)
            told.detailedDiff[name].kind = pb.PropertyDiff.Kind.Value(f"{kind}_REPLACE" if replaces else kind)
            told.detailedDiff[name].inputDiff = True
            told.replaces.extend([name] if replaces else [])
        if annotation(new, "replaceUnready") == "true" and not self._judge(self._get(live) or live)[0]:
            told.replaces.append("metadata.annotations")
        moved = {("metadata", "name"), ("metadata", "namespace")} & {*found}
        told.deleteBeforeReplace = bool(told.replaces) and not moved and annotation(new, "autonamed") != "true"
        told.changes = pb.DiffResponse.DIFF_SOME if told.detailedDiff or told.replaces else pb.DiffResponse.DIFF_NONE
        return told

    @answer
    def Create(self, request: pb.CreateRequest) -> Any:
        inputs, (_, manager) = load(request.properties), state_of(request.properties, request.urn)
        if not request.preview and not self.upserts and self._get(inputs):
            raise Unfit(f"{inputs['kind']} {object_id(inputs)} already exists; delete it first")
        state = self._write(request, inputs, manager, anew=True)
        return pb.CreateResponse(id="" if request.preview else object_id(state), properties=dump(state))

    @answer
    def Update(self, request: pb.UpdateRequest) -> Any:
        inputs, (_, manager) = load(request.news), state_of(request.olds, request.urn)
        diff.leave(inputs, self._get(inputs), request.ignoreChanges)
        return pb.UpdateResponse(properties=dump(self._write(request, inputs, manager, anew=False)))

    @answer
    def Read(self, request: pb.ReadRequest) -> Any:
        old, (_, manager) = load(request.inputs), state_of(request.properties, request.urn)
        if not old:
            raise Unfit("an import, or a get of what is not the stack's, is beyond this stand-in")
        if not (live := self._get(old)):
            return pb.ReadResponse()
        inputs = diff.prune(diff.readable(live), old)
        state = self._settled(request, inputs, live, manager, 0)
        return pb.ReadResponse(id=request.id, properties=dump(state), inputs=dump(inputs))

    @answer
    def Delete(self, request: pb.DeleteRequest) -> Any:
        old, _ = state_of(request.properties, request.urn)
        live = self._get(old)
        if live:
            self.api.ask("DELETE", self.api.path(old), {"propagationPolicy": "Foreground"})
        deadline = time.monotonic() + (request.timeout or PATIENCE_S)
        while live and live["metadata"]["uid"] == old["metadata"]["uid"] and annotation(old, "skipAwait") != "true":
            if self.cancelled.wait(POLL_S) or time.monotonic() > deadline:
                raise Unfit(f"{object_id(old)} is not gone yet; finalizers: {live['metadata'].get('finalizers')}")
            live = self._get(old)
        return Empty()

    def _ask(self, path: str, **query: Any) -> Any:
        """What helps to understand: nothing where it is refused, or nobody answers."""
        try:
            return self.api.ask("GET", path, **query)
        except (Refused, Unreachable):
            return {}

    def _look(self, live: Obj) -> Obj:
        """The live object, or what it was: an API server that restarts is waited for, as the official watches do."""
        try:
            return self._get(live) or live
        except (Refused, Unreachable) as fault:
            if fault.passing:
                return live
            raise

    def _judge(self, live: Obj) -> awaits.Verdict:
        return awaits.judge(live, self._ask)

    def _get(self, obj: Obj) -> Any:
        """The live object, or nothing where it or its kind is gone."""
        try:
            return self.api.ask("GET", self.api.path(obj))
        except Refused as fault:
            if fault.status != NOT_FOUND:
                raise
            return {}

    def _apply(self, inputs: Obj, manager: str, *, force: bool = False, **query: str) -> Any:
        force = force or self.upserts or annotation(inputs, "patchForce") == "true"
        query |= {"fieldManager": manager, "force": str(force).lower()}
        return self.api.ask("PATCH", self.api.path(inputs), inputs, "application/apply-patch+yaml", **query)

    def _dry_run(self, inputs: Obj, manager: str, *, anew: bool) -> Any:
        """What the server would make of `inputs`, if need be `anew` in place of what there is. None: it cannot say."""
        try:
            return None if UNKNOWN in repr(inputs) else self._apply(inputs, manager, force=anew, dryRun="All")
        except Unreachable as fault:
            if self.warning.acquire(blocking=False):  # once, not for every object
                self.engine.Log(engine_pb2.LogRequest(severity=engine_pb2.WARNING, message=str(fault)))
        except Refused as fault:
            if fault.status == INVALID and anew:
                other = inputs["metadata"] | {"name": f"preview-{os.urandom(4).hex()}"}
                return self._dry_run(inputs | {"metadata": other}, manager, anew=False)
            if fault.status not in (FORBIDDEN, NOT_FOUND):  # its namespace or kind may be part of this very preview
                raise
        return None

    def _write(self, request: Any, inputs: Obj, manager: str, *, anew: bool) -> Obj:
        """The state of what was applied and awaited; in a preview, what is known of it beforehand."""
        if not request.preview:
            return self._settled(request, inputs, self._apply(inputs, manager), manager, request.timeout or PATIENCE_S)
        outcome = self._dry_run(inputs, manager, anew=anew) or inputs
        promised = {k: v for k, v in outcome.items() if k != "status"} | {"metadata": inputs["metadata"]}
        return checkpoint(inputs, promised, manager)

    def _settled(self, request: Any, inputs: Obj, live: Obj, manager: str, patience: float) -> Obj:
        """The state of the object once it is ready. Raises NotReady, with all that is known of why, if it fails."""
        deadline, said = time.monotonic() + patience, ""
        while annotation(inputs, "skipAwait") != "true":
            ready, message = self._judge(live)
            if ready:
                break
            if ready is None or self.cancelled.is_set() or time.monotonic() >= deadline:
                how = "failed" if ready is None else "was cancelled" if self.cancelled.is_set() else "timed out"
                message = f"{live['kind']} {object_id(live)} exists, but the wait for it {how}: {message}"
                raise NotReady(inputs, checkpoint(inputs, live, manager), [message, *awaits.troubles(live, self._ask)])
            message = "; ".join([message, *awaits.troubles(live, self._ask, lines=1)])
            if message != said:
                said, about = message, {"severity": engine_pb2.INFO, "urn": request.urn, "ephemeral": True}
                self.engine.Log(engine_pb2.LogRequest(message=message, **about))
            self.cancelled.wait(POLL_S)
            live = self._look(live)
        return checkpoint(inputs, live, manager)


def register(server: grpc.Server, engine: str) -> None:
    """Serve the provider."""
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Kubernetes(engine), server)
