#!/usr/bin/env python3
"""Writes the one comment of a pull request, or edits it in place: .ci/comment.py PART.md...

The parts are put together under a marker that readers do not see, by which the comment is found again. On GitHub it
takes GITHUB_TOKEN, GITHUB_API_URL, GITHUB_REPOSITORY and PULL_REQUEST; on GitLab GITLAB_TOKEN, CI_API_V4_URL,
CI_PROJECT_ID and CI_MERGE_REQUEST_IID. A comment of somebody else's that begins like ours stays as it is. Without a
part there is nothing to say: a comment that is there is told so, and none is begun.

Python's own library is all that it needs: the job that may write has none of the program's packages.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARKER = "<!-- inference: preview -->"
LONGEST = 65_000
"""Characters: GitHub refuses 65,536 and more."""
REST = "The rest is in the job's summary.\n"
CLOSING = 200
"""Characters for the ends of a fence and of folds."""
PAGE = 100
NOTHING = "No stack is touched by this change any more."
SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Comments:
    """Those of one pull request."""

    url: str
    one: str
    """Address of a comment, with its id in the end."""
    edit: str
    """HTTP method that edits one."""
    headers: Mapping[str, str]
    author: tuple[str, str, str]
    """Where a comment says who wrote it, in two steps, and who we are."""

    def ours(self) -> int | None:
        """The id of our comment, the oldest if there are several; None where there is none."""
        section, key, name = self.author
        mine = (each for each in self._all() if each["body"].startswith(MARKER) and each[section][key] == name)
        return min((each["id"] for each in mine), default=None)

    def write(self, parts: list[str]) -> None:
        """Begin the comment, or edit the one that is there."""
        ours = self.ours()
        body = {"body": "\n".join([MARKER, *(fitted(parts) or [NOTHING])])}
        if ours is not None:
            ask(self.edit, f"{self.one}/{ours}", self.headers, body)
        elif parts:
            ask("POST", self.url, self.headers, body)

    def _all(self) -> Iterator[dict[str, Any]]:
        page = 1
        while found := ask("GET", f"{self.url}?per_page={PAGE}&page={page}", self.headers):
            yield from found
            page += 1


def of_environment(given: Mapping[str, str]) -> Comments:
    """The comments of the pull request that a CI job runs for."""
    if "GITLAB_TOKEN" in given:
        headers = {"PRIVATE-TOKEN": given["GITLAB_TOKEN"]}
        project = f"{given['CI_API_V4_URL']}/projects/{given['CI_PROJECT_ID']}"
        notes = f"{project}/merge_requests/{given['CI_MERGE_REQUEST_IID']}/notes"
        me = ask("GET", f"{given['CI_API_V4_URL']}/user", headers)["username"]
        return Comments(url=notes, one=notes, edit="PUT", headers=headers, author=("author", "username", me))
    issues = f"{given['GITHUB_API_URL']}/repos/{given['GITHUB_REPOSITORY']}/issues"
    return Comments(
        url=f"{issues}/{given['PULL_REQUEST']}/comments",
        one=f"{issues}/comments",
        edit="PATCH",
        headers={"Authorization": f"Bearer {given['GITHUB_TOKEN']}", "Accept": "application/vnd.github+json"},
        author=("user", "login", given.get("COMMENT_AUTHOR", "github-actions[bot]")),
    )


def fitted(parts: list[str]) -> list[str]:
    """The parts, in their order, as long as a comment holds: each has its share, and what a short one leaves."""
    left, found = LONGEST, dict.fromkeys(range(len(parts)), "")
    for done, index in enumerate(sorted(found, key=lambda each: len(parts[each]))):
        found[index] = cut(parts[index], left // (len(parts) - done))
        left -= len(found[index]) + 1
    return [*found.values()]


def cut(text: str, longest: int) -> str:
    """So much of a part, whose resources come last; what is open then, a fence or a fold, is closed."""
    if len(text) <= longest:
        return text
    kept = text[: longest - len(REST) - CLOSING].rpartition("\n")[0].splitlines()
    fence, folds = "", 0
    for line in kept:
        ticks = line[: len(line) - len(line.lstrip("`"))]
        if len(ticks) >= max(3, len(fence)) and (not fence or line == ticks):
            fence = "" if fence else ticks
        elif not fence:
            folds += line.count("<details>") - line.count("</details>")
    closed = [*([fence] if fence else []), *["\n</details>"] * folds]
    return "\n".join([*kept, *closed, "", REST])


def ask(method: str, url: str, headers: Mapping[str, str], body: object = None) -> Any:
    """One request to the API, and its answer."""
    if not url.startswith(("https://", "http://")):
        raise SystemExit(f"{url} is no address of an API")
    data = None if body is None else json.dumps(body).encode()
    given = {**headers, "Content-Type": "application/json"}
    request = urllib.request.Request(url, data, given, method=method)  # noqa: S310 - checked above
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        return json.load(answer)


if __name__ == "__main__":
    of_environment(os.environ).write([Path(path).read_text() for path in sorted(sys.argv[1:])])
