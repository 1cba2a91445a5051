"""What `import winnow` gives. A first look:

    import winnow

    winnow.measure("holiday.mp4")["probe"].to_pandas()        # one video: no lake, no list
    lake = winnow.open_lake("lake")
    winnow.read_stage(lake, "probe", "2026-11-20", "pandas")  # what was measured of a batch
    winnow.read_table(lake, "fct_clips", "pandas")            # what was decided and published
    for clip in winnow.clips(lake, splits=["train"]):         # what was kept
        clip.pictures(64, 64, per_s=2), clip.sound(16_000)

Commands (`curate`, `fit`, `publish`) and `measure` work in processes of their own; all else reads. Whatever is heavy is
imported when it is called; where a library is missing, the ConfigError names the extra that brings it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from winnow.core import extras, stage_table
from winnow.core.errors import ConfigError, ContractError, GateFailed, TransientError, WinnowError
from winnow.core.lake import Lake
from winnow.core.settings import load

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

    from winnow.batch.measure import Measurement
    from winnow.delivery.kept import KeptClip, KeptClips
    from winnow.delivery.torch_clips import TorchClips

__all__ = [
    "ConfigError",
    "ContractError",
    "GateFailed",
    "Lake",
    "TransientError",
    "WinnowError",
    "clips",
    "curate",
    "fit",
    "measure",
    "open_lake",
    "open_release",
    "publish",
    "read_stage",
    "read_table",
    "releases",
    "tables",
    "torch_clips",
]

Form = Literal["arrow", "pandas", "duckdb"]


# -- read --------------------------------------------------------------------------------------------------------------
def open_lake(root: str | Path | None = None) -> Lake:
    """The lake at a local folder or an fsspec address; that of the environment (`WINNOW_LAKE`) without one. ConfigError
    for an address of a store that Winnow cannot write to safely."""
    return Lake(root if root is not None else load().lake)


@overload
def read_stage(lake: Lake, stage: str, batch: str, form: Literal["arrow"] = ...) -> pa.Table: ...
@overload
def read_stage(lake: Lake, stage: str, batch: str, form: Literal["pandas"]) -> pd.DataFrame: ...
@overload
def read_stage(lake: Lake, stage: str, batch: str, form: Literal["duckdb"]) -> duckdb.DuckDBPyRelation: ...
def read_stage(
    lake: Lake, stage: str, batch: str, form: Form = "arrow"
) -> pa.Table | pd.DataFrame | duckdb.DuckDBPyRelation:
    """A stage's table of one batch: every committed shard's rows, ordered by `sample_id`, failed ones too (`outcome`,
    `reason`, `detail`). Planned tables (`ingest`, `decide`, `plan`, `flag`) are read the same way. ConfigError for a
    stage that there is not, ContractError where nothing is committed."""
    return _in_form(stage_table.read(lake, stage, batch), form)


def releases(lake: Lake) -> list[str]:
    """Ids of all published releases."""
    from winnow.release import publish

    return publish.releases(lake)


def open_release(lake: Lake, release: str | None = None) -> duckdb.DuckDBPyConnection:
    """A published release, read-only (the current one, or one whose id begins so): its tables, and those of the schema
    `ops`, by their names. It reads nothing else. ConfigError where nothing is published."""
    from winnow.release import query

    with extras.named():
        return query.open_snapshot(lake, release)


def tables(lake: Lake, release: str | None = None) -> list[str]:
    """Names of a release's tables, those of the schema `ops` with their prefix."""
    from winnow.release import query

    with open_release(lake, release) as con:
        return query.tables(con)


@overload
def read_table(lake: Lake, table: str, form: Literal["arrow"] = ..., release: str | None = None) -> pa.Table: ...
@overload
def read_table(lake: Lake, table: str, form: Literal["pandas"], release: str | None = None) -> pd.DataFrame: ...
@overload
def read_table(
    lake: Lake, table: str, form: Literal["duckdb"], release: str | None = None
) -> duckdb.DuckDBPyRelation: ...
def read_table(
    lake: Lake, table: str, form: Form = "arrow", release: str | None = None
) -> pa.Table | pd.DataFrame | duckdb.DuckDBPyRelation:
    """A published table (`tables` names them) of the current release, or of one whose id begins so. A DuckDB relation
    is lazy and reads the release's file; the others hold the whole table. ConfigError for a table that there is not."""
    con = open_release(lake, release)
    import duckdb

    try:
        relation = con.table(table)
    except duckdb.CatalogException as error:
        there = ", ".join(tables(lake, release))
        raise ConfigError(f"the release has no table {table!r}; there are {there}") from error
    if form == "duckdb":
        return relation
    with con:
        return _in_form(relation.to_arrow_table(), form)


def _in_form(table: pa.Table, form: Form) -> Any:
    if form == "arrow":
        return table
    with extras.named():
        if form == "pandas":
            import pandas  # noqa: F401  (which Arrow would ask for in words of its own)

            return table.to_pandas()
        if form == "duckdb":
            import duckdb

            return duckdb.from_arrow(table, connection=duckdb.connect())
    raise ConfigError(f"form {form!r}: there are arrow, pandas, duckdb")


# -- clips of a release ------------------------------------------------------------------------------------------------
def clips(lake: Lake, release: str | None = None, splits: Sequence[str] = ()) -> KeptClips:
    """The clips that a release keeps, as a sequence of KeptClip: `len`, a clip by its number, or a loop. Needs no
    torch. ConfigError for a release or split that there is not; reading a clip raises ContractError where its file
    changed."""
    with extras.named():
        from winnow.delivery.kept import KeptClips

        return KeptClips(lake, release, splits)


def torch_clips(
    lake: Lake,
    release: str | None = None,
    splits: Sequence[str] = (),
    *,
    seconds: float = 10.0,
    per_s: float = 2.0,
    size: int = 112,
    rate_hz: int = 16_000,
    transform: Callable[[KeptClip], Any] | None = None,
) -> TorchClips:
    """The same as a torch dataset, of tensors that stack: `pictures` uint8 (seconds·per_s, 3, size, size), `sound`
    float32 (1, seconds·rate_hz), `z`, `label`, `split`, `id`. What is longer is cut, what is shorter ends in its last
    picture and in silence. `transform` makes something else of a KeptClip. ConfigError without torch."""
    with extras.named():
        from winnow.delivery.torch_clips import Tensors, TorchClips

    return TorchClips(clips(lake, release, splits), transform or Tensors(seconds, per_s, size, rate_hz))


# -- measure and curate ------------------------------------------------------------------------------------------------
def measure(
    path: str | Path,
    lake: Lake | None = None,
    stages: Sequence[str] = (),
    params: Mapping[str, Mapping[str, object]] | None = None,
) -> Measurement:
    """Measure one video: cut it into clips, and give a table a stage, one row a clip. Without `stages`: `probe`
    (streams, loudness, silence, motion), `visual` and `audio` (vectors, envelopes), `tags` (speech, music), and
    `correspond` (the score, in standard deviations above mismatched pairs) where `lake` has a fitted scorer. `params`
    holds parameters by stage: {"clip": {"window_s": 5}}.

    Nothing is written to the lake. ConfigError for a stage, a parameter or a library that there is not; ContractError,
    with the reason, where the file gives no clip. A clip that a stage cannot measure is a row with a reason:
    `failed`."""
    from winnow.batch.measure import measure as body

    return body(path, lake, stages, params)


def curate(
    folder: str | Path, lake: Lake | None = None, params: Mapping[str, Mapping[str, object]] | None = None
) -> dict[str, Any]:
    """Curate a folder of videos and lists as a batch whose key is the folder's name: fetch, cut, measure; score and
    admit where a scorer is fitted. The files are only read. Returns what each step counted. Candidates that failed are
    rows with reasons. Done work is found done, so the same call goes on where it was interrupted.

    ConfigError for a folder whose name is no key, or a parameter that is wrong; ContractError where a gate refuses the
    batch; TransientError where the same call may work later."""
    from winnow.batch import command

    return command.curate(Path(folder), lake or open_lake(), params or {})


def fit(lake: Lake, batches: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Fit the built-in scorer on measured batches and freeze it by its digest. Returns its `model`, how many clips and
    videos it saw, and its `quality` on clips that it was not fitted on. ContractError for too few clips."""
    from winnow.batch import command

    return command.run(lake, "fit", "--batches", ",".join(batches), "--seed", str(seed))


def publish(lake: Lake, policy: Literal["hash", "quota"] = "hash") -> dict[str, Any]:
    """`winnow release`: decide, check, report and publish all admitted batches; returns the release's id and counts.
    `policy` says how splits are assigned. GateFailed, a ContractError, where what was built may not be published."""
    from winnow.batch import command

    return command.run(lake, "release", "--policy", policy)
