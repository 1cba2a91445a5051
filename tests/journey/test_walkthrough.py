"""The README's walkthrough "Your own videos", run as it stands there over a folder of video files."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import winnow
from tests import parsed
from tests.world import World
from winnow.release import copies

ROOT = Path(__file__).resolve().parents[2]


def block() -> str:
    """The commands of the README's walkthrough."""
    found = re.search(r"<!-- walkthrough: .*? -->\n```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found, "README.md has no walkthrough"
    return found[1]


def training() -> str:
    """The README's training loop over what the walkthrough exported."""
    found = re.search(r"<!-- training: .*? -->\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found, "README.md has no training loop"
    return found[1]


def notebook() -> str:
    """The cells of the notebook, one after the other; no kernel is needed to run them."""
    cells = json.loads((ROOT / "examples" / "train_on_a_release.ipynb").read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def test_the_walkthrough_publishes_a_release_of_your_own_videos(tmp_path: Path, world: World) -> None:
    videos = tmp_path / "path/to/videos"
    videos.mkdir(parents=True)
    playable = [row for row in world.truth() if row["file"] and row["planted"] in (None, "mismatch", "same_uploader")]
    for row in playable[:11]:
        source = world.root / row["file"]
        (videos / source.name).write_bytes(source.read_bytes())
    parsed.share(tmp_path / "lake")
    commands = block()
    assert "winnow release" in commands
    programs = Path(sys.executable).parent
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WINNOW_")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands.replace("$PWD/.venv/bin", str(programs))],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "measured; correspond waits for a fitted scorer" in done.stdout
    assert "next: winnow fit --batches 2026-11-20" in done.stdout
    stands = subprocess.run(
        [programs / "winnow", "status", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env={**environment, "WINNOW_LAKE": "lake", "WINNOW_INBOX": "inbox"},
    )
    assert [one["state"] for one in json.loads(stands.stdout)["batches"]] == ["released"], stands.stderr
    report = Path(json.loads(done.stdout.splitlines()[-1])["report"])
    page = (tmp_path / report).read_text()
    assert "<video" in page
    assert "kept" in done.stdout
    released = json.loads((tmp_path / report).with_name("manifest.json").read_text())
    assert list(released["batches"]) == ["2026-11-20"]
    assert copies.verify(tmp_path / "clips")["ok"]
    done = winnow.curate(tmp_path / "inbox/2026-11-20", lake := winnow.open_lake(tmp_path / "lake"))
    assert [done[step]["computed"] for step in ("ingest", "decide", "plan", "clip", "correspond")] == [0] * 5
    assert len(winnow.clips(lake)) == winnow.read_table(lake, "fct_clips", "duckdb").filter("status = 'kept'").shape[0]
    index = json.loads((tmp_path / "clips" / "index.json").read_text())
    assert sum(split["with_file"] for split in index["splits"].values()) > 3, "files of one's own come along"
    if importlib.util.find_spec("torch") and importlib.util.find_spec("webdataset"):
        trained = subprocess.run(
            [sys.executable, "-c", training()], cwd=tmp_path, capture_output=True, text=True, timeout=200
        )
        assert re.fullmatch(r"epoch 0: loss \d+\.\d+\nepoch 1: loss \d+\.\d+\n", trained.stdout), trained.stderr
    # The notebook's tar reader, whichever loader is installed here: webdataset's is the README's, above.
    by_hand = notebook().replace("HAS_TORCH = all(", "HAS_TORCH = False and all(")
    ran = subprocess.run(
        [sys.executable, "-c", by_hand],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        env={**environment, "PATH": f"{programs}{os.pathsep}{environment['PATH']}"},
    )
    assert ran.returncode == 0, ran.stderr
    assert f"release {released['id']}\n" in ran.stdout
    losses = [float(loss) for loss in re.findall(r"^epoch \d: \d+ clips, loss (\d+\.\d+)$", ran.stdout, re.MULTILINE)]
    assert len(losses) == 3, ran.stdout
    assert losses[2] < losses[0], ran.stdout
