"""A lake with clips in a tar and a published release whose mixtures are written down here: what `winnow mix` reads."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from winnow.batch import mixture_plan
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.runtime import run_stage
from winnow.core.sample import sid
from winnow.core.settings import Settings
from winnow.core.shard import Lineage
from winnow.core.shard_tar import ShardTar
from winnow.core.stage import stage_needs

TAR = "clip/v=0123456789ab/batch=day/00000-01234567.01234567.tar"
MIXTURES = pa.schema(
    [
        *((n, pa.string()) for n in ("mixture_id", "list_version", "split", "label")),
        ("position", pa.int32()),
        ("clip1_sample_id", pa.string()),
        ("clip1_output_offset_s", pa.float64()),
        ("clip2_sample_id", pa.string()),
        ("clip2_output_offset_s", pa.float64()),
    ]
)


def clip_id(name: str) -> str:
    """A clip's id from a name."""
    return sid("clip", name)


def mixture(one: str, two: str, **values: object) -> dict[str, object]:
    """A row of `audioscope_mixtures`."""
    return {
        "mixture_id": sid("mixture", one, two),
        "list_version": "v2",
        "split": "test",
        "label": "onscreen_only",
        "position": 1,
        "clip1_sample_id": clip_id(one),
        "clip2_sample_id": clip_id(two),
        **values,
    }


def publish(lake: Lake, release: str, clips: Mapping[str, bytes], rows: list[dict], tar: str = TAR) -> None:
    """Put clips into a tar of the lake, and publish a release with them and these mixtures."""
    place = Path(lake.full(tar))
    place.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(place, "w") as file:
        for name, data in clips.items():
            member = tarfile.TarInfo(f"{clip_id(name)}.mp4")
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    ids = [clip_id(name) for name in clips]
    tables = {
        "tables/audioscope_mixtures": pa.Table.from_pylist(
            [{n: row.get(n) for n in MIXTURES.names} for row in rows], schema=MIXTURES
        ),
        "tables/fct_clips": pa.table({"sample_id": ids, "media_sha256": [sha256_bytes(d) for d in clips.values()]}),
        "ops/fct_clip_files": pa.table({"sample_id": ids, "tar": [tar] * len(ids)}),
    }
    for name, table in tables.items():
        path = Path(lake.full(f"releases/{release}/{name}.parquet"))
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    lake.write(f"releases/{release}/manifest.json", b"{}")
    lake.write("releases/current", release.encode())


class Mixed:
    """What `mix` made of a release of one lake: `rows` by mixture, files by name."""

    def __init__(self, lake: Lake, **params: object) -> None:
        self.lake, self.cut = lake, mixture_plan.cut(lake)
        self.batch = str(self.cut["batch"])
        self.summary = run_stage(lake, "mix", self.batch, params, Settings(lake=lake.root))
        lineage = Lineage(lake, self.batch, stage_needs())
        self.rows: dict[str, dict] = {}
        self.files: dict[str, bytes] = {}
        self.tables: list[bytes] = []
        for number in lineage.numbers("mix"):
            manifest = lineage.committed("mix", number)
            assert manifest is not None
            self.tables.append(lake.read_table(manifest))
            self.rows |= {row["sample_id"]: row for row in pq.read_table(io.BytesIO(self.tables[-1])).to_pylist()}
            with lake.local(lake.table_key(manifest).removesuffix(".parquet") + ".tar") as path:
                members = ShardTar(path)
                self.files |= {name: members.read(name) for name in members.names()}
                members.close()

    def row(self, one: str, two: str) -> dict:
        """The row of a mixture."""
        return self.rows[sid("mixture", one, two)]

    def file(self, one: str, two: str, ext: str) -> bytes:
        """One of a mixture's files."""
        return self.files[f"{sid('mixture', one, two)}.{ext}"]

    def record(self, one: str, two: str) -> dict:
        """The record beside a mixture."""
        return json.loads(self.file(one, two, "json"))


def samples(data: bytes) -> tuple[np.ndarray, int]:
    """A file's first sound: int64 samples of 24 bits, mono, and its rate."""
    with av.open(io.BytesIO(data)) as file:
        stream = file.streams.audio[0]
        assert (stream.codec_context.name, stream.codec_context.layout.nb_channels) == ("flac", 1)
        frames = [frame.to_ndarray()[0] for frame in file.decode(stream)]
        return np.concatenate(frames).astype(np.int64) >> 8, stream.rate


def wave(data: bytes) -> np.ndarray:
    """A file's first sound, full scale 1.0."""
    return samples(data)[0] / 2**23


def packets(data: bytes) -> list[tuple]:
    """Every video packet: its bytes and its times in s."""
    with av.open(io.BytesIO(data)) as file:
        stream = file.streams.video[0]
        return [
            (bytes(p), p.pts * p.time_base, p.dts * p.time_base, p.duration * p.time_base, p.is_keyframe)
            for p in file.demux(stream)
            if p.size
        ]


def pictures(data: bytes) -> list[tuple[float, bytes]]:
    """Every decoded picture: when it is shown, s, and its pixels."""
    with av.open(io.BytesIO(data)) as file:
        return [(frame.time, frame.to_ndarray().tobytes()) for frame in file.decode(video=0)]
