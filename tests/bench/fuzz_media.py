"""Spoiled media through clip and probe, as the product runs them: does any crash, hang or grow without bound, and is
any row ok whose file is not what the row says?

    .venv/bin/python tests/bench/fuzz_media.py [--files 1000] [--seed 1] [--first 0] [--quick] [--json]

Healthy files of 16 kinds in 14 formats are spoiled by a seed and a number (`mutated.py`): bits, stretches, cuts,
numbers, time stamps. Children run the stages, a file after the other, so that a crash, or more than HANG_S of CPU for
one file, is seen and counted, and the next file goes on in another child. Each clip that is ok is decoded here, whole,
by FFmpeg's default: pictures that decode, their number in `probe`, the length against window, row and track, sound and
where it starts. Exit status 1 when anything is wrong; what is wrong names its file's number, and `--first NUMBER
--files 1 --keep DIR` makes that file again.
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
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from random import Random
from threading import Thread

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

from threadpoolctl import threadpool_limits

from tests.bench.figures import show
from tests.bench.mutated import RECIPES, healthy, mutated
from winnow.core.lake import Lake
from winnow.core.sample import Outcome, Reason, SampleFailed, candidate_id, sid
from winnow.core.settings import Settings
from winnow.core.stage import Batch, Sample, parse_params
from winnow.stages import probe
from winnow.stages.clip import Clip

#: Most CPU, and most time on a busy machine, that one file may take, s.
HANG_S, WALL_S = 10.0, 60.0
#: Cuts: the stage's own windows, shorter ones, overlapping ones.
CUTS = ({}, {"window_s": 2.0}, {"window_s": 1.3, "hop_s": 0.7})
#: Share of pictures that may be damaged (`winnow.media.clip_writer`); how far lengths, s, may be off.
SHARE, LENGTH_S = 0.02, 0.1


# -- in the child ------------------------------------------------------------------------------------------------------
class Child:
    """Cuts and measures one file after the other."""

    def __init__(self, folder: Path) -> None:
        self.lake, self.work = Lake(folder / f"lake-{os.getpid()}"), folder / f"work-{os.getpid()}"
        self.work.mkdir()
        self.stages = [Clip(parse_params(Clip, params), self.lake, Settings()) for params in CUTS]
        for stage in self.stages:
            stage.setup()

    def run(self, path: Path, cut: int) -> dict[str, object]:
        """What became of a file: clips, reasons, what is wrong, CPU s and peak memory in MB."""
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        busy, ext = time.process_time(), path.suffix[1:]
        sha256 = self.lake.put_media(path, ext)
        video = sid("video", sha256)
        row = {"video_id": video, "url": path.name, "start_s": None, "end_s": None, "media_sha256": sha256}
        sample = Sample(candidate_id(video, None, None), {**row, "media_ext": ext})
        reasons, wrong, clips = Counter(), [], 0
        for made in self.stages[cut].process(Batch([sample], self.work)):
            if made.reason is not None:
                reasons[made.reason.value] += 1
                if made.reason is Reason.internal_error:
                    wrong.append(f"internal_error: {made.detail}")
                continue
            clips += 1
            wrong += [f"{made.values['start_s']}: {what}" for what in untrue(made)]
        if left := list(self.work.iterdir()):
            wrong.append(f"{len(left)} files left behind")
        spent = time.process_time() - busy
        peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        peak_mb = int(peak.split()[1]) // 1024
        if peak_mb > Clip.resources.memory_mb:
            wrong.append(f"{peak_mb} MB")
        return {"clips": clips, "reasons": reasons, "wrong": wrong, "cpu_s": spent, "peak_mb": peak_mb}


def untrue(made: Outcome) -> list[str]:
    """What a clip's rows say that its file does not hold."""
    import av

    row, data, wrong = made.values, made.files["mp4"], []
    try:
        measured = probe.measure(data)
    except SampleFailed as failure:
        return [f"probe: {failure}"]
    packets, times, ends, damaged, lost = 0, [], [], 0, 0
    with av.open(io.BytesIO(data), format="mp4") as clip:
        video, audio = clip.streams.video[0], next(iter(clip.streams.audio), None)
        lasts_s, sounds = float(video.duration * video.time_base), 0
        for packet in clip.demux():
            packets += packet.stream is video and packet.size > 0 and not packet.is_discard
            sounds += packet.stream is audio and packet.size > 0
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                lost += packet.stream is audio
                continue
            for frame in frames:
                if packet.stream is audio:
                    ends.append((frame.time, frame.time + frame.samples / frame.rate))
                elif frame.is_corrupt:
                    damaged += 1
                else:
                    times.append(frame.time)
    good, asked_s, most = len(times), row["end_s"] - row["start_s"], max(1, SHARE * packets)
    if packets - good > most:
        wrong.append(f"{row['cut']}: {good} of {packets} pictures decode")
    if abs(measured["n_frames"] - good) > most:
        wrong.append(f"n_frames {measured['n_frames']}, {good} decode")
    slack_s = max(LENGTH_S, 1.0 / row["fps"])
    if abs(row["duration_s"] - asked_s) > slack_s or abs(lasts_s - row["duration_s"]) > LENGTH_S:
        wrong.append(f"window {asked_s:.3f} s, row {row['duration_s']:.3f} s, track {lasts_s:.3f} s")
    if times and (min(times) > LENGTH_S or max(times) > row["duration_s"]):
        wrong.append(f"pictures from {min(times):.3f} to {max(times):.3f} s of {row['duration_s']:.3f} s")
    if row["has_audio"] != bool(ends) or measured["has_audio"] != row["has_audio"]:
        wrong.append(f"has_audio {row['has_audio']}, probe {measured['has_audio']}, {len(ends)} pieces decode")
    if ends and (ends[-1][1] > row["duration_s"] + LENGTH_S or abs(ends[0][0] - row["av_offset_s"]) > LENGTH_S):
        wrong.append(f"sound {ends[0][0]:.3f} to {ends[-1][1]:.3f} s, row: from {row['av_offset_s']} s")
    if lost > max(1, SHARE * sounds):
        wrong.append(f"{lost} of {sounds} packets of sound do not decode")
    return wrong


def child(folder: Path) -> None:
    """Answer each line of standard input, a path and a cut, by a line of JSON."""
    threadpool_limits(1)
    worker = Child(folder)
    for line in sys.stdin:
        path, cut = json.loads(line)
        print(json.dumps(worker.run(Path(path), cut)), flush=True)


# -- in the parent -----------------------------------------------------------------------------------------------------
class Watched:
    """A child that is watched while it works, and replaced when it ends."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.process = folder, None

    def ask(self, path: Path, cut: int) -> dict[str, object]:
        """What became of a file, a crash and a hang included."""
        if self.process is None:
            command = [sys.executable, __file__, "--child", str(self.folder)]
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
            self.answers = SimpleQueue()
            Thread(target=self._read, args=(self.process, self.answers), daemon=True).start()
        before, began = self._cpu_s(), time.monotonic()
        self.process.stdin.write(json.dumps([str(path), cut]) + "\n")
        self.process.stdin.flush()
        while True:
            try:
                answer = self.answers.get(timeout=0.5)
            except Empty:
                if self._cpu_s() - before > HANG_S + 3 or time.monotonic() - began > WALL_S:  # 3 s: it may only start
                    return self._ended("hangs")
                continue
            if answer is None:
                return self._ended(None)
            return json.loads(answer)

    @staticmethod
    def _read(process: subprocess.Popen, answers: SimpleQueue) -> None:
        for line in process.stdout:
            answers.put(line)
        answers.put(None)

    def _cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _ended(self, why: str | None) -> dict[str, object]:
        if why:
            self.process.kill()
        code = self.process.wait()
        self.process = None
        return {"clips": 0, "reasons": {}, "wrong": [why or f"crash ({code})"], "cpu_s": 0.0, "peak_mb": 0}

    def close(self) -> None:
        """End the child."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(30)


def spoil(number: int, seed: int, sources: dict[str, bytes], folder: Path) -> tuple[Path, int, str]:
    """Make the file of this number: its path, how it is cut, and what it is."""
    lot, names = Random(f"{seed} {number}"), list(RECIPES)
    name, cut = names[number % len(names)], lot.randrange(len(CUTS))
    place = folder / str(number)
    place.mkdir(exist_ok=True)
    what, data = mutated(name, sources[name], lot, place)
    path = place / f"spoiled.{name.partition('-')[0]}"
    path.write_bytes(data)
    return path, cut, f"{name} {what}"


def main() -> int:
    """Run, print, and say whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="leave the files that something is wrong with in this folder")
    parser.add_argument("--quick", action="store_true", help="64 files, within 30 s")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return 0
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as name:
        folder, idle = Path(name), SimpleQueue()
        sources = healthy(folder)
        children = [Watched(folder) for _ in range(options.processes)]
        for watched in children:
            idle.put(watched)

        def one(number: int) -> tuple[str, dict[str, object]]:
            path, cut, what = spoil(number, options.seed, sources, folder)
            watched = idle.get()
            found = watched.ask(path, cut)
            idle.put(watched)
            if found["cpu_s"] > HANG_S:
                found["wrong"].append(f"{found['cpu_s']:.0f} s of CPU")
            if found["wrong"] and options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{number}{path.suffix}").write_bytes(path.read_bytes())
            path.unlink()
            return f"{number} {what} cut {cut}", found

        numbers = range(options.first, options.first + (64 if options.quick else options.files))
        with ThreadPoolExecutor(options.processes) as pool:
            results = list(pool.map(one, numbers))
        for watched in children:
            watched.close()
    return _told(results, options.json)


def _told(results: list[tuple[str, dict[str, object]]], as_json: bool) -> int:
    for kind in RECIPES:
        mine = [(what, found) for what, found in results if what.split()[1] == kind]
        if not mine:
            continue
        figures = [found for _, found in mine]
        reasons = sum((Counter(f["reasons"]) for f in figures), Counter())
        show(
            {
                "bench": "fuzz_media",
                "kind": kind,
                "files": len(mine),
                "clips_ok": sum(f["clips"] for f in figures),
                "failed": dict(reasons),
                "most_cpu_s": round(max(f["cpu_s"] for f in figures), 2),
                "most_mb": max(f["peak_mb"] for f in figures),
                "wrong": sum(bool(f["wrong"]) for f in figures),
            },
            as_json,
        )
    wrong = [(what, found["wrong"]) for what, found in results if found["wrong"]]
    for what, said in wrong:
        show({"bench": "fuzz_media", "file": what, "wrong": said[:5]}, as_json)
    clips = sum(found["clips"] for _, found in results)
    show({"bench": "fuzz_media", "files": len(results), "clips_ok": clips, "wrong": len(wrong)}, as_json)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
