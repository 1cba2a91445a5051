"""What an export of clips takes beside `tar` over the same files, by number and size of clips.

    .venv/bin/python tests/bench/export.py [--case 100000x32 …] [--rounds 3] [--quick] [--json]

A case is so many clips of so many kB on average. Clips of this field are 300 to 1,500 kB (10 s at 360p to 480p; the
200,000 of VGGSound are about 310 GB), where bytes decide; at 32 kB it is what each clip costs. Both stand in the
default cases, each beside a fourth of itself, which shows how time and memory grow.

Synthetic clips (bytes that stand for videos) lie in the tars of a lake, kept and dropped ones mixed. `winnow export
clips` writes the kept ones as WebDataset in a process of its own; GNU tar packs the same files, clips and JSON, from a
folder. Both end when their bytes are on the disk (`sync`), in turns, after a turn that nobody counts; `ratio` is the
median over the turns of tar's time by the export's. The export hashes every byte twice, the clip's file against the
release and the shard for its index, which tar does not, and does it on all CPUs, which tar does not: on a machine that
others use as well the ratio falls to that of `tar_cpu_s` by `export_cpu_s`, which stand beside it. `memory_mb`: the
most that the export's processes held together, sampled. Then an export is killed in the middle and begun again:
`resumed` says whether every file has the digest that it has without. Exit status 1 when in a case of full size the
ratio is below RATIO (of a few files start-up counts most: not in the smaller cases, nor with --quick), the memory of
any above MEMORY_MB, or a digest another one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import duckdb
import numpy as np

from tests.bench.figures import show
from tests.unit import exported, filled
from winnow.core import shard_tar
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.sample import sid
from winnow.release import copies

ROOT = Path(__file__).resolve().parents[2]
RATIO, MEMORY_MB = 0.8, 1000
#: Clips of a tar of the lake, and how many of five are kept.
A_TAR, KEPT = 80, 4
SHARD_MB = 64
#: Clips and their average size, kB: many, and such as the field has.
CASES = ("100000x32", "12000x500")


#: Which places of five have a residual, and what makes rows of many kinds of the plain ones.
RECYCLED = (0, 2)
VARIED = f"""
    update fct_clips set
        license = list_extract({["CC-BY-4.0", "CC0-1.0", "CC BY-ND 4.0", "unknown", "CC-BY-SA-4.0"]}, place % 5 + 1),
        is_recycled = place % 5 in {RECYCLED}, flag = (place % 5 in {RECYCLED})::int,
        caption = if(place % 1009 = 1008, 'A dog barks', null), fps = if(place % 3 = 0, 25, 29.97),
        title = list_extract(['A "quoted" title', e'Zwei\\nZeilen', '犬 🐕 | pipe', null], place % 4 + 1),
        labels = list_extract([['dog', 'a|b'], [], null], place % 3 + 1), z = if(place % 3 = 0, place, place / 7.0)
    from listed where listed.sample_id = fct_clips.sample_id;
"""


def build(root: Path, clips: int, size: int, varied: bool = False) -> Lake:
    """A lake with one release that keeps so many clips of about so many bytes; `varied`: under all kinds of licences,
    two in five with what is left of their sound, and of rows whose first values mislead who takes types from them."""
    lake, pool = Lake(root), np.random.default_rng(0).bytes(64 << 20)
    folder = root / "releases" / exported.RELEASE
    (folder / "tables").mkdir(parents=True)
    (folder / "ops").mkdir()
    rng = np.random.default_rng(1)
    whole = clips * 5 // KEPT
    lines = root / "clips.csv"
    with lines.open("w") as out:
        out.write("sample_id,tar,place,bytes,sha256,residual_tar,residual_bytes,residual_sha256\n")
        for first in range(0, whole, A_TAR):
            tar, rest = (f"{stage}/v=0/batch=b/{first // A_TAR:05d}-0.1.tar" for stage in ("clip", "separate"))
            members: dict[str, list[tuple[str, bytes]]] = {tar: [], rest: []}
            for place in range(first, min(first + A_TAR, whole)):
                length, at = int(size * rng.uniform(0.5, 1.5)), int(rng.integers(0, len(pool) - 2 * size))
                data, name = pool[at : at + length], sid("clip", place)
                members[tar].append((f"{name}.mp4", data))
                row = [name, tar, place, length, sha256_bytes(data), "", "", ""]
                if varied and place % 5 in RECYCLED:
                    members[rest].append((f"{name}.flac", sound := data[: length // 8 + 1]))
                    row[5:] = [rest, len(sound), sha256_bytes(sound)]
                out.write(",".join(map(str, row)) + "\n")
            for key, files in (one for one in members.items() if one[1]):
                path = Path(lake.full(key))
                path.parent.mkdir(parents=True, exist_ok=True)
                shard_tar.write(path, sorted(files))
    with duckdb.connect() as con:
        con.execute("create schema ops")
        filled.empty(con, "fct_clips", "marts/fct_clips.yml")
        filled.empty(con, "ops.fct_clip_files", "ops/fct_clip_files.yml")
        kinds = "{'sample_id': 'VARCHAR', 'sha256': 'VARCHAR', 'residual_sha256': 'VARCHAR'}"
        con.execute(f"create table listed as from read_csv('{lines}', types = {kinds})")
        con.execute(f"""
            insert into fct_clips by name
            select sample_id, 'video ' || place // 3 as video_id, 'https://videos.example/' || place as url,
                'A title, long enough to be one' as title,
                'somebody' as uploader, 'CC-BY-4.0' as license, ['dog', 'rain'] as labels, 'dog' as label,
                place * 10.0 as start_s, place * 10.0 + 10 as end_s, 10.0 as duration_s, sha256 as media_sha256,
                bytes as media_bytes, 640 as width, 360 as height, 25.0 as fps, place / 7.0 as z, 0 as flag,
                false as is_recycled, ['/m/1', '/m/2'] as tag_mids, [0.5, 0.25] as tag_scores,
                if(place % 5 < {KEPT}, 'kept', 'dropped') as status,
                if(place % 5 < {KEPT}, if(place % 20 = 0, 'test', if(place % 20 = 1, 'val', 'train')), null) as split
            from listed;
            {VARIED if varied else ""}
            insert into ops.fct_clip_files by name
            select sample_id, tar, residual_tar, residual_bytes, residual_sha256 from listed;
            copy (from fct_clips order by sample_id) to '{folder}/tables/fct_clips.parquet';
            copy (from ops.fct_clip_files order by sample_id) to '{folder}/ops/fct_clip_files.parquet'""")
    exported.seal(folder)
    lake.write("releases/current", f"{exported.RELEASE}\n".encode())
    return lake


def start(lake: Lake, to: Path, form: str = "webdataset") -> subprocess.Popen:
    """An export as a process, and a group, of its own."""
    home = {**os.environ, "WINNOW_LAKE": lake.root}
    home["PYTHONPATH"] = os.pathsep.join([str(ROOT / "images"), home.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "winnow.cli", "export", "clips", "--to", str(to), "--format", form]
    command += ["--shard-mb", str(SHARD_MB)]
    return subprocess.Popen(command, env=home, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def cpu_s() -> float:
    """What all processes that ended below this one took of the CPUs, s."""
    spent = os.times()
    return spent.children_user + spent.children_system


def ended(process: subprocess.Popen) -> None:
    """Wait for it; what it says where it failed."""
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"winnow export clips: {said.decode()[-2000:]}")


def held_mb(group: int) -> float:
    """Memory of all processes of a group, MB; pages that they share count once each (PSS)."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rpartition(")")[2].split()[2]) == group:
                rollup = (status.parent / "smaps_rollup").read_text()
                total += int(next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")))
        except (OSError, ValueError, StopIteration):
            continue
    return total / 1024


def exported_in(lake: Lake, to: Path) -> tuple[float, float, float]:
    """Seconds of an export to a fresh folder, on the disk, those of the CPUs, and the most memory that it held, MB."""
    shutil.rmtree(to, ignore_errors=True)
    spent, began, most, over = cpu_s(), time.perf_counter(), [0.0], threading.Event()
    process = start(lake, to)

    def watch() -> None:
        while not over.wait(0.2):
            most[0] = max(most[0], held_mb(process.pid))

    watching = threading.Thread(target=watch)
    watching.start()
    ended(process)
    took = time.perf_counter() - began
    over.set()
    watching.join()
    return took, cpu_s() - spent, most[0]


def packed_in(files: Path, to: Path) -> tuple[float, float]:
    """Seconds of `tar` over a folder, on the disk, and those of the CPUs."""
    spent, began = cpu_s(), time.perf_counter()
    subprocess.run(["tar", "-cf", str(to), "-C", str(files), "."], check=True)
    os.sync()
    took = time.perf_counter() - began
    to.unlink()
    return took, cpu_s() - spent


def resumed(lake: Lake, to: Path, wanted: dict) -> bool:
    """Kill an export in the middle, begin it again, and compare every file's digest."""
    shutil.rmtree(to, ignore_errors=True)
    process = start(lake, to)
    shards = sum(name.endswith(".tar") for name in wanted["files"])
    while len(list(to.glob(".export/done/*.json"))) < max(1, shards // 3) and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was over before it was killed: take more clips"
    ended(start(lake, to))
    return json.loads((to / "index.json").read_text()) == wanted and bool(copies.verify(to)["ok"])


def measured(folder: Path, clips: int, kb: int, rounds: int) -> dict[str, object]:
    """The figures of one case."""
    lake = build(folder / "lake", clips, kb * 1000)
    ended(start(lake, folder / "files", "folder"))
    for table in (folder / "files" / "data").glob("*/*/metadata.parquet"):
        table.unlink()  # what the tars do not hold
    os.sync()
    ours, theirs, memory = [], [], []
    for turn in range(rounds + (rounds > 1)):
        took, busy, most = exported_in(lake, folder / "out")
        packed = packed_in(folder / "files" / "data", folder / "packed.tar")
        memory.append(most)
        if turn or rounds == 1:
            ours.append((took, busy))
            theirs.append(packed)
    index = json.loads((folder / "out" / "index.json").read_text())
    shutil.rmtree(folder / "files")
    same = resumed(lake, folder / "again", index)
    size = sum(entry["bytes"] for key, entry in index["files"].items() if key.endswith(".tar"))
    ratio = statistics.median(packed / took for (took, _), (packed, _) in zip(ours, theirs, strict=True))
    (ours_s, ours_cpu_s), (theirs_s, theirs_cpu_s) = (
        [statistics.median(column) for column in zip(*turns, strict=True)] for turns in (ours, theirs)
    )
    return {
        "bench": "export",
        "clips": clips,
        "kb": kb,
        "mb": round(size / 1e6),
        "export_s": round(ours_s, 2),
        "tar_s": round(theirs_s, 2),
        "ratio": round(ratio, 2),
        "export_cpu_s": round(ours_cpu_s, 2),
        "tar_cpu_s": round(theirs_cpu_s, 2),
        "memory_mb": round(max(memory)),
        "resumed": same,
    }


def main() -> int:
    """Run, print, and say whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs="*", default=CASES, metavar="CLIPSxKB", help="clips and their average size, kB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, help="where the clips are made, 3.3 times their size")
    parser.add_argument("--quick", action="store_true", help="4,000 clips of 32 kB, one turn; within 30 s")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    wanted = [(4_000, 32)] if options.quick else [tuple(map(int, case.split("x"))) for case in options.case]
    held = True
    for clips, kb in wanted:
        for count in [clips] if options.quick else [clips // 4, clips]:
            with tempfile.TemporaryDirectory(prefix="winnow-bench-", dir=options.dir) as name:
                figure = measured(Path(name), count, kb, 1 if options.quick else options.rounds)
            limit = RATIO if count == clips and not options.quick else None
            show(figure if limit is None else figure | {"limit": limit}, options.json)
            held &= bool(figure["resumed"]) and figure["memory_mb"] <= MEMORY_MB
            held &= limit is None or figure["ratio"] >= limit
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
