"""Greedy selection by another measure than MI: slow, for ablations on some thousand clips.

The same rounds and the same draws as `greedy.batch_greedy`, with float64 scores: the mean over pairs of the measure of
S ∪ {clip}; the lowest index of equal scores wins. The measure of no clips counts as 0, so gains add up to the measure
of the whole. All but AMI cost O(pairs) a candidate; AMI's expected MI costs O(clusters²) and more for each cell that a
candidate may fall into.
"""

from __future__ import annotations

import numpy as np

from winnow.selection.measures import objective_named
from winnow.selection.problem import Problem

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(x: int) -> int:
    """splitmix64's finaliser."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


class Pool:
    """Draws without repetition from the clips that are not taken: the stream that `batch_greedy` documents."""

    def __init__(self, clips: int, selected: np.ndarray, seed: int) -> None:
        self.taken = np.zeros(clips, bool)
        self.taken[selected] = True
        self.entries = np.arange(clips)
        self.seed = seed

    def draw(self, wanted: int) -> np.ndarray:
        """`wanted` clips, or all that are left where those are no more."""
        n = int(self.taken.sum())
        free = len(self.taken) - n
        if free <= wanted or 2 * free < len(self.entries):
            self.entries = self.entries[~self.taken[self.entries]]
        if free <= wanted:
            return self.entries
        state = mix((self.seed + GOLDEN * (n + 1)) & MASK)
        drawn: dict[int, None] = {}
        while len(drawn) < wanted:
            state = (state + GOLDEN) & MASK
            clip = int(self.entries[mix(state) * len(self.entries) >> 64])
            if not self.taken[clip]:
                drawn[clip] = None
        return np.array(list(drawn))


def greedy_by(
    problem: Problem, objective: str, size: int, batch: int | None, take: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Batch greedy by another measure, or exact greedy where `batch` is None; order and gain as in `greedy`."""
    objective_named(objective)
    from winnow.selection.counting import Tables

    tables = Tables(problem.rows, problem.pairs, problem.weights, problem.clusters, len(problem.selected) + size)
    pool = Pool(len(problem.rows), problem.selected, seed)
    for clip in problem.selected:
        tables.add(int(clip))
    order, gain = np.empty(size, np.int64), np.empty(size)
    before, done = tables.value(objective), 0
    while done < size:
        few = batch is None or problem.free <= batch
        wanted = len(problem.rows) if batch is None else batch if tables.n or few else 1
        candidates = pool.draw(wanted)
        best = np.lexsort((candidates, -tables.scores(candidates, objective)))[
            : min(take if tables.n else 1, size - done)
        ]
        for clip in candidates[best]:
            tables.add(int(clip))
            pool.taken[clip] = True
            after = tables.value(objective)
            order[done], gain[done], before = clip, after - before, after
            done += 1
    return order, gain
