"""Pages of docs/ that are generated are fresh, and what they take from elsewhere is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from winnow.cli import reference

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def test_the_table_of_settings_is_fresh() -> None:
    page = reference.settings_page()
    assert "| `WINNOW_LAKE` | `lake` | root of the lake" in page
    assert (DOCS / "reference" / "settings.md").read_text() == page, "run: python -m winnow.cli.reference"


def test_what_a_page_takes_in_is_there() -> None:
    """`make docs` finds it too, but needs packages that a checkout's environment lacks."""
    taken = [
        found
        for page in DOCS.rglob("*.md")
        for found in re.findall(r"<!-- include: (\S+) (#+ .+?) -->", page.read_text())
    ]
    assert len(taken) > 8
    for name, heading in taken:
        assert f"\n{heading}\n" in f"\n{(ROOT / name).read_text()}", f"{name} has no heading {heading!r}"


def test_every_command_and_table_has_its_reference() -> None:
    commands, tables, stages = reference.cli_page(), reference.tables_page(ROOT / "dbt"), reference.stages_page()
    assert "### winnow releases diff\n" in commands
    assert "Usage: winnow curate [OPTIONS]" in commands
    assert "### fct_clips\n\nGrain: one row per clip" in tables
    assert "Key: `sample_id`." in tables
    assert "## probe\n" in stages


def test_every_page_is_in_the_navigation_and_the_extra_is_apart() -> None:
    site = (ROOT / "mkdocs.yml").read_text()
    listed = re.findall(r": (\S+\.md)$", site, re.MULTILINE)
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert pages <= set(listed)
    assert yaml.safe_load(site)["strict"] is True
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(one.startswith("mkdocs-material") for one in extras["docs"])
    make = (ROOT / "Makefile").read_text()
    assert "[fetch,media,corpus,warehouse,airflow]" in make, "`make setup` installs no site"
