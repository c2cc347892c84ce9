"""Keeps the rehearsal from real accounts: a loopback endpoint, made-up keys, and nothing that names other ones."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

ENDPOINT = "AWS_ENDPOINT_URL"
ACCOUNT = "123456789012"
KEY = "rehearsal"
MADE_UP = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": KEY,
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""All of AWS that the environment of a rehearsal has, beside the endpoint."""

REAL = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""What lets AWS's SDKs find credentials, beside a key."""


def real_credentials(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The variables with which an AWS SDK might find real credentials."""
    keys = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if environment.get(name, KEY) != KEY]
    return (*keys, *(name for name in REAL if environment.get(name)))


def without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without anything that AWS's SDKs read."""
    return {name: value for name, value in environment.items() if not name.startswith("AWS_")}


def on_loopback(url: str) -> bool:
    """Whether `url` leads to this machine, by an address: a name could be anybody's."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
