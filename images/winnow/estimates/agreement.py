"""Agreement of raters: Krippendorff's alpha of yes-or-no questions, from counts of answers per clip.

Alpha compares how often raters disagree with how often they would by chance: 1 is perfect, 0 is chance (Krippendorff,
Content Analysis, chapter 12). It needs no clip to be rated by everybody; an unsure answer is a missing one. It is
computed by the package `krippendorff` from how many raters said what of each clip, so it takes no memory per rater, and
rounded, so that the last bits of a sum are in no table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

QUESTIONS = ("onscreen", "offscreen")
DIGITS = 6


def agreement(clips: pa.Table) -> pa.Table:
    """One row per question and split (`all` is the whole): clips, answers, clips_compared, clips_unanimous, alpha.

    clips: split, and for each question the counts `<question>_yes` and `<question>_no`.
    """
    import numpy as np
    import pyarrow as pa

    split = np.asarray(clips["split"].to_pylist(), dtype=object)
    parts = {"all": np.ones(len(split), bool)} | {name: split == name for name in sorted(set(split))}
    rows = []
    for question in QUESTIONS:
        counts = np.column_stack([clips[f"{question}_{said}"].to_numpy() for said in ("yes", "no")])
        for name, inside in parts.items():
            if inside.any():
                rows.append({"question": question, "split": name, **_figures(counts[inside])})
    schema = pa.schema(
        [("question", pa.string()), ("split", pa.string())]
        + [(name, pa.int64()) for name in ("clips", "answers", "clips_compared", "clips_unanimous")]
        + [("alpha", pa.float64())]
    )
    return pa.Table.from_pylist(rows, schema=schema)


def _figures(counts: np.ndarray) -> dict[str, object]:
    compared = counts[counts.sum(axis=1) >= 2]
    alpha = None
    if (compared.sum(axis=0) > 0).all():
        import krippendorff

        alpha = round(float(krippendorff.alpha(value_counts=compared, level_of_measurement="nominal")), DIGITS)
    return {
        "clips": len(counts),
        "answers": int(counts.sum()),
        "clips_compared": len(compared),
        "clips_unanimous": int((compared.min(axis=1) == 0).sum()) if len(compared) else 0,
        "alpha": alpha,
    }
