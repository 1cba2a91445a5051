"""What models learned from training sets of one size: mean over seeds, its interval, and the gain over random ones.

Intervals are the percentile bootstrap over what was drawn by chance: groups of the evaluation set, since clips that are
tied are no independent witnesses, and seeds, since another draw and another start end elsewhere. A gain is paired: both
sets are tried on the same drawn groups, with the same drawn seeds. It is significant where its interval leaves out 0.
Simulated without a gain, 5 of 100 are called significant. Where runs of one set differ by much more than groups do
(`deviation`, of the seeds' values), three seeds are too few: their interval is no wider than their spread, which leaves
out 0 in one of four; give more seeds. Of one seed it is not known how far runs differ, and nothing is significant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

CONFIDENCE = 0.95
RESAMPLES = 2_000
#: With fewer groups there is no interval, and nothing is significant.
LEAST_GROUPS = 5
REFERENCE = "random"
DIGITS = 6
KEY = ("release", "task", "model", "set", "split", "metric")
FIGURES = ("mean", "low", "high", "deviation", "chance", "ceiling", "gain", "gain_low", "gain_high")
#: Resamples that are weighed at a time: bounds memory, changes nothing.
_CHUNK = 200


def learned(rows: pa.Table) -> pa.Table:
    """One row per KEY: seeds, groups, examples, FIGURES and `verdict`: reference (the random candidates themselves),
    better, worse or not significant; null where no model was trained on random candidates.

    rows: one per KEY, seed and group_id: examples, value and chance (means over the group's examples), ceiling.
    """
    import pyarrow as pa

    found: dict[tuple, dict[str, dict[int, dict]]] = {}
    for row in rows.to_pylist():
        key = tuple(row[name] for name in KEY if name != "set")
        found.setdefault(key, {}).setdefault(row["set"], {}).setdefault(row["seed"], {})[row["group_id"]] = row
    out = []
    for key in sorted(found):
        sets = found[key]
        for name in sorted(sets):
            head = dict(zip([n for n in KEY if n != "set"], key, strict=True))
            out.append({**head, "set": name, **_figures(name, sets)})
    counts = [(name, pa.int64()) for name in ("seeds", "groups", "examples")]
    schema = pa.schema(
        [(name, pa.string()) for name in KEY]
        + counts
        + [(n, pa.float64()) for n in FIGURES]
        + [("verdict", pa.string())]
    )
    return pa.Table.from_pylist(out, schema=schema)


def _figures(name: str, sets: dict[str, dict[int, dict]]) -> dict[str, object]:
    import numpy as np

    own, other = sets[name], sets.get(REFERENCE)
    seeds = sorted(own)
    groups = sorted({group for by_group in own.values() for group in by_group})
    weight = np.array([max(own[s][g]["examples"] for s in seeds if g in own[s]) for g in groups], np.float64)
    value = _matrix(own, seeds, groups, "value")
    drawn = _resampled(value, weight)
    one = {**own[seeds[0]]}
    said: dict[str, object] = {
        "seeds": len(seeds),
        "groups": len(groups),
        "examples": int(weight.sum()),
        "mean": _round(_mean(value, weight)),
        "deviation": _deviation(value @ weight / weight.sum()),
        "chance": _round(_mean(_matrix(own, seeds, groups, "chance"), weight)),
        "ceiling": next(iter(one.values()))["ceiling"],
        "low": None,
        "high": None,
        "gain": None,
        "gain_low": None,
        "gain_high": None,
        "verdict": None,
    }
    if drawn is not None:
        said["low"], said["high"] = _interval(drawn)
    if name == REFERENCE:
        return {**said, "verdict": "reference"}
    both = [s for s in seeds if other and s in other]
    if other is None or not both:
        return said
    gap = _matrix(own, both, groups, "value") - _matrix(other, both, groups, "value")
    drawn = _resampled(gap, weight)
    said |= {"gain": _round(_mean(gap, weight)), "verdict": "not significant"}
    if drawn is not None and len(both) > 1:
        said["gain_low"], said["gain_high"] = low, high = _interval(drawn)
        said["verdict"] = "better" if low > 0 else "worse" if high < 0 else "not significant"
    return said


def _matrix(by_seed: dict[int, dict], seeds: list[int], groups: list[str], column: str) -> np.ndarray:
    """(seeds, groups); ValueError where one of them was not tried on all groups."""
    import numpy as np

    try:
        return np.array([[by_seed[seed][group][column] for group in groups] for seed in seeds], np.float64)
    except KeyError as error:
        raise ValueError(f"two runs of one benchmark were not tried on the same clips: group {error}") from None


def _mean(value: np.ndarray, weight: np.ndarray) -> float:
    return float((value * weight).sum() / (len(value) * weight.sum()))


def _resampled(value: np.ndarray, weight: np.ndarray) -> np.ndarray | None:
    """Means of RESAMPLES draws of seeds and groups, each as many as there are; None with fewer groups than
    LEAST_GROUPS."""
    import numpy as np

    seeds, groups = value.shape
    if groups < LEAST_GROUPS:
        return None
    rng, out = np.random.default_rng([groups, seeds]), []
    for _ in range(RESAMPLES // _CHUNK):
        times = rng.multinomial(groups, np.full(groups, 1 / groups), _CHUNK) * weight
        runs = rng.multinomial(seeds, np.full(seeds, 1 / seeds), _CHUNK) / seeds
        out.append(((runs @ value) * times).sum(1) / times.sum(1))
    return np.concatenate(out)


def _interval(drawn: np.ndarray) -> tuple[float, float]:
    import numpy as np

    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [edge, 1 - edge])
    return _round(low), _round(high)


def _deviation(values: np.ndarray) -> float | None:
    return _round(values.std(ddof=1)) if len(values) > 1 else None


def _round(value: float) -> float:
    return round(float(value), DIGITS) + 0.0
