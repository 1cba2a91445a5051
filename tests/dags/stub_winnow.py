"""A `winnow` that computes nothing: it writes down how it was called and answers as the real one would.

A file <lake>/exit-<command> makes a command end with that exit code, <lake>/hang-<command> makes it hang.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

LAKE, INBOX = Path(os.environ["WINNOW_LAKE"]), Path(os.environ["WINNOW_INBOX"])


def option(arguments: list[str], name: str) -> str:
    """The value after an option."""
    return arguments[arguments.index(name) + 1]


def heads() -> list[str]:
    """Keys of the admitted batches."""
    return sorted(path.name for path in (LAKE / "heads").glob("*"))


def admitted() -> list[str]:
    """What a release is made of."""
    selections = LAKE / "selections"
    return [*heads(), *(selections.read_text().splitlines() if selections.exists() else [])]


def answer(arguments: list[str]) -> dict:  # noqa: C901 (one answer a command)
    """Do the little that makes the DAGs go on, and answer."""
    command = arguments[0]
    if command == "ingest":
        batch = option(arguments, "--batch")
        return {"batch": batch, "rows": 3} if (INBOX / batch).is_dir() else {"batch": batch, "empty": True}
    if command == "plan":
        return {"shards": 3, "rows": 30}
    if command == "mix":
        return {"batch": "mix-0123456789ab", "shards": 3, "rows": 9}
    if command == "cluster":
        batches = [key for key in option(arguments, "--batches").split(",") if key]
        batches = batches or [key for key in heads() if not key.startswith("mix-")]
        if "--dry-run" in arguments:
            return {"batches": batches} | ({} if batches else {"empty": True})
        return {"batches": batches, "model": "0123456789ab"}
    if command == "benchmark":
        said = {"features": {"release": "ab12", "tasks": ["avel"]}, "sets": {"plan": "p1", "cells": ["a/0", "b/0"]}}
        return said.get(arguments[1], {})
    if command == "select":
        with (LAKE / "selections").open("a") as selections:
            selections.write("one more\n")
        return {"selected": 6}
    if command == "run":
        model = {"rescore": "correspond"}.get(arguments[1], arguments[1])
        if "--if-fitted" in arguments and not (LAKE / "models" / model / "current").exists():
            return {"stage": arguments[1], "batch": option(arguments, "--batch"), "unfitted": arguments[1]}
        return {"stage": arguments[1], "batch": option(arguments, "--batch"), "shards": 1, "computed": 1, "why": []}
    if command == "fit":
        (LAKE / "models/correspond").mkdir(parents=True, exist_ok=True)
        (LAKE / "models/correspond/current").write_text("0123456789ab")
        return {"model": "0123456789ab"}
    if command == "gate":
        (LAKE / "heads").mkdir(exist_ok=True)
        for batch in option(arguments, "--batch").split(","):
            (LAKE / "heads" / batch).touch()
    if command == "release":
        published = LAKE / "published.json"
        if arguments[1] == "build":
            known = json.loads(published.read_text()) if published.exists() else None
            return {"release": "r", "already": known == admitted()}
        if arguments[1] == "publish":
            published.write_text(json.dumps(admitted()))
    return {}


def main() -> None:
    """Note the call, hang or fail if told to, answer."""
    arguments = sys.argv[1:]
    with (LAKE / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(arguments) + "\n")
    print("at work", arguments[0], file=sys.stderr, flush=True)
    while (LAKE / f"hang-{arguments[0]}").exists():
        time.sleep(0.1)
    if (code := LAKE / f"exit-{arguments[0]}").exists():
        sys.exit(int(code.read_text()))
    print(json.dumps(answer(arguments)))


if __name__ == "__main__":
    main()
