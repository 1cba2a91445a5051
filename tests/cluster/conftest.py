"""Tests on the cluster that KUBECONFIG names; without one, or without images for it, they skip and say so."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import house

sys.path.insert(0, str(house.ROOT / "plugins"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Winnow installed in the cluster; the folder that its pods and this machine share."""
    missing = [
        name for name in ("KUBECONFIG", "WINNOW_IMAGES", "WINNOW_TAG", "WINNOW_DEMO_HOST") if name not in os.environ
    ]
    if missing or not house.have_kubectl():
        pytest.skip(f"no cluster to test on: {', '.join(missing) or 'kubectl'} is missing (tests/cluster/house.py)")
    folder = tmp_path_factory.mktemp("shared")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o777)  # pods run as a user without rights; this machine's own volume does not follow fsGroup
    house.install(folder)
    yield folder
    house.uninstall()


@pytest.fixture(scope="session")
def kubeconfig(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Airflow's own rights in the cluster."""
    return house.account_kubeconfig(tmp_path_factory.mktemp("account") / "kubeconfig")
