"""A stack's whole life on moto's server: made, read back, made again, changed, destroyed, nothing left."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from components.facts import ec2
from components.settings import EksCluster, EksPool, Settings
from components.settings.storage import Gp3
from rehearsal import stack
from rehearsal.aws import inventory, running
from rehearsal.aws.kubernetes_host import RENDER
from rehearsal.fault import Fault
from rehearsal.places import CHECKOUT, Places
from rehearsal.plugins.aws_guard import ACCOUNT
from rehearsal.progress import console, notes, step
from rehearsal.pulumi_cli import Pulumi, throwaway
from rehearsal.toolchain import Tools

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
RELEASE = "20260203"
PROGRESS = re.compile(
    r"@ |\s*$|.* (creating|updating|deleting|created|updated|deleted)( \(|\s*$)|warning: using pulumi-"
)
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
UNCHANGED = {"same", "read", "refresh"}


Change = tuple[str, dict[str, Any], dict[str, int]]
"""A step of a pool: its title, the settings, and the operations on node groups that are expected."""


@dataclasses.dataclass(frozen=True)
class Event:
    """One operation that the engine has finished, on a resource of a type."""

    operation: str
    type: str
    name: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a rehearsal found. `differences` are empty where everything is as it should be."""

    made: int
    removed: int
    objects: int
    changed: str | None
    differences: tuple[str, ...]

    @property
    def text(self) -> str:
        """What was done, in one line."""
        pool = (
            f"pool {self.changed} changed as AWS demands" if self.changed else "no pool changed (none is a node group)"
        )
        return f"{inventory.counted(self.made, 'AWS resource')} made, {pool}, all removed: nothing is left"


class Rehearsal:
    """One stack on one server, in a folder that is thrown away."""

    def __init__(self, name: str, settings: Settings, address: str, folder: Path, engine: Pulumi) -> None:
        """`engine` works on a backend in `folder`."""
        if not isinstance(settings.cluster, EksCluster) or settings.region is None:
            raise Fault(f"STACK: {name} is no stack on AWS")
        self.name, self.settings, self.cluster, self.region = name, settings, settings.cluster, settings.region
        self.client = functools.cache(lambda service: running.client(address, service, str(settings.region)))
        self.folder, self.rendered = folder, folder / "kubernetes"
        self.rendered.mkdir()
        own = {RENDER: str(self.rendered), "PULUMI_DEBUG_COMMANDS": "true"}  # for --event-log
        environment = {**running.environment(address, engine.environment), **own}
        self.engine = dataclasses.replace(engine, environment=environment)
        self.document: dict[str, Any] = yaml.safe_load(stack.file(name).read_text())
        for pool in self.document["config"]["inference:gpuPools"].values():
            # moto has none, and the changes of a pool go beyond those of an account that it is not.
            pool.pop("quotaVcpus", None)
        self.differences: list[str] = []

    def run(self) -> Outcome:
        """The whole life; prints what happens."""
        if self.cluster.create is None:
            with step("the cluster, VPC and subnets that the stack attaches to"):
                self._found()
        before = inventory.resources(self.client)
        self.engine.select(self.name)
        with step("pulumi up", about_s=20):
            self._up()
        made = inventory.resources(self.client) - before
        objects = Counter(json.loads(path.read_text())["kind"] for path in self.rendered.iterdir())
        self._show(made, objects)
        self._check_pools()
        with step("pulumi up again", about_s=10):
            self._expect("a second up", {}, self._up())
        changed = self._change()
        with step("pulumi destroy", about_s=15):
            self._pulumi("state", "unprotect", "--all", "--yes")
            self._pulumi("destroy", "--yes", "--skip-preview", "--config-file", str(self._config()))
        left = inventory.resources(self.client) ^ before
        self.differences += [f"left after destroy: {what} {id_}" for what, id_ in sorted(left)]
        self.differences += [f"left after destroy: {path.name}" for path in sorted(self.rendered.iterdir())]
        removed = len(made) - len(made & inventory.resources(self.client))
        total = sum(objects.values())
        return Outcome(
            made=len(made), removed=removed, objects=total, changed=changed, differences=tuple(self.differences)
        )

    def _found(self) -> None:
        """Make what an attached stack names; where the ids are AWS's to give, the configuration gets the new ones."""
        ec2_client, eks, iam = self.client("ec2"), self.client("eks"), self.client("iam")
        vpc = ec2_client.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        text = json.dumps(self.document)
        zones = self.cluster.subnets or dict.fromkeys(ec2.zones(self.region)[:2], "")
        subnets = []
        for number, (zone, named) in enumerate(zones.items()):
            block = f"10.0.{number * 16}.0/20"
            made = ec2_client.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"]["SubnetId"]
            subnets.append(made)
            text = text.replace(named, made) if named else text
        for named in sorted({*re.findall(r"sg-[0-9a-f]{8,17}", text)}):
            group = ec2_client.create_security_group(GroupName=named[3:], Description="of the rehearsal", VpcId=vpc)
            text = text.replace(named, group["GroupId"])
        self.document = json.loads(text)
        role = f"arn:aws:iam::{ACCOUNT}:role/cluster"
        iam.create_role(
            RoleName="cluster", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []})
        )
        network = {"subnetIds": subnets, "endpointPrivateAccess": True}
        eks.create_cluster(name=self.cluster.name, roleArn=role, resourcesVpcConfig=network, version="1.34")

    def _config(self) -> Path:
        path = self.folder / f"Pulumi.{self.name}.yaml"
        path.write_text(yaml.safe_dump(self.document))
        return path

    def _up(self) -> list[Event]:
        """Bring the stack up; give what the engine did, in the order in which it was done."""
        log = self.folder / "events.json"
        log.unlink(missing_ok=True)
        self._pulumi("up", "--yes", "--skip-preview", "--config-file", str(self._config()), "--event-log", str(log))
        return events(log.read_text())

    def _pulumi(self, *words: str) -> None:
        command = [str(self.engine.cli), *words, "--stack", self.name, "--non-interactive", "--color", "never"]
        done = subprocess.run(
            command, cwd=CHECKOUT, env=dict(self.engine.environment), capture_output=True, text=True, check=False
        )
        if done.returncode:
            notes.print("\n".join(reasons(done.stdout + done.stderr)), markup=False)
            raise Fault(f"rehearse-aws: pulumi {words[0]} failed, see above; mend it and run again")

    def _show(self, made: set[tuple[str, str]], objects: Mapping[str, int]) -> None:
        rows = inventory.read_back(self.client, self.cluster.name)
        width = max(len(row.name) for row in rows)
        console.print(f"\nread back with AWS's own SDK, stack {self.name}:")
        for row in rows:
            console.print(f"{row.what:<16} {row.name:<{width}}  {row.text()}", markup=False)
        every, total = sorted(Counter(what for what, _ in made).items()), sum(objects.values())
        counts = ", ".join(inventory.counted(count, what) for what, count in every)
        console.print(f"{inventory.counted(len(made), 'AWS resource')}: {counts}")
        kinds = ", ".join(inventory.counted(count, kind) for kind, count in sorted(objects.items()))
        console.print(f"{inventory.counted(total, 'Kubernetes object')}, written to files instead: {kinds}\n")

    def _check_pools(self) -> None:
        """Node groups are what the settings say."""
        groups = list(inventory.node_groups(self.client, self.cluster.name).values())
        for name, pool in self._managed().items():
            mine = [group for group in groups if group["labels"].get("inference/gpu-pool") == name]
            if len(mine) != 1:
                self.differences.append(f"pool {name}: {len(mine)} node groups; expected: 1")
            for group in mine:
                key, _, rest = pool.taint.partition("=")
                found = {
                    "instance types": inventory.instance_types(self.client, group),
                    "scaling": [group["scalingConfig"]["minSize"], group["scalingConfig"]["maxSize"]],
                    "capacity": group["capacityType"],
                    "taint": (key, rest.partition(":")[0], "NO_SCHEDULE")
                    in {(each["key"], each.get("value"), each["effect"]) for each in group["taints"]},
                }
                wanted = {
                    "instance types": list(pool.instance_types),
                    "scaling": [pool.min, pool.max],
                    "capacity": pool.capacity,
                    "taint": True,
                }
                self.differences += [
                    f"pool {name}: {what} {found[what]}; expected: {wanted[what]}" for what in wanted
                    if found[what] != wanted[what]
                ]  # fmt: skip

    def _managed(self) -> dict[str, EksPool]:
        """The pools that are managed node groups."""
        pools = self.settings.gpu_pools.items()
        return {
            name: pool for name, pool in pools if isinstance(pool, EksPool) and pool.autoscaler == "cluster-autoscaler"
        }

    def _change(self) -> str | None:
        """Changes of one pool, whose name it gives: what AWS does in place, and what needs new nodes."""
        if not self._managed():
            notes.print("no pool is a managed node group: none is changed")
            return None
        managed = self._managed()
        name = next((each for each, pool in managed.items() if self._other_type(pool)), next(iter(managed)))
        pool = managed[name]
        running_nodes = self._autoscale(name, min(pool.min + 1, pool.max))
        changes: list[Change] = [(f"{name}: at most {pool.max + 1} nodes", {"max": pool.max + 1}, {"update": 1})]
        if pool.capacity != "CAPACITY_BLOCK" and pool.min < running_nodes:
            changes.append((f"{name}: at least {pool.min + 1} nodes", {"min": pool.min + 1}, {"update": 1}))
        self._apply(name, changes)
        if (now := self._group_of(name)["scalingConfig"]["desiredSize"]) != running_nodes:
            self.differences.append(f"{name}: {now} nodes wanted; expected: the autoscaler's {running_nodes}")
        changes = []
        replaced = {"create": 1, "delete": 1}
        if other := self._other_type(pool):
            changes.append((f"{name}: {other} for {pool.instance_type}", {"instanceType": other}, replaced))
        version = self.client("eks").describe_cluster(name=self.cluster.name)["cluster"]["version"]
        in_place = {"update": 1} if pool.updates == "inPlace" else replaced
        changes.append((f"{name}: another AMI release", {"amiRelease": f"{version}.1-{RELEASE}"}, in_place))
        self._apply(name, changes)
        return name

    def _apply(self, name: str, changes: Sequence[Change]) -> None:
        """Change a pool's settings, one step after another."""
        for title, change, expected in changes:
            self.document["config"]["inference:gpuPools"][name].update(change)
            if "create" in expected:
                self._unprotect(name)
            with step(title, about_s=10):
                done = self._up()
            self._expect(title, expected, done)

    def _group_of(self, pool: str) -> Any:
        """AWS's description of the pool's node group."""
        groups = inventory.node_groups(self.client, self.cluster.name).values()
        return next(group for group in groups if group["labels"].get("inference/gpu-pool") == pool)

    def _autoscale(self, pool: str, nodes: int) -> int:
        """Have so many nodes, as the autoscaler does it."""
        name = self._group_of(pool)["nodegroupName"]
        self.client("eks").update_nodegroup_config(
            clusterName=self.cluster.name, nodegroupName=name, scalingConfig={"desiredSize": nodes}
        )
        notes.print(f"  {pool}: the autoscaler wants {inventory.counted(nodes, 'node')}")
        return nodes

    def _unprotect(self, pool: str) -> None:
        """What README's Day 2 says of weights on gp3, whose claims come anew with the nodes."""
        models = {
            name
            for name, model in self.settings.models.items()
            if model.pool == pool and isinstance(self.settings.storage_of(model), Gp3)
        }
        state = json.loads(self.engine.read("stack", "export", "--stack", self.name))["deployment"]["resources"]
        claims = [each for each in state if each["type"] == CLAIM and each.get("protect")]
        for each in claims:
            labels, name = each["inputs"]["metadata"]["labels"], each["inputs"]["metadata"]["name"]
            if labels["app.kubernetes.io/instance"] in models:
                notes.print(f"  pulumi state unprotect, claim {name}: its weights are seeded again, on a new disk")
                self._pulumi("state", "unprotect", each["urn"], "--yes")

    def _other_type(self, pool: EksPool) -> str | None:
        """Another instance type with the same GPUs, as large at least, which the pool's zones have."""
        now = ec2.instance_type(pool.instance_type)
        alike = [
            name
            for name in ec2.instance_types()
            if now and (it := ec2.instance_type(name)) and name not in pool.instance_types
            and (it.product, it.gpus) == (now.product, now.gpus) and it.vcpus >= now.vcpus
            and all(ec2.offered(name, zone) is not False for zone in pool.zones)
        ]  # fmt: skip
        return min(alike, key=lambda name: getattr(ec2.instance_type(name), "vcpus", 0), default=None)

    def _expect(self, title: str, expected: Mapping[str, int], done: Sequence[Event]) -> None:
        """Say what was done to node groups; it is a difference where that is not what is `expected`."""
        groups = [plain(event.operation) for event in done if event.type == NODE_GROUP]
        others = Counter(plain(event.operation) for event in done if event.type != NODE_GROUP)
        said = ", then ".join(groups) or "nothing"
        rest = ", ".join(f"{count} {operation}" for operation, count in sorted(others.items())) or "nothing"
        console.print(f"    node groups: {said}; the rest: {rest}")
        if Counter(groups) != Counter(expected):
            self.differences.append(f"{title}: node groups {said}; expected: {dict(expected) or 'nothing'}")
        if not expected and others:
            what = ", ".join(f"{plain(event.operation)} {event.type} {event.name}" for event in done)
            self.differences.append(f"{title}: {what}; expected: no changes")
        if "create" in groups and "delete" in groups:
            self._expect_surge(title, [(plain(event.operation), event.type) for event in done])

    def _expect_surge(self, title: str, done: Sequence[tuple[str, str]]) -> None:
        """New nodes, then the replicas move, then the old nodes go."""
        moves = [number for number, each in enumerate(done) if each == ("update", DEPLOYMENT)]
        order = [done.index(("create", NODE_GROUP)), *moves, done.index(("delete", NODE_GROUP))]
        if order != sorted(order):
            self.differences.append(f"{title}: the old node group went before the new one came and the replicas moved")
        if not moves:
            self.differences.append(f"{title}: no replicas moved to the new nodes")


def reasons(told: str) -> list[str]:
    """What Pulumi told, without the lines on its progress; what it says under Diagnostics is kept whole."""
    progress, _, diagnostics = told.partition("\nDiagnostics:\n")
    return [line for line in progress.splitlines() if not PROGRESS.match(line)] + diagnostics.rstrip().splitlines()


def plain(operation: str) -> str:
    """The engine's operation as a service sees it."""
    return {"create-replacement": "create", "delete-replaced": "delete"}.get(operation, operation)


def events(log: str) -> list[Event]:
    """The operations that changed a resource outside of the state, from the engine's event log."""
    told = [json.loads(line).get("resOutputsEvent", {}).get("metadata") for line in log.splitlines() if line.strip()]
    done = [Event(each["op"], each["type"], each["urn"].rpartition("::")[2]) for each in told if each]
    skipped = {*UNCHANGED, "replace", "discard", "remove-pending-replace"}
    return [event for event in done if event.operation not in skipped and ":" in event.type and _custom(event.type)]


def _custom(token: str) -> bool:
    return token.startswith(("aws:", "kubernetes:"))


def rehearse(name: str, places: Places, tools: Callable[[], Tools]) -> Outcome:
    """Rehearse stack `name`; Fault if it cannot be, or if real credentials are near. Nothing is left running."""
    running.refuse_real_credentials(os.environ, name)
    stack.require_aws(name)
    settings, temporary = stack.read(name), Path(tempfile.gettempdir())
    with running.ends_in_order(), running.own_folder(temporary) as folder, running.server(folder / "moto.log") as at:
        engine = throwaway(folder / "state", places, tools(), kubeconfig=os.devnull, stand_ins=("aws", "kubernetes"))
        return Rehearsal(name, settings, at, folder, engine).run()
