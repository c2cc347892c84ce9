"""NVIDIA driver branches: what EKS's AMIs bring, and what the CUDA of an image and a GPU need, where it is known.

None means that it is not known; nothing is refused then. Sources, as of November 2026:
CUDA: https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html;
AL2023: github.com/awslabs/amazon-eks-ami, pull requests 2484, 2496, 2503, 2509 (580), v20260917 (595 for G7);
Bottlerocket: https://bottlerocket.dev, "GPU Driver Versions" of 1.47.0 and 1.53.0;
vLLM: github.com/vllm-project/vllm, pull request 39878.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

# The driver must be at least of this branch, by the major version of CUDA.
_BY_CUDA: Final = MappingProxyType({11: 450, 12: 525, 13: 580})
# Products that an older driver does not know.
_BY_PRODUCT: Final = MappingProxyType({"NVIDIA-RTX-PRO-4500-Blackwell-Server-Edition": 595})

_AL2023_RELEASE: Final = re.compile(r"^1\.(?P<kubernetes>[0-9]{2})\.[0-9]+-(?P<date>20[0-9]{6})$")
_BOTTLEROCKET_RELEASE: Final = re.compile(r"^(?P<major>[0-9]+)\.(?P<minor>[0-9]+)\.[0-9]+-[0-9a-f]{8}$")
# By Kubernetes' minor version, the day that the branch's change from 570 to 580 was proposed: no release before has it.
_AL2023_SINCE_580: Final = MappingProxyType({30: "20251110", 31: "20251107", 32: "20251105", 33: "20251027"})
_AL2023_ALL_580: Final = "20251201"
_AL2023_SINCE_595: Final = "20260917"
_BOTTLEROCKET_ALL_580: Final = (1, 53)
_BOTTLEROCKET_LAST_570: Final = 32
"""Kubernetes' minor version, up to which Bottlerocket before 1.53 has 570 or older."""

_VLLM: Final = re.compile(
    r"^(docker\.io/)?vllm/vllm-openai:v0\.(?P<minor>[0-9]+)\.[0-9]+(-cu(?P<major>[0-9]{2})(?P<rest>[0-9]))?(-ubuntu[0-9]+)?"
    r"(@sha256:[0-9a-f]{64})?$"
)
_VLLM_CUDA_13: Final = 20
"""Minor version of vLLM since which images without a suffix have CUDA 13.0."""


def needed(*, cuda: str | None, product: str) -> tuple[int, str]:
    """The oldest driver branch that will do, and what needs it; 0 where nothing known does."""
    by_cuda = (0, "") if cuda is None else (_BY_CUDA.get(int(cuda.split(".")[0]), 0), f"CUDA {cuda}")
    return max(by_cuda, (_BY_PRODUCT.get(product, 0), product))


def cuda_of(image: str) -> str | None:
    """CUDA of an engine's image: `cuda_of("docker.io/vllm/vllm-openai:v0.33.0") == "13.0"`."""
    match = _VLLM.match(image)
    if match is None:
        return None
    if match["major"]:
        return f"{match['major']}.{match['rest']}"
    return "13.0" if int(match["minor"]) >= _VLLM_CUDA_13 else None


def al2023(release: str | None, product: str) -> int | None:
    """Branch of a release such as 1.34.2-20260917 of the AL2023 NVIDIA AMI, None for the latest."""
    newest = max(580, _BY_PRODUCT.get(product, 0))
    if release is None:
        return newest
    match = _AL2023_RELEASE.match(release)
    if match is None:
        return None
    if match["date"] >= _AL2023_SINCE_595:
        return newest
    if match["date"] >= _AL2023_ALL_580:
        return 580
    since = _AL2023_SINCE_580.get(int(match["kubernetes"]))
    return 570 if since is not None and match["date"] < since else None


def bottlerocket(release: str | None, kubernetes: str | None, product: str) -> int | None:
    """Branch of a release such as 1.53.0-0a1b2c3d of Bottlerocket's NVIDIA variant; before 1.53 at most that branch."""
    match = _BOTTLEROCKET_RELEASE.match(release or "")
    if product in _BY_PRODUCT or (release is not None and match is None):
        return None
    if match is None or (int(match["major"]), int(match["minor"])) >= _BOTTLEROCKET_ALL_580:
        return 580
    known = kubernetes is not None and int(kubernetes.split(".")[1]) <= _BOTTLEROCKET_LAST_570
    return 570 if known else None
