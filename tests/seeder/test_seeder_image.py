"""The seeder's image: what its Dockerfile installs is what the lock file pins."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from rehearsal.images.contents import BOTOCORE_DATA

IMAGE = Path("images/weight-seeder")
LOCKED = {package["name"]: package for package in tomllib.loads(Path("uv.lock").read_text())["package"]}


def requirements() -> dict[str, tuple[str, set[str]]]:
    """Version and hashes by name."""
    entries = re.findall(r"^(\S+)==(\S+)[^\n]*\n((?:    --hash=\S+.*\n)+)", _text(), flags=re.MULTILINE)
    return {name: (version, set(re.findall(r"sha256:[0-9a-f]{64}", hashes))) for name, version, hashes in entries}


def _text() -> str:
    return (IMAGE / "requirements.txt").read_text()


def test_every_requirement_has_the_version_and_the_hashes_of_the_lock_file() -> None:
    for name, (version, hashes) in requirements().items():
        package = LOCKED[name]
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]

        assert version == package["version"]
        assert hashes == {file["hash"] for file in files}
    assert len(requirements()) == len([line for line in _text().splitlines() if not line.startswith(" ")])


def test_the_requirements_are_the_seeders_group_and_all_that_it_needs() -> None:
    group = tomllib.loads(Path("pyproject.toml").read_text())["dependency-groups"]["seeder"]
    asked = [re.fullmatch(r"([^[=]+)(?:\[([^]]+)\])?==.*", requirement) for requirement in group]
    needed: set[tuple[str, str]] = set()
    # Pairs of a package and an extra of it; the package alone has the extra "".
    open_pairs = [(name, extra) for match in asked if match for name, extra in [(match[1], ""), (match[1], match[2])]]
    while open_pairs:
        name, extra = open_pairs.pop()
        if extra is not None and (name, extra) not in needed:
            needed.add((name, extra))
            package = LOCKED[name]
            more = package["optional-dependencies"][extra] if extra else package.get("dependencies", [])
            open_pairs += [(each["name"], one) for each in more for one in ("", *each.get("extra", ()))]

    assert set(requirements()) == {name for name, _ in needed}


def test_the_image_runs_without_privileges_from_a_base_that_can_be_pinned() -> None:
    dockerfile = (IMAGE / "Dockerfile").read_text()

    assert "\nFROM ${BASE}\n" in dockerfile
    assert "--require-hashes" in dockerfile
    assert "COPY weight_seeder /opt/weight-seeder/weight_seeder\n" in dockerfile
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", dockerfile, flags=re.MULTILINE)


def test_both_ways_to_build_the_image_keep_the_same_of_aws() -> None:
    dockerfile = (IMAGE / "Dockerfile").read_text()
    (command,) = re.findall(r"find \. -mindepth 1 (.*?) -exec rm", dockerfile, flags=re.DOTALL)

    assert set(re.findall(r"! -name (\S+)", command)) == BOTOCORE_DATA
