"""The cluster on paper: no two addresses meet, and nodes keep theirs."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.cluster.layout import MOST_NODES, Folders, Layout, Network, NodeSpec, number

NETWORK = Network(block=ipaddress.IPv4Network("10.77.0.0/16"))


def test_every_subnet_is_in_the_block_and_apart_from_the_others() -> None:
    subnets = [NETWORK.nodes, NETWORK.services, *(NETWORK.pods_of(index) for index in range(MOST_NODES))]
    assert all(subnet.subnet_of(NETWORK.block) for subnet in subnets)
    assert len({str(subnet) for subnet in subnets}) == len(subnets)
    assert not any(one.overlaps(other) for i, one in enumerate(subnets) for other in subnets[:i])


def test_pod_subnets_fill_what_kube_proxy_takes_for_local() -> None:
    assert all(NETWORK.pods_of(index).subnet_of(NETWORK.pods) for index in range(MOST_NODES))
    assert not NETWORK.services.overlaps(NETWORK.pods)


def test_node_addresses_meet_neither_the_control_plane_nor_the_host() -> None:
    nodes = {NETWORK.node(index) for index in range(MOST_NODES)}
    assert len(nodes) == MOST_NODES
    assert nodes.isdisjoint({NETWORK.control, NETWORK.host})
    assert NETWORK.dns in NETWORK.services


@pytest.mark.parametrize("text", ["10.77.0.0/24", "8.8.0.0/16", "10.77.1.0/16", "fd00::/16", "here"])
def test_only_a_private_16_is_taken(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REHEARSAL_NETWORK", text)
    with pytest.raises(ValueError, match=r"."):
        Network.from_environment()


@given(
    before=st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8),
    after=st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1, max_size=8),
)
def test_nodes_keep_their_index_when_pools_change(before: list[str], after: list[str]) -> None:
    first = number(tuple(NodeSpec(name=name) for name in ("system", *before)), {})
    known = {node.name: node.index for node in first}
    second = number(tuple(NodeSpec(name=name) for name in ("system", *after)), known)
    assert second[0].index == 0
    assert len({node.index for node in second}) == len(second)
    assert all(node.index == known[node.name] for node in second if node.name in known)


def test_more_nodes_than_the_network_has_room_for_are_refused() -> None:
    with pytest.raises(ValueError, match="room for 64"):
        number(tuple(NodeSpec(name=f"n{index}") for index in range(MOST_NODES + 1)), {})


def test_two_nodes_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        Layout(
            name="x",
            network=NETWORK,
            folders=Folders(root=Path("/nowhere")),
            nodes=(NodeSpec(name="a", index=0), NodeSpec(name="a", index=1)),
        )
