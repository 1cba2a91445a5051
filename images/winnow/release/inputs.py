"""What a dbt call reads: one Parquet, `inputs`, that names every file: stage tables of batches, tables of the corpus,
and what the release before hands on. What a build contains is exactly what this lists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from winnow.core import corpus_table
from winnow.core.errors import ContractError
from winnow.core.lake import Lake, sha256_file
from winnow.core.nearby import Nearby, Wanted
from winnow.core.stage import stage_columns
from winnow.duplicates import batches as near_duplicates
from winnow.release import publish
from winnow.release.scorers import FIELDS

#: Tables that a release computes over all admitted batches before dbt.
DERIVED_COLUMNS = {"duplicate_pair": near_duplicates.PAIR_COLUMNS}
#: Tables that the release now current hands to the next one.
PUBLISHED_COLUMNS = {
    "published_splits": {
        "sample_id": "string",
        "video_id": "string",
        "uploader_key": "string",
        "source_sha256": "string",
        "split": "string",
    },
    "published_clips": {
        "sample_id": "string",
        "status": "string",
        "first_failed_rule": "string",
        "detail": "string",
        "split": "string",
    },
    "published_thresholds": {
        "point": "string",
        "position": "int64",
        "rule": "string",
        "measure": "string",
        "op": "string",
        "value": "double",
        "unit": "string",
    },
}
PUBLISHED_FILES = {
    "published_splits": "splits",
    "published_clips": "fct_clips",
    "published_thresholds": "thresholds",
}
#: Damaged files that a message names.
SHOWN = 20
_QUARANTINED_FIELDS = ("stage", "batch", "sample_id", "rules")
_INPUT_FIELDS = ("stage", "batch", "seq", "v", "shard", "path", "sha256", "places", "shards", "is_decided")


@dataclass(frozen=True)
class InputFile:
    """One file that a dbt call reads; `path` is absolute, `batch` None for what belongs to none. Beside a compact table
    (`winnow.core.compact`) lie `shards`, the manifests that it stands for, and, unless there is one only, `places`.
    What `is_decided` is listed and not read: what follows from it is kept (`winnow.release.parts`)."""

    stage: str
    path: str
    batch: str | None = None
    seq: int | None = None
    v: str | None = None
    shard: str | None = None
    sha256: str | None = None
    places: str | None = None
    shards: str | None = None
    places_sha256: str | None = None
    shards_sha256: str | None = None
    is_decided: bool = field(default=False, kw_only=True)

    def read(self) -> list[InputFile]:
        """The files that a build opens: it and those beside it; of what is decided the shards' manifests alone."""
        return [one for one in self.beside() if one.path == self.shards] if self.is_decided else [self, *self.beside()]

    def beside(self) -> list[InputFile]:
        """The files beside it."""
        named = [(self.places, self.places_sha256), (self.shards, self.shards_sha256)]
        return [InputFile(self.stage, path, self.batch, sha256=sha256) for path, sha256 in named if path]


def input_columns() -> dict[str, Mapping[str, str]]:
    """Columns of everything that a release reads: stage tables, the corpus's tables, and the release before it."""
    return {
        **stage_columns(),
        **{name: t.columns for name, t in corpus_table.TABLES.items()},
        **PUBLISHED_COLUMNS,
        **DERIVED_COLUMNS,
    }


def check(lake: Lake, files: Iterable[InputFile]) -> list[InputFile]:
    """The files, of a lake in a bucket as copies, to be read; ContractError that names every one that is not there, or
    is no longer what was committed, added or published. What is decided is not read: a file of it that changed is for
    `winnow verify` to find, and on a disk one that is missing is named here."""
    files = list(files)
    if not lake.is_local:
        return _copies(lake, files)
    current = publish.current(lake)
    published = publish.manifest(lake, current).get("files", {}) if current else {}
    wrong = [f"  {file.path} is missing" for file in files if file.is_decided and not Path(file.path).exists()]
    for file in dict.fromkeys(one for listed in files for one in listed.read()):
        key = file.path.removeprefix(lake.full(""))
        try:
            with lake.local(key) as path:
                there = sha256_file(path)
        except FileNotFoundError:
            wrong.append(f"  {file.path} is missing")
            continue
        if file.stage in corpus_table.TABLES:
            holds = corpus_table.holds(key, there)
        elif file.stage in PUBLISHED_FILES:
            holds = published.get(f"tables/{Path(key).name}", {}).get("sha256", there) == there
        else:
            holds = file.sha256 == there
        if not holds:
            of_batch = f" (batch {file.batch})" if file.batch else ""
            wrong.append(f"  {file.path}{of_batch} changed after it was committed")
    _refuse(wrong)
    return files


def _copies(lake: Lake, files: Sequence[InputFile]) -> list[InputFile]:
    """Copies of the files of a lake in a bucket, under their keys, with what lies beside them: of a compact table its
    places and shards, of a shard its manifest. What the release before hands on is a copy already."""
    near = Nearby(lake)
    wanted: dict[Wanted, InputFile] = {}
    for file in files:
        if file.stage not in PUBLISHED_FILES:
            for one in file.read():
                wanted[_wanted(lake, one)] = one
            if file.v is not None and file.shards is None:
                beside = Wanted(f"{_wanted(lake, file).key.rpartition('/')[0]}/{file.shard}.json")
                wanted[beside] = file
                if not _commits(near.path(beside), file.sha256):  # a shard that was made anew has its name
                    near.path(beside).unlink(missing_ok=True)
    wrong = near.bring(wanted)
    for want, file in wanted.items():
        added = want not in wrong and file.stage in corpus_table.TABLES
        if added and not corpus_table.holds(want.key, sha256_file(near.path(want))):
            wrong[want] = "changed"
    _refuse([f"  {lake.full(one.key)} {_SAID[said]}" for one, said in wrong.items()])
    return [f if f.stage in PUBLISHED_FILES else _near(lake, near, f) for f in files]


def _near(lake: Lake, near: Nearby, file: InputFile) -> InputFile:
    """A file as its copy."""
    copies = {one.path: str(near.path(_wanted(lake, one))) for one in (file, *file.beside())}
    places, shards = (copies[path] if path else None for path in (file.places, file.shards))
    return replace(file, path=copies[file.path], places=places, shards=shards)


def _commits(manifest: Path, sha256: str | None) -> bool:
    try:
        return bool(json.loads(manifest.read_bytes())["sha256"] == sha256)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False


_SAID = {"missing": "is missing", "changed": "changed after it was committed"}


def _wanted(lake: Lake, file: InputFile) -> Wanted:
    return Wanted(file.path.removeprefix(lake.full("")), file.sha256)


def _refuse(wrong: Sequence[str]) -> None:
    """ContractError where there is anything wrong."""
    if wrong:
        told = "\n".join([*wrong[:SHOWN], *([f"  … and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else [])])
        raise ContractError(
            f"{len(wrong)} of the files that a release reads are not what they were:\n{told}\n"
            "Nothing was built. Run `winnow verify --all`: it names the command that mends each."
        )


def write_inputs(
    files: Iterable[InputFile],
    out: Path,
    columns: Mapping[str, Mapping[str, str]],
    quarantined: Sequence[Mapping[str, str]] = (),
    scorers: Sequence[Mapping[str, object]] = (),
    parts: Sequence[Mapping[str, str]] = (),
) -> Path:
    """Write `<out>/inputs.parquet`, with a typed empty file for every stage of `columns` that has none; its path.
    Beside it `quarantined.parquet`: rows that gates set aside, by stage, batch and sample; `scorers.parquet`: how good
    fitted scorers are; and `parts.parquet`: which rows of which model are there already, by model and path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from winnow.core import table

    listed = sorted(files, key=lambda f: (f.stage, f.seq or 0, f.batch or "", f.shard or "", f.path))
    empty = out / "empty"
    empty.mkdir(parents=True, exist_ok=True)
    (empty / "none.json").write_text("{}")
    for stage in sorted(set(columns) - {f.stage for f in listed if not f.is_decided}):
        keyed = stage not in corpus_table.TABLES
        (empty / f"{stage}.parquet").write_bytes(table.empty(columns[stage], keyed=keyed))
        listed.append(InputFile(stage, str(empty / f"{stage}.parquet")))
    kinds = {"seq": pa.int64(), "is_decided": pa.bool_()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in _INPUT_FIELDS])
    path = out / "inputs.parquet"
    pq.write_table(
        pa.Table.from_pylist([{n: getattr(f, n) for n in _INPUT_FIELDS} for f in listed], schema=schema), path
    )
    aside = pa.schema([(name, pa.string()) for name in _QUARANTINED_FIELDS])
    pq.write_table(pa.Table.from_pylist([dict(row) for row in quarantined], schema=aside), out / "quarantined.parquet")
    there = pa.schema([("model", pa.string()), ("path", pa.string())])
    pq.write_table(pa.Table.from_pylist([dict(row) for row in parts], schema=there), out / "parts.parquet")
    kinds = {"model": pa.string(), "clips": pa.int64(), "groups": pa.int64(), "is_trusted": pa.bool_()}
    refit = {"kind": pa.string(), "number": pa.int64(), "clips": pa.int64(), "flipped": pa.int64()}
    kinds |= {"trusted_because": pa.string(), "refits": pa.list_(pa.struct(list(refit.items())))}
    quality = pa.schema([(name, kinds.get(name, pa.float64())) for name in FIELDS])
    pq.write_table(pa.Table.from_pylist([dict(row) for row in scorers], schema=quality), out / "scorers.parquet")
    return path


def head_files(lake: Lake, heads: Mapping[str, dict[str, Any]]) -> list[InputFile]:
    """Every file that the admitted batches stand on."""
    return [
        InputFile(
            stage,
            lake.full(f["path"]),
            head["batch"],
            head["seq"],
            at["v"],
            f["shard"],
            f["sha256"],
            *_beside(lake, f.get("places"), at.get("shards")),
        )
        for head in heads.values()
        for stage, at in head["stages"].items()
        for f in at["files"]
    ]


def _beside(lake: Lake, *files: Mapping[str, str] | None) -> list[str | None]:
    """Paths, then digests, of files beside a table; None for one that it has not."""
    return [lake.full(f["path"]) if f else None for f in files] + [f["sha256"] if f else None for f in files]


def derived_files(lake: Lake, heads: Mapping[str, dict[str, Any]]) -> list[InputFile]:
    """Pairs of near-duplicates, a file for each admitted batch; what is new is computed."""
    found = [
        InputFile("duplicate_pair", lake.full(found.key), found.batch, found.seq, sha256=found.sha256)
        for found in near_duplicates.pairs_of(lake, heads)
    ]
    return found if lake.is_local else _copies(lake, found)


def corpus_files(lake: Lake) -> list[InputFile]:
    """Every file of the corpus's tables that counts."""
    return [
        InputFile(name, lake.full(key))
        for name in sorted(corpus_table.TABLES)
        for key in corpus_table.files(lake, name)
    ]


def published_files(lake: Lake) -> list[InputFile]:
    """What the current release hands to the next one; [] before the first."""
    current = publish.current(lake)
    if current is None:
        return []
    files = {stage: publish.file(lake, current, f"tables/{name}.parquet") for stage, name in PUBLISHED_FILES.items()}
    return [InputFile(stage, str(path)) for stage, path in files.items() if path is not None]
