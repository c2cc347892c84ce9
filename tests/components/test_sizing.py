"""The size that is asked for, from the files of a source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.facts import models
from components.settings import Model, size_bytes
from components.sizing import needed_bytes, quantity, revision_bytes, volume_size
from tests.components.samples import SMALLEST, changed, chat

SOURCE: str = SMALLEST["models"]["chat"]["source"]


def model(files: Mapping[str, int] | None, **weights: Any) -> Model:
    """A model whose source has those files, as far as the program knows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "_data", lambda: {} if files is None else {SOURCE: files})
        return chat(changed(SMALLEST, "models.chat.weights", weights))


def asked(files: Mapping[str, int] | None, weighed: Model) -> tuple[int | None, int | None, str]:
    """Bytes of a revision and of a change, and the volume's size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "_data", lambda: {} if files is None else {SOURCE: files})
        return revision_bytes(weighed), needed_bytes(weighed), volume_size(weighed)


def test_the_size_is_that_of_the_kept_the_served_and_the_new_revision_and_a_tenth() -> None:
    files = {"model.safetensors": 10 * 2**30, "pytorch_model.bin": 10 * 2**30, "onnx/model.json": 5}
    assert asked(files, model(files)) == (10 * 2**30, 30 * 2**30, "33Gi")
    assert asked(files, model(files, keepRevisions=0)) == (10 * 2**30, 20 * 2**30, "22Gi")
    assert asked(files, model(files, include=["*"])) == (20 * 2**30, 60 * 2**30, "66Gi")


def test_a_size_that_is_given_is_the_one() -> None:
    files = {"model.safetensors": 2**30}
    assert asked(files, model(files, size="5000Mi")) == (2**30, 3 * 2**30, "5000Mi")
    assert asked(None, model(None, size="20Gi")) == (None, None, "20Gi")


def test_without_a_list_and_a_size_there_is_none() -> None:
    nowhere = model({"model.safetensors": 1})
    with pytest.raises(ValueError, match="has no volume whose size is known"):
        asked(None, nowhere)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "1Mi"),
        (1, "1Mi"),
        (2**20, "1Mi"),
        (2**20 + 1, "2Mi"),
        (2**30 - 2**20, "1023Mi"),
        (2**30 - 1, "1Gi"),
        (2**30, "1Gi"),
        (2**30 + 1, "2Gi"),
    ],
)
def test_a_quantity_is_in_whole_mi_below_one_gi_and_whole_gi_above(count: int, expected: str) -> None:
    assert quantity(count) == expected


SIZES = st.integers(1, 2**20) | st.integers(1, 2**43)


@given(sizes=st.lists(SIZES, min_size=1, max_size=4), more=SIZES, kept=st.integers(0, 9))
def test_a_volume_never_holds_less_than_is_needed_and_grows_with_files_and_revisions(
    sizes: list[int], more: int, kept: int
) -> None:
    files = {f"{index}.safetensors": size for index, size in enumerate(sizes)}
    one, needed, size = asked(files, model(files, keepRevisions=kept))
    assert one == sum(sizes)
    assert needed == (kept + 2) * sum(sizes)
    assert 10 * size_bytes(size) >= 11 * needed
    # No more than the rounding above it.
    assert size_bytes(size) - 1.1 * needed <= 2**30
    larger = files | {"more.safetensors": more}
    assert size_bytes(asked(larger, model(larger, keepRevisions=kept))[2]) >= size_bytes(size)
    assert size_bytes(asked(files, model(files, keepRevisions=kept + 1))[2]) >= size_bytes(size)
