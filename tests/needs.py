"""What a test needs and a machine may lack: without it the test skips and says so; in CI, which has it, it fails."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest

#: The first kubectl whose kustomize knows folders as resources, and components: k8s/ has both.
KUBECTL = (1, 21)
#: Files that others published and tests compare with. They are not ours to pass on: they lie beside the checkout.
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def lacking(what: str, brought_by: str = "") -> NoReturn:
    """End the test: `what` says in words what is not there. CI may leave out what one target brings, and names it in
    WINNOW_CI_WITHOUT: a run before `make models` fails for everything but those packages."""
    if os.environ.get("CI") and not (brought_by and brought_by == os.environ.get("WINNOW_CI_WITHOUT")):
        pytest.fail(f"{what}, and CI must have it")
    pytest.skip(what)


def tool(*names: str) -> str:
    """Path of the first of some programs that is installed."""
    for name in names:
        if path := shutil.which(name):
            return path
    lacking(f"{' or '.join(names)} is not installed")


def package(*names: str) -> None:
    """Packages that `make models` installs."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            lacking(f"the package {name} is not installed: run `make models`", brought_by="models")


def weights(name: str) -> tuple[Path, Any]:
    """The folder WINNOW_WEIGHTS and an entry of its catalogue, whose checkpoint lies there; CI has none."""
    from winnow.core.settings import Settings
    from winnow.models.weights import find

    folder, (kind, _, one) = Settings().weights, name.partition(".")
    found = find(folder, kind, one)
    if not (folder / found.file).is_file():
        pytest.skip(f"the checkpoint {name} is not in WINNOW_WEIGHTS: see `winnow weights list`")
    return folder, found


def data(name: str) -> Path:
    """A published file or folder, as `data("avset/published_rows.csv")`."""
    path = DATA / name
    if not path.exists():
        lacking(f"shared/data/{name} does not lie beside the checkout")
    return path


def no_kubectl() -> str:
    """Why there is no kubectl that renders k8s/; '' where there is one."""
    path, wanted = shutil.which("kubectl"), ".".join(map(str, KUBECTL))
    if path is None:
        return f"kubectl {wanted} or newer is not installed"
    asked = [path, "version", "--client", "-o", "json"]
    said = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False).stdout
    version = re.search(r'"gitVersion": *"(v(\d+)\.(\d+)[^"]*)"', said)
    if version and (int(version[2]), int(version[3])) < KUBECTL:
        return f"kubectl {wanted} or newer is not installed ({path} is {version[1]})"
    return ""


def kubectl() -> None:
    """A kubectl that renders k8s/."""
    if why := no_kubectl():
        lacking(why)
