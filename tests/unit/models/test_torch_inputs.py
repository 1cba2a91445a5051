"""What open_clip and panns are fed: pictures and windows of a clip, and what half precision holds."""

from __future__ import annotations

import numpy as np
import pytest

from tests import needs
from tests.unit.signals import mp4, textured
from tests.unit.torch_models import MEAN, STD, encoder
from winnow.core.sample import Reason, SampleFailed
from winnow.models import pictures
from winnow.models.windows import windows


@pytest.fixture(scope="module", autouse=True)
def _packages() -> None:
    needs.package("torch", "open_clip", "panns_inference", "safetensors")


@pytest.fixture(scope="module", autouse=True)
def _release_memory():
    yield
    encoder.cache_clear()


def test_pictures_are_those_shown_in_the_middle_of_equal_parts() -> None:
    """Every picture is as bright as its time."""
    seconds, fps = 4, 25
    shown = [np.full((96, 128), 30 + 2 * k, np.uint8) for k in range(seconds * fps)]
    data = mp4(shown, fps=fps, bframes=0)

    def times_s(**params: object) -> list[float]:
        found, at_s = pictures.pictures(data, pictures.PictureParams(**params), 32, 32)
        assert found.shape[1:] == (32, 32, 3)
        assert at_s.tolist() == pytest.approx([(k + 0.5) * seconds / len(found) for k in range(len(found))])
        return [round((float(p.mean()) - 30) / 2 / fps, 2) for p in found]

    assert times_s() == pytest.approx([0.48, 1.48, 2.48, 3.48], abs=0.021)
    assert times_s(frames=2, decode="all") == pytest.approx([1.0, 3.0], abs=0.021)
    assert times_s(frames_hz=4.0, max_frames=5) == pytest.approx([0.4, 1.2, 2.0, 2.8, 3.6], abs=0.021)
    assert len(times_s(frames=200)) == 200, "more than there are: some twice"


def test_one_picture_and_odd_shapes() -> None:
    params = pictures.PictureParams(frames=3)
    assert pictures.pictures(mp4([textured(0)]), params, 32, 32)[0].shape == (3, 32, 32, 3)
    for height, width in ((16, 512), (512, 16), (64, 64)):
        found, _ = pictures.pictures(mp4([textured(0, height, width)] * 5), params, 32, 48)
        assert found.shape == (3, 32, 48, 3)


def test_pictures_are_scaled_as_open_clip_scales_them() -> None:
    import av
    import torch
    from PIL import Image

    from winnow.models.open_clip_encoder import import_open_clip

    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (9, 16, 3), np.uint8)).resize((320, 180), Image.Resampling.BICUBIC)
    frame = av.VideoFrame.from_ndarray(np.asarray(picture), "rgb24")
    kind = import_open_clip().transform
    for resize in ("shortest", "squash"):
        theirs = kind.image_transform(32, False, mean=MEAN, std=STD, resize_mode=resize, interpolation="bicubic")(
            picture
        )
        ours = torch.from_numpy(pictures.Scaler(32, 32, resize)(frame))
        ours = encoder("open_clip").normalised(ours[None])[0]
        assert float((theirs - ours).abs().mean()) < 0.03
        assert np.corrcoef(theirs.ravel(), ours.ravel())[0, 1] > 0.998


def test_windows_fit_the_sound() -> None:
    second = 100
    for length_s, count in ((10.02, 1), (14.9, 1), (15.1, 2), (20.0, 2), (99.0, 8)):
        wave = np.arange(round(length_s * second), dtype=np.float32)
        found = windows(wave, 10 * second, 8)
        assert found.shape == (count, 10 * second)
        assert (np.diff(found, axis=1) == 1).all(), "each is a piece of the sound"
        middle = found.mean(axis=1)
        wanted = (np.arange(count) + 0.5) * len(wave) / count
        np.testing.assert_allclose(middle, wanted.clip(5 * second, len(wave) - 5 * second), atol=1)
    found = windows(np.arange(30, dtype=np.float32), 100, 8)
    assert (found[0] == np.arange(100) % 30).all()


def test_what_half_precision_cannot_hold_is_a_failed_row() -> None:
    from winnow.models.torch_batches import half

    assert half({"layer_0": np.array([65504.0])})["layer_0"].dtype == np.float16
    with pytest.raises(SampleFailed) as failure:
        half({"layer_0": np.array([1.0, 7e4])})
    assert failure.value.reason is Reason.internal_error
