"""probe: what is in a clip's file, and whether there is anything to hear and to see in it.

The file is read once. Its sound is decoded whole, at its own rate, because loudness is defined on it; of its pictures
only those that others refer to, because a picture that stands still does so in those too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from winnow.sample import Outcome, Reason, SampleFailed
from winnow.stage import Batch, Resources, Sample, Stage, StageParams

if TYPE_CHECKING:
    import numpy as np


class Probe(Stage):
    """One row per clip. Shares are of the stream's time; sound columns are null without an audio stream.

    loudness_lufs: integrated loudness after ITU-R BS.1770-4, −70 where every block is below its gate; peak_dbfs:
    highest sample; silence_ratio, stillness, black_ratio: shares of time without sound, movement, light (see
    `Params`).
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
        """What counts as silent, still and black; the defaults are those of FFmpeg's filters silencedetect (noise),
        freezedetect (noise) and blackdetect (pixel_black_th, picture_black_ratio_th), but for still_change: twice
        FFmpeg's, because the key frames of a frozen picture that was encoded again pulse by more than its 0.001.

        silence_dbfs: RMS of a block of `silence_block_s`; still_change: mean change of luma between two pictures, of
        full scale; black_luma: of full scale; black_share: of a picture's pixels.
        """

        silence_dbfs: float = -60.0
        silence_block_s: float = 0.05
        still_change: float = 0.002
        black_luma: float = 0.1
        black_share: float = 0.98

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """An outcome for each clip."""
        yield from batch.map(self.measure)

    def measure(self, sample: Sample) -> dict[str, object]:
        """A clip's values; fails as undecodable when no stream of it can be decoded."""
        return measure(sample.media(), self.params)


def measure(data: bytes, params: Probe.Params | None = None) -> dict[str, object]:
    """All columns of one clip's file; fails as undecodable."""
    from winnow import media

    params = params or Probe.Params()
    shrink, frames, pictures, times_s, packets = media.Shrinker("gray"), [], [], [], 0
    with media.opened(data, skip="BIDIR") as clip:
        video, audio = clip.video, clip.audio
        for packet, released in clip.decode(*(stream for stream in (video, audio) if stream is not None)):
            if packet.stream is audio:
                frames += released
                continue
            packets += packet.size > 0 and not packet.is_discard
            for frame in released:
                pictures.append(shrink(frame))
                times_s.append(clip.time_s(frame))
        if not frames and not pictures:
            raise SampleFailed(Reason.undecodable, "neither picture nor sound could be decoded")
        values: dict[str, object] = {
            "duration_s": round(clip.duration_s, 3),
            "container": container_name(clip.container.format.name),
            "has_audio": audio is not None,
        }
        if video is not None:
            rate = video.average_rate or video.guessed_rate
            values |= {
                "video_codec": video.codec_context.name,
                "width": video.width,
                "height": video.height,
                "fps": round(float(rate), 6) if rate else None,
                "n_frames": packets,
                **picture_measures(pictures, times_s, clip.duration_s, params),
            }
        if audio is not None:
            values |= {
                "audio_codec": audio.codec_context.name,
                "rate_hz": audio.rate,
                "channels": audio.layout.nb_channels,
            }
    if frames:
        values |= sound_measures(media.waveform(frames), frames[0].rate, params)
    return values


def container_name(names: str) -> str:
    """FFmpeg names a demuxer by all it reads ("mov,mp4,m4a,3gp,3g2,mj2"): "mp4" for that one, else the first name."""
    every = names.split(",")
    return "mp4" if "mp4" in every else every[0]


def picture_measures(
    pictures: list[np.ndarray], times_s: list[float], duration_s: float, params: Probe.Params
) -> dict[str, float]:
    """stillness and black_ratio of small gray pictures (uint8) at increasing times; {} for none.

    A picture counts until the next decoded one, the last until the end; a stretch between two pictures is still when
    their luma hardly differs.
    """
    import numpy as np

    if not pictures:
        return {}
    luma = np.stack(pictures).astype(np.float32) / 255
    edges_s = np.append(times_s, max(duration_s, times_s[-1]))
    length_s = np.maximum(np.diff(edges_s), 0)
    black = (luma <= params.black_luma).mean(axis=(1, 2)) >= params.black_share
    change = np.abs(np.diff(luma, axis=0)).mean(axis=(1, 2))
    still = change <= params.still_change
    moving_s, between_s = float(length_s[:-1][~still].sum()), float(length_s[:-1].sum())
    total_s = float(length_s.sum())
    return {
        "stillness": round(1 - moving_s / between_s, 6) if between_s > 0 else 1.0,
        "black_ratio": round(float(length_s[black].sum()) / total_s if total_s > 0 else float(black.mean()), 6),
    }


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
