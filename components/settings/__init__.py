"""Settings of a stack: loaded and checked once, at the edge, into frozen values."""

from components.settings.amounts import Resources
from components.settings.infrastructure import Cluster, DevicePlugin, GpuPool
from components.settings.load import SettingsError, hub_token, load, parse
from components.settings.model import Model, default_shared_memory
from components.settings.rollout import Probe
from components.settings.stack import Settings
from components.settings.types import repository, revision, size_bytes
from components.settings.weights import Weights

__all__ = [
    "Cluster",
    "DevicePlugin",
    "GpuPool",
    "Model",
    "Probe",
    "Resources",
    "Settings",
    "SettingsError",
    "Weights",
    "default_shared_memory",
    "hub_token",
    "load",
    "parse",
    "repository",
    "revision",
    "size_bytes",
]
