"""Tracks beside the one that plays, and gaps in it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from tests.unit.media.cut_files import PLAIN, clips, merged, right
from tests.unit.media.numbered import look, make, rewritten
from winnow.core.sample import Reason, SampleFailed
from winnow.media import streams
from winnow.stages import audio


@pytest.mark.parametrize("beside", ["not default", "commentary", "titled"])
def test_the_sound_that_plays_is_taken(tmp_path: Path, beside: str) -> None:
    film = make(PLAIN, tmp_path / "s.mp4")
    other = make(replace(PLAIN, first=100), tmp_path / "o.mp4")
    flags = av.stream.Disposition
    mark = {"not default": 0, "commentary": int(flags.default | flags.comment), "titled": int(flags.default)}[beside]
    title = "Director's commentary" if beside == "titled" else ""
    tracks = [
        (film, "video", int(flags.default), ""),
        (other, "audio", mark, title),
        (film, "audio", int(flags.default), ""),
    ]
    right(clips(merged(tmp_path, tracks, "a.mkv")), 150)


def test_a_cover_is_no_video_even_first_and_unmarked(tmp_path: Path) -> None:
    film, cover = make(PLAIN, tmp_path / "s.mp4"), tmp_path / "c.mkv"
    with av.open(str(cover), "w") as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 200, np.uint8), format="rgb24")))
        out.mux(stream.encode(None))
    both = merged(tmp_path, [(cover, "video", 0, ""), (film, "video", 1, ""), (film, "audio", 1, "")], "a.mkv")
    right(clips(both), 150)
    (failed,) = clips(merged(tmp_path, [(cover, "video", 0, ""), (film, "audio", 1, "")], "b.mkv"))
    assert failed.reason is Reason.no_video_stream


def test_a_gap_in_the_sound_stays_where_it_is(tmp_path: Path) -> None:
    source = make(PLAIN, tmp_path / "s.mp4")
    path = rewritten(
        source, tmp_path / "a.mp4", "mp4", lambda kind, _, p: kind == "video" or not 2.2 < p.pts * p.time_base < 3.4
    )
    (whole,) = clips(path, window_s=6.0)
    seen = look(whole.files["mp4"])
    assert seen.sound_s == pytest.approx(0.0, abs=0.005)
    onset = audio.measure(whole.files["mp4"])["onset"]
    loud = np.flatnonzero(onset > 0.3 * onset.max()) / 8.0  # GRID_HZ
    assert not ((loud > 2.4) & (loud < 3.3)).any()
    assert ((loud >= 3.3) & (loud < 3.9)).any()


def test_a_clip_that_begins_in_a_gap_loses_no_sound_after_it(tmp_path: Path) -> None:
    """Readers hide as many samples as the first packet's time says, so none from before the gap may be there."""
    source = make(PLAIN, tmp_path / "s.mp4")
    path = rewritten(
        source, tmp_path / "a.mp4", "mp4", lambda kind, _, p: kind == "video" or not 1.9 < p.pts * p.time_base < 2.45
    )
    found = clips(path)
    assert found[1].values["av_offset_s"] == pytest.approx(0.45, abs=0.03)
    with av.open(io.BytesIO(found[1].files["mp4"])) as clip:
        assert next(clip.decode(audio=0)).time == pytest.approx(found[1].values["av_offset_s"], abs=0.001)
    assert sum(look(o.files["mp4"]).bursts for o in found) == 11  # the one at 2 s is in the gap


def test_rows_say_what_the_source_was(tmp_path: Path) -> None:
    film, other = make(PLAIN, tmp_path / "s.mp4"), make(replace(PLAIN, first=100), tmp_path / "o.mp4")
    tracks = [(film, "video", 1, ""), (other, "audio", 0, ""), (film, "audio", 1, "")]
    for outcome in clips(merged(tmp_path, tracks, "a.mkv")):
        values = outcome.values
        assert (values["sound_tracks"], values["sound_track"]) == (2, 1)
        assert values["sound_languages"] == ["und", "und"]
        assert (values["rotation"], values["mirrored"], values["times_repaired"]) == (0, False, False)


def test_a_stream_without_a_unit_of_time_is_the_files_fault(tmp_path: Path) -> None:
    """FFmpeg may leave it open: PyAV says None then, which no cut can count in."""
    with av.open(str(tmp_path / "s.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        with pytest.raises(SampleFailed, match="stream 0 has no unit of time") as failed:
            streams.clock(stream)
    assert failed.value.reason is Reason.undecodable
