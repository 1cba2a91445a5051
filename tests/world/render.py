"""From a plan to bytes: encodes one video, or spoils it as its plant demands.

Every encoder runs with one thread and fixed settings and no clock reaches a header, so a video's bytes depend on its
plan alone (and on the machine's CPU type and library versions). A near-duplicate is made from the original's file:
decoded, cropped, scaled, shifted and encoded again, so it carries the loss of two encoders as real copies do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tests.world.sound import soundtrack
from tests.world.timeline import make_timeline
from tests.world.video import Video
from tests.world.visual import frames
from winnow.media.ffmpeg import av

TEXT = "This file is named .mp4, yet it is a note: the upload failed, please send the video again.\n"
BLOCK_S = 0.5


def render(video: Video, root: Path, original: Video | None = None) -> None:
    """Write the video's file below `root`; complete or not at all. `original`: the video a copy is made of."""
    assert video.file is not None
    path = root / video.file
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    if video.planted == "text_as_mp4":
        partial.write_text(TEXT * 200)
    elif original is not None:
        picture, sound = _copy(video, original, root)
        _encode(partial, video, picture, sound)
    else:
        timeline = make_timeline(video.visual_class, video.duration_s, video.rng(1))
        heard = timeline
        if video.audio_class != video.visual_class:
            heard = make_timeline(video.audio_class, video.duration_s, video.rng(6))
        picture = frames(video, timeline)
        if video.planted == "frozen":
            picture = _freeze(picture, video)
        _encode(partial, video, picture, None if video.planted == "no_audio" else soundtrack(video, heard))
    if video.planted == "truncated":
        data = partial.read_bytes()
        partial.write_bytes(data[: int(len(data) * 0.6)])
    partial.replace(path)


def _freeze(picture: Iterator[np.ndarray], video: Video) -> Iterator[np.ndarray]:
    """The first frame, for as long as the video lasts."""
    still = next(picture).copy()
    for _ in range(round(video.duration_s * video.fps)):
        yield still


def _video_options(video: Video) -> dict[str, str]:
    rng = video.rng(7)
    gop = str(int(video.fps * int(rng.integers(1, 5))))
    if video.video_codec == "libvpx-vp9":
        return {"deadline": "realtime", "cpu-used": "8", "crf": "36", "b": "0", "g": gop, "threads": "1"}
    if video.video_codec == "libvpx":
        # Negative: a fixed speed. A positive one lets the encoder look at the clock, and its bytes depend on the load.
        return {"deadline": "realtime", "cpu-used": "-10", "crf": "24", "b": "600k", "g": gop, "threads": "1"}
    bframes = "0" if rng.random() < 0.6 else "2"
    return {"preset": "ultrafast", "crf": str(int(rng.integers(24, 31))), "g": gop, "bf": bframes, "threads": "1"}


def _encode(path: Path, video: Video, picture: Iterable[np.ndarray], sound: np.ndarray | None) -> None:
    """Mux frames (yuv420p arrays) and sound (channels, samples), interleaved as they come in time."""
    fast_start = video.container == "mp4" and video.planted != "truncated" and video.rng(8).random() < 0.6
    with av.open(
        str(path),
        "w",
        format={"mp4": "mp4", "webm": "webm", "mkv": "matroska"}[video.container],
        container_options={"fflags": "+bitexact"},
        options={"movflags": "+faststart"} if fast_start else {},
    ) as container:
        stream = container.add_stream(video.video_codec, rate=video.fps, options=_video_options(video))
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        stream.codec_context.time_base = 1 / video.fps
        stream.codec_context.thread_count = 1
        audio = None
        if sound is not None:
            layout = "mono" if video.channels == 1 else "stereo"
            options = {"aac_coder": "fast"} if video.audio_codec == "aac" else {"compression_level": "3"}
            audio = container.add_stream(video.audio_codec, rate=video.rate_hz, layout=layout, options=options)
            audio.codec_context.bit_rate = 48000 * video.channels
        heard = 0
        for i, frame in enumerate(picture):
            if audio is not None:
                due = min(sound.shape[1], int((float(i / video.fps) + BLOCK_S) * video.rate_hz))
                if due - heard >= BLOCK_S * video.rate_hz:
                    container.mux(audio.encode(_audio_frame(sound, heard, due, video)))
                    heard = due
            shown = av.VideoFrame.from_ndarray(frame, format="yuv420p")
            shown.pts, shown.time_base = i, 1 / video.fps
            container.mux(stream.encode(shown))
        if audio is not None:
            if heard < sound.shape[1]:
                container.mux(audio.encode(_audio_frame(sound, heard, sound.shape[1], video)))
            container.mux(audio.encode(None))
        container.mux(stream.encode(None))


def _audio_frame(sound: np.ndarray, first: int, last: int, video: Video) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(sound[:, first:last]),
        format="fltp",
        layout="mono" if video.channels == 1 else "stereo",
    )
    frame.sample_rate, frame.pts = video.rate_hz, first
    return frame


def _copy(video: Video, original: Video, root: Path) -> tuple[Iterator[np.ndarray], np.ndarray]:
    """Picture and sound of `original`'s file: mirrored or darker where it says so, borders cropped, scaled to this
    video's size, its start cut off."""
    assert original.file is not None
    path = str(root / original.file)
    cut_s = original.duration_s - video.duration_s
    rng = video.rng(9)
    crop = rng.uniform(0.02, 0.07, 4)

    def picture() -> Iterator[np.ndarray]:
        first = round(cut_s * float(original.fps))
        with av.open(path) as container:
            container.streams.video[0].thread_type = "NONE"
            for i, frame in enumerate(container.decode(video=0)):
                if i < first:
                    continue
                plane = frame.to_ndarray(format="yuv444p")
                height, width = plane.shape[1:]
                if video.copied == "mirrored":
                    plane = plane[:, :, ::-1]
                elif video.copied == "darker":
                    plane = np.concatenate([(plane[:1] * 0.7).astype(np.uint8), plane[1:]])
                top, bottom = int(crop[0] * height), height - int(crop[1] * height)
                left, right = int(crop[2] * width), width - int(crop[3] * width)
                cropped = av.VideoFrame.from_ndarray(
                    np.ascontiguousarray(plane[:, top:bottom, left:right]), format="yuv444p"
                )
                yield cropped.reformat(video.width, video.height, "yuv420p").to_ndarray()

    layout = "mono" if video.channels == 1 else "stereo"
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=video.rate_hz)
    with av.open(path) as container:
        blocks = [b.to_ndarray() for f in container.decode(audio=0) for b in resampler.resample(f)]
    blocks += [b.to_ndarray() for b in resampler.resample(None)]
    first, length = round(cut_s * video.rate_hz), round(video.duration_s * video.rate_hz)
    sound = np.concatenate(blocks, axis=1)[:, first : first + length]
    return picture(), (sound * np.float32(rng.uniform(0.6, 1.0))).astype(np.float32)
