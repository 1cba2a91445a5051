"""Clips as a run's input: windows out of the shards of a release, where other tasks read vectors.

It stands in the place of a store (`winnow.train.loader.Vectors`): ids, rows, and what a step reads. While a model
learns, a window is drawn in each clip, its sound under its pictures by time stamps; when it is tried, the middle one
counts, or several with several cuts of their pictures. A clip that cannot be decoded is left out of its batch and
counted; of those that a model is tried on, it stops the trial: a figure is of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from winnow.core.errors import ContractError
from winnow.core.lake import Lake, digest
from winnow.core.sample import SampleFailed
from winnow.train.shards import ClipFiles, ClipLoader, Window
from winnow.train.vectors import Joined

if TYPE_CHECKING:
    import pyarrow as pa

FILES = "fct_clip_files"
#: Whose sound a clip has in the control.
OTHER = "other"


@dataclass(frozen=True)
class Cut:
    """A decoder of windows: pictures and sound, nothing else; sound of another clip where there is one (OTHER)."""

    window: Window

    @property
    def key(self) -> str:
        """Digest of what a whole clip is decoded to."""
        return digest([self.window.key, "cut"])

    def read(self, files: Mapping[str, bytes], rng: np.random.Generator) -> dict[str, np.ndarray]:
        """A step's arrays straight from the files."""
        found = self.window.read({"mp4": files["mp4"]}, rng)
        if OTHER in files:
            found["sound"] = self.window.read({"mp4": files[OTHER]}, rng)["sound"]
        return {name: found[name] for name in ("pictures", "sound")}

    def whole(self, files: Mapping[str, bytes]) -> dict[str, np.ndarray]:
        """What a cache keeps of a clip."""
        found = dict(self.window.whole({"mp4": files["mp4"]}))
        if OTHER in files:
            other = self.window.whole({"mp4": files[OTHER]})
            found |= {f"{OTHER}_{name}": values for name, values in other.items()}
        return found

    def cut(self, whole: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
        """A step's arrays out of what a cache keeps."""
        found = self.window.cut(whole, rng)
        if f"{OTHER}_sound" in whole:
            other = {name: whole[f"{OTHER}_{name}"] for name in ("length_s", "pictures", "sound")}
            found["sound"] = self.window.cut(other, rng)["sound"]
        return {name: found[name] for name in ("pictures", "sound")}


@dataclass(frozen=True)
class Clips:
    """Clips of a release: `files`, in the order of `ids`, and the windows that are cut out of them. times, places: how
    many windows of a clip, and cuts of its pictures, an answer is the sum over."""

    files: ClipFiles
    window: Window
    times: int = 1
    places: int = 1
    cache: str | None = None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def ids(self) -> pa.Array:
        """Ids of the rows."""
        import pyarrow as pa

        return pa.array(self.files.ids.tolist(), pa.string())

    @property
    def card(self) -> dict[str, object]:
        """What a run's identity says of it."""
        return {"clips": self.files.digest(), "window": self.window.key, "times": self.times, "places": self.places}

    def dealt(self, rows: np.ndarray, seed: int) -> Clips:
        """The control: each of these rows has the sound of another of them."""
        other = np.arange(len(self.files))
        mixed = np.random.default_rng([seed, 1]).permutation(rows)
        other[mixed] = np.roll(mixed, 1)
        files = self.files
        places = {**files.places, OTHER: files.places["mp4"][other]}
        sha256 = {**files.sha256, OTHER: files.sha256["mp4"][other]}
        return replace(self, files=ClipFiles(files.lake, files.ids, files.tars, places, sha256))

    def loader(self, rows: np.ndarray, *, size: int, seed: int, epochs: int) -> ClipLoader:
        """Batches of windows of these rows."""
        return ClipLoader(
            self.files.take(rows),
            Cut(self.window),
            size=size,
            seed=seed,
            epochs=epochs,
            cache=Path(self.cache) if self.cache else None,
        )

    def views(self, rows: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        """What is answered for these rows, one input a view; every clip is decoded once."""
        whole = [self._whole(int(row)) for row in rows]
        for time in range(self.times):
            cut = []
            for one in whole:
                last = self.window.starts(float(one["length_s"])) - 1
                start = (
                    round(last * (time + 0.5) / self.times)
                    if self.times == 1
                    else round(last * time / (self.times - 1))
                )
                cut.append(self.window.at(one, start))
            found = {name: np.stack([one[name] for one in cut]) for name in ("pictures", "sound")}
            for place in np.linspace(-1, 1, self.places) if self.places > 1 else [0.0]:
                yield {**found, "place": np.array(place)}

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The first view."""
        return next(self.views(rows))

    def _whole(self, row: int) -> dict[str, np.ndarray]:
        try:
            return self.window.whole({"mp4": self.files.read(row)["mp4"]})
        except SampleFailed as failure:
            raise ContractError(
                f"clip {self.files.ids[row]} cannot be decoded ({failure.reason.value}: {failure.detail}), and a model "
                "is tried on all clips of its split: take it out of the release"
            ) from failure


def joined(
    lake: Lake,
    folder: Path,
    ids: Sequence[str],
    window: Window,
    most_missing: float,
    *,
    times: int = 1,
    places: int = 1,
    cache: str | None = None,
) -> Joined:
    """The files of these clips (one an example). ContractError when more than `most_missing` have none."""
    import pyarrow.parquet as pq

    path = folder / "ops" / f"{FILES}.parquet"
    if not path.is_file():
        raise ContractError(f"{path} is not there: this release lists no clips' files, and this model decodes clips")
    there = set(pq.read_table(path, columns=["sample_id"])["sample_id"].to_pylist())
    lacking = [name for name in ids if name not in there]
    if len(lacking) > most_missing * len(ids):
        raise ContractError(
            f"{len(lacking)} of {len(ids)} clips have no file, more than {most_missing:.0%} (--set most_missing=…); "
            f"the first is clip {lacking[0]}: cut its batch, then `winnow release`"
        )
    kept = np.flatnonzero([name in there for name in ids])
    if not len(kept):
        raise ContractError(f"no clip is left to train on: missing {len(lacking)}")
    files = ClipFiles.of_release(lake, folder.name, ids=[ids[k] for k in kept.tolist()])
    found = Clips(files, window, times, places, cache)
    return Joined(found, np.arange(len(kept)), kept, {"missing": sorted(lacking)} if lacking else {})
