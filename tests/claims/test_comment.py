"""The comment on a pull request, made of recordings of the real engine."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
import yaml

from claims import claims_of, pull_request, render
from claims.changes import Change, Finding, Preview, preview
from claims.claim import Verdict
from claims.comment import LONGEST, comment
from claims.differences import Difference
from claims.stack_file import read
from components.settings import Settings
from tests.claims.example import BEGIN, DOCUMENT, PREVIEWS, quoted, rendered, with_example
from tests.components.samples import settings

CHANGED = Preview(changes=(), findings=(), errors=(), unchanged=9, complete=True)
NODES = Change(
    operation="update", type="aws:eks/nodeGroup:NodeGroup", name="l40s", differences=(), elsewhere=(), replaced_for=()
)


def of(found: Preview, *, after: Settings | None = None) -> str:
    return comment("prod", found, after=after, before=None, counted_claims="3 proved", claims="**Claims**: 3 proved")


def section(text: str, title: str) -> str:
    (found,) = re.findall(rf"^### {title}\n(.*?)(?=^### |\Z)", text, re.MULTILINE | re.DOTALL)
    assert isinstance(found, str)
    return found


def test_the_example_in_the_documents_is_what_the_renderer_gives() -> None:
    document = DOCUMENT.read_text()
    assert document.count(BEGIN) == 1
    assert document == with_example(document), "renew it with: python -m tests.claims.example"
    assert quoted(rendered()) in document


def test_a_pull_request_is_told_in_the_order_in_which_it_is_judged() -> None:
    text = rendered()
    assert text.startswith("## Preview of `prod`: 1 to create, 1 to delete, 6 to update, ")
    titles = ("**Claims**: ", "### Cost", "### Rollout", "### Resources")
    assert sorted(titles, key=text.index) == [*titles]
    assert "### Policy" not in text
    assert "no violations" in text


def test_cost_is_told_before_and_after_and_by_the_million_tokens() -> None:
    cost = section(rendered(), "Cost")
    assert "| before | $67.06 | $143.13 |" in cost
    assert "| with this change | $67.06 | $146.13 |" in cost
    assert "| **change** | **no change** | **+$3.00** |" in cost
    assert "`chat`: $3.00 x 1/1 GPUs = $3.00 an hour / (1,200 tokens/s x 3,600 s) x 1,000,000 = $0.70" in cost
    assert "storage shared" in cost


def test_only_models_whose_replicas_are_replaced_roll_out() -> None:
    rollout = section(rendered(), "Rollout")
    rows = dict(re.findall(r"^\| (\w+) \| (\d+) \|", rollout, re.MULTILINE))
    assert rows["chat"] == "5"
    longest = max(int(each) for each in re.findall(r"(\d+) min \|$", rollout, re.MULTILINE))
    assert f"needs at least {longest} min" in rollout
    first = preview((PREVIEWS / "create.jsonl").read_text())
    settings_of_prod = pull_request._read(PREVIEWS / "after", "prod")
    assert settings_of_prod is not None
    assert "### Rollout" not in of(first, after=settings_of_prod)


def test_models_that_wait_for_each_other_are_told_with_the_sum_of_their_times() -> None:
    """10 GPUs are 9 replicas and one of surge: chat, summary and tools want one each."""
    after = read(PREVIEWS / "after", "prod")
    told = preview((PREVIEWS / "change.jsonl").read_text())
    assert "Models roll out side by side: a job" in of(told, after=after)
    pool = after.gpu_pools["l40s"].model_copy(update={"max": 10})
    text = of(told, after=after.model_copy(update={"gpu_pools": {**after.gpu_pools, "l40s": pool}}))
    rows = dict(re.findall(r"^\| (chat|summary|tools) .* (\d+) min \|$", section(text, "Rollout"), re.MULTILINE))
    (job,) = re.findall(r"needs at least (\d+) min", text)
    assert sum(map(int, rows.values())) - len(rows) < int(job) <= sum(map(int, rows.values()))
    assert f"| at most {job} min |" in text
    assert "Models of pool `l40s` may wait for each other, whose surges it has no room for at once; others" in text


def test_a_deployments_diff_is_by_flag_and_by_name() -> None:
    resources = section(rendered(), "Resources")
    assert (
        "- pod.containers[engine].args[--max-model-len]: 8192\n+ pod.containers[engine].args[--max-model-len]: 16384"
        in resources
    )
    assert "+ pod.containers[engine].env[VLLM_LOGGING_LEVEL].value: DEBUG" in resources
    assert "env[8]" not in resources


def test_policies_findings_are_a_table_and_counted() -> None:
    text = rendered("judged")
    assert re.search(r"^\| mandatory \| .*digest.* \| tools \| ", section(text, "Policy"), re.MULTILINE)
    assert re.search(r"\| \d mandatory \|", text)


@pytest.mark.parametrize(("level", "goes_up"), [("mandatory", False), ("advisory", True)])
def test_a_mandatory_finding_alone_stops_a_stack(level: str, *, goes_up: bool) -> None:
    finding = {"policyName": "p", "enforcementLevel": level, "message": "m", "resourceUrn": "urn:pulumi:a::b::c::d"}
    told = f"{json.dumps({'policyEvent': finding})}\n{(PREVIEWS / 'unchanged.jsonl').read_text()}"
    assert pull_request.write("prod", told, now=PREVIEWS / "after", before=None)[1] is goes_up


def test_refused_settings_are_told_line_by_line_and_nothing_else_is_made_up(tmp_path: Path) -> None:
    told = (PREVIEWS / "refused.jsonl").read_text()
    text, good = pull_request.write("prod", told, now=tmp_path, before=None)
    assert text.startswith("## Preview of `prod`: refused")
    assert "- inference:models.chat.pool: is missing; allowed: " in text
    assert "| not computed | no violations | unknown | none |" in text
    assert "### Cost" not in text
    assert not good


def test_a_claim_that_is_refused_is_told_once_with_what_would_make_it_hold(tmp_path: Path) -> None:
    document = yaml.safe_load((PREVIEWS / "after/Pulumi.prod.yaml").read_text())
    document["config"]["inference:models"]["chat"]["concurrency"] = 32
    (tmp_path / "Pulumi.prod.yaml").write_text(yaml.safe_dump(document))
    (refused,) = [each for each in claims_of(read(tmp_path, "prod")) if each.verdict is Verdict.REFUSED]
    lines = [render.refusal(refused), "a claim does not hold on stack prod; nothing was changed."]
    events = [{"diagnosticEvent": {"severity": "error", "message": f"{line}\n"}} for line in lines]
    told = "\n".join(map(json.dumps, [*events, {"summaryEvent": {"result": "failed"}}]))
    text, good = pull_request.write("prod", told, now=tmp_path, before=PREVIEWS / "before")
    assert not good
    ended = (PREVIEWS / "unchanged.jsonl").read_text()
    assert not pull_request.write("prod", ended, now=tmp_path, before=None)[1]
    assert "- a claim does not hold on stack prod; nothing was changed." in text
    assert render.refusal(refused) not in text
    assert f"would hold with: {refused.change}" in text


def test_a_stack_that_nothing_changes_in_says_so() -> None:
    text = rendered("unchanged")
    assert re.match(r"## Preview of `prod`: nothing changes\n", text)
    assert "### Resources" not in text
    assert "### Rollout" not in text


def test_a_new_stack_has_no_cost_before() -> None:
    told = (PREVIEWS / "create.jsonl").read_text()
    text, _ = pull_request.write("prod", told, now=PREVIEWS / "after", before=None)
    assert "| before |" not in text
    assert "| with this change |" in text


def test_what_takes_data_or_nodes_with_it_is_told_at_the_top() -> None:
    gone = dataclasses.replace(NODES, operation="replace", replaced_for=("instanceTypes[0]",))
    text = of(dataclasses.replace(CHANGED, changes=(gone,)))
    assert "> **Removed or replaced:** `NodeGroup l40s`" in text.split("| claims |")[0]
    assert "@@ replace NodeGroup l40s, because of instanceTypes[0] @@" in text
    assert "Removed or replaced" not in of(dataclasses.replace(CHANGED, changes=(NODES,)))


def test_a_value_with_backticks_does_not_end_its_block() -> None:
    nasty = Difference(path="a", old="```` <b>", new="x")
    text = of(dataclasses.replace(CHANGED, changes=(dataclasses.replace(NODES, differences=(nasty,)),)))
    fences = re.findall(r"^(`{3,})(?:diff)?$", text, re.MULTILINE)
    assert fences == ["`````", "`````"]


@pytest.mark.parametrize("text", ["a | b", "<!-- inference: preview -->", "line\nline"])
def test_a_finding_cannot_break_its_table_nor_begin_a_comment(text: str) -> None:
    finding = Finding(policy="p", level="advisory", resource="r", message=text)
    (row,) = re.findall(r"^\| advisory .*$", of(dataclasses.replace(CHANGED, findings=(finding,))), re.MULTILINE)
    assert len(re.findall(r"(?<!\\)\|", row)) == 5
    assert "<" not in row


def test_as_many_resources_as_a_comment_holds_and_the_number_of_the_others() -> None:
    long = tuple(Difference(path=f"key{index}", old="x" * 100, new="y" * 100) for index in range(20))
    many = tuple(dataclasses.replace(NODES, name=f"n{index:03}", differences=long) for index in range(50))
    text = of(dataclasses.replace(CHANGED, changes=many))
    kept = text.count("@@ update NodeGroup")
    assert 0 < kept < 50
    assert f"{50 - kept} more are in the job's log." in text
    assert len(text) < LONGEST + 2000


def test_nodes_without_a_price_are_named_under_the_sums() -> None:
    text = of(CHANGED, after=settings())
    assert "`gpuPools.l4` (nodes with 1 x NVIDIA-L4) has no price and is not in the sums" in text


@pytest.mark.parametrize(("name", "code"), [("change", 0), ("judged", 1), ("refused", 1)])
def test_the_command_fails_where_the_stack_could_not_go_up(
    name: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--stack", "prod", "--preview", str(PREVIEWS / f"{name}.jsonl"), "--before", str(PREVIEWS / "before")]
    assert pull_request.main(words, PREVIEWS / "after") == code
    assert capsys.readouterr().out.startswith("## Preview of `prod`")


def test_the_command_says_what_it_wants_where_it_is_given_something_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").write_text("")
    assert pull_request.main(["--stack", "prod", "--preview", str(tmp_path / "x.json")], PREVIEWS / "after") == 1
    said = capsys.readouterr()
    assert "no summaryEvent: write it with" in said.err
    assert said.out == "## The preview of `prod` did not run: see the log\n"
