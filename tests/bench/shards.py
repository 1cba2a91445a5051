"""The loader of shards beside webdataset and PyAV written plainly: same files, workers, pictures and sound.

    .venv/bin/python tests/bench/shards.py [--clips 48] [--rounds 3] [--workers 2] [--quick] [--json]

Clips of ten seconds (H.264 with B-pictures, 640 × 360, 25 pictures a second; AAC, 44.1 kHz) lie in the tars of an
export. Both loaders give the same windows of two seconds: 4 pictures a second, 112 × 112, and sound at 16 kHz, in
batches of 8. Plainly means: webdataset under torch's DataLoader, which decodes each clip from its beginning, takes the
pictures that are shown at the window's times, shrinks them by swscale, and resamples the sound. `wrong` counts clips
whose pictures differ in a bit, or whose sound by more than 1e-4, between the two. `ratio` is the median over rounds of
the second rate, clips a second, over the first; `cached` the same of an epoch from the loader's warm cache; `growth_mb`
what five epochs add to private memory after the first.

Exit status 1 when a clip is wrong, the ratio below RATIO or the growth above GROWTH_MB. --quick: fewer clips, one
round."""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import numpy as np

from tests.bench.figures import show
from tests.bench.loader import _private_mb
from winnow.core.lake import Lake, sha256_bytes
from winnow.train.shards import ClipFiles, ClipLoader, Window

RATIO, GROWTH_MB, EPOCHS = 1.5, 200, 5
SECONDS, FPS, SIZE, SHARDS, BATCH = 10, 25, (640, 360), 4, 8
WINDOW = Window(2.0, per_s=4, width=112, height=112, rate_hz=16_000)


def main() -> int:
    """Print the figures; exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    count, rounds = (16, 1) if args.quick else (args.clips, args.rounds)
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as name:
        folder = Path(name)
        clips = _made(folder, count)
        starts = _starts(clips)
        rates: dict[str, list[float]] = {"webdataset": [], "loader": [], "cached": []}
        given: dict[str, dict] = {}
        _all(_plain(folder, starts, args.workers))  # imports and first touches count for neither
        for one in range(rounds):
            for kind, cache in (("webdataset", None), ("loader", None), ("cached", folder / "cache")):
                if kind == "cached" and one == 0:
                    _all(_ours(clips, args.workers, cache))
                began = time.perf_counter()
                if kind == "webdataset":
                    given[kind] = _all(_plain(folder, starts, args.workers))
                else:
                    given[kind] = _all(_ours(clips, args.workers, cache))
                rates[kind].append(count / (time.perf_counter() - began))
        wrong = {
            clip
            for kind in ("loader", "cached")
            for clip in given["webdataset"]
            if not _same(given["webdataset"][clip], given[kind].get(clip))
        }
        figure = {
            "bench": "shards",
            "clips": count,
            "workers": args.workers,
            "wrong": len(wrong),
            **{f"{kind}_clips_per_s": round(statistics.median(found), 1) for kind, found in rates.items()},
            "ratio": _ratio(rates, "loader"),
            "cached_ratio": _ratio(rates, "cached"),
            "growth_mb": _growth(clips, args.workers),
        }
    show(figure, args.json)
    return 0 if not wrong and figure["ratio"] >= RATIO and figure["growth_mb"] <= GROWTH_MB else 1


def _ratio(rates: dict[str, list[float]], kind: str) -> float:
    return round(statistics.median(b / a for a, b in zip(rates["webdataset"], rates[kind], strict=True)), 2)


def _ours(clips: ClipFiles, workers: int, cache: Path | None, epochs: int = 1) -> Iterator[tuple]:
    loader = ClipLoader(clips, WINDOW, size=BATCH, seed=0, epochs=epochs, workers=workers, cache=cache)
    for batch in loader.steps():
        yield batch.ids, batch.inputs["pictures"], batch.inputs["sound"]


def _plain(folder: Path, starts: dict[str, float], workers: int) -> Iterator[tuple]:
    import torch
    import webdataset as wds

    decode = Plain(starts)
    data = wds.WebDataset([str(p) for p in sorted(folder.glob("data/*.tar"))], shardshuffle=False).map(decode)
    loader = torch.utils.data.DataLoader(data, batch_size=BATCH, num_workers=workers)
    for ids, pictures, sound in loader:
        yield ids, pictures.numpy(), sound.numpy()


class Plain:
    """What one writes who reads PyAV's page: decode, keep what is wanted."""

    def __init__(self, starts: dict[str, float]) -> None:
        self.starts = starts

    def __call__(self, sample: dict) -> tuple:
        import av

        start_s = self.starts[sample["__key__"].rpartition("/")[2]]
        wanted = [start_s + k / WINDOW.per_s for k in range(WINDOW.pictures)]
        frames, waves, before = [], [], None
        with av.open(io.BytesIO(sample["mp4"])) as file:
            scale = av.video.reformatter.VideoReformatter()
            for frame in file.decode(video=0):
                if wanted and frame.time > wanted[0] + 1e-6:
                    while wanted and frame.time > wanted[0] + 1e-6:
                        frames.append(before)
                        wanted.pop(0)
                before = frame
            frames += [before] * len(wanted)
            pictures = np.stack(
                [
                    scale.reformat(f, WINDOW.width, WINDOW.height, "rgb24", interpolation=AREA).to_ndarray()
                    for f in frames
                ]
            )
        with av.open(io.BytesIO(sample["mp4"])) as file:
            resampler = av.AudioResampler("fltp", "mono", WINDOW.rate_hz)
            for frame in file.decode(audio=0):
                frame.pts = None
                waves += [out.to_ndarray()[0] for out in resampler.resample(frame)]
            waves += [out.to_ndarray()[0] for out in resampler.resample(None)]
        sound, at = np.concatenate(waves), round(start_s * WINDOW.rate_hz)
        cut = sound[at : at + WINDOW.samples]
        return sample["__key__"].rpartition("/")[2], pictures, np.pad(cut, (0, WINDOW.samples - len(cut)))


AREA = 32  # SWS_AREA


def _all(batches: Iterator[tuple]) -> dict[str, tuple]:
    return {clip: (pictures[k], sound[k]) for ids, pictures, sound in batches for k, clip in enumerate(ids)}


def _same(one: tuple, other: tuple | None) -> bool:
    return other is not None and bool((one[0] == other[0]).all()) and float(np.abs(one[1] - other[1]).max()) <= 1e-4


def _starts(clips: ClipFiles) -> dict[str, float]:
    """Where the loader begins the window of each clip in the first epoch."""
    loader = ClipLoader(clips, WINDOW, size=BATCH, seed=0, epochs=1)
    return {clip: float(s) for b in loader.steps() for clip, s in zip(b.ids, b.inputs["start_s"], strict=True)}


def _growth(clips: ClipFiles, workers: int) -> float:
    after = []
    loader = ClipLoader(clips, WINDOW, size=BATCH, seed=0, epochs=EPOCHS, workers=workers)
    for batch in loader.steps():
        if (batch.step + 1) % loader.per_epoch == 0:
            after.append(_private_mb())
    return round(after[-1] - after[0], 1)


def _made(folder: Path, count: int) -> ClipFiles:
    """An export's tars of clips, of eight films."""
    films = [_film(seed) for seed in range(8)]
    ids, tars, digests = [], [], []
    (folder / "data").mkdir()
    for shard in range(SHARDS):
        name = f"data/{shard:05d}.tar"
        with tarfile.open(folder / name, "w") as tar:
            for k in range(shard, count, SHARDS):
                clip, film = sha256_bytes(str(k).encode())[:20], films[k % len(films)]
                for ext, data in (("json", json.dumps({"id": clip}).encode()), ("mp4", film)):
                    member = tarfile.TarInfo(f"{clip}.{ext}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
                ids.append(clip)
                tars.append(name)
                digests.append(sha256_bytes(film))
    return ClipFiles.of_tars(Lake(folder), ids, tars, {"mp4": digests})


def _film(seed: int) -> bytes:
    import av

    rng, buffer = np.random.default_rng(seed), io.BytesIO()
    width, height = SIZE
    ground = rng.integers(0, 255, (height // 8, width // 8, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    with av.open(buffer, "w", format="mp4") as file:
        video = file.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.options = {"preset": "veryfast", "crf": "24", "g": "50", "bf": "3"}
        audio = file.add_stream("aac", rate=44_100, layout="mono")
        for k in range(SECONDS * FPS):
            image = np.roll(ground, (k * (seed + 1), 2 * k), (0, 1))
            image[100:200, (7 * k) % 500 : (7 * k) % 500 + 100] = (k * 3) % 255
            file.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        t = np.arange(SECONDS * 44_100) / 44_100
        frame = av.AudioFrame.from_ndarray((0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)[None], "fltp", "mono")
        frame.sample_rate, frame.pts = 44_100, 0
        file.mux(audio.encode(frame))
        for stream in (video, audio):
            file.mux(stream.encode())
    return buffer.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
