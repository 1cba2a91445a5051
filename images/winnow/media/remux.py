"""Dub: a clip's pictures with another sound, as one file that any player plays.

Whoever judges a recycled clip must hear what it was kept for: what `separate` left of its sound, a FLAC file of its
own. Pictures and sound are copied, not encoded again.
"""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from winnow.core.errors import ConfigError, ContractError

if TYPE_CHECKING:
    from av.packet import Packet


def dubbed(clip: bytes, sound: bytes, start_s: float) -> bytes:
    """An MP4 file of a clip's pictures and a FLAC file's sound, which begins `start_s` after the clip. ConfigError
    without PyAV; ContractError for bytes that are no such files."""
    try:
        from winnow.media.ffmpeg import av
    except ImportError as error:
        raise ConfigError("PyAV is not installed here: `pip install 'winnow[media]'`") from error

    made = io.BytesIO()
    try:
        with (
            av.open(io.BytesIO(clip), "r", format="mp4") as seen,
            av.open(io.BytesIO(sound), "r", format="flac") as heard,
            av.open(made, "w", format="mp4", options={"fflags": "+bitexact"}) as out,
        ):
            video, audio = seen.streams.video[0], heard.streams.audio[0]
            twins = {stream: out.add_stream_from_template(stream) for stream in (video, audio)}
            zero_s = Fraction(seen.start_time or 0, av.time_base)
            packets: list[Packet[Any]] = [*seen.demux(video), *heard.demux(audio)]
            for packet in packets:
                if not packet.size:
                    continue
                if packet.stream is audio and packet.pts is not None and packet.dts is not None:
                    later = round((zero_s + Fraction(start_s)) / packet.time_base)
                    packet.pts, packet.dts = packet.pts + later, packet.dts + later
                packet.stream = twins[packet.stream]
                out.mux(packet)
    except (av.error.FFmpegError, IndexError) as error:
        raise ContractError(f"a clip and what was left of its sound cannot be one file: {error}") from error
    return made.getvalue()
