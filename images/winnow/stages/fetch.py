"""Fetch: every accepted candidate's source video, downloaded once and stored by its content.

Links go through yt-dlp (`winnow.fetching.download`) under the egress policy (`winnow.fetching.egress`), in processes
that have limits of their own (`winnow.fetching.fence`); `inbox:` addresses are files of the inbox and are copied. A
shard's downloads are bounded for each host: so many at a time (`WINNOW_FETCH_CONCURRENCY`), so many requests a second
(`WINNOW_FETCH_RATE`). Both bound one process, so a run in several parts multiplies them. What fails is a row with a
Reason; the transient ones are tried again when a run names them.
"""

from __future__ import annotations

import queue
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from winnow.core import own_fault
from winnow.core.lake import sha256_file
from winnow.core.sample import Outcome, Reason, SampleFailed
from winnow.core.stage import Batch, Resources, Sample, Stage, StageParams
from winnow.core.takedown import Tombstones

WATCH_S = 0.1


class Fetch(Stage):
    """Downloads and stores source videos; rows of one video share its download."""

    name, image, needs = "fetch", "fetch", ("plan",)
    schema = {
        "video_id": "string",
        "url": "string",
        "start_s": "double",
        "end_s": "double",
        "media_sha256": "string",
        "media_ext": "string",
        "media_bytes": "int64",
        "media_type": "string",
        "fetched_title": "string",
        "fetched_uploader": "string",
        "fetched_duration_s": "double",
        "redirects": "int64",
    }
    resources = Resources(cpu=0.5, memory_mb=1024)

    lifted_by = {
        Reason.blocked_address: ("WINNOW_FETCH_ALLOW_NETWORKS",),
        Reason.too_large: ("WINNOW_FETCH_MAX_BYTES",),
        Reason.unsupported_site: ("yt-dlp",),
    }

    class Params(StageParams):
        """`format` is yt-dlp's format selection, for sites that offer several: files that hold picture and sound, since
        nothing here merges separate streams."""

        format: str = "best[height<=?480]/best"

    def conditions(self) -> dict[str, str]:
        """Settings that refuse a link, and the version of yt-dlp, which learns new sites."""
        settings = self.settings
        return {
            "WINNOW_FETCH_ALLOW_NETWORKS": ",".join(map(str, settings.fetch_allow_networks)),
            "WINNOW_FETCH_MAX_BYTES": str(settings.fetch_max_bytes),
            "yt-dlp": _version("yt-dlp"),
        }

    def setup(self) -> None:
        """Prepare the policy and the fence; a process starts with the first link."""
        from winnow.fetching import fence
        from winnow.fetching.egress import Guard, Policy
        from winnow.fetching.media_type import media_type

        settings = self.settings
        self._media_type, self._guard = media_type, Guard
        self._policy = Policy(settings.fetch_allow_networks)
        terms = fence.Terms(
            self.params.format,
            settings.fetch_rewrites,
            settings.fetch_timeout_s,
            settings.fetch_max_bytes,
            self._policy.allow,
            make=fence.plain,
        )
        self._new_downloader: Callable[[], fence.FencedDownloader] = lambda: fence.FencedDownloader(terms)
        self._idle: queue.SimpleQueue[fence.FencedDownloader] = queue.SimpleQueue()
        self._paces: dict[str, Pace] = defaultdict(lambda: Pace(settings.fetch_rate))
        self._tombstones = Tombstones.of(self.lake)

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """One download a video, hosts side by side; an outcome for every row that wants it."""
        rows: dict[str, list[Sample]] = {}
        for sample in batch:
            rows.setdefault(str(sample.row["video_id"]), []).append(sample)
        hosts: dict[str, list[Task]] = {}
        for video_id, samples in list(rows.items()):
            why = self._tombstones.over(
                {
                    "id": [video_id, *(s.row.get("source_id") for s in samples)],
                    "uploader": [s.row.get("uploader") for s in samples],
                    "source": [s.row["url"] for s in samples],
                    "file": [s.row.get("content_sha256") for s in samples],
                }
            )
            if why:
                for sample in rows.pop(video_id):
                    yield Outcome.failed(sample.id, Reason.taken_down, why, values=_same(sample))
                continue
            task = Task(video_id, samples[0], batch.work / f"fetch-{video_id}", self._guard(self._policy))
            hosts.setdefault(task.host, []).append(task)
        for task, result in self._run(hosts):
            for sample in rows[task.video_id]:
                same = _same(sample)
                if isinstance(result, SampleFailed):
                    yield Outcome.failed(sample.id, result.reason, result.detail, values=same)
                else:
                    yield Outcome.ok(sample.id, {**same, **result})

    def _run(self, hosts: dict[str, list[Task]]) -> Iterator[tuple[Task, dict[str, object] | SampleFailed]]:
        """Run the tasks, every host in a pool of its own; this thread watches the deadlines meanwhile."""
        pools = [
            ThreadPoolExecutor(min(self.settings.fetch_concurrency, len(tasks)), thread_name_prefix="fetch")
            for tasks in hosts.values()
        ]
        futures: dict[Future, Task] = {}
        try:
            for pool, tasks in zip(pools, hosts.values(), strict=True):
                futures.update({pool.submit(self._one, task): task for task in tasks})
            pending = set(futures)
            while pending:
                done, pending = wait(pending, timeout=WATCH_S, return_when=FIRST_COMPLETED)
                for future in done:
                    yield futures[future], future.result()
                for future in pending:
                    futures[future].watch(self.settings.fetch_deadline_s)
        finally:
            for task in futures.values():
                task.guard.abort()
            for pool in pools:
                pool.shutdown(cancel_futures=True)

    def _one(self, task: Task) -> dict[str, object] | SampleFailed:
        """One video into the lake: its columns, or why it has none."""
        try:
            if task.url.startswith("inbox:"):
                return self._local(task)
            return self._download(task)
        except SampleFailed as failure:
            return failure
        except Exception as error:
            return own_fault.internal_error(error)

    def _download(self, task: Task) -> dict[str, object]:
        task.folder.mkdir(parents=True)
        try:
            downloader = self._idle.get_nowait()
        except queue.Empty:
            downloader = self._new_downloader()
        try:
            got = downloader.fetch(task.url, task.folder, task.guard, lambda: self._wait(task))
            if why := self._tombstones.over({"uploader": got.uploader, "file": sha256_file(got.path)}):
                raise SampleFailed(Reason.taken_down, why)
            return {
                "media_bytes": got.path.stat().st_size,
                "media_sha256": self.lake.put_media(got.path, got.ext, move=True),
                "media_ext": got.ext,
                "media_type": got.media_type,
                "fetched_title": got.title,
                "fetched_uploader": got.uploader,
                "fetched_duration_s": got.duration_s,
                "redirects": got.redirects,
            }
        finally:
            self._idle.put(downloader)
            shutil.rmtree(task.folder, ignore_errors=True)

    def _wait(self, task: Task) -> None:
        """Wait for the host's next start; the time for the file begins with its first request."""
        self._paces[task.host].wait()
        task.begun = task.begun or time.monotonic()

    def _local(self, task: Task) -> dict[str, object]:
        """A file of the inbox: a regular file inside it, whose bytes are those that were ingested."""
        inbox = Path(self.settings.inbox).resolve()
        path = inbox / task.url.removeprefix("inbox:")
        try:
            if not path.resolve(strict=True).is_relative_to(inbox):
                raise SampleFailed(Reason.blocked_scheme, "its path leads out of the inbox")
        except (OSError, RuntimeError, ValueError):
            raise SampleFailed(Reason.missing_file, "no longer in the inbox") from None
        if not path.is_file():
            raise SampleFailed(Reason.missing_file, "not a file")
        size = path.stat().st_size
        if size > self.settings.fetch_max_bytes:
            raise SampleFailed(Reason.too_large, "larger than WINNOW_FETCH_MAX_BYTES allows")
        kind, ext = self._media_type(path)
        expected = task.sample.row["content_sha256"]
        if expected and sha256_file(path) != expected:
            raise SampleFailed(Reason.missing_file, "its bytes changed since it was ingested: ingest the batch again")
        return {
            "media_sha256": self.lake.put_media(path, ext),
            "media_ext": ext,
            "media_bytes": size,
            "media_type": kind,
            "redirects": 0,
        }


def _same(sample: Sample) -> dict[str, object]:
    """What says which row it is."""
    return {name: sample.row[name] for name in ("video_id", "url", "start_s", "end_s")}


class Task:
    """One video to fetch: its first row stands for all, `host` bounds it, `guard` judges it."""

    def __init__(self, video_id: str, sample: Sample, folder: Path, guard) -> None:
        self.video_id, self.sample, self.folder, self.guard = video_id, sample, folder, guard
        self.url = str(sample.row["url"])
        self.host = (urlsplit(self.url).hostname or "").lower()
        self.begun: float | None = None

    def watch(self, deadline_s: float) -> None:
        """Break the download off when its time is over."""
        if self.begun is not None and time.monotonic() - self.begun > deadline_s:
            self.guard.abort()


class Pace:
    """Starts at one host, at most `rate` a second (0: no limit), evenly spaced: no burst after a quiet time."""

    def __init__(
        self, rate: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._space_s = 1.0 / rate if rate else 0.0
        self._clock, self._sleep, self._next_s, self._lock = clock, sleep, 0.0, threading.Lock()

    def wait(self) -> None:
        """Return when this caller may start."""
        if not self._space_s:
            return
        with self._lock:
            now_s = self._clock()
            start_s = max(now_s, self._next_s)
            self._next_s = start_s + self._space_s
        if start_s > now_s:
            self._sleep(start_s - now_s)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
