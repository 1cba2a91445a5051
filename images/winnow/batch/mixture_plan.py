"""Mixtures: a release's mixtures of mixtures cut into numbered shards, the units of commit and resume of stage `mix`.

dbt says which clips go together (`audioscope_mixtures`); here each row learns where its two clips' files lie, as far as
they were cut. A batch begins with this table as others begin with `ingest`, and belongs to one release: its key is
`mix-<release>` unless another is given, to which a later release's mixtures are then appended.

Shard 0 holds the mixtures that cannot be rendered, each with its reason; the others are cut append-only: a mixture
keeps the shard it was first given, and new ones open new shards. Mixtures of one clip 1 stay together, so a shard reads
few tars for its pictures.
"""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow.core.errors import ConfigError, ContractError
from winnow.core.fingerprint import code_digest
from winnow.core.lake import Lake, digest, sha256_file
from winnow.core.planned_table import MIXTURES
from winnow.core.sample import Reason, check_batch
from winnow.release import publish

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = "audioscope_mixtures"
SHARD_SIZE = 64
#: What is read of the release, and nothing else of it matters.
_READ = {
    f"tables/{TABLE}.parquet": (
        "mixture_id",
        "list_version",
        "split",
        "label",
        "clip1_sample_id",
        "clip1_output_offset_s",
        "clip2_sample_id",
        "clip2_output_offset_s",
    ),
    "tables/fct_clips.parquet": ("sample_id", "media_sha256"),
    "ops/fct_clip_files.parquet": ("sample_id", "tar"),
}


def cut(
    lake: Lake, release: str | None = None, batch: str | None = None, shard_size: int = SHARD_SIZE
) -> dict[str, Any]:
    """Cut the mixtures of a release (the current one by default) into shards; returns counts, `shards` among them.

    ConfigError without a release or for one that has no mixtures' table, ContractError for a table that lacks what is
    read here. Shards that hold the same rows as before stay.
    """
    if shard_size < 1:
        raise ConfigError(f"--shard-size {shard_size}: a shard holds at least one mixture")
    folder = publish.folder(lake, release, tuple(_READ))
    batch = check_batch(batch or f"mix-{folder.name}")
    if any(lake.head(stage, batch) for stage in ("ingest", "plan")):
        raise ConfigError(
            f"batch {batch} holds candidates: mixtures need a batch of their own, as in mix-{folder.name}"
        )
    since = lake.head_pointer("mixtures", batch)
    inputs = {name: sha256_file(_there(folder, name)) for name in _READ}
    code = code_digest(__name__)
    made_from = digest([inputs, shard_size, code, MIXTURES.columns])
    if (known := MIXTURES.unchanged(lake, batch, made_from)) is not None:
        return {**known, "batch": batch, "computed": False}
    rows = _rows(folder)
    shards = _assign(lake, batch, lake.head("mixtures", batch), rows, shard_size)
    committed = [
        MIXTURES.commit_rows(
            lake, batch, number, shards[number], inputs=inputs, code=code, params={"shard_size": shard_size}
        )
        for number in sorted(shards)
    ]
    reasons = sum((Counter(m.reasons) for m in committed), Counter())
    counts = {
        "release": folder.name,
        "shards": len(committed),
        "rows": len(rows),
        "ok": sum(m.ok for m in committed),
        "failed": sum(m.failed for m in committed),
        "reasons": dict(sorted(reasons.items())),
    }
    names = [m.shard for m in committed]
    MIXTURES.set_head(lake, batch, MIXTURES.fingerprint(code), names, made_from, counts, since)
    return {**counts, "batch": batch, "computed": True}


def _there(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise ConfigError(
            f"release {folder.name} has no {Path(name).stem}: it was built before mixtures were; run `winnow release`"
        )
    return path


def _rows(folder: Path) -> list[dict[str, object]]:
    """The release's mixtures, each with where its clips lie or why it cannot be rendered; ordered by clip 1."""
    mixtures = _table(folder, f"tables/{TABLE}.parquet").to_pylist()
    wanted = sorted({str(row[f"clip{i}_sample_id"]) for row in mixtures for i in (1, 2)})
    tars, digests = (
        dict(zip(found["sample_id"].to_pylist(), found[column].to_pylist(), strict=True))
        for found, column in (
            (_table(folder, "ops/fct_clip_files.parquet", wanted), "tar"),
            (_table(folder, "tables/fct_clips.parquet", wanted), "media_sha256"),
        )
    )
    rows = []
    for row in mixtures:
        missing = []
        placed: dict[str, object] = {}
        for i in (1, 2):
            clip = str(row[f"clip{i}_sample_id"])
            place, sha256 = tars.get(clip), digests.get(clip)
            placed |= {f"clip{i}_tar": place, f"clip{i}_sha256": sha256}
            if place is None or sha256 is None:
                missing.append(f"clip {i} ({clip})")
        failed: dict[str, str | None] = {
            "outcome": "failed",
            "reason": Reason.missing_file.value,
            "detail": f"{' and '.join(missing)} not in the lake: not fetched, or not cut",
        }
        offsets = [float(row[f"clip{i}_output_offset_s"] or 0.0) for i in (1, 2)]
        rows.append(
            {
                "sample_id": row["mixture_id"],
                **(failed if missing else {"outcome": "ok", "reason": None, "detail": None}),
                "release": folder.name,
                **{name: row[name] for name in ("list_version", "split", "label")},
                **{name: row[name] for name in ("clip1_sample_id", "clip2_sample_id")},
                **placed,
                "clip2_shift_s": round(offsets[1] - offsets[0], 6),
            }
        )
    return sorted(rows, key=lambda r: (str(r["clip1_tar"]), str(r["clip1_sample_id"]), str(r["sample_id"])))


def _table(folder: Path, name: str, ids: list[str] | None = None) -> pa.Table:
    """The columns that are read of one of the release's tables, of these samples alone where they are given."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if lost := sorted(set(_READ[name]) - set(pq.read_schema(folder / name).names)):
        raise ContractError(f"release {folder.name}: {name} has no {', '.join(lost)}, which mixing reads")
    filters = None if ids is None else pa.compute.is_in(pa.compute.field("sample_id"), pa.array(ids, pa.string()))
    return pq.read_table(folder / name, columns=list(_READ[name]), filters=filters)


def _assign(
    lake: Lake, batch: str, before: dict[str, Any] | None, rows: list[dict[str, Any]], size: int
) -> dict[int, list[dict[str, Any]]]:
    """Rows by shard number: failed ones in 0, known ones where they were, the rest in new shards."""
    import pyarrow.parquet as pq

    home: dict[str, int] = {}
    before = before or {}
    for name in before.get("shards", []):
        manifest = lake.manifest("mixtures", before["v"], batch, name)
        if manifest is not None and manifest.number:
            ids = pq.read_table(io.BytesIO(lake.read_table(manifest)), columns=["sample_id"])["sample_id"]
            home |= dict.fromkeys(ids.to_pylist(), manifest.number)
    shards: dict[int, list[dict[str, Any]]] = {0: []}
    number, room = max(home.values(), default=0), 0
    for row in rows:
        if row["outcome"] != "ok":
            shards[0].append(row)
        elif row["sample_id"] in home:
            shards.setdefault(home[row["sample_id"]], []).append(row)
        else:
            if room <= 0:
                number, room = number + 1, size
            shards.setdefault(number, []).append(row)
            room -= 1
    return shards
