"""Kept: the clips that a release keeps, read where they lie in the lake, one after the other or by their number.

For a look, an evaluation, a first training run. For long training `winnow export clips` writes them as files that
loaders stream; this reads the same clips in the same order, each file compared with the digest that the release says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, overload

from winnow.core import extras
from winnow.core.lake import Lake
from winnow.delivery import rows, source
from winnow.release import publish

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: Columns of an export that say something about its files, which are not there.
_OF_FILES = frozenset({"shard", "has_file"})


@dataclass(frozen=True)
class KeptClip:
    """A clip that a release keeps: its id, its split, what an export says of it (`row`: z, labels, start_s, url …; the
    columns of `winnow.delivery.rows`), its MP4 file, and as FLAC what separation left of its sound (None where its
    sound was not separated)."""

    id: str
    split: str
    row: dict[str, object] = field(repr=False)
    video: bytes = field(repr=False)
    residual: bytes | None = field(repr=False)

    def pictures(self, width: int, height: int, per_s: float | None = None) -> np.ndarray:
        """Its pictures: uint8, (pictures, height, width, 3), RGB, full range, stretched to that shape; all of them, or
        the first at or after every 1/`per_s` s. ConfigError without the extra `media`; SampleFailed for a clip without
        pictures."""
        with extras.named():
            import numpy as np

            from winnow.media.decode import Shrinker, opened

        shrink, found, due_s = Shrinker("rgb24", width, height), [], 0.0
        with opened(self.video) as clip:
            for frame in clip.frames(clip.require_video()):
                at_s = clip.time_s(frame)
                if per_s is None or at_s >= due_s - 1e-6:
                    found.append(shrink(frame))
                    due_s = at_s + 1 / per_s if per_s else 0.0
        return np.stack(found)

    def sound(self, rate_hz: int, mono: bool = True) -> np.ndarray:
        """Its sound: float32, (channels, samples), full scale 1.0. ConfigError without the extra `media`; SampleFailed
        for a clip without sound."""
        with extras.named():
            from winnow.media.decode import opened, waveform

        with opened(self.video) as clip:
            return waveform(clip.frames(clip.require_audio()), rate_hz=rate_hz, mono=mono)


class KeptClips(Sequence[KeptClip]):
    """The kept clips of a release (the current one, or one whose id begins so), of some splits or of all, in the order
    of split and id. It can be pickled and used by several processes, so torch's DataLoader takes it as it is.

    Of a lake in a bucket, what is read is copied below WINNOW_SCRATCH. ConfigError for a release or a split that there
    is not; ContractError for a release without
    clips, and, when a clip is read, for a file that is not the one that the release says."""

    def __init__(self, lake: Lake, release: str | None = None, splits: Sequence[str] = ()) -> None:
        self.lake = lake
        folder = publish.folder(lake, release)
        self.release = folder.name
        with extras.named(), rows.connect(Path(":memory:")) as con:
            rows.prepare(con, folder, splits, "all", 1 << 50, ".tar")
            source.index(lake, con)
            said = f"SELECT id, split, {rows.as_json()} AS json, has_residual, media_sha256, residual_sha256, tar"
            rest = "residual_tar, places.* EXCLUDE (split, number, id) FROM rows JOIN places USING (split, number, id)"
            self._rows: pa.Table = con.sql(f"{said}, {rest} ORDER BY split, id").to_arrow_table()
        self._files = source.Clips(lake)

    def __len__(self) -> int:
        return self._rows.num_rows

    @overload
    def __getitem__(self, index: int) -> KeptClip: ...
    @overload
    def __getitem__(self, index: slice) -> list[KeptClip]: ...
    def __getitem__(self, index: int | slice) -> KeptClip | list[KeptClip]:
        """A clip by its number, its files read; a list of them for a slice."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        (row,) = self._rows.slice(number, 1).to_pylist()
        ((_, video, residual),) = self._files.read([row])
        said = {name: value for name, value in json.loads(row["json"]).items() if name not in _OF_FILES}
        return KeptClip(row["id"], row["split"], said, video, residual)

    def __iter__(self) -> Iterator[KeptClip]:
        return (self[number] for number in range(len(self)))

    def __getstate__(self) -> dict[str, object]:
        """Without open files: another process opens its own."""
        return {name: value for name, value in vars(self).items() if name != "_files"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._files = source.Clips(self.lake)

    def close(self) -> None:
        """Close the files that were opened; reading opens them again."""
        self._files.close()
