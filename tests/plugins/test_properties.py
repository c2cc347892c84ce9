"""Pulumi's properties as plain values and back."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rehearsal.plugins.properties import UNKNOWN, bare, dump, has_unknown, is_secret, like, load, secret

scalars = st.text() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
keys = st.text().filter(lambda key: "x" not in key)
trees = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner))


@given(st.dictionaries(keys, trees))
def test_what_is_dumped_is_loaded_again(values: dict[str, Any]) -> None:
    assert load(dump(values)) == values


def test_whole_numbers_stay_integers_as_kubernetes_wants_them() -> None:
    port = load(dump({"port": 8000}))["port"]
    assert (port, type(port)) == (8000, int)


def test_the_dashed_keys_of_a_crds_schema_survive_the_sdk_that_cannot_write_them() -> None:
    assert load(dump({"x-kubernetes-list-type": "map"})) == {"x-kubernetes-list-type": "map"}
    assert "x_kubernetes_list_type" in dump({"x-kubernetes-list-type": "map"}).fields


def test_secrets_are_unwrapped_for_the_server_and_wrapped_again_for_the_state() -> None:
    given_ = {"data": {"token": secret("hunter2"), "user": "me"}, "list": [secret(1), 2]}
    plain = {"data": {"token": "hunter2", "user": "me"}, "list": [1, 2]}
    assert bare(given_) == plain
    assert like(plain, given_) == given_
    assert is_secret(like(plain, secret("all of it")))


def test_an_unknown_is_found_however_deep_it_lies() -> None:
    assert has_unknown({"spec": [{"ip": UNKNOWN}]})
    assert not has_unknown({"spec": [{"ip": "10.0.0.1"}]})
