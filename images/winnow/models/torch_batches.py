"""Clips through a torch model: decoding and the forward pass at the same time, on a CPU or a GPU by the same code.

A few threads decode clips ahead (PyAV and swscale release Python's lock) while this one runs the model. What the model
takes at a time differs, and that is all:

- On a CPU a batch never holds rows of two clips, runs on one thread and is at most `CPU_ROWS` long: matrix products
  change in their last bits with the number of rows, so only this makes a clip's bytes independent of its neighbours,
  of the shard's size, of retries and of any setting.
- A GPU is fed full batches of `WINNOW_MODEL_BATCH` rows across clips, the last one padded, so that every product has
  the same shape. Other batch sizes, GPUs and library versions give values within `GPU_TOLERANCE` of the CPU's.

Hence neither device nor batch size is in a stage's digest; precision is (it changes values by more than that), as a
parameter. The device that was used stands in the manifest.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch

from winnow.core.errors import ConfigError
from winnow.core.sample import Outcome, Reason, SampleFailed

if TYPE_CHECKING:
    from winnow.core.stage import Batch, Resources, Sample

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CPU_ROWS = 16
#: Largest difference, relative to a layer's largest value, between fp32 on a GPU and on a CPU; half precision adds its
#: own rounding (2^-8 for bf16, 2^-11 for fp16) at every operation.
GPU_TOLERANCE = 1e-3

#: A clip's input: rows of equal shape (pictures, windows of sound), and what else `finish` wants of the file.
Rows: TypeAlias = "np.ndarray | Decoded"
Decode = Callable[[bytes], Rows]
#: A batch of rows to a table of values: (n, …) → float32 (n, values), on the model's device.
Encode = Callable[[torch.Tensor], torch.Tensor]


def choose_device(name: str) -> torch.device:
    """The device of the setting `WINNOW_DEVICE`; ConfigError for one that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"WINNOW_DEVICE={name}: auto, cpu, cuda or cuda:N is wanted") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"WINNOW_DEVICE={name}: models run on cpu and cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"WINNOW_DEVICE={name}: this process sees {torch.cuda.device_count()} CUDA devices (torch "
            f"{torch.__version__}). Set WINNOW_DEVICE=cpu, or run it where there is one"
        )
    return device if device.type == "cpu" else torch.device("cuda", device.index or 0)


def deterministic(device: torch.device) -> None:
    """Hold torch to one thread and to reproducible algorithms from now on. TF32 is off: fp32 means fp32."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def device_name(device: torch.device) -> str:
    """What a manifest calls a device: `cpu`, or `cuda` and the GPU's name."""
    return "cpu" if device.type == "cpu" else f"{device.type} {torch.cuda.get_device_name(device)}"


def decoders(resources: Resources, device: torch.device) -> int:
    """How many threads decode: the process's cores, less the one that a model on the CPU uses."""
    cores = min(len(os.sched_getaffinity(0)), max(1, int(resources.cpu)))
    return max(1, cores - (device.type == "cpu"))


@dataclass(frozen=True)
class Decoded:
    """Rows of a clip's file, and what else was read from it (when its pictures are shown, say)."""

    rows: np.ndarray
    aside: Any = None


@dataclass(frozen=True)
class Answered:
    """A clip that the model has answered: float32 values, (rows, …), one row of them for each row of its input."""

    sample: Sample
    values: np.ndarray
    aside: Any = None


@dataclass
class _Clip:
    """A clip whose rows are on their way: how many, and the values that have come."""

    sample: Sample
    rows: int
    aside: Any = None
    values: list[np.ndarray] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return sum(map(len, self.values)) == self.rows


@dataclass
class _Flight:
    """A batch that was given to the device: whose rows it holds, and where their values will be."""

    owners: list[tuple[_Clip, int]]
    values: torch.Tensor
    event: torch.cuda.Event | None = None

    def land(self) -> Iterator[_Clip]:
        """Wait for the values, hand them to their clips, and name those that are complete."""
        if self.event is not None:
            self.event.synchronize()
        values, at = self.values.numpy(), 0
        for clip, count in self.owners:
            clip.values.append(values[at : at + count])
            at += count
            if clip.done:
                yield clip


class EncodePipeline:
    """From clips to their values: decode ahead, batch, run, take apart. One serves all shards of a process."""

    def __init__(self, decode: Decode, encode: Encode, device: torch.device, *, rows: int, threads: int) -> None:
        self.decode, self.encode, self.device, self.threads = decode, encode, device, threads
        self.across = device.type != "cpu"
        self.rows = rows if self.across else CPU_ROWS

    def run(self, batch: Batch, finish: Callable[[Answered], Mapping[str, object]]) -> Iterator[Outcome]:
        """An outcome for each sample: `finish` turns what the model answered into the clip's columns.

        Memory is bounded by the clips that are decoded ahead (two a thread) and two batches. A clip that cannot be
        decoded is a failed row, as in `Batch.map`; a model that fails ends the shard.
        """
        for clip in self._clips(batch):
            if isinstance(clip, Outcome):
                yield clip
            else:
                answered = Answered(clip.sample, np.concatenate(clip.values), clip.aside)
                yield _outcome(batch, clip.sample, partial(finish, answered))

    def _clips(self, batch: Batch) -> Iterator[_Clip | Outcome]:
        flights: deque[_Flight] = deque()
        waiting: list[tuple[_Clip, np.ndarray]] = []
        held = 0
        for sample, future in self._ahead(batch):
            decoded = _outcome(batch, sample, partial(_rows, future))
            if decoded.reason is not None:
                yield decoded
                continue
            found = decoded.values["rows"]
            rows = np.asarray(found.rows if isinstance(found, Decoded) else found)
            clip = _Clip(sample, len(rows), found.aside if isinstance(found, Decoded) else None)
            for first in range(0, len(rows), self.rows):
                waiting.append((clip, rows[first : first + self.rows]))
                held += len(waiting[-1][1])
                while held >= self.rows or (waiting and not self.across):
                    flights.append(self._fly(waiting))
                    held = sum(len(piece) for _, piece in waiting)
                    if len(flights) > 1:
                        yield from flights.popleft().land()
        if waiting:
            flights.append(self._fly(waiting))
        for flight in flights:
            yield from flight.land()

    def _ahead(self, batch: Batch) -> Iterator[tuple[Sample, Future[Rows]]]:
        """Samples in order with their decoded rows to come; files are read here, since a shelf is one open file."""
        with ThreadPoolExecutor(self.threads, thread_name_prefix="decode") as pool:
            coming: deque[tuple[Sample, Future[Rows]]] = deque()
            try:
                for sample in batch:
                    coming.append((sample, self._submit(pool, sample)))
                    if len(coming) > 2 * self.threads:
                        yield coming.popleft()
                while coming:
                    yield coming.popleft()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, pool: ThreadPoolExecutor, sample: Sample) -> Future[Rows]:
        try:
            return pool.submit(self.decode, sample.media())
        except Exception as error:  # told as the sample's own failure, like one of `decode`
            failed: Future[Rows] = Future()
            failed.set_exception(error)
            return failed

    def _fly(self, waiting: list[tuple[_Clip, np.ndarray]]) -> _Flight:
        """Take one batch off what waits and give it to the device."""
        owners, pieces, free = [], [], self.rows
        while waiting and free:
            clip, piece = waiting.pop(0)
            if len(piece) > free:
                waiting.insert(0, (clip, piece[free:]))
                piece = piece[:free]
            owners.append((clip, len(piece)))
            pieces.append(piece)
            free -= len(piece)
            if not self.across:
                break
        if self.across and free:
            pieces.append(np.zeros((free, *pieces[0].shape[1:]), pieces[0].dtype))
        shape, dtype = (sum(map(len, pieces)), *pieces[0].shape[1:]), torch.from_numpy(pieces[0][:0]).dtype
        rows = torch.empty(shape, dtype=dtype, pin_memory=self.device.type == "cuda")
        np.concatenate(pieces, out=rows.numpy())
        return self._forward(owners, rows)

    def _forward(self, owners: list[tuple[_Clip, int]], rows: torch.Tensor) -> _Flight:
        try:
            with torch.inference_mode():
                if self.device.type == "cpu":
                    return _Flight(owners, self.encode(rows))
                values = self.encode(rows.to(self.device, non_blocking=True))
                host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
                host.copy_(values, non_blocking=True)
                event = torch.cuda.Event()
                event.record()
                return _Flight(owners, host, event)
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                f"{device_name(self.device)} has no room for batches of {self.rows}: set WINNOW_MODEL_BATCH lower"
            ) from error


def _outcome(batch: Batch, sample: Sample, measure: Callable[[], Mapping[str, object]]) -> Outcome:
    """One sample's outcome, its failures told as `Batch.map` tells them."""
    return next(type(batch)([sample], batch.work, batch.shard).map(lambda _: measure()))


def _rows(future: Future[Rows]) -> dict[str, object]:
    return {"rows": future.result()}


def half(layers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Vectors in half precision; SampleFailed when one has a value that half precision cannot hold (beyond 65,504)."""
    with np.errstate(over="ignore"):
        out = {name: np.asarray(values).astype(np.float16) for name, values in layers.items()}
    for name, values in out.items():
        if not np.isfinite(values).all():
            raise SampleFailed(Reason.internal_error, f"{name} has values that half precision cannot hold")
    return out


def split_mean(values: np.ndarray, widths: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Rows of concatenated layers, (rows, sum of widths), to each layer's mean over the rows: float64, (width,)."""
    mean, at, out = values.mean(axis=0, dtype=np.float64), 0, {}
    for name, width in widths.items():
        out[name] = mean[at : at + width]
        at += width
    return out


def evenly(count: int, of: int) -> tuple[int, ...]:
    """`count` of the numbers 1 … `of` (at least as many), evenly spread and with the last."""
    return tuple(-(-of * k // count) for k in range(1, count + 1))
