"""Scores of drawn pairs, by every scorer that a lake has.

Two families. The built-in scorer is cross-fitted: a pair is scored by the model of the one fold that both clips are in,
whole (`builtin`) and by each of its two parts (`semantic`: what goes with what, `sync`: what moves with what), which
know nothing of each other and so are two scorers that need no weights. The others leave a vector for either side in
their stage's table (`bridge`, `two_tower`, `ridge`, `joint`): a pair's score is their dot product.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from winnow.core.errors import ContractError
from winnow.core.frozen_model import FrozenModel
from winnow.core.lake import Lake
from winnow.core.shard import Lineage
from winnow.core.stage import stage_names, stage_needs, stage_optional_needs
from winnow.core.table import ok_rows
from winnow.fitting import fit
from winnow.fitting.calibration.classes import named
from winnow.fitting.groups import ties

if TYPE_CHECKING:
    import numpy as np

    from winnow.models.corpus import Corpus
    from winnow.models.correspondence import Scorer

#: What the built-in scorer gives; each is a column of `correspond` (builtin: score).
BUILTIN = ("builtin", "semantic", "sync")
#: Stages whose tables hold score, sound and picture, and the fold where they are cross-fitted.
VECTORS = ("bridge", "two_tower", "ridge", "joint")
#: Pairs of vectors that are multiplied at a time.
BLOCK = 4096


@dataclass(frozen=True)
class Ensemble:
    """Clips that one model has scored, ordered by id, and what it takes to score any picture with any sound of a fold.

    scorers: names of the scores that it gives; ids, group: (n,) str, the group that holds a clip's video with what are
    copies of it (`models.copies`); fold: (n,) int64; labels: n sets; score: from
    places of clips seen and heard, int64 (m, 2), to float64 (m,) by name.
    """

    scorers: Sequence[str]
    model: str
    ids: np.ndarray
    group: np.ndarray
    fold: np.ndarray
    labels: Sequence[frozenset[str]]
    score: Callable[[np.ndarray], dict[str, np.ndarray]]


def ensembles(
    lake: Lake, batches: Sequence[str], scorers: Sequence[str], *, clips: int, seed: int
) -> Iterator[Ensemble | tuple[str, str]]:
    """What there is of every scorer and model; a scorer and why, where there is nothing. At most `clips` clips are
    looked at, chosen by the digest of their ids. ContractError for a batch that is not cut into clips or not
    measured."""
    chains = {batch: Lineage(lake, batch, stage_needs(), stage_optional_needs()) for batch in batches}
    chosen = _chosen(lake, chains, clips, seed)
    labels = _labels(lake, chains, set(chosen.values()))
    if named := [name for name in BUILTIN if name in scorers]:
        yield from _builtin(lake, batches, chosen, labels, named)
    for scorer in VECTORS:
        if scorer in scorers:
            yield from _vectors(lake, chains, scorer, chosen, labels)


def _builtin(
    lake: Lake,
    batches: Sequence[str],
    chosen: Mapping[str, str],
    labels: Mapping[str, frozenset[str]],
    named: Sequence[str],
) -> Iterator[Ensemble | tuple[str, str]]:
    import numpy as np

    from winnow.models.correspondence import Scorer

    model = lake.model_current(fit.MODEL)
    if model is None:
        why = f"no built-in scorer is fitted: run `winnow fit --batches {','.join(batches)}`"
        yield from ((name, why) for name in named)
        return
    scorer = Scorer.loads(FrozenModel(fit.MODEL).read(lake, model))
    ids, corpus, _ = fit.read_clips(lake, batches, only=chosen)
    _, fold = scorer.known.places(corpus.video, corpus.picture, corpus.sound)
    sets = [labels.get(video, frozenset()) for video in corpus.video]

    def score(places: np.ndarray) -> dict[str, np.ndarray]:
        found = _parts(scorer, corpus, fold, places)
        return {name: found[name] for name in named}

    yield Ensemble(named, model, np.array(ids, dtype=str), corpus.group, fold, sets, score)


def _parts(scorer: Scorer, corpus: Corpus, fold: np.ndarray, places: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of pairs (n, 2), both clips of a pair in one fold: float64 (n,) by scorer."""
    import numpy as np

    from winnow.models import synchrony
    from winnow.models.correspondence import information, log_odds

    out = {name: np.zeros(len(places)) for name in BUILTIN}
    for k, model in enumerate(scorer.folds):
        of = np.flatnonzero(fold == k)
        row = np.full(len(corpus), -1)
        row[of] = np.arange(len(of))
        picture, sound = model.picture(corpus.picture[of]), model.sound(corpus.sound[of])
        at = np.flatnonzero(fold[places[:, 0]] == k)
        ends = np.flatnonzero(np.diff(places[at, 0])) + 1
        for run in np.split(at, ends) if len(at) else ():
            seen, heard = places[run[0], 0], places[run, 1]
            out["semantic"][run] = information(picture[row[seen]], sound[row[heard]], model.correlation)
            out["sync"][run] = synchrony.peaks(corpus.motion[seen], corpus.onset[heard], one_is_motion=True)
            out["builtin"][run] = log_odds(out["semantic"][run], out["sync"][run], model.weights)
    return out


def _vectors(
    lake: Lake,
    chains: Mapping[str, Lineage],
    scorer: str,
    chosen: Mapping[str, str],
    labels: Mapping[str, frozenset[str]],
) -> Iterator[Ensemble | tuple[str, str]]:
    """A stage's models, each on the clips that it scored."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from winnow.models.copies import groups_of

    if scorer not in stage_names():
        yield scorer, f"there is no stage {scorer}"
        return
    clips: dict[str, dict[str, tuple]] = {}
    wanted = pa.array(sorted(chosen), pa.string())
    for lineage in chains.values():
        for number in lineage.numbers("clip"):
            manifest = lineage.committed(scorer, number)
            if manifest is None:
                continue
            rows = ok_rows(lake.read_table(manifest), ["video_id", "sound", "picture", "fold", "model"])
            for row in rows.filter(pc.is_in(rows["sample_id"], value_set=wanted)).to_pylist():
                sides = np.array(row["sound"], np.float32), np.array(row["picture"], np.float32)
                clips.setdefault(row["model"], {})[row["sample_id"]] = (row["video_id"], row["fold"], *sides)
    if not clips:
        yield scorer, f"no clip of these batches has a score: `winnow run {scorer} --batch …` gives it"
    tied = ties(lake, list(chains))
    for model, found in sorted(clips.items()):
        ids = sorted(found)
        video = np.array([found[clip][0] for clip in ids], dtype=str)
        fold = np.array([-1 if found[clip][1] is None else found[clip][1] for clip in ids], np.int64)
        sound, picture = (np.stack([found[clip][side] for clip in ids]) for side in (2, 3))
        score = partial(_dots, scorer, picture, sound)
        sets = [labels.get(v, frozenset()) for v in video]
        groups = groups_of({*video.tolist()}.union(*tied), tied)
        group = np.array([groups[v] for v in video.tolist()], dtype=str)
        yield Ensemble([scorer], model, np.array(ids, dtype=str), group, fold, sets, score)


def _dots(scorer: str, picture: np.ndarray, sound: np.ndarray, places: np.ndarray) -> dict[str, np.ndarray]:
    """Dot products of pairs, float64 (n,), the same whatever the threads: no BLAS."""
    import numpy as np

    out = np.empty(len(places))
    for at in range(0, len(places), BLOCK):
        seen, heard = places[at : at + BLOCK].T
        out[at : at + BLOCK] = (picture[seen].astype(np.float64) * sound[heard]).sum(axis=1)
    return {scorer: out}


def _chosen(lake: Lake, chains: Mapping[str, Lineage], clips: int, seed: int) -> dict[str, str]:
    """Video by clip, of at most `clips` clips: those whose ids have the smallest digests, so the choice does not depend
    on batches, shards or order, and the clips of a grown corpus are mostly the same."""

    def every() -> Iterator[tuple[str, str, str]]:
        for batch, lineage in chains.items():
            numbers = lineage.numbers("clip")
            if not numbers:
                raise ContractError(f"batch {batch} has no clips: run `winnow plan --batch {batch}` and what follows")
            for number in numbers:
                manifest = lineage.committed("clip", number)
                if manifest is None:
                    raise ContractError(f"shard {number} of batch {batch} is not cut: run `winnow run clip` on it")
                rows = ok_rows(lake.read_table(manifest), ["video_id"])
                for clip, video in zip(rows["sample_id"].to_pylist(), rows["video_id"].to_pylist(), strict=True):
                    yield hashlib.sha256(f"calibrate\x1f{seed}\x1f{clip}".encode()).hexdigest(), clip, video

    return {clip: video for _, clip, video in heapq.nsmallest(clips, every())}


def _labels(lake: Lake, chains: Mapping[str, Lineage], videos: Container[str]) -> dict[str, frozenset[str]]:
    """What the labels name that lists give a video (`classes.named`); videos without any are left out."""
    out: dict[str, set[str]] = {}
    for lineage in chains.values():
        for number in lineage.numbers("ingest"):
            manifest = lineage.committed("ingest", number)
            rows = ok_rows(lake.read_table(manifest), ["video_id", "labels"]).to_pylist() if manifest else ()
            for row in rows:
                if row["labels"] and row["video_id"] in videos:
                    out.setdefault(row["video_id"], set()).update(*map(named, row["labels"]))
    return {video: frozenset(of) for video, of in out.items()}
