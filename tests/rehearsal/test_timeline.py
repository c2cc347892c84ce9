"""Timelines: what is drawn is where it belongs, and the drawing is XML whatever its names are."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from rehearsal.timeline import HEIGHT, WIDTH, Line, Panel, ceiling, draw, path


@pytest.mark.parametrize(
    ("value", "least"), [(0, 1), (0.03, 0.05), (1, 1), (1.2, 2), (7, 10), (10, 10), (130, 200), (0.1, 0.1)]
)
def test_a_scale_ends_at_a_round_number(value: float, least: float) -> None:
    assert ceiling(value) == pytest.approx(least)


def test_a_line_goes_from_corner_to_corner_of_its_panel() -> None:
    line = Line(name="demand", points=[(100, 0), (200, 8)])
    assert path(line, 100, 100, 8) == f"M0.0,{HEIGHT}.0 L{WIDTH}.0,0.0"


def test_a_count_holds_until_the_next() -> None:
    line = Line(name="replicas", points=[(0, 1), (10, 2)], holds=True)
    assert path(line, 0, 10, 2) == f"M0.0,{HEIGHT / 2} L{WIDTH}.0,{HEIGHT / 2} L{WIDTH}.0,0.0"


def test_every_panel_and_line_is_drawn_under_its_name() -> None:
    lines = (Line(name="p99 < 1 s", points=[(3, 1.5), (60, 0.2)]), Line(name="empty", points=[]))
    root = ET.fromstring(draw("Step & back", [Panel(title="TTFT, s", lines=lines), Panel(title="load", lines=())]))  # noqa: S314 - our own drawing
    texts = {each.text for each in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Step & back", "TTFT, s", "load", "p99 < 1 s", "0", "50", "2"} <= texts
    assert "empty" not in texts
    assert len([*root.iter("{http://www.w3.org/2000/svg}path")]) == 1
