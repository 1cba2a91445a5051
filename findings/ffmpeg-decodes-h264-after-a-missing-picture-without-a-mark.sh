#!/usr/bin/env bash
# One would guess: of an H.264 stream from which pictures are missing that others refer to, FFmpeg's decoder marks what it
# decodes then (AV_FRAME_FLAG_CORRUPT), or fails under err_detect=explode; frame_num tells it that they are missing.
# What happens (PyAV 18.1.0, FFmpeg 8): it puts a copy of another picture in their place and decodes what follows, up to
# the next key picture, in part to pictures that nobody filmed: none is marked, and nothing is raised. (For HEVC it does
# mark them.) Who wants to know reads frame_num in the slices' heads (ITU-T H.264, 7.4.3).
# Source: libavcodec/h264_slice.c, "Frame num gap" in h264_field_start.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "av==18.1.0" "numpy>=2"
"$work/venv/bin/python" - <<'PY'
import io
import sys

import av
import numpy as np


def picture(n):
    made = np.full((96, 160, 3), 60, np.uint8)
    made[20:60, 4 * n % 120 : 4 * n % 120 + 40] = 220
    return made


def stream(codec, **options):
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        video = file.add_stream(codec, rate=25, options={"g": "50", "bf": "0", **options})
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        for n in range(50):
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture(n), format="rgb24")))
        file.mux(video.encode(None))
    return out.getvalue()


def decoded(data, missing):
    """(pictures, marked, those that differ from what was filmed)"""
    frames = []
    with av.open(io.BytesIO(data)) as file:
        video = file.streams.video[0]
        video.thread_type, video.codec_context.thread_count = "NONE", 1
        video.codec_context.options = {"err_detect": "explode"}
        for at, packet in enumerate(file.demux(video)):
            if packet.size and at in missing:
                continue
            try:
                frames += packet.decode()
            except av.error.FFmpegError as error:
                return f"raised {error}"
        wrong = 0
        for frame in frames:
            n = round(frame.time * 25)
            seen = frame.to_ndarray(format="rgb24").astype(int)
            wrong += bool(np.abs(seen - picture(n)).mean() > 3)
    return len(frames), sum(f.is_corrupt for f in frames), wrong


whole, holed = (decoded(stream("libx264", threads="1"), missing) for missing in (set(), {20, 21, 22, 23}))
print(f"PyAV {av.__version__}: (pictures, marked, wrong) whole {whole}, without four {holed}")
sys.exit(0 if whole[1:] == (0, 0) and holed[0] == 46 and holed[1] == 0 and holed[2] > 2 else 1)
PY
