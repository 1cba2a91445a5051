"""The loader of shards: batches of decoded pictures and sound, out of the tars of a lake or of an export, on a disk or
in a bucket.

    clips = ClipFiles.of_release(lake, splits=["train"])           # or .of_export("s3://bucket/clips", ["train"])
    loader = ClipLoader(clips, Window(seconds=2, per_s=4, width=64, height=64), size=64, seed=0, epochs=10)
    for batch in loader.steps(start=0):                 # step k of a killed run is step k of one that was not
        batch.ids, batch.inputs["pictures"], batch.inputs["sound"]

The order of an epoch is a permutation of all clips, whatever shards they lie in, that follows from seed and epoch
alone; what is drawn for a clip (where its window begins) follows from seed, epoch and the clip's id. So neither workers
nor ranks change a batch, and each clip comes exactly once an epoch. Clips are joined by id: `batch.rows` are rows of
the ClipFiles that the loader was given.

A clip that cannot be decoded is left out of its batch, counted and listed (`failed`), and never replaced by zeros; more
of them than `most_failed` stop the run. Workers are threads, as the decoders release Python's lock; what is read ahead
is bounded in batches. `cache` keeps what whole clips are decoded to, for epochs after the first.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from winnow.core import own_fault
from winnow.core.errors import ContractError
from winnow.core.lake import digest
from winnow.core.sample import SampleFailed
from winnow.train.clip_files import ClipFiles
from winnow.train.loader import AHEAD, batches, own, wanted
from winnow.train.windows import Window

__all__ = ["ClipBatch", "ClipFiles", "ClipLoader", "Decoder", "Window"]

Arrays = dict[str, np.ndarray]


class Decoder(Protocol):
    """What makes arrays of a clip's files, of one shape for all clips; Window is one. `read` gives what `cut` would of
    `whole`, and may decode less. SampleFailed for a clip that cannot be decoded."""

    @property
    def key(self) -> str:
        """Digest of what `whole` depends on beside the files."""
        ...

    def read(self, files: Mapping[str, bytes], rng: np.random.Generator) -> Arrays:
        """A step's arrays straight from the files."""
        ...

    def whole(self, files: Mapping[str, bytes]) -> Arrays:
        """What a cache keeps of a clip."""
        ...

    def cut(self, whole: Mapping[str, np.ndarray], rng: np.random.Generator) -> Arrays:
        """A step's arrays out of what a cache keeps."""
        ...


@dataclass(frozen=True)
class ClipBatch:
    """A step's input: rows of the ClipFiles, their ids, and arrays by name with the batch first. Clips that could not
    be decoded are not among them, so a batch may be smaller than asked for, or empty."""

    step: int
    epoch: int
    rows: np.ndarray
    ids: tuple[str, ...]
    inputs: Mapping[str, np.ndarray]


class ClipLoader:
    """Batches of all epochs from a step on. `failed`: id → why it could not be decoded, of the batches given so far;
    `waited_s` grows by the time in which the caller waited for data."""

    def __init__(  # noqa: PLR0913 (a loader's settings, by name)
        self,
        clips: ClipFiles,
        decoder: Decoder,
        *,
        size: int,
        seed: int,
        epochs: int,
        workers: int | None = None,
        rank: int = 0,
        ranks: int = 1,
        ahead: int = AHEAD,
        most_failed: float = 0.01,
        cache: Path | None = None,
    ) -> None:
        self.clips, self.decoder, self.size, self.seed, self.epochs = clips, decoder, size, seed, epochs
        self.workers, self.rank, self.ranks, self.ahead = workers or os.cpu_count() or 1, rank, ranks, max(1, ahead)
        self.most_failed = most_failed
        self.cache = None if cache is None else Path(cache) / decoder.key
        self.failed: dict[str, str] = {}
        self.waited_s = 0.0
        self.per_epoch = len(self._listed(0))
        if not self.per_epoch:
            raise ContractError(f"{len(clips)} clips in batches of {size} are none for rank {rank} of {ranks}")

    def _listed(self, epoch: int) -> list[np.ndarray]:
        return batches(len(self.clips), self.size, self.seed, epoch, rank=self.rank, ranks=self.ranks)

    def __len__(self) -> int:
        return self.per_epoch * self.epochs

    def steps(self, start: int = 0) -> Iterator[ClipBatch]:
        """Batches from step `start` on. ContractError when too many clips cannot be decoded, or a file is not the one
        that was released."""
        coming: deque[tuple[int, int, np.ndarray, list[Future]]] = deque()
        coming_up = wanted(start, self.per_epoch, self.epochs, self._listed)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="clips") as pool:

            def submit() -> None:
                if (found := next(coming_up, None)) is not None:
                    step, epoch, rows = found
                    coming.append((step, epoch, rows, [pool.submit(self._one, int(row), epoch) for row in rows]))

            try:
                for _ in range(self.ahead):
                    submit()
                while coming:
                    began = time.perf_counter()
                    step, epoch, rows, futures = coming.popleft()
                    submit()
                    found = [future.result() for future in futures]
                    batch = self._batch(step, epoch, rows, found)
                    self.waited_s += time.perf_counter() - began
                    del futures, found
                    yield batch
            finally:
                for *_, futures in coming:
                    for future in futures:
                        future.cancel()

    def _batch(self, step: int, epoch: int, rows: np.ndarray, found: list[Arrays | str]) -> ClipBatch:
        for row, one in zip(rows, found, strict=True):
            if isinstance(one, str):
                self.failed.setdefault(str(self.clips.ids[row]), one)
        if len(self.failed) > self.most_failed * len(self.clips):
            clip, why = next(iter(self.failed.items()))
            raise ContractError(
                f"{len(self.failed)} of {len(self.clips)} clips cannot be decoded, more than {self.most_failed:.0%}; "
                f"the first is clip {clip}: {why}"
            )
        kept = rows[[not isinstance(one, str) for one in found]]
        there = [one for one in found if not isinstance(one, str)]
        inputs = {name: np.stack([one[name] for one in there]) for name in (there[0] if there else ())}
        return ClipBatch(step, epoch, kept, tuple(str(clip) for clip in self.clips.ids[kept]), inputs)

    def _one(self, row: int, epoch: int) -> Arrays | str:
        """A clip's arrays, or why there are none."""
        clip = str(self.clips.ids[row])
        rng = own(self.seed, epoch, clip)
        try:
            if self.cache is None:
                return self.decoder.read(self.clips.read(row), rng)
            return self.decoder.cut(self._kept(row, clip), rng)
        except SampleFailed as failure:
            return f"{failure.reason.value}: {failure.detail}"
        except Exception as error:
            found = own_fault.internal_error(error)
            return f"{found.reason.value}: {found.detail}"

    def _kept(self, row: int, clip: str) -> Mapping[str, np.ndarray]:
        """A whole clip's arrays, mapped from the cache; decoded and put there where they are not."""
        name = f"{clip}-{digest([str(said[row]) for said in self.clips.sha256.values()])}"
        assert self.cache is not None
        folder = self.cache / clip[:2] / name
        if not folder.is_dir():
            whole = self.decoder.whole(self.clips.read(row))
            scratch = folder.with_name(f".{name}.{os.getpid()}-{threading.get_ident()}")
            scratch.mkdir(parents=True, exist_ok=True)
            try:
                for key, array in whole.items():
                    np.save(scratch / f"{key}.npy", array)
                os.rename(scratch, folder)
            except OSError:
                if not folder.is_dir():
                    raise
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        return {
            path.stem: np.load(path, mmap_mode="r" if path.stat().st_size > 4096 else None)
            for path in sorted(folder.glob("*.npy"))
        }
