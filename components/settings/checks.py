"""What only the settings as a whole show: sections that are right one by one, and do not go together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final

from components.facts import drivers, ec2
from components.packing import Amount, nodes_for
from components.settings import (
    access_checks,
    engine_checks,
    gpu_checks,
    monitoring_checks,
    replica_checks,
    rollout_checks,
    scaling_checks,
    storage_checks,
    weights_checks,
)
from components.settings.eks import EksCluster
from components.settings.infrastructure import KubernetesCluster
from components.settings.mistakes import Mistake, quote, refused
from components.settings.model import Model
from components.settings.pools import Disk, EksPool, is_arm
from components.settings.schema import full_key
from components.settings.stack import REGION_KEY, Settings
from components.settings.storage import Efs, Fsx
from components.settings.types import UNITS, cpus, size_bytes
from components.surge import replaced, surge_of

GIB: Final = UNITS["Gi"]
GB: Final = 10**9
SHARE_OF_PODS: Final = 0.9
"""Of a node's CPUs and memory: the rest is for kubelet, kernel and DaemonSets."""
MAX_TAG_VALUE: Final = 256
Path = Sequence[int | str]


def mistakes_between_sections(settings: Settings) -> list[Mistake]:
    """Every such mistake, in the order of the checks below."""
    return list(chain.from_iterable(check(settings) for check in CHECKS))


def _eks_sections_are_for_eks(settings: Settings) -> Iterator[Mistake]:
    if not isinstance(settings.cluster, KubernetesCluster):
        return
    for name, pool in settings.gpu_pools.items():
        if isinstance(pool, EksPool):
            yield refused(
                ("gpuPools", name),
                "is a pool that EKS provides, and the cluster comes from a kubeconfig",
                allowed="a pool with nodes and gpu, or cluster.provider aws",
                fix="describe the nodes that are there with nodes and gpu, or set the cluster's provider to aws",
            )
    for name in settings.storage:
        yield refused(
            ("storage", name),
            "is storage on AWS, and the cluster comes from a kubeconfig",
            allowed="storage with cluster.provider aws",
            fix="take it out, and name a class of the cluster's as weights.storageClass",
        )


def _region_is_one(settings: Settings) -> Iterator[Mistake]:
    if settings.region is not None and settings.region not in ec2.regions():
        yield refused(
            (REGION_KEY,),
            f"{quote(settings.region)} is no region of AWS",
            allowed=", ".join(ec2.regions()),
            example="us-west-2",
        )


def _zones_are_of_the_region(settings: Settings) -> Iterator[Mistake]:
    if settings.region is None or settings.region not in ec2.regions():
        return
    known = ec2.zones(settings.region)
    for path, zone in _zones(settings):
        if not _in_region(zone, settings.region):
            yield refused(
                path,
                f"{quote(zone)} is no zone of {settings.region}",
                allowed=", ".join(known) or f"{settings.region} and a letter",
                fix=f"name one of the region's zones, or change {full_key(REGION_KEY)}",
            )


def _in_region(zone: str, region: str | None) -> bool:
    """Whether a zone is one of the region's, as far as the data knows them."""
    return zone[:-1] == region and zone in (ec2.zones(region) or (zone,))


def _zones(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Every zone that the settings name, with its path."""
    if isinstance(settings.cluster, EksCluster):
        yield from ((("cluster", "subnets", zone), zone) for zone in settings.cluster.subnets)
        created = settings.cluster.create
        yield from _indexed(("cluster", "create", "zones"), created.zones if created else ())
    for name, storage in settings.storage.items():
        if isinstance(storage, Fsx):
            yield ("storage", name, "zone"), storage.zone
    for name, pool in _eks_pools(settings):
        yield from _indexed(("gpuPools", name, "zones"), pool.zones)


def _indexed(path: Path, zones: Sequence[str]) -> Iterator[tuple[Path, str]]:
    return (((*path, index), zone) for index, zone in enumerate(zones))


def _zones_have_subnets(settings: Settings) -> Iterator[Mistake]:
    """Pools and file systems are in zones in which the cluster has a private subnet."""
    cluster = settings.cluster
    if not isinstance(cluster, EksCluster):
        return
    has = cluster.create.zones if cluster.create else cluster.subnets
    missing: dict[str, str] = {}
    for user, zone in _users_of_zones(settings):
        if zone not in has and _in_region(zone, settings.region):
            missing.setdefault(zone, user)
    for zone, user in missing.items():
        yield (
            refused(
                ("cluster", "create", "zones"),
                f"has no {zone}, where {user} is",
                allowed="every zone of a pool or file system",
                fix="add it in the stack file when the cluster is first created, or choose another zone",
            )
            if cluster.create
            else refused(
                ("cluster", "subnets", zone),
                f"is missing, and {user} is in that zone",
                allowed="a private subnet of every zone of a pool or file system",
                example="subnet-0123456789abcdef0",
            )
        )
    shared = [name for name, storage in settings.storage.items() if isinstance(storage, Efs)]
    if shared and not has and not missing:
        yield refused(
            ("cluster", "subnets"),
            f"is empty, and storage {shared[0]} is mounted by way of them",
            allowed="a private subnet of every zone with nodes",
            fix="write it in the stack file: ZONE: subnet-...",
        )


def _users_of_zones(settings: Settings) -> Iterator[tuple[str, str]]:
    for name, pool in _eks_pools(settings):
        yield from ((f"pool {name}", zone) for zone in pool.zones)
    for name, storage in settings.storage.items():
        if isinstance(storage, Fsx):
            yield f"storage {name}", storage.zone


def _types_are_offered(settings: Settings) -> Iterator[Mistake]:
    """A node group takes any of its types in any of its zones: each zone needs one of them, and each type a zone."""
    for name, pool in _eks_pools(settings):
        if not pool.check_offering:
            continue
        offers = {(each, zone): ec2.offered(each, zone) for each in pool.instance_types for zone in pool.zones}
        nowhere = [each for each in pool.instance_types if all(offers[each, zone] is False for zone in pool.zones)]
        empty = [zone for zone in pool.zones if all(offers[each, zone] is False for each in pool.instance_types)]
        where = {each: ec2.zones_with(each, str(settings.region)) for each in pool.instance_types}
        if empty:
            types = " or ".join(pool.instance_types)
            path: Path = ("gpuPools", name, "zones")
            problem = f"{' and '.join(empty)} {'does' if len(empty) == 1 else 'do'} not offer {types}"
            allowed = [zone for zone in ec2.zones(str(settings.region)) if any(zone in each for each in where.values())]
        elif nowhere:
            path = ("gpuPools", name, "alternatives")
            problem = f"{nowhere[0]} is offered in none of {', '.join(pool.zones)}"
            allowed = list(where[nowhere[0]])
        else:
            continue
        yield refused(
            path,
            f"{problem}, in the program's data",
            allowed=", ".join(allowed) or f"another region, since none of {settings.region}'s zones has it",
            fix="choose other zones or another type; zone names differ between accounts: if yours offer it, "
            f"pulumi config set --path 'inference:gpuPools.{name}.checkOffering' false",
        )


def _auto_mode_runs_its_own_nodes(settings: Settings) -> Iterator[Mistake]:
    if not (isinstance(settings.cluster, EksCluster) and settings.cluster.auto_mode):
        return
    for name, pool in _eks_pools(settings):
        if pool.autoscaler != "karpenter":
            yield refused(
                ("gpuPools", name, "autoscaler"),
                f"{quote(pool.autoscaler)} has no place in EKS Auto Mode, which brings Karpenter",
                allowed="karpenter, or cluster.autoMode false",
                example="karpenter",
            )
        wrong = {
            "ami": pool.ami != "al2023",
            "amiRelease": bool(pool.ami_release),
            "instanceStore": pool.instance_store,
            # Those that only a NodeClass has words for, and Auto Mode's own is taken.
            "disk": pool.disk != Disk(),
            "tags": bool(pool.tags),
            "reservation": bool(pool.reservation),
        }
        for key in (key for key, set_here in wrong.items() if set_here):
            yield refused(
                ("gpuPools", name, key),
                "is EKS Auto Mode's own choice",
                allowed="none with cluster.autoMode",
                fix="take it out, or use a cluster without Auto Mode",
            )


def _gpus_are_shared_only_by_small_replicas(settings: Settings) -> Iterator[Mistake]:
    if settings.device_plugin.time_slicing == 1:
        return
    for name, model in settings.models.items():
        if model.gpus > 1:
            yield refused(
                ("models", name, "gpus"),
                f"{model.gpus} slices may be of the same GPU, with devicePlugin.timeSlicing",
                allowed="1, or devicePlugin.timeSlicing 1",
                example=1,
            )


def _nodes_have_our_plugin(settings: Settings) -> Iterator[Mistake]:
    """What the program's plugin is told concerns no node that brings a plugin of its own."""
    plugin = settings.device_plugin
    default = {"timeSlicing": 1, "migStrategy": "none"}
    given = {"timeSlicing": plugin.time_slicing, "migStrategy": plugin.mig_strategy}
    auto = isinstance(settings.cluster, EksCluster) and settings.cluster.auto_mode
    for name, pool in _eks_pools(settings):
        for key in (key for key in given if given[key] != default[key]):
            if auto or pool.ami == "bottlerocket":
                yield refused(
                    ("devicePlugin", key),
                    f"does not reach the nodes of pool {name}, which bring a device plugin of their own",
                    allowed=f"{default[key]} with Bottlerocket or EKS Auto Mode",
                    example=default[key],
                )


def _surge_fits_the_pool(settings: Settings) -> Iterator[Mistake]:
    """The replicas that may run, and those more of the rollout that takes most, each pod on one node.

    Without a scaler for pools that this program sizes: whoever has a single GPU elsewhere may still want to serve one
    model from it. A scaler that asks for more than there is leaves replicas pending, wherever the nodes come from.
    """
    for name, pool in settings.gpu_pools.items():
        here = {key: model for key, model in settings.models.items() if model.pool == name}
        scaled = any(model.scaling for model in here.values())
        if not here or not (isinstance(pool, EksPool) or scaled):
            continue
        always = [pod for model in here.values() for pod in _pods(model, replaced(model))]
        surge = max((_pods(model, surge_of(model)) for model in here.values()), key=sum)
        room = pool.gpu.count * settings.device_plugin.time_slicing
        # A replica with more GPUs than a node has is refused before.
        needed = nodes_for([Amount(gpus=gpus) for gpus in (*always, *surge)], Amount(gpus=room)) or 0
        if needed <= pool.nodes:
            continue
        has = "1 node has" if pool.nodes == 1 else f"{pool.nodes} nodes have"
        gpus = f"{room} GPU{'' if room == 1 else 's'}{'' if pool.nodes == 1 else ' each'}"
        who = f"model {next(iter(here))} takes" if len(here) == 1 else f"models {', '.join(here)} take"
        yield refused(
            ("gpuPools", name, "max" if isinstance(pool, EksPool) else "nodes"),
            f"{has} {gpus}; {who} {sum(always)} and {sum(surge)} more for the surge of a rollout",
            allowed=f"at least {needed}{', or a smaller replicas.max' if scaled else ''}",
            example=needed,
        )


def _pods(model: Model, replicas: int) -> list[int]:
    """GPUs of each pod of so many replicas."""
    return [model.gpus] * (replicas * model.nodes_per_replica)


def _a_replica_fits_a_node(settings: Settings) -> Iterator[Mistake]:
    """One that requests more than a node has would be pending for good; nodes of other clusters are not known."""
    for name, model in settings.models.items():
        pool = settings.gpu_pools[model.pool]
        if not isinstance(pool, EksPool):
            continue
        vcpus, memory = SHARE_OF_PODS * pool.vcpus, SHARE_OF_PODS * pool.memory_mib * UNITS["Mi"]
        requests = model.resources.requests
        fits = {
            "cpu": (requests.cpu, cpus(requests.cpu) <= vcpus, f"{vcpus:.1f}"),
            "memory": (requests.memory, size_bytes(requests.memory) <= memory, f"{int(memory // GIB)}Gi"),
        }
        for key, (given, enough, most) in fits.items():
            if not enough:
                yield refused(
                    ("models", name, "resources", "requests", key),
                    f"{quote(given)} is more than {pool.instance_type} of pool {model.pool} has for pods",
                    allowed=f"at most {most}, a tenth being left to the system",
                    example=most,
                )


def _releases_are_not_ahead_of_the_cluster(settings: Settings) -> Iterator[Mistake]:
    """A kubelet may be older than the control plane, never newer; an AL2023 release is named by its kubelet."""
    if not (isinstance(settings.cluster, EksCluster) and settings.cluster.create):
        return
    version = settings.cluster.create.version
    for name, pool in _eks_pools(settings):
        if pool.ami != "al2023" or pool.ami_release is None:
            continue
        minor = int(pool.ami_release.split(".")[1])
        if minor > int(version.split(".")[1]):
            yield refused(
                ("gpuPools", name, "amiRelease"),
                f"{quote(pool.ami_release)} is of Kubernetes 1.{minor}, and the cluster is created with {version}",
                allowed=f"a release of {version} or older",
                fix="set an older release, or a newer cluster.create.version",
            )


def _system_nodes_are_x86(settings: Settings) -> Iterator[Mistake]:
    created = settings.cluster.create if isinstance(settings.cluster, EksCluster) else None
    for index, name in enumerate(created.system.instance_types if created else ()):
        if is_arm(name):
            yield refused(
                ("cluster", "create", "system", "instanceTypes", index),
                f"{quote(name)} is Arm; the AMIs of the program are x86-64",
                allowed="x86-64 instance types",
                example="m7i.large",
            )


def _tags_are_short(settings: Settings) -> Iterator[Mistake]:
    """The values; their keys are checked one by one."""
    tags: dict[Path, str] = {}
    if isinstance(settings.cluster, EksCluster):
        tags |= {("cluster", "tags", key): value for key, value in settings.cluster.tags.items()}
    for name, pool in _eks_pools(settings):
        tags |= {("gpuPools", name, "tags", key): value for key, value in pool.tags.items()}
    for path, value in tags.items():
        if len(value) > MAX_TAG_VALUE:
            yield refused(
                path,
                f"{quote(value)} has {len(value)} characters",
                allowed=f"a tag's value: at most {MAX_TAG_VALUE} characters",
                fix="shorten it in the stack file",
            )


def _drivers_are_new_enough(settings: Settings) -> Iterator[Mistake]:
    for name, model in settings.models.items():
        pool = settings.gpu_pools[model.pool]
        if not isinstance(pool, EksPool):
            continue
        branch = pool.driver or _branch(settings, pool)
        least, needs = drivers.needed(cuda=gpu_checks.cuda_of(model), product=pool.gpu.product)
        if branch is not None and branch < least:
            key, value = ("driver", pool.driver) if pool.driver else ("amiRelease", pool.ami_release)
            yield refused(
                ("gpuPools", model.pool, key),
                f"{quote(value)} has NVIDIA driver {branch}, and model {name} needs {least} for {needs}",
                allowed=f"a release with driver {least} or newer",
                fix="set a newer amiRelease, the driver if that AMI has another, or an image with an older CUDA",
            )


def _branch(settings: Settings, pool: EksPool) -> int | None:
    cluster, product = settings.cluster, pool.gpu.product
    if pool.ami == "al2023":
        return drivers.al2023(pool.ami_release, product)
    version = cluster.create.version if isinstance(cluster, EksCluster) and cluster.create else None
    return drivers.bottlerocket(pool.ami_release, version, product)


def _eks_pools(settings: Settings) -> list[tuple[str, EksPool]]:
    return [(name, pool) for name, pool in settings.gpu_pools.items() if isinstance(pool, EksPool)]


CHECKS: Final[tuple[Callable[[Settings], Iterator[Mistake]], ...]] = (
    _eks_sections_are_for_eks,
    _region_is_one,
    _zones_are_of_the_region,
    _zones_have_subnets,
    _types_are_offered,
    _auto_mode_runs_its_own_nodes,
    _gpus_are_shared_only_by_small_replicas,
    _nodes_have_our_plugin,
    _surge_fits_the_pool,
    _a_replica_fits_a_node,
    *storage_checks.CHECKS,
    *weights_checks.CHECKS,
    *rollout_checks.CHECKS,
    *replica_checks.CHECKS,
    *gpu_checks.CHECKS,
    *access_checks.CHECKS,
    *engine_checks.CHECKS,
    *scaling_checks.CHECKS,
    *monitoring_checks.CHECKS,
    _releases_are_not_ahead_of_the_cluster,
    _drivers_are_new_enough,
    _system_nodes_are_x86,
    _tags_are_short,
)
