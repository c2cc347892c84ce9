"""Where a model's weights come from: five forms, each pinned, so that the same settings are the same weights for ever.

hf://OWNER/NAME@COMMIT                     a repository on the hub, by the commit's 40 hexadecimal digits
s3://BUCKET/PREFIX[@sha256:DIGEST]         objects below a prefix; the digest is that of PREFIX/SHA256SUMS
oci://REGISTRY/REPOSITORY@sha256:DIGEST    an artifact, by its manifest
file:///PATH@sha256:DIGEST                 a folder with a file SHA256SUMS, by the digest of that file
image:///PATH                              a folder of the engine's image, which is pinned itself
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, cast

from pydantic_core import PydanticCustomError

from components.settings.section import refusal

Scheme = Literal["hf", "s3", "oci", "file", "image"]

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
# No path climbs: neither `.` nor `..` is a step.
_STEP: Final = r"(?!\.{1,2}(?:[/@]|$))[A-Za-z0-9_.+=,-]+"
_BUCKET: Final = r"(?!(?:[0-9]+\.){3}[0-9]+(?:/|$))[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]"
PORT: Final = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
"""Pattern of a TCP port, 1 to 65535."""
_REGISTRY: Final = rf"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::{PORT})?"
_REPOSITORY: Final = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_PIN: Final = r"@sha256:[0-9a-f]{64}"
LONGEST: Final = 160
"""Characters of a location: the folder named after it, with two hyphens for a slash, may have 255."""


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A source in its parts."""

    scheme: Scheme
    location: str
    """OWNER/NAME, BUCKET/PREFIX, REGISTRY/REPOSITORY or /PATH."""
    revision: str
    """The 40 hexadecimal digits of a commit, the 64 of a digest, or empty."""


@dataclass(frozen=True, kw_only=True)
class _Form:
    """How a source of one scheme is written, and how its revision is found out."""

    allowed: str
    location: str
    what: str
    """What the location has to name."""
    resolve: Callable[[str, str], str]
    """The way out where a right location has a wrong revision."""
    pin: str
    """What follows the location."""
    noun: str = "digest"

    @property
    def pattern(self) -> str:
        """Of what follows the scheme."""
        return f"{self.location}{self.pin}"


def _find_commit(location: str, revision: str) -> str:
    branch = shlex.quote(revision) if revision else "HEAD"
    return f"find the commit with: git ls-remote https://huggingface.co/{location} {branch}"


def _find_s3_sums(location: str, _: str) -> str:
    return f"find the digest with: aws s3 cp s3://{location}/SHA256SUMS - | sha256sum"


def _find_digest(location: str, tag: str) -> str:
    return f"find the digest with: oras resolve {location}:{tag or 'TAG'}"


def _make_sums(location: str, _: str) -> str:
    # Hidden files are those of git and of download caches.
    files = "find . -type f ! -path '*/.*' ! -name SHA256SUMS -exec sha256sum {} +"
    return f"make that file and its digest with: cd {location} && {files} > SHA256SUMS && sha256sum SHA256SUMS"


_FORMS: Final = MappingProxyType(
    {
        "hf": _Form(
            allowed="hf://OWNER/NAME@COMMIT with the commit's 40 hexadecimal digits",
            location=f"{_NAME}/{_NAME}",
            what="repository OWNER/NAME",
            noun="commit",
            pin="@[0-9a-f]{40}",
            resolve=_find_commit,
        ),
        "s3": _Form(
            allowed="s3://BUCKET/PREFIX, or s3://BUCKET/PREFIX@sha256:DIGEST with the 64 digits of PREFIX/SHA256SUMS",
            location=f"{_BUCKET}(?:/{_STEP})+",
            what="bucket and prefix",
            pin=f"(?:{_PIN})?",
            resolve=_find_s3_sums,
        ),
        "oci": _Form(
            allowed="oci://REGISTRY/REPOSITORY@sha256:DIGEST with the manifest's 64 digits",
            location=f"{_REGISTRY}(?:/{_REPOSITORY})+",
            what="registry and repository",
            pin=_PIN,
            resolve=_find_digest,
        ),
        "file": _Form(
            allowed="file:///PATH@sha256:DIGEST with the 64 digits of PATH/SHA256SUMS",
            location=f"(?:/{_STEP})+",
            what="folder",
            pin=_PIN,
            resolve=_make_sums,
        ),
        "image": _Form(
            allowed="image:///PATH, a folder of the engine's image",
            location=f"(?:/{_STEP})+",
            what="folder",
            pin="",
            resolve=_make_sums,
        ),
    }
)
_ANY: Final = "|".join(f"{scheme}://{form.pattern}" for scheme, form in _FORMS.items())
PATTERN: Final = rf"^(?=[a-z0-9]+://[^@]{{1,{LONGEST}}}(?:@|$))(?:{_ANY})$"
"""Of a whole source, in the words that Python and editors have in common."""
ALLOWED: Final = (
    "hf://OWNER/NAME@COMMIT, s3://BUCKET/PREFIX[@sha256:DIGEST], oci://REGISTRY/REPOSITORY@sha256:DIGEST, "
    "file:///PATH@sha256:DIGEST or image:///PATH"
)
_SOURCE: Final = re.compile(PATTERN.removesuffix("$") + r"\Z")
_BLANK: Final = re.compile(r"\s")
_SCHEME: Final = re.compile(r"^[A-Za-z0-9+.-]*:?/+")
# A user before the host, or a password that holds slashes itself: what follows its colon is no port, tag or digest.
_CREDENTIALS: Final = re.compile(r"[^/]*@[^/]*/|[^/@]*:(?![0-9]{1,5}(?:/|$)).*@(?!sha256:)", re.DOTALL)


def parse_source(text: str) -> ModelSource:
    """The parts of a source. PydanticCustomError, a ValueError, with the way out where it is none."""
    if _SOURCE.match(text) is None:
        raise _mistake(text)
    scheme, _, rest = text.partition("://")
    location, _, revision = rest.partition("@")
    return ModelSource(scheme=cast("Scheme", scheme), location=location, revision=revision.removeprefix("sha256:"))


def credentials_in(address: str) -> bool:
    """Whether an address holds a user, a password or a signed query, which stack files and previews would show."""
    return "?" in address or _CREDENTIALS.match(_SCHEME.sub("", address.strip())) is not None


def _mistake(text: str) -> PydanticCustomError:
    """Never with what was given in it where that may be a secret."""
    if credentials_in(text):
        return refusal(
            "holds credentials in clear",
            hide=True,
            allowed=f"a source without: {ALLOWED}",
            fix="take them out and revoke them; what signs in is a Secret: weights.credentials, or inference:hfToken",
        )
    given = text.strip()
    scheme, _, rest = given.partition("://")
    form = _FORMS.get(scheme)
    if form is None or _BLANK.search(given):
        return refusal("is no source", allowed=ALLOWED, fix="write it in one of these forms")
    location, _, revision = rest.partition("@")
    mended = _mended(scheme, location, revision)
    if _SOURCE.match(mended):
        return refusal("is almost a source", allowed=form.allowed, example=mended)
    name, tag = _tag(location) if scheme == "oci" else (location, "")
    problem = _wrong_location(scheme, name)
    if problem is not None:
        return refusal(problem, allowed=form.allowed, fix="correct the name in the stack file")
    return refusal(_unpinned(form, tag, revision), allowed=form.allowed, fix=form.resolve(name, tag or revision))


def _mended(scheme: str, location: str, revision: str) -> str:
    """What was meant, where only a slash or a tag is too much, digits are in upper case, or an image has a digest."""
    name = (_tag(location)[0] if scheme == "oci" else location).rstrip("/")
    return f"{scheme}://{name}@{revision.lower()}" if revision and scheme != "image" else f"{scheme}://{name}"


def _wrong_location(scheme: str, location: str) -> str | None:
    bucket = location.partition("/")[0]
    if len(location) > LONGEST:
        return f"has {len(location)} characters before the revision, and {LONGEST} are the most"
    if scheme == "s3" and re.fullmatch(_BUCKET, bucket) is None:
        return f"names no bucket: {bucket} cannot be the name of one"
    form = _FORMS[scheme]
    return None if re.fullmatch(form.location, location) else f"names no {form.what}"


def _tag(location: str) -> tuple[str, str]:
    """Location and tag of an artifact; the colon of a port comes before a slash."""
    name, _, tag = location.rpartition(":")
    return (name, tag) if name and "/" not in tag else (location, "")


def _unpinned(form: _Form, tag: str, revision: str) -> str:
    without = f"{revision} is no full {form.noun}" if revision else f"it has no {form.noun}"
    return f"is not pinned: {f'{tag} is a tag' if tag else without}, so the weights could change under it"
