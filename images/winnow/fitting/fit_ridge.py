"""`winnow fit --scorer ridge`: fit the map from what EfficientNet sees to what YAMNet hears on named batches, and
freeze it.

It stands beside the built-in scorer, is cross-fitted by the same groups, and is frozen in the same way: its digest is
that of the clips' vectors, the two networks, the parameters, the seed and the code that fits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from winnow.core.errors import ContractError
from winnow.core.lake import Lake, digest
from winnow.core.shard import Lineage
from winnow.core.stage import stage_needs
from winnow.fitting.fit import freeze
from winnow.fitting.groups import ties

if TYPE_CHECKING:
    import numpy as np

    from winnow.models.corpus import Corpus
    from winnow.models.ridge import RidgeModel
    from winnow.models.ridge_fit import FitParams

MODEL = "ridge"
#: The two stages whose vectors it takes: what is seen, and what is heard.
SIDES = ("efficientnet", "yamnet")
#: AudioSet's class Silence.
SILENCE = "/m/028v0c"


def fit(lake: Lake, batches: Sequence[str], *, seed: int = 0, params: FitParams | None = None) -> dict[str, object]:
    """Fit on the clips of batches that have both vectors; make the model the current one.

    Returns what `winnow.fitting.fit` returns but the stability, with "quality" and "networks". ContractError when a
    batch is not measured, was measured by two networks, or the corpus is too small to cross-fit.
    """
    from dataclasses import replace

    from winnow.estimates.separation import separation
    from winnow.models import ridge_fit

    networks = _networks(lake, batches)
    params = replace(params or ridge_fit.FitParams(), seed=seed, networks=networks)

    def quality(model: RidgeModel, corpus: Corpus) -> dict[str, object]:
        looked_at = corpus.first(ridge_fit.MOST_CLIPS)
        pairs = ridge_fit.held_out_pairs(model, looked_at)
        seen, heard = pairs[:, 0].astype(int), pairs[:, 1].astype(int)
        said = separation(
            ridge_fit.standard(pairs), seen == heard, seen, looked_at.group[seen], rule=ridge_fit.RULE_Z, seed=seed
        )
        return {"training": ridge_fit.figures_of(pairs), "quality": dict(said.row())}

    known = {"scorer": MODEL, "networks": list(networks)}
    option = f"--scorer {MODEL} "
    return freeze(
        lake, MODEL, batches, ridge_fit, params, option=option, known=known, quality=quality, read=read_corpus
    )


def _networks(lake: Lake, batches: Sequence[str]) -> tuple[str, str]:
    """The labels of the two networks that measured these batches."""
    from winnow.core.table import ok_rows

    found: dict[str, dict[str, str]] = {side: {} for side in SIDES}
    for batch in batches:
        lineage = Lineage(lake, batch, stage_needs())
        for number in lineage.numbers(MODEL):
            inputs = lineage.require_inputs(MODEL, number)
            for side in SIDES:
                labels = ok_rows(lake.read_table(inputs[side]), ["model"])["model"].unique().to_pylist()
                found[side] |= dict.fromkeys(labels, batch)
    for side, of in found.items():
        if len(of) > 1:
            told = ", ".join(f"{label} in {batch}" for label, batch in sorted(of.items()))
            raise ContractError(
                f"{side}: vectors of two networks cannot be compared ({told}): measure all batches alike"
            )
    seen, heard = (next(iter(of), "") for of in found.values())
    return seen, heard


def _silent(data: bytes) -> set[str]:
    """Clips of yamnet's table in which it hears silence before anything else: no picture lets expect that."""
    from winnow.core.table import ok_rows

    rows = ok_rows(data, ["tag_mids"]).to_pylist()
    return {row["sample_id"] for row in rows if (row["tag_mids"] or [""])[0] == SILENCE}


def read_corpus(lake: Lake, batches: Sequence[str]) -> tuple[Corpus, str]:
    """The clips of batches that have both vectors, ordered by id, and a digest of what they hold; silent ones are left
    out. A clip that several batches hold counts once, and so does one that stands there under several ids.
    ContractError names the first command to run for a batch that is not measured."""
    import numpy as np

    from winnow.core.table import ok_rows
    from winnow.models.copies import groups_of, same
    from winnow.models.corpus import Corpus
    from winnow.selection.kmeans.layers import vectors

    clips: dict[str, tuple[str, np.ndarray, np.ndarray]] = {}
    for batch in batches:
        lineage = Lineage(lake, batch, stage_needs())
        numbers = lineage.numbers(MODEL)
        if not numbers:
            raise ContractError(
                f"batch {batch} has no shards to fit on: run `winnow plan --batch {batch}` and the stages after it"
            )
        for number in numbers:
            inputs = lineage.require_inputs(MODEL, number)
            rows = ok_rows(lake.read_table(inputs["clip"]), ["video_id"])
            video_of = dict(zip(rows["sample_id"].to_pylist(), rows["video_id"].to_pylist(), strict=True))
            sides = []
            for side in SIDES:
                rows = ok_rows(lake.read_table(inputs[side]), ["embedding"])
                sides.append(dict(zip(rows["sample_id"].to_pylist(), vectors(rows["embedding"], side), strict=True)))
            silent = _silent(lake.read_table(inputs["yamnet"]))
            for clip in (video_of.keys() & sides[0].keys() & sides[1].keys()) - silent:
                clips[clip] = video_of[clip], *(side[clip].astype(np.float32) for side in sides)
    content = hashlib.sha256()
    first: dict[tuple[bytes, bytes], str] = {}
    for clip in sorted(clips):
        of, seen, heard = clips[clip]
        content.update(f"{clip}\x1f{of}\x1f".encode() + seen.tobytes() + heard.tobytes())
        first.setdefault((seen.tobytes(), heard.tobytes()), clip)
    kept = sorted(first.values())
    video, picture, sound = (np.array([clips[clip][place] for clip in kept]) for place in range(3))
    picture, sound = (side.reshape(len(kept), -1) for side in (picture, sound))
    videos = {of for of, _, _ in clips.values()}
    tied = ties(lake, batches)
    says = [side.std(axis=1) > 0 if len(kept) else np.zeros(0, bool) for side in (picture, sound)]
    tied += [*same(video, picture, says[0]), *same(video, sound, says[1])]
    groups = groups_of(videos.union(*tied), tied)
    content.update(digest(groups).encode())
    none = np.zeros((len(kept), 1), np.float32)
    sizes = (picture.shape[1],), (sound.shape[1],)
    return Corpus(video.astype(str), picture, sound, *sizes, none, none, groups), content.hexdigest()
