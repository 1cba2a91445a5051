"""PyAV, its FFmpeg held to the instructions that every CPU with AVX2 has: the one place that imports it.

FFmpeg picks its loops by the CPU, and they do not agree: decoded AAC, resampled sound, pictures scaled by swscale and
encoded AAC have other bytes with SSE2, with AVX2 and without either. It reads no variable, so it is told here, before
anything is opened. `from winnow.media.ffmpeg import av` instead of `import av`; a contract test looks for others.
"""

from __future__ import annotations

import av

# What Winnow names of these is an attribute of `av` once they are imported.
import av.sidedata.sidedata
import av.stream
import av.video.reformatter

from winnow.core import cpu

__all__ = ["av"]

cpu.hold_ffmpeg()
