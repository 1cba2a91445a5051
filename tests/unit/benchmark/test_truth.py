"""`winnow benchmark truth`: a release's rules against what people say of its videos."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import duckdb
import numpy as np
import pytest
from click.testing import CliRunner

from tests.unit.encoders import sha256, zipped
from tests.unit.filled import ROOT, fill
from winnow.annotations.video_labels import read_video_labels
from winnow.benchmark import truth as body
from winnow.cli.benchmark import benchmark
from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.estimates.detection import Draws, detection
from winnow.models.audioset import MUSIC, SPEECH

BUILTIN = sorted((SPEECH, MUSIC, "/m/028v0c", "/m/096m7z"))
DOG = "/m/0bt9lr"
HEAD = "video_id,label,modality,background_music,static_image,voice_over\n"
#: Three stretches of YouTube's videos, one file, one address; whom a rule takes for what stands in `CLIPS`.
LIST = HEAD + (
    'abcdefghij1_000030,"male speech, man speaking",AV,False,False,False\n'
    "abcdefghij2_000000,playing cello,A,False,True,False\n"
    "abcdefghij3_000010,dog,AV,True,False,True\n"
    "holiday,dog,V,False,False,False\n"
    "http://x.test/a.mp4,child singing,A,False,False,\n"
    "abcdefghij9_000000,dog,AV,True,True,True\n"
)


def clip(number: int, **given: object) -> dict[str, object]:
    """A row of fct_clips as the built-in tagger and scorer leave it: nothing is heard, and it belongs together."""
    return {
        "sample_id": f"{number:020d}",
        "source_id": None,
        "url": f"http://x.test/{number}.mp4",
        "start_s": 0.0,
        "end_s": 10.0,
        "tagger": "builtin",
        "knows": BUILTIN,
        "speech": 0.0,
        "music": 0.0,
        "flag": 0,
        "stillness": 0.1,
        "is_recycled": False,
        "z": 3.0,
        "effective_z": 3.0,
        "model": "m",
        "status": "kept",
        **given,
    }


CLIPS = [
    clip(1, source_id="abcdefghij1", start_s=31.0, end_s=36.0, speech=0.9),
    clip(2, source_id="abcdefghij1", start_s=35.0, end_s=39.0, speech=0.2),
    clip(3, source_id="abcdefghij1", start_s=39.0, end_s=45.0, speech=0.9),
    clip(4, source_id="abcdefghij2", start_s=0.0, stillness=0.99, music=0.1, effective_z=1.0),
    clip(5, source_id="abcdefghij3", start_s=10.0, end_s=20.0, speech=0.8, music=0.4, flag=1, effective_z=None),
    clip(6, url="file:///videos/holiday.mp4", speech=0.5),
    clip(7, url="http://x.test/a.mp4", tagger=None, knows=None, speech=None, music=None),
]


def released(folder: Path, clips: list[dict[str, object]], decides: bool = True) -> Lake:
    """A release with these clips."""
    lake = Lake(folder / "lake")
    lake.write("releases/r1/manifest.json", b"{}")
    with duckdb.connect(lake.full("releases/r1/winnow.duckdb")) as con:
        con.execute("create schema ops")
        fill(con, "fct_clips", "marts/fct_clips.yml", clips)
        scorer = {"scorer": "builtin", "model": "m", "batches": 1, "clips_scored": 1, "decides": decides}
        fill(con, "rpt_scorers", "reports/rpt_scorers.yml", [scorer])
        con.execute(f"create table thresholds as from read_csv('{ROOT / 'dbt' / 'seeds' / 'thresholds.csv'}')")
    lake.write("releases/current", b"r1")
    return lake


def table(path: str | Path) -> list[dict[str, str]]:
    """Rows of a CSV."""
    return list(csv.DictReader(Path(path).read_text().splitlines()))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return released(tmp_path_factory.mktemp("truth"), CLIPS)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(LIST)
    return path


def test_every_rule_is_held_against_what_people_say(lake: Lake, listed: Path, tmp_path: Path) -> None:
    found = body.truth(lake, str(listed), out=tmp_path)
    assert (found["listed"], found["videos"], found["clips"]) == (6, 5, 6), "a fifth of clip 3 lies in its stretch"
    told = {
        name: (row["cases"], row["positives"], row["precision"], row["recall"]) for name, row in found["rules"].items()
    }
    assert told == {
        "speech_heard": (5, 3, 0.6667, 0.6667),  # 1 and 5 of 1, 2, 5; and 6, where nobody speaks
        "music_heard": (5, 2, 1.0, 0.5),  # 5 of 4 and 5
        "other_heard": (0, 0, None, None),
        "voice_over": (5, 1, 1.0, 1.0),
        "background_music": (5, 1, 1.0, 1.0),
        "frozen": (6, 1, 1.0, 1.0),
        "low_correspondence": (4, 2, 1.0, 0.5),  # 4 of 4 and 7, where nothing is seen that is heard
        "class_heard": (0, 0, None, None),
    }
    unknown = {name: row["unknown"] for name, row in found["rules"].items() if row["unknown"]}
    assert unknown["other_heard"] == {"the tagger builtin knows no class beside speech and music": 4}
    assert unknown["low_correspondence"] == {"it has no effective_z": 1}
    assert unknown["class_heard"] == {"no tagger has heard it": 1, "the tagger builtin does not know the class": 4}
    assert body.truth(lake, str(listed), out=tmp_path) == found


def test_classes_and_thresholds_stand_in_files(lake: Lake, listed: Path, tmp_path: Path) -> None:
    files = body.truth(lake, str(listed), out=tmp_path)["files"]
    rows = {kind: table(path) for kind, path in files.items()}
    of = {(row["rule"], row["class"]): row for row in rows["classes"]}
    assert (of["speech_heard", "dog"]["cases"], of["speech_heard", "dog"]["precision"]) == ("2", "0.5")
    assert of["frozen", "playing cello"]["f1"] == "1.0"
    sweep = [row for row in rows["sweep"] if row["rule"] == "speech_heard"]
    assert [row["threshold"] for row in sweep if row["is_rule"] == "True"] == ["0.3"]
    by_threshold = {float(row["threshold"]): (float(row["precision"]), float(row["recall"])) for row in sweep}
    assert by_threshold[0.8] == (1.0, 0.6667)
    assert by_threshold[0.0] == (0.6, 1.0)
    assert not any(row["rule"] == "voice_over" for row in rows["sweep"]), "a flag has no threshold of its own"


def test_a_scorer_near_chance_says_unknown(tmp_path: Path, listed: Path) -> None:
    found = body.truth(released(tmp_path, CLIPS, decides=False), str(listed), out=tmp_path)["rules"]
    assert found["low_correspondence"]["cases"] == 1, "clip 4 has a number of several scorers"
    assert found["low_correspondence"]["unknown"] == {"its scorer is near chance": 3, "it has no effective_z": 1}
    assert found["frozen"]["cases"] == 6


def test_a_tagger_that_knows_a_class_is_held_to_it(tmp_path: Path, listed: Path) -> None:
    knows = {"tagger": "yamnet", "knows": [SPEECH, MUSIC, DOG, "/m/01xqw"], "other": 0.5}
    heard = [
        clip(1, source_id="abcdefghij3", start_s=10.0, end_s=20.0, tag_mids=[DOG], tag_scores=[0.7], **knows),
        clip(2, source_id="abcdefghij2", tag_mids=[DOG, "/m/01xqw"], tag_scores=[0.4, 0.2], **knows),
    ]
    rules = body.truth(released(tmp_path, heard), str(listed), out=tmp_path)["rules"]
    assert rules["other_heard"]["cases"] == 2
    row = rules["class_heard"]
    assert (row["cases"], row["positives"], row["precision"], row["recall"]) == (4, 2, 0.5, 0.5)
    classes = table(tmp_path / "truth-classes.csv")
    of = {row["class"]: (row["precision"], row["recall"]) for row in classes if row["rule"] == "class_heard"}
    assert of == {"Cello": ("", "0.0"), "Dog": ("0.5", "1.0")}


def test_intervals_are_of_videos_and_not_of_clips() -> None:
    rng = np.random.default_rng(0)
    said = np.repeat(rng.random(40) < 0.7, 25)
    true, video = np.ones(1000, bool), np.repeat(np.arange(40), 25)
    tied, free = detection(video, true, said, Draws.of(40)), detection(np.arange(1000), true, said, Draws.of(1000))
    assert tied["recall"] == free["recall"] == said.mean()
    widths = [row["recall_high"] - row["recall_low"] for row in (tied, free)]
    assert widths[0] > 3 * widths[1]
    assert widths[0] == pytest.approx(2 * 1.96 * np.sqrt(0.7 * 0.3 / 40), rel=0.25)


def test_vggsounders_list_is_read_out_of_its_wheel(lake: Lake, tmp_path: Path, monkeypatch) -> None:
    data = zipped({"vggsounder/__init__.py": b"raise SystemExit", "vggsounder/data/l.csv": LIST.encode()})
    wheel = tmp_path / "vggsounder-1.0-py3-none-any.whl"
    wheel.write_bytes(data)
    monkeypatch.setenv("WINNOW_LAKE", lake.root)
    run = ["truth", "--labels", "vggsounder", "--wheel", str(wheel), "--out", str(tmp_path / "out")]
    refused = CliRunner().invoke(benchmark, run).exception
    assert isinstance(refused, ContractError)
    assert "is not vggsounder 1.0" in str(refused)
    known = dataclasses.replace(
        body.CARRIER, wheel=sha256(data), member="vggsounder/data/l.csv", member_sha256=sha256(LIST.encode())
    )
    monkeypatch.setattr(body, "CARRIER", known)
    done = CliRunner().invoke(benchmark, run)
    assert json.loads(done.stdout.splitlines()[-1])["rules"]["frozen"]["f1"] == 1.0
    assert "low_correspondence  4" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("url,label\nx,dog\n", r"its header has the columns url, label; video_id is wanted"),
        (HEAD, "says nothing of any video"),
        (HEAD + "a,dog,B,,,\n", "line 2: modality 'B': A, V or AV"),
        (HEAD + "a,dog,A,maybe,,\n", "line 2: background_music is 'maybe': True or False"),
        (HEAD + "a,dog,A,True,,\na,cat,A,False,,\n", "line 3: says otherwise of a"),
        (HEAD + "a,dog\n", "line 2: 2 cells under 6 columns"),
        (HEAD + "nowhere_at_all,dog,A,,,\n", r"the release has no clip of the 1 videos that .* lists \(nowhere_at_all"),
    ],
)
def test_what_is_no_such_list_is_refused_in_a_line(lake: Lake, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(ContractError, match=said) as refused:
        body.truth(lake, str(tmp_path / "labels.csv"), out=tmp_path)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.glob("truth-*"))


def test_a_list_of_flags_alone_is_one(tmp_path: Path) -> None:
    (tmp_path / "flags.csv").write_text("video_id;voice_over\na;1\nb;0\n")
    found = read_video_labels(tmp_path / "flags.csv")
    assert [(one.voice_over, one.static_image, one.belongs) for one in found.values()] == [
        (True, None, None),
        (False, None, None),
    ]
