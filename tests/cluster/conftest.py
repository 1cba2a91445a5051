"""Tests on the cluster that KUBECONFIG names; without one they skip and say so, in CI they fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import needs
from tests.cluster import helpers

sys.path.insert(0, str(helpers.ROOT / "plugins"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Winnow installed in the cluster; the folder that its pods and this machine share."""
    if missing := helpers.missing():
        needs.lacking(f"no cluster to test on: {missing}")
    scratch = tmp_path_factory.getbasetemp()
    folder = helpers.shared_folder(scratch)
    for parent in (scratch, scratch.parent):
        parent.chmod(0o777)  # pods run as another user
    try:
        helpers.install(folder)
        helpers.ready()
        yield folder
    finally:
        helpers.uninstall()


@pytest.fixture(scope="session")
def kubeconfig(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Airflow's own rights in the cluster."""
    return helpers.account_kubeconfig(tmp_path_factory.mktemp("account") / "kubeconfig")
