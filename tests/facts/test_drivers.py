"""Which NVIDIA driver nodes have, and which one an image needs."""

from __future__ import annotations

import pytest

from components.engines import vllm
from components.facts import drivers

L4 = "NVIDIA-L4"
RTX_PRO_4500 = "NVIDIA-RTX-PRO-4500-Blackwell-Server-Edition"


@pytest.mark.parametrize(
    ("release", "product", "branch"),
    [
        (None, L4, 580),
        (None, RTX_PRO_4500, 595),
        ("1.33.5-20251023", L4, 570),
        ("1.33.5-20251112", L4, None),
        ("1.32.9-20251101", L4, 570),
        ("1.34.1-20251023", L4, None),
        ("1.34.2-20260610", L4, 580),
        ("1.35.0-20260610", RTX_PRO_4500, 580),
        ("1.35.0-20260917", RTX_PRO_4500, 595),
        ("1.35.0-20260917", L4, 580),
        ("ami-0123", L4, None),
    ],
)
def test_al2023_has_the_branch_of_its_release(release: str | None, product: str, branch: int | None) -> None:
    assert drivers.al2023(release, product) == branch


@pytest.mark.parametrize(
    ("release", "kubernetes", "product", "branch"),
    [
        (None, None, L4, 580),
        ("1.53.0-0a1b2c3d", None, L4, 580),
        ("2.0.0-0a1b2c3d", None, L4, 580),
        ("1.52.0-0a1b2c3d", "1.32", L4, 570),
        ("1.52.0-0a1b2c3d", "1.33", L4, None),
        ("1.52.0-0a1b2c3d", None, L4, None),
        ("latest", "1.32", L4, None),
        (None, "1.37", RTX_PRO_4500, None),
    ],
)
def test_bottlerocket_has_the_branch_of_its_release(
    release: str | None, kubernetes: str | None, product: str, branch: int | None
) -> None:
    assert drivers.bottlerocket(release, kubernetes, product) == branch


@pytest.mark.parametrize(
    ("image", "cuda"),
    [
        (vllm.IMAGE, "13.0"),
        ("vllm/vllm-openai:v0.20.0", "13.0"),
        ("docker.io/vllm/vllm-openai:v0.33.0-cu129", "12.9"),
        ("vllm/vllm-openai:v0.22.0-cu129-ubuntu2404", "12.9"),
        ("vllm/vllm-openai:v0.19.1", None),
        ("registry.example.com/vllm/vllm-openai:v0.33.0", None),
        ("docker.io/local/vllm-simulator:0.33", None),
    ],
)
def test_cuda_is_known_of_vllms_own_images(image: str, cuda: str | None) -> None:
    assert drivers.cuda_of(image) == cuda


@pytest.mark.parametrize(
    ("cuda", "product", "needed"),
    [
        ("12.9", L4, (525, "CUDA 12.9")),
        ("13.0", L4, (580, "CUDA 13.0")),
        ("13.0", RTX_PRO_4500, (595, RTX_PRO_4500)),
        (None, RTX_PRO_4500, (595, RTX_PRO_4500)),
    ],
)
def test_the_driver_has_to_do_for_image_and_gpu(cuda: str | None, product: str, needed: tuple[int, str]) -> None:
    assert drivers.needed(cuda=cuda, product=product) == needed


@pytest.mark.parametrize("cuda", [None, "14.0"])
def test_what_is_not_known_needs_nothing(cuda: str | None) -> None:
    assert drivers.needed(cuda=cuda, product=L4)[0] == 0
