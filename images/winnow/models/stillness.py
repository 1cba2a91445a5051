"""How much of a clip stands still or is black, without decoding what is known to move.

A clip falls into stretches from one key picture to the next. A stretch is still when none of its pictures, the next key
picture among them, differs from the one before; as soon as two do, the rest of the stretch need not be decoded. So a clip
that moves costs little more than its key pictures, and one that stands still is decoded whole, which costs little because
there is nothing in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from winnow.media import Clip, Shrinker

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame

#: A stretch between key pictures that is longer than this is cut into shorter ones, s, each with a verdict of its own.
STRETCH_S = 2.0
