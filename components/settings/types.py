"""Semantic types of the settings: what a text or number may be, said once for loader, editors and documentation.

Each type carries its JSON Schema pattern and, as `patternErrorMessage`, what is allowed in words: editors show it, and
so does the loader. Numbers that `pulumi config set --path` writes as text ("0.9") and texts that it writes as numbers
(an environment variable `1`) are taken as what the setting wants.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from components.settings.concealment import concealed_part
from components.settings.section import refusal
from components.settings.source import parse_source
from components.settings.source_forms import ALLOWED, PATTERN, PORT

UNITS: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}

_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_RANGE: Final = r"^([0-9]{1,3}\.){3}[0-9]{1,3}/"
MIN_VPC_PREFIX: Final = 16
MAX_VPC_PREFIX: Final = 20
_ZONE_ID = re.compile(r"^[a-z]{3,4}[0-9]-az[0-9]$")
OWN_TAGS: Final = ("Name", "managed-by", "inference/cluster")
"""Keys of the tags that the program gives to what it makes."""
_IMAGE = re.compile(
    r"^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?::[0-9]+)?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
    r"(?::(?P<tag>[A-Za-z0-9_][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?$",
    re.ASCII,
)


def _text(pattern: str, allowed: str, example: str | None, max_length: int | None = None, **extra: Any) -> FieldInfo:
    extra |= {"patternErrorMessage": allowed} | ({"examples": [example]} if example else {})
    info: FieldInfo = Field(pattern=pattern, max_length=max_length, json_schema_extra=extra)
    return info


def _checked(pattern: str, allowed: str, example: str) -> FieldInfo:
    """As `_text`, for a type whose own check says more about the mistake than that the pattern does not match."""
    info: FieldInfo = Field(
        json_schema_extra={"pattern": pattern, "patternErrorMessage": allowed, "examples": [example]}
    )
    return info


def _number_not_bool(value: Any) -> Any:
    """YAML's `true` is no number, although Python would count it as 1."""
    if isinstance(value, bool):
        raise PydanticCustomError("int_type", "is not an integer")
    return value


def _scalar_as_text(value: Any) -> Any:
    """The text of a number or boolean: `pulumi config set --path ...env.NAME 1` stores a number."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _parsed_source(value: str) -> str:
    parse_source(value)
    return value


def _without_credentials(value: Any) -> Any:
    concealed = concealed_part(value) if isinstance(value, str) else None
    if concealed is not None:
        raise refusal(
            concealed.problem, hide=True, allowed="an address without user, password and query", fix=concealed.fix
        )
    return value


def _pinned_image(value: str) -> str:
    parts = _IMAGE.match(value)
    if parts is None:
        raise PydanticCustomError("image", "is not an image reference")
    if parts["digest"] is None and parts["tag"] in {None, "latest"}:
        problem = "has no tag, which means latest" if parts["tag"] is None else "has the tag latest"
        tagged = value if parts["tag"] else f"{value}:TAG"
        raise PydanticCustomError(
            "image",
            "{problem}: pods started on different days would differ",
            {"problem": problem, "fix": f"add its digest (IMAGE@sha256:...), which this prints: oras resolve {tagged}"},
        )
    return value


def _own_namespace(value: str) -> str:
    if value == "default" or value.startswith("kube-"):
        raise PydanticCustomError(
            "namespace", "is Kubernetes' own, and its pods would come under our Pod Security level"
        )
    return value


def _network(value: str) -> str:
    _, _, prefix = value.partition("/")
    _parsed(value, prefix or "32")
    return value


def _network_of_vpc(value: str) -> str:
    _, _, prefix = value.partition("/")
    usable = prefix if prefix in map(str, range(MIN_VPC_PREFIX, MAX_VPC_PREFIX + 1)) else str(MIN_VPC_PREFIX)
    if _parsed(value, prefix=usable).prefixlen != int(usable):
        raise PydanticCustomError("cidr", "is too large for a VPC, or too small for its pods")
    return value


def _parsed(value: str, prefix: str) -> ipaddress.IPv4Network:
    """The range; `prefix` is for the example that an address without one, or with bits beyond it, is answered with."""
    try:
        network = ipaddress.IPv4Network(value, strict=False)
    except ValueError:
        raise PydanticCustomError("cidr", "is no IPv4 range") from None
    address, slash, _ = value.partition("/")
    if str(network) != value:
        example = ipaddress.IPv4Network(f"{address}/{prefix}", strict=False)
        problem = "is an address with a prefix, not its range" if slash else "is an address without a prefix"
        raise PydanticCustomError("cidr", "{problem}", {"problem": problem, "example": str(example)})
    return network


def _zone_not_its_id(value: Any) -> Any:
    if isinstance(value, str) and _ZONE_ID.match(value):
        raise PydanticCustomError("zone", "is a zone's id", {"allowed": "its name, such as us-west-2a"})
    return value


def _free_tag(value: str) -> str:
    if value.lower().startswith("aws:") or value in OWN_TAGS:
        raise PydanticCustomError("tag", "is AWS's or the program's own")
    return value


Name = Annotated[
    str,
    _text(
        r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
        "lower-case letters, digits and hyphens, first a letter, at most 40 characters",
        None,  # one that would do is another for each key that takes a name
        max_length=40,  # the longest name derived from it, NAME-seed-0123abcd, has to stay a DNS label of 63
    ),
]
EksName = Annotated[
    str,
    _text(
        r"^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$",
        "an EKS cluster's name: letters, digits, hyphens and underscores, at most 100 characters",
        "prod",
    ),
]
EndpointName = Annotated[
    str, _text(r"^[a-z0-9][a-z0-9.-]*$", "an AWS service as endpoints name it, such as ecr.api", "ecr.api")
]
NamespaceName = Annotated[
    str,
    _text(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "a namespace other than default and kube-*: lower-case letters, digits and hyphens, at most 63 characters",
        "inference",
        max_length=63,
        **{"not": {"pattern": "^(default$|kube-)"}},
    ),
    AfterValidator(_own_namespace),
]
SecretName = Annotated[
    str,
    _text(
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        "a Secret's name: lower-case letters, digits, hyphens and dots, at most 253 characters",
        "registry",
        max_length=253,
    ),
]
SecretKey = Annotated[
    str,
    _text(
        r"^[-A-Za-z0-9_.]+$",
        "a key of a Secret: letters, digits, '-', '_' and '.', at most 253 characters",
        "token",
        max_length=253,
    ),
]
Repository = Annotated[
    str,
    _text(
        rf"^(https|oci)://{_LABEL}(\.{_LABEL})*(:{PORT})?(/[A-Za-z0-9._~/-]*)?$",
        "the address of a chart's repository, by https or oci",
        "https://charts.example.com",
    ),
    # Before the pattern, whose mistake would show what was given.
    BeforeValidator(_without_credentials),
]
ChartVersion = Annotated[
    str,
    _text(
        r"^v?[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$",
        "one exact version of a chart, such as 2.21.0",
        "2.21.0",
    ),
]
TimeZone = Annotated[
    str,
    _text(r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$", "a time zone such as Europe/Berlin or UTC", "Europe/Berlin"),
]
Cron = Annotated[
    str,
    _text(
        r"^[0-9*,/-]+ [0-9*,/-]+ [0-9*,/-]+ [0-9A-Za-z*,/-]+ [0-9A-Za-z*,/-]+$",
        "a time as cron has it: minute, hour, day of the month, month and day of the week",
        "30 7 * * 1-5",
    ),
]
ObjectName = Annotated[
    str,
    _text(
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        "the name of an object of yours: lower-case letters, digits, hyphens and dots, at most 253 characters",
        "llm",
        max_length=253,
    ),
]
Namespace = Annotated[
    str,
    _text(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "a namespace's name: lower-case letters, digits and hyphens, at most 63 characters",
        "gateway",
        max_length=63,
    ),
]
Host = Annotated[
    str,
    _text(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$",
        "a host's name in lower case, without scheme, port and path, such as llm.example.com",
        "llm.example.com",
        max_length=253,
    ),
]
PathInWeights = Annotated[
    str,
    _text(
        # No path climbs: a step does not begin with a dot.
        r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*$",
        "a path below the folder of the weights, of letters, digits, '-', '_', '+' and '.', no step of it hidden",
        "adapters/sql",
    ),
]
Text = Annotated[str, _text(r"\S", "text that is not empty", "text")]
LabelKey = Annotated[
    str,
    _text(
        r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        "a Kubernetes label or annotation key: [prefix/]name",
        "example.com/team",
    ),
]
LabelValue = Annotated[
    str,
    _text(
        r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$",
        "a Kubernetes label value: at most 63 letters, digits, '-', '_' and '.'",
        "NVIDIA-L4",
        type=["string", "number", "boolean"],
    ),
    BeforeValidator(_scalar_as_text),
]
Taint = Annotated[
    str,
    _text(
        r"^[A-Za-z0-9][-A-Za-z0-9_./]*(=[-A-Za-z0-9_.]*)?:(NoSchedule|PreferNoSchedule|NoExecute)$",
        "a taint as kubectl writes it: KEY[=VALUE]:NoSchedule, PreferNoSchedule or NoExecute",
        "nvidia.com/gpu=present:NoSchedule",
    ),
]
Source = Annotated[
    str,
    AfterValidator(_parsed_source),
    _checked(
        PATTERN,
        ALLOWED,
        "hf://meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a16976918f6564b8830bc894c89659",
    ),
]
Image = Annotated[
    str,
    AfterValidator(_pinned_image),
    _checked(
        r"^[a-z0-9][a-z0-9._-]*(:[0-9]+(?=/))?(/[a-z0-9._-]+)*"
        r"((:(?!latest$)[A-Za-z0-9_][\w.-]*)|(:[A-Za-z0-9_][\w.-]*)?@sha256:[0-9a-f]{64})$",
        "an image with a tag other than latest, or with a digest",
        "docker.io/vllm/vllm-openai:v0.33.0",
    ),
]
BucketRegion = Annotated[
    str, _text(r"^[a-z0-9-]+$", "a region as its S3 service names it, such as us-west-2", "us-west-2")
]
Region = Annotated[str, _text(r"^[a-z]{2}(-[a-z]+)+-[0-9]$", "an AWS region such as us-west-2", "us-west-2")]
Zone = Annotated[
    str,
    _text(r"^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$", "an availability zone such as us-west-2a", "us-west-2a"),
    BeforeValidator(_zone_not_its_id),
]
InstanceType = Annotated[
    str, _text(r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$", "an EC2 instance type such as g6e.4xlarge", "g6e.4xlarge")
]
SubnetId = Annotated[str, _text(r"^subnet-[0-9a-f]{8,17}$", "a subnet's id: subnet-...", "subnet-0123456789abcdef0")]
SecurityGroupId = Annotated[str, _text(r"^sg-[0-9a-f]{8,17}$", "a security group's id: sg-...", "sg-0123456789abcdef0")]
ReservationId = Annotated[
    str, _text(r"^cr-[0-9a-f]{8,17}$", "a capacity reservation's id: cr-...", "cr-0123456789abcdef0")
]
Arn = Annotated[
    str,
    _text(
        r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[\w+=,.@/-]+$",
        "the ARN of an IAM role or user",
        "arn:aws:iam::123456789012:role/admin",
    ),
]
CertificateArn = Annotated[
    str,
    _text(
        r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]+$",
        "the ARN of a certificate in ACM",
        "arn:aws:acm:us-west-2:123456789012:certificate/0a1b2c3d-4e5f-6a7b-8c9d-0e1f2a3b4c5d",
    ),
]
Cidr = Annotated[
    str,
    AfterValidator(_network),
    _checked(_RANGE + r"([0-9]|[12][0-9]|3[0-2])$", "an IPv4 range such as 203.0.113.0/24", "203.0.113.0/24"),
]
VpcCidr = Annotated[
    str,
    AfterValidator(_network_of_vpc),
    _checked(_RANGE + r"(1[6-9]|20)$", "an IPv4 range of /16 to /20, such as 10.0.0.0/16", "10.0.0.0/16"),
]
S3Path = Annotated[
    str,
    _text(r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/\S*)?$", "an S3 prefix: s3://BUCKET/PREFIX", "s3://weights/llm"),
]
NvmePath = Annotated[
    str,
    _text(
        # nodeadm mounts the RAID there: beside it a folder would be on the root volume.
        r"^/mnt/k8s-disks/0(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$",
        "a folder below /mnt/k8s-disks/0, where nodes mount the RAID of their NVMe disks",
        "/mnt/k8s-disks/0/weights",
    ),
]
KubernetesVersion = Annotated[
    str,
    _text(r"^1\.[0-9]{2}$", "a Kubernetes version such as 1.34", "1.34", type=["string", "number"]),
    BeforeValidator(_scalar_as_text),
]
AddonVersion = Annotated[
    str,
    _text(
        r"^v[0-9]+\.[0-9]+\.[0-9]+-eksbuild\.[0-9]+$",
        "a version of an EKS add-on such as v1.20.4-eksbuild.1",
        "v1.20.4-eksbuild.1",
    ),
]
Cuda = Annotated[
    str,
    _text(r"^1[1-9]\.[0-9]$", "a version of CUDA such as 12.8", "12.8", type=["string", "number"]),
    BeforeValidator(_scalar_as_text),
]
TagKey = Annotated[
    str,
    _text(
        r"^[A-Za-z0-9_.:/=+@-]{1,128}$",
        f"a tag's key: at most 128 characters, not aws:*, {', '.join(OWN_TAGS)}",
        "team",
        **{"not": {"pattern": f"^(aws:|({'|'.join(OWN_TAGS)})$)"}},
    ),
    AfterValidator(_free_tag),
]
Cpu = Annotated[
    str,
    _text(r"^([1-9][0-9]*m|[1-9][0-9]*(\.[0-9]+)?|0\.[0-9]+)$", "CPUs: 2, 0.5 or 500m", "2", type=["string", "number"]),
    BeforeValidator(_scalar_as_text),
]
Size = Annotated[str, _text(r"^[1-9][0-9]*(Ki|Mi|Gi|Ti)$", "a size in Ki, Mi, Gi or Ti, such as 16Gi", "16Gi")]
Url = Annotated[
    str,
    _text(
        rf"^https?://{_LABEL}(\.{_LABEL})*(:{PORT})?(/[^\s?#]*)?$",
        "an http or https address",
        "https://hub.example.com",
    ),
    # Before the pattern, whose mistake would show what was given.
    BeforeValidator(_without_credentials),
]
EnvName = Annotated[str, _text(r"^[A-Za-z_][A-Za-z0-9_]*$", "an environment variable's name", "VLLM_LOGGING_LEVEL")]
FreeText = Annotated[
    str,
    Field(json_schema_extra={"type": ["string", "number", "boolean"]}),
    BeforeValidator(_scalar_as_text),
]
# Constraints of a number stand before its validator: pydantic applies them to the number itself only there.
NOT_BOOL: Final = BeforeValidator(_number_not_bool)
# `pulumi config set --path` stores a fraction as text.
FRACTION: Final = Field(json_schema_extra={"type": ["number", "string"]})


def size_bytes(size: str) -> int:
    """Bytes of a `Size`: `size_bytes("1Gi") == 1073741824`."""
    return int(size[:-2]) * UNITS[size[-2:]]


def cpus(amount: str) -> float:
    """CPUs of a `Cpu`: `cpus("500m") == 0.5`."""
    return int(amount[:-1]) / 1000 if amount.endswith("m") else float(amount)


def taint_parts(taint: str) -> dict[str, str]:
    """Key, value and effect of a `Taint`; the value of one without is empty."""
    pair, _, effect = taint.rpartition(":")
    key, _, value = pair.partition("=")
    return {"key": key, "value": value, "effect": effect}
