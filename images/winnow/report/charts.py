"""Charts as numbers in percent: the template draws them with plain HTML boxes, which print, scale, follow the reader's
colours and need no script. Every chart stands beside the table that says the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

STATUSES = ("kept", "dropped", "undecided", "pending")


@dataclass(frozen=True)
class Bin:
    """One bar: its edges in the measure's unit, its place in percent, its clips by status and their heights in
    percent."""

    start: float
    end: float
    left: float
    width: float
    clips: Mapping[str, int]
    heights: Mapping[str, float]


@dataclass(frozen=True)
class Histogram:
    """Stacked bars over one measure, with a threshold and (optionally) the curve of a null distribution."""

    bins: Sequence[Bin]
    ticks: Sequence[tuple[float, str]]
    grid: Sequence[tuple[float, str]]
    threshold: float | None
    threshold_at: float | None
    null_path: str | None
    totals: Mapping[str, int]


def histogram(
    rows: Iterable[Mapping],
    *,
    threshold: float | None = None,
    null: bool = False,
    low: float | None = None,
    high: float | None = None,
) -> Histogram:
    """A histogram from rows of bin_start, bin_end, status, clips. `null` draws the standard normal distribution,
    scaled to the number of clips: where they would lie if sound and picture did not belong together. `low`, `high`
    widen the axis."""
    rows = sorted(rows, key=lambda r: r["bin_start"])
    edges = [r["bin_start"] for r in rows] + [r["bin_end"] for r in rows]
    step = rows[0]["bin_end"] - rows[0]["bin_start"] if rows else 1.0
    marks = [m for m in (threshold, low, high, -3.0 if null else None, 3.0 if null else None) if m is not None]
    first, last = min([*edges, *marks], default=0.0), max([*edges, *marks], default=1.0)
    first, last = math.floor(first / step) * step, math.ceil(last / step) * step
    span = (last - first) or 1.0
    clips: dict[float, dict[str, int]] = {}
    for row in rows:
        clips.setdefault(row["bin_start"], dict.fromkeys(STATUSES, 0))[row["status"]] += row["clips"]
    total = sum(sum(of.values()) for of in clips.values())
    peak = total * step / math.sqrt(2 * math.pi) if null else 0.0
    top, grid = _nice_top(max([*(sum(of.values()) for of in clips.values()), peak], default=1.0))
    bins = [
        Bin(
            start,
            start + step,
            100 * (start - first) / span,
            100 * step / span,
            of,
            {status: 100 * n / top for status, n in of.items()},
        )
        for start, of in sorted(clips.items())
    ]
    return Histogram(
        bins=bins,
        ticks=[(100 * (t - first) / span, _short(t)) for t in _ticks(first, last)],
        grid=[(100 * g / top, f"{g:,.0f}") for g in grid],
        threshold=threshold,
        threshold_at=None if threshold is None else 100 * (threshold - first) / span,
        null_path=_normal(first, last, total * step, top) if null and total else None,
        totals={s: sum(of[s] for of in clips.values()) for s in STATUSES},
    )


@dataclass(frozen=True)
class Curves:
    """Several lines over one axis: an SVG path each, in a 100 × 100 box, and a marked place."""

    paths: Mapping[str, str]
    ticks: Sequence[tuple[float, str]]
    grid: Sequence[tuple[float, str]]
    mark: float | None
    mark_at: float | None


def curves(
    lines: Mapping[str, Sequence[tuple[float, float]]], *, mark: float | None = None, least_top: float = 1.0
) -> Curves:
    """Lines from points (x, y), y from 0 up to the highest or to `least_top`. `mark` widens the axis."""
    xs = [x for points in lines.values() for x, _ in points] + ([] if mark is None else [mark])
    first, last = min(xs, default=0.0), max(xs, default=1.0)
    span = (last - first) or 1.0
    top = max([y for points in lines.values() for _, y in points] + [least_top]) * 1.04 or 1.0
    paths = {
        name: "M" + " L".join(f"{100 * (x - first) / span:.3f} {100 - 100 * y / top:.3f}" for x, y in points)
        for name, points in lines.items()
        if points
    }
    step = round_step(top / 4)
    return Curves(
        paths=paths,
        ticks=[(100 * (t - first) / span, _short(t)) for t in _ticks(first, last)],
        grid=[(100 * step * i / top, _short(step * i)) for i in range(1, math.floor(top / step) + 1)],
        mark=mark,
        mark_at=None if mark is None else 100 * (mark - first) / span,
    )


def shares(parts: Mapping[str, int], whole: int) -> dict[str, float]:
    """Percent of a whole, for stacked bars."""
    return {name: 100 * n / whole if whole else 0.0 for name, n in parts.items()}


def _normal(first: float, last: float, area: float, top: float) -> str:
    """SVG path, in a 100 × 100 box, of the standard normal density times `area`."""
    points = 120
    xs = [first + (last - first) * i / points for i in range(points + 1)]
    ys = [area * math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in xs]
    at = [f"{100 * i / points:.2f} {100 - 100 * y / top:.2f}" for i, y in enumerate(ys)]
    return "M" + " L".join(at)


def round_step(rough: float) -> float:
    """The next of 1, 2, 2.5, 5 × a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next((f * power for f in (1, 2, 2.5, 5) if f * power >= rough), 10 * power)


def _nice_top(top: float) -> tuple[float, list[float]]:
    """A round upper end for counts, and the lines below it."""
    step = max(1.0, round_step(max(top, 1.0) / 4))
    lines = [step * i for i in range(1, math.floor(top / step) + 1)]
    return max(top * 1.04, 1.0), lines


def _ticks(first: float, last: float) -> list[float]:
    step = round_step((last - first) / 8 or 1.0)
    start = math.ceil(first / step - 1e-9)
    return [i * step for i in range(start, math.floor(last / step + 1e-9) + 1)]


def _short(value: float) -> str:
    return f"{value:.10g}" if abs(value) >= 1e-9 else "0"
