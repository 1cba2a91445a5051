"""AVE, VGGSound-AVEL and LLP in a release: labels that count, sets, splits without leaks, half sets."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests import needs
from tests.dbt.conftest import Built
from winnow.annotations.avel_splits import ave_key
from winnow.annotations.segment_labels import read_labels, segment_label
from winnow.batch.ingest import ingest
from winnow.core import corpus_table
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.exports import read_avel

ANNOTATIONS = needs.DATA / "ave" / "Annotations.txt"
BATCH = "2026-11-01"
SPLITS = ("train", "val", "test")
#: Rows of AVE's order files, and the videos that they put into two splits (VGGSound-AVEL specification, section 2).
ORDERS = {"train": 3339, "val": 402, "test": 402}
LEAKS = {("train", "val"): 10, ("train", "test"): 8, ("val", "test"): 0}


def label(lake: Lake, rows: Iterable[dict]) -> list[dict]:
    """Add checked rows of labels."""
    checked = [segment_label({"annotator_id": "published:avel", **row}) for row in rows]
    corpus_table.add(lake, "segment_label", checked, provenance={"made": "by a test"})
    return checked


def give(lake: Lake, splits: Iterable[tuple[str, str, str]]) -> None:
    """Add published splits: (family, key, split)."""
    rows = [{"family": f, "key": k, "split": s, "source": f"{s}.csv"} for f, k, s in splits]
    corpus_table.add(lake, "given_split", rows, provenance={"made": "by a test"})


def admit(lake: Lake, inbox: Path, files: dict[str, str]) -> dict:
    """Ingest lists and admit the batch with its candidates alone."""
    (inbox / BATCH).mkdir(parents=True)
    for name, text in files.items():
        (inbox / BATCH / name).write_text(text)
    done = ingest(BATCH, Settings(inbox=inbox, lake=lake.root), lake)
    stage_head = lake.head("ingest", BATCH)
    manifests = [lake.manifest("ingest", stage_head["v"], BATCH, name) for name in stage_head["shards"]]
    shards = [{"shard": m.shard, "path": lake.table_key(m), "sha256": m.sha256, "rows": m.rows} for m in manifests if m]
    head = {"batch": BATCH, "seq": 0, "stages": {"ingest": {"v": stage_head["v"], "files": shards}}}
    lake.write(f"batches/{BATCH}.json", json.dumps(head).encode())
    return done


def youtube(number: int) -> str:
    return f"{number:011d}"


def ten(first: int, last: int) -> list[int]:
    return [int(first <= second < last) for second in range(10)]


@pytest.fixture(scope="module")
def built(build: Callable[..., Built], tmp_path_factory: pytest.TempPathFactory) -> tuple[Built, dict]:
    """One release over a small corpus of `avel` and, where they are at hand, AVE's annotations with given splits of the
    published sizes; and what ingest said.

    The small corpus: 60 clips of two categories, 41 and 19; two of them are of video 0, two of one uploader; splits are
    given for three, one of them against its group. Beside them a clip without an event, and one of which there is only
    a proposal."""
    folder = tmp_path_factory.mktemp("avel")
    lake = Lake(folder / "lake")
    lists = {"list.csv": "youtube_id,uploader\n" + "".join(f"{youtube(n)},u\n" for n in (3, 4))}
    if ANNOTATIONS.is_file():
        lists["Annotations.txt"] = ANNOTATIONS.read_text()
        rows = [dict(row.values) for row in read_labels(ANNOTATIONS) if row.values is not None]
        corpus_table.add(lake, "segment_label", rows, provenance={"file": ANNOTATIONS.name})
        give(lake, orders())
    done = admit(lake, folder / "inbox", lists)
    small = [
        {"video": youtube(n), "start_s": 7.0, "category": "dog" if n < 40 else "bell, big", "labels": ten(2, 5)}
        for n in range(59)
    ]
    small.append({"video": youtube(0), "start_s": 27.5, "category": "dog", "labels": ten(0, 10)})
    small.append({"video": youtube(99), "start_s": 0, "category": "dog", "labels": [0] * 10})
    proposal = {"video": youtube(98), "start_s": 0, "annotator_id": "proposal:x", "labels": [1] * 10}
    label(lake, [*small, {**proposal, "category": "dog"}])
    give(
        lake,
        [
            ("avel", f"{youtube(0)}_000007", "train"),
            ("avel", f"{youtube(0)}_000027.500", "val"),
            ("avel", youtube(5), "test"),
            ("avel", "unknown____", "test"),
        ],
    )
    corpus_table.replace(lake, "run_metrics", list(learned_rows()), provenance={"made": "by a test"})
    return build(lake), done


def learned_rows() -> Iterator[dict]:
    """A benchmark of two seeds and six groups: 0.5 from random candidates, a tenth more from what is kept."""
    same = {
        "release": "before",
        "task": "avel",
        "model": "cpsp",
        "split": "test",
        "metric": "accuracy",
        "examples": 2,
        "chance": 0.25,
        "ceiling": 1.0,
        "clips": 40,
        "preset": "demo",
    }
    for name, more in (("random", 0.0), ("release", 0.1)):
        for seed in range(2):
            for k in range(6):
                value = 0.25 + 0.1 * k + more
                yield {**same, "set": name, "seed": seed, "run": f"{name}-{seed}", "group_id": f"g{k}", "value": value}


def test_a_small_corpus(built: tuple[Built, dict]) -> None:
    release, _ = built
    found = release.rows("select clip, split, split_by, in_half from avel_samples where family = 'avel'")
    samples = {clip: tuple(rest) for clip, *rest in found}
    assert len(samples) == 61
    assert samples[f"{youtube(0)}_000007"] == (None, "leak", False)
    assert samples[f"{youtube(0)}_000027.500"][:2] == ("val", "given")
    assert samples[f"{youtube(5)}_000007"][:2] == ("test", "given")
    assert samples[f"{youtube(99)}_000000"] == (None, "no_event", False)
    assert samples[f"{youtube(3)}_000007"][0] == samples[f"{youtube(4)}_000007"][0]
    # 41 dogs, of which one leaks and two are given: 38 by quota; 19 bells: 11.4, 3.8, 3.8
    by_category = "select category, samples, train, val, test from rpt_avel_categories where family = 'avel' and "
    assert sorted(release.rows(f"{by_category} set_name = 'full'")) == [
        ("bell, big", 19, 11, 4, 4),
        ("dog", 40, 23, 8 + 1, 7 + 1),
    ]
    assert sorted(row[:2] for row in release.rows(f"{by_category} set_name = 'half'")) == [
        ("bell, big", 10),
        ("dog", 20),
    ]
    leaks = (
        "select origin, split_a, split_b, videos, video_list from rpt_avel_leaks where family = 'avel' and videos > 0"
    )
    assert release.rows(leaks) == [("given", "train", "val", 1, [youtube(0)])]
    published = "select split, published_samples from rpt_avel_sets where family = 'avel' and set_name = 'full'"
    assert dict(release.rows(published)) == {"train": 60640, "val": 20216, "test": 20216}
    exported = read_avel.read_set(release.work / "exports" / "avel" / "vggsound-avel100k")
    assert [len(exported.orders[split]) for split in SPLITS] == [34, 13, 12]


def test_what_models_learned_before_is_told(built: tuple[Built, dict]) -> None:
    release, _ = built
    runs = release.rows('select "set", seed, value, chance, examples, groups, run from fct_benchmark order by all')
    assert runs == [
        (name, seed, value, 0.25, 12, 6, f"{name}-{seed}")
        for name, value in (("random", 0.5), ("release", 0.6))
        for seed in range(2)
    ]
    told = release.rows(
        'select "set", mean, chance, ceiling, gain, verdict, seeds, clips from rpt_benchmark order by 1'
    )
    assert told == [
        ("random", 0.5, 0.25, 1.0, None, "reference", 2, 40),
        ("release", 0.6, 0.25, 1.0, 0.1, "better", 2, 40),
    ]
    ((low, high),) = release.rows("select low, high from rpt_benchmark where \"set\" = 'random'")
    assert 0.25 < low < 0.5 < high < 0.75


def test_without_labels_there_is_nothing(release: Built) -> None:
    tables = (
        "avel_samples",
        "rpt_avel_sets",
        "rpt_avel_categories",
        "rpt_avel_leaks",
        "fct_benchmark",
        "rpt_benchmark",
    )
    for table in tables:
        assert release.rows(f"select count(*) from {table}") == [(0,)], table
    assert not (release.work / "exports" / "avel").exists()


class TestTheRealAnnotations:
    """AVE's published file, from the inbox and the import to tables."""

    @pytest.fixture(autouse=True)
    def _annotations(self) -> None:
        needs.data("ave/Annotations.txt")

    def test_every_line_is_a_row(self, built: tuple[Built, dict]) -> None:
        release, done = built
        assert (done["rows"] + done["joined"], done["ok"]) == (4143 + 2, 4096 + 2)
        assert (done["joined"], done["reasons"]) == (46, {"bad_row": 1})
        [(detail,)] = release.rows("select detail from fct_outcomes where reason = 'bad_row'")
        assert detail == "line 27: an event of 0 s, from 0 to 0 s"
        ave = "from avel_samples where family = 'ave'"
        lengths = dict(release.rows(f"select event_seconds, count(*) {ave} group by all"))
        assert lengths == {10: 2750, 3: 220, 4: 217, 2: 214, 6: 200, 5: 196, 7: 139, 8: 111, 9: 95}
        counts = release.rows(f"select count(*), count(distinct video), count(distinct category) {ave}")
        assert counts == [(4142, 4096, 28)]

    def test_the_given_splits_leak_and_ours_do_not(self, built: tuple[Built, dict]) -> None:
        release, _ = built
        pairs = release.rows("select origin, split_a, split_b, videos from rpt_avel_leaks where family = 'ave'")
        leaks = {tuple(pair): videos for *pair, videos in pairs}
        assert leaks == {("given", *pair): videos for pair, videos in LEAKS.items()} | {
            ("ours", *pair): 0 for pair in LEAKS
        }
        sizes = dict(release.rows("select split, samples from rpt_avel_sets where family = 'ave'"))
        # one line is bad (in train), and training loses what leaks; validation and test are as published
        assert sizes == {"train": 3339 - 1 - 18, "val": 402, "test": 402}
        by = Counter(by for (by,) in release.rows("select split_by from avel_samples where family = 'ave'"))
        assert by == {"given": 4142 - 18, "leak": 18}
        exported = read_avel.read_set(release.work / "exports" / "avel" / "ave")
        assert exported.labels.shape == (3339 - 1 - 18 + 804, 10, 28 + 1)


def orders() -> list[tuple[str, str, str]]:
    """Splits of AVE's lines with the published sizes and numbers of leaking videos. The published orders themselves are
    not at hand, so of the videos with two events ten are put into train and val, eight into train and test."""
    lines = [line.split("&") for line in ANNOTATIONS.read_text().splitlines()]
    of_video: dict[str, list[str]] = defaultdict(list)
    for category, video, _, start, end in lines:
        if start != end:
            of_video[video].append(category)
    twice = sorted(video for video, categories in of_video.items() if len(categories) == 2)
    split: dict[tuple[str, str], str] = {}
    for place, video in enumerate(twice[:18]):
        split[video, of_video[video][0]] = "train"
        split[video, of_video[video][1]] = "val" if place < 10 else "test"
    room = Counter(ORDERS) - Counter(split.values())
    for category, video, _, start, end in lines:
        if start == end:
            split[video, category] = "train"
            room["train"] -= 1
    for video, categories in of_video.items():
        if (video, categories[0]) in split:
            continue
        chosen = next(s for s in ("test", "val", "train") if room[s] >= len(categories))
        for category in categories:
            split[video, category] = chosen
            room[chosen] -= 1
    assert not +room
    return [("ave", ave_key(video, category), s) for (video, category), s in split.items()]
