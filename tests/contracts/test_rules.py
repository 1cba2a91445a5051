"""The laws that can be read off the tree: one name everywhere, who imports whom, wiring stays wiring."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

from tests import faults
from winnow.core import corpus_table, sample, stage, table, thresholds

ROOT = Path(__file__).resolve().parents[2]
STAGES = stage.stage_names()
#: Tables that are cut rather than measured: they have a staging model and a task, and no Stage.
CUT = {"ingest", "decide", "plan", "flag", "mixtures"}
#: What dbt reads beside stage tables: the list of its inputs, what gates set aside, their manifests, the last release,
#: the corpus's tables.
OTHER = {
    "inputs",
    "quarantined",
    "scorer",
    "manifests",
    "published_clips",
    "published_splits",
    "published_thresholds",
    "duplicate_pair",
    *corpus_table.TABLES,
}


def test_there_are_stages() -> None:
    assert {"screen", "fetch", "clip", "probe", "visual", "audio", "correspond"} <= set(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_one_name_everywhere(name: str) -> None:
    cls = stage.stage_class(name)
    assert cls.name == name
    assert (ROOT / f"dbt/models/staging/stg_{name}.sql").is_file(), f"stage {name} has no staging model"
    tasks = set()
    for dag in (ROOT / "dags").glob("*.py"):
        tasks |= set(re.findall(r"\b(?:stage|command)\(\s*[\"'](\w+)[\"']", dag.read_text()))
        tasks |= {
            n.value
            for n in ast.walk(ast.parse(dag.read_text()))
            if isinstance(n, ast.Constant) and isinstance(n.value, str)
        }
    assert name in tasks, f"no DAG has a task {name}"


def test_every_staging_model_has_its_stage() -> None:
    models = {p.stem.removeprefix("stg_") for p in (ROOT / "dbt/models/staging").glob("stg_*.sql")}
    assert models <= set(STAGES) | CUT | OTHER


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_declares_what_the_house_needs(name: str) -> None:
    cls = stage.stage_class(name)
    assert cls.needs
    assert set(cls.needs) <= set(STAGES) | CUT, f"{name} needs what no stage makes"
    assert cls.image in {"base", "fetch", "media", "model", "corpus", "warehouse"}
    assert cls.version
    assert not set(cls.schema) & set(table.KEY_COLUMNS)
    assert len(table.arrow_schema(cls.schema)) == len(cls.schema) + len(table.KEY_COLUMNS)
    assert cls.Params.model_config.get("frozen")
    assert all(not f.is_required() for f in cls.Params.model_fields.values()), "every parameter has a default"
    assert (sys.modules[cls.__module__].__doc__ or "").strip(), f"stages/{name}.py says nothing about itself"


def test_stages_and_the_command_line_import_nothing_heavy() -> None:
    heavy = [
        "av",
        "numpy",
        "pandas",
        "pyarrow",
        "duckdb",
        "scipy",
        "sklearn",
        "yt_dlp",
        "great_expectations",
    ]
    code = (
        "import sys, winnow.cli.main, winnow.core.runtime, winnow.core.stage as s\n"
        "[s.stage_class(n) for n in s.stage_names()]\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert out.strip() == "[]"


def test_who_may_import_whom() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def _circles(imports: dict[str, set[str]]) -> list[tuple[str, ...]]:
    """Groups of modules that reach each other."""
    ahead = {name: set(found) for name, found in imports.items()}
    for through in imports:
        for name in imports:
            if through in ahead[name]:
                ahead[name] |= ahead[through]
    return sorted(
        {tuple(sorted(m for m in ahead[name] if name in ahead.get(m, ()))) for name in imports if name in ahead[name]}
    )


def test_no_module_imports_itself_in_a_circle() -> None:
    """Of the package, types and late imports included, and of the plugins."""
    assert _circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [("b", "c")]
    graph = grimp.build_graph("winnow", cache_dir=None)
    assert _circles({m: graph.find_modules_directly_imported_by(m) for m in graph.modules}) == []
    plugins = {path.stem: path for path in (ROOT / "plugins").glob("*.py")}
    imports = {
        name: {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
        for name, path in plugins.items()
    }
    assert _circles({name: found & set(plugins) for name, found in imports.items()}) == []


def test_nothing_lies_beside_the_rooms() -> None:
    files = {path.name for path in (ROOT / "images/winnow").iterdir() if path.is_file()}
    assert files == {"__init__.py", "api.py", "py.typed"}
    contract = next(
        c
        for c in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
        if c["type"] == "layers"
    )
    assert contract["exhaustive"] is True


BENCHES = [p for p in sorted((ROOT / "tests/bench").glob("*.py")) if '"__main__"' in p.read_text()]


@pytest.mark.parametrize("bench", BENCHES, ids=lambda p: p.stem)
def test_a_bench_runs_alone_and_says_how(bench: Path) -> None:
    text = bench.read_text()
    said = ast.get_docstring(ast.parse(text)) or ""
    for option in ("--quick", "--json"):
        assert f'"{option}"' in text, f"{bench.name} has no {option}"
        assert f"[{option}]" in said, f"{bench.name} does not say that it has {option}"
    assert f".venv/bin/python tests/bench/{bench.name}" in said
    assert "cpu.pin()" in text, "it measures with other instructions than the command line computes with"
    assert "required=True" not in text, "an option must be given: it does not run alone"


@pytest.mark.parametrize("bench", sorted((ROOT / "tests/bench").glob("*.py")), ids=lambda p: p.stem)
def test_what_a_bench_takes_from_winnow_is_there(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test` runs no bench: a name that moved would be missed only when somebody measures."""
    monkeypatch.syspath_prepend(ROOT / "plugins")
    for node in ast.walk(ast.parse(bench.read_text())):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(("winnow", "tests")):
            continue
        try:
            module = importlib.import_module(node.module)
        except ModuleNotFoundError as missing:
            if missing.name.partition(".")[0] in MODELS:
                continue
            raise
        for name in (alias.name for alias in node.names):
            inside = importlib.util.find_spec(f"{node.module}.{name}") if hasattr(module, "__path__") else None
            assert hasattr(module, name) or inside, f"{bench.name}: {node.module} has no {name}"


#: What `make models` brings, as it is imported.
MODELS = {"demucs", "faiss", "open_clip", "panns_inference", "torch", "torchmetrics", "torchvision", "webdataset"}
TESTS = [p for p in sorted((ROOT / "tests").rglob("*.py")) if p.parent.name not in ("bench", "cluster")]


def test_every_test_file_is_read_without_make_models() -> None:
    """A module that imports torch at its top is an error in a fresh clone, where its tests ought to skip."""
    found = {}
    for test in TESTS:
        imported = set()
        for node in ast.parse(test.read_text()).body:
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported |= {name.split(".")[0] for name in names}
        if imported & MODELS:
            found[test.relative_to(ROOT).as_posix()] = imported & MODELS
    assert len(TESTS) > 100
    assert found == {}, "import it in the test, after needs.package(…)"


@pytest.mark.parametrize("dag", sorted((ROOT / "dags").glob("*.py")), ids=lambda p: p.stem)
def test_a_dag_file_is_wiring(dag: Path) -> None:
    text = dag.read_text()
    assert len(text.splitlines()) < 100
    imported = {n.module or "" for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ImportFrom)}
    imported |= {a.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Import) for a in n.names}
    allowed = ("airflow", "winnow_", "__future__", "datetime", "pendulum")
    assert all(name.startswith(allowed) for name in imported), imported


def test_every_version_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = list(project["project"]["dependencies"])
    for extra in project["project"]["optional-dependencies"].values():
        wanted += [one for one in extra if not one.startswith("winnow[")]
    for group in project["dependency-groups"].values():
        wanted += group
    pinned = {
        re.sub(r"[-_.]+", "-", line.split("==")[0]).lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    names = {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", w)[0]).lower() for w in wanted}
    assert names <= pinned, f"run `make lock`: {sorted(names - pinned)}"


@pytest.mark.parametrize("image", sorted(path.parent.name for path in (ROOT / "images").glob("*/Dockerfile")))
def test_an_images_lock_holds_what_its_extra_names(image: str) -> None:
    """A requirement that only the checkout's environment has fails in a pod, long after its tests have passed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"].get(image, [])]
    lock = (ROOT / "images" / image / "requirements.txt").read_text()
    names = {re.sub(r"[-_.]+", "-", name).lower() for name in re.findall(r"^[A-Za-z][\w.-]*", lock, re.MULTILINE)}
    missing = {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", one)[0]).lower() for one in wanted} - names
    assert not missing, f"run `images/lock.sh {image}`: {sorted(missing)}"


def test_nothing_names_one_machine() -> None:
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    words = re.compile("/wo" "rk/|/ro" "ot/|py" r"pi\.org|registry\.np" "mjs|files\\.pythonho" "sted")
    found = []
    for name in filter(None, files):
        path = ROOT / name
        if path.is_file() and path.suffix in {
            ".py",
            ".md",
            ".toml",
            ".yml",
            ".yaml",
            ".sql",
            ".txt",
            ".html",
            ".sh",
            "",
        }:
            found += [f"{name}: {m[0]}" for m in words.finditer(path.read_text(errors="replace"))]
    assert files
    assert found == []


def test_reasons_are_a_closed_list_with_two_kinds() -> None:
    assert set(sample.Reason) > sample.TRANSIENT
    assert sample.Reason.internal_error.systemic
    assert not sample.Reason.gone.systemic


def test_the_fault_matrix_is_what_its_tests_say() -> None:
    assert (ROOT / "docs" / "faults.md").read_text() == faults.page(), "run: python -m tests.faults > docs/faults.md"


def test_what_computes_by_the_rule_of_correspondence_has_its_number() -> None:
    """Whoever changes the rule's number is told of what else goes by it: what a fit says of itself, and proposals."""
    from winnow.annotations.proposals import ProposalParams
    from winnow.models.correspondence_error import RULE_Z

    seed = (ROOT / "dbt" / "seeds" / "thresholds.csv").read_text(encoding="utf-8")
    (rule,) = (row for row in thresholds.rows_of(seed, ("release",)) if row["rule"] == "low_correspondence")
    assert RULE_Z == ProposalParams().least_z == float(rule["value"])
