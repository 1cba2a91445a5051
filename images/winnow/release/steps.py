"""Release: build → gate → report → publish, over one private work folder.

`winnow release` runs all four in a folder of its own. The same steps as separate commands (the DAG `release` is made
of them) share the folder `releases/.work/steps-<policy>/`, so that what was built is what is gated, looked at,
approved and published, whatever is admitted meanwhile. One release is made at a time: a writer's lock makes the second
one wait, and it then finds its content published and stops at `build`.

With a lake in a bucket the lock is a lease, the work folder lies in local scratch, and separate steps hand it on
through the bucket (`winnow.release.in_bucket`).

A release's content follows from the admitted batches, the dbt project and the policy
(`winnow.release.build.release_key`). Which key led to which release is kept in `releases/inputs/<key>`, so content that
is published already costs no dbt at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from winnow.core.errors import ContractError
from winnow.core.lake import Lake, digest
from winnow.core.nearby import work_folder
from winnow.core.settings import Settings, load
from winnow.release import in_bucket, publish
from winnow.release.build import build_release, release_key
from winnow.release.in_bucket import Handed, Writer

STEPS = ("build", "gate", "report", "publish")
WORK = "releases/.work"
DRAFT = "draft.json"


@dataclass(frozen=True)
class Draft:
    """What a build made: the release's id, the key of its inputs (None when they changed while it was built), and the
    release that was current then."""

    release: str
    key: str | None
    base: str | None
    policy: str

    def write(self, work: Path) -> None:
        """Put it into the work folder: the build is complete."""
        (work / DRAFT).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, work: Path, policy: str) -> Draft:
        """The complete build of a work folder; ContractError without one."""
        again = f"run `winnow release build --policy {policy}` first"
        try:
            return cls(**json.loads((work / DRAFT).read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise ContractError(f"nothing is built in {work}: {again}") from None
        except (ValueError, TypeError) as error:
            raise ContractError(f"{work / DRAFT} is cut short or damaged ({error}): {again}") from None


def release(lake: Lake, settings: Settings, *, step: str = "all", policy: str = "hash") -> dict[str, object]:
    """One step, or all of them. Returns {"release", "already", …}; `already` is true when there was nothing to do."""
    with one_writer(lake) as writer, _folder(lake) as root:
        if step != "all":
            return _one_step(step, root, lake, settings, policy, writer)
        work = Path(tempfile.mkdtemp(prefix="run-", dir=root))
        try:
            done: dict[str, object] = {}
            for name in STEPS:
                done |= _run(name, work, lake, settings, policy, writer)
                if done["already"]:
                    break
            return done
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _run(
    step: str, work: Path, lake: Lake, settings: Settings, policy: str, writer: Writer | None
) -> dict[str, object]:
    """One step; the last one moves `current` for its writer."""
    return _STEPS[step](work, lake, settings, policy, **({"writer": writer} if step == "publish" else {}))


def _one_step(
    step: str, root: Path, lake: Lake, settings: Settings, policy: str, writer: Writer | None
) -> dict[str, object]:
    """One step in the folder of separate steps; in a bucket, between what the step before left and what this one
    leaves."""
    work = root / f"steps-{policy}"
    if writer is None:
        return _run(step, work, lake, settings, policy, None)
    handed = Handed(lake, policy, root, [f"{work.name}/{name}" for name in (*publish.CONTENT, DRAFT)] + [_noted(work)])
    if step != "build":
        handed.take()
    try:
        return _run(step, work, lake, settings, policy, writer)
    finally:
        handed.give(writer)


@contextlib.contextmanager
def one_writer(lake: Lake) -> Iterator[Writer | None]:
    """Hold the writer's lock; who has to wait is told. The kernel frees it when its holder dies, however it dies; in a
    bucket it is a lease, which a holder that died, or slept, loses."""
    if not lake.is_local:
        with in_bucket.one_writer(lake) as writer:
            yield writer
        return
    path = Path(lake.full(f"{WORK}/lock"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another release is being made; waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield None


@contextlib.contextmanager
def _folder(lake: Lake) -> Iterator[Path]:
    """Where releases are made: beside what is published, without what killed runs left (the lock is ours, so none is
    alive); of a lake in a bucket in local scratch, and the user is told."""
    if lake.is_local:
        root = Path(lake.full(WORK))
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        yield root
        return
    with work_folder("release") as root:
        print(
            f"the release is made in {root}; copies of what it reads are kept beside it, at most "
            f"{load().scratch_mb} MiB (WINNOW_SCRATCH, WINNOW_SCRATCH_MB)",
            file=sys.stderr,
            flush=True,
        )
        yield root


def _sweep(root: Path) -> None:
    """Remove what killed runs left. The lock is ours, so no run is alive."""
    for left in root.glob("run-*"):
        shutil.rmtree(left, ignore_errors=True)


def _noted(work: Path) -> str:
    """Name of the note, beside the folder of separate steps, of what was published from it."""
    return f"published-{work.name.removeprefix('steps-')}"


def build(work: Path, lake: Lake, settings: Settings, policy: str) -> dict[str, object]:
    """Run dbt over all admitted batches into the work folder, unless the content is the current release's."""
    shutil.rmtree(work, ignore_errors=True)
    (work.parent / f"published-{policy}").unlink(missing_ok=True)
    key = input_key(lake, settings, policy)
    base = publish.current(lake)
    _check_first(lake, base)
    if base is not None:
        publish.resolve(lake)  # one that names nothing is no release to go on from
    known = lake.read_or_none(f"releases/inputs/{key}")
    if base is not None and known is not None and known.decode().strip() == base:
        return {"release": base, "already": True, "step": "build", "policy": policy}
    work.mkdir(parents=True, exist_ok=True)
    built = build_release(work, lake, settings, policy=policy)
    same = key if input_key(lake, settings, policy) == key else None
    draft = Draft(publish.content_id(work, policy), same, base, policy)
    draft.write(work)
    return {**built, "release": draft.release, "already": False, "step": "build"}


def _check_first(lake: Lake, base: str | None) -> None:
    """ContractError where no release is current although one was built on another: the next one would begin anew, and
    what was published in which split would count no more."""
    if base is None and any(publish.manifest(lake, release).get("before") for release in publish.releases(lake)):
        raise ContractError(
            f"{lake.full('releases/current')} is not there, and releases are: run `winnow verify --all`, which says "
            "which of them to write into it"
        )


def gate(work: Path, lake: Lake, settings: Settings, policy: str) -> dict[str, object]:
    """Run the release gate over what was built."""
    from winnow.gates import gate_release

    draft = Draft.read(work, policy)
    found = gate_release(work, lake, settings, subject=draft.release, policy=policy)
    return {"release": draft.release, "already": False, "step": "gate", **found}


def report(work: Path, lake: Lake, settings: Settings, policy: str) -> dict[str, object]:
    """Write the report page beside the tables."""
    from winnow.report.page import write_report

    draft = Draft.read(work, policy)
    page = write_report(work, lake, release=draft.release, base=draft.base, policy=policy)
    return {"release": draft.release, "already": False, "step": "report", "report": str(page)}


def publish_step(
    work: Path, lake: Lake, settings: Settings, policy: str, writer: Writer | None = None
) -> dict[str, object]:
    """Make the release visible; the work folder is removed afterwards. What was published from it is noted before, so
    that a run that was killed in between can be repeated."""
    noted = work.parent / f"published-{policy}"
    try:
        draft = Draft.read(work, policy)
    except ContractError:
        if noted.is_file() and (found := noted.read_text().strip()) and found == publish.current(lake):
            return {"already": True, "step": "publish", "release": found, "report": str(publish.report_path(lake))}
        raise
    result = publish.publish(
        work, lake, release=draft.release, key=draft.key, base=draft.base, policy=policy, writer=writer
    )
    noted.write_text(f"{draft.release}\n", encoding="utf-8")
    (work / DRAFT).unlink()
    shutil.rmtree(work, ignore_errors=True)
    return {"already": False, "step": "publish", **result}


def input_key(lake: Lake, settings: Settings, policy: str) -> str:
    """What a release follows from: its inputs, and the suites that it must pass."""
    from winnow.gates.suites import suites_digest

    return digest([release_key(lake, settings, policy), suites_digest(settings.dbt_dir, "release")])


_STEPS: dict[str, Callable[..., dict[str, object]]] = {
    "build": build,
    "gate": gate,
    "report": report,
    "publish": publish_step,
}
