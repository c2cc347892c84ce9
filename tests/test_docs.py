"""What the documentation says can be done, can be done: commands, settings, links, figures."""

from __future__ import annotations

import copy
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from components.settings import SettingsError, parse
from components.settings.schema import PROJECT, SECRETS, node_at, settings_schema
from components.timing import load_estimate, seeding_deadline, timing
from rehearsal import cli, stack

CHECKOUT: Final = Path(__file__).resolve().parents[1]
README: Final = CHECKOUT / "README.md"
DECISIONS: Final = sorted((CHECKOUT / "docs/decisions").glob("*.md"))
DOCUMENTS: Final = [README, *sorted((CHECKOUT / "docs").rglob("*.md"))]
MAKEFILE: Final = (CHECKOUT / "Makefile").read_text()
WORKFLOW: Final = CHECKOUT / ".github/workflows/ci.yml"

FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED: Final = re.compile(r"(?:^(?: {4}.*)?\n)+", re.MULTILINE)
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
MAKE: Final = re.compile(r"(?<![\w-])make (?:-s )?([a-z][a-z-]*)")
CONFIG_SET: Final = re.compile(r"pulumi config set ([^`\n]+)")
# Hosts that a reader may be sent to, or that settings name as examples; a mirror or a machine of ours is none.
HOSTS: Final = {
    "chat.inference.svc",
    "hub.example.com",
    "huggingface.co",
    "keda.sh",
    "kedacore.github.io",
    "kubernetes.io",
    "lws.sigs.k8s.io",
    "prometheus-community.github.io",
    "prometheus-operated.monitoring.svc.cluster.local",
    "www.pulumi.com",
}


def code(document: str) -> list[str]:
    """Code of a document: fenced and indented blocks, and spans."""
    rest = FENCE.sub("\n", document)
    return [
        *(block for _, block in FENCE.findall(document)),
        *INDENTED.findall(rest),
        *re.findall(r"`([^`]+)`", INDENTED.sub("\n", rest)),
    ]


def public_targets() -> set[str]:
    """Targets that `make help` lists."""
    return set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))


def anchors(document: Path) -> set[str]:
    """The names that a document's headings have in a link, by GitHub's rule."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", document.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def config_commands() -> list[list[str]]:
    """Words after `pulumi config set` of every such command in the documents; the settings table's own aside."""
    found = [
        match for document in DOCUMENTS for part in code(document.read_text()) for match in CONFIG_SET.findall(part)
    ]
    return [shlex.split(each) for each in dict.fromkeys(found) if f"{PROJECT}:" in each]


def key_of(words: list[str]) -> list[str]:
    """The steps of a command's key, without the project's name."""
    key = next(word for word in words if word.startswith(f"{PROJECT}:"))
    return key.removeprefix(f"{PROJECT}:").split(".")


def local() -> dict[str, Any]:
    """What is below `inference:` in the stack of the tour."""
    config = yaml.safe_load((CHECKOUT / "Pulumi.local.yaml").read_text())["config"]
    return {key.removeprefix(f"{PROJECT}:"): value for key, value in config.items()}


def mistakes_of(config: dict[str, Any]) -> list[str]:
    """The lines that the program prints for these settings."""
    try:
        parse({key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()})
    except SettingsError as error:
        return [str(mistake) for mistake in error.mistakes]
    return []


def with_set(config: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """The settings after a `pulumi config set --path` command."""
    changed = copy.deepcopy(config)
    *parents, last = key_of(words)
    node = changed
    for step in parents:
        node = node.setdefault(step, {})
    node[last] = yaml.safe_load(words[-1])
    return changed


def sessions() -> Iterator[tuple[list[list[str]], str]]:
    """The tour's shell sessions that set something: the commands, and the whole session with its output."""
    for language, block in FENCE.findall(README.read_text()):
        commands = [shlex.split(each) for each in re.findall(r"^\$ pulumi config set (.+)$", block, re.MULTILINE)]
        if language == "console" and commands:
            yield commands, block


def test_every_make_command_in_the_documents_is_a_target() -> None:
    named = {target for document in DOCUMENTS for part in code(document.read_text()) for target in MAKE.findall(part)}
    assert named - public_targets() - {"setup"} == set()
    assert {"up", "down"} <= named


def test_the_readme_names_every_target_that_make_help_lists() -> None:
    named = {target for part in code(README.read_text()) for target in MAKE.findall(part)}
    assert public_targets() - named == set()


def test_every_target_runs_a_command_that_exists() -> None:
    commands = {each.name or getattr(each.callback, "__name__", "") for each in cli.app.registered_commands}
    assert set(re.findall(r"-m rehearsal ([a-z-]+)", MAKEFILE)) - commands == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_links_inside_the_repository_lead_somewhere(document: Path) -> None:
    for link in LINK.findall(FENCE.sub("", document.read_text())):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert target.is_relative_to(CHECKOUT), link
        assert not anchor or anchor in anchors(target), link


def test_every_decision_record_is_listed_with_its_title() -> None:
    index = (CHECKOUT / "docs/README.md").read_text()
    for record in DECISIONS:
        title = record.read_text().splitlines()[0].removeprefix("# ")
        assert f"- [{title}](decisions/{record.name})" in index
        assert title[:4] == record.name[:4]
    assert len(DECISIONS) == index.count("](decisions/")


@pytest.mark.parametrize("record", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_record_has_its_four_parts_in_order(record: Path) -> None:
    parts = re.findall(r"^\*\*(\w+)\.?\*\*", record.read_text(), re.MULTILINE)
    assert parts == ["Context", "Decision", "Consequences", "Refused"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_files_that_the_documents_name_exist(document: Path) -> None:
    folders = "components|docs|images|rehearsal|tests"
    spans = re.findall(rf"`((?:{folders})/[\w./-]*)`", document.read_text())
    assert [span for span in spans if not (CHECKOUT / span).exists()] == []


def test_stack_files_in_the_readme_are_accepted() -> None:
    blocks = [block for language, block in FENCE.findall(README.read_text()) if language == "yaml"]
    assert blocks
    for block in blocks:
        config = yaml.safe_load(block)["config"]
        assert mistakes_of({key.removeprefix(f"{PROJECT}:"): value for key, value in config.items()}) == []


def test_every_setting_that_a_command_sets_exists() -> None:
    commands = config_commands()
    assert len(commands) > 3
    for words in commands:
        key = key_of(words)
        secret = key[0] in SECRETS and len(key) == 1
        assert secret or node_at(settings_schema(), key), words
        assert ("--secret" in words) == secret, words


def test_what_the_tour_sets_is_accepted_or_refused_in_the_words_that_it_shows() -> None:
    refused = 0
    for commands, session in sessions():
        config = local()
        for words in commands:
            assert words[:3] == ["--stack", "local", "--path"], words
            config = with_set(config, words)
        mistakes = mistakes_of(config)
        shown = [line.removeprefix("error: ") for line in session.splitlines() if line.startswith("error: ")]
        assert shown[:-1] == mistakes
        assert not mistakes or shown[-1].startswith(f"the settings of stack local have {len(mistakes)} mistakes")
        refused += bool(mistakes)
    assert refused == 1


def test_the_readme_tells_the_time_after_which_a_crashing_engine_fails_an_update() -> None:
    model = stack.read("local").models["chat"]
    assert f"{timing(model).deployment_timeout} s on `local`" in README.read_text()


def test_the_arithmetic_of_the_times_is_that_of_the_example() -> None:
    model = stack.read("dev").models["chat"]
    times = timing(model)
    expected = {
        "load estimate": load_estimate(model),
        "startup budget": times.startup_budget,
        "grace period": times.grace,
        "progress deadline": times.progress_deadline,
        "Pulumi's timeout": times.deployment_timeout,
        "seeding deadline": seeding_deadline(model),
    }
    rows = re.findall(
        r"^\| ([^|]+) \| [^|]+ \| (\d+) \|$",
        (DECISIONS[0].parent / "0005-one-load-estimate.md").read_text(),
        re.MULTILINE,
    )
    assert {name: int(value) for name, value in rows} == expected


@pytest.mark.parametrize("document", [*DOCUMENTS, WORKFLOW], ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_no_document_names_a_machine_or_a_host_that_is_not_for_everyone(document: Path) -> None:
    text = document.read_text()
    assert re.findall(r"(?<![\w.])/(?:work|root|home/(?!inference)|Users)\b\S*", text) == []
    assert {host for host in re.findall(r"https?://([\w.-]+)", text) if "." in host} - HOSTS == set()
    assert re.findall(r"\b(?:TODO|FIXME|XXX)\b", text) == []


def test_ci_is_what_the_readme_calls_it() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    # YAML 1.1 reads the key `on` as true.
    assert set(workflow[True]) == {"push", "pull_request"}
    (job,) = workflow["jobs"].values()
    assert [step["run"].split()[-1] for step in job["steps"] if "run" in step] == [".ci/run"]
    uses = [step["uses"] for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", each) for each in uses)
    assert workflow["permissions"] == {"contents": "read"}


def test_ci_has_the_versions_that_the_readme_requires() -> None:
    (job,) = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    given = {key: value for step in job["steps"] for key, value in step.get("with", {}).items()}
    least, go = re.search(r"Python ([\d.]+) or later, Go ([\d.]+) or later", README.read_text()).groups()  # type: ignore[union-attr]
    pyproject = (CHECKOUT / "pyproject.toml").read_text()
    assert f'requires-python = ">={least}"' in pyproject
    assert int(least.split(".")[1]) <= int(given["python-version"].split(".")[1])
    assert given["go-version"] == go
