"""Tone: pictures of high dynamic range as a player on an ordinary screen shows them, for measures that know no other.

Light is decoded (PQ: SMPTE ST 2084; HLG: ITU-R BT.2100 with its system gamma of 1.2 at 1,000 cd/m²), measured against
reference white (203 cd/m², ITU-R BT.2408), brought from BT.2020's primaries to BT.709's (ITU-R BT.2087), and shown by
BT.1886's power of 2.4. Up to KNEE of white nothing changes; what is above approaches white.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from winnow.media.colour import HLG, PQ

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

WHITE, PEAK, KNEE, POWER = 203.0, 1000.0, 0.75, 2.4
#: BT.2020 to BT.709, linear light.
TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])


def is_hdr(frame: VideoFrame) -> bool:
    """Whether a picture says that it is of high dynamic range."""
    return frame.color_trc in (PQ, HLG)


def shown(rgb: np.ndarray, frame: VideoFrame) -> np.ndarray:
    """RGB of a picture, uint8 (…, 3), as an ordinary screen shows it; anything but PQ and HLG is that already."""
    if not is_hdr(frame):
        return rgb
    signal = rgb.astype(np.float64) / 255
    light = (_pq(signal) if frame.color_trc == PQ else _hlg(signal)) / WHITE
    light = np.maximum(light @ TO_709.T, 0.0)
    above = np.maximum(light - KNEE, 0.0)
    light = np.minimum(light, KNEE) + (1 - KNEE) * (1 - np.exp(-above / (1 - KNEE)))
    return np.rint(255 * light ** (1 / POWER)).astype(np.uint8)


def luma(rgb: np.ndarray) -> np.ndarray:
    """BT.709's luma of RGB, uint8 (…)."""
    return np.rint(rgb @ np.array([0.2126, 0.7152, 0.0722])).astype(np.uint8)


def _pq(signal: np.ndarray) -> np.ndarray:
    """Light of a PQ signal, cd/m²."""
    power = signal ** (1 / 78.84375)
    return 10_000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)


def _hlg(signal: np.ndarray) -> np.ndarray:
    """Light of an HLG signal on a screen of PEAK, cd/m²."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((np.maximum(signal, 0.5) - c) / a) + b) / 12)
    brightness = (scene @ np.array([0.2627, 0.678, 0.0593]))[..., None]
    return PEAK * scene * np.maximum(brightness, 1e-9) ** 0.2
