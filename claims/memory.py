"""What the weights of a model take of the memory of a replica's GPUs, in bytes.

Weights are shared out over the GPUs of a node (tensor parallel), and layers over nodes (pipeline parallel).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from components.facts import models
from components.settings import Model
from components.sizing import shape_of

# Scales and zero points, one pair for 128 weights: https://huggingface.co/docs/transformers/quantization/awq.
_SCALES_BYTES, _GROUP = 2.5, 128
_BYTE = 8
_DTYPES = {"float16": 2, "bfloat16": 2, "float32": 4}
_WEIGHTS = ("*.safetensors", "*/*.safetensors")


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Bytes of all weights: as they are served, and as they are read, before an engine quantizes them itself."""

    served: int
    read: int
    how: str
    """The computation of `served`."""


def weights(model: Model) -> Weights | None:
    """The weights of a model; None where neither its files nor its parameters are known."""
    shape = shape_of(model)
    parameters, size = shape.get("parameters"), shape.get("dtypeBytes", 2)
    bits = shape.get("quantizationBits") or (4 if model.quantization in {"awq", "gptq"} else None)
    online = model.quantization == "fp8" and bits is None
    computed = _computed(model, size)
    listed = _files(model)
    # A 32-bit file that is served in 16 bits is read in 16.
    stored = listed if listed is None or bits else listed * computed // size
    if online and parameters is not None:
        served, how = _quantized(parameters, shape, 8)
        return Weights(served=served, read=stored or parameters * computed, how=how)
    if stored is not None:
        return Weights(served=stored, read=stored, how=f"{stored:,} B of files")
    if parameters is None:
        return None
    served, how = (
        _quantized(parameters, shape, bits)
        if bits
        else (parameters * computed, f"{parameters:,} parameters x {computed} B")
    )
    return Weights(served=served, read=served, how=how)


def element_bytes(model: Model) -> int:
    """Bytes of a number that the model computes with, which its KV cache has too; 8 bits are for weights alone."""
    return max(2, _computed(model, shape_of(model).get("dtypeBytes", 2)))


def missing(model: Model) -> list[str]:
    """Keys of `models.X.facts` that would have to be known, and are not."""
    shape = shape_of(model)
    attention = ("qkRopeHeadDim",) if "kvLoraRank" in shape else ("kvHeads", "headDim")
    needed = ("layers", *attention, "hidden", "intermediate", "vocabulary")
    found = [key for key in needed if key not in shape]
    return found if weights(model) is not None else ["parameters", *found]


def _files(model: Model) -> int | None:
    """Bytes of the files with weights among those that are seeded; None where no list is known, or none is in it."""
    paths = models.files(model.source)
    if paths is None:
        return None
    seeded = models.selected(paths, model.weights.include, model.weights.exclude)
    if model.weights_file is not None:
        return seeded.get(model.weights_file)
    return sum(models.selected(seeded, _WEIGHTS, ()).values()) or None


def _computed(model: Model, stored: int) -> int:
    return _DTYPES.get(model.dtype or "", min(stored, 2) if model.dtype == "auto" else stored)


def _quantized(parameters: int, shape: Mapping[str, int], bits: int) -> tuple[int, str]:
    """Bytes of quantized weights; embeddings and the last layer stay in 16 bits."""
    kept = min(parameters, 2 * shape.get("vocabulary", 0) * shape.get("hidden", 0))
    each = bits / _BYTE + (_SCALES_BYTES / _GROUP if bits < _BYTE else 0)
    text = f"{parameters - kept:,} parameters x {each:.3g} B + {kept:,} of embeddings x 2 B"
    return round((parameters - kept) * each) + 2 * kept, text
