"""Encoded bytes must not depend on what lay in memory: the C library fills fresh memory with another value each run."""

from __future__ import annotations

import os
import subprocess
import sys

ENCODE = """
import hashlib, io
from fractions import Fraction
import av, numpy as np
from winnow.media.clip_writer import Encoding

rng = np.random.default_rng(0)
y, x = np.mgrid[:180, :320]
sink = io.BytesIO()
with av.open(sink, "w", format="mp4", options={"fflags": "+bitexact"}) as out:
    stream = out.add_stream("libx264", rate=24, options=Encoding("veryfast", 23).options(Fraction(24)))
    stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
    for i in range(140):
        picture = np.full((270, 320), 128, np.uint8)
        glow = 90 * np.exp(-((x - 160 - 90 * np.sin(i / 9)) ** 2 + (y - 90 - 40 * np.cos(i / 7)) ** 2) / 900)
        picture[:180] = 60 + x / 8 + glow + 20 * np.sin((x + 3 * i) / 5) + rng.normal(0, 3, (180, 320))
        out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
    out.mux(stream.encode(None))
print(hashlib.sha256(sink.getvalue()).hexdigest())
"""


def test_bytes_do_not_depend_on_what_was_in_memory() -> None:
    digests = set()
    for fill in ("1", "77", "200"):
        done = subprocess.run(
            [sys.executable, "-c", ENCODE],
            env={**os.environ, "MALLOC_PERTURB_": fill},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        digests.add(done.stdout)
    assert len(digests) == 1
