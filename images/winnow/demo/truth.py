"""Planted against found: what the published tables say of each thing that the world planted.

The truth is read here and nowhere else: nothing that decides has seen it. A kind is judged by the ends of its videos'
ways (`fct_outcomes`: one per clip, or one per candidate that gave none), and the scorer by how well its score tells
matching clips from mismatched ones (area under the ROC curve: 0.5 is chance, 1 is perfect). Voice-overs and music are
judged by their flags too: how many were heard, how many flags were right, and how many clips came back because what
lay under the voice matches what is seen. Of near-duplicates it is told how many are in a pair with what they were
copied from, by the way in which they were made, and how many pairs of other videos there are. Media and lists as people
really have them are judged in `kinds.py`.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from winnow.core.lake import Lake
from winnow.demo import kinds
from winnow.release import publish, query

KEPT = "kept"
OUTCOMES = """
    select candidates.batch, list_path, list_row, outcomes.url, coalesce(outcomes.reason, 'kept') as reason
    from fct_outcomes as outcomes join fct_candidates as candidates using (batch, candidate_id)
"""
SCORES = "select url, score from fct_clips where score is not null"
FLAGS = """
    select url, status, flag = 1 as is_flagged, is_recycled,
           coalesce(lower(flag_why) like 'speech%', false) as by_speech
    from fct_clips where tagger is not null
"""
LEAKS = """
    select count(*) as leaks from (
        select uploader from fct_clips where status = 'kept' and uploader is not null
        group by uploader having count(distinct split) > 1)
"""
DUPLICATES = "select first_url, second_url, kind from fct_duplicates"


def compare(world: Path, lake: Path) -> dict:
    """Everything that DIR/truth.json holds. `world`: the world's folder; `lake`: the published lake."""
    videos, bad_rows = _read(world / "truth.jsonl"), _read(world / "truth_rows.jsonl")
    store = Lake(lake)
    outcomes, scores = _rows(store, OUTCOMES), _rows(store, SCORES)
    bad = {(row["batch"], row["list_path"], row["list_row"]): row["expected"] for row in bad_rows}
    by_url: dict[str, Counter[str]] = defaultdict(Counter)
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome in outcomes:
        place = (outcome["batch"], outcome["list_path"], outcome["list_row"])
        if place in bad:
            rows[bad[place]][outcome["reason"]] += 1
        else:
            by_url[outcome["url"]][outcome["reason"]] += 1
    return {
        "release": publish.current(store),
        "planted": _kinds(videos, by_url),
        "bad_rows": {
            expected: {"rows": sum(found.values()), "found": found[expected], "otherwise": _others(found, expected)}
            for expected, found in sorted(rows.items())
        },
        "missing_rows": len(bad_rows) - sum(sum(found.values()) for found in rows.values()),
        "auc": _aucs(videos, scores),
        "flags": _flags(videos, _rows(store, FLAGS)),
        "near_duplicates": copies_found(videos, _rows(store, DUPLICATES)),
        "uploaders_in_two_splits": _rows(store, LEAKS)[0]["leaks"],
        "real_world_kinds": kinds.compare(world, lambda sql: _rows(store, sql)),
    }


def _kinds(videos: Sequence[Mapping], by_url: Mapping[str, Counter[str]]) -> dict[str, dict]:
    kinds: dict[str, dict] = {}
    for kind in sorted({v["planted"] or "" for v in videos}):
        members = [v for v in videos if (v["planted"] or "") == kind]
        expected = members[0]["expected"]
        found = sum((by_url.get(v["url"], Counter()) for v in members), Counter())
        kinds[kind or "nothing"] = {
            "videos": len(members),
            "ends": sum(found.values()),
            "expected": expected,
            "found": found[expected],
            "otherwise": _others(found, expected),
            "unseen": sum(v["url"] not in by_url for v in members),
        }
    return kinds


def _others(found: Counter[str], expected: str) -> dict[str, int]:
    return {reason: count for reason, count in sorted(found.items()) if reason != expected}


def _flags(videos: Sequence[Mapping], clips: Sequence[Mapping]) -> dict[str, dict[str, int]]:
    """For voice-overs and for music: clips that hold one, those of them that are flagged, all flags for that reason,
    and those of the flagged ones that are kept, their residual having been scored again."""
    kind = {v["url"]: v["planted"] for v in videos}
    found = {}
    for plant, by_speech in (("voice_over", True), ("music", False)):
        own = [clip for clip in clips if kind.get(clip["url"]) == plant]
        raised = [clip for clip in clips if clip["is_flagged"] and clip["by_speech"] == by_speech]
        found[plant] = {
            "clips": len(own),
            "flagged": sum(clip["is_flagged"] for clip in own),
            "flags": len(raised),
            "right": sum(kind.get(clip["url"]) == plant for clip in raised),
            "recycled": sum(clip["is_recycled"] and clip["status"] == KEPT for clip in own),
        }
    return found


def copies_found(videos: Sequence[Mapping], pairs: Sequence[Mapping]) -> dict[str, object]:
    """Planted copies that are in a pair with their original, by how they were made; and pairs of two videos of which
    neither was copied from the other, nor both from a third."""
    url = {video["video"]: video["url"] for video in videos}
    source = {video["url"]: url.get(video["of"], video["url"]) for video in videos}
    found = {frozenset((pair["first_url"], pair["second_url"])) for pair in pairs}
    ways: dict[str, dict[str, int]] = {}
    for video in videos:
        if video["of"]:
            way = ways.setdefault(str(video.get("copied")), {"planted": 0, "found": 0})
            way["planted"] += 1
            way["found"] += frozenset((video["url"], url[video["of"]])) in found
    others = [one for one in found if len(one) == 2 and len({source.get(each, each) for each in one}) == 2]
    return {"by_way": dict(sorted(ways.items())), "other_videos": len(others)}


def _aucs(videos: Sequence[Mapping], scores: Sequence[Mapping]) -> dict[str, float | int | None]:
    kind = {v["url"]: v["planted"] for v in videos}
    right = {v["url"] for v in videos if v["expected"] == KEPT}
    matched = [row["score"] for row in scores if row["url"] in right]
    found: dict[str, float | int | None] = {"matched_clips": len(matched)}
    for plant in ("mismatch", "voice_over", "music"):
        wrong = [row["score"] for row in scores if kind.get(row["url"]) == plant]
        found[f"{plant}_clips"] = len(wrong)
        found[plant] = None if not wrong or not matched else round(area_under_curve(matched, wrong), 4)
    return found


def area_under_curve(positives: Sequence[float], negatives: Sequence[float]) -> float:
    """Probability that a random positive scores above a random negative, ties counted half (Mann and Whitney, 1947)."""
    wins = sum((p > n) + 0.5 * (p == n) for p in positives for n in negatives)
    return wins / (len(positives) * len(negatives))


def table(found: Mapping) -> str:
    """The comparison as lines for a terminal."""
    lines = [f"{'planted':17}{'videos':>7}{'ends':>6}  {'expected':19}{'found':>6}  otherwise"]
    for kind, row in found["planted"].items():
        others = ", ".join(f"{count} {reason}" for reason, count in row["otherwise"].items())
        note = ""
        if kind == "near_duplicate":
            ways = found["near_duplicates"]["by_way"].values()
            note = f"[{sum(way['found'] for way in ways)} of {sum(way['planted'] for way in ways)} found] "
        if flags := found["flags"].get(kind):
            note = f"[{flags['flagged']} of {flags['clips']} flagged] "
        lines.append(
            f"{kind:17}{row['videos']:>7}{row['ends']:>6}  {row['expected']:19}{row['found']:>6}  {note}{others}"
        )
    total = sum(row["rows"] for row in found["bad_rows"].values())
    right = sum(row["found"] for row in found["bad_rows"].values())
    lines.append(f"bad list rows: {right} of {total} ended with the expected reason")
    auc = found["auc"]
    figures = [
        f"{plant} {auc[plant]:.3f} ({auc[f'{plant}_clips']} clips)"
        for plant in ("mismatch", "voice_over", "music")
        if auc[plant] is not None
    ]
    lines.append(f"AUC of the score, {auc['matched_clips']} matched clips against: {', '.join(figures) or 'nothing'}")
    for plant, flags in found["flags"].items():
        lines.append(
            f"{plant}: {flags['flagged']} of {flags['clips']} clips flagged, {flags['right']} of {flags['flags']} "
            f"flags right, {flags['recycled']} kept after separation"
        )
    copies = found["near_duplicates"]
    told = [f"{way} {row['found']} of {row['planted']}" for way, row in copies["by_way"].items()]
    lines.append(
        f"near-duplicates found: {', '.join(told) or 'none planted'}; pairs of other videos: {copies['other_videos']}"
    )
    lines.append(f"uploaders in two splits: {found['uploaders_in_two_splits']}")
    lines += kinds.lines(found["real_world_kinds"])
    return "\n".join(lines)


def _rows(lake: Lake, sql: str) -> list[dict]:
    return json.loads(query.run(lake, sql, "json"))


def _read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
