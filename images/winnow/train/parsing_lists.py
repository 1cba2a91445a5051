"""Given lists of task parse: LLP's files as they are published, in one folder, instead of a release's own labels.

    AVVP_train.csv, AVVP_val_pd.csv, AVVP_test_pd.csv    filename, event_labels; the file's name says the split
    AVVP_eval_audio.csv, AVVP_eval_visual.csv            filename, onset, offset, event_labels; heard, and seen

They say which clip is in which split and what is in it; the release says which clips there are, and whose group each
is of. Clips are told by video, start and end (fractions too), never by video alone. A list without a split
in its name (AVVP_dataset_full.csv) is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from winnow.annotations.avel_splits import SPLITS, split_of
from winnow.annotations.segments import covered
from winnow.core.errors import ContractError
from winnow.sources import llp, youtube_clips
from winnow.train import sets
from winnow.train.pairs import TABLE
from winnow.train.sets import Examples

_SIDES = {"audio": "audible", "visual": "visible"}
_EVENTS = "AVVP_eval_audio.csv and AVVP_eval_visual.csv"


def read(folder: Path, lists: Path, *, leaks: bool = False, test: bool = True) -> Examples:
    """The lists' clips that the release keeps; `left_out` has the names of those that it lacks (`not_in_release`), of
    those with events that no list puts into a split (`no_split`), and the lines that cannot be used (`bad_line`).
    ContractError for a folder without lists, and for what `sets.read` stops at."""
    said = _Lists(lists)
    kept = _kept(folder)
    rows: list[dict] = []
    lacking: list[str] = []
    for (sample_id, split), name in said.splits.items():
        if sample_id not in kept:
            lacking.append(name)
            continue
        about: dict[str, object] = {"sample_id": sample_id, "clip": name, "split": split, **kept[sample_id]}
        tracks: Mapping[str, Mapping] = {side: said.events[side].get(sample_id, {}) for side in _SIDES.values()}
        named = (
            said.labels[sample_id, split].union(*tracks.values()) if split != "train" else said.labels[sample_id, split]
        )
        for category in sorted(named):
            seconds: dict[str, object] = {side: covered(found.get(category, [])) for side, found in tracks.items()}
            rows.append({**about, "category": category, **(seconds if split != "train" else dict.fromkeys(seconds))})
    if not rows:
        raise ContractError(
            f"{lists}: release {folder.name} keeps none of its {len(lacking)} clips; the first is {lacking[0]}"
        )
    placed = {sample_id for sample_id, _ in said.splits}
    out = {
        "bad_line": said.problems,
        "no_split": sorted({n for k, n in said.names.items() if k not in placed}),
        "not_in_release": sorted(set(lacking)),
    }
    rows.sort(key=lambda row: (row["sample_id"], row["category"]))
    return replace(sets.parsed(lists, rows, leaks, test), left_out={why: found for why, found in out.items() if found})


def _kept(folder: Path) -> dict[str, dict[str, str | None]]:
    """Video and group of each clip that a release keeps."""
    import pyarrow.parquet as pq

    path = folder / "tables" / f"{TABLE}.parquet"
    if not path.is_file():
        raise ContractError(f"{path} is not there: this release does not say which clips it keeps")
    table = pq.read_table(path, columns=["sample_id", "status", "video_id", "group_id"]).to_pylist()
    return {
        r["sample_id"]: {"video_id": r["video_id"], "group_id": r["group_id"]} for r in table if r["status"] == "kept"
    }


class _Lists:
    """What a folder's files say. splits: (clip's id, split) → its name; labels: (clip's id, split) → categories;
    events: side → clip's id → category → times (s); names: clips with events; problems: lines that cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.splits: dict[tuple[str, str], str] = {}
        self.labels: dict[tuple[str, str], set[str]] = {}
        self.events: dict[str, dict[str, dict[str, list[tuple[float, float]]]]] = {s: {} for s in _SIDES.values()}
        self.names: dict[str, str] = {}
        self.problems: list[str] = []
        if not folder.is_dir():
            raise ContractError(
                f"--set lists={folder}: a folder with LLP's lists is wanted: AVVP_train.csv, {_EVENTS} …"
            )
        sides = set()
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in llp.EXTENSIONS and llp.looks_like(path, _head(path)):
                sides |= self._take(path)
        there = {split for _, split in self.splits}
        if missing := [split for split in SPLITS if split not in there]:
            raise ContractError(
                f"{folder} has no list of LLP for {missing[0]}: AVVP_train.csv, AVVP_val_pd.csv and AVVP_test_pd.csv "
                "are wanted"
            )
        if sides != set(_SIDES.values()):
            raise ContractError(
                f"{folder} does not say when events of val and test are heard and seen: {_EVENTS} are wanted"
            )

    def _take(self, path: Path) -> set[str]:
        """Read a file; which side its events are of."""
        split, side = split_of(path.name), next((s for word, s in _SIDES.items() if word in path.name.lower()), None)
        for number, line, problem in llp.lines(path):
            if line is None:
                self.problems.append(f"{path.name}, {problem}")
                continue
            sample_id = youtube_clips.sample_id(line.video, line.start_s, line.end_s, short_ids=True)
            name = f"{line.video}_{line.start_s:g}_{line.end_s:g}"
            if split is not None:
                self.splits[sample_id, split] = name
                self.labels.setdefault((sample_id, split), set()).update(line.labels)
            if line.onset_s is None or line.offset_s is None:
                continue
            if side is None:
                raise ContractError(
                    f"{path}, line {number}: is the event of clip {name} heard or seen? Name the file audio or visual"
                )
            self.names[sample_id] = name
            by_category = self.events[side].setdefault(sample_id, {})
            for label in line.labels:
                by_category.setdefault(label, []).append((line.onset_s, line.offset_s))
        return {side} if side is not None else set()


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(4096).decode("utf-8-sig", "replace")
