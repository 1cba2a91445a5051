"""probe: what is in a clip's file, and whether there is anything to hear and to see in it.

The file is read once. Its sound is decoded whole, at its own rate, because loudness is defined on it; of its pictures
only as many as it takes to know what stands still (`models.stillness`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from winnow.core.sample import Outcome, Reason, SampleFailed
from winnow.core.stage import Batch, Resources, Sample, Stage, StageParams

if TYPE_CHECKING:
    import numpy as np


class Probe(Stage):
    """One row per clip. Shares are of the stream's time; sound columns are null without an audio stream.

    loudness_lufs: integrated loudness after ITU-R BS.1770-4, −70 where every block is below its gate; peak_dbfs:
    highest sample; silence_ratio, stillness, black_ratio: shares of time without sound, movement, light (see
    `Params`). n_frames: pictures that decode. colour_range ('limited', 'full'), colour_transfer, colour_primaries: as
    the file says, null where it does not; hdr: whether that is high dynamic range (measures then see it as an ordinary
    screen shows it); sar: width to height of a pixel.
    """

    name = "probe"
    image = "media"
    needs = ("clip",)
    schema = {
        "duration_s": "double",
        "container": "string",
        "video_codec": "string",
        "width": "int64",
        "height": "int64",
        "fps": "double",
        "n_frames": "int64",
        "colour_range": "string",
        "colour_transfer": "string",
        "colour_primaries": "string",
        "hdr": "bool",
        "interlaced": "bool",
        "sar": "double",
        "audio_codec": "string",
        "rate_hz": "int64",
        "channels": "int64",
        "has_audio": "bool",
        "loudness_lufs": "double",
        "peak_dbfs": "double",
        "silence_ratio": "double",
        "stillness": "double",
        "black_ratio": "double",
    }
    resources = Resources(cpu=1, memory_mb=1024)

    class Params(StageParams):
        """What counts as silent and still.

        silence_dbfs: RMS of a block of `silence_block_s` (the default of FFmpeg's silencedetect); still_luma,
        still_share: two pictures are the same when at most this share of pixels differs by more than this, of full
        scale (see `models.stillness`, which also says what is black).
        """

        silence_dbfs: float = -60.0
        silence_block_s: float = 0.05
        still_luma: float = 0.03
        still_share: float = 0.001

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """An outcome for each clip."""
        yield from batch.map(self.measure)

    def measure(self, sample: Sample) -> dict[str, object]:
        """A clip's values; fails as undecodable when no stream of it can be decoded."""
        return measure(sample.media(), self.params)


def measure(data: bytes, params: Probe.Params | None = None) -> dict[str, object]:
    """All columns of one clip's file; fails as undecodable."""
    from winnow.media import clip_check, colour, decode, h264
    from winnow.models.stillness import FreezeDetector

    params, first, whole = params or Probe.Params(), None, True
    with decode.opened(data, skip="NONREF") as clip:
        video, audio = clip.video, clip.audio
        packets = list(clip.packets(*(stream for stream in (video, audio) if stream is not None)))
        shown = [packet for packet in packets if packet.stream is video]
        freezes, sound = FreezeDetector(clip, shown, params.still_luma, params.still_share), decode.Sound()
        for packet in packets:
            if packet.stream is audio:
                for frame in decode.decoded(packet):
                    sound.add(frame)
            elif freezes.needs(packet):
                for frame in decode.decoded(packet):
                    freezes.see(frame)
                    first, whole = first or frame, whole and not frame.is_corrupt
        seen = freezes.measures()
        if not sound and not seen:
            raise SampleFailed(Reason.undecodable, "neither picture nor sound could be decoded")
        values: dict[str, object] = {
            "duration_s": round(clip.duration_s, 3),
            "container": container_name(clip.container.format.name),
            "has_audio": audio is not None,
        }
        if video is not None:
            rate = video.average_rate or video.guessed_rate
            count = sum(packet.size > 0 and not packet.is_discard for packet in shown)
            told = [packet for packet in shown if packet.size]
            codec = video.codec_context
            if codec.name == "h264":
                whole = whole and h264.are_pictures(told, codec.extradata)
                whole = whole and h264.follow_each_other(told, codec.extradata)
            if not whole:
                count = clip_check.decoding(data, "video")
            values |= {
                "video_codec": codec.name,
                "width": video.width,
                "height": video.height,
                "fps": round(float(rate), 6) if rate else None,
                "n_frames": count,
                **(colour.Look.of(video, first).columns() if first is not None else {}),
                **seen,
            }
        if audio is not None:
            values |= {
                "audio_codec": audio.codec_context.name,
                "rate_hz": audio.rate,
                "channels": audio.layout.nb_channels,
            }
    if sound:
        rate_hz = sound.rate
        values |= sound_measures(sound.waveform(), rate_hz, params)
    return values


def container_name(names: str) -> str:
    """FFmpeg names a demuxer by all it reads ("mov,mp4,m4a,3gp,3g2,mj2"): "mp4" for that one, else the first name."""
    every = names.split(",")
    return "mp4" if "mp4" in every else every[0]


def sound_measures(wave: np.ndarray, rate_hz: int, params: Probe.Params) -> dict[str, float]:
    """loudness_lufs, peak_dbfs and silence_ratio of a waveform (channels, samples) at full scale 1.0; {} for none.

    A block is silent when its RMS over all channels is; what is left at the end of whole blocks is not looked at.
    """
    import numpy as np

    from winnow.models.loudness import integrated_loudness

    if not wave.shape[1]:
        return {}
    block = min(max(round(params.silence_block_s * rate_hz), 1), wave.shape[1])
    blocks = wave[:, : wave.shape[1] // block * block].reshape(len(wave), -1, block)
    power = np.einsum("cij,cij->i", blocks, blocks) / (len(wave) * block)
    peak = max(float(wave.max()), -float(wave.min()), 1e-6)
    return {
        "loudness_lufs": round(integrated_loudness(wave, rate_hz), 3),
        "peak_dbfs": round(20 * math.log10(peak), 3),
        "silence_ratio": round(float((power < 10 ** (params.silence_dbfs / 10)).mean()), 6),
    }
