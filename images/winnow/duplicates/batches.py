"""Near-duplicates of batches: which clips share a stretch of picture or sound, batch by batch in the order of their
admission. A release asks for those of all admitted batches, a fit for those of the batches that it is made from.

    <root>/cache/duplicates/<key>/pairs.parquet        verified pairs whose later clip the batch brought
    <root>/cache/duplicates/<key>/<array>.npy          its segment of the index (`winnow.duplicates.index`), mapped
    <root>/cache/duplicates/<key>/done.json            written last: digests, so that what was cut short is made again

A batch meets the batches before it and itself, so what is found of it never changes and an index grows by one segment.
`key` is a digest of the code, of the shards of the batch's fingerprints and of the key before it: what is kept under it
is what a computation from scratch would give, to the byte, and a release computes only what is new.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow.core.admitted import shards_of
from winnow.core.fingerprint import code_digest
from winnow.core.lake import Lake, digest, sha256_bytes
from winnow.core.nearby import Nearby
from winnow.duplicates import index, verify

if TYPE_CHECKING:
    from winnow.duplicates.fingerprint import Fingerprint

PAIR_COLUMNS = {
    "first_id": "string",
    "second_id": "string",
    "kind": "string",
    "first_s": "double",
    "second_s": "double",
    "length_s": "double",
    "share": "double",
    "speed": "double",
    "mirrored": "bool",
    "picture_score": "double",
    "sound_score": "double",
    "version": "string",
}
_ARRAYS = ("word", "clip", "time")


@dataclass(frozen=True)
class Pairs:
    """The pairs of one batch: the key of its file in the lake, and the file's digest."""

    batch: str
    seq: int
    key: str
    sha256: str


def pairs_of(lake: Lake, heads: Mapping[str, dict]) -> list[Pairs]:
    """The pairs of every admitted batch that has fingerprints; what is not kept yet is computed."""
    code = [code_digest(f"winnow.duplicates.{name}") for name in ("index", "verify")] + [digest(PAIR_COLUMNS)]
    before, steps = digest(code), []
    with_prints = [head for head in heads.values() if head["stages"].get("fingerprint", {}).get("files")]
    for head in sorted(with_prints, key=lambda head: (head["seq"], head["batch"])):
        at = head["stages"]["fingerprint"]
        before = digest([before, sorted(shard["sha256"] for shard in shards_of(lake, head["batch"], at))])
        steps.append(_Batch(lake, head["batch"], head["seq"], f"cache/duplicates/{before}", at["files"]))
    return [batch.pairs(steps[:place]) for place, batch in enumerate(steps)]


@dataclass
class _Batch:
    lake: Lake
    batch: str
    seq: int
    folder: str
    files: list[dict]

    def pairs(self, earlier: Sequence[_Batch]) -> Pairs:
        """What is kept, or else what is found now."""
        key = f"{self.folder}/pairs.parquet"
        sha256 = self.done.get("pairs.parquet")
        data = self.lake.read_or_none(key) if sha256 else None
        if data is None or sha256_bytes(data) != sha256:
            sha256 = self._find(earlier, key)
        return Pairs(self.batch, self.seq, key, str(sha256))

    @property
    def done(self) -> dict[str, Any]:
        """What was committed: digests by file, versions and counts; {} for nothing that can be read."""
        try:
            return json.loads(self.lake.read_or_none(f"{self.folder}/done.json") or b"{}")
        except ValueError:
            return {}

    def prints(self, ids: set[str] | None = None) -> list[Fingerprint]:
        """Fingerprints of the batch's clips, or of some of them, ordered by id."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        from winnow.duplicates.fingerprint import Fingerprint

        found: list[Fingerprint] = []
        for file in self.files:
            rows = pq.read_table(io.BytesIO(self.lake.read(file["path"])))
            rows = rows.filter(pc.equal(rows["outcome"], "ok"))
            if ids is not None:
                rows = rows.filter(pc.is_in(rows["sample_id"], value_set=_strings(ids)))
            found += [Fingerprint.of_row(row) for row in rows.to_pylist()]
        return sorted(found, key=lambda one: one.sample_id)

    def _find(self, earlier: Sequence[_Batch], key: str) -> str:
        """Compute and keep the batch's segments and pairs; the digest of the pairs' file."""
        from winnow.core import table

        known = [(batch, segment) for batch in earlier for segment in batch.segments]
        seen = {one for _, segment in known for one in segment.ids}
        fresh = [one for one in self.prints() if one.sample_id not in seen]
        rows: list[dict[str, object]] = []
        made: dict[str, object] = {"batch": self.batch, "versions": []}
        for number, version in enumerate(sorted({one.version for one in fresh})):
            asked = [one for one in fresh if one.version == version]
            own = index.Segment.of(asked)
            self._keep(number, own)
            made["versions"].append(version)  # type: ignore[attr-defined]
            segments = [*known, (self, own)]
            found = index.candidates([segment for _, segment in segments], asked, own=len(known))
            rows += [_row(pair, version) for pair in self._verified(found, segments, asked)]
        rows.sort(key=lambda row: (row["first_id"], row["second_id"]))
        schema = table.plain_schema(PAIR_COLUMNS)
        import pyarrow as pa

        data = table.to_bytes(pa.Table.from_pylist(rows, schema=schema), schema)
        self.lake.write(key, data)
        made["pairs.parquet"] = sha256_bytes(data)
        self.lake.write(f"{self.folder}/done.json", (json.dumps(made, sort_keys=True) + "\n").encode())
        return sha256_bytes(data)

    def _verified(
        self,
        found: Sequence[tuple[int, int, int]],
        segments: Sequence[tuple[_Batch, index.Segment]],
        asked: Sequence[Fingerprint],
    ) -> Iterator[verify.Pair]:
        """The pairs among candidates. Earlier fingerprints are read for those that are needed, a batch at a time."""
        own = {one.sample_id: one for one in asked}
        for place in sorted({segment for _, segment, _ in found}):
            batch, segment = segments[place]
            wanted = [(clip, segment.ids[there]) for clip, at, there in found if at == place]
            first = own if batch is self else {p.sample_id: p for p in batch.prints({name for _, name in wanted})}
            for clip, name in wanted:
                pair = None if _apart(first[name], asked[clip]) else verify.verify(first[name], asked[clip])
                if pair is not None:
                    yield pair

    def _keep(self, number: int, segment: index.Segment) -> None:
        import numpy as np

        arrays = {"ids": np.array([one.encode() for one in segment.ids], dtype=bytes)}
        for view in (index.SOUND, index.PICTURE, index.MIDDLE):
            arrays |= {f"{name}{view}": getattr(segment, name)[view] for name in _ARRAYS}
        for name, array in arrays.items():
            file = io.BytesIO()
            np.save(file, array, allow_pickle=False)
            self.lake.write(f"{self.folder}/{number}-{name}.npy", file.getvalue())

    @cached_property
    def segments(self) -> list[index.Segment]:
        """The batch's segments as they were kept, one a version, mapped and not read into memory."""
        import numpy as np

        out = []
        for number, version in enumerate(self.done.get("versions", [])):

            def load(name: str, number: int = number) -> np.ndarray:
                key = f"{self.folder}/{number}-{name}.npy"
                path = Path(self.lake.full(key)) if self.lake.is_local else Nearby(self.lake).one(key)
                return np.load(path, mmap_mode="r", allow_pickle=False)

            ids = tuple(one.decode() for one in load("ids").tolist())
            views = [tuple(load(f"{name}{view}") for view in (0, 1, 2)) for name in _ARRAYS]
            out.append(index.Segment(str(version), ids, *views))
        return out


def _apart(first: Fingerprint, second: Fingerprint) -> bool:
    """Whether two clips are different seconds of one video: however alike they are, one is no copy of the other."""
    same = first.video_id == second.video_id
    return same and min(first.end_s, second.end_s) <= max(first.start_s, second.start_s)


def _row(pair: verify.Pair, version: str) -> dict[str, object]:
    values = asdict(pair)
    return {"first_id": values.pop("first"), "second_id": values.pop("second"), **values, "version": version}


def _strings(ids: set[str]):
    import pyarrow as pa

    return pa.array(sorted(ids), pa.string())
