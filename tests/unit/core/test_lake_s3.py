"""A lake in a bucket: the same promises as in a folder, against a real S3 API on loopback (moto's server)."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.unit.helpers import Join, Letters, Odd, cut, read, runtime
from tests.unit.manifests import manifest_of
from winnow.core import corpus_table
from winnow.core.errors import ConfigError, TransientError
from winnow.core.lake import Lake
from winnow.core.manifest import Manifest
from winnow.core.pointer import Pointer, StaleWriter


def manifest(table: bytes, shard: str = "00000-abcd1234", rows: int = 1) -> Manifest:
    return manifest_of(table, "probe", "b", shard, rows, fingerprint="0123456789ab", inputs={}, code="c")


def test_files_are_written_read_listed_and_created_once(bucket: str) -> None:
    lake, other = Lake(bucket), Lake(bucket)
    assert not lake.is_local
    assert lake.read_or_none("a/b") is None
    assert lake.list("a") == []
    lake.write("a/b", b"one")
    assert other.list("a") == ["b"]
    lake.write("a/b", b"two")
    assert (other.read("a/b"), other.exists("a/b"), other.exists("a/c")) == (b"two", True, False)
    assert lake.create("a/c", b"first")
    assert not other.create("a/c", b"second")
    assert lake.read("a/c") == b"first"
    assert other.list("a") == ["b", "c"], "no listing is remembered"
    lake.remove("a/b")
    lake.remove("a/b")
    assert other.list("a") == ["c"]


@pytest.mark.fault("two writers", "an S3 store", "one counts")
def test_of_two_commits_at_a_time_one_counts(bucket: str) -> None:
    """Ten threads commit different bytes for one shard: one manifest, its table, and nothing of the others."""
    tables = [f"table {i}".encode() for i in range(10)]
    winners: list[Manifest] = []
    start = threading.Barrier(len(tables))

    def commit(table: bytes) -> None:
        lake = Lake(bucket)
        start.wait()
        winners.append(lake.commit(manifest(table), table))

    threads = [threading.Thread(target=commit, args=(table,)) for table in tables]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    lake = Lake(bucket)
    assert len({winner.sha256 for winner in winners}) == 1
    left = lake.list(Lake.folder("probe", "0123456789ab", "b"))
    assert left == sorted([winners[0].file, "00000-abcd1234.json"])
    assert lake.read_table(winners[0]) in tables


def test_media_models_stands_and_corpus_tables(bucket: str, tmp_path: Path) -> None:
    lake = Lake(bucket)
    (tmp_path / "video.mp4").write_bytes(b"pictures")
    sha256 = lake.put_media(tmp_path / "video.mp4", "mp4")
    with Lake(bucket).open_media(sha256, "mp4") as path:
        assert path.read_bytes() == b"pictures"
    lake.set_head("probe", "b", {"v": "1"})
    assert Lake(bucket).head("probe", "b") == {"v": "1"}
    assert lake.model_current("correspond") is None
    lake.set_model_current("correspond", "abc")
    assert Lake(bucket).model_current("correspond") == "abc"
    row = {"family": "avel", "key": "a", "split": "train", "source": "list"}
    assert corpus_table.add(lake, "given_split", [row], provenance={})["computed"]
    assert corpus_table.read(Lake(bucket), "given_split").to_pylist() == [row]


@pytest.mark.fault("a store that throttles", "an S3 store", "asked again")
def test_a_store_that_throttles_is_asked_again(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answers are 503 SlowDown, as S3 gives them; the write arrives all the same."""
    lake = Lake(bucket)
    lake.write("warm", b"up")
    refusals = iter([True, True, True])
    send = lake.fs._s3._endpoint.http_session.send
    seen: list[int] = []

    async def throttled(request):
        answer = await send(request)
        seen.append(answer.status_code)
        if next(refusals, False):
            answer.status_code = 503
            answer._content = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
        return answer

    monkeypatch.setattr(lake.fs._s3._endpoint.http_session, "send", throttled)
    lake.write("slow", b"down")
    assert lake.read("slow") == b"down"
    assert len(seen) >= 5


def answered(lake: Lake, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, times: int) -> list[int]:
    """Have the store refuse its next conditional writes with this answer; the statuses of all of them."""
    from aiobotocore.awsrequest import AioAWSResponse

    lake.write("warm", b"up")
    send = lake.fs._s3._endpoint.http_session.send
    seen: list[int] = []

    async def refusing(request):
        if "If-None-Match" not in request.headers:
            return await send(request)
        if len(seen) < times:
            answer = AioAWSResponse(request.url, status, {"content-type": "application/xml"}, None)
            answer._content = body
        else:
            answer = await send(request)
        seen.append(answer.status_code)
        return answer

    monkeypatch.setattr(lake.fs._s3._endpoint.http_session, "send", refusing)
    return seen


@pytest.mark.parametrize(
    "body",
    [b"<Error><Code>PreconditionFailed</Code><Message>It is there.</Message></Error>", b""],
    ids=["without its condition", "without words"],
)
def test_a_store_that_names_no_condition_is_understood(
    bucket: str, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """412, as stores that are not AWS's say it: the late attempt changes nothing."""
    lake = Lake(bucket)
    first = lake.commit(manifest(b"first"), b"first")
    seen = answered(lake, monkeypatch, 412, body, 1)
    assert lake.commit(manifest(b"second"), b"second") == first
    assert seen == [412]
    assert lake.list(Lake.folder("probe", "0123456789ab", "b")) == sorted([first.file, "00000-abcd1234.json"])


CONFLICT = b"<Error><Code>ConditionalRequestConflict</Code><Message>Another write is under way.</Message></Error>"


def test_a_write_beside_another_one_is_tried_again(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """409, as AWS answers while another conditional write to the key goes on: asked again, it says which one won."""
    lake = Lake(bucket)
    seen = answered(lake, monkeypatch, 409, CONFLICT, 2)
    assert lake.create("a", b"ours")
    assert seen == [409, 409, 200]
    assert not lake.create("a", b"theirs")
    assert lake.read("a") == b"ours"


def test_a_pointer_is_moved_by_one_of_two(bucket: str) -> None:
    """The store compares, so of two that began together one is refused, whatever lies between their halves."""
    here, there = Lake(bucket), Lake(bucket)
    for before in (None, b"one"):
        late, newer = Pointer(here, "heads/a"), Pointer(there, "heads/a")
        assert bool(late.state) == bool(before)
        newer.move(b"one" if before is None else b"two", "")
        with pytest.raises(StaleWriter, match=r"at 20.* UTC after this one began.*Run `winnow late` again"):
            late.move(b"older", "winnow late")
    assert here.read("heads/a") == b"two"
    gone = Pointer(here, "heads/a")
    there.remove("heads/a")
    with pytest.raises(StaleWriter, match="It now says nothing"):
        gone.move(b"three", "")


@pytest.mark.fault("a store that throttles", "an S3 store that goes on refusing", "exit code 75, nothing half-written")
def test_a_write_that_stays_refused_ends(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("winnow.core.lake.CONFLICT_WAITS_S", (0.0, 0.0, 0.0))
    lake = Lake(bucket)
    seen = answered(lake, monkeypatch, 409, CONFLICT, 99)
    with pytest.raises(TransientError, match="another write to it is under way"):
        lake.create("a", b"ours")
    assert seen == [409] * 3
    seen = answered(lake, monkeypatch, 403, b"<Error><Code>AccessDenied</Code></Error>", 99)
    with pytest.raises(PermissionError):
        lake.create("a", b"ours")


def test_a_file_in_a_bucket_has_no_path(bucket: str) -> None:
    with pytest.raises(ConfigError, match=r"models/correspond/abc.npz has a path only in a lake on a local"):
        Lake(bucket).model_path("correspond", "abc")
    with pytest.raises(ConfigError, match=r"media/ab/abab.* has a path only in a lake on a local"):
        Lake(bucket).media_path("ab" * 32, "mp4")


def test_a_stage_runs_in_a_bucket_as_in_a_folder(bucket: str, tmp_path: Path) -> None:
    """The Runtime over S3: the same table bytes as in a folder, skipped the second time, few requests for it."""
    words = [[("a", "one"), ("b", "!undecodable")], [("c", "three")]]
    there, here = Lake(bucket), Lake(tmp_path / "lake")
    for lake in (there, here):
        cut(lake, "words", "day", words)
        assert runtime(lake, Letters).run().computed == runtime(lake, Odd).run().computed == 2
    assert runtime(there, Join).run().computed == runtime(here, Join).run().computed == 2
    for number in (0, 1):
        ours, theirs = read(there, runtime(there, Join), number), read(here, runtime(here, Join), number)
        assert (ours[0].sha256, ours[1]) == (theirs[0].sha256, theirs[1])
    again = runtime(there, Join)
    calls: list[str] = []
    original = there.fs._call_s3

    async def counted(method, *arguments, **options):
        calls.append(method)
        return await original(method, *arguments, **options)

    there.fs._call_s3 = counted
    assert again.run().computed == 0
    assert calls.count("list_objects_v2") == 0, "finding work done lists nothing"
    assert len(calls) <= 10 + 10 * 2, f"{len(calls)} requests to find 2 shards done: {calls}"


def test_work_that_is_done_is_found_in_as_few_requests_however_many_shards(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stages over 12 shards: one listing and one file for each, whoever wrote it; what changed since is seen."""
    lake = Lake(bucket)
    cut(lake, "words", "day", [[(f"a{n}", "one"), (f"b{n}", "!timeout")] for n in range(12)])
    for stage in (Letters, Odd, Join):
        assert runtime(lake, stage).run().computed == 12

    def asked() -> tuple[int, int]:
        again, calls, original = runtime(lake, Join), [], type(lake.fs)._call_s3

        async def counted(self, method, *arguments, **options):
            calls.append(method)
            return await original(self, method, *arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(type(lake.fs), "_call_s3", counted)
            return again.run().computed, len(calls)

    computed, requests = asked()
    assert (computed, requests) == (0, pytest.approx(15, abs=3)), (
        "12 shards of three stages and what they were cut from"
    )
    folder = Lake.folder("join", runtime(lake, Join).fingerprint, "day")
    lake.remove(f"{folder}/{next(name for name in lake.list(folder) if name.endswith('.json'))}")
    assert asked()[0] == 1, "a manifest that was removed is no commit, whatever is written down"
    lake.write(f"{folder}/.committed.json", b"torn")
    assert asked()[0] == 0
    assert asked() == (0, requests)
