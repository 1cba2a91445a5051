"""A lease: one holder at a time by whatever clock; a dead one is followed, a paused one refused and changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.published import fill
from winnow.core.errors import EXIT_TRANSIENT, ContractError
from winnow.core.lake import Lake
from winnow.core.lease import Lease, LeaseLost
from winnow.core.pointer import StaleWriter
from winnow.release import in_bucket, publish
from winnow.release.in_bucket import Writer, fence

KEY = "releases/.work/lease"


class Clock:
    """Seconds that go by only while somebody waits; what happens then is said before."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.meanwhile: list = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()


@pytest.fixture(params=["a store that compares", "a store that does not"])
def root(request: pytest.FixtureRequest) -> str:
    """A lake's address."""
    return request.getfixturevalue("bucket") if "not" not in request.param else f"memory://lease-{id(request)}"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lease(root: str, clock: Clock) -> Lease:
    """A writer of its own, as another process has it."""
    return Lease(Lake(root), KEY, "a release is being made", "winnow release", now=clock, sleep=clock.sleep)


def test_one_holds_it_and_the_next_one_follows_at_once(root: str, clock: Clock, capsys) -> None:
    first, second = lease(root, clock), lease(root, clock)
    assert first.take() == 1
    clock.meanwhile = [first.renew, first.renew, first.give_back]
    assert second.take() == 2
    assert clock.now_s < 10
    assert capsys.readouterr().err.count("a release is being made") == 1
    second.check()
    first.give_back()  # nothing: it is the other one's
    second.renew()


@pytest.mark.fault("kill -9", "a writer in a bucket", "the next one waits until its lease is over, and goes on")
def test_a_dead_holder_is_followed_when_its_time_is_over(root: str, clock: Clock) -> None:
    lease(root, clock).take()
    assert lease(root, clock).take() == 2
    assert 60 <= clock.now_s < 65


def test_a_holder_that_lives_is_not_followed(root: str, clock: Clock) -> None:
    """However long it takes, and whatever its clock says: what counts is that the waiter sees it change."""
    holder, behind = lease(root, clock), Clock()
    holder._now = behind
    holder.take()
    clock.meanwhile = [holder.renew if n % 15 == 0 else (lambda: None) for n in range(60)] + [holder.give_back]
    assert lease(root, clock).take() == 2
    assert clock.now_s > 119


@pytest.mark.fault("a late writer", "a lease in a bucket, after a pause", "refused; nothing that anybody reads changed")
def test_a_paused_holder_is_refused(root: str, clock: Clock) -> None:
    late, next_one = lease(root, clock), lease(root, clock)
    late.take()
    next_one.take()
    with pytest.raises(LeaseLost, match=r"lost its lease .*Nothing was changed: run `winnow release` again") as told:
        late.check()
    assert told.value.exit_code == EXIT_TRANSIENT
    with pytest.raises(LeaseLost):
        late.renew()
    late.give_back()
    next_one.renew()
    assert json.loads(Lake(root).read(KEY))["token"] == next_one.token


def test_a_renewal_whose_answer_was_lost_is_our_own(root: str, clock: Clock) -> None:
    held = lease(root, clock)
    held.take()
    Lake(root).write(KEY, held._text())
    held._beat += 1
    Lake(root).write(KEY, held._text())  # it was written, and the client never heard of it
    held.renew()
    held.check()


def test_a_damaged_lease_is_named(root: str, clock: Clock) -> None:
    Lake(root).write(KEY, b'{"token"')
    with pytest.raises(ContractError, match=r"lease is damaged: remove it while no `winnow release` runs"):
        lease(root, clock).take()


def writer(root: str, clock: Clock) -> Writer:
    held = lease(root, clock)
    held.take()
    return Writer(held, fence(held.lake, held))


@pytest.mark.fault("a late writer", "publish in a bucket, at any moment", "refused; `current` is the newer one's")
@pytest.mark.parametrize("paused", ["before it began", "before the manifest", "before current"])
def test_a_writer_that_slept_publishes_nothing(
    bucket: str, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paused: str
) -> None:
    """It wakes while the next one builds, or after it published; whichever came first of them counts for nobody."""
    monkeypatch.setenv("WINNOW_SCRATCH", str(tmp_path / "scratch"))
    lake = Lake(bucket)

    def put(generation: int, who: Writer) -> dict[str, object]:
        work = fill(tmp_path / str(generation), generation)
        return publish.publish(
            work,
            lake,
            release=publish.content_id(work, "hash"),
            key=f"key{generation}",
            base=publish.current(lake),
            policy="hash",
            writer=who,
        )

    first = put(1, writer(bucket, clock))
    late = writer(bucket, clock)
    newer: list[Writer] = []

    def pause(*_: object) -> None:
        if not newer:
            newer.append(writer(bucket, clock))

    where = {"before the manifest": (in_bucket, "put"), "before current": (publish, "text_of")}
    if paused in where:
        module, name = where[paused]
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given: (real(*given), pause())[0])
    else:
        pause()
    with pytest.raises(LeaseLost if paused != "before current" else StaleWriter, match="`winnow release` again"):
        put(2, late)
    assert publish.current(lake) == first["release"]
    assert (len(publish.releases(lake)) > 1) == (paused == "before current"), "whole, and nobody's"
    assert put(3, newer[0])["before"] == first["release"]


def test_readers_see_the_old_release_until_the_new_one_is_whole(
    bucket: str, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before each of its writes, a publish leaves the release before; what both hold is there once."""
    monkeypatch.setenv("WINNOW_SCRATCH", str(tmp_path / "scratch"))
    lake, one = Lake(bucket), writer(bucket, clock)
    work = fill(tmp_path / "1", 1)
    given = {"key": None, "policy": "hash", "writer": one}
    first = publish.publish(work, lake, release=publish.content_id(work, "hash"), base=None, **given)
    work = fill(tmp_path / "2", 2)
    given |= {"release": publish.content_id(work, "hash"), "base": first["release"]}
    kept = {name: getattr(lake, name) for name in ("put_file", "create", "replace_in_store")}
    writes, most = [], 0

    def killing(name: str):
        def write(*arguments: object) -> object:
            writes.append(name)
            if len(writes) > most:
                raise KeyboardInterrupt
            return kept[name](*arguments)

        return write

    with monkeypatch.context() as patch:
        for name in kept:
            patch.setattr(lake, name, killing(name))
        while True:
            writes.clear()
            try:
                publish.publish(work, lake, **given)
                break
            except KeyboardInterrupt:
                most += 3
                folder = publish.folder(Lake(bucket))
                assert (folder.name, (folder / "report.html").read_text()) == (first["release"], "<p>1")
    assert most >= 6
    assert (publish.folder(lake) / "report.html").read_text() == "<p>2"
    files = [publish.manifest(lake, name)["files"]["gates/release.json"] for name in publish.releases(lake)]
    assert len({entry["key"] for entry in files}) == 1
