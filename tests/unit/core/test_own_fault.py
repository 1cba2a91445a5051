"""A fault of our own side is never a sample's outcome: nothing is committed, and the same command works later."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.fetched import Fetcher, odd_server
from tests.unit.helpers import Count, cut, read, runtime
from winnow.core import own_fault
from winnow.core.errors import TransientError
from winnow.core.lake import Lake
from winnow.core.sample import Outcome, Reason
from winnow.core.stage import Batch
from winnow.fetching import fence
from winnow.fetching.download import Downloader
from winnow.fetching.fence import plain

OURS = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM]


class Failing(Count):
    """As Count; one sample meets what `trouble` holds, as long as it holds something."""

    trouble: Exception | None = None

    def process(self, batch: Batch) -> Iterator[Outcome]:
        yield from batch.map(self.measure)

    def measure(self, sample) -> dict[str, object]:
        if sample.id == "b" and self.trouble is not None:
            raise self.trouble
        return {"chars": 1}


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setattr(Failing, "trouble", None)
    lake = Lake(tmp_path / "lake")
    cut(lake, "words", "day", [[("a", "one"), ("b", "two")]])
    return lake


@pytest.mark.fault(
    "a full or read-only disk, a full quota, too many files, no memory",
    "a stage",
    "exit code 75, nothing is committed; the same command works later",
)
@pytest.mark.parametrize("trouble", [*(OSError(n, "as planted", "/scratch/x") for n in OURS), MemoryError()], ids=str)
def test_nothing_is_committed_and_the_same_command_works_later(lake: Lake, trouble: Exception) -> None:
    Failing.trouble = trouble
    with pytest.raises(TransientError, match="nothing of this shard was committed"):
        runtime(lake, Failing).run()
    assert not list(Path(lake.root).rglob("count/v=*/batch=*/[!.]*"))
    Failing.trouble = None
    assert runtime(lake, Failing).run().ok == 2


def test_what_it_comes_from_counts_too() -> None:
    inner = OSError(errno.ENOSPC, "No space left on device")
    outer = ValueError("some library's words")
    outer.__cause__ = RuntimeError("more words")
    outer.__cause__.exc_info = (OSError, inner, None)
    assert isinstance(own_fault.of(outer), TransientError)
    assert own_fault.of(ValueError("the data's")) is None
    assert own_fault.of(OSError(errno.ENOENT, "no such file")) is None
    assert own_fault.of(None) is None


def test_what_ffmpeg_says_of_broken_media_is_the_samples(lake: Lake) -> None:
    from winnow.media import packets
    from winnow.media.ffmpeg import av

    Failing.trouble = av.error.OSError(errno.EIO, "Input/output error")
    assert runtime(lake, Failing).run().reasons == {"internal_error": 1}
    assert own_fault.of(av.error.OSError(errno.ENOSPC, "No space left on device")) is not None
    assert packets.said(av.error.OSError(errno.EIO, "Input/output error")).reason is Reason.undecodable
    assert packets.said(av.error.OSError(errno.ENOSPC, "No space left on device")) is None


def test_an_internal_error_can_be_tried_again_by_name(lake: Lake) -> None:
    Failing.trouble = ValueError("a fault that was mended")
    runtime(lake, Failing).run()
    Failing.trouble = None
    assert runtime(lake, Failing).run().skipped == 1
    assert runtime(lake, Failing).run(retry=frozenset({Reason.internal_error})).retried == 1
    assert read(lake, runtime(lake, Failing))[0].ok == 2


def full_disk(terms: fence.Terms) -> Downloader:
    """A downloader that writes to /dev/full, which says what a full disk says."""
    from yt_dlp.downloader.common import FileDownloader

    FileDownloader.sanitize_open = lambda self, name, mode: (open("/dev/full", mode), name)  # noqa: SIM115
    return plain(terms)


@pytest.mark.fault("a full disk", "a download", "exit code 75, nothing committed")
def test_a_full_disk_ends_a_download_as_our_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "plain", full_disk)
    with odd_server() as (odd, rewrites):
        odd.answers["/a.mp4"] = lambda handler: handler.say(200, b"\0" * (1 << 20), Content_Type="video/mp4")
        with pytest.raises(TransientError, match="a file system is full"):
            Fetcher(tmp_path, rewrites)("http://odd.test/a.mp4")


@pytest.mark.fault("a full disk", "any command", "one line that names the place, exit code 75")
def test_the_command_line_says_it_and_ends_with_its_code(tmp_path: Path) -> None:
    code = (
        "import errno\nfrom winnow.cli import main\n"
        "def full(*a, **k): raise OSError(errno.ENOSPC, 'No space left on device', '/lake/x')\n"
        "main.cli.main = main.cli.__class__.__call__ = full\nmain.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 75, done.stderr
    assert done.stderr.startswith("winnow: TransientError: a file system is full (/lake/x)")
