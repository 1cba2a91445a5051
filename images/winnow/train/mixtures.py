"""Mixtures of task `onscreen`: two sounds and the picture of the first.

Tried on are the rendered mixtures of `winnow mix`, whose first clip somebody labelled: all of its sound on the screen,
or none of it. Taught by are the clips that the release keeps in train: to each, the sound of a clip of another source
video is added, drawn anew each epoch by seed and id; no label is read. A picture is 16 places with seven numbers each
(colour, contrast, edges, movement), computed here: the built-in encoder `grid`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from winnow.core.errors import ContractError
from winnow.core.lake import Lake, digest
from winnow.core.shard import Lineage
from winnow.core.stage import stage_needs, stage_optional_needs
from winnow.media import flac_sound
from winnow.train import sets, sounds
from winnow.train.clip_store import Stacked, decoded
from winnow.train.config import TrainConfig
from winnow.train.loader import own
from winnow.train.prepare import Prepared
from winnow.train.shards import ClipFiles
from winnow.train.sizes import Sizes
from winnow.train.sounds import SoundExamples
from winnow.train.vectors import Joined
from winnow.train.windows import Window

ON, OFF = "onscreen_only", "offscreen_only"
SIDE, CELLS, NUMBERS = 32, 4, 7
ENCODERS = {"pictures": "grid"}
SOUNDS = ("clip1.flac", "clip2.flac")
_SPLITS = {"validate": "val", "val": "val", "test": "test"}


def grid(pictures: np.ndarray) -> np.ndarray:
    """Pictures uint8 (T, 32, 32, 3) → float32 (T, 16, 7): of each of 4 × 4 places mean red, green, blue, deviation of
    the grey, its mean change across and down, and since the picture before (the first: to the next one)."""
    colour = pictures.astype(np.float32) / 255
    grey = colour.mean(-1)
    across = np.abs(np.diff(grey, axis=2, append=grey[:, :, -1:]))
    down = np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    moved = np.abs(np.diff(grey, axis=0))
    moved = np.concatenate([moved[:1], moved]) if len(moved) else np.zeros_like(grey)

    def cells(values: np.ndarray) -> np.ndarray:
        size = SIDE // CELLS
        cut = values.reshape(len(values), CELLS, size, CELLS, size).swapaxes(2, 3)
        return cut.reshape(len(values), CELLS * CELLS, size * size)

    numbers = [*(cells(colour[..., k]).mean(-1) for k in range(3)), cells(grey).std(-1)]
    numbers += [10 * cells(values).mean(-1) for values in (across, down, moved)]
    return np.stack(numbers, -1).astype(np.float32)


@dataclass(frozen=True)
class Part:
    """A clip's own sound and places, or with `mixed` both sounds of a rendered mixture: sound (2, samples), pictures
    (T, 16, 7), from the clip's beginning on."""

    seconds: float
    per_s: float
    rate_hz: int
    mixed: bool

    @property
    def key(self) -> str:
        """Digest of what it decodes to."""
        return digest(["part", self.seconds, self.per_s, self.rate_hz, self.mixed, SIDE, CELLS, 1])

    @property
    def window(self) -> Window:
        """The clip's window; of a mixture its pictures alone."""
        return Window(self.seconds, self.per_s, SIDE, SIDE, 0 if self.mixed else self.rate_hz, place="start")

    def whole(self, files: Mapping[str, bytes]) -> dict[str, np.ndarray]:
        """Both arrays."""
        found = self.window.read(files, np.random.default_rng(0))
        waves = [flac_sound.sound(files[n], self.rate_hz) for n in SOUNDS] if self.mixed else [found["sound"]]
        sound = np.zeros((2, round(self.seconds * self.rate_hz)), np.float32)
        for k, wave in enumerate(waves):
            sound[k, : len(wave)] = wave[: sound.shape[1]]
        return {"sound": sound, "pictures": grid(found["pictures"])}

    def cut(self, whole: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Both arrays."""
        del rng
        return dict(whole)

    def read(self, files: Mapping[str, bytes], rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Both arrays."""
        return self.cut(self.whole(files), rng)


class Mixed:
    """Mixtures as a store is read: `take` as they lie there, `draw` with partners for the clips of train. sound
    (B, 2, samples), pictures (B, T, 16, 7)."""

    def __init__(self, found: SoundExamples, stores: Stacked, places: np.ndarray, config: TrainConfig) -> None:
        self.found, self.stores, self.places = found, stores, places
        self.partners = sounds.Partners(found.unlabelled())
        self.shown = sounds.deal(found, config.seed) if config.labels == "shuffled" else np.arange(len(found))
        self.card = {"stores": stores.card["parts"][:2], "encoders": ENCODERS}

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Mixtures as they are tried."""
        return self.stores.take(self.places[rows])

    def draw(self, rows: np.ndarray, seed: int, epoch: int) -> dict[str, np.ndarray]:
        """Clips of train with partners, as they teach in an epoch."""
        others = [self.partners.draw(row, own(seed, epoch, self.found.id[row])) for row in rows.tolist()]
        found = self.take(rows)
        found["sound"][:, 1] = self.take(np.array(others))["sound"][:, 0]
        if (self.shown[rows] != rows).any():
            found["pictures"] = self.take(self.shown[rows])["pictures"]
        return found


def prepare(lake: Lake, folder: Path, name: str, config: TrainConfig, *, test: bool, every: bool = False) -> Prepared:
    """Everything of a run; with `every` also clips that the release does not keep, as clips of train, and of a list
    whichever it names of train. ContractError where nothing is rendered or labelled, where a mixture is of one clip
    with itself, and where too much cannot be decoded."""
    taught = sounds.examples(sounds.clips(folder, ("train",), every=every or bool(config.clips)))
    if config.clips:
        taught = sets.listed(taught, Path(config.clips), ("train",))
    if not len(taught):
        raise ContractError(f"release {name} keeps no clip in train")
    batch = config.mixtures or f"mix-{name}"
    rendered, left = _rendered(lake, batch, ("val", "test") if test else ("val",))
    part = {"seconds": config.clip_s, "per_s": config.per_s, "rate_hz": config.rate_hz}
    read = {"names": ("sound", "pictures"), "most_failed": config.most_missing}
    files = ClipFiles.of_release(lake, name, ids=taught.id.tolist())
    parts, stores = [taught], [decoded(lake, files, Part(**part, mixed=False), **read)[0]]
    for split in sorted({str(row["split"]) for row in rendered}, reverse=True):  # val before test
        here = {str(row["id"]): row for row in rendered if row["split"] == split}
        found = sounds.examples(list(here.values()))
        rows = [here[one] for one in found.id.tolist()]
        sha256 = {"mp4": [row["sha256"] for row in rows], **{sound: [None] * len(rows) for sound in SOUNDS}}
        files = ClipFiles.of_tars(lake, found.id.tolist(), [str(row["tar"]) for row in rows], sha256)
        stores.append(decoded(lake, files, Part(**part, mixed=True), **read)[0])
        parts.append(found)
    every, stacked = sounds.joined(parts), Stacked(*stores)
    at = [store.rows_of(sets.ids(one)) for store, one in zip(stores, parts, strict=True)]
    places = np.concatenate([np.where(a < 0, -1, a + first) for a, first in zip(at, stacked.firsts, strict=False)])
    silent = np.array([place >= 0 and _silent(stacked, place) for place in places], bool)
    for why, which in (("undecodable", places < 0), ("silent", silent)):
        if which.any():
            left.setdefault(why, []).extend(every.id[which].tolist())
    every, places = every.take(~silent & (places >= 0)), places[~silent & (places >= 0)]
    train = every.of("train")
    if not len(train) or len(set(every.group[train].tolist())) < 2:
        raise ContractError(
            f"release {name} has sound in train of {min(len(train), 1)} source video: a mixture of a clip with itself "
            "teaches nothing, so publish more clips"
        )
    _labelled(every, batch)
    sizes = Sizes(
        round(config.clip_s * config.rate_hz),
        NUMBERS,
        CELLS * CELLS,
        Part(**part, mixed=True).window.pictures,
        0,
        narrow=config.narrow,
    )
    left = {why: sorted(ids) for why, ids in sorted(left.items())}
    rows = np.arange(len(every))
    return Prepared(name, folder, every, Joined(Mixed(every, stacked, places, config), rows, rows, left), sizes)


def _silent(stores: Stacked, place: int) -> bool:
    """Whether a sound that is there to be heard is silence: of a clip of train its own, of a mixture either."""
    sound = stores.take(np.array([place]))["sound"][0]
    return not (sound[:1] if place < stores.firsts[1] else sound).any(1).all()


def _rendered(lake: Lake, batch: str, splits: tuple[str, ...]) -> tuple[list[dict], dict[str, list[str]]]:
    """Rows of rendered mixtures of labelled clips, and ids of those that were not rendered, by reason."""
    import io

    import pyarrow.parquet as pq

    lineage = Lineage(lake, batch, stage_needs(), stage_optional_needs())
    rows: list[dict] = []
    left: dict[str, list[str]] = {}
    names = ("sample_id", "outcome", "reason", "split", "label", "clip1_sample_id", "clip2_sample_id", "media_sha256")
    for number in lineage.numbers("mix"):
        if (manifest := lineage.committed("mix", number)) is None:
            continue
        for row in pq.read_table(io.BytesIO(lake.read_table(manifest)), columns=list(names)).to_pylist():
            split = _SPLITS.get(row["split"])
            if split not in splits or row["label"] not in (ON, OFF):
                continue
            if row["clip1_sample_id"] == row["clip2_sample_id"]:
                raise ContractError(
                    f"batch {batch}: mixture {row['sample_id']} is of clip {row['clip1_sample_id']} with itself, and "
                    "nothing can take it apart: render a list without it"
                )
            if row["outcome"] != "ok":
                left.setdefault(row["reason"], []).append(row["sample_id"])
                continue
            rows.append(
                {
                    "id": row["sample_id"],
                    "clip": row["clip1_sample_id"],
                    "split": split,
                    "label": row["label"],
                    "group": row["clip1_sample_id"],
                    "tar": lake.tar_key(manifest),
                    "sha256": row["media_sha256"],
                }
            )
    return rows, left


def _labelled(every: SoundExamples, batch: str) -> None:
    there = set(every.label[every.of("val")].tolist())
    for label, what in ((OFF, "calibrated"), (ON, "scored")):
        if label not in there:
            raise ContractError(
                f"batch {batch} has no rendered mixture in val whose first clip is labelled {label}, so nothing can be "
                f"{what}: rate clips (`winnow annotate`), then `winnow release` and `winnow mix --render`"
            )
