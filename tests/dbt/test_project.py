"""The dbt project itself: its layout, its unit tests, its documentation, and what breaks a build."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests import needs
from tests.dbt.conftest import DAYS, Built
from tests.dbt.lake import Candidate, rows_of, write_batch, write_table
from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.core.stage import stage_columns
from winnow.release.dbt_run import docs, run_dbt

PROJECT = Path(Settings().dbt_dir)
MODELS = sorted(p for p in (PROJECT / "models").rglob("*") if p.suffix in (".sql", ".py"))
PUBLISHED = [m for m in MODELS if m.parent.name in ("marts", "reports", "ops")]


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a project that is built and documented over empty tables."""
    out = tmp_path_factory.mktemp("docs")
    docs(Settings(), out)
    return out


def test_there_are_models() -> None:
    assert len(MODELS) > 30
    assert len(PUBLISHED) > 10


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.stem)
def test_a_model_says_its_grain_and_has_its_own_yaml(model: Path) -> None:
    assert re.match(r'(-- |"""Grain: )[Oo]ne row per', model.read_text()), f"{model.name} does not begin with its grain"
    (described,) = yaml.safe_load(model.with_suffix(".yml").read_text())["models"]
    assert described["name"] == model.stem
    assert described["description"].startswith("Grain: one row per")


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda m: m.stem)
def test_a_published_table_describes_its_columns_and_names_its_key(model: Path) -> None:
    (described,) = yaml.safe_load(model.with_suffix(".yml").read_text())["models"]
    assert set(described["config"]["meta"]["key"]) <= {c["name"] for c in described["columns"]}
    assert all(c["data_type"] and c["description"] for c in described["columns"])


def test_a_table_without_a_key_is_one_that_has_none() -> None:
    """What the materialization asks of a table (dbt/macros/materialization.sql) it asks where `meta.key` is named."""
    described = {m.stem: yaml.safe_load(m.with_suffix(".yml").read_text())["models"][0] for m in MODELS}
    assert {name for name, one in described.items() if not one.get("config", {}).get("meta", {}).get("key")} == {
        "int_audioscope_pool",
        "int_avel_split_rows",
        "int_avel_splits",
        "int_published_groups",
        "int_split_rows",
        "int_splits",
        "stg_rating",
        "stg_segment_label",
        "stg_verdict",
    }


def test_what_is_not_kept_of_a_batch_is_read_by_models_of_a_batch(documented: Path) -> None:
    """Any other would see the batches of one build only (dbt/macros/by_batch.sql)."""
    nodes = json.loads((documented / "target/manifest.json").read_text())["nodes"]
    by_batch = {name for name, node in nodes.items() if node["config"]["materialized"] == "by_batch"}
    kept = {name for name in by_batch if nodes[name]["config"]["meta"].get("kept")}
    across = {
        node["name"]: sorted(by_batch.difference(kept).intersection(node["depends_on"].get("nodes", [])))
        for name, node in nodes.items()
        if name not in by_batch and not {"decide_fetch", "decide_separate"} & set(node["tags"])
    }
    assert len(by_batch - kept) > len(kept) > 10
    assert {name: read for name, read in across.items() if read} == {}
    inside = {
        read for name in by_batch for read in nodes[name]["depends_on"]["nodes"] if not read.startswith("source.")
    }
    assert {read.rpartition(".")[2] for read in inside - by_batch} == {"stg_inputs", "audioset_classes", "thresholds"}


def test_published_sql_is_deterministic() -> None:
    """Sums of floating point and picks of "any" row depend on threads; the published tables may hold none."""
    loose = re.compile(
        r"\b(any_value|first|last|arbitrary|avg|stddev\w*|var_\w+|corr|approx_\w+|random|now|current_\w+)\s*\("
    )
    for model in MODELS:
        code = re.sub(r"--.*|\{#.*?#\}", "", model.read_text(), flags=re.DOTALL if model.suffix == ".py" else 0)
        assert not loose.search(code), f"{model.name}: {loose.search(code).group(0)}…"


def test_the_unit_tests_of_the_sql_pass(documented: Path) -> None:
    run_dbt(["test", "--select", "test_type:unit"], documented, Settings())
    results = json.loads((documented / "target/run_results.json").read_text())["results"]
    assert len(results) >= 7
    assert {r["status"] for r in results} == {"pass"}


def test_the_documentation_is_one_page_that_names_every_model(documented: Path) -> None:
    page = (documented / "index.html").read_text()
    assert all(model.stem in page for model in MODELS)
    assert str(documented) not in page
    assert str(PROJECT.resolve()) not in page
    manifest = json.loads((documented / "target/manifest.json").read_text())
    assert manifest["metadata"]["send_anonymous_usage_stats"] is False, "the page's tracker would start"


def test_the_documentation_opens_without_a_network(documented: Path, tmp_path: Path) -> None:
    browser = needs.tool("chromium", "chromium-browser", "google-chrome")
    log = tmp_path / "net.json"
    shown = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--log-net-log={log}",
            "--virtual-time-budget=8000",
            "--dump-dom",
            (documented / "index.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    ).stdout
    assert "rpt_statistics" in shown
    assert "stg_correspond" in shown
    own = re.compile(r"(\.|//)(google|googleapis|gvt1)\.com[/:]")
    asked = {url for url in re.findall(r'"url":"(https?://[^"]+)"', log.read_text()) if not own.search(url)}
    assert asked == set()


def test_broken_promises_stop_the_build_and_are_all_named(
    build: Callable[..., Built], lake: Lake, tmp_path: Path
) -> None:
    """A stage table without a column, one with a key twice, a published table of another type than its contract."""
    write_batch(lake, DAYS[0], 0, [Candidate("a"), Candidate("b")])
    columns = stage_columns()
    head = json.loads(lake.read(f"batches/{DAYS[0]}.json"))
    rows = rows_of(replace(Candidate("a"), row=0))
    twice = write_table(lake, "screen", DAYS[0], 7, rows["screen"], columns["screen"])
    narrow = write_table(
        lake, "correspond", DAYS[0], 0, rows["correspond"], {k: t for k, t in columns["correspond"].items() if k != "z"}
    )
    for manifest, keep in ((twice, True), (narrow, False)):
        files = head["stages"][manifest.stage]["files"] if keep else []
        entry = {
            "shard": manifest.shard,
            "path": lake.table_key(manifest),
            "sha256": manifest.sha256,
            "rows": manifest.rows,
        }
        head["stages"][manifest.stage]["files"] = [*files, entry]
    lake.write(f"batches/{DAYS[0]}.json", json.dumps(head).encode())
    project = tmp_path / "dbt"
    shutil.copytree(PROJECT, project)
    contract = project / "models/ops/dim_batches.yml"
    contract.write_text(contract.read_text().replace("name: seq, data_type: bigint", "name: seq, data_type: varchar"))

    with pytest.raises(ContractError) as failure:
        build(lake, dbt_dir=project)
    message = str(failure.value)
    assert re.search(r'model stg_correspond: .*"z"', message, re.DOTALL)
    assert re.search(r"model stg_screen: .*its key \(batch, candidate_id\) .*, 1 times", message, re.DOTALL)
    assert re.search(r"model dim_batches: .*contract.*seq", message, re.DOTALL)
