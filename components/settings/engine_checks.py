"""What a model asks of its engine that the engine cannot do, by what its profile says of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from components.engines import Engine, engine_of, engines_that
from components.settings.mistakes import Mistake, quote, refused
from components.settings.model import Model
from components.settings.source import parse_source
from components.settings.source_forms import ENGINES as FETCHED_BY
from components.settings.stack import Settings


@dataclass(frozen=True, kw_only=True)
class _Wrong:
    """A key of a model that its engine has no use for, or needs."""

    key: str
    problem: str
    allowed: str
    fix: str | None = None
    example: object = None


_Check = Callable[[str, Engine, Model], Iterator[_Wrong]]
_TAKE_OUT: Final = "take it out"


def _or(names: Collection[str]) -> str:
    return f"or engine {_listed(names)}"


def _listed(names: Collection[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def _has_an_image(_name: str, engine: Engine, model: Model) -> Iterator[_Wrong]:
    if model.image is None and engine.image is None:
        yield _Wrong(
            key="image",
            problem=f"is missing, and the program has none for {engine.title}",
            allowed="an image by its digest, or with a tag other than latest",
            example=engine.image_example,
        )


def _triton_has_the_engine(_name: str, engine: Engine, model: Model) -> Iterator[_Wrong]:
    able = engines_that(lambda each: each.with_triton is not None)
    if model.triton and model.engine not in able:
        yield _Wrong(
            key="triton",
            problem=f"true asks for a Triton server, which {engine.title} is not served by here",
            allowed=f"false, {_or(able)}",
            example=False,
        )


def _gpus_work_together(_name: str, engine: Engine, model: Model) -> Iterator[_Wrong]:
    if model.gpus > 1 and not engine.tensor_parallel:
        yield _Wrong(
            key="gpus",
            problem=f"{model.gpus} asks for tensor parallelism, which {engine.title} has not",
            allowed=f"1, {_or(engines_that(lambda each: each.tensor_parallel))}",
            example=1,
        )


def _serves_the_source(_name: str, engine: Engine, model: Model) -> Iterator[_Wrong]:
    scheme = parse_source(model.source).scheme
    # Of what an engine's own tool fetches, the checks of weights speak.
    if scheme not in engine.sources and scheme not in FETCHED_BY:
        schemes = " or ".join(f"{each}://" for each in sorted(engine.sources))
        yield _Wrong(
            key="source",
            problem=f"{quote(model.source)} is a folder of files, and {engine.title} serves from a store of its own",
            allowed=f"a source {schemes}, {_or(engines_that(lambda each: scheme in each.sources))}",
            fix="choose another source or engine in the stack file",
        )


def _knows_the_quantization(_name: str, engine: Engine, model: Model) -> Iterator[_Wrong]:
    given = model.quantization
    if given is not None and given not in engine.quantizations:
        own = ", ".join(sorted(engine.quantizations)) or "none"
        others = _listed(engines_that(lambda each: given in each.quantizations))
        yield _Wrong(
            key="quantization",
            problem=f"{quote(given)} is nothing that {engine.title} can be told",
            allowed=f"{own} with engine {model.engine}; {given} with engine {others}",
            fix=_TAKE_OUT,
        )


def _knows_the_dtype(_name: str, engine: Engine, model: Model) -> Iterator[_Wrong]:
    if model.dtype is not None and model.dtype not in engine.dtypes:
        own = ", ".join(sorted(engine.dtypes)) or "none, since it takes that from the weights"
        yield _Wrong(
            key="dtype",
            problem=f"{quote(model.dtype)} is nothing that {engine.title} can be told",
            allowed=own,
            fix=_TAKE_OUT,
        )
    elif model.dtype and model.quantization and not engine.dtype_with_quantization:
        yield _Wrong(
            key="dtype",
            problem=f"is given together with quantization, of which {engine.title} takes one",
            allowed="dtype, or quantization",
            fix="take one of the two out",
        )


def _file_is_for_one(_name: str, engine: Engine, model: Model) -> Iterator[_Wrong]:
    needed = model.quantization in engine.weights_file
    if needed and model.weights_file is None:
        yield _Wrong(
            key="weightsFile",
            problem=f"is missing, and of quantization {model.quantization} {engine.title} loads one file",
            allowed="the file's path below the folder of the weights",
            example="model-Q4_K_M.gguf",
        )
    elif model.weights_file is not None and not needed:
        yield _Wrong(
            key="weightsFile",
            problem=f"is for engines that load one file, and {engine.title} loads a folder here",
            allowed=f"none, {_or(engines_that(lambda each: bool(each.weights_file)))} with quantization gguf",
            fix=_TAKE_OUT,
        )


def _takes_adapters(name: str, engine: Engine, model: Model) -> Iterator[_Wrong]:
    if model.adapters and not engine.adapters:
        yield _Wrong(
            key="adapters",
            problem=f"are given, and {engine.title} takes none by name",
            allowed=f"none, {_or(engines_that(lambda each: each.adapters))}",
            fix=_TAKE_OUT,
        )
    elif name in model.adapters:
        yield _Wrong(
            key="adapters",
            problem=f"holds {name}, which is the name of the model without any",
            allowed="names other than the model's",
            fix="rename it in the stack file",
        )


def _takes_a_share_of_memory(_name: str, engine: Engine, model: Model) -> Iterator[_Wrong]:
    if "gpu_memory_utilization" in model.model_fields_set and not engine.memory_share:
        yield _Wrong(
            key="gpuMemoryUtilization",
            problem=f"is given, and {engine.title} is not told what share of the memory to take",
            allowed=f"none, {_or(engines_that(lambda each: each.memory_share))}",
            fix=_TAKE_OUT,
        )


def _takes_arguments(_name: str, engine: Engine, model: Model) -> Iterator[_Wrong]:
    if model.engine_args and not engine.takes_arguments:
        yield _Wrong(
            key="engineArgs",
            problem=f"are given, and {engine.title} takes none",
            allowed="none; what it can be told is in variables: env",
            fix=_TAKE_OUT,
        )


def _has_its_key(_name: str, engine: Engine, model: Model) -> Iterator[_Wrong]:
    if engine.key_variable is not None and model.ngc_key_secret is None:
        yield _Wrong(
            key="ngcKeySecret",
            problem=f"is missing, and {engine.title} does not start without a key",
            allowed="a Secret of the models' namespace with the key as NGC_API_KEY",
            example="ngc",
        )
    elif engine.key_variable is None and model.ngc_key_secret is not None:
        yield _Wrong(
            key="ngcKeySecret",
            problem=f"is given, and {engine.title} has no use for it",
            allowed=f"none, {_or(engines_that(lambda each: each.key_variable is not None))}",
            fix=_TAKE_OUT,
        )


_ABOUT_A_MODEL: Final[tuple[_Check, ...]] = (
    _has_an_image,
    _triton_has_the_engine,
    _gpus_work_together,
    _serves_the_source,
    _knows_the_quantization,
    _knows_the_dtype,
    _file_is_for_one,
    _takes_adapters,
    _takes_a_share_of_memory,
    _takes_arguments,
    _has_its_key,
)


def _engines_do_what_is_asked(settings: Settings) -> Iterator[Mistake]:
    for name, model in settings.models.items():
        engine = engine_of(model)
        for check in _ABOUT_A_MODEL:
            for wrong in check(name, engine, model):
                path = ("models", name, wrong.key)
                yield refused(path, wrong.problem, allowed=wrong.allowed, fix=wrong.fix, example=wrong.example)


CHECKS: Final[tuple[Callable[[Settings], Iterator[Mistake]], ...]] = (_engines_do_what_is_asked,)
