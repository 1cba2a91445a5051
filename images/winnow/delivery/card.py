"""Card: what lies beside the clips of an export for people and for loaders: `README.md` (dataset card and datasheet,
with Hugging Face's `configs:`), `CITATION.cff`. Every figure comes from the release's tables; no clock is read but the
release's own.

The head of README.md names the files of each split and their types. Without it Hugging Face's loader guesses both: it
takes files by words in their names, and types from the first rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow import __version__
from winnow.delivery import formats
from winnow.delivery.rows import COLUMNS, quoted

if TYPE_CHECKING:
    import duckdb

    from winnow.delivery.options import Options

#: Splits in the order in which people name them; others after them.
ORDER = ("train", "val", "test")
_LABELS = 30


@dataclass(frozen=True)
class Facts:
    """What the card says: of the export by split and licence, of the release table by table."""

    release: str
    published_on: str | None
    options: Options
    splits: dict[str, dict[str, int]]
    licences: list[dict[str, Any]]
    labels: list[dict[str, Any]]
    files: Mapping[str, dict]
    tables: Mapping[str, list[dict[str, Any]]]

    @classmethod
    def read(cls, con: duckdb.DuckDBPyConnection, release: Path, options: Options, files: Mapping[str, dict]) -> Facts:
        """From the export's rows and the release's own reports; a report that the release does not have says
        nothing."""
        splits = {
            row.pop("split"): row
            for row in _rows(
                con,
                """
            SELECT split, count(*) AS clips, count(*) FILTER (has_file) AS with_file,
                count(*) FILTER (NOT has_file) AS references, count(*) FILTER (has_residual) AS residuals,
                count(DISTINCT video_id) AS videos,
                coalesce(sum(cast(round(duration_s * 1000) AS BIGINT)), 0)::BIGINT AS ms,
                coalesce(sum(media_bytes) FILTER (has_file), 0)::BIGINT AS media_bytes
            FROM rows GROUP BY split""",
            )
        }
        ordered = sorted(splits, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), str(name)))
        licences = _rows(
            con,
            """
            SELECT rows.rights AS licence, rows.may_share, min(address) AS address, count(*) AS clips,
                count(*) FILTER (has_file) AS with_file
            FROM rows JOIN rights ON rights.rights = rows.rights AND rights.may_share = rows.may_share
                AND rights.license IS NOT DISTINCT FROM rows.license
                AND rights.own = (coalesce(rows.url, '') LIKE 'inbox:%')
            GROUP BY ALL ORDER BY clips DESC, licence, rows.may_share""",
        )
        labels = _rows(
            con,
            f"""
            SELECT label, count(*) AS clips FROM
                (SELECT unnest(if(len(labels) > 0, list_distinct(labels), ['unlabelled'])) AS label FROM rows)
            GROUP BY label ORDER BY clips DESC, label LIMIT {_LABELS}""",
        )
        tables = {name: _table(con, release, name, query) for name, query in _REPORTS.items()}
        manifest = json.loads((release / "manifest.json").read_text(encoding="utf-8"))
        published_on = (manifest.get("published_at") or "")[:10] or None
        return cls(
            release.name,
            published_on,
            options,
            {name: splits[name] for name in ordered},
            licences,
            labels,
            files,
            tables,
        )

    @property
    def licence(self) -> str:
        """The export's licence as Hugging Face names it: the one of all its clips, else other."""
        if len(self.licences) == 1 and self.licences[0]["may_share"] and self.licences[0]["address"]:
            return str(self.licences[0]["licence"]).lower()
        return "other"


_REPORTS = {
    "rpt_statistics": "SELECT split, clips, videos, clip_hours, unique_hours FROM {} WHERE scope IN ('total', 'split')"
    " ORDER BY scope DESC, split",
    "rpt_funnel": 'SELECT step, unit, sum(items_in)::BIGINT AS "in", sum(passed)::BIGINT AS passed, sum(failed)::BIGINT'
    " AS failed, sum(dropped)::BIGINT AS dropped FROM {} GROUP BY position, step, unit ORDER BY position",
    "rpt_reasons": "SELECT reason, sum(items)::BIGINT AS clips, min(explanation) AS why FROM {}"
    " WHERE step = 'release' AND status = 'dropped' GROUP BY reason ORDER BY clips DESC, reason",
    "rpt_scorers": "SELECT scorer, model, auc, auc_low, auc_high, clips_measured FROM {} ORDER BY scorer, model",
}


def files(facts: Facts) -> dict[str, str]:
    """The texts by file name."""
    tables = (
        f"---\n{tables_head(facts)}---\n\nEvery clip of this export, those too that are references: a table a split.\n"
    )
    return {
        "README.md": f"---\n{head(facts)}---\n\n{body(facts)}",
        "tables/README.md": tables,
        "CITATION.cff": citation(facts),
    }


def citation(facts: Facts) -> str:
    """How to cite the release."""
    return (
        "cff-version: 1.2.0\nmessage: Cite this dataset by the id of its release.\ntype: dataset\n"
        f"title: Winnow release {facts.release}\nversion: {json.dumps(facts.release)}\n"
        + (f"date-released: {facts.published_on}\n" if facts.published_on else "")
        + "authors:\n  - name: the curators of this release\n"
    )


# -- for loaders -------------------------------------------------------------------------------------------------------
def head(facts: Facts) -> str:
    """The YAML that Hugging Face's loader reads: licence, files of each split, types, numbers of rows. One config: the
    loader reads all configs of a folder as the first one's kind of file."""
    with_file = {split: at for split, at in facts.splits.items() if at["with_file"]}
    lines = [f"license: {facts.licence}", f"pretty_name: Winnow release {facts.release}", "tags:", "- audio-visual"]
    lines += ["size_categories:", f"- {_size(sum(at['clips'] for at in facts.splits.values()))}"]
    if with_file:
        form = facts.options.format
        counts = {split: (at["with_file"], at["media_bytes"]) for split, at in with_file.items()}
        lines += _config("clips", {split: _paths(form, split) for split in with_file}, _features(form), counts)
    else:
        lines += _table_config(facts, "tables/")
    return "".join(f"{line}\n" for line in lines)


def tables_head(facts: Facts) -> str:
    """The same for the folder of tables, which holds every clip."""
    return "".join(f"{line}\n" for line in _table_config(facts, ""))


def _table_config(facts: Facts, at: str) -> Iterator[str]:
    counts = {split: (about["clips"], 0) for split, about in facts.splits.items()}
    return _config("table", {split: [f"{at}{split}.parquet"] for split in facts.splits}, list(_columns()), counts)


def _config(
    name: str, files: Mapping[str, Sequence[str]], features: Sequence[str], splits: Mapping[str, tuple[int, int]]
) -> Iterator[str]:
    yield from ("configs:", f"- config_name: {name}", "  data_files:")
    for split, paths in files.items():
        yield f"  - split: {split}"
        yield from [f"    path: {paths[0]}"] if len(paths) == 1 else ["    path:", *(f"    - {p}" for p in paths)]
    yield from ("dataset_info:", f"- config_name: {name}", "  features:")
    yield from (f"  {line}" for line in features)
    yield "  splits:"
    for split, (rows, size) in splits.items():
        yield from (f"  - name: {split}", f"    num_bytes: {size}", f"    num_examples: {rows}")


def _paths(form: str, split: str) -> list[str]:
    """Globs of a split's files: exact, since a pattern that takes more takes them for clips."""
    at = f"data/{split}/{split}-*"
    inside = [f"{at}/*.mp4", f"{at}/metadata.parquet"]
    return {"webdataset": [f"{at}.tar"], "parquet": [f"{at}.parquet"], "folder": inside}[form]


def _columns() -> Iterator[str]:
    for name, feature in formats.features().items():
        yield f"- name: {name}"
        yield f"  sequence: {feature['feature']['dtype']}" if "feature" in feature else f"  dtype: {feature['dtype']}"


def _features(form: str) -> list[str]:
    if form == "webdataset":
        inside = [f"  {line}" for line in _columns()]
        keys = [line for key in ("__key__", "__url__") for line in (f"- name: {key}", "  dtype: string")]
        # As audio the loader would ask for torchcodec before it loads a row.
        media = {name: [f"- name: {name}", f"  dtype: {kind}"] for name, kind in (("flac", "binary"), ("mp4", "video"))}
        return [*media["flac"], "- name: json", "  struct:", *inside, *media["mp4"], *keys]
    video = ["- name: video", "  dtype: video"]
    if form == "folder":
        return [*video, "- name: residual_path", "  dtype: string", *_columns()]
    return [*video, "- name: residual", "  dtype: audio", *_columns()]


def _size(clips: int) -> str:
    """Hugging Face's category of size."""
    steps = [(1000, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M")]
    return next((name for limit, name in steps if clips < limit), "10M<n<100M")


# -- for people --------------------------------------------------------------------------------------------------------
def body(facts: Facts) -> str:
    """The card's text."""
    options = facts.options
    parts = [
        f"# Winnow release {facts.release}",
        "Audio-visual clips of which a scorer says that what is heard matches what is seen, exported by Winnow "
        f"{__version__} as {options.format}. `index.json` lists every file with its SHA-256; `winnow verify .` reads "
        "them all.",
        _split_table(facts),
        _sharing(facts),
        "## Load it",
        _loading(facts),
        "## Datasheet",
        "### What it consists of",
        "One row a clip: a stretch of a source video with its sound. Times are seconds on the source's clock.",
        _markdown(["column", "what it is"], [[name, text] for name, (_, text) in COLUMNS.items()]),
        "Most frequent labels (a clip with two counts under both):",
        _markdown(["label", "clips"], [[row["label"], row["clips"]] for row in facts.labels]),
    ]
    tables = facts.tables
    if tables["rpt_statistics"]:
        parts += ["### The whole release", _dicts(tables["rpt_statistics"])]
    if tables["rpt_funnel"]:
        parts += ["### How it was collected and filtered", "What came in and went on, step by step:"]
        parts.append(_dicts(tables["rpt_funnel"]))
    if tables["rpt_reasons"]:
        parts += ["Clips that were dropped before release, by the first rule that they failed:"]
        parts.append(_dicts(tables["rpt_reasons"]))
    if tables["rpt_scorers"]:
        parts += [
            "### How good the scorers are",
            "AUC on pairs that they were not fitted on; 0.5 is chance.",
            _dicts(tables["rpt_scorers"]),
        ]
    parts += [
        "### What to mind",
        "- Clips with `flag` 1 have speech or music over what is seen: separate their sound, or take the residual "
        "(`flac`).\n"
        "- Splits keep a video, an uploader and near-duplicates together; do not split anew by clip.\n"
        "- Scores are of one scorer (`model`) and are not comparable with another's.\n"
        "- People may be seen and heard in clips; nothing here was made anonymous.\n"
        "- Labels and captions are those of the source lists, not checked one by one.",
    ]
    return "\n\n".join(parts) + "\n"


def _split_table(facts: Facts) -> str:
    rows = [
        [name, *(at[key] for key in ("clips", "with_file", "references", "residuals", "videos")), _hours(at["ms"])]
        for name, at in facts.splits.items()
    ]
    return _markdown(["split", "clips", "with their file", "as references", "residual sounds", "videos", "hours"], rows)


def _hours(ms: int) -> str:
    return f"{ms / 3_600_000:.3f}"


def _sharing(facts: Facts) -> str:
    rows = [
        [row["licence"], "yes" if row["may_share"] else "no", row["clips"], row["with_file"], row["address"] or ""]
        for row in facts.licences
    ]
    said = {
        "shareable": "Files come along where the clip's licence lets them be passed on; the others are references in "
        "`tables/` (`url`, `start_s`, `end_s`).",
        "all": "**Files of all clips come along, also of those whose licence does not let them be passed on "
        "(`may_share` is false): keep this copy where it is.**",
        "none": "All clips are references in `tables/` (`url`, `start_s`, `end_s`); no file comes along.",
    }[facts.options.media]
    about = "The licence is each clip's own (`license`, `rights`); what a list named none for may not be passed on."
    table = _markdown(["licence", "may be passed on", "clips", "files here", "text"], rows)
    return f"## Licences\n\n{about} {said}\n\n{table}"


def _loading(facts: Facts) -> str:
    first = next(iter(facts.splits))
    shards = sorted(key for key in facts.files if key.startswith(f"data/{first}/") and key.endswith(".tar"))
    lines = [
        "from datasets import load_dataset",
        f'load_dataset("tables", split="{first}")              # every clip, without media',
    ]
    if any(at["with_file"] for at in facts.splits.values()):
        lines.append(f'load_dataset(".", split="{first}")                   # with media')
    if shards:
        names = f"{first}-{{00000..{len(shards) - 1:05d}}}.tar"
        lines += [
            "import webdataset as wds",
            f'wds.WebDataset("data/{first}/{names}", shardshuffle=False)  # order shards anew each epoch yourself',
        ]
    lines += ["import duckdb", "duckdb.sql(\"select split, count(*) from 'tables/*.parquet' group by all\")"]
    return "```python\n" + "\n".join(lines) + "\n```"


def _dicts(found: Sequence[Mapping[str, Any]]) -> str:
    return _markdown(list(found[0]), [list(row.values()) for row in found])


def _markdown(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *("| " + " | ".join(map(_cell, row)) + " |" for row in rows)])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = "" if value is None else " ".join(str(value).split())
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    found = con.execute(query)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _table(con: duckdb.DuckDBPyConnection, release: Path, name: str, query: str) -> list[dict[str, Any]]:
    path = release / "tables" / f"{name}.parquet"
    return _rows(con, query.format(f"read_parquet({quoted(path)})")) if path.is_file() else []
