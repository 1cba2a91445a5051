"""Commands of `winnow` called from Python: each is the process that a shell would start. So it computes with the pinned
instructions whatever the caller has loaded, what it opens ends with it, and it answers in one JSON line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from winnow.core import errors
from winnow.core.errors import ConfigError, WinnowError
from winnow.core.lake import Lake
from winnow.core.sample import check_batch

_SAID = re.compile(r"^winnow: (\w+): (.*)", re.MULTILINE | re.DOTALL)


def run(lake: Lake, *arguments: str, inbox: Path | None = None) -> dict[str, Any]:
    """Run a command over a lake; its answer. What it tells a person goes to this process's stderr. Raises the
    WinnowError that it ends with."""
    environment = {**os.environ, "WINNOW_LAKE": _whole(lake)}
    environment |= {"WINNOW_INBOX": str(inbox)} if inbox else {}
    environment.pop("WINNOW_RESULT", None)
    command = [sys.executable, "-P", "-m", "winnow.cli", *arguments]
    said: list[str] = []
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True
        ) as done:
            for line in done.stderr or ():
                said.append(line)
                print(line, end="", file=sys.stderr, flush=True)
        out.seek(0)
        printed = out.read()
    if done.returncode:
        raise failure_of(done.returncode, "".join(said), arguments)
    answer: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return answer


def curate(folder: Path, lake: Lake, params: Mapping[str, Mapping[str, object]]) -> dict[str, Any]:
    """`winnow curate` of a folder as the batch that has its name."""
    folder = folder.resolve()
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder")
    held = json.dumps({stage: dict(values) for stage, values in params.items()})
    return run(
        lake, "curate", "--batch", check_batch(folder.name), "--params", held, "--allow-failed", inbox=folder.parent
    )


def _whole(lake: Lake) -> str:
    return str(Path(lake.root).resolve()) if lake.is_local and "://" not in lake.root else lake.root


def failure_of(code: int, said: str, arguments: tuple[str, ...]) -> WinnowError:
    """The exception that a command's last words stand for."""
    found = list(_SAID.finditer(said))
    name, text = found[-1].groups() if found else ("", said.strip()[-2000:])
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, WinnowError)) or kind is errors.PartlyDone:
        codes = {
            errors.EXIT_CONTRACT: errors.ContractError,
            errors.EXIT_TRANSIENT: errors.TransientError,
            errors.EXIT_CONFIG: errors.ConfigError,
        }
        kind = codes.get(code, WinnowError)
    return kind(text.strip() or f"winnow {' '.join(arguments)} ended with {code}")
