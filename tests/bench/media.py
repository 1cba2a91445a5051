"""How fast clips are measured and cut, beside what cannot be avoided.

    .venv/bin/python tests/bench/media.py [--videos 60,600] [--quick] [--json]

Four ratios, each against a reference that runs in the same process on the same streams:

- measure: fetch + probe + visual + audio, beside bare decoding of the same clips (PyAV, one thread, every frame of
  every stream, nothing kept); at most 2.2.
- clip: the clip stage beside bare decoding of the source videos and bare encoding, at the stage's settings, of just
  those pictures (libx264) and just that sound (AAC) which it encodes; at most 1.25. It cuts, verifies and commits.
  `ratio_pictures` is the same beside a reference that knows no sound at all.
- check: what verifying copied clips costs of that, beside bare decoding of the same clips; at most 0.3.
- fsync: what bringing the files of each full shard to the disk takes, beside the wall of all that without it; at most
  0.05. It is waited for, so it goes by the wall.

Each stage runs under the Runtime in this process, as `winnow run` would; the world is served over HTTP by another
process. The reference runs before and after what it is compared with and counts by its mean. A size above the world's
60 videos holds the same files again under other addresses, so a video costs the same and only growth shows.

All but fsync is given by the wall (ratio) and by this process's CPU (ratio_cpu). Both agree on an idle machine; on a
busy one the wall measures the neighbours, so the exit status goes by the CPU: 1 when a ratio, or the growth of the time
per second of media, passes its limit.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from tests.unit.manifests import manifest_of
from winnow.core import cpu

cpu.pin()  # as the command line does

from threadpoolctl import threadpool_limits

from tests.bench.figures import show
from tests.world.make import World, make_world
from tests.world.video import HOST
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.runtime import Runtime
from winnow.core.sample import candidate_id, sid
from winnow.core.settings import Settings
from winnow.core.shard import Lineage, shard_name
from winnow.core.shard_tar import ShardTar
from winnow.core.stage import stage_class, stage_needs

BATCH = "bench"
MEASURING = ("fetch", "probe", "visual", "audio")
LIMITS = {"measure": 2.2, "clip": 1.25, "check": 0.3, "growth": 1.15, "fsync": 0.05}
#: Of a few short videos, where what a file costs, however long it is, weighs more.
QUICK_LIMITS = {"measure": 3.0, "clip": 2.0, "check": 0.5}
WORLD_VIDEOS = 60
#: As `winnow plan` cuts them.
SHARD_SIZE = 16


def cut_plan(lake: Lake, urls: list[str], batch: str = BATCH, shard_size: int = SHARD_SIZE) -> None:
    """Commit a plan that fetches these addresses: what `ingest`, `decide` and `plan` would leave behind."""
    import pyarrow as pa

    from winnow.core import table
    from winnow.core.planned_table import PLAN

    names = []
    for number, first in enumerate(range(0, len(urls), shard_size)):
        ids = [
            (candidate_id(sid("video", url), None, None), sid("video", url), url)
            for url in urls[first : first + shard_size]
        ]
        rows = [{"sample_id": c, "outcome": "ok", "video_id": v, "url": u} for c, v, u in sorted(ids)]
        data = table.to_bytes(pa.Table.from_pylist(rows, schema=table.arrow_schema(PLAN.columns)))
        sha256 = sha256_bytes(data)
        name = shard_name(number, {"rows": sha256})
        manifest = manifest_of(data, "plan", batch, name, len(rows))
        lake.commit(manifest, data)
        names.append(name)
    lake.set_head("plan", batch, {"v": "0" * 12, "shards": names})


def run_stage(lake: Lake, settings: Settings, name: str, batch: str = BATCH) -> tuple[float, float, float]:
    """Run a stage over all shards of 16: wall s, CPU s, and wall s of it in fsync."""
    cls, synced, fsync = stage_class(name), [0.0], os.fsync

    def timed_fsync(handle: int) -> None:
        began = time.perf_counter()
        fsync(handle)
        synced[0] += time.perf_counter() - began

    clock, cpu = time.perf_counter(), time.process_time()
    os.fsync = timed_fsync
    try:
        Runtime(cls(cls.Params(), lake, settings), lake, batch, log=lambda line: None).run()
    finally:
        os.fsync = fsync
    return time.perf_counter() - clock, time.process_time() - cpu, synced[0]


@contextmanager
def served(world: World) -> Iterator[dict[str, str]]:
    """The world behind HTTP in a process of its own: the rewrites that reach it."""
    command = [sys.executable, "-m", "tests.world", "serve", "--dir", str(world.root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    try:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        yield {HOST: f"http://127.0.0.1:{port}/"}
    finally:
        process.terminate()
        process.wait(10)


def clips(lake: Lake, batch: str = BATCH) -> Iterator[tuple[dict, bytes]]:
    """Every clip's row and file."""
    import pyarrow.parquet as pq

    lineage = Lineage(lake, batch, stage_needs())
    for number in lineage.numbers("clip"):
        manifest = lineage.committed("clip", number)
        assert manifest is not None
        members = ShardTar(Path(lake.full(lake.table_key(manifest).removesuffix(".parquet") + ".tar")))
        for row in pq.read_table(io.BytesIO(lake.read_table(manifest))).to_pylist():
            if row["outcome"] == "ok":
                yield row, members.read(f"{row['sample_id']}.mp4")
        members.close()


def bare_decode(files: Iterable[bytes]) -> int:
    """Decode every frame of every clip, one thread, and keep nothing: the reference of `measure`. Frames decoded."""
    import av

    count = 0
    for data in files:
        with av.open(io.BytesIO(data)) as container:
            for stream in container.streams:
                stream.thread_type = "NONE"
            for _frame in container.decode():
                count += 1
    return count


def bare_transcode(lake: Lake, sound: bool = True) -> int:
    """Decode every source video that has encoded clips, and encode those clips' pictures; with `sound`, also decode and
    encode as AAC the sound of clips that cannot copy theirs: the reference of `clip`. Frames encoded."""
    import av
    import pyarrow.parquet as pq

    from winnow.media.clip_cutter import Encoding

    params = stage_class("clip").Params()
    encoding = Encoding(params.preset, params.crf)
    windows: dict[str, list[tuple[str, float, float]]] = {}
    for row, _ in clips(lake):
        windows.setdefault(row["video_id"], []).append((row["cut"], row["start_s"], row["end_s"]))
    lineage = Lineage(lake, BATCH, stage_needs())
    count = 0
    for number in lineage.numbers("fetch"):
        manifest = lineage.committed("fetch", number)
        assert manifest is not None
        for row in pq.read_table(io.BytesIO(lake.read_table(manifest))).to_pylist():
            cuts = sorted(windows.get(row["video_id"], ()), key=lambda cut: cut[1:])
            pictures = [(start_s, end_s) for how, start_s, end_s in cuts if how == "encode"]
            with av.open(str(lake.media_path(row["media_sha256"], row["media_ext"]))) as container:
                heard = sound and container.streams.audio and container.streams.audio[0].codec_context.name != "aac"
                outs = [_Pictures(container.streams.video[0], pictures, encoding)] if pictures else []
                outs += [_Sound(container.streams.audio[0], [cut[1:] for cut in cuts])] if heard and cuts else []
                count += _transcode(container, outs) if outs else 0
    return count


def _transcode(container, outs: list[_Track]) -> int:
    """Decode the tracks' streams and let each encode its windows; frames encoded."""
    wanted = {out.source.index: out for out in outs}
    for packet in container.demux([out.source for out in outs]):
        for frame in packet.decode():
            wanted[packet.stream_index].take(frame)
    for out in outs:
        out.close()
    return sum(out.count for out in outs)


class _Track:
    """One stream's windows, each encoded into a file of its own."""

    def __init__(self, source, windows: list[tuple[float, float]]) -> None:
        self.source, self.windows, self.count = source, list(windows), 0
        self._out = self._encoder = None
        source.thread_type = "NONE"

    def take(self, frame) -> None:
        """Encode a frame that lies in a window."""
        while self.windows and frame.time >= self.windows[0][1] - 1e-3:
            self.close()
            self.windows.pop(0)
        if not self.windows or frame.time < self.windows[0][0] - 1e-3:
            return
        if self._out is None:
            import av

            self._out = av.open(io.BytesIO(), "w", format="mp4")
            self._encoder = self._begin(self._out)
        self._put(frame)
        self.count += 1

    def close(self) -> None:
        """End the window's file."""
        if self._out is not None:
            self._out.mux(self._encoder.encode(None))
            self._out.close()
        self._out = None


class _Pictures(_Track):
    def __init__(self, source, windows: list[tuple[float, float]], encoding) -> None:
        super().__init__(source, windows)
        self._encoding = encoding

    def _begin(self, out):
        rate = self.source.average_rate
        encoder = out.add_stream("libx264", rate=rate, options=self._encoding.options(rate))
        encoder.width, encoder.height, encoder.pix_fmt = self.source.width, self.source.height, "yuv420p"
        encoder.codec_context.thread_count = 1
        encoder.codec_context.time_base = self.source.time_base
        return encoder

    def _put(self, frame) -> None:
        frame.pict_type = 0
        self._out.mux(self._encoder.encode(frame))


class _Sound(_Track):
    def _begin(self, out):
        import av

        from winnow.media.clip_audio import AAC, BIT_RATE

        layout = "mono" if self.source.codec_context.layout.nb_channels == 1 else "stereo"
        self._resampler = av.AudioResampler("fltp", layout, self.source.rate)
        encoder = out.add_stream("aac", rate=self.source.rate, layout=layout, options=dict(AAC))
        encoder.codec_context.bit_rate = BIT_RATE * (1 if layout == "mono" else 2)
        return encoder

    def _put(self, frame) -> None:
        frame.pts = None
        for part in self._resampler.resample(frame):
            self._out.mux(self._encoder.encode(part))


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU s of a call."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def addresses(world: World, count: int) -> list[str]:
    """So many addresses of the world's videos; above their number, links to the same files under other names."""
    media = world.root / "media"
    files = sorted(path for path in media.iterdir() if "-again-" not in path.name)
    found = list(files)
    for number in range(len(files), count):
        path = files[number % len(files)]
        again = media / f"{path.stem}-again-{number // len(files)}{path.suffix}"
        if not again.exists():
            os.link(path, again)
        found.append(again)
    return [f"{HOST}{path.name}" for path in found[:count]]


def measure(world: World, videos: int, folder: Path, limits: dict[str, float] = LIMITS) -> list[dict[str, object]]:
    """All ratios at one size: one object each."""
    lake = Lake(folder / f"lake-{videos}")
    with served(world) as rewrites:
        settings = Settings(lake=lake.root, fetch_rewrites=rewrites, fetch_allow_networks="127.0.0.0/8")
        cut_plan(lake, addresses(world, videos))
        times = {"fetch": run_stage(lake, settings, "fetch")}
    times["clip"] = run_stage(lake, settings, "clip")
    transcode, pictures = [timed(lambda: bare_transcode(lake))], timed(lambda: bare_transcode(lake, sound=False))
    decode = [timed(lambda: bare_decode(data for _, data in clips(lake)))]
    for name in MEASURING[1:]:
        times[name] = run_stage(lake, settings, name)
    decode.append(timed(lambda: bare_decode(data for _, data in clips(lake))))
    rows, copied = [row for row, _ in clips(lake)], [data for row, data in clips(lake) if row["cut"] == "copy"]
    count, media_s = len(rows), sum(row["duration_s"] for row in rows)
    figures = []
    for name, stages, reference in (("measure", MEASURING, decode), ("clip", ("clip",), transcode)):
        wall_s, cpu_s = sum(times[s][0] for s in stages), sum(times[s][1] for s in stages)
        bare_s, bare_cpu_s = (sum(column) / len(reference) for column in zip(*reference, strict=True))
        figures.append(
            {
                "bench": name,
                "videos": videos,
                "clips": count,
                "media_s": round(media_s, 1),
                "copied": sum(row["cut"] == "copy" for row in rows),
                "wall_s": round(wall_s, 3),
                "cpu_s": round(cpu_s, 3),
                "clips_per_s": round(count / wall_s, 2),
                "reference_wall_s": round(bare_s, 3),
                "reference_clips_per_s": round(count / bare_s, 2),
                "ratio": round(wall_s / bare_s, 3),
                "ratio_cpu": round(cpu_s / bare_cpu_s, 3),
                "limit": limits[name],
                "stage_cpu_s": {s: round(times[s][1], 3) for s in stages},
                **({"ratio_pictures": round(cpu_s / pictures[1], 3)} if name == "clip" else {}),
            }
        )
    if copied:
        figures.append(checked(copied, videos, limits["check"]))
    if videos >= SHARD_SIZE and "fsync" in limits:
        figures.append(synced(times, videos, limits["fsync"]))
    return figures


def synced(times: dict[str, tuple[float, float, float]], videos: int, limit: float) -> dict[str, object]:
    """What fsync adds to the wall of all stages, and of each."""
    ratios = {name: round(fsync_s / (wall_s - fsync_s), 4) for name, (wall_s, _, fsync_s) in times.items()}
    fsync_s, wall_s = sum(t[2] for t in times.values()), sum(t[0] for t in times.values())
    return {
        "bench": "fsync",
        "videos": videos,
        "shard": SHARD_SIZE,
        "fsync_s": round(fsync_s, 3),
        "reference_wall_s": round(wall_s - fsync_s, 3),
        "ratio": round(fsync_s / (wall_s - fsync_s), 4),
        "limit": limit,
        "stages": ratios,
    }


def checked(copied: list[bytes], videos: int, limit: float) -> dict[str, object]:
    """What verifying copied clips costs, beside decoding them."""
    from winnow.media import clip_check

    def check() -> None:
        for data in copied:
            clip_check.check(data, copied=True)

    found = [(timed(check), timed(lambda: bare_decode(copied))) for _ in range(3)]
    (check_s, check_cpu_s), (bare_s, bare_cpu_s) = (
        map(min, zip(*both, strict=True)) for both in zip(*found, strict=True)
    )
    return {
        "bench": "check",
        "videos": videos,
        "clips": len(copied),
        "cpu_s": round(check_cpu_s, 3),
        "reference_cpu_s": round(bare_cpu_s, 3),
        "ratio": round(check_s / bare_s, 3),
        "ratio_cpu": round(check_cpu_s / bare_cpu_s, 3),
        "limit": limit,
    }


def growth(figures: list[dict[str, object]], bench: str) -> dict[str, object]:
    """Time per second of media at the largest size over that at the smallest, by wall and by CPU: 1 is linear."""
    mine = sorted((f for f in figures if f["bench"] == bench), key=lambda f: f["videos"])
    cost = {name: [f[name] / f["media_s"] for f in (mine[0], mine[-1])] for name in ("wall_s", "cpu_s")}
    ratio, ratio_cpu = (round(last / first, 3) for first, last in cost.values())
    sizes = [f["videos"] for f in mine]
    return {
        "bench": f"{bench} growth",
        "sizes": sizes,
        "ratio": ratio,
        "ratio_cpu": ratio_cpu,
        "limit": LIMITS["growth"],
    }


def main() -> int:
    """Run, print, and say whether every limit holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", default="60,600", help="sizes, comma-separated")
    parser.add_argument("--quick", action="store_true", help="one small size, within 30 s")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    threadpool_limits(1)  # as the command line does
    sizes = [8] if options.quick else [int(size) for size in options.videos.split(",")]
    figures: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as name:
        folder = Path(name)
        length_s = (10.0, 20.0) if options.quick else (15.0, 60.0)
        world = make_world(folder / "world", videos=min(max(sizes), WORLD_VIDEOS), seconds=length_s, plants={})
        measure(world, 2, folder / "warm-up")  # imports, and libraries' first calls
        for size in sorted(sizes):
            for figure in measure(world, size, folder, QUICK_LIMITS if options.quick else LIMITS):
                figures.append(figure)
                show(figure, options.json)
    if len(sizes) > 1:
        for bench in ("measure", "clip"):
            figures.append(growth(figures, bench))
            show(figures[-1], options.json)
    return 0 if all(figure.get("ratio_cpu", figure["ratio"]) <= figure["limit"] for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
