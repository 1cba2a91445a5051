"""A clip's ten segments of one second, and how intervals in seconds fall on them."""

from __future__ import annotations

from collections.abc import Iterable

#: Segments of a clip, 1 s each (AVE, VGGSound-AVEL, LLP).
SEGMENTS = 10
#: An interval that covers this much of a segment, s, marks it.
LEAST_COVERED_S = 0.5


def ten(value: object, name: str) -> list[int] | None:
    """Ten labels of 0 or 1 from a list of numbers, booleans or digits; None for None. ValueError for anything else."""
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or len(value) != SEGMENTS:
        shape = f"{len(value)} values" if isinstance(value, (list, tuple)) else type(value).__name__
        raise ValueError(f"{name} are {shape}: {SEGMENTS} of 0 or 1 are wanted")
    found = []
    for one in value:
        one = one.strip() if isinstance(one, str) else one
        if isinstance(one, (dict, list)) or one not in (0, 1, "0", "1", "0.0", "1.0"):
            raise ValueError(f"{name} hold {str(one)[:20]!r}: {SEGMENTS} of 0 or 1 are wanted")
        found.append(int(float(one)))
    return found


def covered(intervals: Iterable[tuple[float, float]]) -> list[int]:
    """1 for each segment of which the intervals (start, end in s from the clip's start) cover LEAST_COVERED_S or more;
    overlapping intervals count once."""
    left = [0.0] * SEGMENTS
    reached = 0.0
    for start_s, end_s in sorted(intervals):
        start_s = max(start_s, reached)
        for second in range(max(0, int(start_s)), SEGMENTS):
            left[second] += max(0.0, min(end_s, second + 1) - max(start_s, second))
        reached = max(reached, end_s)
    return [int(amount >= LEAST_COVERED_S) for amount in left]


def runs(labels: Iterable[int]) -> list[tuple[int, int]]:
    """The intervals of labels: (first second, second after the last) of each run of ones."""
    found: list[tuple[int, int]] = []
    for second, one in enumerate(labels):
        if not one:
            continue
        if found and found[-1][1] == second:
            found[-1] = (found[-1][0], second + 1)
        else:
            found.append((second, second + 1))
    return found
