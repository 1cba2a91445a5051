"""`winnow select`: put the corpus's clips into the order in which they add mutual information between what is seen and
what is heard, and keep that order as the corpus table `selection`.

Candidates are the clips that the current release keeps (or all of the admitted batches): see
`winnow.fitting.candidates`.

From scratch, all candidates are one round: the first share of them is put in order. Incrementally, the selection that
is there keeps its order, and of the clips that came since, the same share is added to it (a further round). dbt cuts
either at any smaller share, round by round, without computing anything again (mart `acav_clips`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from winnow.core.admitted import admitted_with
from winnow.core.errors import ConfigError, ContractError
from winnow.core.fingerprint import code_digest
from winnow.core.lake import Lake
from winnow.core.sample import check_batch
from winnow.fitting.candidates import AMONG, Candidates, candidates

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

TABLE = "selection"
METHODS = ("batch", "exact", "mixture")
#: Shares of the candidates at which the answer says how much information the first clips hold.
SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class SelectParams:
    """share: how much of the candidates is put in order, above 0 up to 1; size: how many instead, for a selection from
    scratch; among: which clips stand for it; pairing and weights: which layers are compared (`selection.pairings`);
    method: greedy over random batches, of which the best `take` of `batch` are taken at once, or exact, or the clips
    that a mixture of dependence and independence explains best (`selection.refine` says what it costs and when it is
    wrong; its first clips are not what it would choose of a smaller share); objective: a measure of
    `selection.measures`; seed: of the draws."""

    share: float = 0.2
    size: int | None = None
    among: str = "kept"
    pairing: str = "bipartite"
    weights: str = "uniform"
    method: str = "batch"
    batch: int = 20
    take: int = 1
    objective: str = "mi"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigError(f"share {self.share}: above 0, up to 1")
        for name, values in (("among", AMONG), ("method", METHODS)):
            if getattr(self, name) not in values:
                raise ConfigError(f"{name} {getattr(self, name)!r}: one of {', '.join(values)}")
        if self.method == "mixture" and (self.objective != "mi" or self.pairing == "combination"):
            raise ConfigError(
                "the method mixture compares what is seen with what is heard (no pairing combination), and has an "
                "objective of its own (none but mi can be named)"
            )

    def describing(self) -> str:
        """What a selection must share with one that it continues, in words."""
        how = f"batch {self.batch}:{self.take}" if self.method == "batch" else self.method
        return f"{how} {self.objective} {self.weights} seed {self.seed}"


def select(
    lake: Lake, batches: Sequence[str] = (), *, params: SelectParams | None = None, incremental: bool = False
) -> dict[str, object]:
    """Order the clips of batches (all admitted ones when none is named) and make that the corpus's selection.

    Returns {"model", "candidates", "selected", "rounds", "added", "mi" (nats, of the selected set), "mi_all" (of all
    candidates), "curve" (nats by share, of a selection from scratch), "file", "computed"}; with `incremental` also
    "mi_from_scratch" (as many clips chosen from scratch) and "mi_difference" (how far below that, relative).
    ContractError where assignments are missing or of other centres, or an existing selection cannot be continued.
    """
    from winnow.core import corpus_table, cpu
    from winnow.selection import mutual_information, pair_weights, pairing

    params = params or SelectParams()
    if incremental and params.size is not None:
        raise ConfigError("an incremental selection adds a share of the clips that came since: give --share, no --size")
    if incremental and params.method == "mixture":
        raise ConfigError("the method mixture looks at all clips at once and cannot go on: select from scratch")
    since = corpus_table.pointer(lake, TABLE)
    keys = sorted({check_batch(key) for key in batches}) or admitted_with(lake, "clip")
    found = candidates(lake, keys, params.among)
    pairs = pairing(params.pairing, found.n_visual, found.clusters.shape[1] - found.n_visual)
    weights = pair_weights(params.weights, pairs, found.n_visual)
    earlier = _earlier(corpus_table.read(lake, TABLE), found, params) if incremental else None
    rows, added = rounds(found, pairs, weights, params, earlier)
    cpu.check()
    done = corpus_table.replace(
        lake,
        TABLE,
        rows,
        since=since,
        provenance={
            "command": "winnow select",
            "batches": keys,
            "model": found.model,
            "incremental": incremental,
            "params": asdict(params),
            "code": code_digest(__name__),
        },
    )
    ordered = rows.select(["sample_id", "position", "round", "gain"]).filter(rows["position"].is_valid())
    chosen = found.places(ordered["sample_id"])
    mi = mutual_information(found.clusters, pairs, chosen, weights=weights)
    answer = {
        "model": found.model,
        "candidates": len(found),
        "selected": len(chosen),
        "rounds": max(ordered["round"].unique().to_pylist(), default=0),
        "added": added,
        "mi": round(mi, 6),
        "mi_all": round(mutual_information(found.clusters, pairs, weights=weights), 6),
        "file": done["file"],
        "computed": done["computed"],
    }
    if not incremental:
        return answer | {"curve": _curve(ordered["gain"].to_numpy(), len(found))}
    fresh, _ = _greedy(found.clusters, pairs, weights, len(chosen), params, None)
    scratch = mutual_information(found.clusters, pairs, fresh, weights=weights)
    difference = (scratch - mi) / scratch if scratch else 0.0
    return answer | {"mi_from_scratch": round(scratch, 6), "mi_difference": round(difference, 6)}


def _earlier(rows: pa.Table, found: Candidates, params: SelectParams) -> pa.Table:
    """The selection to continue; ContractError where there is none, or it was made another way."""
    import pyarrow.compute as pc

    if not rows.num_rows:
        raise ContractError("there is no selection to continue: run `winnow select` without --incremental first")
    wanted = {"model": found.model, "pairing": params.pairing, "among": params.among, "method": params.describing()}
    for column, value in wanted.items():
        if rows[column].unique().to_pylist() != [value]:
            have = rows[column][0].as_py()
            raise ContractError(
                f"the selection that is there has {column} {have!r}, this one {value!r}: select from scratch"
            )
    ordered = rows.filter(rows["position"].is_valid())["sample_id"]
    gone = ordered.filter(found.places(ordered) < 0)
    if len(gone):
        raise ContractError(
            f"{len(gone)} selected clips stand for selection no longer ({pc.min(gone)} …): select from scratch"
        )
    return rows


def rounds(
    found: Candidates, pairs: np.ndarray, weights: np.ndarray, params: SelectParams, earlier: pa.Table | None
) -> tuple[pa.Table, int]:
    """A round of selection over what `earlier` holds: rows of the table `selection`, ordered ones first and the others
    by id; how many were added. What is the same in all rows of a round is a dictionary's one value until written."""
    import numpy as np
    import pyarrow as pa

    free, before, number, start = np.ones(len(found), bool), None, 1, 0
    if earlier is not None:
        ranked = earlier.select(["sample_id", "position"]).filter(earlier["position"].is_valid()).sort_by("position")
        before, there = found.places(ranked["sample_id"]), found.places(earlier["sample_id"])
        free[there[there >= 0]] = False
        number, start = max(earlier["round"].unique().to_pylist()) + 1, len(before)
    new = np.flatnonzero(free)
    size = math.floor(params.share * len(new) + 0.5) if params.size is None else params.size
    if size > len(new):
        raise ConfigError(f"size {size}: there are {len(new)} candidates")
    if before is None:
        order, gain = _greedy(found.clusters, pairs, weights, size, params, None)
    else:  # Only the clips that came since may be added: the others of earlier rounds had their chance.
        rows = np.concatenate([before, new])
        order, gain = _greedy(found.clusters[rows], pairs, weights, size, params, np.arange(len(before)))
        order = rows[order]
    free[order] = False
    left = np.flatnonzero(free)
    constant = {
        "round": number,
        "round_candidates": len(new),
        "among": params.among,
        "pairing": params.pairing,
        "method": params.describing(),
        "model": found.model,
    }
    one = pa.array(np.zeros(len(new), np.int8))
    ids = found.ids[np.concatenate([order, left])]
    table = pa.table(
        {
            "sample_id": pa.array(ids, pa.string()),
            "position": _first(np.arange(start, start + size), len(left)),
            "round_position": _first(np.arange(size), len(left)),
            "gain": _first(gain, len(left)),
            **{name: pa.DictionaryArray.from_arrays(one, [value]) for name, value in constant.items()},
        }
    )
    if earlier is None:
        return table, size
    table = pa.concat_tables([earlier, table.select(earlier.column_names).cast(earlier.schema)])
    return table.sort_by([("position", "ascending"), ("sample_id", "ascending")]), size


def _first(values: np.ndarray, nothing: int) -> pa.Array:
    """A column of values and then so many nulls."""
    import pyarrow as pa

    found = pa.array(values)
    return pa.concat_arrays([found, pa.nulls(nothing, found.type)])


def _greedy(
    clusters: np.ndarray,
    pairs: np.ndarray,
    weights: np.ndarray,
    size: int,
    params: SelectParams,
    selected: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    from winnow.selection import batch_greedy, exact_greedy, gains, refine

    if params.method == "mixture":
        order, _ = refine(clusters, pairs, size, weights=weights, prior=math.inf)
        return order, gains(clusters, pairs, order, weights=weights)
    by = params.objective
    if params.method == "exact":
        return exact_greedy(clusters, pairs, size, selected, weights=weights, objective=by)
    batch, take, seed = params.batch, params.take, params.seed
    return batch_greedy(clusters, pairs, size, batch, take, seed, selected, weights=weights, objective=by)


def _curve(gain: np.ndarray, candidates: int) -> Mapping[str, float]:
    """Information of the first clips, nats, by share of the candidates: gains add up to it."""
    import numpy as np

    total = np.cumsum(gain)
    cuts = {share: math.floor(share * candidates + 0.5) for share in SHARES}
    return {f"{share:g}": round(float(total[cut - 1]), 6) for share, cut in cuts.items() if 0 < cut <= len(total)}
