"""How much memory each stage takes as its input grows, beside the process that has set it up, and within its pod.

    .venv/bin/python tests/bench/memory.py [--quick] [--json]

Four inputs, each at a size, four times and sixteen times that:

- video: one source video, up to 4 GB, of which every window is copied: fetch (from the inbox), clip.
- shard: one shard of up to 3,000 clips, through every stage that reads clips.
- list: up to 2,000,000 rows: ingest, screen (of no more than twelve shards), plan (of all rows, accepted).
- cells: lists whose descriptions have 40 kB, up to 8,000 rows: ingest, screen, plan.

and one sample that grows: a single clip of up to 160 s (of 600 s at most, `clip.window_s`).

`peak_mb` is the most that was resident, of ingest and of the process that reads its lists together. `reference_mb` is
the same process before its first sample: libraries and models; `ratio` is peak over reference. `limit_mb` is the pod's,
as the stage or plugins/winnow_pod.py says. `growth` is peak at the largest size over peak at the smallest: what streams
is near 1, and may reach GROWTH. A clip is the sample itself, so there it is MB for each MB of the clip's file (noise,
which compresses badly), and no part of --quick; ingest and plan keep what they need to know a row again, so there it is
kB a row. Exit status 1 where a peak passes its pod's share (`winnow.core.confine`), or what must stream grows.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

from tests.bench.figures import show

SIZES = (1, 4, 16)
GROWTH = 1.5
MEGABYTE = 1 << 20
CELL = 40_000
#: Per case: the smallest size, that of --quick, and its unit.
CASES = {
    "video": (250, 8, "MB"),
    "shard": (188, 8, "clips"),
    "list": (125_000, 2_500, "rows"),
    "cells": (500, 40, "rows"),
    "clip": (10, 2, "s"),
}
CLIPPED = ("probe", "visual", "audio", "correspond", "tags", "fingerprint", "separate", "rescore")
BATCH = "bench"
#: Rows of a shard where a list is planned: the plan's memory goes by its rows, the bench's time by its shards.
PLANNED = 4096


def main() -> int:
    """Run, print, and say whether every stage holds its limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, and no sixteenfold")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--cases", help="comma-separated; all by default")
    options = parser.parse_args()
    _import()
    wrong = []
    for case in options.cases.split(",") if options.cases else [c for c in CASES if not options.quick or c != "clip"]:
        full, quick, unit = CASES[case]
        peaks: dict[str, list[float]] = {}
        samples_mb: list[float] = []
        sizes = [(quick if options.quick else full) * times for times in (SIZES[:2] if options.quick else SIZES)]
        for size in sizes:
            with tempfile.TemporaryDirectory(prefix="winnow-bench-") as folder:
                for figure in globals()[f"_{case}"](Path(folder), size):
                    samples_mb += [float(figure["sample_mb"])] if figure["stage"] == "clip" and case == "clip" else []
                    peaks.setdefault(str(figure["stage"]), []).append(float(figure["peak_mb"]))
                    show({"bench": "memory", "input": case, "size": size, "unit": unit, **figure}, options.json)
                    if figure["peak_mb"] > figure["limit_mb"] * _share():
                        wrong.append(f"{figure['stage']} of {size} {unit}: {figure['peak_mb']} MB")
        for stage, found in peaks.items():
            growth = round(found[-1] / found[0], 2)
            figure = {"bench": "memory growth", "input": case, "stage": stage, "sizes": sizes, "peaks_mb": found}
            if case == "clip":
                grown = samples_mb[-1] - samples_mb[0]
                show(figure | {"mb_per_mb": round((found[-1] - found[0]) / grown, 2)}, options.json)
            elif case == "list" and stage in ("ingest", "plan"):
                kb = 1024 * (found[-1] - found[0]) / (sizes[-1] - sizes[0])
                show(figure | {"growth": growth, "kb_per_row": round(kb, 2)}, options.json)
            else:
                show(figure | {"growth": growth, "limit": GROWTH}, options.json)
                wrong += [f"{stage} of {case} grows {growth} times"] if growth > GROWTH else []
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def _import() -> None:
    """What nearly every stage imports, once: what is measured is forked from here."""
    import pyarrow.parquet  # noqa: F401
    import scipy.signal  # noqa: F401

    import winnow.core.runtime
    import winnow.media.clip_cutter  # noqa: F401


def _share() -> float:
    from winnow.core.confine import SHARE

    return SHARE


def _apart(work: Callable[..., None], *given: object) -> dict[str, float]:
    """Peak and reference of some work in a process of its own; it calls what it is given first once it is set up."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(theirs, work, given))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()


def _measured(line, work: Callable[..., None], given: tuple) -> None:
    before = [0.0]
    work(lambda: before.append(_resident_mb()), *given)
    reference = next((mb for mb in before if mb), 0.0)
    of_children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    line.send({"peak_mb": round(_resident_mb("VmHWM") + of_children), "reference_mb": round(reference)})


def _resident_mb(name: str = "VmRSS") -> float:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{name}:")) / 1024


def _stage(ready: Callable[[], None], root: Path, name: str, params: dict, parts: int = 1) -> None:
    """A stage over a part of the batch, as `winnow run`."""
    from winnow.core.lake import Lake
    from winnow.core.runtime import Runtime
    from winnow.core.settings import Settings
    from winnow.core.stage import parse_params, stage_class

    cls, lake = stage_class(name), Lake(root / "lake")
    stage = cls(parse_params(cls, params), lake, Settings(lake=lake.root, inbox=root / "inbox"))
    setup = stage.setup
    stage.setup = lambda: (setup(), ready())
    done = Runtime(stage, lake, BATCH, log=lambda line: None).run(parts=parts)
    assert done.ok, f"{name}: {done}"


def run(root: Path, name: str, params: dict | None = None, parts: int = 1) -> dict[str, object]:
    """Figures of a stage."""
    from winnow.core.stage import stage_class

    return _figure(
        name, stage_class(name).pod(params or {})[1].memory_mb, _apart(_stage, root, name, params or {}, parts)
    )


def _figure(name: str, limit_mb: int, found: dict[str, float]) -> dict[str, object]:
    return {"stage": name, **found, "ratio": round(found["peak_mb"] / found["reference_mb"], 2), "limit_mb": limit_mb}


def _ingest(ready: Callable[[], None], root: Path) -> None:
    from winnow.batch.ingest import ingest
    from winnow.core.lake import Lake
    from winnow.core.settings import Settings

    ready()
    ingest(BATCH, Settings(lake=str(root / "lake"), inbox=root / "inbox"), Lake(root / "lake"))


def _decide(ready: Callable[[], None], root: Path) -> None:
    """Accept every row of the list, as the decision that dbt writes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from winnow.core.lake import Lake
    from winnow.core.planned_table import DECIDE
    from winnow.core.shard import Lineage
    from winnow.core.table import arrow_schema

    ready()
    lake, schema = Lake(root / "lake"), arrow_schema(DECIDE.columns)
    lineage = Lineage(lake, BATCH, {})
    listed = [lake.read_table(lineage.committed("ingest", number)) for number in lineage.numbers("ingest")]
    rows = pa.concat_tables([pq.read_table(io.BytesIO(data), columns=schema.names) for data in listed])
    made = DECIDE.commit_table(lake, BATCH, 0, rows, inputs={}, code="bench")
    DECIDE.set_head(lake, BATCH, DECIDE.fingerprint("bench"), [made.shard], "bench", {})


def _plan(ready: Callable[[], None], root: Path) -> None:
    from winnow.batch.plan import plan
    from winnow.core.lake import Lake

    ready()
    plan(Lake(root / "lake"), BATCH, shard_size=PLANNED)


def _listed(root: Path) -> Iterator[dict[str, object]]:
    from winnow.core.lake import Lake
    from winnow_pod import COMMANDS

    yield _figure("ingest", COMMANDS["ingest"].memory_mb, _apart(_ingest, root))
    shards = len(Lake(root / "lake").head("ingest", BATCH)["shards"])
    yield run(root, "screen", parts=-(-shards // 12))
    _apart(_decide, root)
    yield _figure("plan", COMMANDS["plan"].memory_mb, _apart(_plan, root))


def _list(root: Path, rows: int) -> Iterator[dict[str, object]]:
    from tests.bench.ingest import NAME, write_list

    (root / "inbox" / BATCH).mkdir(parents=True)
    write_list(root / "inbox" / BATCH / NAME, rows)
    yield from _listed(root)


def _cells(root: Path, rows: int) -> Iterator[dict[str, object]]:
    (root / "inbox" / BATCH).mkdir(parents=True)
    with (root / "inbox" / BATCH / "long.csv").open("w", encoding="utf-8") as file:
        file.write("url,start,end,title,description\n")
        for number in range(rows):
            words = f"{number} a bell rings — "
            text = (words * (CELL // len(words) + 1))[:CELL]
            file.write(f"https://videos.example/{number}.mp4,1,11,bell,{text}\n")
    yield from _listed(root)


def _video(root: Path, size_mb: int) -> Iterator[dict[str, object]]:
    _fetchable(root, repeated(root, 320, 240, min_bytes=size_mb * MEGABYTE))
    yield run(root, "fetch")
    yield run(root, "clip", {"window_s": 2.0})


def _shard(root: Path, clips: int) -> Iterator[dict[str, object]]:
    _fetchable(root, repeated(root, 64, 48, seconds=clips))
    _apart(_stage, root, "fetch", {})
    yield run(root, "clip", {"window_s": 1.0})
    yield from _measuring(root)


def _clip(root: Path, seconds: int) -> Iterator[dict[str, object]]:
    _fetchable(root, repeated(root, 640, 360, seconds=seconds))
    _apart(_stage, root, "fetch", {})
    made = run(root, "clip", {"window_s": float(seconds)})
    tar = next((root / "lake" / "clip").rglob("*.tar"))
    yield made | {"sample_mb": round(tar.stat().st_size / MEGABYTE, 1)}
    yield from _measuring(root)


def _measuring(root: Path) -> Iterator[dict[str, object]]:
    for name in CLIPPED:
        if name in BEFORE:
            _apart(BEFORE[name], root)
        yield run(root, name)


def _flag(ready: Callable[[], None], root: Path) -> None:
    """Let every clip be separated, as a decision that flags them all."""
    from winnow.core.lake import Lake
    from winnow.core.planned_table import FLAG
    from winnow.core.rows import Rows
    from winnow.core.shard import Lineage
    from winnow.core.stage import stage_needs

    ready()
    lake = Lake(root / "lake")
    manifest = Lineage(lake, BATCH, stage_needs()).committed("clip", 0)
    nothing = {"outcome": "ok", "reason": None, "detail": None, "batch": BATCH, "why": "speech"}
    rows = [{"sample_id": one, **nothing} for one in Rows(lake.read_table(manifest)).ok]
    made = FLAG.commit_rows(lake, BATCH, 0, rows, inputs={"clip": manifest.sha256}, code="bench")
    FLAG.set_head(lake, BATCH, FLAG.fingerprint("bench"), [made.shard], "bench", {})


def _fit(ready: Callable[[], None], root: Path) -> None:
    """A scorer, of a small batch of its own."""
    from tests.unit.measured import write_batch
    from winnow.core.lake import Lake
    from winnow.fitting.fit import fit

    ready()
    lake = Lake(root / "lake")
    write_batch(lake, "fitted", range(40))
    fit(lake, ["fitted"])


#: What a stage that reads clips waits for, beside the stages before it.
BEFORE = {"correspond": _fit, "separate": _flag}


def _fetchable(root: Path, video: Path) -> None:
    """A plan that fetches a video of the inbox."""
    from tests.bench.media import cut_plan
    from winnow.core.lake import Lake

    cut_plan(Lake(root / "lake"), [f"inbox:{BATCH}/{video.name}"], BATCH)


def repeated(root: Path, width: int, height: int, *, seconds: int = 0, min_bytes: int = 0) -> Path:
    """A video in the inbox: one second of noise and of a tone, its packets again and again, so that size costs nothing
    but the disk."""
    import numpy as np

    from winnow.media.ffmpeg import av

    path = root / "inbox" / BATCH / "repeated.mkv"
    path.parent.mkdir(parents=True)
    rng, rate, hz = np.random.default_rng(1), 25, 48_000
    with av.open(str(path), "w") as out:
        options = {"preset": "ultrafast", "qp": "1" if min_bytes else "30", "x264-params": f"keyint={rate}:bframes=0"}
        video = out.add_stream("libx264", rate=rate, options=options)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = out.add_stream("pcm_s16le", rate=hz, layout="mono")
        packets = []
        for at in range(rate):
            picture = rng.integers(0, 255, (height, width, 3), np.uint8)
            packets += video.encode(av.VideoFrame.from_ndarray(picture, "rgb24"))
            wave = (8000 * np.sin(np.arange(hz // rate) * (0.03 + 0.002 * at))).astype(np.int16)
            heard = av.AudioFrame.from_ndarray(wave[None], "s16", "mono")
            heard.sample_rate, heard.pts = hz, at * (hz // rate)
            packets += sound.encode(heard)
        packets += video.encode(None) + sound.encode(None)
        kept = [(p.stream, bytes(p), p.pts, p.duration, p.time_base, p.is_keyframe) for p in packets]
        kept.sort(key=lambda one: one[2] * one[4])
        second, written = 0, 0
        while written < min_bytes or second < seconds:
            for stream, data, pts, duration, base, is_key in kept:
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.duration, packet.is_keyframe = stream, base, duration, is_key
                packet.pts = packet.dts = pts + round(second / base)
                out.mux(packet)
                written += len(data)
            second += 1
    return path


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
