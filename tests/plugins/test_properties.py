"""Pulumi's properties as plain values and back."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rehearsal.plugins.properties import UNKNOWN, annotation, at, dump, load

scalars = st.text() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
trees = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(st.dictionaries(st.text(), trees))
def test_what_is_dumped_is_loaded_again(values: dict[str, Any]) -> None:
    assert load(dump(values)) == values


def test_whole_numbers_stay_integers_as_kubernetes_wants_them() -> None:
    port = load(dump({"port": 8000}))["port"]
    assert (port, type(port)) == (8000, int)


def test_what_lies_at_a_path_that_is_not_there_is_the_default() -> None:
    assert at({"a": [{"b": 1}]}, "a", 0, "b") == 1
    for path in (("a", 1), ("a", "b"), ("c",)):
        assert at({"a": [{"b": 1}]}, *path, default=None) is None


def test_annotations_are_found_even_where_the_metadata_are_not_known_yet() -> None:
    assert annotation({"metadata": {"annotations": {"pulumi.com/skipAwait": "true"}}}, "skipAwait") == "true"
    assert annotation({"metadata": UNKNOWN}, "skipAwait") == ""
