"""What is committed is read again: every fault is named, with what mends it; readers refuse what changed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from tests.unit import published
from tests.unit.release.committed import DAY, V, commit
from winnow.cli.main import cli
from winnow.core import compact, corpus_table, table
from winnow.core.errors import ConfigError, ContractError
from winnow.core.frozen_model import FrozenModel
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.manifest import Manifest
from winnow.core.planned_table import PLAN
from winnow.core.settings import Settings
from winnow.core.shard_tar import ShardTar
from winnow.core.stage import Batch, Sample, stage_class
from winnow.release import build, publish, query
from winnow.release.verify import lines, verify

MODEL = "a" * 12
#: The one table of a stage that the head names it for.
COMPACT = "compact/batch=*/correspond-????????????????.parquet"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One of everything that a lake holds."""
    lake = Lake(tmp_path_factory.mktemp("whole") / "lake")
    (video := Path(lake.root).parent / "video.mp4").write_bytes(b"a whole video")
    source = lake.put_media(video, "mp4")
    clips = {"a": b"clip a", "b": b"clip b"}
    FrozenModel("correspond").freeze(lake, MODEL, {"x": 1}, b"model", {"batches": [DAY]})
    made = [
        commit(lake, "ingest", [{"sample_id": "c"}]),
        commit(lake, "fetch", [{"sample_id": "c", "media_sha256": source, "media_ext": "mp4"}]),
        commit(lake, "clip", [{"sample_id": k, "media_sha256": sha256_bytes(v)} for k, v in clips.items()], **clips),
        commit(lake, "correspond", [{"sample_id": "a", "z": 1.0}], MODEL),
    ]
    stages = {
        m.stage: {"v": V, "files": [{"shard": m.shard, "path": lake.table_key(m), "sha256": m.sha256, "rows": m.rows}]}
        for m in made
    }
    (scored,) = (m for m in made if m.stage == "correspond")
    stages |= compact.compacted(lake, DAY, {"correspond": (V, [scored])}, None)  # of the others it names the shards
    lake.write(f"batches/{DAY}.json", json.dumps({"batch": DAY, "seq": 1, "stages": stages}).encode())
    lake.create("batches/seq/00000001", DAY.encode())
    row = {"mid": "/m/1", "name": "Speech", "position": 0}
    corpus_table.replace(lake, "ontology", [row], provenance={"command": "winnow annotate import-ontology"})
    published.put(lake, 1)
    published.put(lake, 2)
    return lake


@pytest.fixture
def lake(whole: Lake, tmp_path: Path) -> Lake:
    shutil.copytree(whole.root, tmp_path / "lake")
    return Lake(tmp_path / "lake")


def only(lake: Lake, pattern: str) -> Path:
    (found,) = Path(lake.root).glob(pattern)
    return found


def cut(path: Path) -> None:
    os.chmod(path, 0o644)
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    os.chmod(path, 0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def flip_member(path: Path) -> None:
    with tarfile.open(path) as tar:
        at = tar.getmember("b.mp4").offset_data
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"CLIP b")


REMOVED = r" \S*rm \S.* && "
FAULTS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "table changed": (
        "correspond/v=*/batch=*/*.parquet",
        flip,
        rf"changed: correspond/v=.*parquet:{REMOVED}winnow run correspond --batch {DAY}",
    ),
    "table cut": (
        "clip/v=*/batch=*/*.parquet",
        cut,
        rf"cut short: clip/v=.*parquet:{REMOVED}winnow run clip --batch {DAY}",
    ),
    "table gone": (
        "fetch/v=*/batch=*/*.parquet",
        Path.unlink,
        rf"missing: fetch/v=.*parquet: rm \S+json && winnow run fetch --batch {DAY}",
    ),
    "manifest cut": (
        "fetch/v=*/batch=*/*.json",
        cut,
        rf"cut short: fetch/v=.*json: rm \S+json && winnow run fetch --batch {DAY}",
    ),
    "manifest gone": (
        "ingest/v=*/batch=*/*.json",
        Path.unlink,
        rf"missing: ingest/v=.*json: rm \S+ingest/batch={DAY}.json && winnow ingest --batch {DAY}",
    ),
    "tar cut": ("clip/v=*/batch=*/*.tar", cut, rf"cut short: clip/v=.*tar: rm .*winnow run clip --batch {DAY}"),
    "tar gone": ("clip/v=*/batch=*/*.tar", Path.unlink, r"missing: clip/v=.*tar: rm "),
    "member changed": ("clip/v=*/batch=*/*.tar", flip_member, r"changed: clip/v=.*tar b\.mp4: rm "),
    "media changed": ("media/*/*.mp4", flip, rf"changed: media/.*mp4: rm \S+mp4 .*winnow run fetch --batch {DAY}"),
    "media gone": ("media/*/*.mp4", Path.unlink, rf"missing: media/.*mp4: rm .*winnow run fetch --batch {DAY}"),
    "model changed": (
        "models/correspond/*.npz",
        flip,
        rf"changed: models/correspond/.*npz: rm .* && winnow fit --batches {DAY}",
    ),
    "model gone": (
        "models/correspond/*.npz",
        Path.unlink,
        rf"missing: models/correspond/.*: rm .* && winnow fit --batches {DAY}",
    ),
    "card cut": ("models/correspond/*.json", cut, r"cut short: models/correspond/.*json: rm .* && winnow fit"),
    "model in use": (
        "models/correspond/current",
        lambda path: path.write_bytes(b"f" * 12),
        r"damaged: models/correspond/current: rm ",
    ),
    "compact table changed": (
        COMPACT,
        flip,
        rf"changed: compact/.*: rm \S+parquet && winnow gate --batch {DAY}",
    ),
    "compact list gone": (
        "compact/batch=*/correspond-*.shards.parquet",
        Path.unlink,
        rf"missing: compact/.*shards.parquet: winnow gate --batch {DAY}",
    ),
    "stand cut": (
        f"clip/batch={DAY}.json",
        cut,
        rf"cut short: clip/batch=.*json: rm \S+ && winnow run clip --batch {DAY}",
    ),
    "head cut": (f"batches/{DAY}.json", cut, rf"cut short: batches/.*json: rm \S+ && winnow gate --batch {DAY}"),
    "corpus changed": (
        "corpus/ontology/*.parquet",
        flip,
        r"changed: corpus/ontology/.*parquet: rm .* && winnow annotate import-ontology",
    ),
    "corpus card cut": ("corpus/ontology/*.json", cut, r"cut short: corpus/ontology/.*json: rm "),
    "current": (
        "releases/current",
        lambda path: path.write_bytes(b"no"),
        r"damaged: releases/current: echo [0-9a-f]{12} > ",
    ),
    "current gone": ("releases/current", Path.unlink, r"missing: releases/current: echo [0-9a-f]{12} > "),
    "number gone": ("batches/seq/*", Path.unlink, rf"missing: batches/seq/00000001: echo {DAY} > "),
    "number changed": ("batches/seq/*", flip, rf"changed: batches/seq/00000001: echo {DAY} > "),
}


def test_a_whole_lake_has_no_faults(lake: Lake) -> None:
    found = verify(lake, everything=True)
    assert found["faults"] == []
    assert found["read"] == {
        "compact tables": 2,
        "corpus": 1,
        "heads": 5,
        "manifests": 4,
        "media": 1,
        "members": 2,
        "models": 1,
        "release files": 14,
        "releases": 2,
        "tables": 4,
        "tars": 1,
    }


@pytest.mark.fault(
    "changed, cut or missing files",
    "the whole lake (`winnow verify`)",
    "a line each, with the command that mends it",
)
@pytest.mark.parametrize("which", FAULTS)
def test_every_fault_is_one_line_with_what_mends_it(lake: Lake, which: str) -> None:
    pattern, damage, line = FAULTS[which]
    damage(only(lake, pattern))
    told = lines(verify(lake, everything=True))
    assert [one for one in told if re.match(line, one)], told
    assert len(told) == len(set(told))


@pytest.mark.fault(
    "changed, cut or missing files",
    "a shard whose failed rows were tried again",
    "all its attempts are made again: an earlier one, with fewer rows, never counts once more",
)
@pytest.mark.parametrize("damaged", ["-r1.json", "-r1.*.parquet", "media"])
def test_mending_a_retry_never_brings_the_attempt_before_it_back(lake: Lake, damaged: str) -> None:
    folder = Lake.folder("fetch", V, DAY)
    done = Manifest.loads(only(lake, f"{folder}/*.json").read_bytes())
    data = lake.read_table(done)
    failed = table.to_bytes(pa.Table.from_pylist([{"sample_id": "c", "outcome": "failed"}]))
    lake.write(lake.table_key(done), failed)
    before = replace(done, sha256=sha256_bytes(failed), bytes=len(failed))
    lake.write(f"{folder}/{done.shard}.json", before.dumps())
    again = f"{done.shard}-r1"
    lake.commit(replace(done, shard=again, file=f"{again}.12345678.parquet", retry_of=done.shard), data)
    lake.remove(f"batches/{DAY}.json")
    assert verify(lake, everything=True)["ok"]
    only(lake, "media/*/*" if damaged == "media" else f"{folder}/*{damaged}").write_bytes(b"?")
    mends = [fault["mend"] for fault in verify(lake, everything=True)["faults"]]
    mend = next(mend for mend in mends if mend.endswith(f" && winnow run fetch --batch {DAY}"))
    subprocess.run(["bash", "-c", mend.partition(" && ")[0]], check=True)
    assert lake.list(folder) == []


def test_a_plan_is_made_again_in_shards_of_its_size(lake: Lake) -> None:
    rows = [{"sample_id": name, "outcome": "ok", "reason": None, "detail": None} for name in "ab"]
    rows = [dict.fromkeys(PLAN.columns) | row for row in rows]
    made = [
        PLAN.commit_rows(lake, DAY, number, [row], inputs={}, code="c", params={"shard_size": 1})
        for number, row in enumerate(rows)
    ]
    lake.set_head("plan", DAY, {"v": made[0].fingerprint, "shards": [m.shard for m in made]})
    cut(Path(lake.full(lake.table_key(made[0]))))
    (fault,) = verify(lake, everything=True)["faults"]
    assert fault["mend"].endswith(f"&& winnow plan --batch {DAY} --shard-size 1")


@pytest.mark.parametrize("which", [name for name in FAULTS if re.match("current|number", name)])
def test_the_command_that_mends_a_small_file_leaves_it_as_it_was(lake: Lake, which: str) -> None:
    pattern, damage, _ = FAULTS[which]
    path = only(lake, pattern)
    before = path.read_text().strip()
    damage(path)
    (fault,) = verify(lake, everything=True)["faults"]
    subprocess.run(["bash", "-c", fault["mend"]], check=True)
    assert path.read_text().strip() == before
    assert verify(lake, everything=True)["ok"]


@pytest.mark.fault(
    "changed, cut or missing files",
    "a published release",
    "`verify` names it; sql, export and explore refuse a file of another size",
)
@pytest.mark.parametrize(
    ("name", "damage", "what"),
    [
        ("tables/splits.parquet", flip, "changed"),
        ("report.html", cut, "cut short"),
        ("gates/release.json", Path.unlink, "missing"),
    ],
)
def test_a_damaged_release_is_named_by_verify_and_by_its_readers(
    lake: Lake, name: str, damage: Callable, what: str
) -> None:
    current = publish.current(lake)
    before = publish.manifest(lake, current)["before"]
    damage(Path(lake.full(f"releases/{current}/{name}")))
    for found in (verify(lake, release=current), verify(lake, everything=True)):
        (fault,) = found["faults"]
        assert (fault["what"], fault["where"]) == (what, f"releases/{current}/{name}")
        assert f"echo {before} > " in fault["mend"]
        assert fault["mend"].endswith("&& winnow release")
    if what != "changed":  # readers look at sizes
        with pytest.raises(ContractError, match=rf"release {current} is damaged: .*{name}.*winnow verify --release"):
            query.run(lake, "select 1")
    assert verify(lake, release=before)["ok"]
    query.run(lake, "select 1", release=before)


def test_the_command_prints_a_line_a_fault_and_ends_with_1(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_LAKE", lake.root)
    assert CliRunner().invoke(cli, ["verify", "--batch", DAY]).exit_code == 0
    flip(only(lake, "correspond/v=*/batch=*/*.parquet"))
    told = CliRunner().invoke(cli, ["verify", "--batch", DAY])
    assert (told.exit_code, len(told.stdout.splitlines())) == (1, 1)
    told = CliRunner().invoke(cli, ["verify", "--batch", DAY, "--json"])
    assert (told.exit_code, len(json.loads(told.stdout)["faults"])) == (1, 1)
    for wrong in ([], ["--batch", "none"], ["--batch", DAY, "--all"]):
        with pytest.raises(ConfigError):
            cli.main(["verify", *wrong], standalone_mode=False)


# -- who reads compares ------------------------------------------------------------------------------------------------
@pytest.mark.fault("changed bytes", "tables of an admitted batch", "no release is built on them")
def test_a_release_is_not_built_on_tables_that_changed_after_they_were_admitted(lake: Lake, tmp_path: Path) -> None:
    one_table, a_shard = only(lake, COMPACT), only(lake, "fetch/v=*/batch=*/*.parquet")
    for path in (one_table, a_shard):
        path.write_bytes(table.to_bytes(pa.Table.from_pylist([{"sample_id": "a", "outcome": "ok", "z": 99.0}])))
    only(lake, "compact/batch=*/correspond-*.shards.parquet").unlink()
    only(lake, "corpus/ontology/*.parquet").unlink()
    flip(Path(lake.full(f"releases/{publish.current(lake)}/tables/splits.parquet")))
    with pytest.raises(ContractError, match=r"5 of the files that a release reads are not what they were") as told:
        build.build_release(tmp_path / "work", lake, Settings(lake=lake.root))
    for path in (one_table, a_shard):
        assert f"{path} (batch {DAY}) changed after it was committed" in str(told.value)
    assert "shards.parquet is missing" in str(told.value)
    assert "ontology" in str(told.value)
    assert "splits.parquet changed" in str(told.value)


@pytest.mark.fault(
    "changed bytes",
    "models, corpus tables, members of tars, videos",
    "compared with their digests when they are read",
)
def test_models_corpus_tables_members_and_videos_are_compared_when_they_are_read(lake: Lake) -> None:
    flip(only(lake, "models/correspond/*.npz"))
    cls = stage_class("correspond")
    with pytest.raises(ContractError, match=r"npz changed after it was frozen.*fit it again"):
        cls(cls.Params(), lake, Settings()).fitted_model()
    flip(only(lake, "corpus/ontology/*.parquet"))
    with pytest.raises(ContractError, match=r"changed after it was written.*winnow verify --all"):
        corpus_table.read(lake, "ontology")
    video = only(lake, "media/*/*.mp4")
    flip(video)
    with pytest.raises(ContractError, match="changed after it was stored"), lake.open_media(video.stem, "mp4"):
        pass
    flip_member(tar := only(lake, "clip/v=*/batch=*/*.tar"))
    members = ShardTar(tar)
    sample = Sample("b", {}, members=members, digests={"mp4": sha256_bytes(b"clip b")})
    with pytest.raises(ContractError, match=r"b\.mp4 changed after it was committed"):
        list(Batch([sample], tar.parent).map(lambda s: {"x": s.media()}))
    members.close()
