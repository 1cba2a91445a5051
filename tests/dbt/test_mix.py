"""A batch of rendered mixtures beside batches of clips: it is in the warehouse, and changes nothing of the dataset."""

from __future__ import annotations

import duckdb

from tests.dbt.conftest import Built
from tests.unit.mixed import mixture


def test_an_admitted_batch_of_mixtures_leaves_the_dataset_as_it_is(release: Built, grown: tuple[Built, Built]) -> None:
    _, built = grown
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
