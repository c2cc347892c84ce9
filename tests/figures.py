"""What the test run counts, for the summary at its end."""

from __future__ import annotations

from collections import Counter

FIGURES: Counter[str] = Counter()
"""Streams checked and lost, mistakes caught, faults injected; tests add to it."""

SCENARIOS: dict[str, str] = {}
"""What became of the streams of each scenario under load."""
