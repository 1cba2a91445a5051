"""Lloyd's iterations over rows in memory, and one pass of them over a stream: the work between kernels and `kmeans`.

Rows are prepared first (centred, scaled, rounded to the grid of `kmeans_kernels`), so sums are exact and the same
whatever block or thread they come from. The objective needs no distances: with every centre at its rows' mean it is
Σ|x|² − Σ_j |sum_j|² / n_j.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from winnow.selection.kmeans import kernels as kernels
from winnow.selection.kmeans.frame import Frame

#: Bytes of distances that a thread works on at a time: they stay in its cache.
WORKING_BYTES = 1 << 20
#: Between two iterations that look at all centres, so many look only at those near a row's own, where there are more.
NEAR, NEAR_ITERATIONS = 32, 5
#: How far a step goes, in distances to the means.
BEYOND = 1.9


@dataclass
class Tally:
    """Sums and counts of clusters, and Σ|x|² in squared grid steps, over rows seen so far; all exact."""

    sums: np.ndarray
    counts: np.ndarray
    squares: int = 0
    doubtful: int = 0

    @classmethod
    def zero(cls, clusters: int, dim: int) -> Tally:
        """Of no rows."""
        return cls(np.zeros((clusters, dim)), np.zeros(clusters, np.int64))

    def add(self, other: Tally) -> None:
        """Take in another's rows."""
        self.sums += other.sums
        self.counts += other.counts
        self.squares += other.squares
        self.doubtful += other.doubtful

    def objective(self, step: float, squares: int | None = None) -> float:
        """Inertia with every centre at its rows' mean."""
        total = float(self.squares if squares is None else squares) * step * step
        some = self.counts > 0
        return max(total - float(((self.sums[some] ** 2).sum(axis=1) / self.counts[some]).sum()), 0.0)

    def means(self, centres: np.ndarray) -> np.ndarray:
        """The centres moved to their rows' means, float32; one without rows stays."""
        some = self.counts > 0
        moved = centres.copy()
        moved[some] = self.sums[some] / self.counts[some, None]
        return moved


@dataclass
class Crew:
    """Threads that share blocks of rows; results do not depend on how many there are."""

    threads: int
    _pool: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        from winnow.models import single_threaded

        single_threaded()
        self._pool = ThreadPoolExecutor(self.threads)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def each(self, work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """`work` on every item, at the same time; it must not use the crew itself."""
        return list(self._pool.map(work, items))

    def tally(
        self,
        rows: np.ndarray,
        centres: np.ndarray,
        frame: Frame | None = None,
        *,
        step: float = 0.0,
        labels: np.ndarray | None = None,
    ) -> Tally:
        """Every row's cluster, summed up, and written to `labels` (int32 (n,)) where it is given. Rows are prepared
        already, or are brought into `frame` on the way; Σ|x|² is taken with them where `step` is given."""
        work = Work.of(centres)
        parts = [self._pool.submit(self._tally, rows, work, frame, step, labels, t) for t in range(self.threads)]
        total = Tally.zero(*centres.shape)
        for part in parts:
            total.add(part.result())
        return total

    def _tally(
        self,
        rows: np.ndarray,
        work: Work,
        frame: Frame | None,
        step: float,
        into: np.ndarray | None,
        part: int,
    ) -> Tally:
        mine, room = Tally.zero(*work.centres.shape), Room.of(work, len(rows))
        for first in range(part * work.height, len(rows), self.threads * work.height):
            block = room.prepared(rows[first : first + work.height], frame)
            labels, doubtful = work.labels(block, room)
            kernels.add_up(block, labels, mine.sums, mine.counts)
            if into is not None:
                into[first : first + work.height] = labels
            mine.doubtful += doubtful
            if step:
                mine.squares += int(kernels.squares(block, np.float32(step)))
        return mine

    def tally_near(self, rows: np.ndarray, centres: np.ndarray, near: np.ndarray, labels: np.ndarray) -> Tally:
        """The same over prepared rows that may move only to one of the centres next to their own (`neighbours`);
        `labels` are those of the iteration before, and become those of this one."""
        square = (centres.astype(np.float64) ** 2).sum(axis=1).astype(np.float32)
        order = np.argsort(labels, kind="stable")
        starts = np.searchsorted(labels[order], np.arange(len(centres) + 1))

        def some(part: int) -> Tally:
            mine = Tally.zero(*centres.shape)
            kernels.among_near(
                rows, order, starts, near, centres, square, part, self.threads, labels, mine.sums, mine.counts
            )
            return mine

        total = Tally.zero(*centres.shape)
        for part in self._pool.map(some, range(self.threads)):
            total.add(part)
        return total

    def labels(self, rows: np.ndarray, centres: np.ndarray, frame: Frame | None = None) -> np.ndarray:
        """Every row's cluster, int32 (n,)."""
        work = Work.of(centres)
        out = np.empty(len(rows), np.int32)

        def some(part: int) -> None:
            room = Room.of(work, len(rows))
            for first in range(part * work.height, len(rows), self.threads * work.height):
                block = room.prepared(rows[first : first + work.height], frame)
                out[first : first + work.height] = work.labels(block, room)[0]

        list(self._pool.map(some, range(self.threads)))
        return out


@dataclass(frozen=True)
class Work:
    """Centres in the forms that a block's assignment needs."""

    centres: np.ndarray
    factors: np.ndarray
    square: np.ndarray
    longest: float
    height: int

    @classmethod
    def of(cls, centres: np.ndarray) -> Work:
        """centres: float32 (k, d)."""
        exact = centres.astype(np.float64)
        square = (exact**2).sum(axis=1)
        height = max(WORKING_BYTES // (4 * max(len(centres), centres.shape[1])), 64)
        factors = np.ascontiguousarray((-2 * centres).T)
        return cls(centres, factors, square.astype(np.float32), float(np.sqrt(square.max())), height)

    def labels(self, block: np.ndarray, room: Room) -> tuple[np.ndarray, int]:
        """Nearest centres of prepared rows, int32 (n,), and how many were settled in float64."""
        cross = np.matmul(block, self.factors, out=room.cross[: len(block)])
        length = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float32))
        # |error of a value| ≤ (d + 4) u (2 |x| |c| + |c|²), u = 2^-24; a comparison has two; 2 % for their own rounding
        unit = 2.04 * (block.shape[1] + 4) * 2.0**-24
        error = (unit * self.longest * (2 * length + self.longest)).astype(np.float32)
        labels = np.empty(len(block), np.int32)
        doubtful = kernels.settle(cross, cross.view(np.int32), self.square, block, self.centres, error, labels)
        return labels, int(doubtful)


@dataclass(frozen=True)
class Room:
    """What a thread works in, kept from block to block: memory that is new costs more than the work on it.

    rows: float32 (height, d), prepared; raw: the same before, of rows of another type; cross: float32 (height, k).
    """

    rows: np.ndarray
    raw: np.ndarray
    cross: np.ndarray

    @classmethod
    def of(cls, work: Work, rows: int) -> Room:
        """For blocks of so many rows at most."""
        clusters, dim = work.centres.shape
        height = min(work.height, rows)
        return cls(*(np.empty((height, width), np.float32) for width in (dim, dim, clusters)))

    def prepared(self, block: np.ndarray, frame: Frame | None) -> np.ndarray:
        """A block's rows in the frame; those of no frame are prepared already."""
        if frame is None:
            return block
        if block.dtype != np.float32:
            np.copyto(self.raw[: len(block)], block, casting="same_kind")
            block = self.raw[: len(block)]
        return frame.prepare(block, self.rows[: len(block)])


@dataclass
class Descent:
    """Where centres go from one tally to the next: nearly twice as far as their rows' means, which comes to the same
    place in half the steps, and only to the means after a step that made the objective worse. `best` is what is kept:
    the means of the best tally."""

    tolerance: float
    best: np.ndarray
    objective: float = np.inf
    settled: bool = False
    _small: int = 0

    def step(self, centres: np.ndarray, means: np.ndarray, objective: float) -> np.ndarray:
        """The next centres; `settled` once the objective has twice in a row fallen by less than `tolerance` of it."""
        fall = self.objective - objective
        self._small = self._small + 1 if fall <= self.tolerance * objective else 0
        self.settled = self._small >= 2
        if fall < 0:
            return self.best
        self.best, self.objective = means, objective
        return centres + np.float32(BEYOND) * (means - centres)


def lloyd(
    crew: Crew, rows: np.ndarray, centres: np.ndarray, step: float, tolerance: float, limit: int
) -> tuple[np.ndarray, float, int]:
    """Iterate over prepared rows until the objective has settled, at most `limit` times. A centre that loses all rows
    takes the row that is farthest from its own. Returns (centres, objective, iterations)."""
    squares, descent, done = None, Descent(tolerance, centres), 0
    labels, since, near = np.empty(len(rows), np.int32), 0, None
    while done < limit:
        done += 1
        whole = since >= NEAR_ITERATIONS or done <= 2 or len(centres) < 4 * NEAR
        if whole:
            tally = crew.tally(rows, centres, step=0.0 if squares is not None else step, labels=labels)
            squares, since, near = tally.squares if squares is None else squares, 0, None
        else:
            near = neighbours(centres) if near is None else near
            tally = crew.tally_near(rows, centres, near, labels)
            since += 1
        empty = np.flatnonzero(tally.counts == 0)
        means = tally.means(centres)
        if len(empty):
            means = _refill(crew, rows, means, empty)
            since = NEAR_ITERATIONS
        centres = descent.step(centres, means, tally.objective(step, squares))
        if descent.settled and not len(empty):
            if whole:
                break
            since = NEAR_ITERATIONS
    return descent.best, descent.objective, done


def neighbours(centres: np.ndarray) -> np.ndarray:
    """The NEAR centres next to each, itself among them: int32 (k, NEAR), ascending."""
    exact = centres.astype(np.float64)
    square = (exact**2).sum(axis=1)
    gaps = square[:, None] - 2 * (exact @ exact.T) + square
    np.fill_diagonal(gaps, -1.0)
    return np.sort(np.argpartition(gaps, NEAR - 1, axis=1)[:, :NEAR].astype(np.int32), axis=1)


def _refill(crew: Crew, rows: np.ndarray, centres: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Put centres without rows onto the rows that are farthest from their own centres, the lowest number of equals."""
    labels = crew.labels(rows, centres)
    far = np.empty(len(rows))
    kernels.distances(rows, labels, centres, far)
    order = np.argsort(-far, kind="stable")[: len(empty)]
    centres[empty[: len(order)]] = rows[order]
    return centres
