"""What separation gains: SI-SDR of the residuals of clips whose clean sound the world can make, and whom they fool.

    .venv/bin/python tests/bench/separation.py --world DIR --lake DIR [--json]

DIR: a world (`python -m tests.world make`) and a lake whose batches were curated from it (`tests/bench/avset.py --keep`
leaves both). A clip under a voice-over is the sum of its own sound and the voice's (`tests.world.sound.parts`): the
mixture and the residual are compared with the former. Times of a clip and of its video may differ by a codec's delay,
so the clean sound is laid where the known mixture and the clip's sound agree best. No stage reads any of this.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from math import gcd
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

import numpy as np
import pyarrow.parquet as pq
from scipy.signal import correlate, resample_poly

from tests.world.make import make_plan
from tests.world.sound import parts
from tests.world.timeline import make_timeline
from tests.world.video import Video
from winnow import media
from winnow.lake import Lake
from winnow.metrics.separation import si_snr_db
from winnow.models import builtin_audio
from winnow.models.correspondence import Scorer, joined
from winnow.models.layers import AUDIO_LAYERS, VISUAL_LAYERS
from winnow.shard import Chain
from winnow.shelf import Shelf
from winnow.stage import stage_needs, stage_wants

RATE_HZ = builtin_audio.RATE_HZ
#: How far a clip's sound may lie beside the video's, s.
SLACK_S = 0.05


def planned(videos: Sequence[Video], lake: Lake, batches: Sequence[str]) -> dict[str, Video]:
    """A world's videos (`World.videos`) by the id that Winnow gave them."""
    by_url = {video.url: video for video in videos}
    listed = [row for batch in batches for row in rows(lake, batch, "plan")]
    return {row["video_id"]: by_url[row["url"]] for row in listed if row["url"] in by_url}


def gained(
    videos: Sequence[Video], lake: Lake, batches: Sequence[str], planted: str = "voice_over"
) -> list[dict[str, object]]:
    """One row per separated clip of this plant: sample_id, batch, url, audio_class, mixture_db and residual_db (SI-SDR
    against its clean sound), gained_db, and removed_db as the stage measured it."""
    plan, out = planned(videos, lake, batches), []
    for batch, row, mixture, residual in separated(lake, batches):
        video = plan.get(str(row["video_id"]))
        if video is None or video.planted != planted:
            continue
        clean = clean_sound(video, float(row["clip_start_s"]) + float(row["start_s"]), mixture)
        before, after = (float(si_snr_db(clean, made)) for made in (mixture, residual))
        out.append(
            {
                "sample_id": row["sample_id"], "batch": batch, "url": video.url, "audio_class": video.audio_class,
                "mixture_db": round(before, 3), "residual_db": round(after, 3), "gained_db": round(after - before, 3),
                "removed_db": row["removed_db"],
            }
        )  # fmt: skip
    return out


def fooled(
    videos: Sequence[Video], lake: Lake, batches: Sequence[str], at: float = 1.645, pictures: int = 3
) -> dict[str, float]:
    """How many residuals of voice-overs pass with their own picture, and with those of other classes (z ≥ `at`): the
    first should be many, the second about as few as the null says. Wrong pictures are drawn with a fixed seed."""
    plan, rng = planned(videos, lake, batches), np.random.default_rng(0)
    digest = lake.model_current("correspond")
    assert digest is not None, "no scorer is fitted"
    scorer = Scorer.loads(lake.read(lake.model_key("correspond", digest)))
    seen = {row["sample_id"]: row for batch in batches for row in rows(lake, batch, "visual") if row["outcome"] == "ok"}
    own = [
        (row, residual)
        for _, row, _, residual in separated(lake, batches)
        if plan[str(row["video_id"])].planted == "voice_over" and row["sample_id"] in seen
    ]
    right, wrong = [], []
    for row, residual in own:
        sound = builtin_audio.describe(residual.astype(np.float32), float(row["start_s"]), float(row["duration_s"]))
        kind = plan[str(row["video_id"])].visual_class
        others = [other for other, _ in own if plan[str(other["video_id"])].visual_class != kind]
        drawn = [others[i] for i in rng.integers(len(others), size=pictures)] if others else []
        for shown in (row, *drawn):
            visual = seen[shown["sample_id"]]
            z = scorer.score(
                str(shown["video_id"]), joined(visual, [layer.column for layer in VISUAL_LAYERS]),
                joined(sound, [layer.column for layer in AUDIO_LAYERS]), visual["motion"], sound["onset"],
            )["z"]  # fmt: skip
            (right if shown is row else wrong).append(float(z) >= at)
    share = {"clips": len(own), "own": np.mean(right) if right else 0.0, "wrong": np.mean(wrong) if wrong else 0.0}
    return {name: round(float(value), 4) for name, value in share.items()}


def clean_sound(video: Video, start_s: float, mixture: np.ndarray) -> np.ndarray:
    """What a clip would sound like without what covers it: mono, at RATE_HZ, as long as its mixture and in step with
    it. start_s: where the mixture begins on the video's clock."""
    own, cover = parts(video, make_timeline(video.audio_class, video.duration_s, video.rng(1)))
    shared = gcd(RATE_HZ, video.rate_hz)
    own, whole = (
        resample_poly(sound, RATE_HZ // shared, video.rate_hz // shared)
        for sound in (own, own if cover is None else own + cover)
    )
    slack = round(SLACK_S * RATE_HZ)
    first = round(start_s * RATE_HZ)
    padded = np.pad(whole, (slack, slack + len(mixture)))[first : first + len(mixture) + 2 * slack]
    lag = int(correlate(padded, mixture, "valid").argmax())
    return np.pad(own, (slack, slack + len(mixture)))[first + lag : first + lag + len(mixture)].astype(np.float64)


def separated(lake: Lake, batches: Sequence[str]) -> Iterator[tuple[str, dict, np.ndarray, np.ndarray]]:
    """Every separated clip: its batch, its row (with `clip_start_s`, where the clip begins in its video), the sound it
    had and the one that is left, mono at RATE_HZ."""
    for batch in batches:
        chain = Chain(lake, batch, stage_needs(), stage_wants())
        for number in chain.numbers("separate"):
            manifests = {name: chain.committed(name, number) for name in ("separate", "clip")}
            found = {name: table(lake, manifest) for name, manifest in manifests.items()}
            starts = {row["sample_id"]: row["start_s"] for row in found["clip"]}
            tars = [lake.full(lake.table_key(m)).removesuffix(".parquet") + ".tar" for m in manifests.values()]
            with closing(Shelf(Path(tars[0]))) as residuals, closing(Shelf(Path(tars[1]))) as clips:
                for row in found["separate"]:
                    if row["outcome"] != "ok":
                        continue
                    with media.opened(clips.read(f"{row['sample_id']}.mp4")) as clip:
                        frames = list(clip.frames(clip.require_audio()))
                    mixture = media.waveform(frames, rate_hz=RATE_HZ, mono=True)[0]
                    residual = decoded(residuals.read(f"{row['sample_id']}.flac"))
                    length = min(len(mixture), len(residual))
                    about = {**row, "clip_start_s": starts[row["sample_id"]]}
                    yield batch, about, mixture[:length].astype(np.float64), residual[:length].astype(np.float64)


def decoded(data: bytes) -> np.ndarray:
    """A FLAC file's sound, mono at RATE_HZ."""
    import av

    with av.open(io.BytesIO(data), format="flac") as file:
        return media.waveform(list(file.decode(audio=0)), rate_hz=RATE_HZ, mono=True)[0]


def rows(lake: Lake, batch: str, stage: str) -> list[dict]:
    """All rows of a stage of a batch."""
    chain = Chain(lake, batch, stage_needs(), stage_wants())
    return [row for number in chain.numbers(stage) for row in table(lake, chain.committed(stage, number))]


def table(lake: Lake, manifest) -> list[dict]:
    """The rows of a committed shard."""
    return pq.read_table(io.BytesIO(lake.read_table(manifest))).to_pylist()


def main() -> None:
    """Print what separation gained on a curated world."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", type=Path, required=True)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    lake = Lake(options.lake)
    batches = sorted(p.name for p in (options.world / "inbox").iterdir())
    stamp = json.loads((options.world / "world.json").read_text(encoding="utf-8"))
    videos = make_plan(stamp["seed"], stamp["videos"], len(batches), tuple(stamp["seconds"]))
    if stamp["plants"] is not None:
        parser.error("this world's plants were chosen by hand: call `gained` with its World.videos")
    found = gained(videos, lake, batches)
    db = np.array([row["gained_db"] for row in found])
    passed = fooled(videos, lake, batches)
    if options.json:
        print(json.dumps({"clips": found, "passes": passed}))
        return
    for row in found:
        print(f"{row['sample_id']} {row['audio_class']:10} {row['mixture_db']:7.1f} → {row['residual_db']:6.1f} dB")
    print(f"SI-SDR gained: mean {db.mean():.1f} dB, median {np.median(db):.1f}, least {db.min():.1f} ({len(db)} clips)")
    print(f"pass with their own picture: {passed['own']:.2f}, with one of another class: {passed['wrong']:.2f}")


if __name__ == "__main__":
    main()
