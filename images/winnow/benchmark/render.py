"""The benchmark's results as files: CSV and JSON of every row, a table to read with its reasons, and a plot. The same
rows give the same bytes."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from winnow.benchmark.datasets import Dataset
from winnow.benchmark.methods import METHODS, PAIRINGS
from winnow.benchmark.table import SHARES, Row

VARIANTS = {
    "chance": "half of the classes keep their pairing; mismatched pairs may share a class by chance",
    "distinct": "half of the classes keep their pairing; mismatched pairs never share a class",
    "samples": "half of the samples keep their pairing; mismatched pairs may share a class by chance",
}
#: Below this share of the ceiling a method's row is explained.
AIM = 0.95
#: What is drawn: method, pairing, colour, dashes.
LINES = (
    ("oracle: both classes, and which are kept", "", "#888888", (4, 2)),
    ("MI refined", "bipartite", "#0b6e4f", ()),
    ("MI refined, against the corpus", "bipartite", "#5aa786", ()),
    ("MI, exact greedy", "bipartite", "#c1440e", ()),
    ("MI, batch 100/25", "bipartite", "#e39a6f", ()),
    ("contrastive, 100 epochs of 10", "", "#3b5ba5", ()),
    ("PCA, cosine", "", "#a08bc0", ()),
    ("random", "", "#bbbbbb", (1, 1)),
)


def write(rows: Sequence[Row], data: Sequence[Dataset], settings: dict[str, object], out: Path) -> dict[str, Path]:
    """Write retrieval.csv, .json, .md and .svg into a folder; their paths by kind.

    settings: what the command was given, written down so that it can be given again.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = {kind: out / f"retrieval.{kind}" for kind in ("csv", "json", "md", "svg")}
    _csv(rows, files["csv"])
    described = {d.name: d.says for d in data}
    body = {"settings": settings, "data": described, "shares": list(SHARES), "rows": [row.plain() for row in rows]}
    files["json"].write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    files["md"].write_text(markdown(rows, described, settings), encoding="utf-8")
    _plot(rows, files["svg"])
    return files


def _csv(rows: Sequence[Row], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = None
        for row in rows:
            plain = row.plain() | {"each": " ".join(map(str, row.each)), "curve": " ".join(map(str, row.curve))}
            if writer is None:
                writer = csv.DictWriter(file, list(plain), lineterminator="\n")
                writer.writeheader()
            writer.writerow(plain)


def markdown(rows: Sequence[Row], data: dict[str, str], settings: Mapping[str, Any]) -> str:
    """The table to read: per data set and variant one line a method and number of clusters, one column a pairing."""
    out = ["# Correspondence retrieval", ""]
    out += [
        "Precision among as many pairs as there are true ones: mean ± sample standard deviation over "
        f"{len(list(settings['seeds']))} runs. Ceiling: one who knows the classes and which are kept, under the "
        "same draws (the same random numbers: winnow/benchmark/scoring.py); of ceiling: share of it at the best "
        f"pairing. Made by `{settings['command']}`.",
        "",
        *(f"- {name}: {says}" for name, says in data.items()),
    ]
    used = [p for p in PAIRINGS if any(row.pairing == p for row in rows)]
    for name, variant in dict.fromkeys((row.data, row.variant) for row in rows):
        here = [row for row in rows if (row.data, row.variant) == (name, variant)]
        out += ["", f"## {name}, {variant}: {VARIANTS[variant]}", ""]
        out.append("| method | clusters | ceiling | no pairing | " + " | ".join(used) + " | of ceiling |")
        out.append("|---" * (len(used) + 5) + "|")
        for method, count in dict.fromkeys((row.method, row.clusters) for row in here):
            line = {row.pairing: row for row in here if (row.method, row.clusters) == (method, count)}
            cells = [_cell(line.get(p)) for p in ("", *used)]
            first = next(iter(line.values()))
            best = max((row.of_ceiling for row in line.values() if row.of_ceiling is not None), default=None)
            ratio = "" if best is None else f"{best:.3f}"
            out.append(f"| {method} | {count or ''} | {first.ceiling:.3f} | " + " | ".join(cells) + f" | {ratio} |")
        out += ["", *notes(here)]
    there = {row.method for row in rows}
    said: dict[str, list[str]] = {}
    for known in METHODS:
        if known.says and known.name in there:
            said.setdefault(known.says, []).append(known.name)
    if said:
        out += ["", "## To be read beside the figures", ""]
        out += [f"- {'; '.join(names)}: {says}." for says, names in said.items()]
    return "\n".join(out) + "\n"


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    if row.precision is None:
        return row.note
    return f"{row.precision:.3f}" + (f" ± {row.deviation:.3f}" if row.deviation is not None else "")


def notes(rows: Sequence[Row]) -> list[str]:
    """Why selections by mutual information end where they do, for the rows of one data set and variant."""
    out = []
    best: dict[str, Row] = {}
    for row in rows:
        if row.method.startswith("MI") and row.of_ceiling is not None:
            kept = best.get(row.method)
            if kept is None or row.of_ceiling > (kept.of_ceiling or 0):
                best[row.method] = row
    there: list[str] = []
    more: list[str] = []
    less: list[str] = []
    for method, row in best.items():
        text = f"{method} ({row.pairing}, {row.clusters} clusters): {row.of_ceiling:.3f}"
        if (row.of_ceiling or 0) >= AIM:
            there.append(text)
        else:
            gap = (row.mi or 0) - (row.mi_true or 0)
            (more if gap > 0 else less).append(f"{text}, {row.mi:.3f} nats where the true pairs have {row.mi_true:.3f}")
    if there:
        out.append(f"- At least {AIM} of the ceiling: {'; '.join(there)}.")
    if more:
        out.append(
            f"- Below {AIM} of the ceiling, and not for want of search: what they selected has more mutual "
            f"information than the true pairs. {'; '.join(more)}. It grows when clusters are used evenly, so it is "
            "raised by filling the clusters of mismatched kinds with those pairs that agree by accident."
        )
    if less:
        out.append(
            f"- Below {AIM} of the ceiling, with less mutual information than the true pairs have, so a better search "
            f"would find more: {'; '.join(less)}."
        )
    if best and (plain := max((row for row in rows if row.baseline), key=lambda row: row.precision or 0, default=None)):
        top = max(best.values(), key=lambda row: row.precision or 0)
        out.append(
            f"- The best baseline that does not train on the pairs is {_at(plain)} with {plain.precision:.3f}; the "
            f"best selection by mutual information is {_at(top)} with {top.precision:.3f}."
        )
        under = [row for row in best.values() if (row.precision or 0) <= (plain.precision or 0)]
        if under:
            named = "; ".join(f"{_at(row)} with {row.precision:.3f}" for row in under)
            out.append(f"- Not above that baseline: {named}.{_why(plain, rows)}")
    skipped = sorted({f"{row.method}: {row.note}" for row in rows if row.note.startswith("skipped: torch")})
    return out + [f"- {text}." for text in skipped]


def _at(row: Row) -> str:
    """A row's method with its pairing and number of clusters."""
    return row.method + (f" ({row.pairing}, {row.clusters} clusters)" if row.clusters else "")


def _why(plain: Row, rows: Sequence[Row]) -> str:
    """What another measure than mutual information selects that this does not, under the same draws."""
    same = [
        row
        for row in rows
        if row.method.startswith("MI, ")
        and (row.draws, row.pairing, row.clusters) == (plain.draws, plain.pairing, plain.clusters)
    ]
    if not plain.clusters or not same:
        return ""
    text = (
        f" With the same draws, pairing and clusters, {same[0].method} has {same[0].mi:.3f} nats with clusterings of "
        f"mean entropy {same[0].entropy:.3f}, the baseline {plain.mi:.3f} with {plain.entropy:.3f}, and the true pairs "
        f"{plain.mi_true:.3f} with {plain.entropy_true:.3f}."
    )
    if (same[0].entropy or 0) > (plain.entropy or 0) > (plain.entropy_true or 0):
        text += " Mutual information grows with entropy, so it buys information by using the clusters evenly"
        text += "; NMI divides by the entropies and buys less." if plain.method.startswith("NMI") else "."
    return text


def _plot(rows: Sequence[Row], path: Path) -> None:
    """Precision of the first picks against the share of all pairs that is selected: a panel a data set and variant."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    data, variants = (list(dict.fromkeys(getattr(row, name) for row in rows)) for name in ("data", "variant"))
    clusters = min((row.clusters for row in rows if row.clusters), default=None)
    with plt.rc_context(
        {
            "svg.hashsalt": "winnow",
            "svg.fonttype": "none",
            "font.size": 8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "lines.linewidth": 1.4,
        }
    ):
        size = (3.4 * len(data) + 2.4, 2.5 * len(variants) + 0.4)
        figure, axes = plt.subplots(len(variants), len(data), figsize=size, squeeze=False, sharex=True, sharey=True)
        for y, variant in enumerate(variants):
            for x, name in enumerate(data):
                axis = axes[y][x]
                axis.set_title(f"{name}, {variant}", fontsize=8)
                axis.set_ylim(0.35, 1.02)
                for method, pairing, colour, dashes in LINES:
                    for row in rows:
                        key = (row.data, row.variant, row.method, row.pairing)
                        if key == (name, variant, method, pairing) and row.clusters in (None, clusters) and row.curve:
                            label = method + (f" ({pairing})" if pairing else "")
                            axis.plot(SHARES, row.curve, color=colour, dashes=dashes or (None, None), label=label)
                if y == len(variants) - 1:
                    axis.set_xlabel("share of all pairs selected")
            axes[y][0].set_ylabel("precision")
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="center right", frameon=False, fontsize=7)
        figure.tight_layout(rect=(0, 0, 1 - 2.4 / size[0], 1))
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
