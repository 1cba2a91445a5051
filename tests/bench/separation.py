"""What separation gains: SI-SDR of voice-overs whose clean sound the world can make, what it costs, and whom it fools.

    .venv/bin/python tests/bench/separation.py [--clips 60] [--seed 201] [--quick] [--json]
    .venv/bin/python tests/bench/separation.py --world DIR --lake DIR [--json]

Alone: sounds of a world's voice-over videos, 10 s each, through the built-in tagger's voice activity and the built-in
separator. Gained dB (SI-SDR of the residual less that of the mixture, both against the sound without the voice) beside
what an ideal ratio mask gains, which knows both powers in every cell of the separator's own spectrum: no mask of shares
can do better. Time beside scikit-learn's NMF of as many bases and iterations on the same power spectrum, that knows
nothing of pauses; and how it grows from 10 to 40 s of sound. Exit status 1 when less than LIMIT of the ideal is gained.

With a world (`python -m tests.world make`) and a lake whose batches were curated from it (`tests/bench/avset.py --keep`
leaves both): the residuals that the stage left there, and how many pass with their own picture and with those of other
classes. Times of a clip and of its video may differ by a codec's delay, so the clean sound is laid where the known
mixture and the clip's sound agree best. No stage reads any of this.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from math import gcd
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import numpy as np
import pyarrow.parquet as pq
from scipy.signal import correlate, resample_poly
from sklearn.decomposition import NMF
from threadpoolctl import threadpool_limits

from tests.bench.figures import show
from tests.bench.media import timed
from tests.world.make import make_plan
from tests.world.sound import parts
from tests.world.timeline import make_timeline
from tests.world.video import Video
from winnow.core.lake import Lake
from winnow.core.shard import Lineage
from winnow.core.shard_tar import ShardTar
from winnow.core.stage import stage_needs, stage_optional_needs
from winnow.media import decode
from winnow.metrics.separation import si_snr_db
from winnow.models import builtin_audio
from winnow.models.correspondence import Scorer, joined
from winnow.models.layers import AUDIO_LAYERS, VISUAL_LAYERS
from winnow.models.separators import nmf
from winnow.models.voice_activity import VoiceActivity, spans

RATE_HZ = builtin_audio.RATE_HZ
#: How far a clip's sound may lie beside the video's, s.
SLACK_S = 0.05
#: Share of what an ideal mask gains: worlds differ, from 0.51 to 0.58 in three of 60 clips.
LIMIT = 0.45


def known(video: Video) -> tuple[np.ndarray, np.ndarray | None]:
    """The sound of a video's own event, and what covers it, if anything does: float64 (samples,) at RATE_HZ."""
    own, cover = parts(video, make_timeline(video.audio_class, video.duration_s, video.rng(1)))
    shared = gcd(RATE_HZ, video.rate_hz)

    def here(sound: np.ndarray) -> np.ndarray:
        return resample_poly(sound.astype(np.float64), RATE_HZ // shared, video.rate_hz // shared)

    return here(own), None if cover is None else here(cover)


def sounds(seed: int, count: int, seconds: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of so many voice-overs: the sound without the voice, and the voice, float64 (samples,) at RATE_HZ."""
    made = []
    for video in make_plan(seed, count, 3, (seconds, seconds), {"voice_over": count}):
        clean, voice = known(video)
        if voice is not None:
            made.append((clean / 4, voice / 4))  # at a level that does not clip
    return made


def ideal(clean: np.ndarray, voice: np.ndarray) -> np.ndarray:
    """What the mask of the true shares of power leaves of their sum."""
    under, over = (np.square(np.abs(nmf.transform(x))) for x in (clean, voice))
    return nmf.inverse(nmf.transform(clean + voice) * under / (under + over + 1e-12), len(clean))


def blind(mixture: np.ndarray) -> None:
    """A factorisation of the whole spectrum in one, as large as the separator's."""
    power = np.square(np.abs(nmf.transform(mixture))).astype(np.float32).T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        NMF(
            nmf.BACKGROUND + nmf.VOICE,
            solver="mu",
            beta_loss="kullback-leibler",
            init="random",
            random_state=0,
            max_iter=nmf.ITERATIONS,
            tol=0.0,
        ).fit_transform(power + 1e-12)


def alone(seed: int, count: int, lengths: tuple[float, float]) -> Iterator[dict[str, object]]:
    """The figures that need no lake."""
    separator, hears = nmf.Nmf(), VoiceActivity()
    gains: list[tuple[float, float]] = []
    for clean, voice in sounds(seed, count, lengths[0]):
        mixture = clean + voice
        spoken = np.array(spans(hears(mixture))).reshape(-1, 2)
        residual = mixture - separator.dialogue(mixture[None], spoken)[0]
        before, after, best = (float(si_snr_db(clean, x)) for x in (mixture, residual, ideal(clean, voice)))
        gains.append((after - before, best - before))
    ours, best = np.array(gains).T
    yield {
        "bench": "separation",
        "seed": seed,
        "clips": len(gains),
        "sound_s": lengths[0],
        "gained_db": round(float(ours.mean()), 3),
        "gained_median_db": round(float(np.median(ours)), 3),
        "reference": "ideal ratio mask",
        "reference_gained_db": round(float(best.mean()), 3),
        "ratio": round(float(ours.mean() / best.mean()), 3),
        "limit": LIMIT,
    }
    cost = []
    for seconds in lengths:
        mixture = sum(sounds(seed, 3, seconds)[0])
        spoken = np.array(spans(hears(mixture))).reshape(-1, 2)
        cost.append(min(timed(partial(separator.dialogue, mixture[None], spoken))[1] for _ in range(3)))
        reference = min(timed(partial(blind, mixture))[1] for _ in range(2))
        yield {
            "bench": "cost",
            "sound_s": seconds,
            "cpu_s": round(cost[-1], 3),
            "x_real_time": round(seconds / cost[-1], 1),
            "reference": "scikit-learn's NMF",
            "reference_cpu_s": round(reference, 3),
            "ratio": round(cost[-1] / reference, 3),
        }
    growth = cost[1] / lengths[1] / (cost[0] / lengths[0])
    yield {"bench": "growth", "sound_s": lengths, "ratio": round(growth, 3)}


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
                "sample_id": row["sample_id"],
                "batch": batch,
                "url": video.url,
                "audio_class": video.audio_class,
                "mixture_db": round(before, 3),
                "residual_db": round(after, 3),
                "gained_db": round(after - before, 3),
                "removed_db": row["removed_db"],
            }
        )
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
                str(shown["video_id"]),
                joined(visual, [layer.column for layer in VISUAL_LAYERS]),
                joined(sound, [layer.column for layer in AUDIO_LAYERS]),
                visual["motion"],
                sound["onset"],
            )["z"]
            (right if shown is row else wrong).append(float(z) >= at)
    share = {"clips": len(own), "own": np.mean(right) if right else 0.0, "wrong": np.mean(wrong) if wrong else 0.0}
    return {name: round(float(value), 4) for name, value in share.items()}


def clean_sound(video: Video, start_s: float, mixture: np.ndarray) -> np.ndarray:
    """What a clip would sound like without what covers it: mono, at RATE_HZ, as long as its mixture and in step with
    it. start_s: where the mixture begins on the video's clock."""
    own, cover = known(video)
    whole = own if cover is None else own + cover
    slack = round(SLACK_S * RATE_HZ)
    first = round(start_s * RATE_HZ)
    padded = np.pad(whole, (slack, slack + len(mixture)))[first : first + len(mixture) + 2 * slack]
    lag = int(correlate(padded, mixture, "valid").argmax())
    return np.pad(own, (slack, slack + len(mixture)))[first + lag : first + lag + len(mixture)]


def separated(lake: Lake, batches: Sequence[str]) -> Iterator[tuple[str, dict, np.ndarray, np.ndarray]]:
    """Every separated clip: its batch, its row (with `clip_start_s`, where the clip begins in its video), the sound it
    had and the one that is left, mono at RATE_HZ."""
    for batch in batches:
        lineage = Lineage(lake, batch, stage_needs(), stage_optional_needs())
        for number in lineage.numbers("separate"):
            manifests = {name: lineage.committed(name, number) for name in ("separate", "clip")}
            found = {name: table(lake, manifest) for name, manifest in manifests.items()}
            starts = {row["sample_id"]: row["start_s"] for row in found["clip"]}
            tars = [lake.full(lake.table_key(m)).removesuffix(".parquet") + ".tar" for m in manifests.values()]
            with closing(ShardTar(Path(tars[0]))) as residuals, closing(ShardTar(Path(tars[1]))) as clips:
                for row in found["separate"]:
                    if row["outcome"] != "ok":
                        continue
                    with decode.opened(clips.read(f"{row['sample_id']}.mp4")) as clip:
                        frames = list(clip.frames(clip.require_audio()))
                    mixture = decode.waveform(frames, rate_hz=RATE_HZ, mono=True)[0]
                    residual = decoded(residuals.read(f"{row['sample_id']}.flac"))
                    length = min(len(mixture), len(residual))
                    about = {**row, "clip_start_s": starts[row["sample_id"]]}
                    yield batch, about, mixture[:length].astype(np.float64), residual[:length].astype(np.float64)


def decoded(data: bytes) -> np.ndarray:
    """A FLAC file's sound, mono at RATE_HZ."""
    import av

    with av.open(io.BytesIO(data), format="flac") as file:
        return decode.waveform(list(file.decode(audio=0)), rate_hz=RATE_HZ, mono=True)[0]


def rows(lake: Lake, batch: str, stage: str) -> list[dict]:
    """All rows of a stage of a batch."""
    lineage = Lineage(lake, batch, stage_needs(), stage_optional_needs())
    return [row for number in lineage.numbers(stage) for row in table(lake, lineage.committed(stage, number))]


def table(lake: Lake, manifest) -> list[dict]:
    """The rows of a committed shard."""
    return pq.read_table(io.BytesIO(lake.read_table(manifest))).to_pylist()


def curated(world: Path, lake: Lake) -> Iterator[dict[str, object]]:
    """The figures of a curated world. ValueError for one whose plants were chosen by hand."""
    batches = sorted(p.name for p in (world / "inbox").iterdir())
    stamp = json.loads((world / "world.json").read_text(encoding="utf-8"))
    if stamp["plants"] is not None:
        raise ValueError("this world's plants were chosen by hand: call `gained` with its World.videos")
    videos = make_plan(stamp["seed"], stamp["videos"], len(batches), tuple(stamp["seconds"]))
    found = gained(videos, lake, batches)
    yield from ({"bench": "clip", **row} for row in found)
    db = np.array([row["gained_db"] for row in found])
    yield {
        "bench": "curated",
        "clips": len(db),
        "gained_db": round(float(db.mean()), 3),
        "gained_median_db": round(float(np.median(db)), 3),
        **fooled(videos, lake, batches),
    }


def main() -> int:
    """Print the figures, and say whether enough is gained."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", type=Path, help="a world that --lake was curated from")
    parser.add_argument("--lake", type=Path)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--seed", type=int, default=201, help="of the world; below 100 for development")
    parser.add_argument("--quick", action="store_true", help="eight clips, within 30 s")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    threadpool_limits(1)  # as the command line does
    if (options.world is None) != (options.lake is None):
        parser.error("--world and --lake belong together")
    if options.world is not None:
        found = curated(options.world, Lake(options.lake))
    else:
        found = alone(options.seed, 8 if options.quick else options.clips, (10.0, 40.0))
    good = True
    for figure in found:
        show(figure, options.json)
        good &= "limit" not in figure or figure["ratio"] >= figure["limit"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
