"""The VPC of a created cluster."""

from __future__ import annotations

import copy
import ipaddress
import itertools
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.aws.network import subnet_ranges
from components.settings import SettingsError, parse
from tests.aws.connected import Recorder, connected
from tests.components.samples import AWS_CREATED, changed, raw, without

ZONES = ("us-east-2a", "us-east-2b", "us-east-2c")
ANYWHERE = "0.0.0.0/0"


@pytest.fixture(scope="module")
def network() -> Recorder:
    return connected(AWS_CREATED)


@st.composite
def vpcs(draw: st.DrawFn) -> tuple[str, list[str]]:
    prefix = draw(st.integers(16, 20))
    address = draw(st.integers(0, 2**prefix - 1)) << (32 - prefix)
    letters = draw(st.lists(st.sampled_from("abcdefg"), min_size=2, max_size=6, unique=True))
    return str(ipaddress.IPv4Network((address, prefix))), [f"us-west-2{letter}" for letter in letters]


@given(vpc=vpcs())
def test_no_two_subnets_overlap_and_all_are_inside_the_vpc(vpc: tuple[str, list[str]]) -> None:
    cidr, zones = vpc
    ranges = subnet_ranges(cidr, zones)
    subnets = [ipaddress.IPv4Network(each) for zone in zones for each in (ranges[zone].private, ranges[zone].public)]
    assert len(subnets) == 2 * len(zones)
    assert all(subnet.subnet_of(ipaddress.IPv4Network(cidr)) for subnet in subnets)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(subnets, 2))


@given(vpc=vpcs())
def test_private_subnets_have_an_eighth_of_the_vpc_and_aws_accepts_the_public_ones(vpc: tuple[str, list[str]]) -> None:
    cidr, zones = vpc
    whole = ipaddress.IPv4Network(cidr)
    for each in subnet_ranges(cidr, zones).values():
        assert ipaddress.IPv4Network(each.private).num_addresses * 8 == whole.num_addresses
        # https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html: /28 at the smallest.
        assert ipaddress.IPv4Network(each.public).prefixlen <= 28


@given(vpc=vpcs(), data=st.data())
def test_a_zone_keeps_its_ranges_whatever_becomes_of_the_others(
    vpc: tuple[str, list[str]], data: st.DataObject
) -> None:
    cidr, zones = vpc
    fewer = data.draw(st.permutations(zones))[1:]
    before = subnet_ranges(cidr, zones)
    assert subnet_ranges(cidr, fewer) == {zone: before[zone] for zone in fewer}


def test_the_ranges_of_a_default_vpc() -> None:
    ranges = subnet_ranges("10.0.0.0/16", ["us-west-2a", "us-west-2b"])
    assert [(each.private, each.public) for each in ranges.values()] == [
        ("10.0.0.0/19", "10.0.224.0/22"),
        ("10.0.32.0/19", "10.0.228.0/22"),
    ]


def test_a_zone_without_a_range_is_refused_by_name() -> None:
    with pytest.raises(pulumi.RunError, match="us-west-2h"):
        subnet_ranges("10.0.0.0/16", ["us-west-2a", "us-west-2h"])


def test_load_balancers_find_their_subnets(network: Recorder) -> None:
    for zone in ZONES:
        public, private = (network.named("Subnet", f"dev-{kind}-{zone}").inputs for kind in ("public", "private"))
        assert public["tags"]["kubernetes.io/role/elb"] == "1"
        assert private["tags"]["kubernetes.io/role/internal-elb"] == "1"
        assert public["availabilityZone"] == private["availabilityZone"] == zone
        assert "mapPublicIpOnLaunch" not in public


def test_names_resolve_in_the_vpc_and_its_default_group_is_closed(network: Recorder) -> None:
    vpc, group = network.one("Vpc").inputs, network.one("DefaultSecurityGroup").inputs
    assert (vpc["enableDnsSupport"], vpc["enableDnsHostnames"]) == (True, True)
    assert (group["ingress"], group["egress"]) == ([], [])


def test_every_zone_leaves_by_its_own_gateway(network: Recorder) -> None:
    for zone in ZONES:
        route = network.named("Route", f"dev-private-{zone}").inputs
        assert (route["natGatewayId"], route["destinationCidrBlock"]) == (f"dev-{zone}-id", ANYWHERE)
        assert "gatewayId" not in route
        assert network.named("NatGateway", f"dev-{zone}").inputs["subnetId"] == f"dev-public-{zone}-id"
        association = network.named("RouteTableAssociation", f"dev-private-{zone}").inputs
        assert (association["routeTableId"], association["subnetId"]) == (
            f"dev-private-{zone}-id",
            f"dev-private-{zone}-id",
        )


def test_one_gateway_serves_all_zones_from_the_one_that_is_listed_first() -> None:
    config = changed(AWS_CREATED, "cluster.create.nat", "one")
    network = connected(changed(config, "cluster.create.zones", ["us-east-2b", "us-east-2c", "us-east-2a"]))
    assert network.one("NatGateway").name == network.one("Eip").name == "dev-us-east-2b"
    assert network.one("NatGateway").inputs["subnetId"] == "dev-public-us-east-2b-id"
    routes = {each.name: each.inputs["natGatewayId"] for each in network.of("Route") if "private" in each.name}
    assert routes == {f"dev-private-{zone}": "dev-us-east-2b-id" for zone in ZONES}


@pytest.mark.parametrize("nat", ["one", "perZone"])
@pytest.mark.parametrize("added", ["us-east-2a", "us-east-2c"], ids=["before", "after"])
def test_a_zone_that_is_added_moves_nothing_that_is_there(nat: str, added: str) -> None:
    """Endpoints get its subnet and route table in place; what cannot take it is not asked to."""
    config, zones = changed(AWS_CREATED, "cluster.create.nat", nat), [zone for zone in ZONES if zone != added]
    before, after = (connected(changed(config, "cluster.create.zones", listed)) for listed in (zones, [*zones, added]))
    there, then = sent(before), sent(after)
    endpoints = {each.urn for each in before.of("VpcEndpoint")}
    assert {urn for urn, inputs in there.items() if then.get(urn) != inputs} == endpoints
    assert {urn.rpartition("::")[2] for urn in then.keys() - there.keys()} == {
        f"dev-public-{added}", f"dev-private-{added}", *([f"dev-{added}"] if nat == "perZone" else []),
    }  # fmt: skip


def sent(recorder: Recorder) -> dict[str, Any]:
    """By URN the inputs of all resources that an update sends: without those that they ignore."""
    found = {}
    for each in recorder.registrations:
        found[each.urn] = inputs = copy.deepcopy(each.inputs)
        for path in recorder.ignored[each.urn]:
            *above, key = path.split(".")
            section = inputs
            for name in above:
                section = section.get(name, {})
            section.pop(key, None)
    return found


def test_only_the_public_subnets_are_routed_to_the_internet_gateway(network: Recorder) -> None:
    assert [each.name for each in network.of("Route") if "gatewayId" in each.inputs] == ["dev-public"]
    public = {each.inputs["subnetId"] for each in network.of("RouteTableAssociation") if "public" in each.name}
    assert public == {f"dev-public-{zone}-id" for zone in ZONES}


def test_addresses_and_gateways_wait_for_the_internet_gateway(network: Recorder) -> None:
    gateway = network.one("InternetGateway").urn
    assert all(gateway in each.depends_on for each in (*network.of("Eip"), *network.of("NatGateway")))


def test_s3_is_reached_inside_the_vpc_from_every_private_subnet(network: Recorder) -> None:
    endpoint = network.named("VpcEndpoint", "dev-s3").inputs
    assert (endpoint["serviceName"], endpoint["vpcEndpointType"]) == ("com.amazonaws.us-east-2.s3", "Gateway")
    assert endpoint["routeTableIds"] == [f"dev-private-{zone}-id" for zone in ZONES]


def test_interface_endpoints_let_the_vpc_in_and_nobody_else(network: Recorder) -> None:
    endpoints = [each.inputs for each in network.of("VpcEndpoint") if each.inputs["vpcEndpointType"] == "Interface"]
    assert sorted(each["serviceName"] for each in endpoints) == [
        f"com.amazonaws.us-east-2.{service}" for service in ("ecr.api", "ecr.dkr", "sts")
    ]
    for each in endpoints:
        assert each["privateDnsEnabled"] is True
        assert each["subnetIds"] == [f"dev-private-{zone}-id" for zone in ZONES]
        assert each["securityGroupIds"] == ["dev-endpoints-id"]
    group = network.named("SecurityGroup", "dev-endpoints").inputs
    assert not {"ingress", "egress"} & group.keys()
    rule = network.one("SecurityGroupIngressRule").inputs
    assert (rule["cidrIpv4"], rule["ipProtocol"], rule["fromPort"], rule["toPort"]) == ("10.20.0.0/18", "tcp", 443, 443)
    assert rule["securityGroupId"] == "dev-endpoints-id"


def test_without_interface_endpoints_there_is_no_group() -> None:
    network = connected(without(AWS_CREATED, "cluster.create.interfaceEndpoints"))
    assert not network.of("SecurityGroup")
    assert [each.name for each in network.of("VpcEndpoint")] == ["dev-s3"]


def test_anywhere_is_only_where_routes_lead_to(network: Recorder) -> None:
    with_anywhere = {each.type for each in network.registrations if ANYWHERE in str(each.inputs)}
    assert with_anywhere == {"aws:ec2/route:Route"}


def mistake(key: str, value: object) -> str:
    """The one mistake of a created cluster with this value of a key."""
    with pytest.raises(SettingsError) as error:
        parse(raw(changed(AWS_CREATED, f"cluster.create.{key}", value)))
    (found,) = error.value.mistakes
    return str(found)


@pytest.mark.parametrize(
    "cidr", ["8.8.8.8", "8.8.8.8/16", "8.0.0.0/8", "172.15.0.0/16", "172.32.1.0/16", "100.128.0.0/20", "127.0.0.0/16"]
)
def test_a_vpc_of_public_addresses_is_refused_with_a_range_that_is_taken(cidr: str) -> None:
    message = mistake("cidr", cidr)
    assert f'"{cidr}" is not private' in message
    parse(raw(changed(AWS_CREATED, "cluster.create.cidr", message.rsplit(" ", 1)[1])))


@given(vpc=vpcs(), slip=st.sampled_from(["", "/8", "/12", "/16", "/24"]))
def test_whatever_is_suggested_for_a_vpc_is_taken(vpc: tuple[str, list[str]], slip: str) -> None:
    written = vpc[0].split("/")[0] + slip
    try:
        parse(raw(changed(AWS_CREATED, "cluster.create.cidr", written)))
    except SettingsError as error:
        (found,) = error.mistakes
        suggested = str(found).rsplit(" ", 1)[1]
        parse(raw(changed(AWS_CREATED, "cluster.create.cidr", suggested)))


@pytest.mark.parametrize("cidr", ["10.0.0.0/16", "172.31.0.0/16", "192.168.16.0/20", "100.64.0.0/16"])
def test_every_private_range_makes_a_vpc(cidr: str) -> None:
    assert connected(changed(AWS_CREATED, "cluster.create.cidr", cidr)).one("Vpc").inputs["cidrBlock"] == cidr


@pytest.mark.parametrize(
    "cidr", ["10.1.2.3/32", "172.16.0.0/12", "192.168.0.0/24", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4"]
)
def test_the_public_endpoint_is_for_ranges_of_the_internet(cidr: str) -> None:
    assert mistake("endpointCidrs", ["203.0.113.0/24", cidr]).startswith(
        f"inference:cluster.create.endpointCidrs: holds {cidr}, which is "
    )


def test_the_public_endpoint_may_be_anybodys_or_that_of_forty_ranges() -> None:
    for ranges in (["0.0.0.0/0"], [f"203.0.113.{number}/32" for number in range(40)]):
        parse(raw(changed(AWS_CREATED, "cluster.create.endpointCidrs", ranges)))


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("endpointCidrs", ["203.0.113.0/24"] * 2),
        ("interfaceEndpoints", ["sts", "ecr.api", "sts"]),
        ("admins", ["arn:aws:iam::123456789012:role/admin"] * 2),
    ],
)
def test_what_would_be_made_twice_is_refused(key: str, values: list[str]) -> None:
    assert f"{key}: holds {values[0]} twice" in mistake(key, values)


@pytest.mark.parametrize("service", ["", "-sts", "ECR.api", "ecr api", "sts/"])
def test_an_endpoint_is_named_as_aws_names_services(service: str) -> None:
    assert mistake("interfaceEndpoints", [service]).startswith(
        f'inference:cluster.create.interfaceEndpoints[0]: "{service}" is not valid'
    )
