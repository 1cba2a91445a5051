"""A small published release for the explorer: the columns that it reads, and real ten-second clips in a tar."""

from __future__ import annotations

import atexit
import io
import re
import shutil
import tarfile
import tempfile
from functools import lru_cache
from pathlib import Path

import duckdb
import numpy as np
from fastapi.testclient import TestClient

from tests.unit import synthetic
from tests.unit.filled import ROOT, fill
from winnow.audit import sampling
from winnow.core import corpus_table
from winnow.core.lake import Lake
from winnow.core.sample import clip_id, sid
from winnow.core.settings import Settings
from winnow.explorer import safety
from winnow.explorer.app import application
from winnow.media import mixture_render

RELEASE = "0123456789ab"
TAR = "clip/v=0/batch=b/00000-0000.1111.tar"
RESIDUALS = "separate/v=0/batch=b/00000-0000.2222.tar"
LABELS = ("dog barking", "playing violin", "<b>bold</b> & co")
BATCHES = ("2026-11-01", "2026-11-02")
#: Clips by their place: ten seconds and kept, dropped, without sound, without a file, of two seconds.
KEPT, DROPPED, SILENT, GONE, SHORT = range(5)
COUNT = 8
#: One whose sound was separated, and when what was left of it begins, s.
RECYCLED, RESIDUAL_START_S = 6, 0.25


def sample_id(place: int) -> str:
    """Id of a clip by its place."""
    return clip_id(sid("video", place // 2), place * 10.0, place * 10.0 + seconds(place))


def seconds(place: int) -> float:
    """Duration of a clip, s."""
    return 2.0 if place == SHORT else 10.0


def row(place: int) -> dict[str, object]:
    """Its row of fct_clips."""
    label = LABELS[place % len(LABELS)]
    dropped = place == DROPPED
    return {
        "sample_id": sample_id(place),
        "video_id": sid("video", place // 2),
        "url": f"http://x.test/{place // 2}.mp4",
        "title": "<script>document.title = 'owned'</script>" if place == KEPT else f"Clip {place}",
        "uploader": "somebody",
        "labels": [label],
        "label": label,
        "start_s": place * 10.0,
        "end_s": place * 10.0 + seconds(place),
        "duration_s": seconds(place),
        "start_ms": place * 10000,
        "flag": int(place == RECYCLED),
        "is_recycled": place == RECYCLED,
        "residual_z": 4.25 if place == RECYCLED else None,
        "has_audio": place != SILENT,
        "z": float("nan") if place == SILENT else 1.5 + place,
        "z_error": 0.375,
        "media_bytes": 1000,
        "batch": BATCHES[place % 2],
        "candidate_id": sid("row", place // 2),
        "caption": f"Scene {place}" if place in (KEPT, DROPPED) else None,
        "score": place / 10,
        "effective_z": 1.5 + place,
        "license": "CC-BY" if place % 2 else None,
        "tag_mids": ["/m/0bt9lr"] if place < DROPPED + 1 else None,
        "stillness": 0.25,
        "silence_ratio": 0.1,
        "black_ratio": 0.0,
        "status": "dropped" if dropped else "kept",
        "first_failed_rule": "low_correspondence" if dropped else None,
        "detail": "z = 0.1 is below 1.645" if dropped else None,
        "split": None if dropped else "train",
    }


#: Scores of the first clip's pictures: an event at 3.5 s, and a scorer that has one value for the whole clip.
PICTURES = [
    *(
        {
            "sample_id": sample_id(KEPT),
            "scorer": "bridge",
            "sound": "mixture",
            "picture": place + 1,
            "time_s": place + 0.5,
            "score": 0.75 if place == 3 else 0.25,
        }
        for place in range(10)
    ),
    {
        "sample_id": sample_id(KEPT),
        "scorer": "two_tower",
        "sound": "mixture",
        "picture": 1,
        "time_s": 5.0,
        "score": -0.125,
    },
    {
        "sample_id": sample_id(KEPT),
        "scorer": "two_tower",
        "sound": "residual",
        "picture": 1,
        "time_s": 5.0,
        "score": 0.5,
    },
]


#: Copies of the first clip: one that is dropped, and one that sounds alike.
COPIES = [
    {
        "first_id": sample_id(KEPT),
        "second_id": sample_id(DROPPED),
        "kind": "both",
        "length_s": 8.5,
        "share": 0.9,
        "group_head": sample_id(KEPT),
        "first_status": "kept",
        "second_status": "dropped",
    },
    {
        "first_id": sample_id(SILENT),
        "second_id": sample_id(KEPT),
        "kind": "sound_other_picture",
        "length_s": 4.0,
        "share": 0.4,
        "group_head": None,
        "first_status": "kept",
        "second_status": "kept",
    },
]


#: The rows of lists that led to the clips of two videos, and which clips stand in a family.
CANDIDATES = [
    {
        "batch": batch,
        "candidate_id": sid("row", video),
        "source": "csv",
        "list_path": f"list-{video % 2}.csv",
        "list_row": 10 + video,
        "source_id": f"id {video}",
        "video_id": sid("video", video),
    }
    for video in range(COUNT // 2)
    for batch in BATCHES
]
FAMILY = [{"sample_id": sample_id(place)} for place in (KEPT, SILENT)]
#: What fires for the dropped clip: its own rule, and a later one.
FIRED = [
    {
        "batch": BATCHES[1],
        "candidate_id": sid("row", 0),
        "sample_id": sample_id(DROPPED),
        "step": "release",
        "kind": "rule",
        "reason": rule,
        "measured": measured,
    }
    for rule, measured in (("low_correspondence", 0.1), ("near_duplicate", 2.0))
]


def build(root: Path, media: bool = False) -> tuple[Lake, Settings]:
    """The lake. With `media` its clips are real videos, without they are bytes that say which clip they are. It is made
    once a process, and copied."""
    shutil.copytree(_built(media), root, dirs_exist_ok=True)
    return Lake(root), Settings(lake=str(root))


@lru_cache(maxsize=2)
def _built(media: bool) -> Path:
    root = Path(tempfile.mkdtemp(prefix="winnow-explored-"))
    atexit.register(shutil.rmtree, root, True)
    lake = Lake(root)
    folder = root / "releases" / RELEASE
    folder.mkdir(parents=True)
    files = [{"sample_id": sample_id(place), "tar": TAR} for place in range(COUNT) if place != GONE]
    files[RECYCLED - 1] |= {"residual_tar": RESIDUALS, "residual_start_s": RESIDUAL_START_S}
    with duckdb.connect(str(folder / "winnow.duckdb")) as con:
        con.execute("create schema ops")
        fill(con, "fct_clips", "marts/fct_clips.yml", [row(place) for place in range(COUNT)])
        fill(con, "fct_frame_scores", "marts/calibration/fct_frame_scores.yml", PICTURES)
        fill(con, "fct_duplicates", "marts/fct_duplicates.yml", COPIES)
        fill(con, "fct_candidates", "marts/fct_candidates.yml", CANDIDATES)
        fill(con, "fct_removed", "marts/fct_removed.yml", FIRED)
        fill(con, "avset_clips", "marts/avset/avset_clips.yml", FAMILY)
        fill(con, "ops.fct_clip_files", "ops/fct_clip_files.yml", files)
        con.execute(f"create table thresholds as select * from read_csv('{ROOT / 'dbt/seeds/thresholds.csv'}')")
    (folder / "manifest.json").write_text("{}")
    (folder / "report.html").write_text("<title>Release</title>")
    lake.write("releases/current", f"{RELEASE}\n".encode())
    clips = {
        f"{sample_id(place)}.mp4": synthetic.mp4(place % 2, int(seconds(place))) if media else content(place)
        for place in range(COUNT)
    }
    put(lake, TAR, clips)
    put(lake, RESIDUALS, {f"{sample_id(RECYCLED)}.flac": residual(root) if media else b"fLaC" + content(RECYCLED)})
    return root


def put(lake: Lake, key: str, files: dict[str, bytes]) -> None:
    """A tar of a lake."""
    path = Path(lake.full(key))
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def residual(folder: Path, rate_hz: int = 16000) -> bytes:
    """A sound as `separate` leaves it, in FLAC: half as loud every second."""
    at_s = np.arange(round((seconds(RECYCLED) - RESIDUAL_START_S) * rate_hz)) / rate_hz
    wave = (0.3 * np.sin(2 * np.pi * 330 * at_s) * 0.5**at_s).astype(np.float32)
    return mixture_render.flac(mixture_render.scaled([wave], guard=True).signals[0], rate_hz, folder / "residual.flac")


def content(place: int) -> bytes:
    """What stands for a clip's file where nothing plays it."""
    return b"".join(f"{sample_id(place)}:{i:05d};".encode() for i in range(500))


#: Ids of all clips that have a file.
HEARD = [sample_id(place) for place in range(COUNT) if place != GONE]


def browser(lake: Lake, name: str | None = "Ann", **changes) -> TestClient:
    """A browser with a session, whose person has said a name; it knows its forms' token."""
    client = TestClient(application(lake, Settings(lake=lake.root), **changes))
    page = client.get("/clips").text
    client.token = safety.token_of(client.cookies[safety.SESSION_COOKIE])
    assert page
    if name:
        assert client.post("/person", data={"token": client.token, "person": name}).status_code == 200
    client.person = name
    return client


def shown(page: str) -> str:
    """Id of the clip that a page asks about."""
    return re.search(r'name="sample_id" value="([0-9a-f]{20})"', page)[1]


def rate(client: TestClient, sample_id: str, onscreen: str = "yes", offscreen: str = "no", **changes: object):
    """Send one rating, with other fields where `changes` says so; the answer, not followed."""
    given = {"token": client.token, "person": client.person, "sample_id": sample_id, "onscreen": onscreen}
    return client.post("/rate", data={**given, "offscreen": offscreen, **changes}, follow_redirects=False)


def annotate(client: TestClient, sample_id: str, seconds: list[int], category: str = "dog barking", **changes: object):
    """Send one annotation."""
    given = {"token": client.token, "person": client.person, "sample_id": sample_id, "category": category}
    return client.post("/annotate", data={**given, "second": seconds, **changes}, follow_redirects=False)


def ratings(lake: Lake) -> list[dict]:
    """Stored ratings, by time."""
    return sorted(corpus_table.read(lake, "rating").to_pylist(), key=lambda row: row["created_at"])


def labels(lake: Lake) -> list[dict]:
    """Stored segment labels, by time."""
    return sorted(corpus_table.read(lake, "segment_label").to_pylist(), key=lambda row: row["created_at"] or "")


def draw(lake: Lake, **params: object) -> list[dict]:
    """Draw a sample of the release; its rows in the order in which they are asked."""
    given = sampling.AuditParams(**params)
    rows = sampling.draw(lake, RELEASE, given)
    sampling.add(lake, rows, given)
    return rows


def judge(client: TestClient, audit_id: str, sample_id: str, verdict: str = "corresponds", **changes: object):
    """Send one verdict."""
    given = {"token": client.token, "person": client.person, "audit": audit_id, "sample_id": sample_id}
    return client.post("/audit", data={**given, "verdict": verdict, **changes}, follow_redirects=False)


def verdicts(lake: Lake) -> list[dict]:
    """Stored verdicts, by time."""
    return sorted(corpus_table.read(lake, "verdict").to_pylist(), key=lambda row: row["created_at"] or "")
