"""A lake with cut tables and toy stages over them, for tests of the house itself."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from tests.unit.manifests import manifest_of
from winnow.core import table
from winnow.core.lake import Lake, digest, sha256_bytes
from winnow.core.runtime import Runtime
from winnow.core.sample import Outcome, Reason
from winnow.core.settings import Settings
from winnow.core.shard import shard_name
from winnow.core.stage import Batch, Stage, StageParams

COLUMNS = {"text": "string"}


def cut(lake: Lake, stage: str, batch: str, shards: list[list[tuple[str, str]]]) -> None:
    """Commit a cut table whose shards hold (sample_id, text) rows."""
    names = []
    for number, rows in enumerate(shards):
        ids, texts = [r[0] for r in rows], [r[1] for r in rows]
        data = table.to_bytes(
            pa.Table.from_pydict(
                {
                    "sample_id": ids,
                    "outcome": ["ok"] * len(rows),
                    "reason": [None] * len(rows),
                    "detail": [None] * len(rows),
                    "text": texts,
                },
                schema=table.arrow_schema(COLUMNS),
            )
        )
        name = shard_name(number, {"rows": sha256_bytes(data)})
        lake.commit(
            manifest_of(data, stage, batch, name, len(rows)),
            data,
        )
        names.append(name)
    lake.set_head(stage, batch, {"v": "0" * 12, "shards": names})


class Count(Stage):
    """Counts characters; texts that start with '!' name the Reason they fail for; `calls` says which ids it saw."""

    name, image, needs = "count", "base", ("words",)
    schema = {"chars": "int64"}
    calls: list[str] = []
    cured: set[str] = set()

    class Params(StageParams):
        extra: int = 0

    def process(self, batch: Batch) -> Iterator[Outcome]:
        for sample in batch:
            self.calls.append(sample.id)
            text = sample.row["text"]
            if text == "!lose":
                continue
            if text.startswith("!") and sample.id not in self.cured:
                yield Outcome.failed(sample.id, Reason(text[1:]), "as planted")
            else:
                yield Outcome.ok(sample.id, {"chars": len(text) + self.params.extra})


class Letters(Stage):
    """A fan-out: one sample a letter, with its file."""

    name, image, needs, sidecar = "letters", "base", ("words",), "tar"
    schema = {"letter": "string"}

    def process(self, batch: Batch) -> Iterator[Outcome]:
        for sample in batch:
            for position, letter in enumerate(sample.row["text"]):
                clip = f"{sample.id}{position}"
                yield Outcome.ok(clip, {"letter": letter}, parent=sample.id, files={"txt": letter.encode()})


class Join(Stage):
    """Reads two tables and the files beside one."""

    name, image, needs = "join", "base", ("letters", "odd")
    schema = {"both": "string"}

    def process(self, batch: Batch) -> Iterator[Outcome]:
        yield from batch.map(lambda s: {"both": s.media("txt").decode() + s.needs["odd"]["half"]})


class Odd(Stage):
    """Fails for every second sample."""

    name, image, needs = "odd", "base", ("letters",)
    schema = {"half": "string"}

    def process(self, batch: Batch) -> Iterator[Outcome]:
        for i, sample in enumerate(batch):
            if i % 2:
                yield Outcome.failed(sample.id, Reason.undecodable, "odd")
            else:
                yield Outcome.ok(sample.id, {"half": sample.row["letter"].upper()})


class Capitals(Stage):
    """Files of its own, for every second sample."""

    name, image, needs, sidecar = "capitals", "base", ("letters", "odd"), "tar"
    schema = {"half": "string"}

    def process(self, batch: Batch) -> Iterator[Outcome]:
        for sample in batch:
            half = sample.needs["odd"]["half"]
            yield Outcome.ok(sample.id, {"half": half}, files={"capital": half.encode()})


class Both(Stage):
    """Reads the files beside two tables, one of which it can do without."""

    name, image, needs, optional_needs = "both", "base", ("letters",), ("capitals",)
    schema = {"both": "string"}

    def process(self, batch: Batch) -> Iterator[Outcome]:
        for sample in batch:
            files = ["txt", *(["capital"] if "capitals" in sample.needs else [])]
            yield Outcome.ok(sample.id, {"both": "".join(sample.media(ext).decode() for ext in files)})


NEEDS = {s.name: s.needs for s in (Count, Letters, Odd, Join, Capitals, Both)}
OPTIONAL_NEEDS = {s.name: s.optional_needs for s in (Both,)}


def runtime(lake: Lake, stage: type[Stage], batch: str = "day", **params: object) -> Runtime:
    """A Runtime of a toy stage that logs nothing."""
    made = Runtime(stage(stage.Params(**params), lake, Settings()), lake, batch, log=lambda line: None)
    made.lineage.needs, made.lineage.optional_needs = NEEDS, OPTIONAL_NEEDS
    return made


def read(lake: Lake, runtime: Runtime, number: int = 0):
    """(manifest, rows) of a committed shard."""
    import io

    import pyarrow.parquet as pq

    lineage = type(runtime.lineage)(lake, runtime.batch, NEEDS, OPTIONAL_NEEDS)
    manifest = lineage.committed(runtime.stage.name, number)
    return manifest, pq.read_table(io.BytesIO(lake.read_table(manifest))).to_pylist()


__all__ = ["Both", "Capitals", "Count", "Join", "Letters", "Odd", "cut", "digest", "read", "runtime"]
