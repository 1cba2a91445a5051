"""Lloyd's iterations over rows in memory, and one pass of them over a stream: the work between kernels and `kmeans`.

Rows are prepared first (centred, scaled, rounded to the grid of `kmeans_kernels`), so sums are exact and the same
whatever block or thread they come from. The objective needs no distances: with every centre at its rows' mean it is
Σ|x|² − Σ_j |sum_j|² / n_j.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from winnow.selection import kmeans_kernels as kernels

#: Bytes of distances that a thread works on at a time: they stay in its cache.
WORKING_BYTES = 1 << 20
#: Between two iterations that look at all centres, so many look only at those near a row's own, where there are more.
NEAR, NEAR_ITERATIONS = 32, 5
#: How far a step goes, in distances to the means.
BEYOND = 1.9


@dataclass(frozen=True)
class Frame:
    """How a layer's vectors are brought to the space in which they are clustered: (x − centre) · factor, in grid steps.

    centre, factor: float32 (d,); step: a power of two.
    """

    centre: np.ndarray
    factor: np.ndarray
    step: float

    @classmethod
    def of(cls, sample: np.ndarray, whiten: bool) -> Frame:
        """The frame of a sample (n, d): its mean; 1 or 1 / standard deviation (1 where that is 0); a grid that its
        largest value fills."""
        rows = sample.astype(np.float64)
        mean = rows.mean(axis=0)
        factor = np.ones(rows.shape[1])
        if whiten:
            deviation = rows.std(axis=0)
            factor = 1 / np.where(deviation > 1e-9 * np.maximum(np.abs(mean), 1e-30), deviation, 1.0)
        centre, factor = mean.astype(np.float32), factor.astype(np.float32)
        largest = float(np.abs((rows - centre) * factor).max(initial=0.0))
        step = 2.0 ** (np.ceil(np.log2(largest)) - kernels.GRID_BITS) if largest > 0 else 1.0
        return cls(centre, factor, float(step))

    def prepare(self, rows: np.ndarray) -> np.ndarray:
        """Rows (n, d) of any floating type in this space, float32."""
        rows = np.ascontiguousarray(rows, np.float32)
        out = np.empty_like(rows)
        kernels.prepare(rows, self.centre, self.factor, np.float32(self.step), out)
        return out


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
        mine = Tally.zero(*work.centres.shape)
        for first in range(part * work.height, len(rows), self.threads * work.height):
            block = rows[first : first + work.height]
            block = frame.prepare(block) if frame else block
            labels, doubtful = work.labels(block)
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
            for first in range(part * work.height, len(rows), self.threads * work.height):
                block = rows[first : first + work.height]
                out[first : first + work.height] = work.labels(frame.prepare(block) if frame else block)[0]

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

    def labels(self, block: np.ndarray) -> tuple[np.ndarray, int]:
        """Nearest centres of prepared rows, int32 (n,), and how many were settled in float64."""
        cross = block @ self.factors
        length = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float32))
        # |error of a value| ≤ (d + 4) u (2 |x| |c| + |c|²), u = 2^-24; a comparison has two; 2 % for their own rounding
        unit = 2.04 * (block.shape[1] + 4) * 2.0**-24
        error = (unit * self.longest * (2 * length + self.longest)).astype(np.float32)
        labels = np.empty(len(block), np.int32)
        doubtful = kernels.settle(cross, cross.view(np.int32), self.square, block, self.centres, error, labels)
        return labels, int(doubtful)


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
