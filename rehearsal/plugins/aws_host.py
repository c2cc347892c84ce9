"""The `aws` provider for previews without an account and for rehearsals against moto. Follows pulumi-aws 7.51.

A preview asks nobody: what AWS would decide is unknown in it. Anything else needs a loopback AWS_ENDPOINT_URL.
"""

import base64
import json
import os
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import plugin_pb2, provider_pb2_grpc
from pulumi.runtime.proto import provider_pb2 as pb

from rehearsal.plugins import diff
from rehearsal.plugins.aws_client import Aws, Refused, bare, fit
from rehearsal.plugins.aws_guard import ACCOUNT, ENDPOINT
from rehearsal.plugins.aws_kinds import CLUSTER, KINDS, TAGS, Arg, Call, Kind, Loose, Obj
from rehearsal.plugins.properties import UNKNOWN, dump, load
from rehearsal.plugins.told import Unfit, answer

COMMON = {"tags", "tagsAll", "region", "__defaults"}
GET_CLUSTER = "aws:eks/getCluster:getCluster"


def kind_of(urn: str) -> Kind:
    """The kind of a resource, by its URN or type. Raises Unfit for one that the program does not use."""
    token = urn.split("::")[2].rpartition("$")[2] if "::" in urn else urn
    if token not in KINDS:
        raise Unfit(f"{token} is beyond the stand-in for the aws plugin; add it to rehearsal/plugins/aws_kinds.py")
    return KINDS[token]


def placeholder(name: str, region: str) -> Obj:
    """Facts of a cluster that nobody was asked for, which cannot be taken for real ones."""
    return {
        "arn": f"arn:aws:eks:{region}:{'0' * 12}:cluster/{name}",
        "endpoint": f"https://{name}.eks.invalid",
        "certificateAuthorities": [{"data": base64.b64encode(b"placeholder").decode()}],
        "status": "PLACEHOLDER",
        "version": "0.0",
        "vpcConfig": {"clusterSecurityGroupId": "sg-placeholder", "vpcId": "vpc-placeholder", "subnetIds": []},
    }


def value(arg: Arg, state: Obj) -> Any:
    """What a member of a request is."""
    import jmespath  # type: ignore[import-untyped]  # noqa: PLC0415 - no preview needs it

    return arg(state) if callable(arg) else jmespath.search(arg, state)


class AmazonWebServices(provider_pb2_grpc.ResourceProviderServicer):
    """One provider of a program, that is one region."""

    def __init__(self) -> None:
        self.aws = Aws("")
        self.tags: dict[str, str] = {}

    def GetPluginInfo(self, request: Empty, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="7.51.1+stand-in")

    def Configure(self, request: pb.ConfigureRequest, context: Any) -> Any:
        settings = {name.removeprefix("aws:config:"): text for name, text in request.variables.items()}
        self.aws = Aws(settings.get("region", ""))
        self.tags = json.loads(settings.get("defaultTags", "{}")).get("tags", {})
        return pb.ConfigureResponse(supportsPreview=True, supports_autonaming_configuration=True)

    @answer
    def DiffConfig(self, request: pb.DiffRequest) -> Any:
        old, new = load(request.old_inputs), load(request.news)
        changed = sorted({str(path[0]) for path in diff.changes(old, new)})
        told = pb.DiffResponse(diffs=changed, replaces=[name for name in changed if name == "region"])
        told.changes = pb.DiffResponse.DIFF_SOME if changed else pb.DiffResponse.DIFF_NONE
        return told

    def Cancel(self, request: Empty, context: Any) -> Any:
        return Empty()

    @answer
    def Invoke(self, request: pb.InvokeRequest) -> Any:
        if request.tok != GET_CLUSTER:
            raise Unfit(f"{request.tok} is beyond the stand-in for the aws plugin")
        name = load(request.args)["name"]
        facts = placeholder(name, self.aws.region)
        if os.environ.get(ENDPOINT):
            it = self.aws.ask("eks", "describe_cluster", name=name)["cluster"]
            facts = {output: value(path, {"it": it}) for output, path in CLUSTER.items()}
            facts["certificateAuthorities"] = [facts.pop("certificateAuthority")]
        answered: Any = {"return": dump({**facts, "id": name, "name": name})}
        return pb.InvokeResponse(**answered)

    @answer
    def Check(self, request: pb.CheckRequest) -> Any:
        inputs, old, kind = load(request.news), load(request.olds), kind_of(request.type)
        if unknown := {*inputs} - kind.inputs - COMMON:
            raise Unfit(f"{request.type}: {', '.join(sorted(unknown))}: beyond the stand-in for the aws plugin")
        inputs = {**kind.defaults, **inputs}
        if kind.name and kind.name not in inputs:
            proposed = request.autonaming.proposed_name or f"{request.name}-{request.randomSeed.hex()[:7]}"
            inputs[kind.name] = old[kind.name] if kind.name in old.get("__defaults", []) else proposed
            inputs["__defaults"] = [kind.name]
        if kind.longest and inputs[kind.name] != UNKNOWN and len(inputs[kind.name]) > kind.longest:
            raise Unfit(
                f"{request.type}: {kind.name} {inputs[kind.name]!r} has {len(inputs[kind.name])} characters; allowed "
                f"by AWS: {kind.longest}; choose a shorter one in the settings it is made of"
            )
        if self.tags or "tags" in inputs:
            inputs["tagsAll"] = {**self.tags, **inputs.get("tags", {})}
        return pb.CheckResponse(inputs=dump(inputs))

    @answer
    def Diff(self, request: pb.DiffRequest) -> Any:
        old, new, kind = load(request.old_inputs), load(request.news), kind_of(request.urn)
        told = pb.DiffResponse(hasDetailedDiff=True)
        for path, how in diff.changes(old, new).items():
            if path[0] == "__defaults":
                continue
            name, replaces = diff.property_path(path), diff.touches(kind.replaces, path)
            told.diffs.append(str(path[0]))
            told.detailedDiff[name].kind = pb.PropertyDiff.Kind.Value(f"{how}_REPLACE" if replaces else how)
            told.detailedDiff[name].inputDiff = True
            told.replaces.extend([name] if replaces else [])
        named = bool(kind.name) and kind.name not in new.get("__defaults", [])
        told.deleteBeforeReplace = bool(told.replaces) and named and old.get(kind.name) == new.get(kind.name)
        told.changes = pb.DiffResponse.DIFF_SOME if told.detailedDiff else pb.DiffResponse.DIFF_NONE
        return told

    @answer
    def Create(self, request: pb.CreateRequest) -> Any:
        inputs, kind = load(request.properties), kind_of(request.urn)
        if request.preview:
            return pb.CreateResponse(properties=request.properties)
        state = {**inputs, "old": {}, "given": _given(inputs), "region": self.aws.region}
        state["tags"] = inputs.get("tagsAll")
        state["answer"] = self._call(kind, kind.create, state, [*_given(inputs), "tags"])
        state["id"] = value(kind.id, state)
        state["it"] = self._find(kind, state)
        for call in kind.updates:
            if call.after and (not call.on or {*call.on} & {*inputs}):
                self._call(kind, call, state, call.on)
        return pb.CreateResponse(id=state["id"], properties=dump(self._told(kind, inputs, state["id"])))

    @answer
    def Update(self, request: pb.UpdateRequest) -> Any:
        old, inputs, kind = load(request.old_inputs), load(request.news), kind_of(request.urn)
        before = {name: given for name, given in load(request.olds).items() if name not in old}
        if request.preview:
            known = {name: given for name, given in before.items() if name not in kind.volatile}
            # Of an input that is an output too, what AWS had added stays as well: a cluster's security group.
            parts = {name: load(request.olds).get(name) for name in kind.outputs if isinstance(inputs.get(name), dict)}
            both = {name: {**(given or {}), **inputs[name]} for name, given in parts.items()}
            return pb.UpdateResponse(properties=dump({**known, **inputs, **both}))
        changed = {str(path[0]) for path in diff.changes(old, inputs)}
        changes = Loose({name: inputs[name] for name in changed if name in inputs})
        state = {**before, **inputs, "old": old, "given": _given(inputs), "changed": changes, "region": self.aws.region}
        state["id"] = request.id
        for call in kind.updates:
            if {*call.on} & changed:
                self._call(kind, call, state, {*call.on} & changed)
        if "tagsAll" in changed:
            self._tag(kind, state)
        return pb.UpdateResponse(properties=dump(self._told(kind, inputs, request.id)))

    @answer
    def Read(self, request: pb.ReadRequest) -> Any:
        inputs, kind = load(request.inputs), kind_of(request.urn)
        if not inputs:
            raise Unfit(f"{request.type} {request.id}: the stand-in for the aws plugin imports nothing")
        state = self._state(kind, inputs, request.id)
        if not state:
            return pb.ReadResponse()
        now = {**inputs, **live(_given(inputs), state.pop("it"))}
        changed = {name: each for name, each in now.items() if name not in kind.outputs}
        return pb.ReadResponse(id=request.id, properties=dump({**state, **changed}), inputs=dump(now))

    @answer
    def Delete(self, request: pb.DeleteRequest) -> Any:
        state, kind = {**load(request.properties), "id": request.id, "region": self.aws.region}, kind_of(request.urn)
        for call in kind.delete:
            try:
                self._call(kind, call, state, ())
            except Refused as fault:
                if not fault.gone:
                    raise
        return Empty()

    def _call(self, kind: Kind, call: Call, state: Obj, names: Any) -> Any:
        """Carry out a call, with `args` and the inputs `names` as far as its request has them."""
        operation = call.operation(state) if callable(call.operation) else call.operation
        if not operation:
            return {}
        shape = self.aws.shape(kind.service, operation)
        same = {bare(name): name for name in names}
        request = {}
        for member, what in shape.members.items():
            if member == "TagSpecifications" and kind.tag:
                given: Any = [{"resourceType": kind.tag, "tags": state["tags"]}] if state.get("tags") else None
            elif member in call.args:
                given = value(call.args[member], state)
            else:
                given = state.get(same.get(bare(member), ""))
            if given is not None:
                request[member] = fit(what, given, member)
        return self.aws.ask(kind.service, operation, **request)

    def _find(self, kind: Kind, state: Obj) -> Any:
        """How AWS describes the resource, or None where it is gone."""
        try:
            found = value(kind.found, self._call(kind, kind.read, state, ()))
        except Refused as fault:
            if not fault.gone:
                raise
            return None
        if kind.match:
            wanted = {field: state[name] for field, name in kind.match.items()}
            found = next((each for each in found or [] if wanted.items() <= each.items()), None)
        return found

    def _told(self, kind: Kind, inputs: Obj, id_: str) -> Obj:
        """Inputs and outputs of the resource."""
        return {name: each for name, each in self._state(kind, inputs, id_).items() if name != "it"}

    def _state(self, kind: Kind, inputs: Obj, id_: str) -> Obj:
        """Inputs and outputs of the resource and `it`, AWS's description, or nothing where it is gone."""
        state = {**inputs, "id": id_, "region": self.aws.region}
        state["it"] = self._find(kind, state)
        if not state["it"]:
            return {}
        what = f"arn:aws:ec2:{self.aws.region}:{ACCOUNT}:{kind.tag}/{id_}"
        told = {name: value(path, state) for name, path in kind.outputs.items()}
        plain: Obj = json.loads(json.dumps({"arn": what, **told} if kind.tag else told, default=str))
        return {**inputs, **{name: each for name, each in plain.items() if each is not None}, "it": state["it"]}

    def _tag(self, kind: Kind, state: Obj) -> None:
        put, take, which, keys = TAGS[kind.service]
        now, old = state.get("tagsAll") or {}, state["old"].get("tagsAll") or {}
        dropped: Any = sorted({*old} - {*now})
        if dropped:
            names: Obj = {"Tags": lambda _: [{"Key": key} for key in dropped]} if put == "create_tags" else {}
            names |= {} if names else {keys: lambda _: dropped}
            self._call(kind, Call(operation=take, args={**which, **names}), state, ())
        if now:
            tags = {"tags": lambda _: now, "Tags": lambda _: now}
            self._call(kind, Call(operation=put, args={**which, **tags}), state, ())


def live(inputs: Obj, it: Any) -> Obj:
    """The inputs as AWS's description `it` has them, where it has them under their name and in their type."""
    found = {bare(name): each for name, each in it.items()} if isinstance(it, dict) else {}
    return {name: _live(given, found.get(bare(name))) for name, given in inputs.items()}


def _live(given: Any, found: Any) -> Any:
    if type(given) is not type(found):
        return given
    if isinstance(given, dict):
        return live(given, found)
    if isinstance(given, list):
        return given if _in_order(given) == _in_order(found) or {*map(type, given)} != {*map(type, found)} else found
    return found


def _in_order(values: list[Any]) -> list[str]:
    """What is in a list, whatever the order: AWS keeps none."""
    return sorted(json.dumps(each, sort_keys=True, default=str) for each in values)


def _given(inputs: Obj) -> Loose:
    return Loose({name: each for name, each in inputs.items() if name not in COMMON})


def register(server: grpc.Server, _engine: str) -> None:
    """Serve the provider."""
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(AmazonWebServices(), server)
