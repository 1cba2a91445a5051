"""fingerprint: what a clip is known by, so that copies of it are found under any id, container, size, crop or speed.

Nothing is decoded here: `visual` and `audio` leave a small sketch of what they decode, and a fingerprint is made of the
two. It stays by itself, so that a clip is still known when its media are gone. What is compared, and how, stands in
`winnow.duplicates`; which pairs there are follows at a release, over all admitted batches.
"""

from __future__ import annotations

from collections.abc import Iterator

from winnow.core.fingerprint import code_digest
from winnow.core.lake import digest
from winnow.core.sample import Outcome
from winnow.core.stage import Batch, Resources, Sample, Stage


class Fingerprint(Stage):
    """One row per clip that has picture and sound.

    version: of the fingerprint; two versions are never compared. picture, sound: the sketches, flat
    (`duplicates.sketch`). picture_void, sound_void: why that side has no information and matches nothing (short, flat,
    still; short, silent, steady), null where it has. picture_moments, sound_moments: how many cells say something.
    """

    name = "fingerprint"
    image = "media"
    needs = ("clip", "visual", "audio")
    schema = {
        "video_id": "string",
        "start_s": "double",
        "end_s": "double",
        "version": "string",
        "picture_void": "string",
        "picture_moments": "int64",
        "picture": "uint8[]",
        "sound_void": "string",
        "sound_moments": "int64",
        "sound": "uint8[]",
    }
    resources = Resources(cpu=1, memory_mb=512)

    def setup(self) -> None:
        """Tell the version: a digest of what a sketch is and what is taken from it."""
        self.fingerprint = digest([code_digest(f"winnow.duplicates.{name}") for name in ("sketch", "words")])

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """An outcome for each clip."""
        yield from batch.map(self.measure)

    def measure(self, sample: Sample) -> dict[str, object]:
        """A clip's values."""
        import numpy as np

        from winnow.duplicates import fingerprint
        from winnow.duplicates.sketch import BANDS, HEIGHT, WIDTH

        picture = np.asarray(sample.needs["visual"]["sketch"], np.uint8).reshape(-1, HEIGHT, WIDTH)
        sound = np.asarray(sample.needs["audio"]["sketch"], np.uint8).reshape(-1, BANDS)
        return {
            "video_id": sample.row["video_id"],
            "start_s": sample.row["start_s"],
            "end_s": sample.row["end_s"],
            "version": self.fingerprint,
            "picture_void": fingerprint.picture_void(picture),
            "picture_moments": fingerprint.picture_moments(picture),
            "picture": picture.ravel(),
            "sound_void": fingerprint.sound_void(sound),
            "sound_moments": fingerprint.sound_moments(sound),
            "sound": sound.ravel(),
        }
