"""A lake's `winnow.toml`: one place for parameters, and a plain answer to what it may not hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from winnow.core.config import stage_params
from winnow.core.errors import ConfigError
from winnow.core.lake import Lake

HELD = """
[stages.clip]
window = "shot"
crf = 30
[batches."2026-11-02".stages.clip]
window_s = 5
crf = 18
"""


def test_a_runs_own_go_before_the_batchs_and_these_before_the_lakes(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert stage_params(lake, "clip", "2026-11-01", {"crf": 20}) == {"crf": 20}
    lake.write("winnow.toml", HELD.encode())
    assert stage_params(lake, "clip", "2026-11-01", {}) == {"window": "shot", "crf": 30}
    assert stage_params(lake, "clip", "2026-11-02", {}) == {"window": "shot", "crf": 18, "window_s": 5}
    assert stage_params(lake, "clip", "2026-11-02", {"crf": 20})["crf"] == 20
    assert stage_params(lake, "probe", "2026-11-02", {}) == {}


@pytest.mark.parametrize(
    ("held", "told"),
    [
        ("[stages.clip", "is no TOML"),
        ("[stages.clap]\nwindow_s = 5", "there is no stage 'clap'"),
        ("[stages.clip]\nwindows_s = 5", "windows_s"),
        ("[stages]\nclip = 5", r"\[stages.clip\] is no table"),
        ("[stage.clip]\nwindow_s = 5", "holds stage: it may hold `stages` and `batches`"),
        ("[batches.day]\nwindow_s = 5", "holds window_s"),
    ],
)
def test_what_it_may_not_hold_is_said_with_its_name(tmp_path: Path, held: str, told: str) -> None:
    lake = Lake(tmp_path)
    lake.write("winnow.toml", held.encode())
    with pytest.raises(ConfigError, match=told) as raised:
        stage_params(lake, "probe", "day", {})
    assert "winnow.toml" in str(raised.value)
