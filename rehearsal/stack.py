"""What the rehearsal has to know of a stack: its nodes, images and Services. The program itself is Pulumi's to run."""

from __future__ import annotations

import contextlib
import difflib
import ipaddress
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from components.settings import EksCluster, ExistingPool, GpuPool, Settings, SettingsError, parse_file
from components.settings.concealment import masked
from components.settings.schema import API_KEYS_KEY
from rehearsal.addon import Addon
from rehearsal.answer import forwarded, service_address
from rehearsal.cluster.layout import Gpus, NodeSpec
from rehearsal.command import run
from rehearsal.fault import Fault
from rehearsal.kubectl import Kubectl
from rehearsal.places import CHECKOUT, Places
from rehearsal.pulumi_cli import Pulumi
from rehearsal.toolchain import Tools

PROJECT = "inference"
READY_WITHIN = "10m"
LOCAL_IMAGES = "docker.io/local/"
"""Where images that exist on the embedded cluster's nodes only are named."""
CHARTS = {"autoscaling.keda": "KEDA", "autoscaling.httpAddOn": "HTTP add-on", "monitoring.prometheus": "Prometheus"}
"""What a stack may have installed, and the embedded cluster has itself."""
Change = Callable[[Mapping[str, Any]], dict[str, Any]]
"""From the settings that are written to those that are meant."""


def file(name: str) -> Path:
    """The configuration file of stack `name`. Fault if there is none."""
    path = CHECKOUT / f"Pulumi.{name}.yaml"
    if not path.exists():
        known = names()
        near = (*difflib.get_close_matches(name, known, n=1), *known, "<name>")[0]
        raise Fault(
            f"STACK: there is no Pulumi.{name}.yaml; allowed: {', '.join(known) or 'none yet'}; "
            f"run the same again with one of these, such as STACK={near}"
        )
    return path


def names() -> list[str]:
    """The stacks that there is a file of."""
    return sorted(each.name.split(".")[1] for each in CHECKOUT.glob("Pulumi.*.yaml"))


def require_aws(name: str) -> None:
    """Fault unless there is a stack `name`, and it says that it is one on AWS."""
    known = names()
    if name in known and says_aws(name):
        return
    on_aws = [each for each in known if says_aws(each)]
    wrong = f"{name} is no stack on AWS" if name in known else f"there is no Pulumi.{name}.yaml"
    raise Fault(
        f"STACK: {wrong}; allowed: {', '.join(on_aws) or 'those with inference:cluster.provider aws'}; "
        f"run: make rehearse-aws STACK={on_aws[0] if on_aws else '<name>'}"
    )


def configuration(name: str, change: Change = dict) -> dict[str, Any]:
    """The stack's settings as they are written, by their keys, after `change`. Fault if they are no map, or no YAML."""
    path = file(name)
    try:
        document = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        # With the line that is wrong, where somebody may have pasted a secret.
        raise Fault(f"{path.name}: {masked(' '.join(str(error).split()))}; mend the YAML and run again") from None
    config = (document.get("config") if isinstance(document, dict) else None) or {}
    if not isinstance(config, dict):
        raise Fault(f"{path.name}: config is a {type(config).__name__}; allowed: a map of settings by key; mend it")
    return change({str(key): value for key, value in config.items()})


def write_changed(name: str, change: Change, folder: Path) -> Path:
    """The stack's file in `folder`, its settings after `change`; Pulumi may write to it."""
    document = yaml.safe_load(file(name).read_text()) | {"config": configuration(name, change)}
    path = folder / file(name).name
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def says_aws(name: str) -> bool:
    """Whether the stack says that it is one on AWS, whatever is wrong with the rest of it."""
    cluster = configuration(name).get(f"{PROJECT}:cluster")
    return isinstance(cluster, dict) and cluster.get("provider") == "aws"


def read(name: str, change: Change = dict) -> Settings:
    """The stack's settings after `change`, checked as by the program. Fault naming every mistake, a line each."""
    try:
        return parse_file(configuration(name, change))
    except SettingsError as error:
        raise Fault("\n       ".join(map(str, error.mistakes))) from None


def nodes(settings: Settings, *, engine: Path | None = None) -> tuple[NodeSpec, ...]:
    """The nodes that the stack's GPU pools describe; `engine` is a folder that each shows to its containers."""
    return tuple(
        NodeSpec(
            name=f"{name}-{index}",
            labels=_labels(name, pool),
            taints=(pool.taint,),
            gpus=Gpus(product=pool.gpu.product, memory_gib=pool.gpu.memory_gib, count=pool.gpu.count),
            engine=engine,
        )
        for name, pool in settings.gpu_pools.items()
        for index in range(pool.nodes)
    )


def addons(settings: Settings) -> frozenset[Addon]:
    """What the stack needs in its cluster beyond what every cluster has."""
    several_nodes = any(model.nodes_per_replica > 1 for model in settings.models.values())
    scaler = settings.autoscaling
    needed = {
        Addon.GATEWAY: settings.gateway is not None,
        Addon.LEADER_WORKER_SET: several_nodes,
        Addon.PROMETHEUS: settings.monitoring is not None,
        Addon.KEDA: scaler is not None,
        Addon.HTTP_ADD_ON: scaler is not None and scaler.http_add_on is not None,
    }
    return frozenset(addon for addon, is_needed in needed.items() if is_needed)


def _labels(name: str, pool: GpuPool) -> tuple[tuple[str, str], ...]:
    """What the pool is selected by, and the labels that NVIDIA's feature discovery would give its nodes."""
    labels = {
        "inference/gpu-pool": name,
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": pool.gpu.product,
        "nvidia.com/gpu.count": str(pool.gpu.count),
        **((pool.node_selector if isinstance(pool, ExistingPool) else None) or {}),
    }
    return tuple(labels.items())


def require_embedded(settings: Settings) -> None:
    """Fault if the stack names a cluster of the user's, which a rehearsal must not touch."""
    if isinstance(settings.cluster, EksCluster):
        raise Fault(
            "inference:cluster.provider: aws is no embedded cluster; without an account run: make rehearse-aws "
            "STACK=<name>; with yours: CLUSTER=existing make up STACK=<name>"
        )
    if settings.cluster.kubeconfig or settings.cluster.context:
        raise Fault(
            "inference:cluster: kubeconfig and context name a cluster of yours; allowed on the embedded one: neither; "
            "run: CLUSTER=existing make up STACK=<name>"
        )
    for key in (key for key, addon in settings.charts.items() if addon.install):
        raise Fault(
            f"inference:{key}.install: true; allowed on the embedded cluster: false, since it brings its own "
            f"{CHARTS[key]}; run: pulumi config set --path inference:{key}.install false, or "
            "CLUSTER=existing make up STACK=<name>"
        )


def on_aws(settings: Settings) -> bool:
    """Whether the stack is one on AWS, whose kubeconfig the program makes itself."""
    return isinstance(settings.cluster, EksCluster)


def users_kubectl(settings: Settings, tools: Tools, places: Places, kubeconfig: str) -> Kubectl:
    """Kubectl on the user's own cluster; for one on EKS its kubeconfig is yet to be written."""
    if isinstance(settings.cluster, EksCluster):
        places.state.mkdir(parents=True, exist_ok=True)
        return Kubectl(program=tools.kubectl, kubeconfig=str(places.state / f"{settings.cluster.name}.kubeconfig"))
    return Kubectl(program=tools.kubectl, kubeconfig=kubeconfig, context=settings.cluster.context)


def write_kubeconfig(settings: Settings, kubectl: Kubectl) -> None:
    """Have AWS's own CLI write the kubeconfig of a cluster on EKS; it is what the program's provider runs too."""
    where = ("--name", settings.cluster.name, "--region", str(settings.region), "--kubeconfig", kubectl.kubeconfig)
    profile = ("--profile", settings.profile) if settings.profile else ()
    run("aws", "eks", "update-kubeconfig", *where, *profile, then="run make up again")


def existing_kubeconfig(settings: Settings) -> str:
    """What KUBECONFIG is for the user's own cluster. Fault if no such file is there, or images are the rehearsal's."""
    names = [
        settings.images.weight_seeder,
        settings.images.device_plugin,
        *(str(model.image) for model in settings.models.values()),
    ]
    if local := [name for name in names if name.startswith(LOCAL_IMAGES)]:
        raise Fault(
            f"CLUSTER=existing: the stack names images that only the embedded cluster has: {', '.join(local)}; "
            "name ones that your cluster can pull, in a stack of your own: CLUSTER=existing make up STACK=<name>"
        )
    if isinstance(settings.cluster, EksCluster):
        return os.devnull
    given = settings.cluster.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    text = os.pathsep.join(str(Path(path).expanduser()) for path in given.split(os.pathsep))
    if not any(Path(path).exists() for path in text.split(os.pathsep)):
        raise Fault(
            f"CLUSTER=existing: no kubeconfig at {text}; set one with: KUBECONFIG=<file> CLUSTER=existing make up"
        )
    return text


def services(engine: Pulumi, name: str) -> dict[str, tuple[str, str]]:
    """Namespace and name of each model's Service, from the stack's outputs."""
    return {model: service for model, (service, _) in doors(engine, name).items()}


@dataclass(frozen=True, kw_only=True)
class Door:
    """The Service that wakes a model up, beside that of its engines: a name of whoever holds its requests."""

    name: str
    port: int


def doors(engine: Pulumi, name: str) -> dict[str, tuple[tuple[str, str], Door | None]]:
    """Namespace and name of each model's Service, and its door where it has one."""
    outputs = json.loads(engine.read("stack", "output", "--json", "--stack", name))
    found = {}
    for model, exported in outputs["models"].items():
        url, service = urlsplit(exported["url"]), (outputs["namespace"], exported["service"])
        asked = str(url.hostname).partition(".")[0]
        found[model] = (service, None if asked == service[1] else Door(name=asked, port=url.port or 80))
    return found


def api_key(engine: Pulumi, name: str) -> str:
    """One that the stack's models take, or what clients send where none is asked for."""
    key = f"{PROJECT}:{API_KEYS_KEY}"
    keys = engine.read("config", "get", key, "--stack", name).split() if key in configuration(name) else []
    return next(iter(keys), "none")


def lets_in(settings: Settings, addresses: ipaddress.IPv4Network) -> bool:
    """Whether who has one of the addresses may ask the engines; else only what comes by way of a pod's own node."""
    policy = settings.network_policy
    return not policy.enabled or any(addresses.subnet_of(ipaddress.IPv4Network(each)) for each in policy.clients)


@contextlib.contextmanager
def reach(kubectl: Kubectl, service: tuple[str, str], *, direct: bool, door: Door | None = None) -> Iterator[str]:
    """`host:port` of a Service, or of who answers at its `door`: the cluster IP, if this host has a route there.

    Else it is a forwarded port.

    Waits for the Deployment of that name, or for its groups of pods where it has none: after a crash nothing has
    changed for Pulumi, and yet its pods may be new.
    """
    namespace, name = service
    wait = (f"--namespace={namespace}", f"--timeout={READY_WITHIN}")
    if kubectl.read("get", "deployment", name, f"--namespace={namespace}", "--ignore-not-found", "--output=name"):
        kubectl.read("rollout", "status", f"deployment/{name}", *wait)
    else:
        of_it = f"--selector=app.kubernetes.io/instance={name}"
        kubectl.read("wait", "--for=condition=Available", "leaderworkersets", of_it, *wait)
    asked, port = (_holder(kubectl, namespace, door), str(door.port)) if door else (service, "http")
    if direct:
        yield service_address(kubectl, *asked)
    else:
        with forwarded(kubectl, *asked, port=port) as address:
            yield address


def _holder(kubectl: Kubectl, namespace: str, door: Door) -> tuple[str, str]:
    """Namespace and name of the Service that the door is but another name of."""
    said = kubectl.read(
        "get", "service", door.name, f"--namespace={namespace}", "--output=jsonpath={.spec.externalName}"
    )
    name, _, rest = said.partition(".")
    return rest.partition(".")[0], name


def changed_environment(engine: Pulumi) -> dict[str, str]:
    """What Pulumi's environment has beyond the caller's own."""
    return {key: value for key, value in engine.environment.items() if os.environ.get(key) != value}
