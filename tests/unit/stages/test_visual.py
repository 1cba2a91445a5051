"""visual: five layers that see different things, and an envelope that moves when the picture does."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.signals import moving_square, mp4, sine, textured
from winnow.core.sample import Reason, SampleFailed
from winnow.models.layers import GRID_HZ, VISUAL_LAYERS
from winnow.stages.visual import Visual, measure

COLUMNS = [layer.column for layer in VISUAL_LAYERS]


def distance(a: dict, b: dict, column: str) -> float:
    return float(np.linalg.norm(np.asarray(a[column], np.float64) - b[column]) / np.sqrt(len(a[column])))


@pytest.fixture(scope="module")
def across() -> dict:
    return measure(mp4(moving_square(4)))


def test_the_schema_is_kept(across: dict) -> None:
    assert set(across) == set(Visual.schema)
    for layer in VISUAL_LAYERS:
        assert across[layer.column].dtype == np.float32
        assert across[layer.column].shape == (layer.dim,)
        assert np.isfinite(across[layer.column]).all()
    assert across["motion"].dtype == np.float32
    assert len(across["motion"]) == 4 * GRID_HZ
    assert across["grid_hz"] == GRID_HZ


def test_bytes_do_not_change_from_run_to_run() -> None:
    data = mp4(moving_square(2))
    first, second = measure(data), measure(data)
    assert all(first[column].tobytes() == second[column].tobytes() for column in [*COLUMNS, "motion"])


def test_sound_does_not_matter(across: dict) -> None:
    with_sound = measure(mp4(moving_square(4), sine(4, 440, -12)))
    assert all(distance(across, with_sound, column) < 1e-6 for column in COLUMNS)


def test_layers_see_different_things(across: dict) -> None:
    """A change of colour, of texture, of direction and of rhythm each moves its own layer more than any other, in units
    of how far a layer moves over all four."""
    pictures = moving_square(4)
    tint = np.array([30.0, -15.3, 0.0])  # of luma 0
    red = [np.clip(p[..., None] + tint, 0, 255).astype(np.uint8) for p in pictures]
    jerky = [pictures[i // 20 * 20] for i in range(len(pictures))]
    changed = {
        "v0": measure(mp4(red)),
        "v1": measure(mp4(moving_square(4, stripes=3))),
        "v3": measure(mp4(moving_square(4, axis=0))),
        "v4": measure(mp4(jerky)),
    }
    moved = np.array([[distance(across, other, column) for column in COLUMNS] for other in changed.values()])
    share = moved / moved.sum(axis=0)
    for row, column in enumerate(changed):
        assert COLUMNS[share[row].argmax()] == column, share.round(2)
    assert share[1, COLUMNS.index("v2")] > 0.5


def test_position_matters_less_than_what_moves(across: dict) -> None:
    shifted = measure(mp4(moving_square(4)[7:] + moving_square(4)[:7]))
    striped = measure(mp4(moving_square(4, stripes=3)))
    assert distance(across, shifted, "v2") < 0.3 * distance(across, striped, "v2")


def test_motion_follows_the_picture() -> None:
    still, moving = [textured(0)] * 50, moving_square(2)
    motion = measure(mp4([*still, *moving, *still]))["motion"]
    cells = int(2 * GRID_HZ)
    assert motion[: cells - 1].max() < 0.05 * motion[cells + 1 : 2 * cells - 1].mean()
    assert motion[2 * cells + 2 :].max() < 0.05 * motion[cells + 1 : 2 * cells - 1].mean()


def test_motion_hardly_depends_on_the_frame_rate() -> None:
    slow, fast = (measure(mp4(moving_square(4, fps=fps), fps=fps))["motion"] for fps in (15, 30))
    assert np.corrcoef(slow, fast)[0, 1] > 0.5
    assert slow.mean() == pytest.approx(fast.mean(), rel=0.25)


def test_a_frozen_clip_and_one_picture_are_finite() -> None:
    for pictures in ([textured(0)] * 40, [textured(0)], [np.zeros((96, 128), np.uint8)] * 30):
        row = measure(mp4(pictures))
        assert all(np.isfinite(row[column]).all() for column in [*COLUMNS, "motion"])
        assert row["motion"].max() == pytest.approx(0, abs=1e-3)


def test_reasons() -> None:
    with pytest.raises(SampleFailed) as failure:
        measure(mp4(None, sine(1, 440, -12)))
    assert failure.value.reason is Reason.no_video_stream
    with pytest.raises(SampleFailed) as failure:
        measure(b"no file")
    assert failure.value.reason is Reason.undecodable
