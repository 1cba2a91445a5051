"""The release gate: what stands between a built release and its readers.

It reads the private snapshot that dbt's tables were exported to, exactly what would be published, and looks at key
columns and at statements over several tables. dbt's own tests have run by then; this is the second pair of eyes at the
door.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

from winnow.core.errors import GateFailed
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.gates.results import GateResult
from winnow.gates.suites import load_suites, suites_digest

BOUNDARY = "release"


def gate_release(
    work: Path, lake: Lake, settings: Settings, *, subject: str, policy: str = "hash"
) -> dict[str, object]:
    """Gate the release that lies in `work` (winnow.duckdb); write `work/gates/`, and the page to
    `<lake>/gates/release/` too, where it stays when the gate fails; GateFailed when a rule does not hold.

    Returns {"rules", "page"}. The page shows the release's gate and those of its batches.
    """
    from winnow.report.gate_page import gate_page

    result, batches = check_release(work / "winnow.duckdb", settings, subject, policy)
    folder = work / "gates"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "release.json").write_text(
        json.dumps(result.to_json(), indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    results = [result.to_json()]
    for batch in batches:
        key = f"gates/{batch}/result.json"
        found = lake.read_json(key, f"remove it and batches/{batch}.json, then run `winnow gate --batch {batch}`")
        if found is not None:
            (folder / f"batch-{batch}.json").write_bytes(lake.read(key))
            results.append(found)
    html = gate_page(results)
    (folder / "index.html").write_text(html, encoding="utf-8")
    lake.write("gates/release/index.html", html.encode())
    page = lake.full("gates/release/index.html")
    if not result.passed:
        raise GateFailed(result.message(page))
    return {"rules": result.counts[1], "page": page}


def check_release(snapshot: Path, settings: Settings, subject: str, policy: str) -> tuple[GateResult, list[str]]:
    """Run the release suites over a snapshot; the result, and the keys of the snapshot's batches. Imports Great
    Expectations (seconds)."""
    import duckdb

    from winnow.gates.validate import validate

    values = {"splits": split_names(settings)}
    with duckdb.connect(str(snapshot), read_only=True) as con:
        con.execute("SET VARIABLE policy = ?", [policy])
        results = [validate(s, con.sql(s.frame).df(), values) for s in load_suites(settings.dbt_dir, BOUNDARY)]
        batches = [batch for (batch,) in con.execute("SELECT batch FROM ops.dim_batches ORDER BY seq").fetchall()]
    return GateResult(BOUNDARY, subject, suites_digest(settings.dbt_dir, BOUNDARY), tuple(results)), batches


def split_names(settings: Settings) -> list[str]:
    """Names of the splits, in the order of seeds/split_shares.csv."""
    with (Path(settings.dbt_dir) / "seeds" / "split_shares.csv").open(encoding="utf-8", newline="") as file:
        return [row["split"] for row in csv.DictReader(file)]
