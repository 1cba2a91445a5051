"""What the tree says of images: which libraries their locks may not hold, and how builds are tagged."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGES = sorted(path.parent.name for path in (ROOT / "images").glob("*/Dockerfile"))
BUILDER = """#!/bin/sh
case "$1" in
  build) echo "$@" >>"$ASKED" ;;
  image) echo 1000000 ;;
esac
"""


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
        "ASKED": str(asked),
    }
    done = subprocess.run(
        [checkout / "images" / "build.sh", "base"],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
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
