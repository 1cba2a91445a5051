"""Gates: what they admit, what they stop, and what they say about it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter

import pytest

from tests.unit import synthetic
from tests.unit.gates.gated import DAY, commit, head
from winnow.core import compact
from winnow.core.admitted import batch_heads, shards_of, tables_of
from winnow.core.errors import ConfigError, ContractError, GateFailed
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.core.shard import Lineage
from winnow.core.stage import stage_needs
from winnow.gates import gate_batch, validate
from winnow.gates.suites import load_suites, suites_digest
from winnow.gates.tables import batch_tables
from winnow.release.inputs import head_files


@pytest.fixture(scope="module")
def admitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, dict[str, list[dict]], dict]:
    """A lake whose one batch all suites have admitted, its rows, and what the gate answered; nobody may change it."""
    lake = Lake(tmp_path_factory.mktemp("admitted") / "lake")
    rows = commit(lake)
    return lake, rows, gate_batch([DAY], Settings(lake=lake.root), lake)


def test_admits_a_batch_with_every_table_it_stands_on(admitted):
    lake, rows, done = admitted
    assert done["computed"] == 1
    assert done["batches"][0]["seq"] == 1
    assert done["batches"][0]["rules"] > 50
    written, tables = head(lake), batch_tables(lake, DAY)
    assert set(written["stages"]) == set(rows)
    for stage, at in written["stages"].items():
        (file,) = at["files"]
        assert file["rows"] == len(rows[stage])
        assert all(path.startswith(f"compact/batch={DAY}/") and lake.exists(path) for path, _ in compact.paths(at))
        listed = [manifest.sha256 for _, manifest in sorted(tables[stage].shards.items())]
        assert [shard["sha256"] for shard in shards_of(lake, DAY, at)] == listed
    assert "Everything holds" in lake.read(f"gates/{DAY}/index.html").decode()


def test_same_tables_and_suites_are_not_read_again(admitted, lake, settings, monkeypatch):
    shutil.copytree(admitted[0].root, lake.root)
    before = lake.read(f"batches/{DAY}.json")
    monkeypatch.setattr(validate, "validate", lambda *a: pytest.fail("Great Expectations ran again"))
    again = gate_batch([DAY], settings, lake)
    assert again["computed"] == 0
    assert again["batches"][0]["seq"] == 1
    assert lake.read(f"batches/{DAY}.json") == before


def test_a_batch_admitted_before_there_were_compact_tables_has_them_after_its_next_gate(
    admitted, lake, settings, monkeypatch
):
    """And one of which they are gone too; nothing is checked anew, and nobody need measure again."""
    shutil.copytree(admitted[0].root, lake.root)
    whole = head(lake)
    old = {key: value for key, value in whole.items() if key != "tables"} | {
        "stages": {stage: {"v": at["v"], "files": shards_of(lake, DAY, at)} for stage, at in whole["stages"].items()}
    }
    lake.write(f"batches/{DAY}.json", json.dumps(old).encode())
    assert tables_of(old) == tables_of(whole)
    monkeypatch.setattr(validate, "validate", lambda *a: pytest.fail("Great Expectations ran again"))
    for lost in (compact.folder(DAY), f"{compact.folder(DAY)}/no such file"):
        shutil.rmtree(lake.full(lost), ignore_errors=True)
        done = gate_batch([DAY], settings, lake)
        assert (done["computed"], done["batches"][0]["seq"]) == (0, 1)
        assert head(lake) == whole
        assert all(lake.exists(path) for at in whole["stages"].values() for path, _ in compact.paths(at))


def test_batches_are_numbered_in_order_of_admission_and_keep_their_number(lake, few):
    settings = few("ingest")
    for day, batch in enumerate(synthetic.BATCHES):
        commit(lake, batch, day)
    gate_batch([synthetic.BATCHES[2]], settings, lake)
    done = gate_batch(list(reversed(synthetic.BATCHES)), settings, lake)
    assert [(b["batch"], b["seq"], b["computed"]) for b in done["batches"]] == [
        (synthetic.BATCHES[0], 2, True),
        (synthetic.BATCHES[1], 3, True),
        (synthetic.BATCHES[2], 1, False),
    ]

    def other(rows):
        rows["ingest"][0]["description"] = "told otherwise"

    commit(lake, synthetic.BATCHES[2], 2, other)
    again = gate_batch([synthetic.BATCHES[2]], settings, lake)
    assert (again["computed"], again["batches"][0]["seq"]) == (1, 1)


@pytest.mark.parametrize("died", ["after it took it", "before it took it", "and never heard that it had"])
def test_a_number_taken_by_a_gate_that_died_is_found_again(lake, few, monkeypatch, died):
    """Whatever came between: a batch has one number, and none is asked for all the others'."""
    commit(lake)
    lake.create("batches/seq/00000001", b"other-batch")
    create, read, asked, suites = Lake.create, Lake.read, [], few("ingest")

    def dying(self, key, data):
        if key.startswith("batches/seq/"):
            if died != "before it took it":
                create(self, key, data)
            if died != "and never heard that it had":
                raise KeyboardInterrupt
            return False
        return create(self, key, data)

    def noting(self, key):
        asked.append(key)
        return read(self, key)

    monkeypatch.setattr(Lake, "create", dying)
    if died != "and never heard that it had":
        with pytest.raises(KeyboardInterrupt):
            gate_batch([DAY], suites, lake)
        monkeypatch.setattr(Lake, "create", create)
    monkeypatch.setattr(Lake, "read", noting)
    assert gate_batch([DAY], suites, lake)["batches"][0]["seq"] == 2
    assert "batches/seq/00000001" not in asked


def test_bad_values_everywhere_stop_the_batch_and_are_named(lake, settings):
    bad = []

    def plant(rows):
        for row in (r for r in rows["probe"] if r["outcome"] == "ok"):
            row["silence_ratio"] = 1.5
            bad.append(row["sample_id"])

    commit(lake, change=plant)
    with pytest.raises(GateFailed) as stopped:
        gate_batch([DAY], settings, lake)
    assert stopped.value.exit_code == 65
    message = str(stopped.value)
    for part in (DAY, "table probe", "silence_is_a_ratio", bad[0], "1.5", "admitted now: none"):
        assert part in message
    assert not lake.exists(f"batches/{DAY}.json")
    page = lake.read(f"gates/{DAY}/index.html").decode()
    assert "Stopped" in page
    assert bad[0] in page
    result = json.loads(lake.read(f"gates/{DAY}/result.json"))
    assert not result["passed"]
    assert [r["name"] for t in result["tables"] for r in t["rules"] if not r["passed"]] == ["silence_is_a_ratio"]


def test_one_bad_batch_keeps_the_others_of_the_call_out(lake, few):
    commit(lake, synthetic.BATCHES[0], 0)
    commit(lake, synthetic.BATCHES[1], 1, lambda rows: rows["clip"].pop())
    with pytest.raises(GateFailed, match=f"{synthetic.BATCHES[1]} stopped"):
        gate_batch(synthetic.BATCHES[:2], few("missing"), lake)
    assert [name for name in lake.list("batches") if name.endswith(".json")] == []


def test_a_stage_that_did_not_run_is_missed(lake, few):
    commit(lake, skip=("correspond",))
    with pytest.raises(GateFailed, match="every_shard_is_committed") as stopped:
        gate_batch([DAY], few("shards"), lake)
    assert "stage=correspond" in str(stopped.value)


def test_what_other_dags_measured_is_admitted_where_it_is_whole_and_not_waited_for(lake, few):
    """The DAG `score`: `two_tower` has scored the batch, `bridge` was never run, `joint` has not finished."""
    commit(lake, skip=("bridge", "joint"))
    lake.set_head("joint", DAY, {"v": synthetic.V})
    tables = batch_tables(lake, DAY)
    assert {"two_tower", "panns", "correspond"} <= set(tables)
    assert not {"bridge", "joint"} & set(tables)
    gate_batch([DAY], few("each_stage"), lake)
    read = {file.stage for file in head_files(lake, batch_heads(lake))}
    assert "two_tower" in read
    assert not {"bridge", "joint"} & read


def test_a_video_that_a_scorer_does_not_know_may_have_clips_in_two_folds(lake, few):
    """Every batch that is curated after a fit: what no model has seen, none can have seen before."""
    settings = few("correspond")

    def apart(rows):
        videos = Counter(row["video_id"] for row in rows["correspond"])
        next(row for row in rows["correspond"] if videos[row["video_id"]] > 1)["fold"] += 1

    commit(lake, DAY, 0, apart)
    assert gate_batch([DAY], settings, lake)["computed"] == 1


def test_a_lost_sample_is_missed(lake, few):
    lost = []
    commit(lake, change=lambda rows: lost.append(rows["visual"].pop(0)["sample_id"]))
    with pytest.raises(GateFailed, match="every_input_has_an_outcome") as stopped:
        gate_batch([DAY], few("missing"), lake)
    assert lost[0] in str(stopped.value)


def test_a_table_that_changed_after_its_commit_is_noticed(lake, few):
    commit(lake)
    manifest = Lineage(lake, DAY, stage_needs()).committed("probe", 0)
    lake.write(lake.table_key(manifest), lake.read(lake.table_key(manifest)) + b"!")
    with pytest.raises(GateFailed, match="tables_are_the_committed_bytes"):
        gate_batch([DAY], few("shards"), lake)


def test_nothing_to_gate_is_said(lake, settings):
    with pytest.raises(ContractError, match="winnow ingest --batch 2026-11-01"):
        gate_batch([DAY], settings, lake)


def test_at_most_twenty_rows_are_named_and_the_rest_counted(lake, few):
    def plant(rows):
        for row in rows["ingest"]:
            row["source"] = None

    rows = synthetic.rows(synthetic.candidates(0, 40))
    plant(rows)
    synthetic.commit(lake, DAY, rows)
    with pytest.raises(GateFailed) as stopped:
        gate_batch([DAY], few("ingest"), lake)
    bad = sum(row["outcome"] == "ok" for row in rows["ingest"])
    assert bad > 20
    assert str(stopped.value).count("      sample_id=") == 20
    assert f"… and {bad - 20} more" in str(stopped.value)


def test_what_rows_say_is_escaped_on_the_page(lake, few):
    def plant(rows):
        row = next(r for r in rows["fetch"] if r["outcome"] == "ok")
        row["media_ext"] = "<script>"

    commit(lake, change=plant)
    with pytest.raises(GateFailed, match="extension_is_lower_case"):
        gate_batch([DAY], few("fetch"), lake)
    page = lake.read(f"gates/{DAY}/index.html").decode()
    assert "&lt;script&gt;" in page
    assert "<script" not in page


def test_suites_that_say_nothing_or_nonsense_are_refused(tmp_path, lake, settings):
    with pytest.raises(ConfigError, match="no suites"):
        load_suites(tmp_path, "batch")
    folder = tmp_path / "gx" / "batch"
    folder.mkdir(parents=True)
    (folder / "a.yml").write_text("table: a\nrules: []\n")
    with pytest.raises(ConfigError, match=r"a\.yml is not a suite"):
        load_suites(tmp_path, "batch")
    (folder / "a.yml").write_text(
        "table: a\ngrain: one\nkey: [x]\nframe: SELECT 1 AS x\n"
        "rules: [{name: r, expectation: expect_pigs_to_fly, kwargs: {column: x}, why: because}]\n"
    )
    import pandas as pd

    with pytest.raises(ConfigError, match="expect_pigs_to_fly"):
        validate.validate(load_suites(tmp_path, "batch")[0], pd.DataFrame({"x": [1]}))


def test_a_changed_suite_is_another_digest(tmp_path, settings):
    folder = tmp_path / "gx" / "batch"
    folder.mkdir(parents=True)
    (folder / "a.yml").write_text("one")
    one = suites_digest(tmp_path, "batch")
    (folder / "a.yml").write_text("two")
    assert suites_digest(tmp_path, "batch") != one


def test_a_column_that_is_not_there_is_an_error_not_a_pass():
    import pandas as pd

    suite = next(s for s in load_suites(Settings().dbt_dir, "batch") if s.table == "fetch")
    found = validate.validate(suite, pd.DataFrame({"sample_id": ["a"]}))
    errors = [rule.error for rule in found.rules if not rule.passed]
    assert len(errors) == sum("media" in str(rule.kwargs) for rule in found.rules) >= 5
    assert all("media" in error for error in errors)


def test_great_expectations_is_imported_only_when_a_frame_is_checked():
    loaded = "print('great_expectations' in sys.modules, 'pandas' in sys.modules)"
    code = f"import sys, winnow.gates, winnow.release.steps; {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_telemetry_is_off_before_the_import_and_nothing_is_said():
    code = (
        "import os; os.environ.pop('GX_ANALYTICS_ENABLED', None)\n"
        "import pandas\n"
        "from winnow.gates.suites import Rule, Suite\n"
        "from winnow.gates.validate import validate\n"
        "rule = Rule('there', 'expect_column_values_to_not_be_null', {'column': 'a'}, 'why')\n"
        "assert validate(Suite('t', 'one', ('a',), '', (rule,)), pandas.DataFrame({'a': [1]})).rules[0].passed\n"
        "print(os.environ['GX_ANALYTICS_ENABLED'], os.environ['DO_NOT_TRACK'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["false", "1"]
    assert done.stderr == ""
