"""The report of a release: one HTML file that a person reads, with the numbers, the reasons and some of the clips.

It answers, in this order: is it any good, how much is there, what happened to the rest and why, is the threshold right,
is it balanced, what changed, does it sound and look right, can it be trusted, and how do I recompute that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from winnow.core.lake import Lake
from winnow.report import audit, calibration, changes, charts, clips, families, learned
from winnow.report.data import MEASURES, POINTS, Facts, collect, open_tables
from winnow.report.render import render


def write_report(work: Path, lake: Lake, *, release: str, base: str | None, policy: str) -> Path:
    """Write `work/report.html` from what was built and gated in `work`; its path."""
    page = work / "report.html"
    page.write_text(report(work, lake, release=release, base=base, policy=policy), encoding="utf-8")
    return page


def report(work: Path, lake: Lake, *, release: str, base: str | None, policy: str) -> str:
    """The page's HTML."""
    with open_tables(work / "winnow.duckdb") as con:
        facts = collect(con)
        sections = families.collect(con)
        calibrated = calibration.collect(con)
        moved, audits = changes.collect(con), audit.collect(con, base)
        taught = learned.collect(con, base)
        shown = clips.load(lake, clips.choose(con))
    total = facts["total"][0] if facts["total"] else None
    return render(
        "report.html.j2",
        release=release,
        base=base,
        policy=policy,
        facts=facts,
        total=total,
        doubts=doubts(facts, audits),
        judged=next((one for one in audits if _is_judged(one)), None),
        scorer=next((row for row in facts["scorers"] if row["decides"] is not None and row["auc"] is not None), None),
        funnel=funnel(facts),
        z=_z(facts),
        scores=charts.histogram(facts["score_bins"]),
        others=_others(facts),
        labels=_labels(facts),
        points=POINTS,
        split_names=[row["split"] for row in facts["splits"]],
        families=sections,
        calibration=calibrated,
        changes=_changes(facts),
        moved=moved,
        audits=audits,
        learned=taught,
        clips=shown,
        gates=_gates(work),
    )


def doubts(facts: Facts, audits: Sequence[audit.Shown]) -> list[str]:
    """What speaks against a release, or is not known of it, in words."""
    (answer,) = facts["answer"]
    deciding = [row for row in facts["scorers"] if row["decides"] is not None]
    found = [
        f"the scorer {row['scorer']} {_doubted(str(row['near_chance']))}"
        + (" and decides all the same" if row["trusted_because"] else "")
        for row in deciding
        if row["near_chance"]
    ]
    if answer["clips"] and not any(row["auc"] is not None for row in deciding):
        found.append("how well its scorer tells pairs apart was not measured")
    if answer["undecided"]:
        found.append(f"{answer['undecided']} of {answer['clips']} clips are undecided")
    if answer["leaks"]:
        found.append(f"{answer['leaks']} groups or pairs of near-duplicates stand in two splits")
    if not any(map(_is_judged, audits)):
        found.append("nobody has judged a sample of it, so its precision is not known")
    return found


def _doubted(rule: str) -> str:
    return f"is not stable ({rule})" if rule.startswith("flipped_share") else "is near chance"


def _is_judged(one: audit.Shown) -> bool:
    return one.totals.get("kept", {}).get("share") is not None


def funnel(facts: Facts) -> list[dict[str, object]]:
    """Steps with their bars, in percent of the widest step of the same unit, and their reasons."""
    widest: dict[str, int] = {}
    for row in facts["funnel"]:
        widest[row["unit"]] = max(widest.get(row["unit"], 0), row["items_in"])
    steps = []
    for row in facts["funnel"]:
        parts = {"kept": row["passed"], "dropped": row["dropped"], "failed": row["failed"]}
        parts |= {"undecided": row["undecided"], "pending": row["pending"]}
        reasons = [reason for reason in facts["reasons"] if reason["step"] == row["step"]]
        steps.append({**row, "bar": charts.shares(parts, widest[row["unit"]]), "reasons": reasons})
    return steps


def _z(facts: Facts) -> charts.Histogram:
    found = [row for row in facts["scores"] if row["measure"] == "z"]
    return charts.histogram(found, threshold=found[0]["threshold"] if found else None, null=True)


def _others(facts: Facts) -> list[dict[str, object]]:
    out = []
    for measure, (title, unit) in MEASURES.items():
        found = [row for row in facts["scores"] if row["measure"] == measure]
        if measure == "z" or not found:
            continue
        high = None if unit == "s" else 1.0
        chart = charts.histogram(found, threshold=found[0]["threshold"], low=0.0, high=high)
        out.append({"measure": measure, "title": title, "unit": unit, "chart": chart})
    return out


def _labels(facts: Facts) -> list[dict[str, object]]:
    most = max((row["clips"] for row in facts["labels"]), default=0)
    by_split: dict[str, dict[str, int]] = {}
    for row in facts["label_splits"]:
        by_split.setdefault(row["label"], {})[row["split"]] = row["clips"]
    return [
        {
            **row,
            "bar": charts.shares({"kept": row["clips_kept"], "dropped": row["clips"] - row["clips_kept"]}, most),
            "splits": by_split.get(row["label"], {}),
        }
        for row in facts["labels"]
    ]


def _changes(facts: Facts) -> dict[str, int]:
    counts = dict.fromkeys(("entered", "left", "moved", "new", "gone", "reason"), 0)
    for row in facts["changes"]:
        counts[row["change"]] = counts.get(row["change"], 0) + row["clips"]
    return counts


def _gates(work: Path) -> list[dict[str, object]]:
    """Results of the release's gate and of its batches'."""
    paths = sorted((work / "gates").glob("*.json"), key=lambda p: (p.name != "release.json", p.name))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]
