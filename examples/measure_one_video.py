"""What Winnow measures of one video: `python examples/measure_one_video.py VIDEO [LAKE]`. With a lake whose scorer is
fitted, the clips are scored too."""

from __future__ import annotations

import sys

import winnow


def main(video: str, root: str | None = None) -> None:
    lake = winnow.open_lake(root) if root else None
    found = winnow.measure(video, lake, params={"clip": {"window_s": 5}})
    clips, probes, tags = (found[stage].to_pylist() for stage in ("clip", "probe", "tags"))
    for clip, probe, tag in sorted(zip(clips, probes, tags, strict=True), key=lambda rows: rows[0]["start_s"]):
        print(f"{clip['start_s']:.1f} to {clip['end_s']:.1f} s: {probe['loudness_lufs']} LUFS, speech {tag['speech']}")
    if "correspond" in found.tables:
        for row in found["correspond"].to_pylist():
            print(f"clip {row['sample_id']}: {row['z']} standard deviations above mismatched pairs")
    for stage, clip_id, reason, detail in found.failed:
        print(f"{stage} could not measure {clip_id}: {reason} ({detail})")


if __name__ == "__main__":
    main(*sys.argv[1:])
