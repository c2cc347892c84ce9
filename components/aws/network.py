"""The VPC of a created cluster: the only module that makes EC2 resources for it, which take seconds to import."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.settings import CreateCluster

ZONES: Final = "abcdefg"
"""Letters of the zones that have a range: seven eighths of the VPC; the last eighth is for the public subnets."""


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """The IPv4 ranges of a zone."""

    private: str
    public: str


def subnet_ranges(cidr: str, zones: Sequence[str]) -> dict[str, Ranges]:
    """An eighth of the VPC for each zone's nodes and pods, and an eighth of the last eighth for its NAT gateway.

    A zone's ranges follow from its letter, so that zones can be added, sorted and, if the control plane is not in them,
    removed without another one's subnets being replaced under a running cluster.
    """
    eighths = list(ipaddress.IPv4Network(cidr).subnets(prefixlen_diff=3))
    public = list(eighths[7].subnets(prefixlen_diff=3))
    unknown = [zone for zone in zones if zone[-1] not in ZONES]
    if unknown:
        raise pulumi.RunError(f"zone {unknown[0]} has no range in the VPC, which is divided among the zones a to g")
    return {
        zone: Ranges(private=str(eighths[ZONES.index(zone[-1])]), public=str(public[ZONES.index(zone[-1])]))
        for zone in zones
    }


class Network(pulumi.ComponentResource):
    """A VPC with a private and a public subnet in each zone, ways out of it, and ways to AWS that stay inside."""

    vpc_id: pulumi.Output[str]
    private_subnets: dict[str, pulumi.Output[str]]

    def __init__(
        self,
        name: str,
        settings: CreateCluster,
        *,
        region: str,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Create the network; whoever starts nodes in it depends on the whole, because routes are nobody's input."""
        super().__init__("inference:index:Network", name, None, opts)
        self._name, self._tags = name, tags
        self._below = pulumi.ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            name,
            cidr_block=settings.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=self._named(name),
            opts=pulumi.ResourceOptions(parent=self, protect=settings.protect),
        )
        self.vpc_id = vpc.id
        # Without rules: what belongs to no group of its own reaches nothing.
        aws.ec2.DefaultSecurityGroup(
            name, vpc_id=vpc.id, ingress=[], egress=[], tags=self._named(f"{name}-default"), opts=self._below
        )
        ranges = subnet_ranges(settings.cidr, settings.zones)
        zones = sorted(ranges)
        public = {zone: self._subnet("public", "elb", zone, ranges[zone].public) for zone in zones}
        private = {zone: self._subnet("private", "internal-elb", zone, ranges[zone].private) for zone in zones}
        self.private_subnets = {zone: subnet.id for zone, subnet in private.items()}
        internet = aws.ec2.InternetGateway(name, vpc_id=vpc.id, tags=self._named(name), opts=self._below)
        self._route_table("public", public, internet=internet)
        # The first that is listed: what is added after it moves no gateway, whatever its letter.
        first = settings.zones[0]
        nat_zones = zones if settings.nat == "perZone" else [first]
        gateways = {zone: self._nat(zone, public[zone], internet) for zone in nat_zones}
        tables = {
            zone: self._route_table(f"private-{zone}", {zone: private[zone]}, nat=gateways.get(zone, gateways[first]))
            for zone in zones
        }
        aws.ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in tables.values()],
            tags=self._named(f"{name}-s3"),
            opts=self._below,
        )
        if settings.interface_endpoints:
            self._interface_endpoints(settings, region)
        self.register_outputs({"vpcId": self.vpc_id, "privateSubnets": self.private_subnets})

    def _named(self, name: str) -> dict[str, str]:
        return {**self._tags, "Name": name}

    def _subnet(self, kind: str, load_balancers: str, zone: str, cidr: str) -> aws.ec2.Subnet:
        name = f"{self._name}-{kind}-{zone}"
        return aws.ec2.Subnet(
            name,
            vpc_id=self.vpc_id,
            availability_zone=zone,
            cidr_block=cidr,
            # Load balancers of the zone are put here: https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html.
            tags={**self._named(name), f"kubernetes.io/role/{load_balancers}": "1"},
            opts=self._below,
        )

    def _route_table(
        self,
        kind: str,
        subnets: Mapping[str, aws.ec2.Subnet],
        *,
        internet: aws.ec2.InternetGateway | None = None,
        nat: aws.ec2.NatGateway | None = None,
    ) -> aws.ec2.RouteTable:
        name = f"{self._name}-{kind}"
        table = aws.ec2.RouteTable(name, vpc_id=self.vpc_id, tags=self._named(name), opts=self._below)
        aws.ec2.Route(
            name,
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=internet.id if internet else None,
            nat_gateway_id=nat.id if nat else None,
            opts=self._below,
        )
        for zone, subnet in subnets.items():
            aws.ec2.RouteTableAssociation(
                f"{self._name}-{'private' if nat else 'public'}-{zone}",
                route_table_id=table.id,
                subnet_id=subnet.id,
                opts=self._below,
            )
        return table

    def _nat(self, zone: str, subnet: aws.ec2.Subnet, internet: aws.ec2.InternetGateway) -> aws.ec2.NatGateway:
        name = f"{self._name}-{zone}"
        # Neither works before the VPC has its internet gateway, which cannot go while an address is in use.
        after = pulumi.ResourceOptions(parent=self, depends_on=[internet])
        address = aws.ec2.Eip(name, domain="vpc", tags=self._named(name), opts=after)
        return aws.ec2.NatGateway(
            name, subnet_id=subnet.id, allocation_id=address.id, tags=self._named(name), opts=after
        )

    def _interface_endpoints(self, settings: CreateCluster, region: str) -> None:
        name = f"{self._name}-endpoints"
        group = aws.ec2.SecurityGroup(
            name,
            vpc_id=self.vpc_id,
            description="HTTPS from the VPC to AWS services",
            tags=self._named(name),
            opts=self._below,
        )
        aws.vpc.SecurityGroupIngressRule(
            name,
            security_group_id=group.id,
            description="HTTPS from the VPC",
            cidr_ipv4=settings.cidr,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            tags=self._named(name),
            opts=self._below,
        )
        for service in settings.interface_endpoints:
            aws.ec2.VpcEndpoint(
                f"{self._name}-{service}",
                vpc_id=self.vpc_id,
                service_name=f"com.amazonaws.{region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=list(self.private_subnets.values()),
                security_group_ids=[group.id],
                tags=self._named(f"{self._name}-{service}"),
                opts=self._below,
            )
