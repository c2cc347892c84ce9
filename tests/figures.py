"""What the test run counts, for the summary at its end."""

from __future__ import annotations

from collections import Counter

FIGURES: Counter[str] = Counter()
"""Streams checked and lost, mistakes caught, faults injected; tests add to it."""

CONTRACT = "contract asked of "
"""The beginning of the figure that counts the contract's questions to an engine; its name follows."""

SCENARIOS: dict[str, str] = {}
"""What became of the streams of each scenario under load."""
