"""`winnow calibrate`: how correspondence scorers score pairs that belong together and pairs that do not.

Per scorer and model three kinds of pairs are drawn from named batches and scored; the parameters of their
distributions are kept as the corpus table `calibration`, of which dbt makes μ + kσ. For every two scorers the
correlation of their scores over the same non-corresponding pairs is kept too (`calibration_pair`): how far they err
together, which is what a second scorer is worth. Nothing is decided here: k stands in `thresholds.csv`, and changing it
needs no pair again. What a model was calibrated with stays until that model is calibrated anew, so clips that an
earlier model scored keep their threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import combinations
from typing import TYPE_CHECKING

from winnow.core import corpus_table
from winnow.core.errors import ConfigError, ContractError
from winnow.core.fingerprint import code_digest
from winnow.core.frozen_model import FrozenModel
from winnow.core.lake import Lake
from winnow.core.sample import check_batch
from winnow.fitting import calibration, fit
from winnow.fitting.calibration import KINDS, LEAST, Ensemble

if TYPE_CHECKING:
    import numpy as np

TABLE, PAIRS = "calibration", "calibration_pair"
SCORERS = (*calibration.BUILTIN, *calibration.VECTORS)
BASES = ("auto", "labels", "videos")
#: Clips that pairs are drawn from, at most: they bound memory (160 MB of 1,024-d vectors) and leave all sizes room.
CLIPS = 20_000
#: Pairs that two scorers are compared on, at most.
COMPARED = 20_000


def calibrate(
    lake: Lake,
    batches: Sequence[str],
    scorers: Sequence[str] = (),
    *,
    basis: str = "auto",
    clips: int = CLIPS,
    seed: int = 0,
) -> dict[str, object]:
    """Calibrate scorers (all that have scores when none is named) on the clips of batches; keep the parameters.

    Returns {"calibrated": [{"scorer", "model", "basis", "pairs", "mean", "std"}], "skipped": {scorer: why}, "file",
    "computed"}; pairs, mean and std are those of non-corresponding pairs. ContractError for a batch that is not
    measured, and for a scorer that was named and cannot be calibrated; ConfigError for one that nobody knows.
    """
    keys = sorted({check_batch(key) for key in batches})
    if not keys:
        raise ContractError("no batch was named: winnow calibrate --batches 2026-11-01,2026-11-02")
    if unknown := set(scorers) - set(SCORERS):
        raise ConfigError(f"there is no scorer {', '.join(sorted(unknown))}; there are {', '.join(SCORERS)}")
    if basis not in BASES:
        raise ConfigError(f"basis {basis!r}: one of {', '.join(BASES)}")
    rows: list[dict[str, object]] = []
    skipped: dict[str, str] = {}
    found: list[Ensemble] = []
    named, same = set(scorers or SCORERS), {"seed": seed, "batches": keys}
    # The others are looked at too: what a new scorer is worth is what it knows beside them.
    for one in calibration.ensembles(lake, keys, SCORERS, clips=clips, seed=seed):
        names = named & set(one.scorers if isinstance(one, Ensemble) else one[:1])
        made, why = _rows(one, basis, seed, names) if isinstance(one, Ensemble) else ([], one[1])
        if why is None and isinstance(one, Ensemble):
            found.append(one)
            rows += [row | same for row in made]
        elif scorers and names:
            raise ContractError(f"scorer {', '.join(sorted(names))} cannot be calibrated: {why}")
        else:
            skipped |= dict.fromkeys(sorted(names), str(why))
    told = [_told(row) for row in rows if row["kind"] == "non_corresponding"]
    answer: dict[str, object] = {"calibrated": told, "skipped": skipped, "file": None, "computed": False}
    if not rows:
        return answer
    provenance = {
        "command": "winnow calibrate",
        "batches": keys,
        "seed": seed,
        "basis": basis,
        "clips": clips,
        "sizes": dict(KINDS),
        "code": code_digest(__name__),
    }
    pairs = [row | same for row in _compared(found, named, basis, seed)]
    _replace(lake, PAIRS, pairs, ("scorer_a", "model_a", "scorer_b", "model_b"), provenance)
    done = _replace(lake, TABLE, rows, ("scorer", "model", "kind"), provenance)
    return answer | {"file": done["file"], "computed": done["computed"]}


def calibrate_once(lake: Lake) -> dict[str, object] | None:
    """Calibrate the built-in scorer in use on the batches that it was fitted on, where nobody has; else None."""
    model = lake.model_current(fit.MODEL)
    if model is None or any(row["model"] == model for row in corpus_table.read(lake, TABLE).to_pylist()):
        return None
    card = FrozenModel(fit.MODEL).card(lake, model)
    try:
        return calibrate(lake, card["batches"])
    except ContractError as error:  # a batch of then is gone: no reason to stop a batch of today
        return {"calibrated": [], "skipped": {fit.MODEL: str(error)}}


def _rows(one: Ensemble, basis: str, seed: int, named: Set[str]) -> tuple[list[dict[str, object]], str | None]:
    """Rows of the table `calibration` for the named scorers, or why there are too few pairs."""
    import numpy as np

    pairs = calibration.draw(one.group, one.fold, one.labels, basis=basis, seed=[seed, 0])
    if min(len(places) for places in pairs.of.values()) < LEAST:
        counts = ", ".join(f"{len(places)} {kind}" for kind, places in pairs.of.items())
        return [], f"its {len(one.ids)} clips give {counts} pairs, and a fit takes {LEAST} of each: name more batches"
    values = {kind: one.score(places) for kind, places in pairs.of.items()}
    about = {"model": one.model, "basis": pairs.basis, "clips": len(one.ids), "folds": len(np.unique(one.fold))}
    out = []
    for scorer in (name for name in one.scorers if name in named):
        described = calibration.describe({kind: of[scorer] for kind, of in values.items()})
        out += [{"scorer": scorer, **about, "kind": kind, **described[kind]} for kind in KINDS]
    return out, None


def _compared(found: Sequence[Ensemble], named: Set[str], basis: str, seed: int) -> list[dict[str, object]]:
    """Rows of the table `calibration_pair`: every two scores, one of them named, over the same pairs of clips that both
    have, each pair in one fold of either."""
    import numpy as np

    out = []
    for one, other in [*((of, of) for of in found), *combinations(found, 2)]:
        if not named & {*one.scorers, *other.scorers}:
            continue
        _, in_one, in_other = np.intersect1d(one.ids, other.ids, return_indices=True)
        both = np.stack([one.fold[in_one], other.fold[in_other]])
        fold = np.unique(both, axis=1, return_inverse=True)[1].reshape(-1)
        labels = [one.labels[at] for at in in_one]
        sizes = {**KINDS, "non_corresponding": COMPARED}
        pairs = calibration.draw(one.group[in_one], fold, labels, basis=basis, sizes=sizes, seed=[seed, 1])
        places = pairs.of["non_corresponding"]
        if len(places) < LEAST:
            continue
        first, second = one.score(in_one[places]), other.score(in_other[places])
        for a, b in [(a, b) for a in first for b in second if (one is not other or a < b) and named & {a, b}]:
            (scorer_a, model_a), (scorer_b, model_b) = sorted([(a, one.model), (b, other.model)])
            out.append(
                {
                    "scorer_a": scorer_a,
                    "model_a": model_a,
                    "scorer_b": scorer_b,
                    "model_b": model_b,
                    "basis": pairs.basis,
                    "n": len(places),
                    "correlation": _correlation(first[a], second[b]),
                }
            )
    return out


def _correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Pearson's, from exact sums; None where either does not vary."""
    from math import fsum, sqrt

    left, right = (side - fsum(side) / len(side) for side in (one, other))
    power = sqrt(fsum(left * left) * fsum(right * right))
    return round(fsum(left * right) / power, 6) if power > 0 else None


def _replace(
    lake: Lake, table: str, rows: Sequence[Mapping], key: Sequence[str], provenance: Mapping[str, object]
) -> dict[str, object]:
    """Put rows into a corpus table: over those of the same key, beside the others, which may have come meanwhile."""
    since = corpus_table.pointer(lake, table)
    named = {tuple(row[name] for name in key): row for row in [*corpus_table.read(lake, table).to_pylist(), *rows]}
    return corpus_table.replace(lake, table, [named[at] for at in sorted(named)], provenance=provenance, since=since)


def _told(row: Mapping[str, object]) -> dict[str, object]:
    named = {"scorer": "scorer", "model": "model", "basis": "basis", "pairs": "n", "mean": "mean", "std": "std"}
    return {name: row[column] for name, column in named.items()}
