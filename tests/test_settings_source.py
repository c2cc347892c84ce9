"""Sources of weights: what is one, and the way out where it is none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError
from weight_seeder.source import open_source

from components.settings import ModelSource, SettingsError, parse, parse_source
from components.settings.mistakes import LONGEST_VALUE
from components.settings.schema import SCHEMA_FILE
from components.settings.source_forms import LONGEST, PATTERN
from tests.components.samples import SMALLEST, changed, raw

COMMIT = "0e9e39f249a16976918f6564b8830bc894c89659"
DIGEST = "c0ffee" * 10 + "0123"
PINNED = f"@sha256:{DIGEST}"
KEY = "inference:models.chat.source"
HUB = "hf://OWNER/NAME@COMMIT with the commit's 40 hexadecimal digits"
S3 = "s3://BUCKET/PREFIX, or s3://BUCKET/PREFIX@sha256:DIGEST with the 64 digits of PREFIX/SHA256SUMS"
OCI = "oci://REGISTRY/REPOSITORY@sha256:DIGEST with the manifest's 64 digits"
FOLDER = "file:///PATH@sha256:DIGEST with the 64 digits of PATH/SHA256SUMS"
IMAGE = "image:///PATH, a folder of the engine's image"
OLLAMA = "ollama://[[REGISTRY/]NAMESPACE/]MODEL:TAG@sha256:DIGEST with the 64 digits of the tag's manifest"
NGC = "ngc://ORGANIZATION/[TEAM/]MODEL@profile:ID with the 64 digits of a profile of the NIM image"
ANY = (
    "hf://OWNER/NAME@COMMIT, s3://BUCKET/PREFIX[@sha256:DIGEST], oci://REGISTRY/REPOSITORY@sha256:DIGEST, "
    "file:///PATH@sha256:DIGEST, image:///PATH, ollama://MODEL:TAG@sha256:DIGEST or ngc://ORGANIZATION/MODEL@profile:ID"
)
CHANGES = "so the weights could change under it"
CORRECT = "correct the name in the stack file"
IN_CLEAR = (
    f"{KEY}: holds credentials in clear; allowed: a source without: {ANY}; take them out and revoke them; "
    "what signs in is a Secret: weights.credentials, or inference:hfToken"
)
PULLED = "find the digest with: curl -sL -H 'Accept: application/vnd.docker.distribution.manifest.v2+json'"
OUT = "take them out and revoke them; what signs in is a Secret: weights.credentials, or inference:hfToken"
QUERY = "has a query, which no address here may have and which may sign in, so that it is not shown"
NO_QUERY = (
    "take out what follows the question mark; if it signs in, revoke it: what signs in is a Secret: "
    "weights.credentials, or inference:hfToken"
)
SUMS = "find . -type f ! -path '*/.*' ! -name SHA256SUMS -exec sha256sum {} + > SHA256SUMS && sha256sum SHA256SUMS"


def mistakes(source: object) -> list[str]:
    with pytest.raises(SettingsError) as error:
        parse(raw(changed(SMALLEST, "models.chat.source", source)))
    return [str(each) for each in error.value.mistakes]


@pytest.mark.parametrize(
    ("text", "scheme", "location", "revision"),
    [
        (f"hf://meta-llama/Llama-3.1-8B@{COMMIT}", "hf", "meta-llama/Llama-3.1-8B", COMMIT),
        ("s3://my.weights-1/llm/v3", "s3", "my.weights-1/llm/v3", ""),
        (f"s3://123456/a+b{PINNED}", "s3", "123456/a+b", DIGEST),
        (f"oci://ghcr.io/team/llama{PINNED}", "oci", "ghcr.io/team/llama", DIGEST),
        (f"oci://localhost:5000/a__b/c--d.e{PINNED}", "oci", "localhost:5000/a__b/c--d.e", DIGEST),
        (f"file:///mnt/.hidden/llama{PINNED}", "file", "/mnt/.hidden/llama", DIGEST),
        ("image:///models/llama-3...1", "image", "/models/llama-3...1", ""),
        (f"ollama://llama3.1:8b{PINNED}", "ollama", "llama3.1:8b", DIGEST),
        (f"ollama://registry.example.com:5000/team/Llama:8B-q4_K_M{PINNED}", "ollama", None, DIGEST),
        (f"ngc://nim/meta/llama-3.1-8b-instruct@profile:{DIGEST}", "ngc", "nim/meta/llama-3.1-8b-instruct", DIGEST),
    ],
)
def test_a_source_has_scheme_location_and_revision(text: str, scheme: Any, location: str | None, revision: str) -> None:
    location = location or text.removeprefix(f"{scheme}://").partition("@")[0]
    assert parse_source(text) == ModelSource(scheme=scheme, location=location, revision=revision)


@pytest.mark.parametrize(
    ("source", "problem", "allowed", "fix"),
    [
        pytest.param(
            "hf://owner/name@main",
            f"is not pinned: main is no full commit, {CHANGES}",
            HUB,
            "find the commit with: git ls-remote https://huggingface.co/owner/name main",
            id="a branch of the hub",
        ),
        pytest.param(
            "hf://owner/name",
            f"is not pinned: it has no commit, {CHANGES}",
            HUB,
            "find the commit with: git ls-remote https://huggingface.co/owner/name HEAD",
            id="a repository of the hub without a revision",
        ),
        pytest.param(
            "hf://owner/name@v1;reboot",
            f"is not pinned: v1;reboot is no full commit, {CHANGES}",
            HUB,
            "find the commit with: git ls-remote https://huggingface.co/owner/name 'v1;reboot'",
            id="a revision that a shell would run",
        ),
        pytest.param(
            "hf://owner/name@0e9e39f",
            f"is not pinned: 0e9e39f is no full commit, {CHANGES}",
            HUB,
            "find the commit's 40 digits with: git clone --bare --filter=tree:0 https://huggingface.co/owner/name "
            "history.git && git -C history.git rev-parse 0e9e39f",
            id="an abbreviated commit, which git ls-remote does not find",
        ),
        pytest.param(f"hf://name@{COMMIT}", "names no repository OWNER/NAME", HUB, CORRECT, id="no owner"),
        pytest.param(
            "s3://Weights/llm",
            "names no bucket: Weights cannot be the name of one",
            S3,
            CORRECT,
            id="a bucket in upper case",
        ),
        pytest.param(
            "s3://192.168.0.1/llm",
            "names no bucket: 192.168.0.1 cannot be the name of one",
            S3,
            CORRECT,
            id="an address for a bucket",
        ),
        pytest.param("s3://weights", "names no bucket and prefix", S3, CORRECT, id="a bucket without a prefix"),
        pytest.param(
            "s3://weights/llm@v2",
            f"is not pinned: v2 is no full digest, {CHANGES}",
            S3,
            "find the digest with: aws s3 cp s3://weights/llm/SHA256SUMS - | sha256sum",
            id="a version of objects that is no digest",
        ),
        pytest.param(
            "oci://ghcr.io/team/llama:v2",
            f"is not pinned: v2 is a tag, {CHANGES}",
            OCI,
            "find the digest with: oras resolve ghcr.io/team/llama:v2",
            id="an artifact's tag",
        ),
        pytest.param(
            "oci://localhost:5000/llama",
            f"is not pinned: it has no digest, {CHANGES}",
            OCI,
            "find the digest with: oras resolve localhost:5000/llama:TAG",
            id="an artifact without a digest, after a port",
        ),
        pytest.param(
            "oci://ghcr.io@sha256:12", "names no registry and repository", OCI, CORRECT, id="a registry alone"
        ),
        pytest.param(
            "file:///mnt/llama",
            f"is not pinned: it has no digest, {CHANGES}",
            FOLDER,
            f"make that file and its digest with: cd /mnt/llama && {SUMS}",
            id="a folder without a digest",
        ),
        pytest.param(f"file://mnt/llama{PINNED}", "names no folder", FOLDER, CORRECT, id="a folder that is relative"),
        pytest.param(f"file:///mnt/../etc{PINNED}", "names no folder", FOLDER, CORRECT, id="a path that climbs"),
        pytest.param(
            f"oci://ghcr.io/team/llama@sha256:{DIGEST[:12]}",
            f"is not pinned: sha256:{DIGEST[:12]} is no full digest, {CHANGES}",
            OCI,
            "find the digest with: oras resolve ghcr.io/team/llama:TAG",
            id="a digest that is cut short",
        ),
        pytest.param(
            "ollama://llama3.1:8b",
            f"is not pinned: it has no digest, {CHANGES}",
            OLLAMA,
            f"{PULLED} https://registry.ollama.ai/v2/library/llama3.1/manifests/8b | sha256sum",
            id="a tag of Ollama's library",
        ),
        pytest.param(
            "ollama://team/llama:8b",
            f"is not pinned: it has no digest, {CHANGES}",
            OLLAMA,
            f"{PULLED} https://registry.ollama.ai/v2/team/llama/manifests/8b | sha256sum",
            id="somebody's model at Ollama",
        ),
        pytest.param(
            "ollama://registry.example.com/team/llama:8b@46e0c10c039e",
            f"is not pinned: 46e0c10c039e is no full digest, {CHANGES}",
            OLLAMA,
            f"{PULLED} https://registry.example.com/v2/team/llama/manifests/8b | sha256sum",
            id="the 12 digits that ollama list shows",
        ),
        pytest.param("ollama://llama3.1", "names no model and tag MODEL:TAG", OLLAMA, CORRECT, id="no tag of Ollama's"),
        pytest.param(
            "ngc://nim/meta/llama-3.1-8b-instruct@profile:vllm-fp16-tp1",
            f"is not pinned: profile:vllm-fp16-tp1 is no full profile, {CHANGES}",
            NGC,
            "find the profile's 64 digits with: docker run --rm --gpus all -e NGC_API_KEY IMAGE list-model-profiles",
            id="a profile by its name",
        ),
        pytest.param("image:///", "names no folder", IMAGE, CORRECT, id="no folder of the image"),
        pytest.param(
            "meta-llama/Llama-3.1-8B", "is no source", ANY, "write it in one of these forms", id="a name alone"
        ),
        pytest.param(
            "hf://owner/na me", "is no source", ANY, "write it in one of these forms", id="a blank in the middle"
        ),
        pytest.param(
            f"s3://weights/{'a' * 153}",
            "has 161 characters before the revision, and 160 are the most",
            S3,
            CORRECT,
            id="a name too long for a folder",
        ),
    ],
)
def test_what_is_no_source_is_one_line_with_the_command_that_resolves_it(
    source: str, problem: str, allowed: str, fix: str
) -> None:
    quoted = json.dumps(source)
    shown = quoted if len(quoted) <= LONGEST_VALUE else f"{quoted[:LONGEST_VALUE]}..."
    assert mistakes(source) == [f"{KEY}: {shown} {problem}; allowed: {allowed}; {fix}"]


@pytest.mark.parametrize(
    ("source", "meant"),
    [
        ("s3://weights/llm/", "s3://weights/llm"),
        (f" hf://owner/name@{COMMIT}", f"hf://owner/name@{COMMIT}"),
        (f"hf://owner/name@{COMMIT}\n", f"hf://owner/name@{COMMIT}"),
        (f"hf://owner/name@{COMMIT.upper()}", f"hf://owner/name@{COMMIT}"),
        (f"oci://ghcr.io/team/llama:v2{PINNED}", f"oci://ghcr.io/team/llama{PINNED}"),
        (f"image:///models{PINNED}", "image:///models"),
        (f"oci://ghcr.io/team/llama@{DIGEST}", f"oci://ghcr.io/team/llama{PINNED}"),
        (f"oci://ghcr.io/team/llama:v2@{DIGEST.upper()}", f"oci://ghcr.io/team/llama{PINNED}"),
        (f"s3://weights/llm@{DIGEST}", f"s3://weights/llm{PINNED}"),
        (f"file:///mnt/llama@SHA256:{DIGEST}", f"file:///mnt/llama{PINNED}"),
        (f"hf://owner/name@sha1:{COMMIT}", f"hf://owner/name@{COMMIT}"),
        (f"ollama://llama3.1:8b@{DIGEST}", f"ollama://llama3.1:8b{PINNED}"),
        (f"ngc://nim/meta/llama@sha256:{DIGEST}", f"ngc://nim/meta/llama@profile:{DIGEST}"),
    ],
)
def test_what_is_almost_a_source_is_told_with_the_one_that_was_meant(source: str, meant: str) -> None:
    (line,) = mistakes(source)
    assert " is almost a source; allowed: " in line
    assert line.endswith(f"; set it with: pulumi config set --path '{KEY}' {meant}")


@pytest.mark.parametrize(
    "source",
    [
        f"hf://user:hunter2@owner/name@{COMMIT}",
        f"hf://hunter2@owner/name@{COMMIT}",
        "s3://AKIAIOSFODNN7EXAMPLE:hunter2@weights/llm",
        "s3://AKIAIOSFODNN7EXAMPLE:hun/ter2@weights/llm",
        f"oci://user:hunter2@ghcr.io/team/llama{PINNED}",
        "https://user:hunter2@hub.example.com/owner/name",
        "s3:/user:hunter2@weights/llm",
        "https://user:hunter2@hub.example.com/owner/name?download=true",
        "https://user:hun\nter2@hub.example.com/owner/name",
    ],
)
def test_credentials_in_a_source_are_refused_and_never_shown(source: str) -> None:
    assert mistakes(source) == [IN_CLEAR]


@pytest.mark.parametrize(
    "source", ["https://weights.s3.amazonaws.com/llm?X-Amz-Signature=hunter2", "s3://weights/llm?token=hunter2"]
)
def test_a_query_in_a_source_is_refused_as_what_it_is_and_never_shown(source: str) -> None:
    assert mistakes(source) == [f"{KEY}: {QUERY}; allowed: a source without: {ANY}; {NO_QUERY}"]


@pytest.mark.parametrize(
    ("address", "problem", "fix"),
    [
        ("https://user:hunter2@hub.example.com", "holds credentials in clear", OUT),
        ("http://hub.example.com/?token=hunter2", QUERY, NO_QUERY),
    ],
)
def test_credentials_and_queries_in_an_endpoint_are_refused_and_never_shown(
    address: str, problem: str, fix: str
) -> None:
    config = changed(SMALLEST, "models.chat.weights.endpoint", address)
    with pytest.raises(SettingsError) as error:
        parse(raw(config))
    assert str(error.value) == (
        f"inference:models.chat.weights.endpoint: {problem}; allowed: an address without user, password and "
        f"query; {fix}"
    )


@pytest.mark.parametrize(
    ("source", "endpoint", "fix"),
    [
        pytest.param(
            "hf://owner/name@main",
            "https://hub.example.com/",
            "find the commit, which is the answer's sha, with: curl -sL "
            "https://hub.example.com/api/models/owner/name/revision/main",
            id="a hub, which need not speak git",
        ),
        pytest.param(
            "hf://owner/name@v1;reboot",
            "https://hub.example.com",
            "find the commit, which is the answer's sha, with: curl -sL "
            "'https://hub.example.com/api/models/owner/name/revision/v1;reboot'",
            id="a revision that a shell would run",
        ),
        pytest.param(
            "hf://owner/name@0e9e39f",
            "https://hub.example.com",
            "find the commit's 40 digits with: git clone --bare --filter=tree:0 https://hub.example.com/owner/name "
            "history.git && git -C history.git rev-parse 0e9e39f",
            id="an abbreviated commit",
        ),
        pytest.param(
            "oci://ghcr.io/team/llama:v2",
            "http://mirror.example.com:5000",
            "find the digest with: oras resolve --plain-http mirror.example.com:5000/team/llama:v2",
            id="a registry without TLS",
        ),
        pytest.param(
            "s3://weights/llm@v2",
            "https://s3.example.com",
            "find the digest with: aws s3 cp --endpoint-url https://s3.example.com s3://weights/llm/SHA256SUMS - | "
            "sha256sum",
            id="objects elsewhere",
        ),
        pytest.param(
            "hf://owner/name@main",
            "https://user:hunter2@hub.example.com",
            "find the commit with: git ls-remote https://huggingface.co/owner/name main",
            id="an endpoint that must not be shown",
        ),
    ],
)
def test_the_way_out_asks_where_the_model_asks(source: str, endpoint: str, fix: str) -> None:
    config = changed(changed(SMALLEST, "models.chat.source", source), "models.chat.weights.endpoint", endpoint)
    with pytest.raises(SettingsError) as error:
        parse(raw(config))
    (line,) = (str(each) for each in error.value.mistakes if each.key == KEY)
    assert line.endswith(f"; {fix}")


# The grammar once more, as the contract of the sources has it, in parts that are easily read.
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
STEP = st.text("aZ09_.+=,-", min_size=1, max_size=8).filter(lambda step: step not in {".", ".."})
PATH = st.lists(STEP, min_size=1, max_size=4).map("/".join)
BUCKET = st.from_regex(r"[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]", fullmatch=True).filter(
    lambda name: ".." not in name and not re.fullmatch(r"(\d+\.){3}\d+", name)
)
COMPONENT = st.lists(st.text(LETTERS, min_size=1, max_size=4), min_size=1, max_size=3).map("-".join)
HOST = st.builds(
    lambda labels, port: ".".join(labels) + (f":{port}" if port else ""),
    st.lists(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?", fullmatch=True), min_size=1, max_size=3),
    st.none() | st.integers(1, 65535),
)
OWNER = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,10}", fullmatch=True)
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
SOURCES = st.one_of(
    st.builds(lambda owner, name, commit: ("hf", f"{owner}/{name}", commit), OWNER, OWNER, HEX.map(lambda x: x[:40])),
    st.builds(lambda bucket, path, pin: ("s3", f"{bucket}/{path}", pin), BUCKET, PATH, st.just("") | HEX),
    st.builds(
        lambda host, names, pin: ("oci", "/".join([host, *names]), pin),
        HOST,
        st.lists(COMPONENT, min_size=1, max_size=3),
        HEX,
    ),
    st.builds(lambda path, pin: ("file", f"/{path}", pin), PATH, HEX),
    st.builds(lambda path: ("image", f"/{path}", ""), PATH),
    st.builds(
        lambda names, tag, pin: ("ollama", f"{'/'.join(names)}:{tag}", pin),
        st.lists(OWNER, min_size=1, max_size=2),
        OWNER,
        HEX,
    ),
    st.builds(
        lambda host, owner, model, pin: ("ollama", f"{host}/{owner}/{model}", pin),
        HOST.filter(lambda host: "." in host or ":" in host),
        OWNER,
        st.builds("{}:{}".format, OWNER, OWNER),
        HEX,
    ),
    st.builds(lambda names, pin: ("ngc", "/".join(names), pin), st.lists(OWNER, min_size=2, max_size=3), HEX),
)


def pinned(scheme: str, revision: str) -> str:
    """What follows the location."""
    return f"@{ {'hf': '', 'ngc': 'profile:'}.get(scheme, 'sha256:') }{revision}" if revision else ""


@given(SOURCES)
def test_every_source_of_the_grammar_is_taken_apart(parts: tuple[Any, str, str]) -> None:
    scheme, location, revision = parts
    text = f"{scheme}://{location}{pinned(scheme, revision)}"
    assert parse_source(text) == ModelSource(scheme=scheme, location=location, revision=revision)


@given(SOURCES.filter(lambda parts: parts[0] not in {"image", "ollama", "ngc"}))
def test_what_the_settings_take_the_seeder_takes_too(parts: tuple[str, str, str]) -> None:
    scheme, location, revision = parts
    source = open_source(f"{scheme}://{location}{pinned(scheme, revision)}", read_from=Path("/source"))
    assert source.name == f"{scheme}://{location}{pinned(scheme, revision)}"


@given(SOURCES, st.data())
def test_nothing_else_is_a_source_and_what_is_one_is_put_together_again(
    parts: tuple[str, str, str], data: st.DataObject
) -> None:
    """Any slip in a right source is refused, or gives another source that says exactly what was written."""
    scheme, location, revision = parts
    text = f"{scheme}://{location}{pinned(scheme, revision)}"
    at = data.draw(st.integers(0, len(text)))
    slip = data.draw(st.sampled_from(["", "/", "/../", "..", "@", ":", "?", " ", "\n", "A", "g", "//", "%", "é"]))
    cut = data.draw(st.integers(0, 2))
    spoilt = text[:at] + slip + text[at + cut :]
    try:
        parsed = parse_source(spoilt)
    except ValueError:
        return
    assert f"{parsed.scheme}://{parsed.location}{pinned(parsed.scheme, parsed.revision)}" == spoilt
    steps = parsed.location.removeprefix("/").split("/")
    assert {"", ".", ".."}.isdisjoint(steps)
    assert set(parsed.location) <= set("/:_.+=,-" + LETTERS + LETTERS.upper())
    assert len(parsed.location) <= LONGEST
    assert (parsed.revision == "") == (parsed.scheme == "image" or (parsed.scheme == "s3" and "@" not in spoilt))
    assert len(parsed.revision) in ({40} if parsed.scheme == "hf" else {0, 64})


@given(st.text(max_size=200) | SOURCES.map(lambda parts: f"{parts[0]}://{parts[1]}@{parts[2]}"))
def test_a_refusal_is_one_line_whatever_was_written(text: str) -> None:
    if re.search(PATTERN, text) and not text.endswith("\n"):
        parse_source(text)
        return
    with pytest.raises(PydanticCustomError) as refused:
        parse_source(text)
    assert "\n" not in f"{refused.value} {refused.value.context}"


def test_the_folder_that_is_named_after_a_source_has_a_name_that_file_systems_take() -> None:
    longest = f"weights/{'/'.join('a' * ((LONGEST - 7) // 2))}"
    assert len(longest) == LONGEST - 1
    assert len(parse_source(f"s3://{longest}").location.replace("/", "--")) <= 255


def test_the_schema_has_the_very_pattern_of_the_loader() -> None:
    assert json.dumps(PATTERN) in SCHEMA_FILE.read_text()
