"""AVSET-10M's tables: subsets, parts, labels that nobody knows, the files, and statistics that must add up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dbt.conftest import DAYS, Built
from tests.dbt.lake import Candidate, Clip, write_batch
from winnow.core import corpus_table
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.exports import avset
from winnow.exports.read_avset import KEYS, PSEUDO, parts, read
from winnow.release import snapshot
from winnow.release.dbt_run import run_dbt

ROOT = Path(__file__).resolve().parents[2]
SPEECH, MUSIC, DOG = "/m/09x0r", "/m/04rlf", "/m/0bt9lr"
NOISE, SILENCE = "/m/096m7z", "/m/028v0c"
#: As the built-in tagger writes it: every class that it knows, best first.
HEARD = {
    "noise": 0.3,
    "music": 0.29,
    "tag_mids": [NOISE, MUSIC, SPEECH, SILENCE],
    "tag_scores": [0.3, 0.29, 0.1, 0.0],
    "knows": sorted([SPEECH, MUSIC, NOISE, SILENCE]),
    "tagger": "builtin@t",
}


def watch(video: str) -> str:
    return f"https://www.youtube.com/watch?v={video}"


def candidates(day: int) -> list[Candidate]:
    """A day's list: labelled by ids, by a name, with a class nobody knows, captioned, a word; one is dropped."""
    ids = [f"{name}{day}aaaaaaaaa" for name in "zyxwvu"]
    clips = (Clip(0.0, 10.0), Clip(5.0, 15.25))
    return [
        Candidate(ids[0], labels=(MUSIC, SPEECH), address=watch(ids[0]), clips=clips),
        Candidate(ids[1], labels=("Dog", "/m/zzz", "whizz"), address=f"https://youtu.be/{ids[1]}"),
        Candidate(ids[2], labels=(), address=watch(ids[2]), extra='{"caption":" A dog’s \\"bowl\\". "}', clips=clips),
        Candidate(ids[3], labels=("puddle",), clips=(Clip(tags=HEARD),)),
        Candidate(ids[4], labels=(DOG,), address=watch(ids[4]), clips=(Clip(z=0.1),)),
        Candidate(ids[5], labels=(DOG,), address=watch(ids[5]), bad_row="bad_url"),
    ]


@pytest.fixture(scope="module")
def built(build: Callable[..., Built], tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Two days, and an ontology of two classes, one of them no label."""
    lake = Lake(tmp_path_factory.mktemp("avset"))
    for day in range(2):
        write_batch(lake, DAYS[day], day, candidates(day))
    speech = {"position": 0, "mid": SPEECH, "name": "Speech", "child_mids": ["/m/zzz"], "json": '[ {"é"'}
    other = {"position": 1, "mid": "/m/zzz", "name": "Zzz", "restrictions": ["abstract"], "json": ":1}\n]"}
    corpus_table.replace(lake, "ontology", [other, speech], provenance={})
    return build(lake)


def test_a_kept_clip_is_a_row_of_its_subset(built: Built) -> None:
    rows = built.rows(
        "SELECT subset, part, video, youtube_id, start_s, end_s, label, avc, avc_scorer, flag "
        "FROM avset_clips ORDER BY subset, video, start_ms"
    )
    assert len(rows) == 12 == built.rows("SELECT count(*) FROM fct_clips WHERE status = 'kept'")[0][0]
    by = {(row[2], row[4]): row for row in rows}
    assert by["z0aaaaaaaaa", 5.0] == (
        "labelled",
        0,
        "z0aaaaaaaaa",
        "z0aaaaaaaaa",
        5.0,
        15.25,
        f"{MUSIC},{SPEECH}",
        0.5,
        "builtin",
        0,
    )
    assert by["y1aaaaaaaaa", 0.0][:2] + by["y1aaaaaaaaa", 0.0][6:7] == ("labelled", 0, f"{DOG},/m/zzz,whizz")
    assert by["x0aaaaaaaaa", 0.0][:2] + by["x0aaaaaaaaa", 0.0][6:7] == ("captioned", 0, 'A dog’s "bowl".')
    word = by["http://media.world.test/w1aaaaaaaaa.mp4", 0.0]
    assert (word[0], word[3], word[6]) == ("captioned", None, "puddle")


def test_pseudo_labels_are_what_is_heard_and_the_tagger_says_what_it_could_hear(built: Built) -> None:
    said = built.rows("SELECT pseudo_label, knows, tagger FROM avset_clips WHERE label = 'puddle'")
    assert said == [([{"mid": NOISE, "name": "Noise", "score": 0.3}], HEARD["knows"], "builtin@t")] * 2
    assert (
        built.rows("SELECT tag_mids, knows FROM fct_clips WHERE tagger IS NOT NULL")
        == [(HEARD["tag_mids"], HEARD["knows"])] * 2
    )
    assert built.rows("SELECT DISTINCT len(pseudo_label), knows FROM avset_clips WHERE tagger IS NULL") == [(0, None)]


def test_captions_are_carried_through(built: Built) -> None:
    for table in ("fct_candidates", "fct_clips"):
        found = built.rows(f"SELECT DISTINCT caption FROM {table} WHERE url LIKE '%x_aaaaaaaaa'")
        assert found == [('A dog’s "bowl".',)]


def test_labels_that_no_class_list_knows_are_counted(built: Built) -> None:
    rows = built.rows(
        "SELECT label, mid, name, is_class, in_ontology, candidates, clips, clips_kept "
        "FROM rpt_avset_labels ORDER BY label"
    )
    assert rows == [
        (MUSIC, MUSIC, "Music", True, False, 2, 4, 4),
        (SPEECH, SPEECH, "Speech", True, True, 2, 4, 4),
        (DOG, DOG, "Dog", True, False, 2, 2, 0),
        ("/m/zzz", "/m/zzz", "Zzz", False, True, 2, 2, 2),
        ("Dog", DOG, "Dog", True, False, 2, 2, 2),
        ("puddle", None, None, False, False, 2, 2, 2),
        ("whizz", None, None, False, False, 2, 2, 2),
    ]


def test_our_figures_add_up_and_published_ones_that_do_not_are_named(built: Built) -> None:
    rows = built.rows(
        "SELECT origin, dataset, clips, videos, clip_ms, unique_hours * 3600000, taken_from, hours_hold, "
        "parts_hold, problem FROM rpt_avset_statistics ORDER BY ALL"
    )
    found = {row[:2]: row[2:] for row in rows}
    assert found["this release", "this release"] == (12, 8, 121_000, 101_000, 14, True, True, None)
    assert found["this release", "labelled"] == (6, 4, 60_500, 50_500, 8, True, None, None)
    assert found["this release", "captioned"] == (6, 4, 60_500, 50_500, 6, True, None, None)
    problems = {dataset: row[-1] for (origin, dataset), row in found.items() if origin == "published"}
    assert {dataset for dataset, problem in problems.items() if problem} == {"AVSET-10M", "AudioScope-V2"}
    assert "its parts sum to 10,605,005 clips, not 10,900,000" in problems["AVSET-10M"]
    assert "6,806 hours, not 1,600" in problems["AudioScope-V2"]
    published = "SELECT taken_share FROM rpt_avset_statistics WHERE dataset LIKE 'AVSET-%0K%' ORDER BY taken_from"
    share = built.rows(published)
    assert [round(100 * s, 1) for (s,) in share] == [35.6, 14.0]


def test_the_files_hold_every_kept_clip_once(built: Built, tmp_path: Path) -> None:
    out = built.work / "exports" / "avset"
    found = [row for path in parts(out) for row in read(path)]
    assert not [row.problem for row in found if row.problem]
    said = built.rows("SELECT video, start_s, end_s, label, avc, flag FROM avset_clips ORDER BY ALL")
    assert sorted((r.youtube_id, r.start_s, r.end_s, r.label, r.avc, r.flag) for r in found) == said
    captioned = json.loads((out / "AVSET-10M(excluding-700K)" / "split_000.json").read_text())
    assert [list(row) for row in captioned] == [[*KEYS, PSEUDO]] * 6
    assert [row["Youtube ID"] for row in captioned] == sorted(row["Youtube ID"] for row in captioned)
    assert (out / "ontology.json").read_text(encoding="utf-8") == '[ {"é":1}\n]'
    avset.write(built.work / "tables", tmp_path)
    assert all((tmp_path / p.relative_to(out)).read_bytes() == p.read_bytes() for p in out.rglob("*.*"))


def test_parts_are_cut_by_a_parameter_and_only_dbt_is_rebuilt(built: Built, tmp_path: Path) -> None:
    """Two videos a part: as they come in the lists, dropped ones too, so that a later day moves none."""
    out = tmp_path / "dbt"
    shutil.copytree(built.work / "dbt", out)
    settings = Settings(lake=built.lake.root, dbt_dir=ROOT / "dbt")
    cut = json.dumps({"avset_ids_per_part": {"labelled": 2, "captioned": 1}})
    run_dbt(
        [
            "build",
            "--select",
            "int_avset_candidates",
            "avset_clips",
            "--vars",
            cut,
            "--exclude-resource-type",
            "unit_test",
        ],
        out,
        settings,
    )
    (tmp_path / "tables").mkdir()
    table = tmp_path / "tables" / "avset_clips.parquet"
    snapshot.copy_table(out / "warehouse.duckdb", "main.avset_clips", ["sample_id"], table)
    written = avset.write(tmp_path / "tables", tmp_path / "files")
    rows = {name: count for name, count in written.items() if name.endswith("json") and "/" in name}
    labelled, captioned = "AVSET-700K/unbalanced_train_segments_part", "AVSET-10M(excluding-700K)/split_"
    assert rows == {
        f"{labelled}00.json": 3,
        f"{labelled}01.json": 2,
        f"{labelled}02.json": 1,
        f"{captioned}000.json": 2,
        f"{captioned}001.json": 1,
        f"{captioned}002.json": 2,
        f"{captioned}003.json": 1,
    }
    first = next(read(tmp_path / "files" / f"{labelled}00.json"))
    assert first.youtube_id == "y0aaaaaaaaa"


def test_a_corpus_without_an_ontology_writes_none(release: Built) -> None:
    out = release.work / "exports" / "avset"
    assert len(parts(out)) == 1
    assert not (out / "ontology.json").exists()
    kept = release.rows("SELECT count(*) FROM fct_clips WHERE status = 'kept'")
    assert release.rows("SELECT count(*) FROM avset_clips WHERE subset = 'labelled'") == kept
