"""Makes a world on disk: plan, media, lists, truth.

What exists already is kept: files appear whole or not at all, and a stamp names everything their bytes depend on
(seed, size, this package's sources, the encoders' versions). So a second `make` does nothing, an interrupted one goes
on, and a fourth day is added to three without touching them. Under another stamp the folder is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

from tests.world import kinds as real_world
from tests.world.kind_media import render_kind
from tests.world.kinds import Kind, make_kinds
from tests.world.lists import write_lists
from tests.world.plan import DEFAULT_VIDEOS, make_plan
from tests.world.render import render
from tests.world.video import Video, batch_key

STAMP = "world.json"
SERVING = ("server.py", "__main__.py", "__init__.py")

Progress = Callable[[int, int], None]
#: A function that writes one video's files, and what it is called with.
Task = tuple[Callable[..., None], *tuple[object, ...]]


@dataclass(frozen=True)
class World:
    """A world on disk: `root` holds media/, inbox/<date>/ and three files of truth; `made`: videos written now."""

    root: Path
    videos: list[Video]
    kinds: list[Kind]
    made: int

    @property
    def inbox(self) -> Path:
        """The folder that holds one folder of lists a day."""
        return self.root / "inbox"

    def truth(self) -> list[dict[str, object]]:
        """One row per source video."""
        return _read(self.root / "truth.jsonl")

    def truth_rows(self) -> list[dict[str, object]]:
        """One row per bad list row."""
        return _read(self.root / "truth_rows.jsonl")


def make_world(
    root: Path | str,
    seed: int = 0,
    videos: int = DEFAULT_VIDEOS,
    batches: int = 3,
    seconds: tuple[float, float] = (15.0, 60.0),
    plants: dict[str, int] | None = None,
    jobs: int = 2,
    progress: Progress | None = None,
    kinds: bool = False,
) -> World:
    """Make, or complete, a world in `root`.

    videos: source videos in three batches (a fourth adds a third of it); seconds: shortest and longest video;
    plants: how many of each kind in three batches, by default their share of `plan.PLANTS`; kinds: whether media and
    lists as people really have them come on top (`kinds.py`); jobs: worker processes, 1 for this one alone.
    Raises FileExistsError where `root` holds a media or inbox folder that no world made.
    """
    root = Path(root)
    plan = make_plan(seed, videos, batches, seconds, plants)
    found = make_kinds(seed, batches) if kinds else []
    stamp = {"seed": seed, "videos": videos, "seconds": list(seconds), "plants": plants, "kinds": kinds}
    _prepare(root, {**stamp, "maker": _maker()})
    wanted = {video.file for video in plan if video.file} | {file for kind in found for file in kind.files}
    _sweep(root, wanted)
    by_name = {video.video: video for video in plan}
    missing = [video for video in plan if video.file and not (root / video.file).exists()]
    missing.sort(key=lambda video: -video.duration_s * video.width * video.height)
    first: list[Task] = [(render, video, root, None) for video in missing if not video.of]
    first += [(render_kind, kind, root) for kind in found if not (root / kind.files[0]).exists()]
    copies: list[Task] = [(render, video, root, by_name[video.of]) for video in missing if video.of]
    done, total = 0, len(first) + len(copies)
    for stage in (first, copies):
        done = _render_all(stage, jobs, done, total, progress)
    rows = [row for batch in range(batches) for row in write_lists(root, plan, batch)]
    for batch in range(batches):
        for name, listed in real_world.lists(found, batch).items():
            text = real_world.LISTS[name](listed)
            (root / "inbox" / batch_key(batch) / name).write_text(text, encoding="utf-8")
    _write(root / "truth_rows.jsonl", rows)
    _write(root / "truth.jsonl", [_truth(video) for video in plan])
    _write(root / "truth_kinds.jsonl", [kind.truth() for kind in found])
    return World(root, plan, found, total)


def _truth(video: Video) -> dict[str, object]:
    playable = video.file is not None and video.planted not in ("truncated", "text_as_mp4")
    return {
        "video": video.video,
        "url": video.url,
        "batch": video.key,
        "visual_class": video.visual_class,
        "audio_class": video.audio_class,
        "planted": video.planted,
        "uploader": video.uploader,
        "of": video.of,
        "copied": video.copied,
        "duration_s": video.duration_s if playable else None,
        "n_shots": len(video.shots_s) if playable else None,
        "expected": video.expected,
        "file": video.file,
        "segments": [list(segment) for segment in video.segments],
    }


def _maker() -> str:
    """Digest of what the bytes depend on besides the parameters."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        if source.name not in SERVING:
            digest.update(source.read_bytes())
    for package in ("av", "numpy", "scipy", "pyarrow"):
        digest.update(f"{package} {version(package)}".encode())
    return digest.hexdigest()[:12]


def _prepare(root: Path, stamp: dict[str, object]) -> None:
    """Make the folder ready: keep what the same stamp made, remove what another one did."""
    path, ours = root / STAMP, [root / "media", root / "inbox"]
    found = json.loads(path.read_text()) if path.exists() else None
    if found is None and any(folder.exists() for folder in ours):
        raise FileExistsError(f"{root} holds a media or inbox folder that is no world's: choose another --dir")
    if found != stamp:
        for folder in ours:
            shutil.rmtree(folder, ignore_errors=True)
    root.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(stamp, sort_keys=True) + "\n")


def _sweep(root: Path, wanted: set[str]) -> None:
    """Remove files of days that are no longer asked for, and lists, which are cheap to write again."""
    for folder in (root / "media", root / "inbox"):
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_file() and path.relative_to(root).as_posix() not in wanted:
                path.unlink()
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()
    (root / "media").mkdir(parents=True, exist_ok=True)


def _render_all(tasks: list[Task], jobs: int, done: int, total: int, progress: Progress | None) -> int:
    """Render in this process, or in a pool of spawned ones; the bytes do not depend on which."""
    if jobs <= 1 or len(tasks) <= 1:
        for write, *told in tasks:
            write(*told)
            done += 1
            if progress:
                progress(done, total)
        return done
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_end_with, initargs=(os.getpid(),)
    ) as pool:
        futures: list[Future[None]] = [pool.submit(*task) for task in tasks]
        for future in as_completed(futures):
            future.result()
            done += 1
            if progress:
                progress(done, total)
    return done


def _end_with(parent: int) -> None:
    """In a worker: end when the maker has ended, however it ended; a pool's own workers would wait for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def print_progress(done: int, total: int) -> None:
    """A line on stderr for every tenth of the videos."""
    if done == total or done * 10 // total != (done - 1) * 10 // total:
        print(f"world: {done}/{total} videos", file=sys.stderr, flush=True)
