"""Parts: what follows from one batch alone is decided once, and kept beside the batch.

    <root>/parts/batch=<key>/<digest>.json                  which rows there are, by model: the commit
    <root>/parts/batch=<key>/<model>-<sha16>.parquet        the rows of one model, of this batch, in order of its key

A release decides for the batches that have no part yet, all in one run of dbt, and reads the others'
(`dbt/macros/by_batch.sql`). So a build from scratch and one that adds a day come to the same rows: what either reads
was made alike. The digest is of all that a part follows from: the batch's tables and what its gate set aside, the
models by batch with the macros and seeds that they use, the libraries. While it stands, so does the part. Whether a
file is what its commit says is asked each time; where it is not, the part is made anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from winnow.core.fingerprint import code_digest
from winnow.core.lake import Lake, digest, sha256_bytes, sha256_file
from winnow.core.nearby import Nearby, Wanted
from winnow.core.thresholds import rows_of
from winnow.release import snapshot
from winnow.release.behaviour import file_behaviour, sql_behaviour
from winnow.release.inputs import InputFile, input_columns
from winnow.release.listing import written

#: The points of thresholds.csv whose rules follow from one batch: the others' may change, and no part with them.
POINTS = ("separate",)
NAME_CHARS = 16
#: What a part follows from, and what is said where that is another.
CHANGED = {
    "models": "the SQL or the rules changed",
    "tables": "its tables changed",
    "aside": "its gate set other rows aside",
}
_BY_BATCH = re.compile(r"materialized\s*=\s*'by_batch'")
_STAGE = re.compile(r"\bstage_table\('(\w+)'\)")
_REF = re.compile(r"\bref\('(\w+)'\)")


def folder(batch: str) -> str:
    """Where the parts of a batch lie."""
    return f"parts/batch={batch}"


def newest(lake: Lake, batch: str) -> set[str]:
    """Keys of the files of a batch's newest part, with its commit's."""
    commits = [f"{folder(batch)}/{name}" for name in lake.list(folder(batch)) if name.endswith(".json")]
    last = max(commits, key=lambda key: (written(lake, key) or 0.0, key), default=None)
    found = _parsed(lake.read_or_none(last)) if last else None
    return {last, *(said["path"] for said in found["rows"].values())} if last and found else set()


@dataclass(frozen=True)
class ByBatch:
    """The models of a dbt project that are built by batch."""

    project: Path

    @cached_property
    def _texts(self) -> dict[str, str]:
        found = {path: path.read_text(encoding="utf-8") for path in sorted((self.project / "models").rglob("*.sql"))}
        return {path.stem: text for path, text in found.items() if _BY_BATCH.search(text)}

    @cached_property
    def stages(self) -> frozenset[str]:
        """Stages whose tables nothing reads but these models."""
        return frozenset(stage for text in self._texts.values() for stage in _STAGE.findall(text))

    @cached_property
    def behaviour(self) -> str:
        """Digest of what they do."""
        macros = [sql_behaviour(p.read_text(encoding="utf-8")) for p in sorted((self.project / "macros").glob("*.sql"))]
        used = {name for text in (*self._texts.values(), *macros) for name in _REF.findall(text)}
        seeds = {
            path.stem: sha256_bytes(str(rows_of(path.read_text(encoding="utf-8"), POINTS)).encode())
            if path.stem == "thresholds"
            else file_behaviour(path)
            for path in sorted((self.project / "seeds").glob("*.csv"))
            if path.stem in used
        }
        models = {name: sql_behaviour(text) for name, text in self._texts.items()}
        said = file_behaviour(self.project / "dbt_project.yml")
        made_by = [code_digest("winnow.release.snapshot"), version("duckdb"), version("dbt-duckdb"), input_columns()]
        return digest([models, macros, seeds, said, made_by])


class Parts:
    """The parts of the admitted batches (`heads`, by key): those that stand, and those that a build has to make.
    `aside`: rows that gates set aside."""

    def __init__(
        self, lake: Lake, project: Path, heads: Mapping[str, dict[str, Any]], aside: Sequence[Mapping[str, str]]
    ) -> None:
        self.lake, self.models = lake, ByBatch(project)
        self.follows_from = {batch: self._follows_from(head, aside) for batch, head in heads.items()}
        #: Why each batch has to be decided.
        self.why: dict[str, str] = {}
        #: What `inputs.write_inputs` lists of the others: {"model", "path"}.
        self.rows: list[dict[str, str]] = []
        for batch in sorted(heads):
            commit = self._commit(batch)
            if commit is None:
                self.why[batch] = self._reason(batch)
            elif (rows := self._read(commit)) is None:
                self.why[batch] = "a file of its part is missing or damaged"
            else:
                self.rows += rows

    def listed(self, files: Iterable[InputFile]) -> list[InputFile]:
        """The files, each said to be decided where nothing has to read it."""
        standing = self.follows_from.keys() - self.why.keys()
        return [replace(f, is_decided=f.stage in self.models.stages and f.batch in standing) for f in files]

    def told(self) -> list[str]:
        """Which batches are decided anew, and why, a line a reason."""
        reasons = sorted(set(self.why.values()))
        of = {reason: [batch for batch, why in self.why.items() if why == reason] for reason in reasons}
        return [
            f"decided anew, {reason}: {', '.join(batches[:5])}"
            + (f" and {len(batches) - 5} more" if len(batches) > 5 else "")
            for reason, batches in of.items()
        ]

    def keep(self, database: Path, models: Mapping[str, tuple[str, Sequence[str]]], work: Path) -> None:
        """Put the rows that dbt made of the batches that had no part into the lake, and then their commits. `models`:
        by name its schema and key, of those that are kept."""
        import duckdb

        with duckdb.connect(str(database), read_only=True) as con:
            told = 'SELECT batch, count(*) FROM {}."{}__new" GROUP BY batch'
            counts = {name: dict(con.sql(told.format(schema, name)).fetchall()) for name, (schema, _) in models.items()}
            for batch in self.why:
                has = sorted(name for name in models if counts[name].get(batch))
                said = {name: self._put(con, batch, name, *models[name], work) for name in has}
                commit = {"batch": batch, "made_from": self.follows_from[batch], "rows": said}
                text = json.dumps(commit, indent=1, sort_keys=True)
                self.lake.write(self._key(batch), f"{text}\n".encode())

    # -- one part ------------------------------------------------------------------------------------------------------
    def _follows_from(self, head: Mapping[str, Any], aside: Sequence[Mapping[str, str]]) -> dict[str, str]:
        tables = {stage: at["files"] for stage, at in sorted(head["stages"].items()) if stage in self.models.stages}
        own = sorted([row["stage"], row["sample_id"], row["rules"]] for row in aside if row["batch"] == head["batch"])
        return {"models": self.models.behaviour, "tables": digest([head.get("seq"), tables]), "aside": digest(own)}

    def _key(self, batch: str) -> str:
        return f"{folder(batch)}/{digest(self.follows_from[batch])}.json"

    def _commit(self, batch: str) -> dict[str, Any] | None:
        return _parsed(self.lake.read_or_none(self._key(batch)))

    def _reason(self, batch: str) -> str:
        """What is other than in the parts that there are; the nearest of them counts."""
        names = [name for name in self.lake.list(folder(batch)) if name.endswith(".json")]
        found = (_parsed(self.lake.read_or_none(f"{folder(batch)}/{name}")) for name in names)
        before = [commit.get("made_from", {}) for commit in found if commit]
        if not before:
            return "new"
        now = self.follows_from[batch]
        changed = min(([name for name in now if one.get(name) != now[name]] for one in before), key=len)
        return " and ".join(CHANGED[name] for name in changed) or "new"

    def _read(self, commit: Mapping[str, Any]) -> list[dict[str, str]] | None:
        """The files of a part, as copies of a lake in a bucket; None where one is not what the commit says."""
        files = {name: (said["path"], said["sha256"]) for name, said in commit["rows"].items()}
        if not self.lake.is_local:
            near = Nearby(self.lake)
            wanted = {name: Wanted(*file) for name, file in files.items()}
            if near.bring(wanted.values()):
                return None
            return [{"model": name, "path": str(near.path(file))} for name, file in wanted.items()]
        for path, sha256 in files.values():
            try:
                if sha256_file(Path(self.lake.full(path))) != sha256:
                    return None
            except FileNotFoundError:
                return None
        return [{"model": name, "path": self.lake.full(path)} for name, (path, _) in files.items()]

    def _put(
        self, con: Any, batch: str, model: str, schema: str, key: Sequence[str], work: Path
    ) -> dict[str, str | int]:
        made = work / "part.parquet"
        quoted = batch.replace("'", "''")
        snapshot.copy_rows(con, f"{schema}.\"{model}__new\" WHERE batch = '{quoted}'", key, made)
        sha256, size = sha256_file(made), made.stat().st_size
        path = f"{folder(batch)}/{model}-{sha256[:NAME_CHARS]}.parquet"
        self.lake.put_file(made, path, move=True)
        return {"path": path, "sha256": sha256, "bytes": size}


def _parsed(data: bytes | None) -> dict[str, Any] | None:
    """A commit; None for one that is not there, or is damaged."""
    try:
        found = json.loads(data or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("rows"), dict) else None
