"""What a model asks of GPUs that are too old for it, or parts of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from components.engines import engine_of
from components.facts import drivers, gpus
from components.settings.mistakes import Mistake, refused
from components.settings.model import Model
from components.settings.stack import Settings


def cuda_of(model: Model) -> str | None:
    """CUDA of the model's image, as far as it is known."""
    return model.cuda or (engine_of(model).cuda if model.image is None else drivers.cuda_of(model.image))


def _the_data_type_is_theirs(settings: Settings) -> Iterator[Mistake]:
    """Engines do not start with bfloat16 on GPUs before Ampere; where they choose, they take float16 there."""
    for name, model in settings.models.items():
        product = settings.gpu_pools[model.pool].gpu.product
        generation = gpus.old_generation(product)
        if model.dtype == "bfloat16" and generation is not None:
            yield refused(
                ("models", name, "dtype"),
                f"bfloat16 is not what {product} of pool {model.pool} computes in, as {generation} has none",
                allowed="auto, float16, float32; bfloat16 from Ampere on",
                example="float16",
            )


def _cuda_knows_them(settings: Settings) -> Iterator[Mistake]:
    for name, model in settings.models.items():
        product, cuda = settings.gpu_pools[model.pool].gpu.product, cuda_of(model)
        last = gpus.last_cuda(product)
        if cuda is not None and last is not None and int(cuda.partition(".")[0]) > last:
            yield refused(
                ("models", name, "pool"),
                f"{model.pool} has {product}, and the image of the model has CUDA {cuda}: {last} is the last for them",
                allowed=f"a pool with newer GPUs, or an image with CUDA {last}",
                fix=f"choose another pool, or an image with CUDA {last}, and set cuda where its tag does not tell",
            )


def _slices_work_alone(settings: Settings) -> Iterator[Mistake]:
    for name, model in settings.models.items():
        product = settings.gpu_pools[model.pool].gpu.product
        if model.gpus > 1 and gpus.is_slice(product):
            yield refused(
                ("models", name, "gpus"),
                f"{model.gpus} slices of GPUs, as {product} of pool {model.pool} are, do not work together",
                allowed="1, or a pool of whole GPUs",
                example=1,
            )


CHECKS: Final[tuple[Callable[[Settings], Iterator[Mistake]], ...]] = (
    _the_data_type_is_theirs,
    _cuda_knows_them,
    _slices_work_alone,
)
