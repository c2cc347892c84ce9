"""How sources of weights are written: a pattern a scheme, and one of all, which loader and editors share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
# No path climbs: neither `.` nor `..` is a step.
_STEP: Final = r"(?!\.{1,2}(?:[/@]|$))[A-Za-z0-9_.+=,-]+"
BUCKET: Final = r"(?!(?:[0-9]+\.){3}[0-9]+(?:/|$))[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]"
"""Pattern of a bucket's name, before the prefix."""
PORT: Final = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
"""Pattern of a TCP port, 1 to 65535."""
_REGISTRY: Final = rf"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::{PORT})?"
_REPOSITORY: Final = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
# A host has a dot or a port, so that it is told from a namespace; what has neither is the public library's.
_OLLAMA: Final = rf"(?:(?:(?=[^/]*[.:]){_REGISTRY}/)?{_NAME}/)?{_NAME}:{_NAME}"
_PIN: Final = r"@sha256:[0-9a-f]{64}"
LONGEST: Final = 160
"""Characters of a location: the folder named after it, with two hyphens for a slash, may have 255."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a source of one scheme is written."""

    allowed: str
    location: str
    what: str
    """What the location has to name."""
    pin: str
    """What follows the location."""
    noun: str = "digest"

    @property
    def pattern(self) -> str:
        """Of what follows the scheme."""
        return f"{self.location}{self.pin}"


FORMS: Final = MappingProxyType(
    {
        "hf": Form(
            allowed="hf://OWNER/NAME@COMMIT with the commit's 40 hexadecimal digits",
            location=f"{_NAME}/{_NAME}",
            what="repository OWNER/NAME",
            noun="commit",
            pin="@[0-9a-f]{40}",
        ),
        "s3": Form(
            allowed="s3://BUCKET/PREFIX, or s3://BUCKET/PREFIX@sha256:DIGEST with the 64 digits of PREFIX/SHA256SUMS",
            location=f"{BUCKET}(?:/{_STEP})+",
            what="bucket and prefix",
            pin=f"(?:{_PIN})?",
        ),
        "oci": Form(
            allowed="oci://REGISTRY/REPOSITORY@sha256:DIGEST with the manifest's 64 digits",
            location=f"{_REGISTRY}(?:/{_REPOSITORY})+",
            what="registry and repository",
            pin=_PIN,
        ),
        "file": Form(
            allowed="file:///PATH@sha256:DIGEST with the 64 digits of PATH/SHA256SUMS",
            location=f"(?:/{_STEP})+",
            what="folder",
            pin=_PIN,
        ),
        "image": Form(
            allowed="image:///PATH, a folder of the engine's image",
            location=f"(?:/{_STEP})+",
            what="folder",
            pin="",
        ),
        "ollama": Form(
            allowed="ollama://[[REGISTRY/]NAMESPACE/]MODEL:TAG@sha256:DIGEST with the 64 digits of the tag's manifest",
            location=_OLLAMA,
            what="model and tag MODEL:TAG",
            pin=_PIN,
        ),
        "ngc": Form(
            allowed="ngc://ORGANIZATION/[TEAM/]MODEL@profile:ID with the 64 digits of a profile of the NIM image",
            location=rf"{_NAME}(?:/{_NAME}){{1,2}}",
            what="organization and model",
            noun="profile",
            pin="@profile:[0-9a-f]{64}",
        ),
    }
)
ENGINES: Final = MappingProxyType({"ollama": "ollama", "ngc": "nim"})
"""Sources that only the tool of one engine can fetch."""
_ANY: Final = "|".join(f"{scheme}://{form.pattern}" for scheme, form in FORMS.items())
PATTERN: Final = rf"^(?=[a-z0-9]+://[^@]{{1,{LONGEST}}}(?:@|$))(?:{_ANY})$"
"""Of a whole source, in the words that Python and editors have in common."""
SOURCE: Final = re.compile(PATTERN.removesuffix("$") + r"\Z")
ALLOWED: Final = (
    "hf://OWNER/NAME@COMMIT, s3://BUCKET/PREFIX[@sha256:DIGEST], oci://REGISTRY/REPOSITORY@sha256:DIGEST, "
    "file:///PATH@sha256:DIGEST, image:///PATH, ollama://MODEL:TAG@sha256:DIGEST or ngc://ORGANIZATION/MODEL@profile:ID"
)
