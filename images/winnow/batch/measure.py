"""Measure: what stages say of one video, without a lake, an inbox or a decision.

The video is copied into a passing lake and goes through the same stages as any other, in a process of its own: it has
the pinned instructions whatever the caller has loaded, and a file that ends its decoder ends that process alone. What
was fitted comes from the caller's lake, with the parameters that its `winnow.toml` gives.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow.core import config, cpu, errors, extras, own_fault, stage_table
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.planned_table import PLAN, PLANNED_TABLES
from winnow.core.stage import is_ready, parse_params, stage_class

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = "measured"
#: What is measured where nothing is asked for; the built-in score joins them where the lake has a fitted scorer.
STAGES = ("probe", "visual", "audio", "tags")
SCORE = "correspond"
#: The exceptions that the process's exit code stands for.
_ERRORS = (errors.ConfigError, errors.ContractError, errors.TransientError)


@dataclass(frozen=True)
class Measurement:
    """What was measured of one video: a table a stage, one row a clip, ordered by `sample_id`. A clip that a stage
    could not measure has a row there too, with `outcome` failed, a `reason` and a `detail`. Each column's meaning and
    unit stand in `dbt/models/staging/stg_<stage>.yml`."""

    path: Path
    tables: Mapping[str, pa.Table]

    def __getitem__(self, stage: str) -> pa.Table:
        """A stage's table; KeyError, with those there are, for one that was not asked for."""
        if stage not in self.tables:
            raise KeyError(f"{stage} was not measured; there are {', '.join(self.tables)}")
        return self.tables[stage]

    @property
    def failed(self) -> list[tuple[str, str, str, str]]:
        """What could not be measured: (stage, sample_id, reason, detail)."""
        return [
            (stage, row["sample_id"], row["reason"], row["detail"] or "")
            for stage, table in self.tables.items()
            for row in table.select(["sample_id", "outcome", "reason", "detail"]).to_pylist()
            if row["outcome"] != "ok"
        ]


def measure(
    path: str | Path,
    lake: Lake | None = None,
    stages: Sequence[str] = (),
    params: Mapping[str, Mapping[str, object]] | None = None,
) -> Measurement:
    """Cut a video into clips and measure them by these stages and all that they need (STAGES, and SCORE where `lake`
    has a fitted scorer, by default). ConfigError for a stage, parameter or library that is not there, or a model that
    is not fitted; ContractError, with the reason, for a file that no clip could be made of."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path} is no file")
    wanted = tuple(stages) or (*STAGES, *((SCORE,) if lake and is_ready(SCORE, lake) else ()))
    order = needed(wanted)
    for stage, values in (params or {}).items():
        if stage not in order:
            raise ConfigError(f"params has {stage}, which is not measured here; there are {', '.join(order)}")
        parse_params(stage_class(stage), values)
    with tempfile.TemporaryDirectory(prefix="winnow-measure-") as folder:
        inbox, passing = Path(folder, "inbox"), Lake(Path(folder, "lake"))
        (inbox / BATCH).mkdir(parents=True)
        shutil.copyfile(path, inbox / BATCH / path.name)
        if lake is not None:
            _lend(lake, passing, order)
        _in_a_process(passing, inbox, order, params or {})
        tables = {stage: stage_table.read(passing, stage, BATCH) for stage in order}
    return Measurement(path, {"clip": _made(path, tables), **{stage: tables[stage] for stage in order[2:]}})


def needed(stages: Sequence[str]) -> list[str]:
    """These stages and what they need, in an order in which each finds it, `fetch` and `clip` first; ConfigError for
    one that needs a decision."""
    order = ["fetch", "clip"]

    def add(stage: str, asked: str) -> None:
        if stage in order or stage == "plan":
            return
        if stage in PLANNED_TABLES:
            raise ConfigError(f"{asked} needs {stage}, which a batch decides: `winnow curate` measures it")
        for need in stage_class(stage).needs:
            add(need, asked)
        order.append(stage)

    for stage in stages:
        add(stage, stage)
    return order


def _lend(lake: Lake, passing: Lake, stages: Sequence[str]) -> None:
    """Copy what measuring takes from a lake: its parameters, and the models in use of these stages."""
    for name in {stage_class(stage).fitted for stage in stages} - {None}:
        if name is not None and (model := lake.model_current(name)):
            for file in lake.list(f"models/{name}"):
                if file == "current" or file.startswith(f"{model}."):
                    passing.write(f"models/{name}/{file}", lake.read(f"models/{name}/{file}"))
    if (held := lake.read_or_none(config.NAME)) is not None:
        passing.write(config.NAME, held)


def _made(path: Path, tables: Mapping[str, pa.Table]) -> pa.Table:
    """The table of clips; ContractError where there is none."""
    for stage in ("fetch", "clip"):
        rows = tables[stage].select(["outcome", "reason", "detail"]).to_pylist()
        if not any(row["outcome"] == "ok" for row in rows):
            why = "; ".join(f"{row['reason']}: {row['detail']}" for row in rows) or "no clip"
            raise ContractError(f"{path} gives no clip: {why}")
    return tables["clip"]


def _in_a_process(passing: Lake, inbox: Path, stages: Sequence[str], params: Mapping[str, Mapping[str, Any]]) -> None:
    """Run the stages; raises what their process ended with."""
    environment = cpu.pinned(os.environ) | {"WINNOW_LAKE": passing.root, "WINNOW_INBOX": str(inbox)}
    asked = json.dumps({"stages": list(stages), "params": {name: dict(held) for name, held in params.items()}})
    command = [sys.executable, "-P", "-m", __name__]
    done = subprocess.run(command, input=asked, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip()
        kind = next((one for one in _ERRORS if one.exit_code == done.returncode), errors.WinnowError)
        raise kind(said.rpartition("winnow: ")[2] or f"measuring ended with {done.returncode}")


def _plan(lake: Lake) -> None:
    """Plan what ingest found, which nobody has to decide; ContractError where it is no video."""
    rows = stage_table.read(lake, "ingest", BATCH).to_pylist()
    fine = [row for row in rows if row["outcome"] == "ok"]
    if not fine:
        raise ContractError("; ".join(f"{row['list_path']}: {row['reason']} {row['detail'] or ''}" for row in rows))
    fixed = {"outcome": "ok", "reason": None, "detail": None}
    planned = [{"sample_id": row["sample_id"], **fixed, **{c: row.get(c) for c in PLAN.columns}} for row in fine]
    made = PLAN.commit_rows(lake, BATCH, 0, planned, inputs={}, code=BATCH)
    PLAN.set_head(lake, BATCH, PLAN.fingerprint(BATCH), [made.shard], BATCH, {"rows": len(planned)})


def main() -> None:
    """The process: stages and parameters come on stdin, the lake and the inbox from the environment."""
    from winnow.core.child import Keeper
    from winnow.core.settings import load

    asked, settings = json.load(sys.stdin), load()
    with Keeper(settings) as keeper:
        from winnow.batch.ingest import ingest

        lake = Lake(settings.lake)
        found = ingest(BATCH, settings, lake)
        if found.get("empty"):
            raise ContractError(f"no video: {'; '.join(found.get('skipped', [])) or 'it is empty'}")
        _plan(lake)
        for stage in asked["stages"]:
            keeper.run_stage(lake, stage, BATCH, asked["params"].get(stage, {}), settings)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        told = error if isinstance(error, errors.WinnowError) else own_fault.of(error) or extras.missing(error)
        if told is None:
            raise
        print(f"winnow: {told}", file=sys.stderr)
        sys.exit(told.exit_code)
