"""The clips that a release keeps, without torch: `python examples/iterate_clips.py LAKE [SPLIT …]`."""

from __future__ import annotations

import sys

import numpy as np

import winnow


def main(root: str, *splits: str) -> None:
    clips = winnow.clips(winnow.open_lake(root), splits=splits)
    print(f"{len(clips)} clips of release {clips.release}")
    for clip in clips:
        pictures, sound = clip.pictures(64, 64, per_s=2), clip.sound(16_000)
        print(clip.id, clip.split, clip.row["label"], pictures.shape, f"rms {np.sqrt((sound**2).mean()):.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
