"""`python -m rehearsal traffic`: what a person sees, and what a script."""

from __future__ import annotations

from typer.testing import CliRunner

from rehearsal.cli import app
from rehearsal.traffic.command import line
from rehearsal.traffic.load import Load
from rehearsal.traffic.outcome import Ending
from rehearsal.traffic.sending import Tally
from tests.traffic.faulty import serving

OPTIONS = ["--streams=30", "--rate=300", "--tokens=6"]


def test_traffic_without_a_loss_ends_well_with_its_figures() -> None:
    with serving({}) as url:
        done = CliRunner().invoke(app, ["traffic", f"--url={url}/", *OPTIONS])

    assert done.exit_code == 0, done.output
    assert "30 complete, 0 of them slow; lost: none" in done.output


def test_a_lost_stream_is_an_exit_code_of_its_own() -> None:
    with serving({4: "abort"}) as url:
        done = CliRunner().invoke(app, ["traffic", f"--url={url}", *OPTIONS])

    assert done.exit_code == 1
    assert "lost: 1 aborted" in done.output
    assert "on pod-1: stream 4, finish_reason abort after 3 tokens" in done.output


def test_the_live_line_says_how_many_have_ended_are_open_and_are_lost() -> None:
    tally = Tally(open=7)
    tally.endings.update({Ending.COMPLETE: 90, Ending.REFUSED: 2, Ending.STALLED: 1})

    assert line(Load(base_url="", model="chat", streams=100), tally) == "93 of 100 streams ended, 7 open, 3 lost"
