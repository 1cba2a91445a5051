"""Real-world kinds, planted against found: media and lists as people really have them (tests/world/kinds.py).

Of each kind the truth says what the published tables must say of its address: the windows of its clips, the reason why
it gives none, columns of `fct_clips`, rows and `extra` of `fct_candidates`. A kind is found where all of it holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

#: Times agree to within this, s: a picture of 25 a second.
PICTURE_S = 0.041
TRUTH = "truth_kinds.jsonl"


def compare(world: Path, ask: Callable[[str], list[dict]]) -> list[dict]:
    """A row for each planted kind: `kind`, `what` was planted, whether it was `found`, and `otherwise`, sentences that
    say what the tables have instead. `ask` answers a query to the published tables; [] for a world without kinds."""
    path = world / TRUTH
    planted = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    if not planted:
        return []
    columns = sorted({column for kind in planted for column in kind["expected"]["clip"]} - {"start_s", "end_s"})
    clips = ask(f"select {', '.join(['url', 'start_s', 'end_s', *columns])} from fct_clips order by url, start_s")
    candidates = ask(
        "select url, reason, detail, extra from fct_candidates where reason <> 'duplicate_row' or reason is null"
    )
    found = []
    for kind in planted:
        own = [[row for row in rows if row["url"] == kind["url"]] for rows in (clips, candidates)]
        otherwise = differences(kind["expected"], *own)
        found.append({"kind": kind["kind"], "what": kind["what"], "found": not otherwise, "otherwise": otherwise})
    return found


def differences(expected: Mapping, clips: Sequence[Mapping], candidates: Sequence[Mapping]) -> list[str]:
    """What the tables say otherwise than they must; [] where everything holds."""
    told = []
    windows = [(row["start_s"], row["end_s"]) for row in clips]
    wanted = [tuple(window) for window in expected["windows"]]
    if len(windows) != len(wanted) or any(
        abs(a - b) > PICTURE_S for w, v in zip(windows, wanted, strict=True) for a, b in zip(w, v, strict=True)
    ):
        told.append(f"clips {_spans(windows)}, not {_spans(wanted)}{_why(candidates)}")
    reasons = sorted({str(row["reason"]) for row in candidates})
    if "reason" in expected and reasons != [expected["reason"]]:
        told.append(f"ends as {', '.join(reasons) or 'nothing'}, not {expected['reason']}")
    for column, value in expected["clip"].items():
        seen = [row[column] for row in clips if not _holds(row[column], value)]
        told += [f"{column} is {json.dumps(seen[0])}, not {json.dumps(value)}"] if seen else []
    if len(candidates) != expected.get("candidates", len(candidates)):
        told.append(f"{len(candidates)} candidates, not {expected['candidates']}")
    for key, value in expected.get("extra", {}).items():
        kept = [json.loads(row["extra"] or "{}").get(key) for row in candidates]
        told += [f"extra.{key} is {json.dumps(kept)}, not {json.dumps(value)}"] if kept != [value] else []
    return told


def _holds(found: object, wanted: object) -> bool:
    """Whether a value is the one wanted; a range, or what must not come first, is an object."""
    if not isinstance(wanted, Mapping):
        return found == wanted
    if "not_first" in wanted:
        return isinstance(found, list) and found[:1] != [wanted["not_first"]]
    return isinstance(found, (int, float)) and wanted.get("above", found - 1) < found < wanted.get("below", found + 1)


def _spans(windows: Sequence[tuple[float, float]]) -> str:
    return " and ".join(f"{start:g}–{end:g} s" for start, end in windows) or "none"


def _why(candidates: Sequence[Mapping]) -> str:
    """What became of candidates that gave none or too few, in brackets."""
    found = [": ".join(filter(None, (row["reason"], row["detail"]))) for row in candidates]
    return f" ({'; '.join(found)})" if any(found) else "" if candidates else " (no candidate has its address)"


def lines(found: Sequence[Mapping]) -> list[str]:
    """The comparison for a terminal: one line, and one for each kind that was not found."""
    if not found:
        return []
    missed = [row for row in found if not row["found"]]
    return [
        f"real-world kinds: found {len(found) - len(missed)} of {len(found)} planted",
        *(f"  NOT FOUND {row['kind']} ({row['what']}): {'; '.join(row['otherwise'])}" for row in missed),
    ]
