"""The clips that the report plays: some of what was kept, and of each rule some of what it dropped.

A table of reasons says how many; only looking and listening says whether the reasons are right. The choice is fixed by
the data (no chance): of the kept ones the best score of each of several labels and the one nearest the threshold; of
the dropped ones a round over the rules, then more of the rules that dropped most; of one rule the clip with the best
score, then the one with the worst, then those between. A recycled clip's score is its residual's, and the page says
that it plays what was recorded. Clips are put into the page as data URIs, so their number and bytes are bounded.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.report.data import rows

if TYPE_CHECKING:
    import duckdb

COUNT = 12
KEPT = 6
#: Bytes of all clips together and of one, before base64 (which adds a third).
MAX_BYTES = 7_000_000
MAX_CLIP_BYTES = 1_500_000

_FIELDS = """
    select c.sample_id, c.status, c.first_failed_rule as rule, c.detail, c.title, c.uploader, c.url, c.label, a.name,
        c.split, c.start_s, c.end_s, c.duration_s, c.is_recycled, if(c.is_recycled, c.residual_z, c.z) as judged_z,
        c.media_bytes, f.tar
    from fct_clips c join ops.fct_clip_files f using (sample_id)
        left join audioset_classes a on a.mid = c.label
    where c.media_bytes <= ? and c.status = ?
"""
_KEPT = f"""{_FIELDS}
    qualify row_number() over (partition by c.label order by judged_z desc, c.sample_id) = 1
    order by judged_z desc, c.sample_id
"""
_NEAREST = _FIELDS + " order by judged_z, c.sample_id limit 1"
_DROPPED = f"""
    select *,
        row_number() over (partition by rule order by judged_z desc nulls last, sample_id) as best,
        count(*) over (partition by rule) as of_rule
    from ({_FIELDS})
    qualify best <= {COUNT} or best = of_rule
    order by best
"""


@dataclass(frozen=True)
class Shown:
    """One clip on the page."""

    about: dict[str, object]
    uri: str


def choose(con: duckdb.DuckDBPyConnection) -> list[dict[str, object]]:
    """Which clips to show, kept ones first, at most `COUNT`."""
    nearest = rows(con, _NEAREST, [MAX_CLIP_BYTES, "kept"])
    ids = {row["sample_id"] for row in nearest}
    kept = [row for row in rows(con, _KEPT, [MAX_CLIP_BYTES, "kept"]) if row["sample_id"] not in ids]
    kept = kept[: KEPT - len(nearest)] + nearest
    by_rule: dict[str, list[dict]] = defaultdict(list)
    for row in rows(con, _DROPPED, [MAX_CLIP_BYTES, "dropped"]):
        by_rule[row["rule"]].append(row)
    order = {row["rule"]: row["position"] for row in rows(con, "select rule, position from thresholds")}
    room = COUNT - len(kept)
    picks = dict.fromkeys(sorted(by_rule, key=lambda rule: (order.get(rule, 99), str(rule)))[:room], 1)
    for _ in range(room - len(picks)):
        if more := [rule for rule, n in picks.items() if n < len(by_rule[rule])]:
            picks[max(more, key=lambda rule: by_rule[rule][0]["of_rule"] / (picks[rule] + 1))] += 1
    return kept + [row for rule, n in picks.items() for row in spread(by_rule[rule])[:n]]


def spread(found: list[dict]) -> list[dict]:
    """First, last, then the rest: the two ends say most."""
    return found if len(found) < 3 else [found[0], found[-1], *found[1:-1]]


def load(lake: Lake, chosen: list[dict[str, object]]) -> list[Shown]:
    """The chosen clips with their bytes, as long as they fit; a clip whose tar is gone is left out."""
    from winnow.core.shard_tar import ShardTar

    shown, used = [], 0
    for row in chosen:
        try:
            with lake.local(str(row["tar"])) as path:
                members = ShardTar(path)
                try:
                    data = members.read(f"{row['sample_id']}.mp4")
                finally:
                    members.close()
        except (FileNotFoundError, ContractError):
            continue
        if used + len(data) > MAX_BYTES:
            continue
        used += len(data)
        shown.append(Shown(row, "data:video/mp4;base64," + base64.b64encode(data).decode()))
    return shown
