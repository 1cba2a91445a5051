"""Pictures of clips: what they show, that a process may be lost with one, and that what is kept is bounded."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.unit import explored, synthetic
from winnow.explorer import draw, pictures
from winnow.explorer.pictures import SPECTRUM, THUMBNAIL, WAVE, Pictures
from winnow.media.ffmpeg import av

TONE_HZ = 2000.0


@pytest.fixture(scope="module")
def clip() -> bytes:
    return synthetic.mp4(1)


@pytest.fixture
def drawing(clip: bytes):
    made = Pictures(lambda key: {"good": clip, "bad": b"no media" * 99}.get(key[1]))
    yield made
    made.close()


def seen(data: bytes, kind: str) -> np.ndarray:
    with av.open(io.BytesIO(data), format=kind) as file:
        return next(file.decode(video=0)).to_ndarray(format="rgba")


def test_a_thumbnail_is_the_middle_of_the_clip(clip):
    picture = seen(draw.thumbnail(clip, 1.0), "jpeg_pipe")
    assert picture.shape == (180, 320, 4)
    with av.open(io.BytesIO(clip)) as file:
        middle = next(f for f in file.decode(video=0) if f.time >= 1.0).to_ndarray(format="rgba")
    assert np.abs(picture.astype(int) - middle).mean() < 3
    first = seen(draw.thumbnail(clip, 0.0), "jpeg_pipe")
    assert np.abs(first.astype(int) - middle).mean() > 3
    assert draw.thumbnail(clip, 99.0)[:2] == b"\xff\xd8", "past its end it is the last picture"


def test_a_wave_shows_when_it_is_loud_and_a_spectrogram_how_high():
    at_s = np.arange(2 * draw.RATE_HZ) / draw.RATE_HZ
    wave = (np.sin(2 * np.pi * TONE_HZ * at_s) * (at_s >= 1.0)).astype(np.float32)
    drawn = seen(draw.wave_picture(wave), "png_pipe")[:, :, 3] > 0
    half = draw.WIDE_PX // 2
    assert drawn[:, : half - 2].sum(axis=0).max() <= 2
    assert drawn[:, half + 2 :].sum(axis=0).min() > 0.9 * draw.WAVE_PX
    bright = seen(draw.spectrum_picture(wave), "png_pipe")[:, :, :3].astype(int).sum(axis=2)
    row = np.argmax(bright[:, half + 50])
    heard_hz = (1 - row / draw.SPECTRUM_PX) * draw.RATE_HZ / 2
    assert heard_hz == pytest.approx(TONE_HZ, abs=100)
    assert bright[row, 100] < bright[row, half + 50] / 3


def test_what_was_drawn_is_kept_and_what_cannot_be_drawn_is_nothing(drawing, clip):
    first = drawing.get(THUMBNAIL, "tar", "good", 1.0)
    assert first == draw.thumbnail(clip, 1.0)
    for kind in (WAVE, SPECTRUM):
        assert drawing.get(kind, "tar", "good", 1.0)[1:4] == b"PNG"
    assert drawing.get(THUMBNAIL, "tar", "bad") is None
    assert drawing.get(THUMBNAIL, "tar", "gone") is None
    drawing.read = lambda key: pytest.fail(f"{key} is read again")
    assert drawing.get(THUMBNAIL, "tar", "good", 1.0) == first
    assert drawing.get(THUMBNAIL, "tar", "bad") is None


def test_a_process_that_is_lost_costs_one_picture(drawing):
    drawing.get(THUMBNAIL, "tar", "good")
    os.kill(drawing._process.pid, signal.SIGKILL)
    drawing._process.wait()
    assert drawing.get(WAVE, "tar", "good") is not None
    os.kill(drawing._process.pid, signal.SIGSTOP)
    before, pictures.LONGEST_S = pictures.LONGEST_S, 0.2
    try:
        assert drawing.get(SPECTRUM, "tar", "good") is None
    finally:
        pictures.LONGEST_S = before
    assert drawing._process is None
    assert drawing.get(THUMBNAIL, "other tar", "good") is not None


def test_what_is_kept_is_bounded_and_the_oldest_goes_first(drawing, monkeypatch):
    monkeypatch.setattr(drawing, "_draw", lambda kind, data, middle_s: b"x" * 100)
    monkeypatch.setattr(pictures, "KEPT_BYTES", 250)
    for tar in ("a", "b", "a", "c"):
        drawing.get(THUMBNAIL, tar, "good")
    folder = Path(drawing._folder.name)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 250
    drawn = []
    monkeypatch.setattr(drawing, "_draw", lambda kind, data, middle_s: drawn.append(kind) or b"y")
    for tar in ("a", "c", "b"):
        drawing.get(THUMBNAIL, tar, "good")
    assert drawn == [THUMBNAIL], "b was not asked for the longest"


def test_without_pyav_a_page_shows_the_videos_themselves(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures.importlib.util, "find_spec", lambda name: None)
    ann = explored.browser(explored.build(tmp_path)[0])
    page = ann.get("/clips").text
    assert f'<video src="/media/{explored.HEARD[0]}.mp4#t=' in page
    assert "/picture/" not in page + ann.get(f"/clips/{explored.HEARD[0]}").text
    assert ann.get(f"/picture/{explored.HEARD[0]}/wave.png").content == pictures.NOTHING


def test_addresses_of_pictures_lead_to_clips_and_to_nothing_else(tmp_path):
    ann = explored.browser(explored.build(tmp_path)[0])
    nothing = ann.get(f"/picture/{explored.sample_id(explored.GONE)}/still.jpg")
    assert (nothing.status_code, nothing.headers["content-type"]) == (200, "image/png")
    assert nothing.content == pictures.NOTHING
    for path in (f"/picture/{'f' * 20}/still.jpg", f"/picture/{explored.HEARD[0]}/x.jpg", "/picture/..%2fx/still.jpg"):
        assert ann.get(path).status_code == 404
