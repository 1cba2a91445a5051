"""A batch of rendered mixtures beside batches of clips: it is in the warehouse, and changes nothing of the dataset."""

from __future__ import annotations

from collections.abc import Callable

import duckdb

from tests.dbt.conftest import DAYS, Built, three_days
from tests.dbt.lake import write_batch
from tests.unit.mixed import Mixed, mixture, publish
from tests.unit.signals import moving_square, mp4, sine
from winnow.core.lake import Lake
from winnow.gates import gate_batch


def test_an_admitted_batch_of_mixtures_leaves_the_dataset_as_it_is(
    release: Built, build: Callable[..., Built], lake: Lake
) -> None:
    for seq, (day, candidates) in enumerate(zip(DAYS, three_days(), strict=True)):
        write_batch(lake, day, seq, candidates)
    clips = {name: mp4(moving_square(0.5), sine(0.5, hz, -20)) for name, hz in (("one", 400), ("two", 700))}
    publish(lake, "aaaa", clips, [mixture("one", "two"), mixture("one", "gone")])
    made = Mixed(lake)
    gate_batch([made.batch], release.settings, lake)
    lake.remove("releases/current")  # the release that was made up for it: this build is the lake's first
    built = build(lake)
    assert built.tables() == release.tables()
    assert built.rows(
        "select stage, sum(rows)::int from ops.fct_shards where batch = 'mix-aaaa' group by 1 order by 1"
    ) == [
        ("mix", 1),
        ("mixtures", 2),
    ]
    with duckdb.connect(str(built.work / "dbt/warehouse.duckdb"), read_only=True) as con:
        rows = con.execute("select batch, mixture_id, outcome, n_samples, gain_db from staging.stg_mix").fetchall()
    assert rows == [("mix-aaaa", mixture("one", "two")["mixture_id"], "ok", 7680, 0.0)]
