"""`winnow audit`: what is drawn, how often and as what; and the CSV that comes back filled in."""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter
from pathlib import Path

import av
import duckdb
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.unit import explored, synthetic
from winnow.audit.sampling import CSV_COLUMNS, AuditParams, draw, sample
from winnow.cli.main import cli
from winnow.core import corpus_table
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.sample import sid
from winnow.explorer.media import Media
from winnow.media.remux import dubbed
from winnow.release import query


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return explored.build(tmp_path / "lake")[0]


def run(lake: Lake, *arguments: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)), env={"WINNOW_LAKE": lake.root})


def sound_of(data: bytes) -> tuple[str, float, np.ndarray]:
    """A file's sound: codec, when it begins (s), samples."""
    with av.open(io.BytesIO(data)) as file:
        frames = list(file.decode(audio=0))
        return file.streams.audio[0].codec_context.name, frames[0].time, np.hstack([f.to_ndarray() for f in frames])


def said(result: Result) -> dict:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A release of 160 clips: 100 kept, 60 dropped by three rules, some that wait and some without a file, one of them
    recycled without what was left of its sound."""
    lake = Lake(tmp_path_factory.mktemp("many"))
    folder = Path(lake.full(f"releases/{explored.RELEASE}"))
    folder.mkdir(parents=True)
    rules = [None] * 100 + ["low_correspondence"] * 40 + ["black"] * 15 + ["frozen"] * 5
    rng = random.Random(4)
    clips = [
        {
            "sample_id": sid("many", i),
            "status": "dropped" if rule else "kept",
            "first_failed_rule": rule,
            "flag": 0,
            "z": rng.uniform(-2, 1.6) if rule == "low_correspondence" else rng.uniform(1.7, 9),
            "is_recycled": False,
        }
        for i, rule in enumerate(rules)
    ]
    # A recycled clip counts with the score of what is left of its sound.
    clips[0] |= {"is_recycled": True, "z": -5.0, "residual_z": 9.5}
    unheard = {"sample_id": sid("lost", 0), "status": "kept", "z": 3.0, "is_recycled": True, "residual_z": 3.0}
    clips += [{"sample_id": sid("waits", i), "status": "pending", "z": None} for i in range(3)]
    # Nobody can say of these whether what is heard matches, and of the last one nothing was decided.
    mute = {"status": "dropped", "first_failed_rule": "too_short", "z": None}
    undecided = {"status": "undecided", "first_failed_rule": "scorer_near_chance"}
    unheard_of = [{"first_failed_rule": rule} for rule in ("silent", "no_audio")]
    whys = [{"has_audio": False}, {"silence_ratio": 0.95}, undecided, *unheard_of]
    clips += [{"sample_id": sid("mute", i), **mute, **why} for i, why in enumerate(whys)]
    clips += [{"sample_id": sid("no file", i), "status": "kept", "z": 3.0} for i in range(3)]
    files = [{"sample_id": clip["sample_id"], "tar": "t"} for clip in [*clips[:-3], unheard]]
    files[0]["residual_tar"] = "r"
    clips.append(unheard)
    with duckdb.connect(str(folder / "winnow.duckdb")) as con:
        con.execute("create schema ops")
        explored.fill(con, "fct_clips", "marts/fct_clips.yml", clips)
        explored.fill(con, "ops.fct_clip_files", "ops/fct_clip_files.yml", files)
        con.execute(
            f"create table thresholds as select * from read_csv('{explored.ROOT / 'dbt/seeds/thresholds.csv'}')"
        )
    (folder / "manifest.json").write_text("{}")
    lake.write("releases/current", f"{explored.RELEASE}\n".encode())
    return lake


# -- drawing -----------------------------------------------------------------------------------------------------------
def test_strata_hold_every_clip_with_a_file_once_and_kept_and_dropped_apart(many):
    rows = draw(many, params=AuditParams(size=10_000))
    assert Counter(row["sample_id"] for row in rows) == Counter(sid("many", i) for i in range(160))
    assert all(row["stratum"].split(" / ")[0] == row["status"] for row in rows)
    assert {row["release"] for row in rows} == {explored.RELEASE}
    found = Counter(row["stratum"] for row in rows)
    assert found == {"kept": 100, "dropped / low_correspondence": 40, "dropped / black": 15, "dropped / frozen": 5}
    assert all(row["population"] == row["drawn"] == found[row["stratum"]] for row in rows)


def test_bands_hold_equally_many_and_follow_each_other(many):
    rows = draw(many, params=AuditParams(by=("rule", "band"), size=5, bands=3))
    kept = sorted({(row["stratum"], row["population"]) for row in rows if row["status"] == "kept"})
    assert [population for _, population in kept] == [33, 33, 34]
    scores = "select sample_id, coalesce(residual_z, z) as z from fct_clips"
    z = {r["sample_id"]: r["z"] for r in json.loads(query.run(many, scores, "json"))}
    edges = {}
    for row in rows:
        if "band" in row["stratum"]:
            low, high = map(float, row["stratum"].split(", z ")[1].split(" to "))
            assert low - 0.005 <= z[row["sample_id"]] <= high + 0.005
            edges[row["stratum"].split(",")[0]] = (low, high)
    assert edges["kept / band 1"][1] <= edges["kept / band 2"][0]
    assert edges["dropped / low_correspondence / band 3"][1] < 1.645 < edges["kept / band 1"][0]
    black = {row["stratum"] for row in rows if row["rule"] == "black"}
    assert black == {"dropped / black"}, "what a rule on the picture dropped has no bands of the score"
    few = draw(many, params=AuditParams(by=("band",), size=10_000, bands=3))
    assert {row["stratum"] for row in few} == {"kept", "dropped"}, "a band would have less than its size"


def test_the_same_seed_draws_the_same_and_a_larger_size_adds(many):
    few, again, more, other = (
        draw(many, params=AuditParams(by=("rule",), size=size, seed=seed))
        for size, seed in ((4, 0), (4, 0), (8, 0), (4, 1))
    )
    assert few == again
    ids = [{row["sample_id"] for row in rows} for rows in (few, more, other)]
    assert ids[0] < ids[1]
    assert ids[0] != ids[2]
    assert len({rows[0]["audit"] for rows in (few, more, other)}) == 3
    assert [row["position"] for row in more] == list(range(len(more)))
    in_order = [row["status"] for row in more]
    assert in_order != sorted(in_order) != in_order[::-1], "kept and dropped ones are shuffled"


def test_every_clip_of_a_stratum_is_drawn_about_equally_often():
    clips = [{"sample_id": f"{i:020x}", "stratum": "kept"} for i in range(6)]
    times = Counter()
    for seed in range(300):
        times.update(row["sample_id"] for row in sample(clips, "r", AuditParams(size=3, seed=seed)))
    assert len(times) == 6
    # 300 draws of 3 of 6: 150 each, standard deviation below 9.
    assert all(100 < count < 200 for count in times.values()), times


def test_sizes_are_given_by_the_beginning_of_a_name(lake):
    rows = draw(lake, params=AuditParams(by=("rule", "flag"), size=1, sizes={"kept": 2, "kept / flag 1": 0}))
    assert Counter(row["stratum"] for row in rows) == {"kept / flag 0": 2, "dropped / low_correspondence / flag 0": 1}
    assert {row["population"] for row in rows if row["status"] == "kept"} == {4}


def test_labels_and_any_column_make_strata_and_unknown_ones_are_refused(lake):
    rows = draw(lake, params=AuditParams(by=("label",), size=50))
    assert {row["stratum"] for row in rows if row["status"] == "dropped"} == {"dropped / label playing violin"}
    with pytest.raises(ConfigError, match="has no colour: there are"):
        draw(lake, params=AuditParams(by=("colour",)))
    with pytest.raises(ConfigError, match="has no brightness"):
        draw(lake, params=AuditParams(score="brightness"))
    with pytest.raises(ConfigError, match="nothing is published"):
        draw(Lake(lake.root + "/none"))


def test_a_release_from_before_residuals_had_files_draws_no_recycled_clip(lake):
    path = Path(lake.full(f"releases/{explored.RELEASE}/winnow.duckdb"))
    recycled = explored.sample_id(explored.RECYCLED)
    assert {row["sample_id"]: row["sound"] for row in draw(lake)}[recycled] == "residual"
    with duckdb.connect(str(path)) as con:
        con.execute("alter table ops.fct_clip_files drop column residual_tar")
    assert {row["sound"] for row in draw(lake)} == {"mixture"}
    with duckdb.connect(str(path)) as con:
        con.execute("alter table fct_clips drop column is_recycled")
    assert recycled in {row["sample_id"] for row in draw(lake)}


def test_pictures_and_sound_that_are_none_are_refused():
    clip, sound = synthetic.mp4(0), b"fLaC" + bytes(100)
    for files in ((clip, sound), (clip, b""), (b"", sound), (sound, clip)):
        with pytest.raises(ContractError, match="cannot be one file"):
            dubbed(*files, 0.0)


# -- the command -------------------------------------------------------------------------------------------------------
def test_the_command_writes_a_blind_csv_the_clips_and_the_corpus_once(tmp_path):
    lake = explored.build(tmp_path / "lake", media=True)[0]
    out, clips = tmp_path / "ask.csv", tmp_path / "clips"
    arguments = [
        "audit",
        "--size",
        3,
        "--sizes",
        "dropped / low_correspondence=1",
        "--seed",
        5,
        "--out",
        out,
        "--clips",
        clips,
    ]
    answer = said(run(lake, *arguments))
    drawn = corpus_table.read(lake, "audit_sample").to_pylist()
    assert answer["clips"] == len(drawn) == answer["files"] == len(list(clips.iterdir()))
    assert (answer["computed"], answer["release"]) == (True, explored.RELEASE)
    with out.open(newline="") as file:
        lines = list(csv.reader(file))
    assert tuple(lines[0]) == CSV_COLUMNS
    order = sorted(drawn, key=lambda row: row["position"])
    assert [line[1] for line in lines[1:]] == [row["sample_id"] for row in order]
    assert all(line[-2:] == ["", ""] for line in lines[1:])
    recycled = explored.sample_id(explored.RECYCLED)
    assert [line[1] for line in lines[1:] if line[-3] == "residual"] == [recycled]
    text = out.read_text()
    assert "kept" not in text
    assert "low_corr" not in text
    sounds = {path.stem: sound_of(path.read_bytes()) for path in clips.iterdir()}
    assert {name: codec for name, (codec, *_) in sounds.items()} == {
        row["sample_id"]: "flac" if row["sample_id"] == recycled else "aac" for row in drawn
    }
    left = sound_of(Media(lake).read(explored.RESIDUALS, recycled, "flac"))
    assert sounds[recycled][1] == explored.RESIDUAL_START_S
    assert np.array_equal(sounds[recycled][2], left[2]), "what people hear is what was scored"
    again = said(run(lake, *arguments))
    assert (again["computed"], again["audit"]) == (False, answer["audit"])
    assert corpus_table.read(lake, "audit_sample").num_rows == len(drawn)
    assert run(lake, "audit", "--sizes", "kept").exit_code != 0


# -- what comes back ---------------------------------------------------------------------------------------------------
def fill(path: Path, *lines: str, header: str = "release,sample_id,verdict,reviewer,created_at") -> Path:
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def test_a_filled_csv_comes_in_and_bad_rows_are_refused_with_reasons(lake, tmp_path):
    rows = explored.draw(lake, by=("rule",), size=50)
    a, b = rows[0]["sample_id"], rows[1]["sample_id"]
    r, gone = explored.RELEASE, explored.sample_id(explored.GONE)
    file = fill(
        tmp_path / "filled.csv",
        f"{r},{a},corresponds,Ann,2026-11-21T10:00:00Z",
        f"{r},{b},,Ann,",
        f"{r},{gone},corresponds,Ann,",
        f"{r},{a},perhaps,Ann,",
        f"{r},nonsense,yes,Ann,",
        f"ffffffffffff,{a},yes,Ann,",
        f"{r},{b},no,,",
        f"{r},{b},No,Bob,",
        f"{r},{b},yes,Bob,",
        f"{r},{b},yes,Bob",
        f"{r},{a},unsure,Bob,yesterday",
    )
    refused = tmp_path / "refused.csv"
    result = run(lake, "annotate", "import", file, "--refused", refused)
    assert (said(result)["table"], said(result)["rows"], said(result)["bad"]) == ("verdict", 2, 8)
    why = [line["problem"] for line in csv.DictReader(refused.open())]
    for wanted, problem in zip(
        (
            "is in no sample",
            "verdict is 'perhaps'",
            "no id of a clip",
            "no sample of release",
            "reviewer is missing",
            "says two things",
            "4 cells under 5 columns",
            "created_at is 'yesterday'",
        ),
        why,
        strict=True,
    ):
        assert wanted in problem
        assert problem in result.stderr
    stored = {(row["sample_id"], row["reviewer"]): row for row in corpus_table.read(lake, "verdict").to_pylist()}
    assert {key: row["verdict"] for key, row in stored.items()} == {(a, "Ann"): "corresponds", (b, "Bob"): "does_not"}
    assert stored[a, "Ann"]["stratum"] == rows[0]["stratum"]
    assert said(run(lake, "annotate", "import", file))["computed"] is False
    assert corpus_table.read(lake, "verdict").num_rows == 2


def test_who_answered_may_be_said_once_and_a_release_left_out(lake, tmp_path):
    rows = explored.draw(lake, by=("rule",), size=50)
    file = fill(tmp_path / "f.csv", f"{rows[0]['sample_id']};yes", header="Clip ID;verdict")
    assert said(run(lake, "annotate", "import-verdicts", file, "--reviewer", "Cy"))["rows"] == 1
    (row,) = corpus_table.read(lake, "verdict").to_pylist()
    assert (row["reviewer"], row["release"], row["verdict"]) == ("Cy", explored.RELEASE, "corresponds")
    other = [
        {**{n: rows[0][n] for n in corpus_table.TABLES["audit_sample"].columns}, "release": "f" * 12, "audit": "e" * 12}
    ]
    corpus_table.add(lake, "audit_sample", other, provenance={})
    result = run(lake, "annotate", "import-verdicts", file, "--reviewer", "Cy")
    assert isinstance(result.exception, ContractError)
    assert "drawn from several releases" in result.stderr


@pytest.mark.parametrize(
    ("name", "header", "table"),
    [
        ("a.csv", "sample_id,verdict,reviewer", "verdict"),
        ("b.csv", "sample_id,rater_id,on-screen present,offscreen_present", "rating"),
        ("c.csv", "sample_id,category,annotator_id," + ",".join(f"second_{i}" for i in range(10)), "segment_label"),
        ("avel.csv", "category,video_id,split", "given_split"),
    ],
)
def test_a_file_is_known_by_its_header(lake, tmp_path, name, header, table):
    clip = explored.draw(lake)[0]["sample_id"]
    lines = {
        "verdict": f"{clip},yes,Ann",
        "rating": f"{clip},Ann,1,0",
        "segment_label": f"{clip},dog,Ann" + ",1" * 10,
        "given_split": "dog,abcdefghijk,train",
    }
    assert said(run(lake, "annotate", "import", fill(tmp_path / name, lines[table], header=header)))["table"] == table


def test_a_file_of_another_kind_is_refused_in_words(lake, tmp_path):
    file = fill(tmp_path / "other.csv", "1,2,3", header="a,b,c")
    for command, why in (("import", "looks like nothing"), ("import-verdicts", "no row that could be used")):
        result = run(lake, "annotate", command, file)
        assert isinstance(result.exception, ConfigError | ContractError)
        assert why in str(result.exception)
    assert corpus_table.files(lake, "verdict") == []
