"""Digests of all code that tables are made by, as a committed file: `images/digests.csv`.

`python -m winnow.cli.digests` (`make digests`) writes it. A test compares it with the code and with CHANGELOG.md: a
change that makes anybody's tables anew is named there, in a line

    recomputes: probe@1a2b3c4d5e6f, visual@…

of the version that brings it.
"""

from __future__ import annotations

import ast
import csv
import io
import re
import sys
from collections.abc import Iterator

from winnow.core.fingerprint import NAME, PACKAGE, code_digest
from winnow.core.stage import stage_class, stage_names

FILE = PACKAGE.parent / "digests.csv"
CHANGELOG = PACKAGE.parents[1] / "CHANGELOG.md"
#: What is fitted on a corpus names the module that fits it by a variable.
FITTED = {
    "fit": "winnow.models.correspondence_fit",
    "fit_two_tower": "winnow.models.two_tower_fit",
    "fit_ridge": "winnow.models.ridge_fit",
    "cluster_fit": "winnow.selection.kmeans.centroids",
}
_LINE = re.compile(r"^recomputes: (.*)$", re.MULTILINE)
_NAMED = re.compile(r"([\w.]+)@([0-9a-f]{12})")


def digests() -> dict[str, str]:
    """The digest of every stage's code, and of the code of what is planned or fitted without a stage, by name."""
    stages = {name: stage_class(name).__module__ for name in stage_names()}
    named = {**stages, **FITTED, **{module.rpartition(".")[2]: module for module in _own()}}
    return {name: code_digest(module) for name, module in sorted(named.items())}


def _own() -> Iterator[str]:
    """Modules that take the digest of themselves: `code_digest(__name__)`."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "code_digest(__name__)" in path.read_text(encoding="utf-8"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node) == "code_digest(__name__)":
                    yield ".".join([NAME, *path.relative_to(PACKAGE).with_suffix("").parts])
                    break


def written() -> str:
    """The file as it has to be."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(["code", "digest"])
    lines.writerows(digests().items())
    return out.getvalue()


def unnamed(changelog: str) -> list[str]:
    """What `recomputes:` lines have to name and do not, as `name@digest`: the digest that a name has in the newest line
    that names it must be the code's."""
    newest: dict[str, str] = {}
    for line in _LINE.findall(changelog):
        for name, digest in _NAMED.findall(line):
            newest.setdefault(name.strip(), digest)
    return [f"{name}@{digest}" for name, digest in digests().items() if newest.get(name) != digest]


def main() -> None:
    """Write the file, and say what the changelog still has to name."""
    FILE.write_text(written(), encoding="utf-8")
    print(FILE)
    if missing := unnamed(CHANGELOG.read_text(encoding="utf-8")):
        print(f"{CHANGELOG.name} has to name in its newest `recomputes:` line: {', '.join(missing)}", file=sys.stderr)


if __name__ == "__main__":
    main()
