"""What a test needs: lacking it skips the test on a machine of one's own and fails it in CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import needs


@pytest.mark.parametrize(("ci", "ends"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_published_files_that_are_not_there_skip_a_test_and_fail_it_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str, ends: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(needs, "DATA", tmp_path)
    with pytest.raises(ends, match=r"shared/data/there\.csv does not lie beside the checkout"):
        needs.data("there.csv")
    monkeypatch.setenv("WINNOW_CI_WITHOUT", "models")
    with pytest.raises(ends):
        needs.data("there.csv")
    (tmp_path / "there.csv").touch()
    assert needs.data("there.csv") == tmp_path / "there.csv"


@pytest.mark.parametrize(
    ("ci", "without", "ends"),
    [
        ("", "", pytest.skip.Exception),
        ("true", "", pytest.fail.Exception),
        ("true", "kubectl", pytest.fail.Exception),
        ("true", "models", pytest.skip.Exception),
    ],
)
def test_packages_of_make_models_may_be_left_out_of_a_ci_run_that_says_so(
    monkeypatch: pytest.MonkeyPatch, ci: str, without: str, ends: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("WINNOW_CI_WITHOUT", without)
    with pytest.raises(ends, match="the package no_such_package is not installed: run `make models`"):
        needs.package("pytest", "no_such_package")
    needs.package("pytest")
