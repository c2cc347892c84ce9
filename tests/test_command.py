"""Other programs: their output, or one line that says what went wrong and what to do."""

from __future__ import annotations

import pytest

from rehearsal.command import run, succeeds
from rehearsal.fault import Fault


def test_the_output_of_a_program_is_given() -> None:
    assert run("cat", text="from the input") == "from the input"
    assert run("sh", "-c", "echo $COLOUR", environment={"COLOUR": "green"}) == "green\n"


def test_a_failing_program_is_a_fault_with_its_last_words_and_the_next_step() -> None:
    with pytest.raises(Fault, match=r"^sh -c echo .* failed: no space left; free some$"):
        run("sh", "-c", "echo no space left >&2; exit 1", then="free some")


def test_a_missing_program_is_a_fault_that_names_it() -> None:
    with pytest.raises(Fault, match="no-such-program: not on PATH; install it"):
        run("no-such-program")


def test_success_is_an_exit_with_0() -> None:
    assert succeeds("true")
    assert not succeeds("false")
