"""Every step that writes, killed at its write boundaries and done again, leaves what it leaves undisturbed.

A boundary stands before each change of a file in the deployment's folder (`tests/unit/killed.py`). Here a few of them
are drawn by a seed; `WINNOW_KILLS=all` takes all. `tests/journey/test_kill.py` kills the stages of a real batch.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock, patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit import explored, exported, helpers, killed, measured, mixed, published
from tests.unit.batch import test_plan
from tests.unit.exports.test_removed import ROWS, table_of
from tests.unit.gates.gated import DAY, commit
from tests.unit.killed import Step
from winnow.core import corpus_table
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.selection.kmeans.centroids import KMeansParams

#: Boundaries of a step that are tried.
FEW = 3
LISTED = "".join(f"http://videos.example/{i}.mp4,{i},{i + 10}\n" for i in range(6))


def lake_in(root: Path) -> Lake:
    return Lake(root / "lake")


def settings_in(root: Path) -> Settings:
    project = root / "project"
    more = {"dbt_dir": project} if project.exists() else {}
    return Settings(lake=str(root / "lake"), inbox=root / "inbox", **more)


def a_list(root: Path) -> None:
    (root / "inbox" / DAY).mkdir(parents=True)
    (root / "inbox" / DAY / "a.csv").write_text(f"url,start,end\n{LISTED}")


def ingest(root: Path) -> object:
    from winnow.batch.ingest import ingest

    return ingest(DAY, settings_in(root), lake_in(root), shard_rows=2)


def words(root: Path) -> None:
    helpers.cut(lake_in(root), "words", "day", [[("a", "bee"), ("b", "deer")], [("c", "eel")]])


def stage(root: Path) -> object:
    """A fan-out with a tar, and so with the longest way from a sample to a manifest."""
    return helpers.runtime(lake_in(root), helpers.Letters).run()


def failed_rows(root: Path) -> None:
    helpers.Count.cured = set()
    helpers.cut(lake_in(root), "words", "day", [[("a", "bee"), ("b", "!internal_error")]])
    helpers.runtime(lake_in(root), helpers.Count).run()


def retry(root: Path) -> object:
    from winnow.core.sample import Reason

    helpers.Count.cured = {"b"}
    return helpers.runtime(lake_in(root), helpers.Count).try_again(frozenset({Reason.internal_error}))


def measured_clips(root: Path) -> None:
    measured.write_batch(lake_in(root), DAY, range(12))


def cluster(root: Path) -> object:
    from winnow.fitting.cluster import cluster

    return cluster(lake_in(root), settings_in(root), [DAY], params=KMeansParams(clusters=3))


def clustered_clips(root: Path) -> None:
    from winnow.core.runtime import run_stage

    measured_clips(root)
    cluster(root)
    run_stage(lake_in(root), "cluster", DAY, {}, settings_in(root))


def select(root: Path) -> object:
    from winnow.fitting.select import SelectParams, select

    return select(lake_in(root), [DAY], params=SelectParams(among="admitted"))


def a_batch(root: Path) -> None:
    """Measured rows, one of them impossible, and a gate that asks for little."""

    def change(rows: dict) -> None:
        next(row for row in rows["probe"] if row["outcome"] == "ok")["stillness"] = 1.5

    commit(lake_in(root), change=change)
    real, project = Settings().dbt_dir, root / "project"
    for part in ("gx/batch/probe.yml", "seeds/thresholds.csv"):
        (project / part).parent.mkdir(parents=True)
        shutil.copy(real / part, project / part)


def gate(root: Path) -> object:
    from winnow.gates import gate_batch

    return gate_batch([DAY], settings_in(root), lake_in(root))


def a_gated_batch(root: Path) -> None:
    a_batch(root)
    gate(root)


def let_go(root: Path) -> object:
    """`winnow quarantine --release`."""
    from winnow.gates.quarantine import quarantine

    (aside,) = quarantine(lake_in(root), DAY)["quarantined"]
    return quarantine(lake_in(root), DAY, [aside["sample_id"]], "looked at")


def a_work_folder(root: Path) -> None:
    published.put(lake_in(root), 0)
    published.fill(Path(lake_in(root).full("releases/.work/one")), 1)


def publish(root: Path) -> object:
    from winnow.release.publish import content_id, publish, releases

    lake = lake_in(root)
    work = Path(lake.full("releases/.work/one"))
    release = content_id(work, "hash")
    (base,) = set(releases(lake)) - {release}
    return publish(work, lake, release=release, key="one", base=base, policy="hash")


def mixtures_listed(root: Path) -> None:
    rows = [mixed.mixture("a", other) for other in "bcd"]
    mixed.publish(lake_in(root), "aaaa", dict.fromkeys("abcd", b"clip"), rows)


def cut_mixtures(root: Path) -> object:
    from winnow.batch import mixture_plan

    return mixture_plan.cut(lake_in(root), batch="mix", shard_size=2)


def nothing(root: Path) -> None:
    lake_in(root)


def annotate(root: Path) -> object:
    """What the explorer and `winnow annotate` write with."""
    row = dict.fromkeys(corpus_table.TABLES["rating"].columns) | {"sample_id": "0" * 20, "rater_id": "a"}
    return corpus_table.add(lake_in(root), "rating", [row], provenance={"by": "a test"})


def removed_rows(root: Path) -> None:
    table_of(root / "tables", ROWS)


def export(root: Path) -> object:
    from winnow import exports

    return exports.write("removed", root / "tables", root / "out")


def exported_clips(root: Path) -> None:
    exported.build(root / "lake", range(8))


def export_clips(root: Path) -> object:
    from winnow.delivery.options import Options
    from winnow.delivery.run import export

    return export(lake_in(root), str(root / "out"), Options(format="folder", shard_bytes=12_000))


def decided(root: Path) -> None:
    """What dbt would say of three candidates."""
    rows = {"sample_id": ["a", "b", "c"], "outcome": ["ok"] * 3, "reason": pa.array([None] * 3, pa.string())}
    pq.write_table(pa.table(rows), root / "decided.parquet")


def decide(root: Path) -> object:
    from winnow.batch import decide

    @contextmanager
    def said(*arguments: object) -> Iterator[Path]:
        yield root / "decided.parquet"

    begun = ({}, {"ingest-00000": "0" * 64}, "v")
    with patch.object(decide, "_begin", lambda *arguments: begun), patch.object(decide, "_decided", said):
        return decide.decide_fetch(DAY, settings_in(root), lake_in(root))


def decisions(root: Path) -> None:
    test_plan.decide(lake_in(root), [(f"{i:02}", f"v{i}", True) for i in range(6)])


def plan(root: Path) -> object:
    from winnow.batch.plan import plan

    return plan(lake_in(root), "day", shard_size=2)


def fitted_clips(root: Path) -> None:
    from winnow.fitting.fit import fit

    measured.write_batch(lake_in(root), DAY, range(30))
    fit(lake_in(root), [DAY])


def calibrate(root: Path) -> object:
    from winnow.fitting.calibrate import calibrate

    return calibrate(lake_in(root), [DAY], ["builtin"])


def trust(root: Path) -> object:
    from winnow.release.scorers import trust

    return trust(lake_in(root), str(lake_in(root).model_current("correspond")), "looked at")


def two_releases(root: Path) -> None:
    for generation in (0, 1):
        made = published.put(lake_in(root), generation, clips=20)
        if generation == 0:
            (root / "other").write_text(str(made["release"]))


def use(root: Path) -> object:
    from winnow.release.history import use

    return use(lake_in(root), (root / "other").read_text(), "looked at")


def a_release(root: Path) -> None:
    exported.build(root / "lake", range(8))


def a_release_to_judge(root: Path) -> None:
    explored.build(root / "lake")


def audit(root: Path) -> object:
    from winnow.audit import sampling

    params = sampling.AuditParams(by=("rule",), size=2)
    rows = sampling.draw(lake_in(root), None, params)
    sampling.write_csv(root / "audit.csv", rows)
    return sampling.add(lake_in(root), rows, params)


def take_down(root: Path) -> object:
    from winnow.release.takedown import takedown

    with patch("winnow.release.takedown.datetime", Mock(**{"now.return_value.isoformat.return_value": "2026-11-01"})):
        return takedown(lake_in(root), "id", [exported.clip_id(0)], "asked")


STEPS: dict[str, tuple[Callable[[Path], None], Step]] = {
    "ingest": (a_list, ingest),
    "decide": (decided, decide),
    "plan": (decisions, plan),
    "stage": (words, stage),
    "retry": (failed_rows, retry),
    "calibrate": (fitted_clips, calibrate),
    "trust": (fitted_clips, trust),
    "cluster": (measured_clips, cluster),
    "select": (clustered_clips, select),
    "gate": (a_batch, gate),
    "quarantine": (a_gated_batch, let_go),
    "publish": (a_work_folder, publish),
    "use": (two_releases, use),
    "audit": (a_release_to_judge, audit),
    "take down": (a_release, take_down),
    "mix": (mixtures_listed, cut_mixtures),
    "annotate": (nothing, annotate),
    "export": (removed_rows, export),
    "export clips": (exported_clips, export_clips),
}


@pytest.mark.fault(
    "kill -9",
    "ingest, decide, plan, stages, retry, gate, quarantine, calibrate, scorers, cluster, select, mix, publish, "
    "releases use, takedown, exports, audit, annotate: before each write",
    "done again, it leaves what it leaves undisturbed, byte for byte",
)
@pytest.mark.parametrize("name", STEPS)
def test_a_step_killed_at_a_boundary_and_done_again_leaves_what_it_leaves_undisturbed(
    name: str, tmp_path: Path
) -> None:
    before, step = STEPS[name]
    start = tmp_path / "start"
    start.mkdir()
    before(start)
    few = None if os.environ.get("WINNOW_KILLS") == "all" else random.Random(f"kills of {name}")
    count = killed.after_every_kill(step, start, tmp_path, FEW if few else None, few)
    assert count >= 3
