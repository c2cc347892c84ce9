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
import yaml
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2_grpc, status_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from rehearsal.plugins import awaits, diff
from rehearsal.plugins.api_server import FORBIDDEN, INVALID, NOT_FOUND, ApiServer, Refused, Unreachable
from rehearsal.plugins.properties import UNKNOWN, bare, dump, has_unknown, like, load, secret

Obj = dict[str, Any]
OURS = ("__inputs", "__fieldManager", "__initialApiVersion")  # what the state holds beside the live object
SERVER_SET = """creationTimestamp deletionGracePeriodSeconds deletionTimestamp generation managedFields resourceVersion
    uid"""
POLL_S, LOOK_CLOSER_S, PATIENCE_S, RETRIES = 0.5, 5.0, 600.0, 5


class Unfit(Exception):
    """Inputs that this plugin refuses, or the API server."""


class NotReady(Exception):
    """The object is there but not ready: `state` goes into the stack's state, and the next `up` takes it up again."""

    def __init__(self, message: str, live: Obj, state: Obj, reasons: list[str]) -> None:
        super().__init__(message)
        self.live, self.state, self.reasons = live, state, reasons


def annotation(obj: Obj, name: str) -> str:
    """The value of `pulumi.com/NAME`, or nothing."""
    metadata = obj.get("metadata") or {}
    return "" if metadata == UNKNOWN else str((metadata.get("annotations") or {}).get(f"pulumi.com/{name}", ""))


def object_id(obj: Obj) -> str:
    """`namespace/name`, or the name alone."""
    metadata = obj["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])


def cleaned(obj: Obj) -> Obj:
    """`obj` without what only the server sets."""
    metadata = obj.get("metadata") or {}
    kept = metadata if metadata == UNKNOWN else {k: v for k, v in metadata.items() if k not in SERVER_SET.split()}
    return obj | {"metadata": kept}


def checkpoint(inputs: Obj, live: Obj, pattern: Obj, manager: str) -> Obj:
    """The state of an object: live, and its inputs; secret is what is so in `pattern`, and always a Secret's data."""
    state, recorded = like(live, pattern), like(inputs, pattern)
    if live["kind"] == "Secret":
        hidden = ("data", "stringData")
        state, recorded = ({k: secret(v) if k in hidden else v for k, v in part.items()} for part in (state, recorded))
    return dict(state, __inputs=recorded, __fieldManager=manager, __initialApiVersion=live["apiVersion"])


def clusters(settings: Obj) -> Any:
    """What a kubeconfig given as content says of its clusters; nothing for a path, whose content may change."""
    given = yaml.safe_load(settings.get("kubeconfig", ""))
    return (given.get("clusters"), settings.get("context")) if isinstance(given, dict) else None


def named(inputs: Obj, old: Obj, proposed: str) -> Obj:
    """`inputs` with a name: their own, else that of the `old` inputs if it was made up too, else the `proposed` one."""
    metadata = inputs["metadata"]
    if metadata == UNKNOWN or metadata.get("name"):
        return inputs
    if metadata.get("generateName"):
        raise Unfit("the `.metadata.generateName` field is not supported in Server-Side Apply mode")
    name = old["metadata"]["name"] if annotation(old, "autonamed") == "true" else proposed
    annotations = (metadata.get("annotations") or {}) | {"pulumi.com/autonamed": "true"}
    return inputs | {"metadata": metadata | {"name": name, "annotations": annotations}}


def answer(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what the cluster or the inputs are at fault for into one clear line instead of a traceback."""

    @functools.wraps(method)
    def call(self: Kubernetes, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request)
        except NotReady as fault:
            failed = pb.ErrorResourceInitFailed(id=object_id(fault.live), properties=dump(fault.state))
            failed.inputs.CopyFrom(dump(fault.state["__inputs"]))
            failed.reasons.extend([str(fault), *fault.reasons])
            status = status_pb2.Status(code=2, message=str(fault), details=[AnyMessage()])
            status.details[0].Pack(failed)
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(grpc.StatusCode.UNKNOWN, str(fault))
        except (Refused, Unreachable, Unfit) as fault:
            context.abort(grpc.StatusCode.UNKNOWN, str(fault))

    return call


class Kubernetes(provider_pb2_grpc.ResourceProviderServicer):
    """One provider of a program, that is one cluster."""

    def __init__(self, engine: str) -> None:
        self.engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine))
        self.cancelled, self.warned = threading.Event(), threading.Event()
        self.api = ApiServer({})

    def GetPluginInfo(self, request: Empty, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="4.34.2+stand-in")

    def CheckConfig(self, request: pb.CheckRequest, context: Any) -> Any:
        return pb.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: pb.DiffRequest, context: Any) -> Any:
        old, new = bare(load(request.olds)), bare(load(request.news))
        changed = {name for name in {*old, *new} if old.get(name) != new.get(name)}
        # Another cluster replaces everything in it. Its identifier says which it is, or else the kubeconfig does.
        known = "clusterIdentifier" in old or "clusterIdentifier" in new
        identity = {"clusterIdentifier"} & {*old} & {*new} if known else {"kubeconfig", "context", "cluster"}
        if clusters(old) == clusters(new):
            identity -= {"kubeconfig", "context"}
        changes = pb.DiffResponse.DIFF_SOME if changed else pb.DiffResponse.DIFF_NONE
        return pb.DiffResponse(changes=changes, diffs=sorted(changed), replaces=sorted(changed & identity))

    def Configure(self, request: pb.ConfigureRequest, context: Any) -> Any:
        self.api = ApiServer({k.removeprefix("kubernetes:config:"): v for k, v in request.variables.items()})
        self._log("", "this is a stand-in for the official kubernetes plugin", engine_pb2.DEBUG)
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True)

    def Cancel(self, request: Empty, context: Any) -> Any:
        self.cancelled.set()
        return Empty()

    @answer
    def Check(self, request: pb.CheckRequest) -> Any:
        kind = request.urn.split("::")[2].rpartition("$")[2]
        if kind.endswith(("List", "Patch")) or "helm.sh" in kind:
            raise Unfit(f"{kind} is beyond this stand-in; declare the objects themselves")
        given = load(request.news)
        made_up = f"{request.urn.rpartition('::')[2]}-{request.randomSeed[:4].hex() or secrets.token_hex(4)}"
        proposed = request.autonaming.proposed_name or made_up
        inputs = named(cleaned(bare(given)), bare(load(request.olds)), proposed)
        metadata = inputs["metadata"]
        unplaced = metadata != UNKNOWN and not metadata.get("namespace")
        if unplaced and self.api.is_namespaced(inputs["apiVersion"], inputs["kind"]):
            inputs = inputs | {"metadata": metadata | {"namespace": self.api.namespace}}
        return pb.CheckResponse(inputs=dump(like(inputs, given)))

    @answer
    def Diff(self, request: pb.DiffRequest) -> Any:
        state, new = bare(load(request.olds)), cleaned(bare(load(request.news)))
        live = {k: v for k, v in state.items() if k not in OURS}
        found = diff.against_state(live, cleaned(bare(load(request.old_inputs)) or state["__inputs"]), new)
        if {*found.values()} - {"DELETE"} and not has_unknown(new):
            try:
                found = diff.confirmed(found, live, self._dry_run(new, live, state["__fieldManager"], anew=True))
            except Unreachable as fault:
                self._warn_once(fault)
            except Refused:
                pass  # its namespace or kind is to come, or it is not valid: nothing to be learnt for the diff
        forced = diff.force_new(new, mutable=self._flag(f"enable{new['kind']}Mutable"))
        detailed, replaced = {}, []
        for path, change in found.items():
            name, replaces = diff.property_path(path), diff.replaces(path, forced)
            kind = pb.PropertyDiff.Kind.Value(f"{change}_REPLACE" if replaces else change)
            detailed[name] = pb.PropertyDiff(kind=kind, inputDiff=change == "DELETE")
            replaced += [name] if replaces else []
        if new["kind"] == "Job" and annotation(new, "replaceUnready") == "true":
            job = self._get(live)
            replaced += [] if job and awaits.judge(job, self._ask)[0] else ["metadata.annotations"]
        changes = pb.DiffResponse.DIFF_SOME if detailed or replaced else pb.DiffResponse.DIFF_NONE
        fixed = annotation(new, "autonamed") != "true" and new["metadata"] != UNKNOWN
        first = bool(replaced) and fixed and object_id(new) == request.id
        return pb.DiffResponse(
            changes=changes, replaces=replaced, detailedDiff=detailed, hasDetailedDiff=True, deleteBeforeReplace=first
        )

    @answer
    def Create(self, request: pb.CreateRequest) -> Any:
        name, state = self._write(request, request.properties, {})
        return pb.CreateResponse(id="" if request.preview else name, properties=state)

    @answer
    def Update(self, request: pb.UpdateRequest) -> Any:
        return pb.UpdateResponse(properties=self._write(request, request.news, bare(load(request.olds)))[1])

    @answer
    def Read(self, request: pb.ReadRequest) -> Any:
        state, given = bare(load(request.properties)), load(request.inputs)
        old = cleaned(bare(given))
        if not given:  # an import or a get: all that is known is the type and the name
            module, _, kind = request.urn.split("::")[2].rpartition("$")[2].partition(":")[2].rpartition(":")
            namespace, _, name = request.id.rpartition("/")
            known = {"apiVersion": module.removeprefix("core/"), "kind": kind}
            old = known | {"metadata": {"name": name, "namespace": namespace}}
        live = self._get(old)
        if not live:
            return pb.ReadResponse()
        inputs = diff.prune(diff.readable(live), old)
        if not given:
            inputs = cleaned({k: v for k, v in live.items() if k != "status"})
            inputs["metadata"].get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
        manager = state.get("__fieldManager") or manager_name()
        record = functools.partial(checkpoint, inputs, pattern=given, manager=manager)
        if given and live["kind"] in (*awaits.PODS_OF, "Service"):
            live = self._settled(request.urn, inputs, live, 0, record)
        recorded = record(live)
        return pb.ReadResponse(id=request.id, properties=dump(recorded), inputs=dump(recorded["__inputs"]))

    @answer
    def Delete(self, request: pb.DeleteRequest) -> Any:
        state = load(request.properties)
        old, inputs = bare(state), bare(state["__inputs"])
        policy = annotation(inputs, "deletionPropagationPolicy").capitalize() or "Foreground"
        found = self._get(old)
        if found:
            self._ask(self.api.path(old), "DELETE", {"propagationPolicy": policy})
        skip = annotation(inputs, "skipAwait") == "true" and old["kind"] in (*awaits.PODS_OF, "Namespace")
        deadline = time.monotonic() + self._patience(request.timeout, inputs)
        while found and not skip and found["metadata"]["uid"] == old["metadata"]["uid"]:
            if self.cancelled.wait(POLL_S) or time.monotonic() > deadline:
                held = found["metadata"].get("finalizers") or (found.get("spec") or {}).get("finalizers") or "none"
                raise NotReady(f"{object_id(old)} is not gone yet; finalizers: {held}", old, state, [])
            found = self._get(old)
        return Empty()

    def _log(self, urn: str, message: str, severity: Any = engine_pb2.INFO, *, ephemeral: bool = False) -> None:
        self.engine.Log(engine_pb2.LogRequest(severity=severity, message=message, urn=urn, ephemeral=ephemeral))

    def _warn_once(self, fault: Unreachable) -> None:
        if not self.warned.is_set():
            self.warned.set()
            self._log("", str(fault), engine_pb2.WARNING)

    def _flag(self, name: str) -> bool:
        variable = "PULUMI_K8S" + "".join(f"_{c}" if c.isupper() else c for c in name[0].upper() + name[1:]).upper()
        return self.api.settings.get(name, os.environ.get(variable, "")) == "true"

    def _patience(self, asked: float, inputs: Obj) -> float:
        return asked or float(annotation(inputs, "timeoutSeconds") or PATIENCE_S)

    def _ask(self, path: str, method: str = "GET", body: Any = None, **query: Any) -> Any:
        try:
            return self.api.ask(method, path, body, **query)
        except Refused as fault:
            if method == "GET" or fault.status == NOT_FOUND:
                return {}
            raise

    def _get(self, obj: Obj) -> Obj:
        """The live object, or nothing where it, its kind, or (if the user says so) its whole cluster is gone."""
        try:
            live: Obj = self.api.ask("GET", self.api.path(obj))
        except Refused as fault:
            if fault.status == NOT_FOUND:
                return {}
            raise
        except Unreachable as fault:
            if self._flag("deleteUnreachable"):
                return {}
            hint = "if the cluster was deleted, PULUMI_K8S_DELETE_UNREACHABLE=true removes its resources from the state"
            raise Unfit(f"{fault}; {hint}") from None
        return live

    def _apply(self, inputs: Obj, live: Obj, manager: str, **query: str) -> Obj:
        # What a client-side tool wrote before an import is ours to take over, as the official plugin does.
        former = [f["manager"] for f in live.get("metadata", {}).get("managedFields", ()) if f["operation"] == "Update"]
        adopt = any(name.startswith(("kubectl", "before-first-apply", "pulumi-kubernetes")) for name in former)
        force = annotation(inputs, "patchForce") == "true" or self._flag("enablePatchForce") or adopt
        query = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Warn"} | query
        applied: Obj = self.api.ask("PATCH", self.api.path(inputs), inputs, "application/apply-patch+yaml", **query)
        return applied

    def _dry_run(self, inputs: Obj, live: Obj, manager: str, *, anew: bool) -> Obj:
        """What the server would make of `inputs`; `anew`: if need be, in place of the one there is."""
        try:
            return self._apply(inputs, live, manager, dryRun="All", **({} if live else {"force": "true"}))
        except Refused as fault:
            if fault.status != INVALID or not anew:
                raise
            other = inputs["metadata"] | {"name": f"preview-{secrets.token_hex(4)}"}
            return self._apply(inputs | {"metadata": other}, {}, manager, dryRun="All")

    def _create(self, urn: str, inputs: Obj, manager: str) -> Obj:
        for attempt in range(RETRIES + 1):
            try:
                if not self._flag("upsertExistingObjects") and self._ask(self.api.path(inputs)):
                    raise Unfit(f"{inputs['kind']} {object_id(inputs)} already exists; import it, or delete it first")
                return self._apply(inputs, {}, manager)
            except Refused as fault:
                # The CRD or the namespace that it needs may be on its way.
                if fault.status != NOT_FOUND or attempt == RETRIES or self.cancelled.wait(2**attempt / 2):
                    raise
                self._log(urn, f"Retry #{attempt}; creation failed: {fault}", ephemeral=True)
        raise AssertionError

    def _write(self, request: Any, bag: Struct, state: Obj) -> tuple[str, Struct]:
        """Create or (with a `state`) update an object and await it: its id and state, which a preview promises."""
        given = load(bag)
        inputs = cleaned(bare(given))
        manager = annotation(inputs, "patchFieldManager") or state.get("__fieldManager") or manager_name()
        record = functools.partial(checkpoint, inputs, pattern=given, manager=manager)
        if request.preview and has_unknown(inputs):
            return "", bag
        try:
            if request.preview:
                live = self._dry_run(inputs, state, manager, anew=not state)
                live.pop("status", None)
                return "", dump(record(live))
            live = self._apply(inputs, state, manager) if state else self._create(request.urn, inputs, manager)
        except Unreachable as fault:
            if not request.preview:
                raise
            self._warn_once(fault)
            return "", bag
        except Refused as fault:
            if request.preview and fault.status in (
                FORBIDDEN,
                NOT_FOUND,
            ):  # its namespace or kind is part of this very preview
                return "", bag
            raise Unfit(f"the Kubernetes API server refused {inputs['kind']} {object_id(inputs)}: {fault}") from None
        live = self._settled(request.urn, inputs, live, self._patience(request.timeout, inputs), record)
        return object_id(live), dump(record(live))

    def _settled(self, urn: str, inputs: Obj, live: Obj, patience: float, record: Callable[[Obj], Obj]) -> Obj:
        """The object once it is ready. Raises NotReady, with all that is known of why, if it fails or time is up."""
        started = looked = time.monotonic()
        said, closer = "", ""
        while annotation(inputs, "skipAwait") != "true":
            ready, message = awaits.judge(live, self._ask)
            now = time.monotonic()
            if ready:
                self._log(urn, "", ephemeral=True)
                break
            if ready is None or self.cancelled.is_set() or now - started >= patience:
                how = "failed" if ready is None else "was cancelled" if self.cancelled.is_set() else "timed out"
                message = f"{live['kind']} {object_id(live)} exists, but the wait for it {how}: {message}"
                raise NotReady(message, live, record(live), awaits.troubles(live, self._ask))
            if now - looked > LOOK_CLOSER_S:
                looked, closer = now, "; ".join(awaits.troubles(live, self._ask, lines=1))
            if f"{message}; {closer}" != said:
                said = f"{message}; {closer}"
                self._log(urn, said.removesuffix("; "), ephemeral=True)
            self.cancelled.wait(POLL_S)
            live = self._get(live) or live
        return live


def manager_name() -> str:
    """A name for the owner of an object's fields, random as the official plugin's."""
    return f"pulumi-kubernetes-{secrets.token_hex(4)}"


def register(server: grpc.Server, engine: str) -> Callable[[], None]:
    """Serve the provider; the result ends its awaits."""
    host = Kubernetes(engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(host, server)
    return host.cancelled.set
