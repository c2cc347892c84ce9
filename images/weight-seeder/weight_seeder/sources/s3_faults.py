"""What S3's answers mean for a seeding: another try, another run, or an end."""

from __future__ import annotations

import os

from botocore.exceptions import (  # type: ignore[import-untyped]
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from urllib3.exceptions import HTTPError

from weight_seeder.answers import passes, retry_after
from weight_seeder.faults import HopelessError, SeedError, Transient

_GIVE = (
    "give the model a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (weights.credentials), or a "
    "ServiceAccount that may read it (weights.serviceAccount)"
)
# Said with a status of 4xx, though it is the moment that is wrong.
_BUSY = {"RequestTimeout", "RequestTimeoutException", "Throttling", "ThrottlingException", "TooManyRequests"}
# Of an answer to HEAD, which has no body, there is the status alone.
_CHANGED = {
    "PreconditionFailed": "it was overwritten after it was listed: run again for what it is now",
    "NoSuchKey": "it was removed after it was listed: run again for what is there now",
    "404": "it was removed after it was listed: run again for what is there now",
}
_IDENTITIES = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE")
"""Set in pods that have a role: by EKS Pod Identity, and where a ServiceAccount is annotated with one."""
_DENIED = f"allow s3:ListBucket and s3:GetObject on it, or {_GIVE}"
_INVALID = f"the credentials are not valid: {_GIVE}"
_ELSEWHERE = "the bucket is in another region: set weights.region to it"
_WAYS_OUT = {
    "NoSuchBucket": "mend the bucket's name in the source, or AWS_ENDPOINT_URL_S3",
    "AccessDenied": _DENIED,
    "403": _DENIED,
    "InvalidAccessKeyId": _INVALID,
    "SignatureDoesNotMatch": _INVALID,
    "InvalidToken": _INVALID,
    "ExpiredToken": _INVALID,
    "PermanentRedirect": _ELSEWHERE,
    "AuthorizationHeaderMalformed": _ELSEWHERE,
    "301": _ELSEWHERE,
}


def of_answer(error: ClientError, what: str) -> Exception:
    """The fault for an answer that is an error. Its own message is left out: some endpoints print keys in it."""
    about = error.response.get("ResponseMetadata", {})
    status, code = about.get("HTTPStatusCode", 0), str(error.response.get("Error", {}).get("Code", ""))
    # A ServiceAccount's token is first exchanged for keys.
    exchange = error.operation_name.startswith("AssumeRole")
    line = f"cannot {what}: {'STS' if exchange else 'S3'} answered {' '.join(dict.fromkeys([str(status), code]))}"
    if passes(status) or code in _BUSY:
        return Transient(line, retry_after(about.get("HTTPHeaders", {})))
    if exchange:
        return HopelessError(f"{line}: mend the trust policy of the role that weights.serviceAccount stands for")
    if code in _CHANGED:
        return SeedError(f"{line}: {_CHANGED[code]}")
    line = f"{line}: {_WAYS_OUT.get(code, 'see what its documentation says of it')}"
    # A role that was made with the model is known everywhere only after a while.
    young = _WAYS_OUT.get(code) is _DENIED and any(name in os.environ for name in _IDENTITIES)
    return SeedError(line) if young else HopelessError(line)


def of_way(error: Exception, what: str) -> Exception:
    """The fault for what went wrong on this side of the answer, or in the middle of it.

    Only the class is told: the text names the endpoint, into which somebody may have put a password.
    """
    line, kind = f"cannot {what}", type(error).__name__
    match error:
        case NoCredentialsError():
            # The pod may have been made a moment before EKS knew of its role: the next one gets its credentials.
            return SeedError(f"{line}: no credentials: {_GIVE}")
        case PartialCredentialsError():
            return HopelessError(f"{line}: half of the credentials: {_GIVE}")
        case CredentialRetrievalError():
            return Transient(f"{line}: the credentials cannot be had now")
        case EndpointConnectionError():
            return Transient(f"{line}: the endpoint cannot be reached")
        case HTTPClientError() | IncompleteReadError() | HTTPError():
            return Transient(f"{line}: the connection broke or fell silent ({kind})")
    return HopelessError(f"{line}: {kind}: mend the settings of AWS in the environment")


def endless(error: BaseException | None) -> bool:
    """Whether botocore has asked for the bucket's region, was redirected, and has asked for the bucket's region.

    Where the recursion reaches its limit while something is sent, botocore takes that for a fault of the connection.
    """
    while error is not None and not isinstance(error, RecursionError):
        error = error.__cause__ or error.__context__
    return error is not None
