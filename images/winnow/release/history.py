"""History: the releases of a lake, what differs between two of them, and which one is in use.

A release is never changed; which one `current` names may be. `use` moves it back or forth by the same
compare-and-swap as a publish, and writes down why. The next `winnow release` builds on the one in use.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.pointer import Pointer
from winnow.release import publish
from winnow.release.current import CURRENT, naming, text_of
from winnow.release.takedown import held

#: Where the lake keeps who was put in use by hand, and why.
CHOSEN = "chosen/releases.json"
#: What is compared.
CLIPS = "tables/fct_clips.parquet"
#: Columns of fct_clips that a comparison does not ask: when it was brought, not what it is.
_PASSING = ("batch", "candidate_id")


def listed(lake: Lake) -> list[dict[str, Any]]:
    """Every release, in the order of publishing: id, whether it is in use, when, on which it was built, how many clips
    it keeps, how many of these were taken down since, how many batches, bytes of its files."""
    current, found = publish.current(lake), []
    for release in publish.releases(lake):
        manifest = publish.manifest(lake, release)
        found.append(
            {
                "release": release,
                "in_use": release == current,
                "published_at": manifest.get("published_at"),
                "before": manifest.get("before"),
                "kept": _kept(lake, release),
                "batches": len(manifest.get("batches", {})),
                "bytes": sum(entry["bytes"] for entry in manifest.get("files", {}).values()),
                "taken_down": held(lake, release),
            }
        )
    return sorted(found, key=lambda row: (row["published_at"] or "", row["release"]))


def shown(lake: Lake, release: str | None) -> dict[str, Any]:
    """One release: what `listed` says, its splits, policy, batches, models, and when it was put in use by hand."""
    found = publish.resolve(lake, release)
    manifest = publish.manifest(lake, found)
    (row,) = (one for one in listed(lake) if one["release"] == found)
    path = publish.file(lake, found, CLIPS)
    splits: dict[str, int] = {}
    if path is not None:
        query = "SELECT split, count(*) FROM read_parquet(?) WHERE status = 'kept' GROUP BY 1 ORDER BY 1"
        splits = dict(_rows(query, path))
    return {
        **row,
        "splits": splits,
        "policy": manifest.get("policy"),
        "winnow": manifest.get("winnow"),
        "batches": sorted(manifest.get("batches", {})),
        "models": manifest.get("models", []),
        "folder": publish.address(lake, found),
        "chosen": [one for one in chosen(lake) if found in (one["release"], one["before"])],
    }


def compared(lake: Lake, first: str, second: str, rows: bool = False) -> dict[str, Any]:
    """What the second release keeps otherwise than the first: clips that came in (by why they were not kept before),
    went out (by why they no longer are), and changed (by column, where a column differs); `rows` names each. The
    clips kept add up: kept in the first + in - out = kept in the second, else ContractError."""
    ids = [publish.resolve(lake, one) for one in (first, second)]
    paths = [publish.folder(lake, one, (CLIPS,)) / CLIPS for one in ids]
    for path in paths:
        if not path.is_file():
            raise ContractError(f"{path} is not there: this release has no clips to compare")
    columns = [set(_columns(path)) for path in paths]
    same = sorted((columns[0] & columns[1]) - {"sample_id", "status", "first_failed_rule", "detail", *_PASSING})
    differs = "[" + ", ".join(f"if(a.{name} IS DISTINCT FROM b.{name}, '{name}', NULL)" for name in same) + "]"
    query = f"""
        WITH a AS (SELECT * FROM read_parquet(?)), b AS (SELECT * FROM read_parquet(?)),
        both_sides AS (
            SELECT coalesce(a.sample_id, b.sample_id) AS sample_id,
                coalesce(a.status, 'absent') AS was, coalesce(b.status, 'absent') AS now,
                a.first_failed_rule AS rule_was, b.first_failed_rule AS rule_now,
                list_filter({differs}, lambda x: x IS NOT NULL) AS columns
            FROM a FULL JOIN b ON a.sample_id = b.sample_id
        )
        SELECT sample_id,
            CASE WHEN was != 'kept' AND now = 'kept' THEN 'in' WHEN was = 'kept' AND now != 'kept' THEN 'out'
                WHEN was = 'kept' AND len(columns) > 0 THEN 'changed' WHEN was = 'kept' THEN 'same'
                WHEN rule_was IS DISTINCT FROM rule_now OR was != now THEN 'reason' ELSE 'neither' END AS change,
            CASE WHEN was != 'kept' AND now = 'kept' THEN coalesce(rule_was, was) ELSE coalesce(rule_now, now)
                END AS reason,
            columns
        FROM both_sides ORDER BY sample_id"""
    found: dict[str, Any] = {"first": ids[0], "second": ids[1]}
    for name in ("in", "out", "changed"):
        found[name] = {"clips": 0, "by_reason" if name != "changed" else "by_column": {}}
    listed_rows, same_count, other = [], 0, 0
    for sample_id, change, reason, changed in _rows(query, *paths):
        if change in ("in", "out"):
            found[change]["clips"] += 1
            found[change]["by_reason"][reason] = found[change]["by_reason"].get(reason, 0) + 1
        elif change == "changed":
            found["changed"]["clips"] += 1
            for name in changed:
                found["changed"]["by_column"][name] = found["changed"]["by_column"].get(name, 0) + 1
        same_count += change == "same"
        other += change == "reason"
        if rows and change in ("in", "out", "changed"):
            listed_rows.append(
                {
                    "sample_id": sample_id,
                    "change": change,
                    **({"columns": changed} if change == "changed" else {"reason": reason}),
                }
            )
    kept = [_kept(lake, one) for one in ids]
    if kept[0] + found["in"]["clips"] - found["out"]["clips"] != kept[1]:
        raise ContractError(f"{ids[0]} and {ids[1]} do not add up ({kept}): run `winnow verify --release` on both")
    found |= {"kept": {"first": kept[0], "second": kept[1], "same": same_count}, "dropped_otherwise": other}
    return found | ({"rows": listed_rows} if rows else {})


def use(lake: Lake, release: str, why: str) -> dict[str, Any]:
    """Put a release in use. ConfigError without a reason, ContractError for a release that is not whole, StaleWriter
    when another process published or chose meanwhile."""
    if not why.strip():
        raise ConfigError("say why this release is put in use: --why TEXT")
    since, notes = Pointer(lake, CURRENT), Pointer(lake, CHOSEN)
    before, token = naming(lake.read_or_none(CURRENT))
    found = publish.resolve(lake, release)
    publish.folder(lake, found)
    if before == found:
        return {"release": found, "before": before, "already": True}
    again = f"winnow releases use {release} --why …"
    entry = {
        "release": found,
        "before": before,
        "why": why.strip(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    earlier = chosen(lake)
    if earlier and all(earlier[-1][name] == entry[name] for name in ("release", "before", "why")):
        del earlier[-1]  # noted by a command that was killed before it moved `current`
    _write(notes, [*earlier, entry], again)
    try:
        since.move(text_of(found, token), again)
    except BaseException:
        _write(Pointer(lake, CHOSEN), earlier, again)
        raise
    return {"release": found, "before": before, "already": False, "until": "the next `winnow release`"}


def chosen(lake: Lake) -> list[dict[str, Any]]:
    """Every time that somebody put a release in use, oldest first."""
    said = lake.read_json(CHOSEN, "remove it: what was put in use by hand, and why, is lost")
    return list(said["chosen"]) if said else []


def _write(pointer: Pointer, entries: list[dict[str, Any]], again: str) -> None:
    pointer.move((json.dumps({"chosen": entries}, indent=1, sort_keys=True) + "\n").encode(), again)


def _kept(lake: Lake, release: str) -> int:
    path = publish.file(lake, release, CLIPS)
    if path is None:
        return 0
    [(count,)] = _rows("SELECT count(*) FROM read_parquet(?) WHERE status = 'kept'", path)
    return int(count)


def _columns(path: Path) -> list[str]:
    return [row[0] for row in _rows("DESCRIBE SELECT * FROM read_parquet(?)", path)]


def _rows(query: str, *paths: Path) -> list[tuple[Any, ...]]:
    import duckdb

    with duckdb.connect() as con:
        return con.execute(query, [str(path) for path in paths]).fetchall()
