"""The README tells of the corpus what there is."""

from __future__ import annotations

import re

from components.settings.docs import README
from tests.mistakes.corpus import BAD, GOOD


def test_the_readme_counts_the_stacks_of_the_corpus() -> None:
    text = README.read_text()
    told = [re.search(rf"\(tests/mistakes/{kind}\) holds (\d+)", text) for kind in ("bad", "good")]
    assert [int(each[1]) for each in told if each] == [len(BAD), len(GOOD)]
