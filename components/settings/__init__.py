"""Settings of a stack: loaded and checked once, at the edge, into frozen values."""

from components.settings.access import FrontDoor, Gateway, Ingress, NetworkPolicy
from components.settings.amounts import Resources
from components.settings.autoscaling import Autoscaling
from components.settings.eks import CreateCluster, EksCluster, SystemNodes
from components.settings.helm import HelmAddon
from components.settings.infrastructure import DevicePlugin, Images, KubernetesCluster
from components.settings.load import SettingsError, load, parse, parse_file
from components.settings.model import Model, default_shared_memory
from components.settings.monitoring import Monitoring
from components.settings.objectives import Objectives
from components.settings.pools import Disk, EksPool, ExistingPool, Gpu, GpuPool
from components.settings.prometheus_auth import Auth as PrometheusAuth
from components.settings.prometheus_auth import AwsAuth, BasicAuth, BearerAuth
from components.settings.rollout import PriorityClass, Probe
from components.settings.scaling import Pace, Scaling
from components.settings.secrets import ApiKeys, api_keys, hub_token
from components.settings.source import ModelSource, parse_source
from components.settings.stack import Cluster, Settings
from components.settings.storage import Efs, Fsx, Gp3, InstanceStore, Storage
from components.settings.types import size_bytes, taint_parts
from components.settings.weights import DataSource, Weights

__all__ = [
    "ApiKeys",
    "Autoscaling",
    "AwsAuth",
    "BasicAuth",
    "BearerAuth",
    "Cluster",
    "CreateCluster",
    "DataSource",
    "DevicePlugin",
    "Disk",
    "Efs",
    "EksCluster",
    "EksPool",
    "ExistingPool",
    "FrontDoor",
    "Fsx",
    "Gateway",
    "Gp3",
    "Gpu",
    "GpuPool",
    "HelmAddon",
    "Images",
    "Ingress",
    "InstanceStore",
    "KubernetesCluster",
    "Model",
    "ModelSource",
    "Monitoring",
    "NetworkPolicy",
    "Objectives",
    "Pace",
    "PriorityClass",
    "Probe",
    "PrometheusAuth",
    "Resources",
    "Scaling",
    "Settings",
    "SettingsError",
    "Storage",
    "SystemNodes",
    "Weights",
    "api_keys",
    "default_shared_memory",
    "hub_token",
    "load",
    "parse",
    "parse_file",
    "parse_source",
    "size_bytes",
    "taint_parts",
]
