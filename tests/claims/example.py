"""The comment in docs/pull-requests.md; a test holds it to what is rendered: `python -m tests.claims.example`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from claims.pull_request import write

PREVIEWS: Final = Path(__file__).parent / "previews"
DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs/pull-requests.md"
BEGIN: Final = "<!-- The example is rendered: python -m tests.claims.example -->\n"
END: Final = "<!-- The end of the example. -->\n"


def rendered(name: str = "change") -> str:
    """The comment on a recorded preview of the stack prod."""
    told = (PREVIEWS / f"{name}.jsonl").read_text()
    text, _ = write("prod", told, now=PREVIEWS / "after", before=PREVIEWS / "before")
    return text


def quoted(text: str) -> str:
    """The comment as the document has it: quoted, so that its headings are none of the document's."""
    return "".join(f"> {line}".rstrip() + "\n" for line in text.splitlines())


def with_example(document: str) -> str:
    """The document with the example as it is rendered now."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{quoted(rendered())}\n{END}{tail}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_example(DOCUMENT.read_text()))
