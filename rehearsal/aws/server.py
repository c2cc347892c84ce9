"""moto's server on a loopback port, with what it lacks of the services that this program uses.

What is added: EKS add-ons, access entries, policies of access entries, pod identities, updates of versions, the
cluster's security group, tags of everything; FSx for Lustre's associations with S3 and updates; updates of EFS.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.ec2.models import EC2Backend, ec2_backends
from moto.efs import responses as efs
from moto.efs import urls as efs_urls
from moto.eks import models as eks_models
from moto.eks import urls as eks_urls
from moto.eks.exceptions import InvalidParameterException, ResourceInUseException, ResourceNotFoundException
from moto.eks.responses import EKSResponse
from moto.fsx import urls as fsx_urls
from moto.fsx.exceptions import ResourceNotFoundException as FsxNotFound
from moto.fsx.responses import FSxResponse
from moto.server import ThreadedMotoServer

Obj = dict[str, Any]
DEFAULT_RELEASE = "{version}.0-20260101"
PATHS = (
    "addons",
    "addons/(?P<addonName>[^/]+)",
    "addons/(?P<addonName>[^/]+)/update",
    "access-entries",
    "access-entries/(?P<principalArn>.+)",
    "pod-identity-associations",
    "pod-identity-associations/(?P<associationId>[^/]+)",
    "node-groups/(?P<nodegroupName>[^/]+)/update-version",
    "updates",
)


class Eks(EKSResponse):
    """EKS: each cluster keeps its records as they are answered, by what they are and their key."""

    def create_cluster(self) -> ActionResult:
        """As moto, with the security group that EKS gives a cluster, and all that was asked for."""
        result = super().create_cluster()
        cluster = self._cluster()
        cluster.records = {}
        network = cluster.resources_vpc_config
        ec2 = ec2_backends[self.current_account][self.region]
        subnets = [ec2.get_subnet(subnet) for subnet in network["subnetIds"]]
        name = f"eks-cluster-sg-{cluster.name}"
        group = ec2.create_security_group(name, "EKS created security group", subnets[0].vpc_id, {"Name": name})
        endpoints = {"endpointPublicAccess": True, "endpointPrivateAccess": False, "publicAccessCidrs": ["0.0.0.0/0"]}
        cluster.resources_vpc_config = {
            **endpoints,
            **network,
            "clusterSecurityGroupId": group.id,
            "vpcId": subnets[0].vpc_id,
        }
        for name, attribute in SETTINGS.items():
            setattr(cluster, attribute, self._get_param(name))
        return result

    def delete_cluster(self) -> ActionResult:
        """As moto, with its security group."""
        cluster = self._cluster()
        result = super().delete_cluster()
        group = cluster.resources_vpc_config["clusterSecurityGroupId"]
        ec2_backends[self.current_account][self.region].delete_security_group(group_id=group)
        return result

    def update_cluster_config(self) -> ActionResult:
        """Changes what is given; of the network, each part alone."""
        cluster, network = self._cluster(), self._get_param("resourcesVpcConfig")
        if network:
            cluster.resources_vpc_config = {**cluster.resources_vpc_config, **network}
        for name, attribute in {**SETTINGS, "logging": "logging"}.items():
            if self._get_param(name) is not None:
                setattr(cluster, attribute, self._get_param(name))
        return self._updated("EndpointAccessUpdate")

    def update_cluster_version(self) -> ActionResult:
        """One minor version up, as EKS allows."""
        cluster, wanted = self._cluster(), self._get_param("version")
        if int(wanted.split(".")[1]) != int(cluster.version.split(".")[1]) + 1:
            raise InvalidParameterException(
                message=f"Unsupported Kubernetes minor version update from {cluster.version}"
            )
        cluster.version = wanted
        return self._updated("VersionUpdate")

    def create_nodegroup(self) -> ActionResult:
        """As moto, with the configuration of updates and repair, and the cluster's version."""
        cluster = self._cluster()
        result = super().create_nodegroup()
        group = cluster.nodegroups[self._get_param("nodegroupName")]
        group.update_config = self._get_param("updateConfig") or {"maxUnavailable": 1}
        group.node_repair_config = self._get_param("nodeRepairConfig") or {"enabled": False}
        group.version = self._get_param("version") or cluster.version
        group.release_version = self._get_param("releaseVersion") or DEFAULT_RELEASE.format(version=group.version)
        if group.launch_template:
            group.disk_size = None
            group.instance_types = self._get_param("instanceTypes")
        return result

    def update_nodegroup_config(self) -> ActionResult:
        """As moto; no size beyond the limits, as EKS and its autoscaling group demand."""
        size = {**self._group().scaling_config, **(self._get_param("scalingConfig") or {})}
        least, most, desired = size["minSize"], size["maxSize"], size["desiredSize"]
        if least > desired:
            raise InvalidParameterException(
                message=f"Minimum capacity {least} can't be greater than desired size {desired}"
            )
        if desired > most:
            raise InvalidParameterException(message=f"desired capacity {desired} can't be greater than max size {most}")
        return super().update_nodegroup_config()

    def update_nodegroup_version(self) -> ActionResult:
        """Another AMI release, Kubernetes version or version of the launch template."""
        group = self._group()
        group.version = self._get_param("version") or group.version
        default = DEFAULT_RELEASE.format(version=group.version)
        group.release_version = self._get_param("releaseVersion") or default
        group.launch_template = self._get_param("launchTemplate") or group.launch_template
        return self._updated("VersionUpdate")

    def create_addon(self) -> ActionResult:
        """An add-on, once."""
        wanted = self._given("addonName", "addonVersion", "configurationValues", "serviceAccountRoleArn", "tags")
        given = {"addonVersion": "v1.0.0-eksbuild.1", **wanted}
        owned = [
            self._association({**each, "namespace": "kube-system", "ownerArn": self._arn("addon", given["addonName"])})
            for each in self._get_param("podIdentityAssociations") or []
        ]
        return self._create("addon", "addonName", {**given, "podIdentityAssociations": owned})

    def update_addon(self) -> ActionResult:
        """Changes what is given."""
        given = self._given("addonVersion", "configurationValues", "serviceAccountRoleArn")
        self._record("addon", self._get_param("addonName")).update(given)
        return self._updated("AddonUpdate")

    def describe_addon(self) -> ActionResult:
        """One add-on."""
        return ActionResult({"addon": self._record("addon", self._get_param("addonName"))})

    def list_addons(self) -> ActionResult:
        """Names of add-ons."""
        return ActionResult({"addons": [*self._records("addon")]})

    def delete_addon(self) -> ActionResult:
        """One add-on, with its pod identities."""
        gone = self._remove("addon", self._get_param("addonName"))
        for arn in gone["podIdentityAssociations"]:
            self._records("association").pop(arn.rpartition("/")[2], None)
        return ActionResult({"addon": gone})

    def create_access_entry(self) -> ActionResult:
        """An access entry, once; its user is the principal where none is named."""
        given = self._given("principalArn", "kubernetesGroups", "username", "type", "tags")
        defaults = {"kubernetesGroups": [], "username": given["principalArn"], "type": "STANDARD"}
        return self._create("accessEntry", "principalArn", {**defaults, **given, "policies": {}})

    def update_access_entry(self) -> ActionResult:
        """Changes what is given."""
        entry = self._entry()
        entry.update(self._given("kubernetesGroups", "username"))
        return ActionResult({"accessEntry": entry})

    def describe_access_entry(self) -> ActionResult:
        """One access entry."""
        return ActionResult({"accessEntry": self._entry()})

    def list_access_entries(self) -> ActionResult:
        """Principals of access entries."""
        return ActionResult({"accessEntries": [*self._records("accessEntry")]})

    def delete_access_entry(self) -> EmptyResult:
        """One access entry."""
        self._remove("accessEntry", self._principal())
        return EmptyResult()

    def associate_access_policy(self) -> ActionResult:
        """A policy of an access entry."""
        given = self._given("policyArn", "accessScope")
        self._entry()["policies"][given["policyArn"]] = given
        return ActionResult({"associatedAccessPolicy": given})

    def list_associated_access_policies(self) -> ActionResult:
        """Policies of an access entry."""
        return ActionResult({"associatedAccessPolicies": [*self._entry()["policies"].values()]})

    def disassociate_access_policy(self) -> EmptyResult:
        """One policy of an access entry."""
        self._entry()["policies"].pop(self._get_param("policyArn"), None)
        return EmptyResult()

    def create_pod_identity_association(self) -> ActionResult:
        """The role of a service account, which has one at most."""
        given = self._given("namespace", "serviceAccount", "roleArn", "tags")
        arn = self._association(given)
        return ActionResult({"association": self._records("association")[arn.rpartition("/")[2]]})

    def update_pod_identity_association(self) -> ActionResult:
        """Another role."""
        association = self._record("association", self._get_param("associationId"))
        association.update(self._given("roleArn"))
        return ActionResult({"association": association})

    def describe_pod_identity_association(self) -> ActionResult:
        """One pod identity."""
        return ActionResult({"association": self._record("association", self._get_param("associationId"))})

    def list_pod_identity_associations(self) -> ActionResult:
        """All pod identities."""
        return ActionResult({"associations": [*self._records("association").values()]})

    def delete_pod_identity_association(self) -> ActionResult:
        """One pod identity."""
        return ActionResult({"association": self._remove("association", self._get_param("associationId"))})

    def tag_resource(self) -> EmptyResult:
        """Tags of anything."""
        self._tags_of().update(self._get_param("tags"))
        return EmptyResult()

    def untag_resource(self) -> EmptyResult:
        """Takes tags off anything."""
        for key in self.querystring["tagKeys"]:  # moto's own way to read it gives the first one
            self._tags_of().pop(key, None)
        return EmptyResult()

    def _tags_of(self) -> Any:
        arn = self._extract_arn_from_path()
        clusters: Any = self.eks_backend.clusters.values()
        for cluster in clusters:
            if cluster.arn == arn:
                return cluster.tags
            for group in cluster.nodegroups.values():
                if group.arn == arn:
                    return group.tags
            for what, records in cluster.records.items():
                for record in records.values():
                    if record[f"{what}Arn"] == arn:
                        tags: Obj = record.setdefault("tags", {})
                        return tags
        raise ResourceNotFoundException(message=f"no resource {arn}")

    def _cluster(self) -> Any:
        return self.eks_backend.describe_cluster(self._get_param("name"))

    def _group(self) -> Any:
        return self.eks_backend.describe_nodegroup(self._get_param("name"), self._get_param("nodegroupName"))

    def _principal(self) -> str:
        # An ARN has slashes, and comes quoted in the path.
        return str(self._get_param("principalArn"))

    def _entry(self) -> Obj:
        return self._record("accessEntry", self._principal())

    def _given(self, *names: str) -> Obj:
        return {name: self._get_param(name) for name in names if self._get_param(name) is not None}

    def _records(self, what: str) -> Obj:
        records: Obj = self._cluster().records.setdefault(what, {})
        return records

    def _record(self, what: str, key: str) -> Obj:
        if key not in self._records(what):
            raise ResourceNotFoundException(message=f"No {what} found: {key}")
        record: Obj = self._records(what)[key]
        return record

    def _remove(self, what: str, key: str) -> Obj:
        gone = self._record(what, key)
        del self._records(what)[key]
        return gone

    def _arn(self, what: str, key: str) -> str:
        account, cluster = self.current_account, self._cluster().name
        return f"arn:aws:eks:{self.region}:{account}:{what.lower()}/{cluster}/{key}"

    def _create(self, what: str, key: str, record: Obj) -> ActionResult:
        if record[key] in self._records(what):
            raise ResourceInUseException(message=f"{what} already exists: {record[key]}")
        about = {"clusterName": self._cluster().name, f"{what}Arn": self._arn(what, record[key]), "status": "ACTIVE"}
        self._records(what)[record[key]] = {"createdAt": utcnow(), "modifiedAt": utcnow(), **about, **record}
        return ActionResult({what: self._records(what)[record[key]]})

    def _association(self, record: Obj) -> str:
        """Make a pod identity; its ARN."""
        who = (record["namespace"], record["serviceAccount"])
        if who in [(each["namespace"], each["serviceAccount"]) for each in self._records("association").values()]:
            raise ResourceInUseException(message=f"Association already exists: {'/'.join(who)}")
        self._create("association", "associationId", {**record, "associationId": f"a-{uuid4().hex[:17]}"})
        return str([*self._records("association").values()][-1]["associationArn"])

    def _updated(self, what: str) -> ActionResult:
        return ActionResult({"update": {"id": str(uuid4()), "status": "Successful", "type": what, "params": []}})


SETTINGS = {
    "accessConfig": "access_config",
    "upgradePolicy": "upgrade_policy",
    "computeConfig": "compute_config",
    "storageConfig": "storage_config",
    "zonalShiftConfig": "zonal_shift_config",
    "deletionProtection": "deletion_protection",
}
"""What moto's cluster does not keep, by the API's name and the attribute that is answered."""


class Fsx(FSxResponse):
    """FSx for Lustre."""

    def create_file_system(self) -> str:
        """As moto, with the name to mount it by, and its VPC."""
        made = json.loads(super().create_file_system())["FileSystem"]
        system = self.fsx_backend.file_systems[made["FileSystemId"]]
        system.lustre_configuration = {**(system.lustre_configuration or {}), "MountName": uuid4().hex[:8]}
        return self._answer(system)

    def describe_file_systems(self) -> str:
        """As moto; one that is not there is an error."""
        wanted = json.loads(self.body).get("FileSystemIds") or []
        for missing in {*wanted} - {*self.fsx_backend.file_systems}:
            raise FsxNotFound(msg=f"FSx resource, {missing} does not exist")
        return super().describe_file_systems()

    def update_file_system(self) -> str:
        """Changes what is given."""
        given = json.loads(self.body)
        system = self.fsx_backend.file_systems[given["FileSystemId"]]
        system.storage_capacity = given.get("StorageCapacity") or system.storage_capacity
        system.lustre_configuration = {**(system.lustre_configuration or {}), **given.get("LustreConfiguration", {})}
        return self._answer(system)

    def delete_file_system(self) -> str:
        """As moto, with its associations."""
        gone = json.loads(self.body)["FileSystemId"]
        for key in [key for key, each in self._associations.items() if each["FileSystemId"] == gone]:
            del self._associations[key]
        return super().delete_file_system()

    def create_data_repository_association(self) -> str:
        """An association with a prefix in S3."""
        given, key = json.loads(self.body), f"dra-{uuid4().hex[:17]}"
        self.fsx_backend.file_systems[given["FileSystemId"]]
        arn = f"arn:aws:fsx:{self.region}:{self.current_account}:association/{given['FileSystemId']}/{key}"
        about = {"AssociationId": key, "ResourceARN": arn, "Lifecycle": "AVAILABLE"}
        self.fsx_backend.tag_resource(arn, {tag["Key"]: tag["Value"] for tag in given.get("Tags", [])})
        self._associations[key] = {**{k: v for k, v in given.items() if k != "ClientRequestToken"}, **about}
        return json.dumps({"Association": self._associations[key]})

    def describe_data_repository_associations(self) -> str:
        """Associations, those asked for or all."""
        wanted = json.loads(self.body).get("AssociationIds") or [*self._associations]
        for missing in {*wanted} - {*self._associations}:
            raise FsxNotFound(msg=f"DataRepositoryAssociationNotFound: {missing}")
        return json.dumps({"Associations": [self._associations[key] for key in wanted]})

    def update_data_repository_association(self) -> str:
        """Changes what is given."""
        given = json.loads(self.body)
        association = self._associations[given["AssociationId"]]
        association.update(given)
        return json.dumps({"Association": association})

    def delete_data_repository_association(self) -> str:
        """One association."""
        key = json.loads(self.body)["AssociationId"]
        if not self._associations.pop(key, None):
            raise FsxNotFound(msg=f"DataRepositoryAssociationNotFound: {key}")
        return json.dumps({"AssociationId": key, "Lifecycle": "DELETING"})

    @property
    def _associations(self) -> Obj:
        kept: Obj = self.fsx_backend.__dict__.setdefault("associations", {})
        return kept

    def _answer(self, system: Any) -> str:
        subnet = ec2_backends[self.current_account][self.region].get_subnet(system.subnet_ids[0])
        return json.dumps({"FileSystem": {**system.to_dict(), "Lifecycle": "AVAILABLE", "VpcId": subnet.vpc_id}})


class Efs(efs.EFSResponse):
    """EFS."""

    def update_file_system(self) -> tuple[int, Obj, str]:
        """Another throughput."""
        system = self.efs_backend.file_systems_by_id[self._get_param("FileSystemId")]
        system.throughput_mode = self._get_param("ThroughputMode") or system.throughput_mode
        provisioned = self._get_param("ProvisionedThroughputInMibps")
        system.provisioned_throughput_in_mibps = provisioned or system.provisioned_throughput_in_mibps
        return 202, {"status": 202, "Content-Type": "application/json"}, json.dumps(system.info_json())


def _with_interface(delete: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """A NAT gateway takes its network interface with it."""

    def delete_nat_gateway(backend: Any, nat_gateway_id: str) -> Any:
        gone = delete(backend, nat_gateway_id)
        backend.delete_network_interface(gone._eni.id)  # noqa: SLF001 - moto has no other name for it
        return gone

    return delete_nat_gateway


def extend() -> None:
    """Put what was added into moto."""
    # Not a class of ours, because moto tells a backend's service by its module.
    EC2Backend.delete_nat_gateway = _with_interface(EC2Backend.delete_nat_gateway)  # type: ignore[assignment,method-assign]
    os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    dispatch = Eks.dispatch
    added = (f"{{0}}/clusters/(?P<name>[^/]+)/{path}$" for path in PATHS)
    eks_urls.url_paths.update(dict.fromkeys([*eks_urls.url_paths, *added], dispatch))
    fsx_urls.url_paths.update(dict.fromkeys(fsx_urls.url_paths, Fsx.dispatch))
    efs_urls.url_paths.update(dict.fromkeys(efs_urls.url_paths, Efs.dispatch))
    eks_models.DEFAULT_KUBERNETES_VERSION = "1.34"


def main() -> None:
    """Serve until told to leave, or until whoever started this is gone; the address is the first line printed."""
    leave, parent = threading.Event(), os.getppid()  # taken first: whoever started this may be gone soon
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: leave.set())
    extend()
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    sys.stdout.write(f"http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    while os.getppid() == parent and not leave.wait(0.5):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
