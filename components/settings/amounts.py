"""CPU, memory and local disk of containers."""

from __future__ import annotations

from pydantic import BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from components.settings.section import OVERLAY
from components.settings.types import Cpu, Size, cpus, size_bytes


class Amounts(BaseModel):
    """CPU, memory and local disk of a container."""

    model_config = OVERLAY

    cpu: Cpu = Field(description="CPUs.")
    memory: Size = Field(description="Memory, that used below /dev/shm included.")
    ephemeral_storage: Size = Field(default="1Gi", description="Disk of the node for logs and emptyDir volumes.")

    def below(self, other: Amounts) -> list[str]:
        """The keys in which this is less than `other`."""
        ours, theirs = self._comparable(), other._comparable()
        return [key for key in ours if ours[key] < theirs[key]]

    def _comparable(self) -> dict[str, float]:
        return {
            "cpu": cpus(self.cpu),
            "memory": size_bytes(self.memory),
            "ephemeralStorage": size_bytes(self.ephemeral_storage),
        }


class Resources(BaseModel):
    """Requests and limits of a container, as Kubernetes has them; GPUs come from `gpus`."""

    model_config = OVERLAY

    requests: Amounts = Field(description="What the scheduler reserves.")
    limits: Amounts = Field(description="What the container cannot exceed.")

    @field_validator("limits")
    @classmethod
    def _not_below_requests(cls, value: Amounts, info: ValidationInfo) -> Amounts:
        requests = info.data.get("requests")
        short = [] if requests is None else value.below(requests)
        if short:
            raise PydanticCustomError(
                "limits",
                "is below the requests in {short}",
                {
                    "short": " and ".join(short),
                    "allowed": "amounts of at least the requests",
                    "fix": "raise it in the stack file, or lower the requests",
                },
            )
        return value
