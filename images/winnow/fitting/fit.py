"""`winnow fit`: fit the correspondence scorer on named batches and freeze it.

A scorer's digest is that of what it is made from: the measured clips (by content, whatever shards they lie in), the
parameters, the seed, and the code that fits. So the same corpus is never fitted twice, and what a score came from can
be told. Fitting never changes a score that exists; it moves `current`, and the next run of `correspond` computes
anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Mapping, Sequence
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from winnow.core.errors import ContractError
from winnow.core.fingerprint import code_digest
from winnow.core.frozen_model import FrozenModel
from winnow.core.lake import Lake, digest
from winnow.core.sample import check_batch
from winnow.core.shard import Lineage
from winnow.core.stage import stage_needs
from winnow.fitting.groups import ties
from winnow.models.layers import AUDIO_LAYERS, VISUAL_LAYERS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from winnow.models.corpus import Corpus
    from winnow.models.correspondence import Scorer
    from winnow.models.correspondence_fit import FitParams

MODEL = "correspond"
#: Clips that a refit in other folds is made from; and in how many folds.
REFIT_CLIPS, REFIT_FOLDS = 2_000, 3
_VISUAL = [layer.column for layer in VISUAL_LAYERS]
_AUDIO = [layer.column for layer in AUDIO_LAYERS]


def fit(
    lake: Lake,
    batches: Sequence[str],
    *,
    seed: int = 0,
    params: FitParams | None = None,
) -> dict[str, object]:
    """Fit on the clips of batches that have both picture and sound measured; make the scorer the current one.

    Returns {"model": digest, "computed": False when this very scorer was there, "batches", "clips", "videos", "groups"
    of videos that are copies of each other or stand by themselves, "folds", "auc", "quality": what
    `winnow.estimates.separation` says of it on clips that it was not fitted on, "stability": rows of `stability`}.
    ContractError when a batch is not measured or the corpus is too small to cross-fit.
    """
    from dataclasses import replace

    from winnow.estimates.separation import separation
    from winnow.models import correspondence_fit

    chosen = replace(params or correspondence_fit.FitParams(), seed=seed)

    def more(scorer: Scorer) -> dict[str, object]:
        """What its card says beside what every fitted model's says."""
        return {
            "nulls": [
                {"fold": k, "mean": round(m.null_mean, 6), "std": round(m.null_std, 6), "clips": len(m.bank_group)}
                for k, m in enumerate(scorer.folds)
            ],
            "weights": [[round(float(w), 6) for w in m.weights] for m in scorer.folds],
        }

    def quality(scorer: Scorer, corpus: Corpus) -> dict[str, object]:
        """Of the same pairs as the card's figures; and how stable its decisions are."""
        looked_at = corpus.first(correspondence_fit.MOST_CLIPS)
        pairs = correspondence_fit.held_out_pairs(scorer, looked_at)
        seen, heard, z = pairs.T
        group = looked_at.group[seen.astype(int)]
        said = separation(z, seen == heard, seen, group, rule=correspondence_fit.RULE_Z, seed=seed).row()
        figures = correspondence_fit.figures_of(pairs)
        return {"training": figures, "quality": dict(said), "stability": stability(scorer, corpus, chosen)}

    return freeze(lake, MODEL, batches, correspondence_fit, chosen, more=more, quality=quality)


def stability(scorer: Scorer, corpus: Corpus, params: FitParams) -> list[dict[str, object]]:
    """How many decisions at the house's rule flip when the scorer is fitted otherwise: {"kind", "number", "clips",
    "flipped"}.

    kind: left_out (the groups of fold `number` are left out too, of all other folds' towers) or other_folds (another
    seed and other folds; fewer of them and of at most REFIT_CLIPS clips, so that it costs a third of the fit). Every z
    is of a model that did not see the clip.
    """
    from dataclasses import replace

    import numpy as np

    from winnow.models import correspondence_fit

    rows = [
        {"kind": "left_out", "number": number, "clips": int(clips), "flipped": int(flipped)}
        for number, (clips, flipped) in enumerate(scorer.left_out)
    ]
    other = {video: f"other folds {corpus.groups.get(video, video)}" for video in corpus.video.tolist()}
    again = replace(corpus.first(REFIT_CLIPS), groups=other)
    if not correspondence_fit.choose_folds(again.group.tolist(), REFIT_FOLDS):
        return rows
    refit = correspondence_fit.fit(again, replace(params, folds=REFIT_FOLDS, seed=params.seed + 1))
    looked_at = again.first(correspondence_fit.MOST_CLIPS)
    taken = []
    for one in (scorer, refit):
        seen, _, z = correspondence_fit.held_out_pairs(one, looked_at, 0).T
        taken.append(z[np.argsort(seen)] >= correspondence_fit.RULE_Z)
    flipped = int((taken[0] != taken[1]).sum())
    return [*rows, {"kind": "other_folds", "number": 0, "clips": len(looked_at), "flipped": flipped}]


def freeze(  # noqa: PLR0913 (how scorers differ, by name)
    lake: Lake,
    name: str,
    batches: Sequence[str],
    module: ModuleType,
    params: Any,
    *,
    kind: str = "npz",
    option: str = "",
    known: Mapping[str, object] = MappingProxyType({}),
    more: Callable[[Any], Mapping[str, object]] = lambda fitted: {},
    quality: Callable[[Any, Corpus], Mapping[str, object]] | None = None,
    read: Callable[[Lake, Sequence[str]], tuple[Corpus, str]] | None = None,
) -> dict[str, object]:
    """Fit a cross-fitted scorer on batches by a module's `fit`, freeze it under the digest of what it is made from, and
    make it the current one of `name`; what `fit` returns.

    module: of winnow.models, with `fit(corpus, params)`, which gives something that `dumps` to bytes of `kind`, and
    `figures(fitted, corpus)`; params: its dataclass, with `folds`; option: of the command, for a message; known: what
    answer and card say first; more: what the card of a fitted model says last; quality: what else answer and card say,
    as how well it does on clips that it was not fitted on, with what `figures` says as "training"; read: the corpus of
    batches and a digest of what it holds, by default of the built-in layers.
    """
    from dataclasses import asdict

    import numpy as np

    from winnow.models import single_threaded
    from winnow.models.correspondence_fit import choose_folds

    single_threaded()
    keys = sorted({check_batch(key) for key in batches})
    if not keys:
        raise ContractError(f"no batch was named: winnow fit {option}--batches 2026-11-01,2026-11-02")
    since = lake.model_pointer(name)
    corpus, content = (read or read_corpus)(lake, keys)
    group, videos = corpus.group, len(np.unique(corpus.video))
    folds, groups = choose_folds(group.tolist(), params.folds), len(np.unique(group))
    if not folds:
        copies = f" ({groups} without their copies)" if groups < videos else ""
        raise ContractError(
            f"{', '.join(keys)}: {len(corpus)} clips of {videos} videos{copies} have picture and sound, too few to "
            "cross-fit by video (each of three folds needs two videos). Fit on more batches."
        )
    identity = {
        "code": code_digest(module.__name__),
        "content": content,
        "params": asdict(params),
        "batches": keys,
    }
    frozen = FrozenModel(name, kind, f"winnow fit {option}--batches {','.join(batches)}")
    model, before = frozen.reuse(lake, identity, since)
    counts = {"clips": len(corpus), "videos": videos, "groups": groups, "folds": folds}
    answer = {**known, "model": model, "batches": keys, **counts}
    if before is not None:
        told = {name: before[name] for name in ("quality", "stability") if name in before}
        return answer | {"computed": False, "auc": before["training"]["auc"], **told}
    fitted = module.fit(corpus, params)
    told = dict(quality(fitted, corpus)) if quality else {"training": module.figures(fitted, corpus)}
    training = told.pop("training")
    card = answer | {
        **told,
        "training": training,
        "fold_of_a_group": "sha256('fold' + 0x1f + its smallest video_id), its first 15 hex digits, modulo folds",
        **more(fitted),
    }
    frozen.freeze(lake, model, identity, fitted.dumps(), card, since)
    return answer | {"computed": True, "auc": training["auc"], **told}


def read_corpus(lake: Lake, batches: Sequence[str]) -> tuple[Corpus, str]:
    """The measured clips of batches, ordered by id, and a digest of what they hold.

    A clip that several batches hold counts once, and so does one that stands there under several ids: nothing that is
    fitted depends on how many copies there are. ContractError names the first command to run for a batch that is not
    measured.
    """
    import numpy as np

    _, corpus, content = read_clips(lake, batches)
    first: dict[bytes, int] = {}
    for at, values in enumerate(_whole(corpus)):
        first.setdefault(hashlib.sha256(values.tobytes()).digest(), at)
    return corpus.take(np.array(list(first.values()), np.int64)), content


def read_clips(lake: Lake, batches: Sequence[str], only: Container[str] | None = None) -> tuple[list[str], Corpus, str]:
    """The same, copies too, with the clips' ids before it; `only` these where any are named."""
    from dataclasses import replace

    import numpy as np

    from winnow.core.table import ok_rows
    from winnow.models import synchrony
    from winnow.models.corpus import Corpus

    clips: dict[str, tuple[str, np.ndarray]] = {}
    for batch in batches:
        lineage = Lineage(lake, batch, stage_needs())
        numbers = lineage.numbers(MODEL)
        if not numbers:
            raise ContractError(
                f"batch {batch} has no shards to fit on: run `winnow plan --batch {batch}` and the stages after it"
            )
        for number in numbers:
            inputs = lineage.require_inputs(MODEL, number)
            videos = ok_rows(lake.read_table(inputs["clip"]), ["video_id"])
            video_of = dict(zip(videos["sample_id"].to_pylist(), videos["video_id"].to_pylist(), strict=True))
            seen = _described(ok_rows(lake.read_table(inputs["visual"]), [*_VISUAL, "motion"]), _VISUAL, "motion")
            heard = _described(ok_rows(lake.read_table(inputs["audio"]), [*_AUDIO, "onset"]), _AUDIO, "onset")
            for clip in video_of.keys() & seen.keys() & heard.keys():
                if only is not None and clip not in only:
                    continue
                clips[clip] = video_of[clip], np.concatenate([seen[clip], heard[clip]])
    ordered = sorted(clips)
    content = hashlib.sha256()
    for clip in ordered:
        video_id, values = clips[clip]
        content.update(f"{clip}\x1f{video_id}\x1f".encode())
        content.update(values.tobytes())
    sizes = tuple(layer.dim for layer in VISUAL_LAYERS), tuple(layer.dim for layer in AUDIO_LAYERS)
    envelope = synchrony.MAX_CELLS + 1
    edges = np.cumsum([sum(sizes[0]), envelope, sum(sizes[1]), envelope])
    values = np.array([clips[clip][1] for clip in ordered], np.float32).reshape(len(ordered), edges[-1])
    picture, motion, sound, onset = np.split(values, edges[:-1], axis=1)
    video = np.array([clips[clip][0] for clip in ordered], dtype=str)
    corpus = Corpus(video, picture, sound, *sizes, motion, onset)
    groups = _groups(corpus, ties(lake, batches))
    content.update(digest(groups).encode())
    return ordered, replace(corpus, groups=groups), content.hexdigest()


def _groups(corpus: Corpus, also: Sequence[Sequence[str]]) -> dict[str, str]:
    """The group of every video: what the same measured clip, picture or sound ties, and what `also` does."""
    from winnow.models.copies import groups_of, same

    moves, sounds = (side[:, :-1].std(axis=1) > 0 for side in (corpus.motion, corpus.onset))
    found = [
        *also,
        *same(corpus.video, _whole(corpus), moves & sounds, most=None),
        *same(corpus.video, corpus.picture, moves),
        *same(corpus.video, corpus.sound, sounds),
    ]
    return groups_of(set(corpus.video.tolist()).union(*found), found)


def _whole(corpus: Corpus) -> np.ndarray:
    """All that is measured of each clip, float32 (n, d)."""
    import numpy as np

    return np.concatenate([corpus.picture, corpus.sound, corpus.motion, corpus.onset], axis=1)


def _described(rows: pa.Table, layers: list[str], envelope: str) -> dict[str, np.ndarray]:
    """One float32 vector a clip, by id: its layers end to end, then its prepared envelope."""
    import numpy as np

    from winnow.models import synchrony

    ids = rows["sample_id"].to_pylist()
    if not ids:
        return {}
    flat = [np.asarray(rows[layer].combine_chunks().flatten()).reshape(len(ids), -1) for layer in layers]
    prepared = [synchrony.prepared(values.as_py()) for values in rows[envelope]]
    return dict(zip(ids, np.concatenate([*flat, np.array(prepared)], axis=1), strict=True))
