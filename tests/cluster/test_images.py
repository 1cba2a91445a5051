"""What each image holds and what it does not: looked at in the image itself, as its own user.

BUILDER is podman or docker, as for images/build.sh; images that are not built under WINNOW_IMAGES and WINNOW_TAG skip.
WINNOW_TEST_IMAGES names those that must be there, where not all are meant: then no other is looked for, and none skips.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable

import pytest
from packaging.version import Version

from tests import needs
from tests.cluster.helpers import ROOT
from winnow import __version__

WANTED = os.environ.get("WINNOW_TEST_IMAGES", "").split()
IMAGES = WANTED or sorted(path.parent.name for path in (ROOT / "images").glob("*/Dockerfile"))
OWN = {"winnow"}
LOOK = """
import importlib.metadata, json, os, subprocess, sys
def writable(top):
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in ("/proc", "/sys", "/dev", "/scratch")]
        yield from (path for name in ("", *files) if not os.path.islink(path := os.path.join(folder, name)) and os.access(path, os.W_OK))
print(json.dumps({
    "uid": os.getuid(),
    "held": sorted({one.metadata["Name"] + "==" + one.version for one in importlib.metadata.distributions()}),
    "writable": list(writable("/"))[:20],
    "work": os.access("/scratch", os.W_OK),
    "sbom": [one["name"] + "==" + one["version"] for one in json.load(open("/opt/winnow/sbom.json"))["components"]],
    "help": subprocess.run(["winnow", "run", "--help"], capture_output=True, text=True).stdout,
    "version": subprocess.run(["winnow", "--version"], capture_output=True, text=True).stdout,
}))
"""  # noqa: E501

PARSE = """python -c '
import json
from airflow import plugins_manager
from airflow.dag_processing.dagbag import DagBag
bag = DagBag("/opt/airflow/dags")
plugins = [one["name"] for one in plugins_manager.get_plugin_info(["name"])]
print(json.dumps([sorted(bag.dags), bag.import_errors, [one for one in plugins if one.startswith("winnow")]]))
'"""


def locked(image: str, cuda: bool = False) -> set[str]:
    """Name and version of what an image's lock admits."""
    locks = ["requirements.txt", *(["cuda.txt"] if cuda else [])]
    lines = [line for lock in locks for line in (ROOT / "images" / image / lock).read_text().splitlines()]
    return {found[1] for line in lines if (found := re.match(r"([\w.\[\],-]+==[^\s\\;]+)", line))}


def names(requirements: set[str]) -> set[str]:
    """Normalised names of requirements or distributions."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[\[=]", one)[0]).lower() for one in requirements}


def pinned(distributions: Iterable[str]) -> set[str]:
    """`name==version` of distributions, both normalised; a build's own mark (torch's +cpu) is no other version."""
    pairs = (one.split("==") for one in distributions)
    return {f"{name}=={Version(version).public}" for one, version in pairs for name in names({one})}


@pytest.fixture
def build() -> Callable[..., str]:
    """Output of one command of the builder's."""
    builder = os.environ.get("BUILDER") or needs.tool("podman", "docker")

    def run(*arguments: str) -> str:
        done = subprocess.run([builder, *arguments], capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(params=IMAGES)
def image(request: pytest.FixtureRequest, build: Callable[..., str]) -> tuple[str, str, dict]:
    """Each image that is built: its name, its reference, what the builder knows of it."""
    if "WINNOW_TAG" not in os.environ:
        pytest.skip("WINNOW_IMAGES and WINNOW_TAG name no images")
    reference = f"{os.environ.get('WINNOW_IMAGES', 'winnow')}/{request.param}:{os.environ['WINNOW_TAG']}"
    if not build("images", "-q", reference).strip():
        assert not WANTED, f"{reference} is not built"
        pytest.skip(f"{reference} is not built: make images IMAGES={request.param}")
    return request.param, reference, json.loads(build("image", "inspect", reference))[0]


def test_an_image_holds_its_own_libraries_and_gives_its_user_nothing(
    image: tuple[str, str, dict], build: Callable[..., str]
) -> None:
    name, reference, about = image
    found = json.loads(build("run", "--rm", "--network=none", "--entrypoint=python", reference, "-c", LOOK))
    held = {one for one in pinned(found["held"]) if one.partition("==")[0] not in OWN}
    admitted = locked("base") | locked(name, cuda="triton" in names(held))
    assert names(held) == names(admitted), "its lock and the base's, nothing else"
    assert pinned(found["sbom"]) == held, "its SBOM names what it holds"
    assert found["uid"] == 10001
    assert found["work"]
    assert found["writable"] == []
    assert found["help"].startswith("Usage: winnow run")
    assert __version__ in found["version"]
    labels = about["Config"]["Labels"]
    assert re.fullmatch(r"[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    assert labels["org.opencontainers.image.version"] == __version__


if "airflow" in IMAGES:

    @pytest.mark.parametrize("image", ["airflow"], indirect=True)
    def test_airflow_parses_the_dags_that_its_image_holds(
        image: tuple[str, str, dict], build: Callable[..., str]
    ) -> None:
        """As the chart starts it: a whole command after the entrypoint."""
        _, reference, _ = image
        said = build(
            "run", "--rm", "--network=none", reference, "bash", "-c", f"airflow db migrate >/dev/null 2>&1; {PARSE}"
        )
        dags, errors, plugins = json.loads(said.splitlines()[-1])
        assert dags == sorted(path.stem for path in (ROOT / "dags").glob("*.py"))
        assert errors == {}
        assert plugins == ["winnow_ui"]


def test_the_readme_states_an_images_size(image: tuple[str, str, dict]) -> None:
    name, _, about = image
    stated = re.search(rf"^\| `{name}` \|.*\| ([\d.]+) GB", (ROOT / "images" / "README.md").read_text(), re.MULTILINE)
    assert stated, f"images/README.md says no size of {name}"
    assert float(stated[1]) == pytest.approx(about["Size"] / 1e9, rel=0.1)
