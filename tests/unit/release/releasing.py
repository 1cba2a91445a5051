"""`winnow release` as a process whose dbt, gate and report are small, to have two of them at a time.

    python -m tests.unit.release.releasing LAKE GENERATION

It says `building` on stdout once it builds, goes on when a line comes on stdin, and says what it did as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.unit.published import fill
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.release import steps


def main(root: str, generation: int) -> None:
    """All steps of a release of this generation."""

    def build(work: Path, *_: object, **__: object) -> dict[str, object]:
        print("building", flush=True)
        sys.stdin.readline()
        fill(work, generation)
        return {}

    def leave(work: Path, *_: object) -> dict[str, object]:
        return {"release": steps.Draft.read(work, "hash").release, "already": False}

    steps.build_release = build
    steps.input_key = lambda *_: f"key{generation}"
    steps._STEPS.update(gate=leave, report=leave)
    print(json.dumps(steps.release(Lake(root), Settings())))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
