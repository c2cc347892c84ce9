"""Names that follow from a source, a selection and a volume, and what they keep or replace."""

from __future__ import annotations

from typing import Any

import pytest

from components.model_weights import weights_folder
from components.seeding_job import weights_digest
from components.settings import Model
from components.storage import volume_of
from components.volume import Place, Volume
from components.weight_claim import weights_claim
from components.weight_cleaner import cleaning_digest
from tests.components.program import Recorder, plain, run_program
from tests.components.samples import COMMIT, CUSTOM, SMALLEST, SUM, changed, chat

INCLUDE = ["*.safetensors", "*.json"]
OTHER_COMMIT = changed(SMALLEST, "models.chat.source", f"hf://meta-llama/Llama-3.1-8B-Instruct@{'0' * 40}")
OTHER_SELECTION = changed(SMALLEST, "models.chat.weights.include", ["*.safetensors"])
OTHER_EXCLUSION = changed(SMALLEST, "models.chat.weights.exclude", [])
OTHER_CLASS = changed(SMALLEST, "models.chat.weights.storageClass", "efs")
ANOTHER_COPY = changed(SMALLEST, "models.chat.weights.dataSource", {"kind": "VolumeSnapshot", "name": "monday"})
BIGGER = changed(SMALLEST, "models.chat.weights.size", "80Gi")


def of_class(config: dict[str, Any]) -> tuple[Model, Volume]:
    return chat(config), volume_of(chat(config), {})


def folder(config: dict[str, Any]) -> str:
    weights = chat(config).weights
    return weights_folder(chat(config).source, weights.include, weights.exclude)


def names(recorder: Recorder, kind: str) -> set[str]:
    return {each.name for each in recorder.of(kind)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (f"hf://meta-llama/Llama-3.1-8B-Instruct@{COMMIT}", "meta-llama--Llama-3.1-8B-Instruct/0e9e39f249a1-e487c7fa"),
        ("s3://example-weights/llm/chat/v1", "example-weights--llm--chat--v1/unpinned-c1d3ad27"),
        (f"s3://example-weights/llm@sha256:{SUM}", "example-weights--llm/5e5e5e5e5e5e-"),
        (f"oci://registry.example.com:5000/models/chat@sha256:{SUM}", "registry.example.com-5000--models--chat/5e5e5e"),
        (f"file:///srv/models/chat@sha256:{SUM}", "srv--models--chat/5e5e5e5e5e5e-"),
        (f"file:///.incoming@sha256:{SUM}", "_incoming/5e5e5e5e5e5e-"),
        (f"file:///...@sha256:{SUM}", "_/5e5e5e5e5e5e-"),
    ],
)
def test_the_folder_tells_source_revision_and_selection(source: str, expected: str) -> None:
    """Whole where the hash is written out: with another one every volume would be seeded anew."""
    assert weights_folder(source, INCLUDE, ["original/*"]).startswith(expected)


def test_no_two_selections_or_sources_share_a_folder_and_their_order_is_nothing() -> None:
    found = [folder(each) for each in (SMALLEST, OTHER_COMMIT, OTHER_SELECTION, OTHER_EXCLUSION)]
    # One is the other's name with the slash moved.
    twins = [weights_folder(f"oci://r.example.com/{path}@sha256:{SUM}", (), ()) for path in ("a--b", "a/b")]
    assert len({*found, *twins}) == 6
    assert folder(SMALLEST) == folder(OTHER_CLASS) == folder(BIGGER)
    source = chat().source
    assert weights_folder(source, ["a", "b"], ["c", "d"]) == weights_folder(source, ["b", "a"], ["d", "c"])
    assert weights_folder(source, ["a"], ["b"]) != weights_folder(source, ["b"], ["a"])


def test_the_longest_source_is_still_a_folder_s_name() -> None:
    longest = f"file://{'/ab' * 40}@sha256:{SUM}"
    assert max(map(len, weights_folder(longest, (), ()).split("/"))) <= 255


def test_another_commit_selection_or_volume_is_another_job_and_nothing_else_is() -> None:
    digest = weights_digest(*of_class(SMALLEST))
    assert digest == "4d7c825a"
    others = (OTHER_COMMIT, OTHER_SELECTION, OTHER_EXCLUSION, OTHER_CLASS, ANOTHER_COPY)
    assert len({digest, *(weights_digest(*of_class(each)) for each in others)}) == 6
    assert weights_digest(*of_class(BIGGER)) == digest


def test_a_claim_is_named_by_its_class_and_by_what_it_is_cloned_from() -> None:
    claims = [weights_claim("chat", of_class(each)[1]) for each in (SMALLEST, BIGGER, CUSTOM, ANOTHER_COPY)]
    assert claims == ["chat-weights", "chat-weights", "chat-weights-efs", "chat-weights-b54aa174"]


def test_another_revision_number_or_volume_is_cleaned_once_more() -> None:
    def digest(config: dict[str, Any]) -> str:
        model, volume = of_class(config)
        return cleaning_digest(model, Place(volume=volume, claim_name="claim", root="/weights", folder=folder(config)))

    assert digest(SMALLEST) == "90091f1e"
    keep = changed(SMALLEST, "models.chat.weights.keepRevisions", 2)
    assert len({digest(each) for each in (SMALLEST, OTHER_COMMIT, OTHER_SELECTION, keep, OTHER_CLASS)}) == 5
    assert digest(SMALLEST) == digest(BIGGER)


def test_another_revision_is_another_job_and_folder_on_the_same_claim() -> None:
    old, new = run_program(SMALLEST), run_program(OTHER_COMMIT)
    assert names(old, "PersistentVolumeClaim") == names(new, "PersistentVolumeClaim") == {"chat-weights"}
    assert not names(old, "Job") & names(new, "Job")
    assert len(names(new, "Job")) == 2
    folders = [
        plain(each.one("Deployment").inputs)["spec"]["template"]["metadata"]["annotations"]["inference/weights"]
        for each in (old, new)
    ]
    assert folders == [folder(SMALLEST), folder(OTHER_COMMIT)]


def test_going_back_is_the_job_and_the_folder_of_before() -> None:
    before, back = run_program(SMALLEST), run_program(changed(OTHER_COMMIT, "models.chat.source", chat().source))
    assert {each.urn: each.inputs for each in before.of("Job")} == {each.urn: each.inputs for each in back.of("Job")}


def test_replicas_read_the_folder_that_the_job_seeds_and_the_cleaner_leaves() -> None:
    recorder = run_program(CUSTOM)
    engine, seed, clean = (
        plain(each.inputs)["spec"]["template"] for each in [recorder.one("Deployment"), *recorder.of("Job")]
    )
    wanted = engine["metadata"]["annotations"]["inference/weights"]
    assert wanted == folder(CUSTOM)
    assert engine["spec"]["containers"][0]["args"][0] == f"/weights/{wanted}"
    (check,) = engine["spec"]["initContainers"]
    for container in (check, *seed["spec"]["containers"], *clean["spec"]["containers"]):
        command = container["command"]
        assert command[command.index("--folder") + 1] == wanted
        assert command[command.index("--volume") + 1] == "/weights"
