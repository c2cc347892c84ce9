"""The tests' own distribution over processes."""

from __future__ import annotations

from pathlib import Path

from tests.processes import CLUSTERS, ORDER, Scheduling

TESTS = Path(__file__).parent


def test_every_file_of_the_cluster_has_its_place_on_one_of_two() -> None:
    assert {f"tests/cluster/{file.name}" for file in TESTS.glob("cluster/test_*.py")} <= {*ORDER}
    assert all((TESTS.parent / file).exists() for file in ORDER)
    assert len(ORDER) == len({*ORDER})
    assert len(CLUSTERS) == 2


def test_a_process_gets_all_files_of_a_cluster_and_of_others_one_at_a_time() -> None:
    scheduling = Scheduling.__new__(Scheduling)
    scopes = [{scheduling._split_scope(f"{file}::test") for file in files} for files in CLUSTERS]
    assert [len(scope) for scope in scopes] == [1, 1]
    assert scopes[0] != scopes[1]
    assert scheduling._split_scope("tests/test_docs.py::test") == "tests/test_docs.py"
