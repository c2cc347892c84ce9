"""All settings of a stack."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Final

from pydantic import BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from components.settings.access import FrontDoor, NetworkPolicy
from components.settings.autoscaling import Autoscaling
from components.settings.claims import Claims
from components.settings.eks import EksCluster
from components.settings.helm import HelmAddon
from components.settings.infrastructure import DevicePlugin, Images, KubernetesCluster
from components.settings.model import Model
from components.settings.monitoring import Monitoring
from components.settings.pools import EksPool, GpuPool
from components.settings.prices import Prices
from components.settings.rollout import PriorityClass
from components.settings.scaling import Scaling
from components.settings.section import SECTION, refusal
from components.settings.source import parse_source
from components.settings.storage import Gp3, InstanceStore, Storage
from components.settings.types import Name, NamespaceName, Region, Text
from components.surge import surges

Cluster = Annotated[KubernetesCluster | EksCluster, Field(discriminator="provider")]

REGION_KEY: Final = "aws:region"
PROFILE_KEY: Final = "aws:profile"
AWS_KEYS: Final = (REGION_KEY, PROFILE_KEY)
"""The AWS provider's own keys, which this program reads as well: not below `inference:`."""

# From the pending pod to a node with a GPU that the device plugin has announced: minutes, where capacity is there.
EKS_NODE_SECONDS: Final = 600


class Settings(BaseModel):
    """All of a stack's settings, secrets apart."""

    model_config = SECTION

    cluster: Cluster = Field(description="The cluster.")
    region: Region | None = Field(
        default=None,
        alias=REGION_KEY,
        description="Region of the EKS cluster: the AWS provider's own setting, which this program reads as well.",
        validate_default=True,
    )
    profile: Text | None = Field(
        default=None,
        alias=PROFILE_KEY,
        description="Profile of the AWS CLI's files: the AWS provider's own setting, and who signs in to the cluster.",
    )
    namespace: NamespaceName = Field(default="inference", description="Namespace of the models, made by this program.")
    images: Images = Field(description="Images that are no model's own.")
    device_plugin: DevicePlugin = Field(
        default=DevicePlugin(), description="The NVIDIA device plugin.", validate_default=True
    )
    storage: Mapping[Name, Storage] = Field(default={}, description="Storage for weights on AWS, by name.")
    gpu_pools: Annotated[Mapping[Name, GpuPool], Field(min_length=1)] = Field(description="GPU pools by name.")
    priority_classes: Mapping[Name, PriorityClass] = Field(
        default={}, description="Priorities of models by name, made by this program."
    )
    autoscaling: Autoscaling | None = Field(
        default=None, description="What scales the models; without it each has replicas.min."
    )
    monitoring: Monitoring | None = Field(
        default=None, description="Who watches the models; without it nobody, and nothing is made for it."
    )
    models: Annotated[Mapping[Name, Model], Field(min_length=1)] = Field(description="Models by name.")
    gateway: FrontDoor | None = Field(default=None, description="How clients from outside the cluster come in.")
    network_policy: NetworkPolicy = Field(
        default=NetworkPolicy(), description="Who may connect to the models' pods; the cluster's network enforces it."
    )
    claims: Claims = Field(default=Claims(), description="What is claimed of the stack before anything is changed.")
    prices: Prices = Field(default=Prices(), description="What nodes cost, where it is not the on-demand price.")

    @property
    def node_folders(self) -> tuple[str, ...]:
        """Folders for weights on the instance store of each node."""
        return tuple(each.path for each in self.storage.values() if isinstance(each, InstanceStore))

    def storage_of(self, model: Model) -> Storage | None:
        """The storage on AWS with the weights of a model; None where a class has them, or the engine's image."""
        return self.storage.get(model.weights.storage or "")

    def seeds_nodes(self, model: Model) -> bool:
        """Whether replicas of a model seed the node that they start on."""
        return isinstance(self.storage_of(model), InstanceStore)

    @property
    def holder(self) -> HelmAddon | None:
        """What holds the requests of models that have no replica, where there is one."""
        return self.autoscaling.http_add_on if self.autoscaling else None

    @property
    def charts(self) -> dict[str, HelmAddon]:
        """What clusters get as Helm charts, installed or there already, by its key below `inference:`."""
        found = {
            "autoscaling.keda": self.autoscaling.keda if self.autoscaling else None,
            "autoscaling.httpAddOn": self.holder,
            "monitoring.prometheus": self.monitoring.prometheus if self.monitoring else None,
        }
        return {key: addon for key, addon in found.items() if addon is not None}

    @field_validator("region")
    @classmethod
    def _given_for_aws(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and isinstance(info.data.get("cluster"), EksCluster):
            raise refusal("is missing", at=(REGION_KEY,))
        return value

    @field_validator("models")
    @classmethod
    def _know_their_storage_and_nodes(cls, value: Mapping[str, Model], info: ValidationInfo) -> Mapping[str, Model]:
        storage: Mapping[str, Storage] = info.data.get("storage", {})
        pools: Mapping[str, GpuPool] = info.data.get("gpu_pools", {})
        scaled = info.data.get("autoscaling") is not None
        models = {
            name: _with_scaler(_on_nodes_of(pools, _with_rate_of(storage, model)), scaled=scaled)
            for name, model in value.items()
        }
        plugin: DevicePlugin = info.data.get("device_plugin", DevicePlugin())
        one_node = {name for name, model in models.items() if isinstance(storage.get(model.weights.storage or ""), Gp3)}
        return _with_surges(models, pools, plugin.time_slicing, one_node)

    @field_validator("prices")
    @classmethod
    def _of_pools_that_are(cls, value: Prices, info: ValidationInfo) -> Prices:
        # Without any, the pools have mistakes of their own.
        pools: Mapping[str, GpuPool] = info.data.get("gpu_pools", {})
        for name in value.pools if pools else ():
            if name not in pools:
                raise refusal(
                    "is the price of no GPU pool",
                    at=("prices", "pools", name),
                    allowed=f"a key of inference:gpuPools ({', '.join(pools)})",
                    fix="rename it in the stack file, or take it out",
                )
        return value

    @field_validator("device_plugin")
    @classmethod
    def _namespace_of_its_own(cls, value: DevicePlugin, info: ValidationInfo) -> DevicePlugin:
        if value.enabled and value.namespace == info.data.get("namespace"):
            other = next(name for name in ("nvidia-device-plugin", "gpu-device-plugin") if name != value.namespace)
            raise PydanticCustomError(
                "namespace",
                '"{namespace}" is that of the models, whose pods may do less',
                {
                    "path": ("devicePlugin", "namespace"),
                    "namespace": value.namespace,
                    "allowed": "another one than inference:namespace",
                    "example": other,
                    "hide": True,
                },
            )
        return value


def _with_rate_of(storage: Mapping[str, Storage], model: Model) -> Model:
    """The model with the reading rate of its storage, where the stack gives none and the weights are on a volume."""
    weights = model.weights
    if parse_source(model.source).scheme == "image":
        return model
    if weights.storage is None or weights.storage not in storage or "bandwidth_mbps" in weights.model_fields_set:
        return model
    rate = storage[weights.storage].bandwidth_mbps
    return model.model_copy(update={"weights": weights.model_copy(update={"bandwidth_mbps": rate})})


def _on_nodes_of(pools: Mapping[str, GpuPool], model: Model) -> Model:
    """The model with the time that its pool's nodes take to come, where the stack gives none."""
    if model.rollout.node_seconds is not None:
        return model
    seconds = EKS_NODE_SECONDS if isinstance(pools.get(model.pool), EksPool) else 0
    return model.model_copy(update={"rollout": model.rollout.model_copy(update={"node_seconds": seconds})})


def _with_scaler(model: Model, *, scaled: bool) -> Model:
    """The model with the scaling that it has where the stack says nothing of it: any, if there is room to scale in."""
    if not scaled or model.scaling is not None or model.replicas.min == model.replicas.max:
        return model
    return model.model_copy(update={"scaling": Scaling()})


def _with_surges(
    models: Mapping[str, Model], pools: Mapping[str, GpuPool], slices: int, one_node: Collection[str]
) -> Mapping[str, Model]:
    """The models with the number that `surge: auto` is in their pools."""
    found = dict(models)
    for key, pool in pools.items():
        here = {name: model for name, model in models.items() if model.pool == key}
        for name, surge in surges(here, nodes=pool.nodes, gpus=pool.gpu.count * slices, one_node=one_node).items():
            rollout = models[name].rollout.model_copy(update={"surge": surge})
            found[name] = models[name].model_copy(update={"rollout": rollout})
    return found
