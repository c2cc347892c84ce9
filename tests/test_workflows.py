"""CI's own files: actionlint finds nothing wrong with them, all is pinned, and nobody has more rights than needed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from rehearsal.places import Places
from rehearsal.toolchain import judges, pins

CHECKOUT = Path(__file__).resolve().parents[1]
WORKFLOWS = {path.stem: path for path in sorted((CHECKOUT / ".github/workflows").glob("*.yml"))}
OURS = ("preview", "up", "drift", "review-stack")
GITLAB = CHECKOUT / ".gitlab-ci.yml"
RESULTS = ("success", "failure", "cancelled", "skipped")
# Each was seen, with its version, in several repositories that pin by commit.
ACTIONS = {
    "actions/checkout": "de0fac2e4500dabe0009e67214ff5f5447ce83dd",  # v6.0.2
    "actions/download-artifact": "37930b1c2abaa49bbe596cd826c3c89aef350131",  # v7.0.0
    "actions/upload-artifact": "b7c566a772e6b6bfb58ed0dc250532a479d7789f",  # v6.0.0
    "astral-sh/setup-uv": "fac544c07dec837d0ccb6301d7b5580bf5edae39",  # v8.2.0
    "aws-actions/configure-aws-credentials": "8df5847569e6427dd6c4fb1cf565c83acfa8afa7",  # v6.0.0
    "pulumi/actions": "8e5e406f4007fca908480587cb9893c07090f58d",  # v7.0.0
}


def jobs(name: str) -> dict[str, Any]:
    found = yaml.safe_load(WORKFLOWS[name].read_text())["jobs"]
    assert isinstance(found, dict)
    return found


def every_job() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for workflow in OURS:
        for name, job in jobs(workflow).items():
            yield workflow, name, job


def bash(workflow: str, script: str, folder: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """A step's script, in the shell that GitHub takes for what the workflow names."""
    named = yaml.safe_load(WORKFLOWS[workflow].read_text()).get("defaults", {}).get("run", {}).get("shell")
    words = {"bash": ["--noprofile", "--norc", "-eo", "pipefail"], None: ["-e"]}[named]
    environment = {"PATH": os.environ["PATH"], **given}
    words = ["bash", *words, "-c", script]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def program(path: Path, script: str) -> None:
    """A stand-in that a script finds under this name."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def lint(folder: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    program = judges.ensure(Places.of_user()).actionlint
    # Without the linters of shell and Python that a machine may have or not.
    words = [str(program), "-no-color", "-shellcheck=", "-pyflakes=", *map(str, paths)]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.engine
def test_actionlint_finds_nothing_wrong_with_the_workflows() -> None:
    done = lint(CHECKOUT, *WORKFLOWS.values())
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.engine
def test_actionlint_finds_what_is_wrong(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text(
        WORKFLOWS["up"].read_text().replace("needs: stacks", "needs: nobody").replace("matrix.stack", "matrix.no")
    )
    told = lint(tmp_path, broken).stdout
    assert 'needs job "nobody" which does not exist' in told
    assert '"no" is not defined' in told


def test_every_action_is_pinned_by_a_commit_that_was_looked_up() -> None:
    for workflow in OURS:
        lines = re.findall(r"uses: (.*)$", WORKFLOWS[workflow].read_text(), re.MULTILINE)
        assert lines
        for line in lines:
            name, commit, version = re.fullmatch(r"([\w/-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", line).groups()  # type: ignore[union-attr]
            assert ACTIONS[name] == commit, line
            assert version


def test_a_job_has_what_it_needs_and_no_more() -> None:
    for workflow, name, job in every_job():
        assert yaml.safe_load(WORKFLOWS[workflow].read_text())["permissions"] == {"contents": "read"}
        writes = {key for key, value in job.get("permissions", {}).items() if value == "write"}
        expected = {"comment": {"pull-requests"}, "stacks": set()}.get(name, {"id-token"})
        assert writes == expected, (workflow, name)
        # Credentials come by an environment, whose rules say who gets them, and only there.
        assert ("environment" in job) == ("id-token" in writes), (workflow, name)
        assert "timeout-minutes" in job


def test_a_checkout_keeps_no_token() -> None:
    for workflow, name, job in every_job():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False, (workflow, name)


def test_no_script_is_given_what_others_write_as_text() -> None:
    """A branch may be called `$(curl ...)`: expressions go by the environment."""
    for workflow, name, job in every_job():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), (workflow, name)


def test_the_job_that_may_write_runs_nothing_of_the_pull_request() -> None:
    job = jobs("preview")["comment"]
    (checkout,) = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout")]
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert "uv sync" not in str(job)


def test_the_check_that_is_required_fails_with_any_of_the_previews() -> None:
    job = jobs("preview")["comment"]
    # GitHub counts a check that is skipped as passed: it may be skipped for a fork's change alone.
    assert job["if"] == "always() && needs.stacks.result != 'skipped'"
    last = job["steps"][-1]
    assert last["if"] == "always()"
    passes = {
        (stacks, previews)
        for stacks in RESULTS
        for previews in RESULTS
        if bash("preview", last["run"], CHECKOUT, STACKS=stacks, PREVIEW=previews).returncode == 0
    }
    assert passes == {("success", "success"), ("success", "skipped")}
    assert job["steps"][-2]["if"] == "needs.stacks.result == 'success'"


def test_a_diff_that_fails_ends_the_script_instead_of_touching_no_stack(tmp_path: Path) -> None:
    (script,) = [step["run"] for step in jobs("preview")["stacks"]["steps"] if step.get("id") == "touched"]
    (tmp_path / ".venv/bin").mkdir(parents=True)
    program(tmp_path / ".venv/bin/python", f'exec env PYTHONPATH={CHECKOUT} {sys.executable} "$@"')
    done = bash("preview", script, tmp_path, BASE="0" * 40, GITHUB_OUTPUT=str(tmp_path / "output"))
    assert done.returncode != 0
    assert not (tmp_path / "output").exists()
    assert {yaml.safe_load(WORKFLOWS[name].read_text())["defaults"]["run"]["shell"] for name in OURS} == {"bash"}


@pytest.mark.parametrize(
    ("last", "asked", "stacks"),
    [("one", "", ["dev"]), ("one", "prod", ["dev", "prod"]), ("none", "", ["dev", "prod"]), ("two", "", [])],
    ids=["what was merged since", "and what was asked for", "no run succeeded yet", "nothing since"],
)
def test_all_that_was_merged_since_the_last_run_that_succeeded_goes_up(
    tmp_path: Path, last: str, asked: str, stacks: list[str]
) -> None:
    (script,) = [step["run"] for step in jobs("up")["stacks"]["steps"] if step.get("id") == "touched"]
    for name in (".venv/bin", "bin", "origin"):
        (tmp_path / name).mkdir(parents=True)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    commits = {"none": "none"}
    for name, file in (("one", "Pulumi.prod.yaml"), ("dev", "Pulumi.dev.yaml"), ("two", "README.md")):
        (tmp_path / file).write_text("")
        subprocess.run([*git, "add", file], check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", name], check=True)
        commits[name] = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()
    program(tmp_path / ".venv/bin/python", f'exec env PYTHONPATH={CHECKOUT} {sys.executable} "$@"')
    program(tmp_path / "bin/gh", f'echo "$2" > asked; echo {commits[last]}')
    given = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "GITHUB_OUTPUT": str(tmp_path / "output")}
    done = bash("up", script, tmp_path, ASKED=asked, GITHUB_REPOSITORY="o/r", **given)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "output").read_text().removeprefix("stacks=")) == stacks
    assert "runs?branch=main&status=success" in (tmp_path / "asked").read_text()


def test_a_stack_whose_preview_never_began_is_told_in_the_comment(tmp_path: Path) -> None:
    (script,) = [step["run"] for step in jobs("preview")["preview"]["steps"] if step.get("if") == "failure()"]
    (after,) = yaml.safe_load(GITLAB.read_text())["preview"]["after_script"]
    for each in (script, after):
        (tmp_path / "comment").mkdir(exist_ok=True)
        (tmp_path / "comment/prod.md").write_text("")
        for said in (1, 2):
            assert bash("preview", each, tmp_path, STACK="prod", CI_JOB_STATUS="failed").returncode == 0, said
        assert (tmp_path / "comment/prod.md").read_text() == "## The preview of `prod` did not run: see the log\n"
        (tmp_path / "comment/prod.md").write_text("told")
        bash("preview", each, tmp_path, STACK="prod", CI_JOB_STATUS="failed")
        assert (tmp_path / "comment/prod.md").read_text() == "told"


def test_gitlab_comments_though_no_preview_left_a_folder(tmp_path: Path) -> None:
    script = [line for line in yaml.safe_load(GITLAB.read_text())["comment"]["script"] if "git show" not in line]
    program(tmp_path / "python3", "echo written")
    given = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CI_BUILDS_DIR": str(tmp_path)}
    done = bash("preview", "\n".join(script), tmp_path, **given)
    assert (done.returncode, done.stdout) == (0, "written\n")


def test_a_fork_gets_no_credentials() -> None:
    own = "github.event.pull_request.head.repo.full_name == github.repository"
    assert own in jobs("preview")["stacks"]["if"]
    assert jobs("preview")["preview"]["needs"] == "stacks"
    review = jobs("review-stack")
    assert review.pop("sweep")["if"] == "github.event_name == 'schedule'"
    assert all(own in job["if"] for job in review.values())


def test_what_goes_up_is_the_plan_that_was_shown() -> None:
    plan, up = jobs("up")["plan"], jobs("up")["up"]
    assert "--save-plan plan.json" in str(plan)
    assert "--plan plan.json" in str(up)
    assert (plan["environment"], up["environment"]) == ("${{ matrix.stack }}-preview", "${{ matrix.stack }}")
    assert up["strategy"]["max-parallel"] == 1
    assert yaml.safe_load(WORKFLOWS["up"].read_text())["concurrency"]["cancel-in-progress"] is False


def test_a_review_stack_goes_with_its_label_and_with_its_pull_request() -> None:
    workflow = yaml.safe_load(WORKFLOWS["review-stack"].read_text())
    assert {"closed", "unlabeled"} <= {*workflow[True]["pull_request"]["types"]}
    down = jobs("review-stack")["down"]
    assert "'closed'" in down["if"]
    assert "destroy --yes --skip-preview --remove" in str(down)
    # A group of the workflow would let a label that is none of ours replace a run that waits to destroy.
    assert "concurrency" not in workflow
    group = {"group": "review-stack-${{ github.event.pull_request.number }}", "cancel-in-progress": False}
    assert [jobs("review-stack")[name]["concurrency"] for name in ("up", "down")] == [group, group]


def test_review_stacks_whose_pull_request_was_closed_unseen_go_at_night(tmp_path: Path) -> None:
    assert yaml.safe_load(WORKFLOWS["review-stack"].read_text())[True]["schedule"]
    (script,) = [step["run"] for step in jobs("review-stack")["sweep"]["steps"] if step.get("name") == "sweep"]
    (tmp_path / ".venv/bin").mkdir(parents=True)
    stacks = json.dumps([{"name": name} for name in ("prod", "review-1", "o/p/review-2", "review-x", "review-3")])
    program(tmp_path / "pulumi", f'[ "$2" = ls ] && echo \'{stacks}\' && exit; echo "$@" >> done; [ $6 != review-1 ]')
    program(tmp_path / "gh", "case $2 in */2) echo true;; *) echo false;; esac")
    program(tmp_path / ".venv/bin/python", 'echo "review-$6"')
    done = bash("review-stack", script, tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}", OF="dev")
    lines = (tmp_path / "done").read_text().splitlines()
    assert lines == [f"destroy --yes --skip-preview --remove --stack review-{number}" for number in (1, 3)]
    # One that fails keeps no other from going, and is told.
    assert done.returncode == 1
    program(tmp_path / "gh", "exit 1")
    (tmp_path / "done").unlink()
    assert bash("review-stack", script, tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}", OF="dev").returncode == 1
    assert not (tmp_path / "done").exists()


def test_ci_has_the_pulumi_that_the_program_was_tried_with() -> None:
    version = pins().program("pulumi").version.removeprefix("v")
    for workflow in OURS:
        named = re.findall(r"pulumi-version: (\S+)", WORKFLOWS[workflow].read_text())
        assert {*named} == {version}
    assert yaml.safe_load(GITLAB.read_text())["default"]["image"].endswith(f":{version}")


def test_gitlab_runs_the_same_commands() -> None:
    github = "".join(WORKFLOWS[name].read_text() for name in OURS)
    gitlab = GITLAB.read_text()
    commands = r"-m (claims\.\w+)|(\.ci/\w+)|(pulumi (?:destroy|stack select))"
    found = [{next(filter(None, each)) for each in re.findall(commands, text)} for text in (github, gitlab)]
    assert found[0] <= found[1]
    assert len(found[0]) > 5
    stages = yaml.safe_load(gitlab)["stages"]
    assert all(
        job["stage"] in stages for job in yaml.safe_load(gitlab).values() if isinstance(job, dict) and "stage" in job
    )


@pytest.mark.parametrize(
    ("config", "expected"), [(True, "--policy-pack-config policy/prod.json "), (False, "")], ids=["with", "without"]
)
def test_pulumi_is_run_with_the_policy_pack_and_the_stacks_configuration_of_it(
    tmp_path: Path, *, config: bool, expected: str
) -> None:
    (tmp_path / "pulumi").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "pulumi").chmod(0o755)
    (tmp_path / "policy").mkdir()
    if config:
        (tmp_path / "policy/prod.json").write_text("{}")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "POLICY_OF": "prod"}
    words = [str(CHECKOUT / ".ci/pulumi"), "up", "review-1", "--yes"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"up --stack review-1 --policy-pack policy {expected}--yes\n"


class Forge(BaseHTTPRequestHandler):
    """Comments of one pull request, as GitHub's and GitLab's API keep them."""

    comments: list[dict[str, Any]]
    asked: list[str]

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _answer(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> str:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return str(document["body"])

    def do_GET(self) -> None:
        page = int(re.search(r"[?&]page=(\d+)", self.path)[1]) if "page=" in self.path else 1  # type: ignore[index]
        user = {"username": "inference-bot"}
        self._answer(user if self.path.endswith("/user") else self.comments[(page - 1) * 100 : page * 100])

    def do_POST(self) -> None:
        self.asked.append("POST")
        name = "github-actions[bot]"
        entry = {"id": len(self.comments) + 1, "body": self._body(), "user": {"login": name}}
        self.comments.append(entry | {"author": {"username": "inference-bot"}})
        self._answer({})

    def do_PATCH(self) -> None:
        self.asked.append(self.command)
        (entry,) = [each for each in self.comments if each["id"] == int(self.path.rpartition("/")[2])]
        entry["body"] = self._body()
        self._answer({})

    do_PUT = do_PATCH  # noqa: N815


@pytest.fixture
def forge() -> Iterator[tuple[type[Forge], str]]:
    class Own(Forge):
        comments: list[dict[str, Any]] = []  # noqa: RUF012 - this test's
        asked: list[str] = []  # noqa: RUF012

    server = HTTPServer(("127.0.0.1", 0), Own)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Own, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def say(address: str, *parts: Path, gitlab: bool = False) -> None:
    environment = {"PATH": os.environ["PATH"], "no_proxy": "127.0.0.1"}
    environment |= (
        {"GITLAB_TOKEN": "t", "CI_API_V4_URL": address, "CI_PROJECT_ID": "1", "CI_MERGE_REQUEST_IID": "2"}
        if gitlab
        else {"GITHUB_TOKEN": "t", "GITHUB_API_URL": address, "GITHUB_REPOSITORY": "o/r", "PULL_REQUEST": "2"}
    )
    subprocess.run([str(CHECKOUT / ".ci/comment.py"), *map(str, parts)], env=environment, check=True)


@pytest.mark.parametrize("gitlab", [False, True], ids=["github", "gitlab"])
def test_the_comment_is_begun_once_and_then_edited_in_place(
    forge: tuple[type[Forge], str], tmp_path: Path, *, gitlab: bool
) -> None:
    kept, address = forge
    # Over a page of others', one of which begins like ours.
    other = {"user": {"login": "somebody"}, "author": {"username": "somebody"}}
    kept.comments += [{"id": number, "body": "<!-- inference: preview -->", **other} for number in range(1, 151)]
    for name in ("prod", "dev"):
        (tmp_path / f"{name}.md").write_text(f"## {name}\n")
    say(address, tmp_path / "prod.md", tmp_path / "dev.md", gitlab=gitlab)
    assert kept.comments[-1]["body"] == "<!-- inference: preview -->\n## dev\n\n## prod\n"
    say(address, tmp_path / "prod.md", gitlab=gitlab)
    assert kept.comments[-1]["body"] == "<!-- inference: preview -->\n## prod\n"
    say(address, gitlab=gitlab)
    assert "No stack is touched" in kept.comments[-1]["body"]
    assert kept.asked == ["POST", *2 * ["PUT" if gitlab else "PATCH"]]
    assert {each["body"] for each in kept.comments[:-1]} == {"<!-- inference: preview -->"}


def test_no_comment_is_begun_where_there_is_nothing_to_say(forge: tuple[type[Forge], str]) -> None:
    kept, address = forge
    say(address)
    assert kept.asked == []


def test_a_comment_is_as_long_as_github_takes(forge: tuple[type[Forge], str], tmp_path: Path) -> None:
    kept, address = forge
    (tmp_path / "prod.md").write_text("````diff\n" + "x\n" * 50_000)
    say(address, tmp_path / "prod.md")
    (entry,) = kept.comments
    assert len(entry["body"]) < 65_536
    assert entry["body"].endswith("The rest is in the job's summary.\n")


def test_each_stack_has_its_share_of_a_comment_and_loses_its_end(
    forge: tuple[type[Forge], str], tmp_path: Path
) -> None:
    kept, address = forge
    fold = "<details><summary>The arithmetic</summary>\n\n```text\n1 < 2\n```\n\n</details>\n\n"
    long = "### Resources\n\n`````diff\n" + "+ x ```\n" * 20_000 + "`````\n"
    for name, rest in (("dev", long), ("lab", "### Resources\n"), ("prod", long)):
        (tmp_path / f"{name}.md").write_text(f"## {name}\n\n**Claims**: 3 proved of {name}\n\n{fold}{rest}")
    say(address, *(tmp_path / f"{name}.md" for name in ("dev", "lab", "prod")))
    (entry,) = kept.comments
    body = entry["body"]
    assert 60_000 < len(body) < 65_536
    assert [f"**Claims**: 3 proved of {name}" in body for name in ("dev", "lab", "prod")] == [True] * 3
    # Each fence is closed by one like it, and no fold more than was opened.
    assert re.findall(r"^`{3,}", body, re.MULTILINE) == ["```", "```", "`````", "`````"] + ["```"] * 2 + [
        "```", "```", "`````", "`````"
    ]  # fmt: skip
    assert body.count("<details>") == body.count("</details>") == 3
    assert body.count("The rest is in the job's summary.") == 2


def test_a_fold_that_is_cut_is_closed(forge: tuple[type[Forge], str], tmp_path: Path) -> None:
    kept, address = forge
    (tmp_path / "prod.md").write_text("<details><summary>x</summary>\n\n```text\n" + "<details>\n" * 50_000)
    say(address, tmp_path / "prod.md")
    assert kept.comments[0]["body"].endswith("\n```\n\n</details>\n\nThe rest is in the job's summary.\n")
    assert kept.comments[0]["body"].count("</details>") == 1
