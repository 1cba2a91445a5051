"""How long the explorer's pages take on a large release, beside bare DuckDB on the same file.

    .venv/bin/python tests/bench/explorer.py [--clips 1000000 10000000] [--quick] [--json] [--asked 20] [--folder DIR]

A synthetic release of so many clips is written by DuckDB; each kind of page is asked for several times, with other
values each time, and after each the bare queries for the rows that it shows are run on the same open file: 95th
percentiles of both, and their ratio, of wall time and (`cpu_ratio`, which other work on the machine does not change) of
this process's CPU time. `ratio_growth` is the ratio over that at the first size. `first_s` is the first page after a
start, which counts the values of the facets once. What a page makes of its rows (counts, HTML, HTTP without a network)
is in its time and not in the reference's. Exit status 1 where a page takes more than LIMIT times its reference and more
than FLOOR_MS.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import duckdb
import httpx
import numpy as np

from tests.bench.figures import show
from tests.unit.filled import ROOT, empty
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.explorer.app import application
from winnow.explorer.context import ExplorerContext
from winnow.explorer.published import Published
from winnow.explorer.view import View

RELEASE = "0123456789ab"
SIZES, QUICK_CLIPS = (1_000_000, 10_000_000), 100_000
ASKED, QUICK_ASKED = 20, 4
LIMIT, FLOOR_MS = 3.0, 100.0

#: u(key) is a number in [0, 1) that belongs to a row; ids are in the order in which a release stores them.
_MACROS = """
create macro u(key) as (hash(key) % 1000000) / 1000000.0;
create macro clip_id(i) as printf('%020x', i * 7919 + 104729);
create macro hex(key) as printf('%016x', hash(key)) || '0000';
"""
_CLIPS = """
insert into fct_clips by name
select
    clip_id(i) as sample_id, hex('v' || i // 4) as video_id, printf('2026-%02d-%02d', 1 + i % 12, 1 + i % 28) as batch,
    hex('k' || i // 4) as candidate_id, 'http://media.world.test/' || i // 4 || '.mp4' as url,
    'clip ' || i || ' of ' || hash(i) % 5000 as title, if(u('l' || i) < .5, 'CC-BY', null) as license,
    ['label ' || hash('c' || i // 4) % 300] as labels, 'label ' || hash('c' || i // 4) % 300 as label,
    if(i % 3 = 0, 'somebody does thing ' || hash(i) % 900, null) as caption, (i % 4) * 10.0 as start_s,
    (i % 4) * 10.0 + 10 as end_s, 10.0 as duration_s, (i % 4) * 10000 as start_ms, true as has_audio,
    u('s' || i) as score, u('z' || i) * 8 - 2 as z, u('z' || i) * 8 - 2 as effective_z, u('q' || i) as silence_ratio,
    u('t' || i) as stillness, 640 as width, 360 as height, (u('f' || i) < .1)::int as flag, false as is_recycled,
    ['/m/0' || hash('m' || i) % 527] as tag_mids, 1000 + i % 100000 as media_bytes,
    case when u('d' || i) < .6 then 'kept' else 'dropped' end as status,
    case when u('d' || i) < .6 then null when u('d' || i) < .8 then 'low_correspondence' when u('d' || i) < .9
        then 'silent' else 'frozen' end as first_failed_rule,
    case when u('d' || i) < .6 then ['train', 'val', 'test'][1 + (hash('p' || i // 4) % 3)::int] end as split
from range({clips}) as t(i)
"""
_OTHERS = """
insert into ops.fct_clip_files by name
    select clip_id(i) as sample_id, 'clip/' || i // 1000 || '.tar' as tar from range({clips}) as t(i);
insert into fct_candidates by name
    select distinct on (batch, candidate_id) batch, candidate_id, 'csv' as source, 'list-' || batch || '.csv' 
        as list_path, 1 as list_row, url from fct_clips order by batch, candidate_id;
insert into fct_duplicates by name
    select clip_id(i * 40) as first_id, clip_id(i * 40 + 7) as second_id, 'both' as kind, 8.0 as length_s, 0.8 as share
    from range({clips} // 40 - 1) as t(i);
insert into fct_removed by name
    select batch, candidate_id, sample_id, 'release' as step, 'rule' as kind, first_failed_rule as reason,
        0.5 as measured from fct_clips where status = 'dropped' order by batch, candidate_id, sample_id;
insert into fct_frame_scores by name
    select clip_id(i // 2) as sample_id, 'bridge' as scorer, 'mixture' as sound, 1 + i % 2 as picture,
        i % 2 + 0.5 as time_s, u(i) as score from range({clips} * 2) as t(i);
insert into avset_clips by name select sample_id from fct_clips where status = 'kept' and u('a' || sample_id) < .5;
"""
_TABLES = {
    "fct_clips": "marts/fct_clips.yml",
    "ops.fct_clip_files": "ops/fct_clip_files.yml",
    "fct_candidates": "marts/fct_candidates.yml",
    "fct_duplicates": "marts/fct_duplicates.yml",
    "fct_removed": "marts/fct_removed.yml",
    "fct_frame_scores": "marts/calibration/fct_frame_scores.yml",
    "avset_clips": "marts/avset/avset_clips.yml",
}
#: The rows that a clip's page shows.
_CLIP = (
    "select c.*, f.* from fct_clips c left join ops.fct_clip_files f using (sample_id) where c.sample_id = '{clip}'",
    "select sample_id, start_s, end_s, status from fct_clips where video_id = '{video}' order by start_ms limit 50",
    "select * from fct_duplicates where first_id = '{clip}' or second_id = '{clip}'",
    "select * from fct_frame_scores where sample_id = '{clip}' order by scorer, sound, picture",
    "select * from fct_candidates where batch = '{batch}' and candidate_id = '{candidate}'",
    "select * from fct_removed where batch = '{batch}' and candidate_id = '{candidate}' and sample_id = '{clip}'",
    "select * from thresholds where point = 'release' order by position",
)


def build(root: Path, clips: int) -> Lake:
    """A lake with one release of so many clips; one that is there is taken as it is."""
    folder = root / "releases" / RELEASE
    if not (folder / "manifest.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "winnow.duckdb").unlink(missing_ok=True)
        with duckdb.connect(str(folder / "winnow.duckdb"), config={"temp_directory": str(root / "scratch")}) as con:
            con.execute(f"create schema ops; {_MACROS}")
            for name, contract in _TABLES.items():
                empty(con, name, contract)
            for statement in [_CLIPS, *_OTHERS.split(";")[:-1]]:
                con.execute(statement.format(clips=clips))
            con.execute(f"create table thresholds as select * from read_csv('{ROOT / 'dbt/seeds/thresholds.csv'}')")
        (root / "releases" / "current").write_text(f"{RELEASE}\n")
        (folder / "manifest.json").write_text("{}")
    return Lake(root)


@dataclass(frozen=True)
class Page:
    """A kind of page: its addresses, each with the bare queries for what it shows."""

    name: str
    draw: Callable[[random.Random], tuple[str, list[str]]]


def pages(published: Published, clips: int) -> list[Page]:
    """The kinds of pages."""

    def clip(rng: random.Random) -> str:
        return f"{rng.randrange(clips) * 7919 + 104729:020x}"

    def grid(name: str, fields: Callable[[random.Random], list[tuple[str, str]]]) -> Page:
        def drawn(rng: random.Random) -> tuple[str, list[str]]:
            view = View.read(fields(rng), published.columns)
            return f"/clips{view.address()}", [view.rows(published.tables, 25).shown()]

        return Page(name, drawn)

    def one(rng: random.Random) -> tuple[str, list[str]]:
        found = clip(rng)
        row = published.clip(found)
        names = {"clip": found, "video": row["video_id"], "batch": row["batch"], "candidate": row["candidate_id"]}
        return f"/clips/{found}", [query.format(**names) for query in _CLIP]

    def values(rng: random.Random) -> tuple[str, list[str]]:
        batch = f"2026-{1 + rng.randrange(12):02d}-07"
        asked = (
            f"select label, count(*) as n from fct_clips where batch = '{batch}' group by 1 order by n desc limit 201"
        )
        return f"/clips/values?facet=label&batch={batch}", [asked]

    def task(rng: random.Random, kind: str = "rate") -> tuple[str, list[str]]:
        return f"/{kind}", [f"select * from fct_clips where sample_id >= '{clip(rng)}' order by sample_id limit 1"]

    return [
        grid("by id", lambda rng: [("after", clip(rng))]),
        grid("table by id", lambda rng: [("after", clip(rng)), ("view", "table")]),
        grid("by z", lambda rng: [("sort", "z"), ("order", "down"), ("after", f"{rng.uniform(0, 6)}~{clip(rng)}")]),
        grid("by date", lambda rng: [("sort", "batch"), ("after", f"2026-0{1 + rng.randrange(9)}-07~{clip(rng)}")]),
        grid("batch, by z", lambda rng: [("batch", f"2026-{1 + rng.randrange(12):02d}-07"), ("sort", "z")]),
        grid("rule", lambda rng: [("rule", rng.choice(["silent", "frozen"])), ("after", clip(rng))]),
        grid("label", lambda rng: [("label", f"label {rng.randrange(300)}")]),
        grid("family, by score", lambda rng: [("family", "avset"), ("sort", "score")]),
        grid("list", lambda rng: [("list", f"list-2026-0{1 + rng.randrange(9)}-07.csv")]),
        grid("range, by z", lambda rng: [("range", f"stillness:{rng.uniform(0, 0.9):.3f}:"), ("sort", "z")]),
        grid("text", lambda rng: [("q", f"thing {rng.randrange(900)}"), ("sort", "z")]),
        Page("values", values),
        Page("clip", one),
        Page("rate", task),
        Page("annotate", lambda rng: task(rng, "annotate")),
    ]


def p95(times: list[float]) -> float:
    """95th percentile, ms."""
    return float(np.percentile(times, 95)) * 1000


async def measure(lake: Lake, clips: int, asked: int) -> AsyncIterator[dict[str, object]]:
    """Figures of each kind of page."""
    settings = Settings(lake=lake.root)
    published = ExplorerContext(lake, settings).releases.current()
    rng = random.Random(7)
    transport = httpx.ASGITransport(app=application(lake, settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://explorer", timeout=600) as client:
        clock = time.perf_counter()
        assert (await client.get("/clips")).status_code == 200
        first_s = time.perf_counter() - clock
        client.cookies.set("winnow_person", "Ann")
        for page in pages(published, clips):
            walls: list[tuple[float, float]] = []
            cpus: list[tuple[float, float]] = []
            for _ in range(asked + 1):
                address, queries = page.draw(rng)
                stops = [(time.perf_counter(), time.process_time())]
                answer = await client.get(address)
                stops.append((time.perf_counter(), time.process_time()))
                assert answer.status_code == 200, (address, answer.text[:500])
                for query in queries:
                    published.tuples(query)
                stops.append((time.perf_counter(), time.process_time()))
                (a, x), (b, y), (c, z) = stops
                walls.append((b - a, c - b))
                cpus.append((y - x, z - y))
            # the first of a kind reads the file, and counts what a process counts once
            page_ms, bare_ms = (p95([pair[n] for pair in walls[1:]]) for n in (0, 1))
            cpu_ratio = p95([pair[0] for pair in cpus[1:]]) / p95([pair[1] for pair in cpus[1:]])
            yield {
                "bench": "explorer",
                "clips": clips,
                "page": page.name,
                "asked": asked,
                "p95_ms": round(page_ms, 1),
                "bare_p95_ms": round(bare_ms, 1),
                "ratio": round(page_ms / bare_ms, 2),
                "cpu_ratio": round(cpu_ratio, 2),
                "first_s": round(first_s, 2),
            }


async def run(options: argparse.Namespace, scratch: Path) -> list[str]:
    """Measure each size and show what is found; the pages that are too slow."""
    slow: list[str] = []
    before: dict[object, float] = {}
    for clips in [QUICK_CLIPS] if options.quick else options.clips:
        lake = build((options.folder or scratch) / str(clips), clips)
        async for figure in measure(lake, clips, options.asked or (QUICK_ASKED if options.quick else ASKED)):
            ratio = float(str(figure["ratio"]))
            growth = ratio / before.setdefault(figure["page"], ratio)
            show({**figure, "ratio_growth": round(growth, 2)}, options.json)
            if ratio > LIMIT and float(str(figure["p95_ms"])) > FLOOR_MS:
                slow.append(f"{figure['page']} at {clips}")
    return slow


def main() -> int:
    """Run, print, and say whether a page is too slow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_CLIPS:,} clips, within 30 s")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--asked", type=int, help="how often each kind of page is asked for")
    parser.add_argument("--folder", type=Path, help="where releases are written, and kept; a temporary one by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as scratch:
        slow = asyncio.run(run(options, Path(scratch)))
    show({"bench": "explorer", "slow": slow}, options.json)
    return 1 if slow and not options.quick else 0


if __name__ == "__main__":
    sys.exit(main())
