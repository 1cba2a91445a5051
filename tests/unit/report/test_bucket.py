"""A lake in a bucket is released and read as one in a folder: the same bytes, by the same commands."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import parsed, store
from tests.unit import synthetic
from winnow.core import settings as deployments
from winnow.core.lake import Lake, sha256_file
from winnow.core.settings import Settings
from winnow.release import history, publish, query, steps


@pytest.fixture(scope="module")
def there(endpoint: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lake, Settings]]:
    """The synthetic lake, without its releases, in a bucket, and released there."""
    local, _, _ = synthetic.published()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINNOW_SCRATCH", str(tmp_path_factory.mktemp("scratch")))
        deployments.load.cache_clear()
        for root in store.made(endpoint, patch):
            lake = Lake(root)
            for path in sorted(Path(local.root).rglob("*")):
                key = path.relative_to(local.root).as_posix()
                if path.is_file() and not key.startswith(("releases/", "cache/")):
                    lake.put_file(path, key)
            for path in (Path(os.environ[parsed.FOLDER]) / "cache" / "dbt").iterdir():
                lake.put_file(path, f"cache/dbt/{path.name}")  # what dbt parsed need not be parsed again
            settings = Settings(lake=root)
            steps.release(lake, settings)
            yield lake, settings


@pytest.fixture
def run(there: tuple[Lake, Settings], monkeypatch: pytest.MonkeyPatch, capsys) -> Callable[..., str]:
    """A command line on that lake, in this process; what it printed."""
    from winnow.cli.main import cli

    monkeypatch.setenv("WINNOW_LAKE", there[0].root)

    def command(*arguments: str) -> str:
        cli(list(arguments), standalone_mode=False)
        return capsys.readouterr().out

    return command


def test_every_published_byte_is_that_of_a_lake_in_a_folder(there: tuple[Lake, Settings]) -> None:
    local, _, release = synthetic.published()
    lake, _ = there
    assert publish.current(lake) == release
    files = [publish.manifest(one, release)["files"] for one in (local, lake)]
    assert files[0].keys() == files[1].keys()
    ours, theirs = ({n: e["sha256"] for n, e in f.items() if n.startswith(("tables/", "exports/"))} for f in files)
    assert ours == theirs
    assert len(ours) > 30
    folder = publish.folder(lake)
    assert {n: sha256_file(folder / n) for n in files[1]} == {n: e["sha256"] for n, e in files[1].items()}
    assert lake.list(f"releases/{release}") == ["manifest.json"], "files lie by content"


def test_nothing_new_to_release_builds_nothing(there: tuple[Lake, Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    lake, settings = there
    monkeypatch.setattr(steps, "build_release", None)
    assert steps.release(lake, settings)["already"] is True


def test_what_follows_a_release_reads_it_from_the_bucket(run: Callable[..., str], tmp_path: Path) -> None:
    local, _, release = synthetic.published()
    asked = "select count(*) as n from fct_clips"
    assert run("sql", asked, "--format", "csv") == query.run(local, asked, "csv")
    assert "<html" in Path(json.loads(run("report"))["report"]).read_text()
    assert run("releases", "list").startswith(f"* {release}")
    assert json.loads(run("releases", "show"))["kept"] == history.shown(local, None)["kept"]
    assert json.loads(run("verify", "--release", release, "--json"))["read"]["release files"] > 50
    assert json.loads(run("audit", "--size", "1"))["release"] == release
    run("export", "avset", "--out", str(tmp_path / "avset"))
    assert any((tmp_path / "avset").rglob("*"))
    done = json.loads(run("export", "clips", "--to", str(tmp_path / "clips"), "--media", "none"))
    kept = csv.DictReader(io.StringIO(run("sql", "select count(*) as n from splits", "--format", "csv")))
    assert done["clips"] == int(next(kept)["n"]) > 0


def test_the_explorer_shows_clips_of_a_bucket(there: tuple[Lake, Settings]) -> None:
    from fastapi.testclient import TestClient

    from winnow.explorer.app import application

    lake, settings = there
    with TestClient(application(lake, settings, hosts=None), base_url="http://127.0.0.1") as browser:
        assert browser.get("/").status_code == 200
        with query.open_snapshot(lake) as con:
            (clip,) = con.execute("select sample_id from ops.fct_clip_files where tar is not null limit 1").fetchone()
        answer = browser.get(f"/media/{clip}.mp4", headers={"range": "bytes=0-9"})
        assert (answer.status_code, len(answer.content)) == (206, 10)
