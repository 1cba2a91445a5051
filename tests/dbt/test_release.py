"""A whole release over a small lake: what it says of each sample, that it adds up, that its bytes follow from rows."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable

import pyarrow.parquet as pq
import pytest

from tests.dbt import fates
from tests.dbt.conftest import DAYS, Built, three_days
from tests.dbt.fates import SHARES
from tests.dbt.lake import Candidate, write_batch
from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.release.build import release_key
from winnow.release.steps import Draft
from winnow.splits.groups import apportion


def test_every_candidate_and_clip_gets_its_first_reason(fated: Built) -> None:
    """The truth table: one candidate for each fate, several reasons at once for the order of the rules."""
    # A bad row's id follows from its place in the list.
    told = {**fates.TOLD, "ingest failed missing_url": Candidate("a", bad_row="missing_url", row=0)}
    ends = {
        (b, c): f"{step} {status} {reason}"
        for b, c, step, status, reason in fated.rows(
            "SELECT batch, candidate_id, step, status, reason FROM fct_outcomes"
        )
    }
    assert {name: ends.pop((DAYS[0], c.id)) for name, c in told.items()} == {name: name for name in told}
    assert ends.pop((DAYS[0], fates.NAN.id)) == "release dropped unmeasured"
    assert ends.pop((DAYS[0], fates.AT_THRESHOLD.id)) == "release kept None"
    assert ends.pop((DAYS[1], fates.AGAIN.id)) == "release dropped duplicate_clip"
    assert ends.pop((DAYS[1], fates.COPY.id)) == "release dropped duplicate_media"
    others = [(DAYS[0], [*fates.OWNED, *fates.flagged()]), (DAYS[1], [fates.TORN, fates.NEW, *fates.scored()])]
    assert set(ends) == {(day, c.id) for day, candidates in others for c in candidates}
    ids = ", ".join(f"'{c.id}'" for c in told.values())
    details = dict(
        fated.rows(
            f"SELECT first_failed_rule, detail FROM fct_clips WHERE status = 'dropped' AND candidate_id IN ({ids})"
        )
    )
    assert details["low_correspondence"] == "effective_z 1.6 < 1.645 sigma"
    assert details["unmeasured"] == "visual: undecodable"
    assert details["quarantined"] == "probe: stillness_is_a_ratio, blackness_is_a_ratio"
    y = fates.clip_of("y")
    (measured,) = fated.rows(f"SELECT stillness, black_ratio, z, duration_s FROM fct_clips WHERE sample_id = '{y}'")
    assert measured == (None, None, 5.0, 10.0), "no value of a row that was set aside is published"
    assert fated.rows("SELECT sum(abs(unexplained)) FROM rpt_funnel") == [(0,)]


def test_a_scorer_near_chance_decides_nothing(fated: Built) -> None:
    """What no other rule drops is undecided; unless somebody said why that scorer decides; and everything adds up."""
    titles = ", ".join(f"'{name}'" for name in fates.SCORED)
    found = {
        title: said
        for title, *said in fated.rows(
            f"SELECT title, status, first_failed_rule FROM fct_clips WHERE title IN ({titles})"
        )
    }
    assert found == {name: fate for name, (_, fate) in fates.SCORED.items()}
    assert fated.rows("SELECT DISTINCT model, detail FROM fct_clips WHERE status = 'undecided' ORDER BY ALL") == [
        ("lucky", "p_value 0.05 > 0.01 of scorer lucky"),
        ("near", "auc_low 0.45 <= 0.5 of scorer near"),
    ]
    assert fated.rows("SELECT sum(undecided), sum(abs(unexplained)) FROM rpt_funnel") == [(4, 0)]
    assert fated.rows("SELECT items FROM rpt_reasons WHERE status = 'undecided'") == [(4,)]
    assert fated.rows("SELECT kind, flipped_share, count(*) FROM rpt_stability GROUP BY ALL ORDER BY kind") == [
        ("left_out", 0.05, len(fates.CARDS)),
        ("other_folds", None, len(fates.CARDS)),
    ]
    undecided = "(SELECT sample_id FROM fct_clips WHERE status = 'undecided')"
    for table in ("splits", "removed_clips", "fct_removed"):
        assert fated.rows(f"SELECT count(*) FROM {table} WHERE sample_id IN {undecided}") == [(0,)], table


def test_a_clip_that_would_join_two_splits_is_dropped_by_that_rule(fated: Built) -> None:
    """The second day's video has the file of one uploader's group and the uploader of another's, in another split."""
    assert fated.rows(f"SELECT status, reason FROM fct_outcomes WHERE candidate_id = '{fates.TORN.id}'") == [
        ("dropped", "joins_two_splits")
    ]
    splits = fated.rows("SELECT DISTINCT uploader_key, split FROM splits WHERE uploader_key IS NOT NULL")
    assert (len(splits), dict(splits)) == (len(fates.SPLIT), fates.SPLIT)
    assert fated.rows("SELECT count(*), count(DISTINCT group_id) FROM splits WHERE uploader_key = 'u0'") == [(2, 1)]


def test_the_funnel_adds_up_and_covers_everything(release: Built) -> None:
    funnel = release.rows(
        "SELECT batch, step, items_in, passed, failed, dropped, pending, unexplained FROM rpt_funnel ORDER BY ALL"
    )
    assert len(funnel) == 6 * len(DAYS)
    assert all(row[-1] == 0 and row[2] == sum(row[3:7]) for row in funnel)
    listed = Counter({day: len(candidates) for day, candidates in zip(DAYS, three_days(), strict=True)})
    assert Counter({row[0]: row[2] for row in funnel if row[1] == "ingest"}) == listed
    assert (
        sum(row[3] for row in funnel if row[1] == "release") == release.rows("SELECT count(*) FROM splits")[0][0] > 20
    )
    assert (
        sum(row[4] + row[5] + row[6] for row in funnel) + release.rows("SELECT count(*) FROM splits")[0][0]
        == (release.rows("SELECT count(*) FROM fct_outcomes")[0][0])
    )


def test_statistics_are_what_plain_python_counts(release: Built) -> None:
    clips = release.rows("SELECT sample_id, video_id, split, start_ms, end_ms FROM fct_clips WHERE status = 'kept'")
    spoken = {"all": clips, **{s: [c for c in clips if c[2] == s] for s in {c[2] for c in clips}}}
    found = {
        r[0]: r[1:]
        for r in release.rows("SELECT split, clips, videos, clip_ms, unique_ms FROM rpt_statistics WHERE label = 'all'")
    }
    for split, members in spoken.items():
        seconds = {(c[1], t) for c in members for t in range(c[3], c[4], 500)}
        assert found[split] == (
            len(members),
            len({c[1] for c in members}),
            sum(c[4] - c[3] for c in members),
            500 * len(seconds),
        )


def test_the_same_rows_give_the_same_bytes(release: Built, build: Callable[..., Built], lake: Lake) -> None:
    """One thread, other shards, made one table a stage, lists in another order, batches written in another order."""
    days = [(seq, day, candidates) for seq, (day, candidates) in enumerate(zip(DAYS, three_days(), strict=True))]
    for seq, day, candidates in reversed(days):
        readable = [c for c in candidates if not c.bad_row]
        random.Random(seq).shuffle(readable)
        # Bad rows are named by their place in the list, which stays.
        shuffled = iter(readable)
        listed = [c if c.bad_row else next(shuffled) for c in candidates]
        write_batch(lake, day, seq, listed, shard_size=3, compacted=True)
    other = build(lake, threads=1)
    mine, theirs = release.tables(), other.tables()
    assert set(mine) == set(theirs)
    assert len(mine) >= 10
    rows_in_list = {"fct_candidates"}
    assert [name for name in mine if mine[name] != theirs[name] and name not in rows_in_list] == []
    columns = [c for c in pq.read_schema(other.work / "tables/fct_candidates.parquet").names if c != "list_row"]
    tables = [pq.read_table(b.work / "tables/fct_candidates.parquet", columns=columns) for b in (release, other)]
    assert tables[0].equals(tables[1])


@pytest.mark.fault(
    "two at once", "`winnow curate` beside `winnow release`", "it holds what stood when it began; the next one the rest"
)
@pytest.mark.fault("a clock set ahead and back", "release", "the next one is what it is after one under a right clock")
def test_a_batch_admitted_beside_a_release_is_in_the_next_one(grown: tuple[Built, Built]) -> None:
    first, last = grown
    assert first.rows("SELECT batch, count(*) FROM fct_candidates GROUP BY ALL") == [(DAYS[0], len(three_days()[0]))]
    assert first.rows("SELECT DISTINCT batch FROM ops.fct_shards") == [(DAYS[0],)]
    assert first.rows("SELECT sum(abs(unexplained)) FROM rpt_funnel") == [(0,)]
    assert Draft.read(first.work, "hash").key is None, "remembered as all that there is, it would stop the next one"
    assert [batch for (batch,) in last.rows("SELECT DISTINCT batch FROM fct_candidates ORDER BY ALL")] == [*DAYS]


def test_the_last_release_does_not_depend_on_which_ran(release: Built, grown: tuple[Built, Built]) -> None:
    """After the first day and then all three: the same as all three at once; and what changed is told. What is said of
    shards is the same too, whether a batch's head names them or one table of them."""
    first, last = grown
    assert last.tables() == release.tables()
    for table in ("fct_shards", "dim_batches", "fct_clip_files", "rpt_fetch_failures", "fct_batch_rules"):
        query = f"SELECT * FROM ops.{table} WHERE batch IN {DAYS} ORDER BY ALL"
        assert last.rows(query) == release.rows(query) != [], table
    assert release.rows("SELECT count(*) FROM ops.rpt_changes") == [(0,)]
    entered = last.rows("SELECT count(*) FROM ops.rpt_changes WHERE change = 'entered'")[0][0]
    kept = [built.rows("SELECT count(*) FROM splits")[0][0] for built in (first, last)]
    assert entered == kept[1] - kept[0] > 0
    assert last.rows("SELECT count(*) FROM ops.rpt_changes WHERE change IN ('moved', 'left')") == [(0,)]


def test_quota_is_exact_per_category(build: Callable[..., Built], lake: Lake) -> None:
    sizes = {"dog": 23, "bell": 10, "rain": 7}
    days = [
        [Candidate(f"{label}{n}", labels=(label,)) for label, size in sizes.items() for n in range(size)][k::2]
        for k in range(2)
    ]
    for seq, candidates in enumerate(days):
        write_batch(lake, DAYS[seq], seq, candidates)
    built = build(lake, policy="quota")
    found = {
        (label, split): n for label, split, n in built.rows("SELECT label, split, count(*) FROM splits GROUP BY ALL")
    }
    for label, size in sizes.items():
        assert [found[label, s] for s in SHARES] == apportion(size, list(SHARES.values()))


def test_what_users_see_names_no_folder_and_holds_every_table(release: Built) -> None:
    tables = {
        f"{schema}.{name}" for schema, name in release.rows("SELECT schema_name, table_name FROM duckdb_tables()")
    }
    files = {f"main.{p.stem}" for p in (release.work / "tables").iterdir()} | {
        f"ops.{p.stem}" for p in (release.work / "ops").iterdir()
    }
    assert tables == files
    assert release.rows("SELECT count(*) FROM duckdb_views() WHERE NOT internal") == [(0,)]
    assert release.rows("SELECT table_name FROM duckdb_tables() WHERE comment IS NULL") == []
    for folder in (release.lake.root, release.work):
        for table in sorted(tables):
            assert release.rows(f"SELECT count(*) FROM {table} AS t WHERE contains(t::VARCHAR, '{folder}')") == [
                (0,)
            ], table


def test_without_an_admitted_batch_there_is_nothing_to_release(build: Callable[..., Built], lake: Lake) -> None:
    with pytest.raises(ContractError, match="winnow gate"):
        build(lake)


def test_the_release_key_follows_from_content(lake: Lake, release: Built) -> None:
    write_batch(lake, DAYS[0], 0, three_days()[0])
    settings = release.settings
    key = release_key(lake, settings)
    assert re.fullmatch("[0-9a-f]{12}", key)
    assert key == release_key(lake, settings)
    assert key != release_key(lake, settings, "quota")
    write_batch(lake, DAYS[1], 1, three_days()[1])
    assert key != release_key(lake, settings)
