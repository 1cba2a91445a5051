"""The fault matrix: what breaks, where, what happens then, and the test that shows it.

    python -m tests.faults > docs/faults.md

A test says it of itself: `@pytest.mark.fault(what, where, then)`. A contract holds the page to the tests.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAD = """# What happens when something breaks

Written by `python -m tests.faults` from the tests that show it; each row is a test. Run one with
`.venv/bin/python -m pytest TEST` (those of the cluster: `make test-cluster`).
"""


def marked(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """(what, where, then, test) of each mark in a file of tests."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        for mark in getattr(node, "decorator_list", ()):
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
                what, where, then = (ast.literal_eval(argument) for argument in mark.args)
                yield what, where, then, f"{path.relative_to(ROOT).as_posix()}::{node.name}"


def page() -> str:
    """The page: a row for each fault in each step, those of a fault together."""
    rows = [row for path in sorted((ROOT / "tests").rglob("test_*.py")) for row in marked(path)]
    lines, before = [HEAD, "| what breaks | where | what happens | shown by |", "|---|---|---|---|"], ""
    for what, where, then, test in sorted(rows, key=lambda row: (row[0].lower(), *row)):
        file, name = test.split("::")
        lines.append(f"| {'' if what == before else f'**{what}**'} | {where} | {then} | [{name}](../{file}) |")
        before = what
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
