"""The stand-ins stay small: what is not needed for a rehearsal is the official plugins' business."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

PLUGINS = Path(__file__).parents[2] / "rehearsal/plugins"
ON_AWS = PLUGINS.parent / "aws/kubernetes_host.py"
LIMIT = 500
"""Of the language host and the kubernetes plugin, with all that they share with others."""
AWS_LIMIT = 940
"""Of the aws plugin, most of it the table of resource types."""
ON_AWS_LIMIT = 60
"""Of the kubernetes plugin for AWS stacks without a cluster."""
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def lines_of_code(text: str) -> int:
    """The lines of a Python file that are neither blank nor comment nor docstring."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            docstrings |= {*range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)}
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in NO_CODE]
    return len({line for token in tokens for line in range(token.start[0], token.end[0] + 1)} - docstrings)


def test_only_code_is_counted() -> None:
    assert (
        lines_of_code('"""Doc."""\n\n# why\nA = [\n    1,  # one\n]\n\ndef f() -> None:\n    """Doc\n    string."""\n')
        == 4
    )


def starter(name: str) -> int:
    """The lines of shell that start a stand-in."""
    (file,) = (PLUGINS / "bin" / name).iterdir()
    return sum(not line.startswith("#") for line in file.read_text().splitlines())


def test_the_stand_ins_are_small() -> None:
    sizes = {path.name: lines_of_code(path.read_text()) for path in PLUGINS.rglob("*.py")}
    aws = sum(size for name, size in sizes.items() if name.startswith("aws_"))
    assert {path.name for path in (PLUGINS / "bin").iterdir()} == {"aws", "kubernetes", "kubernetes-on-aws", "language"}
    assert sum(sizes.values()) - aws + starter("kubernetes") + starter("language") < LIMIT
    assert 0 < aws + starter("aws") < AWS_LIMIT
    assert lines_of_code(ON_AWS.read_text()) + starter("kubernetes-on-aws") <= ON_AWS_LIMIT
