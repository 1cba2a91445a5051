"""Tasks: clips that nobody has annotated yet, for people who work in a labelling tool rather than in the explorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from winnow.annotations import label_studio
from winnow.annotations.segments import SEGMENTS
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.explorer.context import ExplorerContext
from winnow.explorer.published import Published

#: Who proposes that there is nothing, where nothing was proposed.
NOBODY = "proposal:none"


def export(
    lake: Lake, settings: Settings, out: Path, *, media: str, limit: int | None = None, clips: bool = True
) -> dict[str, object]:
    """Write `out`/tasks.json, interface.xml and, unless `clips` is False, clips/<sample_id>.mp4, for the clips that the
    explorer asks about and nobody has answered, in the order of their ids. Returns counts: tasks, with a proposal,
    files. ConfigError before the first release."""
    context = ExplorerContext(lake, settings)
    published = context.releases.current()
    context.labels.refresh()
    rows: list[Mapping[str, Any]] = []
    for sample_id in published.to_annotate.ids:
        if context.labels.of_clip(sample_id):
            continue
        about = context.clip(published, sample_id)
        rows.append(context.labels.proposals.get(sample_id) or _empty(sample_id, about["label"]))
        if len(rows) == limit:
            break
    out.mkdir(parents=True, exist_ok=True)
    made = label_studio.write(out / "tasks.json", rows, lambda row: f"{media}{row['sample_id']}.mp4")
    (out / "interface.xml").write_text(label_studio.CONFIG, encoding="utf-8")
    written = write_files(context, published, rows, out / "clips") if clips else 0
    proposed = sum(1 for row in rows if row["annotator_id"] != NOBODY)
    return {"tasks": made, "proposed": proposed, "clips": written, "out": str(out)}


def _empty(sample_id: str, category: str) -> dict[str, object]:
    row = dict.fromkeys(("video_id", "video", "start_s", "end_s", "created_at", "audible", "visible"))
    return {
        **row,
        "sample_id": sample_id,
        "family": "avel",
        "category": category,
        "annotator_id": NOBODY,
        "labels": [0] * SEGMENTS,
        "source": "proposal",
    }


def write_files(
    context: ExplorerContext,
    published: Published,
    rows: Sequence[Mapping[str, Any]],
    folder: Path,
    *,
    residuals: bool = False,
) -> int:
    """Write the clips' files as <sample_id>.mp4, with `residuals` those of recycled clips with the sound that they were
    kept or dropped for; one whose tar is gone is left out. Returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for row in rows:
        clip = context.clip(published, row["sample_id"])
        data = context.media.read(clip["tar"], row["sample_id"])
        if data is not None and residuals and clip.get("is_recycled"):
            from winnow.media.remux import dubbed

            sound = context.media.read(clip["residual_tar"] or "", row["sample_id"], "flac")
            data = None if sound is None else dubbed(data, sound, clip["residual_start_s"] or 0.0)
        if data is not None:
            (folder / f"{row['sample_id']}.mp4").write_bytes(data)
            written += 1
    return written
