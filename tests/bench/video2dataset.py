"""What a second of clipped video costs beside video2dataset 1.3.0: the same files over loopback, exact clips of 10 s,
and a probe, by two processes each.

    .venv/bin/python tests/bench/video2dataset.py [--videos 40] [--rounds 1] [--venv DIR] [--quick] [--json]

CPU seconds of the whole process trees, start-up included, bytecode compiled beforehand. On either side the windows are
known beforehand: Winnow has its plan and runs `winnow run fetch`, `clip` and `probe` as two parts each; video2dataset
has the same windows in its list and runs its ClippingSubsampler (exact) and FFProbeSubsampler in two processes. Both
must come to the same number of clips; Winnow also verifies every one of them. Exit status 1 when video2dataset spends
less than LIMIT times what Winnow does.

video2dataset wants other versions than Winnow, so it gets a virtual environment of its own in a temporary folder, or
in --venv, where it is kept: 1 to 6 GB, a few minutes, and not part of --quick's 30 s. Where pip cannot install it, or
there is no `ffmpeg` to run, it skips and says why.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

from tests.bench import media
from tests.bench.figures import show
from tests.world.make import make_world
from tests.world.video import HOST
from winnow.core.lake import Lake
from winnow.core.sample import sid

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("video2dataset==1.3.0", "pyarrow<16", "numpy==1.26.*", "pandas==2.2.*", "setuptools<81")
LIMIT, PROCESSES = 3.5, 2
#: Of a few files most of the time is start-up, on both sides.
QUICK_LIMIT = 1.0

CONFIG = """
subsampling:
  FFProbeSubsampler:
    args:
      extract_keyframes: False
  ClippingSubsampler:
    args:
      min_length: 0.0
      max_length: 999999.0
      max_length_strategy: all
      precision: exact
reading:
  yt_args:
    download_size: 360
    download_audio_rate: 44100
    yt_metadata_args: null
  timeout: 60
  sampler: null
storage:
  number_sample_per_shard: {shard}
  oom_shard_count: 5
  captions_are_subtitles: False
distribution:
  processes_count: {processes}
  thread_count: {processes}
  subjob_size: 1000
  distributor: multiprocessing
"""
RUN = """
import sys
from video2dataset import video2dataset
if __name__ == "__main__":
    video2dataset(
        sys.argv[1], output_folder=sys.argv[2], output_format="webdataset", input_format="parquet", url_col="url",
        clip_col="clips", encode_formats={"video": "mp4"}, config=sys.argv[3],
    )
"""


class Skip(Exception):
    """Why this bench cannot run here."""


def installed(folder: Path) -> Path:
    """The interpreter of a virtual environment with video2dataset, made where it is not there; Skip where it cannot
    be."""
    for tool in ("ffmpeg", "ffprobe"):
        if shutil.which(tool) is None:
            raise Skip(f"video2dataset runs `{tool}`, which is not installed")
    python = folder / "bin" / "python"
    if not python.exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(folder)], capture_output=True, text=True)
        if made.returncode:
            raise Skip(f"no virtual environment: {made.stderr.strip()[-300:] or made.stdout.strip()[-300:]}")
    if subprocess.run([python, "-c", "import video2dataset"], capture_output=True).returncode:
        pip = subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], capture_output=True, text=True)
        if pip.returncode:
            raise Skip(f"pip cannot install it: {pip.stderr.strip()[-300:]}")
        found = subprocess.run([python, "-c", "import video2dataset"], capture_output=True, text=True)
        if found.returncode:
            raise Skip(f"it does not import: {found.stderr.strip()[-300:]}")
    return python


@contextmanager
def spent() -> Iterator[dict[str, float]]:
    """CPU s of all processes that are started, and waited for, within, and of theirs."""
    before, found = resource.getrusage(resource.RUSAGE_CHILDREN), {}
    yield found
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found["cpu_s"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def windows(lake: Lake) -> dict[str, list[list[float]]]:
    """The windows of every video, by its id, as stage clip cut them."""
    found: dict[str, list[list[float]]] = {}
    for row, _ in media.clips(lake):
        found.setdefault(row["video_id"], []).append([row["start_s"], row["end_s"]])
    return {video: sorted(spans) for video, spans in found.items()}


def winnow(lake: Lake, urls: list[str], rewrites: dict[str, str]) -> tuple[float, int, dict[str, float]]:
    """CPU s of fetching, cutting and probing, clips, and CPU s by stage."""
    media.cut_plan(lake, urls, shard_size=max(1, min(16, len(urls) // (2 * PROCESSES))))
    home = {
        **os.environ,
        "WINNOW_LAKE": str(lake.root),
        "WINNOW_FETCH_REWRITES": json.dumps(rewrites),
        "WINNOW_FETCH_ALLOW_NETWORKS": "127.0.0.0/8",
    }
    home["PYTHONPATH"] = os.pathsep.join([str(ROOT / "images"), home.get("PYTHONPATH", "")])
    home["PYTHONPYCACHEPREFIX"] = str(Path(lake.root).parent / "bytecode")
    home.pop("PYTHONDONTWRITEBYTECODE", None)
    stages = {}
    for stage in ("fetch", "clip", "probe"):
        command = [sys.executable, "-m", "winnow.cli", "run", stage, "--batch", media.BATCH, "--parts", str(PROCESSES)]
        with spent() as found:
            parts = [
                subprocess.Popen(
                    [*command, "--part", str(part)], env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE
                )
                for part in range(PROCESSES)
            ]
            for part in parts:
                _, said = part.communicate()
                if part.returncode:
                    raise SystemExit(f"winnow run {stage}: {said.decode()[-2000:]}")
        stages[stage] = round(found["cpu_s"], 2)
    return sum(stages.values()), sum(1 for _ in media.clips(lake)), stages


def other(python: Path, folder: Path, listed: list[dict[str, object]]) -> tuple[float, int]:
    """CPU s of video2dataset, and the clips that it made."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(listed), folder / "list.parquet")
    shard = max(1, len(listed) // (2 * PROCESSES))
    (folder / "config.yaml").write_text(CONFIG.format(shard=shard, processes=PROCESSES))
    (folder / "run.py").write_text(RUN)
    alone = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "WINNOW"))}
    given = [str(folder / name) for name in ("run.py", "list.parquet", "made", "config.yaml")]
    with spent() as found:
        ran = subprocess.run([python, *given], env=alone, cwd=folder, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"video2dataset: {ran.stderr[-2000:]}")
    count = 0
    for path in (folder / "made").glob("*.tar"):
        with tarfile.open(path) as tar:
            count += sum(member.name.endswith(".mp4") for member in tar)
    return found["cpu_s"], count


def main() -> int:
    """Run, print, and say whether the limit holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=1, help="each runs so often, in turn; the least counts")
    parser.add_argument("--venv", type=Path, help="where video2dataset is, or is to be, installed")
    parser.add_argument("--quick", action="store_true", help="4 short files; the installation aside, within 30 s")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    count, seconds = (4, (10.0, 16.0)) if options.quick else (options.videos, (15.0, 55.0))
    limit = QUICK_LIMIT if options.quick else LIMIT
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as name:
        folder = Path(name)
        try:
            python = installed(options.venv or folder / "venv")
        except Skip as why:
            show({"bench": "video2dataset", "skipped": str(why)}, options.json)
            return 0
        world = make_world(folder / "world", videos=count, seconds=seconds, plants={})
        files = sorted(path for path in (folder / "world" / "media").iterdir())
        truth = {Path(row["file"]).name: row["duration_s"] for row in world.truth() if row["file"]}
        lengths_s = [truth[path.name] for path in files]
        ours, theirs = [], []
        with media.served(world) as rewrites:
            urls = [f"{HOST}{path.name}" for path in files]
            winnow(Lake(folder / "lake-first"), urls[:1], rewrites)  # compiles
            for number in range(options.rounds):
                lake = Lake(folder / f"lake-{number}")
                ours.append(winnow(lake, urls, rewrites))
                spans = windows(lake)
                listed = [{"url": url.replace(HOST, rewrites[HOST]), "clips": spans[sid("video", url)]} for url in urls]
                theirs.append(other(python, folder / f"other-{number}", listed))
    (ours_s, clips, stages), (theirs_s, other_clips) = min(ours), min(theirs)
    figure = {
        "bench": "video2dataset",
        "videos": len(files),
        "media_s": round(sum(lengths_s), 1),
        "clips": clips,
        "cpu_s": round(ours_s, 2),
        "stage_cpu_s": stages,
        "other_clips": other_clips,
        "other_cpu_s": round(theirs_s, 2),
        "ratio": round(theirs_s / ours_s, 2),
        "limit": limit,
    }
    show(figure, options.json)
    same = clips == other_clips
    if not same:
        show({"bench": "video2dataset", "wrong": "the numbers of clips differ"}, options.json)
    return 0 if same and theirs_s >= limit * ours_s else 1


if __name__ == "__main__":
    sys.exit(main())
