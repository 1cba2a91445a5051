"""Runtime: what happens to a shard. For each one of a part of a batch:

    skip if its manifest is there → read inputs → process → failure budget → table → manifest, last and exclusively

The skip path reads a few small JSON files and imports no data library, so asking "is this done?" is cheap.
"""

from __future__ import annotations

import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow.core import cpu, memory, progress, shard_tar
from winnow.core.attempt import Attempt
from winnow.core.errors import ConfigError, ContractError, FailureBudgetExceeded
from winnow.core.lake import Lake, digest, sha256_bytes
from winnow.core.manifest import Manifest
from winnow.core.sample import OURS, RETRYABLE, Outcome, Reason, check_batch
from winnow.core.shard import Lineage, retry_name, shard_name
from winnow.core.shard_tar import DIGESTS, ShardTar, Spool
from winnow.core.stage import (
    Batch,
    Sample,
    Stage,
    identity,
    parse_params,
    stage_class,
    stage_needs,
    stage_optional_needs,
)
from winnow.core.summary import Going, Summary

if TYPE_CHECKING:
    import pyarrow as pa

    from winnow.core.settings import Settings

MIN_BUDGET_ROWS = 10
#: Samples of a shard that may end as `internal_error` or `killed`: fewer than so many, or up to this share. Below that
#: a few odd samples do not stop the others; above it something is broken, and committing would hide it.
MIN_INTERNAL_ROWS = 4
INTERNAL_BUDGET = 0.1


class Runtime:
    """Runs one stage over the shards of one batch. `tell` hears how far it came (`went`, a Going) and, as `working`,
    what is larger the further it came: (shards done, whether it works on each sample alone, samples given up).
    `prepare` is called once, where there is something to compute."""

    def __init__(
        self,
        stage: Stage,
        lake: Lake,
        batch: str,
        log: Callable[[str], None] | None = None,
        tell: Callable[[str, object], None] = lambda kind, said: None,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self.stage, self.lake, self.batch = stage, lake, batch
        self.since = lake.head_pointer(stage.name, batch)
        self.identity = identity(stage)
        self.fingerprint = digest(self.identity)
        self.conditions = stage.conditions()
        self.lineage = Lineage(lake, batch, stage_needs(), stage_optional_needs())
        self._log = log or (lambda line: print(line, file=sys.stderr, flush=True))
        self._tell, self._prepare, self._done = tell, prepare, 0
        self._ready = False

    def run(
        self, part: int = 0, parts: int = 1, retry: frozenset[Reason] = frozenset(), went: Going | None = None
    ) -> Summary:
        """Every shard whose position falls to this part (position % parts == part), done or found done; of a run that
        `went` so far already, the others."""
        if not 0 <= part < parts:
            raise ConfigError(f"part {part} of {parts}: parts count from 0")
        if wrong := retry - RETRYABLE:
            raise ConfigError(
                f"cannot retry {', '.join(sorted(r.value for r in wrong))}: only transient reasons can pass "
                f"({', '.join(sorted(r.value for r in RETRYABLE))})"
            )
        memory.keep_freed()
        source = self.stage.needs[0]
        if self.lineage.head(source) is None:
            raise ContractError(
                f"{self.stage.name} of batch {self.batch} needs {source}, of which nothing is committed: "
                f"run the stages before it (`winnow ingest --batch {self.batch}` is the first)"
            )
        going = went or Going(self._summary(), self.lake.head(self.stage.name, self.batch))
        if went is None:
            self.lake.set_head(self.stage.name, self.batch, {"v": self.fingerprint}, self.since)
            self.lake.sweep(self.lake.folder(self.stage.name, self.fingerprint, self.batch))
        return self._go(going, self.lineage.numbers(self.stage.name)[part::parts], retry)

    def try_again(self, reasons: frozenset[Reason], went: Going | None = None) -> Summary:
        """Try the rows of committed shards again that failed for any of these reasons. Shards that are not done, and a
        stage that stands at another version, are left alone."""
        numbers = []
        for number in self.lineage.numbers(self.stage.name):
            done = self.lineage.committed(self.stage.name, number)
            if (
                done is not None
                and done.fingerprint == self.fingerprint
                and {reason.value for reason in reasons} & set(done.reasons)
            ):
                numbers.append(number)
        return self._go(went or Going(self._summary()), numbers, reasons)

    def _summary(self) -> Summary:
        return Summary(self.stage.name, self.batch, self.fingerprint)

    def _go(self, going: Going, numbers: Sequence[int], retry: frozenset[Reason]) -> Summary:
        summary, done = going.summary, set(going.done)
        for number in [n for n in numbers if n not in done]:
            computed, self._done = summary.computed, len(going.done)
            manifest = self._shard(number, retry, going.before, summary)
            summary.shards += 1
            summary.add(manifest)
            going.done.append(number)
            if summary.computed > computed:
                self.lineage.add(manifest)
                self._tell("went", going)
        self.lineage.keep()
        return summary

    def _shard(
        self, number: int, retry: frozenset[Reason], before: dict[str, Any] | None, summary: Summary
    ) -> Manifest:
        inputs = self.lineage.require_inputs(self.stage.name, number)
        digests = {need: m.sha256 for need, m in inputs.items()}
        name = shard_name(number, digests)
        done = self.lineage.committed(self.stage.name, number)
        lifted = self._lifted(done) if done else {}
        again = ({r.value for r in retry} & set(done.reasons)) | set(lifted) if done else set()
        if done and not again:
            summary.skipped += 1
            self._log(f"skip {self.stage.name} {done.shard}: done ({done.ok} ok, {done.failed} failed)")
            return done
        if done:
            why = f"trying again: {', '.join(f'{r} {done.reasons[r]}' + lifted.get(r, '') for r in sorted(again))}"
            summary.retried += 1
        else:
            why = self.why(number, before)
        if why not in summary.why:
            summary.why.append(why)
        self._log(f"run  {self.stage.name} {name}: {why}")
        manifest = self._compute(name, inputs, digests, done if again else None, again)
        summary.computed += 1
        reasons = f" ({', '.join(f'{r} {n}' for r, n in manifest.reasons.items())})" if manifest.reasons else ""
        self._log(
            f"done {self.stage.name} {manifest.shard}: {manifest.ok} ok, {manifest.failed} failed{reasons}, "
            f"{manifest.seconds:.1f} s"
        )
        return manifest

    def _lifted(self, done: Manifest) -> dict[str, str]:
        """Reasons of a shard's rows that a change of the deployment may have lifted, and what changed, in words."""
        found: dict[str, str] = {}
        for reason, names in self.stage.lifted_by.items():
            changed = [name for name in names if done.conditions.get(name) != self.conditions.get(name)]
            if reason.value in done.reasons and changed:
                found[reason.value] = f" ({', '.join(changed)} changed)"
        return found

    def why(self, number: int, before: dict[str, Any] | None) -> str:
        """Why a shard is not done, told from what the batch stood at before."""
        if before is None:
            return "first run"
        old = before["v"]
        earlier = [
            n
            for n in self.lake.list(self.lake.folder(self.stage.name, old, self.batch))
            if n.startswith(f"{number:05d}-") and n.endswith(".json")
        ]
        if not earlier:
            return "first run"
        if old == self.fingerprint:
            return "inputs changed"
        then = self.lake.manifest(self.stage.name, old, self.batch, earlier[-1].removesuffix(".json"))
        assert then is not None
        now = {"module": self.identity["code"], "params": self.identity["params"], "model": self.identity["model"]}
        was = {"module": then.code, "params": then.params, "model": then.model}
        changed = [key for key in now if now[key] != was[key]] or ["version"]
        return f"{' and '.join(changed)} changed"

    def _compute(
        self, name: str, inputs: dict[str, Manifest], digests: dict[str, str], done: Manifest | None, again: set[str]
    ) -> Manifest:
        """Measure one shard (or, again, the rows of `done` that failed for a reason in `again`) and commit it."""
        if not self._ready:
            self._prepare()
        from winnow.core import table

        if not self._ready:
            self.stage.setup()
            cpu.check()
            self._ready = True
        clock, busy, at = time.perf_counter(), time.process_time(), datetime.now(UTC)
        with ExitStack() as stack:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"winnow-{self.stage.name}-")))
            samples, missing = self.read_samples(inputs, stack)
            kept, only = (None, None) if done is None or self.stage.sidecar else self._kept(done, again)
            if only is not None:
                samples = [s for s in samples if s.id in only]
            attempt = stack.enter_context(
                Attempt(
                    self.lake,
                    self.lake.folder(self.stage.name, self.fingerprint, self.batch),
                    name,
                    self.stage.settings.stall_s,
                    lambda alone, killed: self._tell("working", (self._done, alone, killed)),
                )
            )
            outcomes = attempt.failed(samples)
            self._budget(len(samples), Counter(o.reason for o in outcomes if o.reason), name)  # rather than one by one
            spool = Spool(work / "spool")
            stack.callback(spool.close)
            for group in attempt.groups(samples):
                made = attempt.watched(self.stage.process(Batch(group, work, name, inputs, spool)))
                made = progress.shown(made, f"     {self.stage.name} {name}", len(group))
                outcomes += (outcome.laid_aside(spool) for outcome in made)
            self._check(samples, outcomes)
            outcomes += [one for one in missing if only is None or one.sample_id in only]
            reasons = Counter(o.reason.value for o in outcomes if o.reason)
            self._budget(len(samples), Counter(o.reason for o in outcomes if o.reason and o.reason.systemic), name)
            cpu.check()  # again: what computes may have been imported only now
            measured = table.from_outcomes(outcomes, self.stage.columns(), self.stage.name)
            if kept is not None:
                import pyarrow as pa

                measured = pa.concat_tables([kept, measured]).sort_by("sample_id")
                reasons = Counter(r for r in measured["reason"].to_pylist() if r)
            data = table.to_bytes(measured)
            tar = self._tar(outcomes, work) if self.stage.sidecar else None
            shard = name if done is None else retry_name(name, int(done.shard.partition("-r")[2] or 0) + 1)
            failed = sum(reasons.values())
            sha256 = sha256_bytes(data)
            manifest = Manifest(
                stage=self.stage.name,
                fingerprint=self.fingerprint,
                batch=self.batch,
                shard=shard,
                file=f"{shard}.{sha256[:8]}.parquet",
                sha256=sha256,
                bytes=len(data),
                rows=measured.num_rows,
                rows_in=len(samples) + len(missing) if only is None or done is None else done.rows_in,
                ok=measured.num_rows - failed,
                failed=failed,
                reasons=dict(sorted(reasons.items())),
                inputs=digests,
                code=str(self.identity["code"]),
                params=dict(self.identity["params"]),
                model=self.identity["model"],
                sidecar=self.stage.sidecar,
                sidecar_bytes=tar.stat().st_size if tar else 0,
                retry_of=done.shard if done else None,
                at=at.isoformat(timespec="seconds"),
                host=platform.node(),
                seconds=round(time.perf_counter() - clock, 3),
                cpu_seconds=round(time.process_time() - busy, 3),
                device=self.stage.device,
                versions=_versions(),
                conditions=self.conditions,
            )
            return self.lake.commit(manifest, data, tar)

    def read_samples(self, inputs: dict[str, Manifest], stack: ExitStack) -> tuple[list[Sample], list[Outcome]]:
        """The shard's samples, ordered by id; and failed outcomes for those whose row in another table failed."""
        from winnow.core.rows import Rows

        tables: dict[str, Rows] = {}
        beside: list[str] = []
        tars: list[Path] = []
        for need, manifest in inputs.items():
            tables[need] = Rows(self.lake.read_table(manifest))
            if manifest.sidecar:
                beside.append(need)
                tars.append(stack.enter_context(self.lake.local(self.lake.tar_key(manifest))))
        members = ShardTar(*tars) if tars else None
        if members:
            stack.callback(members.close)
        first, *others = self.stage.needs
        wanted = [name for name in self.stage.optional_needs if name in tables]
        removed = {file: day for manifest in inputs.values() for file, day in manifest.removed.items()}
        samples, missing = [], []
        for sample_id in tables[first].ok:
            rows = {name: row for name in tables if (row := tables[name].get(sample_id)) is not None}
            if removed and (days := {removed[file] for file in _files(sample_id, rows.values()) if file in removed}):
                same = {"candidate_id": sample_id, **rows[first]}
                same = {name: same.get(name) for name in ("candidate_id", "video_id") if name in self.stage.schema}
                why = f"its file was taken down on {min(days)}"
                missing.append(Outcome.failed(sample_id, Reason.taken_down, why, values=same))
                continue
            there = [(n, rows.get(n)) for n in others]
            broken = [(n, r["reason"] if r else "no row") for n, r in there if r is None or r["outcome"] != "ok"]
            if broken:
                detail = "; ".join(f"{n}: {reason}" for n, reason in broken)
                missing.append(Outcome.failed(sample_id, Reason.no_input, detail))
            else:
                more = [n for n in wanted if n in rows and rows[n]["outcome"] == "ok"]
                needs = {n: rows[n] for n in (*others, *more)}
                said = _said_of_files(rows.get(n, {}) for n in beside)
                samples.append(Sample(sample_id, rows[first], needs, members, said))
        return samples, missing

    def _kept(self, done: Manifest, again: set[str]) -> tuple[pa.Table, set[str]]:
        """The rows of an earlier attempt that stand, and the ids of those to try again."""
        import io

        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        rows = pq.read_table(io.BytesIO(self.lake.read_table(done)))
        retry = pc.is_in(rows["reason"], value_set=_strings(sorted(again)))
        return rows.filter(pc.invert(retry)), set(rows.filter(retry)["sample_id"].to_pylist())

    def _check(self, samples: Sequence[Sample], outcomes: Sequence[Outcome]) -> None:
        """Nothing disappears and nothing appears: every input has an outcome, every outcome an input."""
        given, got = {s.id for s in samples}, {o.parent or o.sample_id for o in outcomes}
        if given != got:
            lost, strange = sorted(given - got)[:5], sorted(got - given)[:5]
            raise ContractError(
                f"{self.stage.name}: {len(given - got)} samples without an outcome {lost}, "
                f"{len(got - given)} outcomes without a sample {strange}"
            )

    def _budget(self, rows: int, systemic: Counter[Reason], name: str) -> None:
        """Fail the shard when more of its samples failed through the system's fault than it may lose: few where the
        fault is our own, more where the outside may take it back."""
        count, ours = sum(systemic.values()), sum(systemic[reason] for reason in OURS)
        if (count >= MIN_BUDGET_ROWS and count > self.stage.failure_budget * rows) or (
            ours >= MIN_INTERNAL_ROWS and ours > INTERNAL_BUDGET * rows
        ):
            reasons = ", ".join(f"{r.value} {n}" for r, n in sorted(systemic.items()))
            raise FailureBudgetExceeded(
                f"{self.stage.name} {name} of batch {self.batch}: {count} of {rows} samples failed for reasons that "
                f"are not the data's ({reasons}). Nothing was committed. See the log above, mend it, run it again."
            )

    @staticmethod
    def _tar(outcomes: Sequence[Outcome], work: Path) -> Path:
        """The shard's files as one WebDataset tar: `<sample_id>.<ext>`, ordered, without clocks or owners."""
        path = work / "shard.tar"
        ordered = sorted(outcomes, key=lambda o: o.sample_id)
        shard_tar.write(path, ((f"{o.sample_id}.{ext}", o.files[ext]) for o in ordered for ext in sorted(o.files)))
        return path


def _said_of_files(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """SHA-256 of a sample's files by extension, as its rows in the tables that have files beside them say."""
    return {ext: row[column] for row in rows for ext, column in DIGESTS.items() if row.get(column)}


def _files(sample_id: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Names of the files that a sample's rows name: members of tars, and its source video."""
    for row in rows:
        yield from (f"{sample_id}.{ext}" for ext, column in DIGESTS.items() if row.get(column))
        if row.get("media_sha256") and row.get("media_ext"):
            yield f"{row['media_sha256']}.{row['media_ext']}"


def _strings(values: list[str]) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, type=pa.string())


def _versions() -> dict[str, str]:
    """Versions of the loaded libraries that results may depend on."""
    names = ("av", "numpy", "scipy", "sklearn", "yt_dlp", "torch", "winnow")
    loaded: Iterator[tuple[str, object]] = ((n, sys.modules.get(n)) for n in names)
    versions = {
        n: str(getattr(m, "__version__", getattr(getattr(m, "version", None), "__version__", "?")))
        for n, m in loaded
        if m
    }
    return {"python": platform.python_version(), **versions}


def reasons_of(names: Sequence[str]) -> frozenset[Reason]:
    """Reasons by their names; ConfigError, with those there are, for an unknown one."""
    try:
        return frozenset(Reason(name) for name in names)
    except ValueError as error:
        raise ConfigError(
            f"retry_reasons: {error}; transient reasons are {', '.join(sorted(r.value for r in RETRYABLE))}"
        ) from error


def run_stage(
    lake: Lake,
    name: str,
    batch: str,
    params: dict[str, Any],
    settings: Settings,
    part: int = 0,
    parts: int = 1,
    retry: Sequence[str] = (),
    again: bool = False,
) -> dict[str, Any]:
    """Body of `winnow run`: one stage over a part of a batch; `again`: only rows of committed shards that failed for
    one of `retry`. What a run does not say of the parameters, the lake's `winnow.toml` does. Returns the Summary as a
    dict."""
    from winnow.core.config import stage_params

    cls, reasons = stage_class(name), reasons_of(retry)
    values = parse_params(cls, stage_params(lake, name, check_batch(batch), params))
    runtime = Runtime(cls(values, lake, settings), lake, batch)
    return asdict(runtime.try_again(reasons) if again else runtime.run(part, parts, reasons))
