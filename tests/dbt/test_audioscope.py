"""AudioScope's lists from the rules: windows, splits, labels, mixtures; recomputed here in plain Python."""

from __future__ import annotations

import csv
import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dbt.audioscope_corpus import Listed, give, label, path_of, rate, video_id, write_lists
from tests.dbt.conftest import Built
from winnow import exports
from winnow.core.admitted import batch_heads
from winnow.core.lake import Lake
from winnow.core.sample import clip_id, sid
from winnow.release import snapshot
from winnow.release.dbt_run import run_dbt
from winnow.release.inputs import corpus_files, head_files, input_columns, write_inputs

ROOT = Path(__file__).resolve().parents[2]
SEEDS = ROOT / "dbt" / "seeds"
SPLITS = ("train", "validate", "test")
RATIO = {("validate", "onscreen_only"): 5, ("validate", "offscreen_only"): 5, ("test", "onscreen_only"): 5}
RATIO["test", "offscreen_only"] = 2


def uploader_of(i: int) -> str:
    return f"Uploader {i // 3}"


def given_of(i: int) -> str:
    """The split that a list gives to the uploader of video i."""
    return SPLITS[(i // 3) % 3]


def duration_s(i: int) -> float:
    return 4.0 + 0.5 * (i % 40)


#: Videos whose lists give no clips: 120 of 40 uploaders, some shorter than a window; some without an uploader; of one
#: whom two lists put into two splits; and of 700 whom no list names.
VIDEOS = [
    *(Listed(path_of(f"v{i}"), uploader_of(i) + " " * (i % 2), duration_s(i)) for i in range(120)),
    *(Listed(path_of(f"lone{i}"), None, 12.0) for i in range(3)),
    *(Listed(path_of(f"both{i}"), "of two lists", 9.0) for i in range(3)),
    *(Listed(path_of(f"h{i}"), f"Some {i // 2}", 5.0) for i in range(1400)),
]
MIXIT = [Listed(path_of(f"m{i}"), f"mixit {i}", None, (0.0, 7.5), {"output_offset_s": 1.25}) for i in range(4)]
#: Clips whose list brings a probability, clips whose own score is far above a mismatch's, and two like a mismatch.
PROBABLE = [Listed(path_of(f"p{i}"), f"u{i}", None, (1.5, 6.5), {"coincidence_p": (79 + i) / 100}) for i in range(12)]
SCORED = [Listed(path_of(f"z{i}"), f"s{i}", None, (2.5, 7.5), z=6.0 + i / 100) for i in range(110)]
MISMATCHED = [Listed(path_of(f"bad{i}"), f"b{i}", None, (2.5, 7.5), z=-0.5) for i in range(2)]


def corpus(lake: Lake, order: random.Random | None = None) -> None:
    """Everything that the tests below look at; `order` shuffles rows and leaves their content."""
    rows = [
        *VIDEOS,
        *MIXIT,
        *PROBABLE,
        *SCORED,
        *MISMATCHED,
        Listed(path_of("v8"), uploader_of(8), None, (0.25, 5.25)),
        Listed(path_of("v8"), uploader_of(8), None, (1.0, 6.0)),
    ]
    given_splits = {path_of(f"v{i}"): given_of(i) for i in range(0, 120, 3)}
    given_splits |= {row.path: "test" for row in MIXIT} | {path_of(f"lone{i}"): "test" for i in range(3)}
    given_splits |= {row.path: "validate" for row in [*PROBABLE, *SCORED, *MISMATCHED]}
    given_splits |= {path_of("both0"): "train", path_of("both1"): "validate"}
    if order:
        order.shuffle(rows)
        given_splits = dict(order.sample(list(given_splits.items()), len(given_splits)))
    write_lists(lake, rows)
    give(lake, given_splits)
    for i in range(40, 100):
        label(lake, path_of(f"v{i}"), (0.0, 5.0), "onscreen_only" if i % 3 else "offscreen_only")
    label(lake, path_of("never listed"), (0.0, 5.0), "onscreen_only")
    for i, row in enumerate(PROBABLE):
        label(lake, row.path, row.times, "onscreen_only" if i < 4 else "offscreen_only")
    rate(lake, [(path_of("v39"), (0.0, 5.0), "r1", True, False)])
    rate(lake, [(path_of("v38"), (0.0, 5.0), f"r{n}", True, n == 2) for n in range(3)])
    rate(lake, [(path_of("v37"), (0.0, 5.0), f"r{n}", True, None) for n in range(3)])


@pytest.fixture(scope="module")
def built(build: Callable[..., Built], tmp_path_factory: pytest.TempPathFactory) -> Built:
    lake = Lake(tmp_path_factory.mktemp("audioscope"))
    corpus(lake)
    return build(lake)


def test_windows_are_every_whole_5_s_of_every_video(built: Built) -> None:
    wanted = set()
    for video in VIDEOS:
        duration_ms = round(video.duration_s * 1000)
        wanted |= {(video.path, at, at + 5000) for at in range(0, duration_ms, 1000) if at + 5000 <= duration_ms}
    found = built.rows(
        "select video, start_ms, end_ms, sample_id, video_id from audioscope_clips where in_v2 and start_ms % 1000 = 0"
    )
    assert {row[:3] for row in found} == wanted
    assert len(found) == len(wanted)
    assert all(clip == clip_id(video, start / 1000, end / 1000) for _, start, end, clip, video in found)
    assert all(video == video_id(path) for path, *_, video in found)


def test_listed_clips_are_taken_as_they_are(built: Built) -> None:
    query = "select start_s, end_s, in_v2, in_mixit from audioscope_clips where video = '{}' and start_ms % 1000 != 0"
    assert built.rows(query.format(path_of("v8"))) == [(0.25, 5.25, True, False)]
    mixit = built.rows("select video, start_s, end_s, output_offset_s, in_v2 from audioscope_clips where in_mixit")
    assert sorted(mixit) == sorted((path_of(f"m{i}"), 0.0, 7.5, 1.25, False) for i in range(4))


def test_given_splits_win_and_carry_the_uploaders_other_videos(built: Built) -> None:
    found = dict(built.rows("select distinct video, split from audioscope_clips"))
    for i in range(120):
        if duration_s(i) >= 5:
            assert found[path_of(f"v{i}")] == given_of(i), i
    # The lists put this uploader into train and validate: the later split is his, the video given to train is out.
    assert found[path_of("both0")] is None
    assert found[path_of("both1")] == found[path_of("both2")] == "validate"


def test_other_uploaders_are_hashed_into_the_seeds_shares(built: Built) -> None:
    found = built.rows(
        "select uploader_key, split, count(*) from audioscope_clips where uploader_key like 'some %' group by all"
    )
    with (SEEDS / "audioscope_splits.csv").open(newline="") as file:
        shares = {row["split"]: float(row["share"]) for row in csv.DictReader(file)}
    for uploader, split, clips in found:
        at = int(hashlib.sha256(f"audioscope-split\x1f{uploader}".encode()).hexdigest()[:15], 16) / 16**15
        wanted = next(s for s, upto in zip(shares, _sums(shares.values()), strict=True) if at < upto)
        assert (split, clips) == (wanted, 2), uploader
    assert len(found) == 700
    counts = Counter(split for _, split, _ in found)
    assert len(counts) > 1
    assert abs(counts["train"] / 700 - shares["train"]) < 0.01


def _sums(values) -> list[float]:
    total, out = 0.0, []
    for value in values:
        total += value
        out.append(total)
    return [*out[:-1], 1.0]


def test_no_uploader_crosses_splits(built: Built) -> None:
    crossing = "select uploader_key from audioscope_clips where uploader_key is not null group by 1"
    assert built.rows(f"{crossing} having count(distinct split) > 1") == []


def test_states_of_rated_clips(built: Built) -> None:
    rows = built.rows("select video, state, label, raters, in_corpus from audioscope_ratings")
    found = {video: rest for video, *rest in rows}
    assert found[path_of("v39")] == ["onscreen_only", None, 1, True]
    assert found[path_of("v38")] == ["disagreement", None, 3, True]
    assert found[path_of("v37")] == ["disagreement", None, 3, True]
    assert found[path_of("never listed")] == ["onscreen_only", "onscreen_only", 2, False]
    # A clip of 4.5 s has no window of 5 s, so its rating is of no clip of the corpus.
    assert found[path_of("v41")] == ["onscreen_only", "onscreen_only", 2, False]
    assert found[path_of("v43")] == ["onscreen_only", "onscreen_only", 2, True]
    assert len(found) == 64 + len(PROBABLE)


def test_every_labelled_clip_begins_its_ratio_of_mixtures_and_each_keeps_the_rules(built: Built) -> None:
    clips = {
        row[0]: row[1:]
        for row in built.rows("select sample_id, video, uploader_key, split, label, in_v2 from audioscope_clips")
    }
    mixtures = built.rows(
        "select mixture_id, split, label, clip1_sample_id, clip2_sample_id, clip1_video, clip1_start_s, clip1_end_s,"
        " clip2_video, clip2_start_s, clip2_end_s from audioscope_mixtures where list_version = 'v2'"
    )
    begun = Counter()
    for mixture, split, kind, first, second, video1, start1, end1, video2, start2, end2 in mixtures:
        path, uploader, its_split, its_label, _ = clips[first]
        path2, uploader2, split2, _, in_v2 = clips[second]
        assert first != second
        assert (its_split, its_label, split2, in_v2) == (split, kind, split, True)
        assert (uploader or path) != (uploader2 or path2)
        assert (path, path2) == (video1, video2)
        assert first == clip_id(video_id(video1), start1, end1)
        assert second == clip_id(video_id(video2), start2, end2)
        assert mixture == sid("mixture", "v2", first, second)
        begun[first] += 1
    wanted = {
        clip: RATIO[split, kind]
        for clip, (_, _, split, kind, in_v2) in clips.items()
        if kind and in_v2 and split in ("validate", "test")
    }
    assert dict(begun) == wanted
    assert len({mixture[0] for mixture in mixtures}) == len({mixture[3:5] for mixture in mixtures}) == len(mixtures)
    statistics = built.rows(
        "select split, label, clips, mixtures from rpt_audioscope_statistics where list_version = 'v2'"
    )
    for split, kind, count, made in statistics:
        assert made == count * RATIO.get((split, kind), 0)


def test_mixit_clips_mix_among_themselves(built: Built) -> None:
    rows = built.rows(
        "select clip1_video, clip2_video, clip1_output_offset_s, clip2_output_offset_s"
        " from audioscope_mixtures where list_version = 'mixit'"
    )
    paths = {row.path for row in MIXIT}
    assert {row[0] for row in rows} == paths
    assert {row[1] for row in rows} <= paths
    assert all(row[0] != row[1] and row[2:] == (1.25, 1.25) for row in rows)


def test_agreement_is_krippendorffs(built: Built) -> None:
    """Alpha from its definition: 1 - observed / expected disagreement over pairs within clips and over all pairs."""
    rows = built.rows("select onscreen_yes, onscreen_no from audioscope_ratings where onscreen_yes + onscreen_no > 1")
    values = sum(yes + no for yes, no in rows)
    observed = sum(2 * yes * no / (yes + no - 1) for yes, no in rows) / values
    yes = sum(row[0] for row in rows)
    expected = 2 * yes * (values - yes) / (values * (values - 1))
    [(alpha, compared, clips)] = built.rows(
        "select alpha, clips_compared, clips from rpt_audioscope_agreement"
        " where question = 'onscreen' and split = 'all'"
    )
    assert alpha == pytest.approx(1 - observed / expected, abs=1e-6)
    assert (compared, clips) == (len(rows), 64 + len(PROBABLE))


def test_the_release_has_the_lists_and_an_independent_reader_reads_them(built: Built) -> None:
    folder = built.work / "exports" / "audioscope"
    lists = folder / "audioscope_v2_yfcc100m_clip_lists"
    with (lists / "unfiltered_test_offscreen_unanimous_plus_random_unfiltered_mom_clips.csv").open() as file:
        found = sorted((a, float(b), float(c), d, float(e), float(f)) for a, b, c, d, e, f in csv.reader(file))
    wanted = built.rows(
        "select clip1_video, clip1_start_s, clip1_end_s, clip2_video, clip2_start_s, clip2_end_s"
        " from audioscope_mixtures where list_version = 'v2' and split = 'test' and label = 'offscreen_only'"
    )
    assert found == sorted(wanted)
    assert found
    assert len(list(lists.iterdir())) == 13
    assert (folder / "yfcc100m_clip_lists" / "test_clips.csv").read_text().count(",1.25\n") == 4


def test_same_rows_same_bytes(built: Built, tmp_path: Path) -> None:
    """Other files, another order of rows, one thread; only what AudioScope's tables need is built again."""
    lake = Lake(tmp_path / "lake")
    corpus(lake, random.Random(5))
    out = tmp_path / "dbt"
    files = [*head_files(lake, batch_heads(lake)), *corpus_files(lake)]
    write_inputs(files, out, input_columns())
    reports = [f"+rpt_audioscope_{name}" for name in ("statistics", "agreement")]
    no_tests = ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
    chosen = ["build", "--vars", json.dumps({"split_policy": "hash"}), *no_tests, "--select", *reports]
    run_dbt(chosen, out, built.settings, threads=1)
    tables = [table for table in snapshot.published_tables(out) if "audioscope" in table.name]
    snapshot.export(out / "warehouse.duckdb", tables, tmp_path)
    exports.write("audioscope", tmp_path / "tables", tmp_path / "lists")
    assert len(tables) == 6
    assert [t.name for t in tables if (tmp_path / t.file).read_bytes() != (built.work / t.file).read_bytes()] == []
    lists = built.work / "exports" / "audioscope"
    names = [path.relative_to(lists) for path in lists.rglob("*.csv")]
    assert len(names) == 13 + 13 + 4
    assert [n for n in names if (tmp_path / "lists" / n).read_bytes() != (lists / n).read_bytes()] == []


def test_v1_keeps_coincident_clips_and_mixes_with_offscreen_ones(built: Built) -> None:
    """The first probability of a list is 0.79; the calibrated ones are near 1 for clips whose z is 6 and more."""
    kept = {path for (path,) in built.rows("select video from audioscope_clips where in_v1")}
    assert kept == {row.path for row in PROBABLE[1:]} | {row.path for row in SCORED}
    [(low,)] = built.rows(f"select coincidence_p from audioscope_clips where video = '{MISMATCHED[0].path}'")
    assert low < 0.2
    mixtures = built.rows("select label, clip1_video, clip2_video from audioscope_mixtures where list_version = 'v1'")
    begun = Counter((kind, first) for kind, first, _ in mixtures)
    assert begun == {
        **{("onscreen_only", row.path): 5 for row in PROBABLE[1:4]},
        **{("offscreen_only", row.path): 5 for row in PROBABLE[4:]},
    }
    assert {second for *_, second in mixtures} <= {row.path for row in PROBABLE[4:]}
    assert all(first != second for _, first, second in mixtures)
    name = "filtered_validate_onscreen_unanimous_plus_offscreen_unanimous_mom_clips.csv"
    lines = (built.work / "exports/audioscope/audioscope_yfcc100m_clip_lists" / name).read_text().splitlines()
    assert len(lines) == 15
