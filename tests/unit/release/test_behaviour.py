"""What a release follows from: what SQL, YAML, Python and libraries do, not how they are written down."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.release import behaviour
from winnow.release.build import release_key

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    wanted = shutil.ignore_patterns("target", "logs", "gx")
    return Path(shutil.copytree(ROOT / "dbt", tmp_path / "dbt", ignore=wanted))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("select 1 -- one\nfrom t", "select 1\n  from t"),
        ("select 1 /* a\nb */ from t", "select 1 from t"),
        ("{# a -- b #}select 1", "select 1"),
        ("{# it's #} select 'a'", "select 'a'"),
        ("select 1 -- it's one\n, 2", "select 1 , 2"),
    ],
)
def test_comments_and_layout_of_sql_do_not_count(one: str, other: str) -> None:
    assert behaviour.sql_behaviour(one) == behaviour.sql_behaviour(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("select 'a  b'", "select 'a b'"),
        ("select '-- no comment'", "select ''"),
        ("select 'it''s -- one'", "select 'it''s'"),
        ('select "a /* b */"', 'select "a"'),
        ("select 1 -- {{ ref('a') }}", "select 1"),
        ("select '{# no #}'", "select ''"),
        ("select a-b", "select a"),
    ],
)
def test_texts_and_jinja_of_sql_count(one: str, other: str) -> None:
    assert behaviour.sql_behaviour(one) != behaviour.sql_behaviour(other)


PROSE = {
    "models/marts/fct_clips.sql": "-- said otherwise\n",
    "models/marts/fct_clips.yml": "# said otherwise\n",
    "models/intermediate/int_splits.py": '"""Said otherwise."""\n# and more\n',
    "macros/measures.sql": "{# said otherwise #}\n",
}
WORK = {
    "models/marts/fct_clips.sql": ("select", "select 1 as one_more,"),
    "models/marts/fct_clips.yml": ("key: [sample_id]", "key: [sample_id, batch]"),
    "models/intermediate/int_splits.py": ("def model", "MORE = 1\n\n\ndef model"),
    "seeds/split_shares.csv": ("train", "training"),
}


def test_a_changed_comment_builds_nothing(tmp_path: Path, project: Path) -> None:
    lake, settings = Lake(tmp_path / "lake"), Settings(dbt_dir=project)
    before = release_key(lake, settings)
    for name, text in PROSE.items():
        (project / name).write_text(text + (project / name).read_text())
    assert release_key(lake, settings) == before


@pytest.mark.parametrize("name", WORK)
def test_a_changed_model_builds(project: Path, name: str) -> None:
    before = behaviour.project_behaviour(project)
    old, new = WORK[name]
    text = (project / name).read_text()
    assert old in text
    (project / name).write_text(text.replace(old, new, 1))
    assert behaviour.project_behaviour(project) != before


def test_the_version_of_dbt_and_of_duckdb_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = behaviour.code_behaviour()
    true = behaviour.version
    for library in ("dbt-core", "dbt-duckdb", "duckdb"):
        other = lambda name, library=library: "0" if name == library else true(name)  # noqa: E731
        monkeypatch.setattr(behaviour, "version", other)
        assert behaviour.code_behaviour() != before
    monkeypatch.setattr(behaviour, "version", true)
    assert behaviour.code_behaviour() == before


def test_the_code_behind_exports_and_models_counts() -> None:
    """Modules that a hand-made list once left out: they lie behind the exports, or what dbt's models call."""
    from winnow.core.fingerprint import closure

    behind = {name for module in behaviour.exported_by() for name in closure(module)}
    assert {"winnow.annotations.segments", "winnow.sources.youtube_clips", "winnow.release.snapshot"} <= behind
