"""Every step that writes, killed at its write boundaries and done again, leaves what it leaves undisturbed.

A boundary stands before each change of a file in the deployment's folder (`tests/unit/killed.py`). Here a few of them
are drawn by a seed; `WINNOW_KILLS=all` takes all. `tests/journey/test_kill.py` kills the stages of a real batch.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit import deployment, exported, killed, measured, mixed, published
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
    deployment.cut(lake_in(root), "words", "day", [[("a", "bee"), ("b", "deer")], [("c", "eel")]])


def stage(root: Path) -> object:
    """A fan-out with a tar, and so with the longest way from a sample to a manifest."""
    return deployment.runtime(lake_in(root), deployment.Letters).run()


def failed_rows(root: Path) -> None:
    deployment.Count.cured = set()
    deployment.cut(lake_in(root), "words", "day", [[("a", "bee"), ("b", "!internal_error")]])
    deployment.runtime(lake_in(root), deployment.Count).run()


def retry(root: Path) -> object:
    from winnow.core.sample import Reason

    deployment.Count.cured = {"b"}
    return deployment.runtime(lake_in(root), deployment.Count).try_again(frozenset({Reason.internal_error}))


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


STEPS: dict[str, tuple[Callable[[Path], None], Step]] = {
    "ingest": (a_list, ingest),
    "stage": (words, stage),
    "retry": (failed_rows, retry),
    "cluster": (measured_clips, cluster),
    "select": (clustered_clips, select),
    "gate": (a_batch, gate),
    "quarantine": (a_gated_batch, let_go),
    "publish": (a_work_folder, publish),
    "mix": (mixtures_listed, cut_mixtures),
    "annotate": (nothing, annotate),
    "export": (removed_rows, export),
    "export clips": (exported_clips, export_clips),
}


@pytest.mark.fault(
    "kill -9",
    "ingest, stages, retry, gate, quarantine, cluster, select, mix, publish, exports, annotate: before each write",
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
