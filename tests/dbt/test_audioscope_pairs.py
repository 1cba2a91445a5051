"""How mixtures are paired (macro audioscope_pairs), over many random corpora at once and without dbt."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import duckdb
import jinja2
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[2]
MACROS = jinja2.Environment().from_string((ROOT / "dbt" / "macros" / "audioscope.sql").read_text()).module
CORPORA = 300


class Clip(NamedTuple):
    """A clip of one of the random corpora, which are told apart by what stands for a list version."""

    version: str
    split: str
    owner: str
    video: str
    id: str


def random_corpus(number: int) -> tuple[list[Clip], list[tuple[Clip, int]]]:
    """A pool of clips, and first clips with their ratios: some of the pool, and one that is not in it."""
    rng = random.Random(number)
    pool: list[Clip] = []
    for split in ["test", "validate"][: rng.randint(1, 2)]:
        for owner in range(rng.randint(1, 5)):
            for video in range(rng.randint(1, 3)):
                about = (f"c{number}", split, f"{split}-{owner}", f"{split}-{owner}-{video}")
                pool += [Clip(*about, f"{number}-{about[3]}-{n}") for n in range(rng.randint(1, 4))]
    firsts = rng.sample(pool, rng.randint(0, len(pool)))
    firsts.append(Clip(f"c{number}", "test", "not in the pool", "w", f"{number}-w-0"))
    return pool, [(clip, rng.randint(0, 6)) for clip in firsts]


def pairs(pool: list[Clip], firsts: list[tuple[Clip, int]], seed: int = 0, threads: int = 2) -> list[tuple]:
    """What the macro makes of them: list_version, split, label, position, clip 1, clip 2; ordered."""
    columns = dict(
        zip(("list_version", "split", "owner", "video_id", "sample_id"), zip(*pool, strict=True), strict=True)
    )
    clips = pa.table(columns | {"start_ms": [int(c.id[-1]) for c in pool], "end_ms": [9] * len(pool)})
    wanted = pa.table(
        {
            "list_version": [c.version for c, _ in firsts],
            "split": [c.split for c, _ in firsts],
            "label": ["on"] * len(firsts),
            "ratio": pa.array([ratio for _, ratio in firsts], pa.int32()),
            "owner": [c.owner for c, _ in firsts],
            "sample_id": [c.id for c, _ in firsts],
        }
    )
    with duckdb.connect(config={"threads": threads}) as con:
        con.register("pool", clips)
        con.register("firsts", wanted)
        return con.execute(f"SELECT * FROM ({MACROS.audioscope_pairs('firsts', 'pool', seed)}) ORDER BY ALL").fetchall()


def test_pairs_of_any_corpus_keep_the_rules() -> None:
    corpora = [random_corpus(number) for number in range(CORPORA)]
    pool = [clip for clips, _ in corpora for clip in clips]
    firsts = [first for _, some in corpora for first in some]
    made = pairs(pool, firsts)
    by_first: dict[str, list[tuple[int, str]]] = {clip.id: [] for clip, _ in firsts}
    for version, split, kind, position, first, second in made:
        assert (kind, version) == ("on", f"c{first.split('-')[0]}")
        assert first.split("-")[1] in (split, "w")
        by_first[first].append((position, second))
    for clips, some in corpora:
        for clip, ratio in some:
            others = {c.id for c in clips if c.split == clip.split and c.owner != clip.owner}
            seconds = [second for _, second in by_first[clip.id]]
            assert len(seconds) == min(ratio, len(others))
            assert set(seconds) <= others
            assert len(set(seconds)) == len(seconds)
            assert [position for position, _ in by_first[clip.id]] == list(range(1, len(seconds) + 1))
    assert len(made) > 5000
    rng = random.Random(0)
    rng.shuffle(pool)
    rng.shuffle(firsts)
    assert pairs(pool, firsts, threads=1) == made


def test_another_seed_draws_other_pairs_and_every_clip_is_drawn_as_often() -> None:
    """600 first clips that draw 5 of 40: each is drawn 75 times, give or take 5 deviations of 8.1."""
    pool = [Clip("v2", "test", f"o{n}", f"v{n}", f"v{n}-{n % 2}") for n in range(40)]
    firsts = [(Clip("v2", "test", f"first {n}", f"w{n}", f"w{n}-0"), 5) for n in range(600)]
    made = pairs(pool, firsts)
    drawn = Counter(row[5] for row in made)
    assert len(drawn) == 40
    assert all(35 <= count <= 115 for count in drawn.values()), drawn
    other = pairs(pool, firsts, seed=1)
    assert len(other) == len(made) == 3000
    assert sum(a == b for a, b in zip(made, other, strict=True)) < 300
