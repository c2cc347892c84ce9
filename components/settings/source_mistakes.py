"""What is wrong with a text that is no source, and what puts it right."""

from __future__ import annotations

import re
from typing import Final

from pydantic_core import PydanticCustomError

from components.settings import source_pins
from components.settings.concealment import concealed_part
from components.settings.section import refusal
from components.settings.source_forms import ALLOWED, BUCKET, FORMS, LONGEST, SOURCE, Form

_BLANK: Final = re.compile(r"\s")
_DIGITS: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def mistake_in(text: str, endpoint: str | None) -> PydanticCustomError:
    """The refusal, to be raised; never with what was given in it where that may be a secret."""
    concealed = concealed_part(text)
    if concealed is not None:
        return refusal(
            concealed.problem,
            hide=True,
            allowed=f"a source without: {ALLOWED}",
            fix=concealed.fix,
        )
    given = text.strip()
    scheme, _, rest = given.partition("://")
    form = FORMS.get(scheme)
    if form is None or _BLANK.search(given):
        return refusal("is no source", allowed=ALLOWED, fix="write it in one of these forms")
    location, _, revision = rest.partition("@")
    mended = _mended(scheme, location, revision)
    if SOURCE.match(mended):
        return refusal("is almost a source", allowed=form.allowed, example=mended)
    name, tag = tag_of(location) if scheme == "oci" else (location, "")
    problem = _wrong_location(scheme, name)
    if problem is not None:
        return refusal(problem, allowed=form.allowed, fix="correct the name in the stack file")
    way_out = source_pins.find(scheme, name, tag or revision, endpoint)
    return refusal(_unpinned(form, tag, revision), allowed=form.allowed, fix=way_out)


def tag_of(location: str) -> tuple[str, str]:
    """Location and tag of an artifact; the colon of a port comes before a slash."""
    name, _, tag = location.rpartition(":")
    return (name, tag) if name and "/" not in tag else (location, "")


def _mended(scheme: str, location: str, revision: str) -> str:
    """What was meant, where only a slash or a tag is too much, the kind of a digest is not right, or digits are upper.

    An image has no digest here.
    """
    name = (tag_of(location)[0] if scheme == "oci" else location).rstrip("/")
    if not revision or scheme == "image":
        return f"{scheme}://{name}"
    digits = revision.lower().rpartition(":")[2]
    kind = {"hf": "", "ngc": "profile:"}.get(scheme, "sha256:")
    return f"{scheme}://{name}@{kind if _DIGITS.fullmatch(digits) else ''}{digits}"


def _wrong_location(scheme: str, location: str) -> str | None:
    bucket = location.partition("/")[0]
    if len(location) > LONGEST:
        return f"has {len(location)} characters before the revision, and {LONGEST} are the most"
    if scheme == "s3" and re.fullmatch(BUCKET, bucket) is None:
        return f"names no bucket: {bucket} cannot be the name of one"
    form = FORMS[scheme]
    return None if re.fullmatch(form.location, location) else f"names no {form.what}"


def _unpinned(form: Form, tag: str, revision: str) -> str:
    without = f"{revision} is no full {form.noun}" if revision else f"it has no {form.noun}"
    return f"is not pinned: {f'{tag} is a tag' if tag else without}, so the weights could change under it"
