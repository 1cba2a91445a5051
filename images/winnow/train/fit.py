"""Training: from a release to a run. One loop for every task, which says what teaches; here is when and how.

On a CPU the numbers of a run are those of its identity, to the bit, however often it was killed: one thread, an order
and a dropout that follow from seed and step, a state that is written whole. On a GPU they agree within torch's own
bounds."""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from winnow.core import cpu, progress
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, digest, sha256_bytes
from winnow.core.settings import Settings
from winnow.models.torch_batches import choose_device, deterministic, device_name
from winnow.train import record, runs
from winnow.train.answering import answers, keep
from winnow.train.config import TrainConfig
from winnow.train.loader import Batch, Loader
from winnow.train.prepare import Prepared, counts, identity, network, prepare, some
from winnow.train.runs import CARD, PACE, PROGRESS, STATE, TRIED, Run
from winnow.train.state import Model, Position, dump, dump_state, load, load_state, optimiser, rate, standard, weights
from winnow.train.tasks import task_module

Note = Callable[[str], None]
#: Ids that a message about a batch names.
NAMED = 8


def train(
    lake: Lake,
    settings: Settings,
    task: str,
    config: TrainConfig,
    *,
    run: str,
    release: str | None = None,
    note: Note = lambda text: None,
) -> dict[str, object]:
    """Train a model and keep it as a run; the run's row (`runs.summary`). Nothing is computed for a run that is there
    with the same identity; ConfigError for one of another. What a killed process left is gone on from."""
    target, module = Run(lake, task, run), task_module(task)
    if config.tensorboard:
        record.need_tensorboard()
    device = choose_device(settings.device)
    deterministic(device)
    prepared = prepare(lake, module, task, config, release)
    what = identity(task, config, prepared, device_name(device))
    if target.done:
        card = target.card()
        if card["identity"] != digest(what):
            raise ConfigError(f"run {run} is there, with other {_differs(card['of'], what)}: give another --run")
        return {**runs.summary(lake, card), "computed": False}
    with target.working() as work:
        loop = _Loop(work, module, config, prepared, device, digest(what), note)
        loop.run()
        card = loop.finish(task, run, what)
        cpu.check()
        (work / CARD).write_text(json.dumps(card, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        target.publish()
    return {**runs.summary(lake, card), "computed": True}


def _differs(old: Mapping, new: Mapping) -> str:
    """In what two identities differ first."""
    for key, value in new.items():
        if key == "options":
            for option, wanted in value.items():
                was = old[key].get(option)
                if json.dumps(was) != json.dumps(wanted):
                    return f"{option} {was!r}, now {wanted!r}"
        elif old.get(key) != value:
            return f"{key} {old.get(key)!r}, now {value!r}"
    return "its identity differs"


class _Loop:
    """One run's state while it is trained."""

    def __init__(
        self, work: Path, module, config: TrainConfig, prepared: Prepared, device: torch.device, name: str, note: Note
    ) -> None:
        self.work, self.module, self.config, self.prepared = work, module, config, prepared
        self.device, self.identity, self.note = device, name, note
        self.examples = prepared.examples
        taught = self.examples.shuffled(config.seed) if config.labels == "shuffled" else self.examples
        self.train_rows, self.val_rows = prepared.rows("train"), prepared.rows("val")
        self.taught = taught.take(self.train_rows)
        self.vectors, places = prepared.joined.vectors, prepared.joined.places[self.train_rows]
        if config.labels == "shuffled" and hasattr(module, "dealt"):
            self.vectors = module.dealt(self.vectors, places, config.seed)
        if hasattr(module, "check") and len(self.val_rows):
            module.check(config, self.examples.take(self.val_rows), "val")
        shared = {"size": config.batch, "seed": config.seed, "epochs": config.epochs}
        if hasattr(self.vectors, "loader"):
            self.loader = self.vectors.loader(places, **shared)
        else:
            self.loader = Loader(self.vectors, places, **shared, fixed="fixed_batches" in config.faithful)
        closed = hasattr(module, "closed") and module.closed(config)
        self.last = 0 if closed else min(len(self.loader), config.max_steps or len(self.loader))
        torch.manual_seed(config.seed)
        net = network(module, config, prepared)
        names = list(module.inputs(config))
        on = config.standardise and not (hasattr(module, "raw") and module.raw(config))
        self.model = Model(net, *standard(self._blocks, names, on)).to(device)
        self.begun = hasattr(module, "begun") and module.begun(config)
        if (closed or self.begun) and hasattr(module, "fit"):
            module.fit(net, config, self.model.standardised(self.vectors.take(some(places, config.seed))))
        if config.precision == "fp64":
            self.model.double()
        self.optimiser = optimiser(self.model, config)
        self.position = Position()
        self.rows: list[dict] = []
        self.tried: list[dict] = []
        self.pace: list[dict] = []
        self.fitted = 0

    # -- data ----------------------------------------------------------------------------------------------------------
    def _blocks(self) -> Iterator[dict[str, np.ndarray]]:
        places = self.prepared.joined.places[self.train_rows]
        for at in range(0, len(places), self.config.batch):
            yield self.vectors.take(places[at : at + self.config.batch])

    # -- training ------------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """All steps that are not done."""
        self._resume()
        if self.begun and not self.position.step:
            self._validate(-1)
        began, waited, clips = time.perf_counter(), 0.0, 0
        done, label = self.position.step, f"train {self.config.model}"
        for batch in progress.counted(self.loader.steps(done), label, self.last, done):
            if batch.step >= self.last:
                break
            row = self._step(batch)
            self.rows.append(row)
            self.position.step, clips = batch.step + 1, clips + len(batch.rows)
            ended = self.position.step % self.loader.per_epoch == 0
            if ended or self.position.step == self.last:
                self._validate(batch.epoch)
            if ended or self.position.step % self.config.checkpoint_every == 0 or self.position.step == self.last:
                seconds = max(time.perf_counter() - began, 1e-9)
                share = (self.loader.waited_s - waited) / seconds
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
                self.pace.append(
                    {
                        "step": self.position.step,
                        "clips_per_s": clips / seconds,
                        "waiting": share,
                        "peak_mb": peak,
                        "device_peak_mb": torch.cuda.max_memory_allocated() >> 20 if self.device.type == "cuda" else 0,
                    }
                )
                self._save()
                self._tell(batch.epoch, row, clips / seconds)
                began, waited, clips = time.perf_counter(), self.loader.waited_s, 0

    def _step(self, batch: Batch) -> dict[str, object]:
        if not len(batch.rows):  # none of its clips could be decoded
            return {
                "step": batch.step,
                "epoch": batch.epoch,
                "clips": 0,
                "loss": 0.0,
                "terms": {},
                "gradient_norm": 0.0,
                "learning_rate": 0.0,
            }
        torch.manual_seed(int(np.random.SeedSequence([self.config.seed, batch.step]).generate_state(1)[0]))
        self.model.train()
        lr = rate(self.config, batch.step, batch.epoch, self.last)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        try:
            out = self._forward(batch.inputs)
            given = {n: v.to(self.device) for n, v in self.module.targets(self.taught, batch.rows).items()}
            found = self.module.terms(self.config, out, given)
            there = {name: weight * value for name, (weight, value) in found.items() if value is not None}
            loss = sum(there.values(), torch.zeros(()))
            norm = self._learn(batch, loss) if there else 0.0
        except torch.OutOfMemoryError as error:
            raise ConfigError(self._smaller(batch)) from error
        self.fitted = max(self.fitted, len(batch.rows))
        for name, (_, value) in found.items():
            if value is None:
                self.position.skipped[name] = self.position.skipped.get(name, 0) + 1
        said = {name: None if value is None else float(value.detach()) for name, (_, value) in found.items()}
        return {
            "step": batch.step,
            "epoch": batch.epoch,
            "clips": len(batch.rows),
            "loss": float(loss.detach()),
            "terms": said,
            "gradient_norm": norm,
            "learning_rate": lr,
        }

    def _learn(self, batch: Batch, loss: Tensor) -> float:
        """One step of the optimiser; the gradient's norm."""
        if not bool(torch.isfinite(loss)):
            self._stop(batch, f"the loss is {float(loss.detach())}")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm or math.inf)
        if not bool(torch.isfinite(norm)):
            self._stop(batch, f"the gradient's norm is {float(norm)}")
        self.optimiser.step()
        return float(norm)

    def _forward(self, inputs: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        wide = self.config.precision == "fp64"
        given = {n: torch.from_numpy(a).to(self.device, torch.float64 if wide else None) for n, a in inputs.items()}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            out = self.model(given)
        return out if wide else {name: value.float() for name, value in out.items()}

    def _stop(self, batch: Batch, why: str) -> None:
        """Keep the state of the step before, and name the clips that were in the batch."""
        self._save()
        ids = self.taught.id[batch.rows]
        more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
        raise ContractError(
            f"{why} at step {batch.step} (epoch {batch.epoch}) on clips {', '.join(ids[:NAMED])}{more}: the state of "
            f"the step before is kept in {self.work / STATE}; try a lower learning_rate under another --run"
        )

    def _smaller(self, batch: Batch) -> str:
        """Which batch does fit: tried by halves, without a step."""
        size = len(batch.rows)
        while (size := size // 2) >= 1:
            self.optimiser.zero_grad(set_to_none=True)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            try:
                out = self._forward({n: a[:size] for n, a in batch.inputs.items()})
                rows = batch.rows[:size]
                given = {n: v.to(self.device) for n, v in self.module.targets(self.taught, rows).items()}
                sum(v for _, v in self.module.terms(self.config, out, given).values() if v is not None).backward()
                break
            except torch.OutOfMemoryError:
                continue
        said = f"{max(size, self.fitted)} fitted: --set batch={size}" if size else "not one clip fits: narrow the model"
        return f"{device_name(self.device)} has no room for batches of {len(batch.rows)}; {said}"

    # -- validation ----------------------------------------------------------------------------------------------------
    def answer(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Answers for examples, in their order."""
        return answers(self.module, self.model, self.prepared, rows, self.config, self.device)

    def _validate(self, epoch: int) -> None:
        final = self.position.step == self.last
        if not len(self.val_rows) or ((epoch + 1) % self.config.evaluate_every and not final):
            return
        said = self.module.score(self.config, self.answer(self.val_rows), self.examples.take(self.val_rows))
        self.tried.append(
            {"step": self.position.step, "epoch": epoch, "value": said["value"], "chance": said["chance"]}
        )
        value = float(said.get("select", said["value"]))
        if self.config.select == "best" and (self.position.best is None or value > self.position.best):
            self.position.best, self.position.best_step = value, self.position.step
            self.position.checkpoint = self._checkpoint()

    def _checkpoint(self) -> str:
        data = dump(weights(self.model), {"identity": self.identity, "step": self.position.step})
        name = f"{sha256_bytes(data)[:16]}.safetensors"
        folder = self.work / "checkpoints"
        folder.mkdir(exist_ok=True)
        record.write(folder / name, data)
        return name

    # -- state ---------------------------------------------------------------------------------------------------------
    def _save(self) -> None:
        """Rows first, then the state that counts them."""
        for name, rows in ((PROGRESS, self.rows), (TRIED, self.tried), (PACE, self.pace)):
            with (self.work / f"{name}.jsonl").open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
            rows.clear()
        record.write(self.work / STATE, dump_state(self.model, self.optimiser, self.position, self.identity))
        for path in (self.work / "checkpoints").glob("*"):
            if path.name != self.position.checkpoint:
                path.unlink()

    def _resume(self) -> None:
        path = self.work / STATE
        if path.is_file():
            self.position = load_state(path.read_bytes(), str(path), self.model, self.optimiser, self.identity)
            self.note(f"going on at step {self.position.step}")
        done = self.position.step
        for name, limit in ((PROGRESS, done - 1), (TRIED, done), (PACE, done)):
            file = self.work / f"{name}.jsonl"
            if file.is_file():
                kept = [row for row in record.whole(file) if row["step"] <= limit]
                record.write(file, "".join(json.dumps(row) + "\n" for row in kept).encode())

    def _tell(self, epoch: int, row: Mapping, speed: float) -> None:
        best = "" if self.position.best is None else f"  best val {self.position.best:.4f}"
        self.note(
            f"step {self.position.step}/{self.last}  epoch {epoch}  loss {row['loss']:.4f}{best}  {speed:.0f} clips/s"
        )

    # -- the end -------------------------------------------------------------------------------------------------------
    def finish(self, task: str, run: str, what: Mapping) -> dict[str, object]:
        """Everything of the run but its card, which is returned."""
        chosen = self.position.best_step
        if self.position.checkpoint is None:
            self.position.checkpoint, chosen = self._checkpoint(), self.position.step
        for path in (self.work / "checkpoints").glob("*"):
            if path.name != self.position.checkpoint:
                path.unlink()
        data = (self.work / "checkpoints" / self.position.checkpoint).read_bytes()
        self.model.load_state_dict(load(data, self.position.checkpoint)[0])
        if len(self.val_rows):
            keep(
                self.work,
                self.module,
                self.config,
                self.examples.take(self.val_rows),
                self.answer(self.val_rows),
                "val",
            )
        pace = [*record.whole(self.work / f"{PACE}.jsonl")] if (self.work / f"{PACE}.jsonl").is_file() else []
        for name in (PROGRESS, TRIED, PACE):
            record.to_parquet(self.work / f"{name}.jsonl")
        if self.config.tensorboard:
            record.tensorboard(self.work)
        return {
            "task": task,
            "run": run,
            "model": self.config.model,
            "supervision": self.config.supervision,
            "release": self.prepared.release,
            "seed": self.config.seed,
            "config": self.config.model_dump(),
            "identity": self.identity,
            "of": what,
            "examples": what["examples"],
            "sizes": vars(self.prepared.sizes),
            "categories": list(self.examples.categories),
            "checkpoint": self.position.checkpoint,
            "checkpoint_step": chosen,
            "steps": self.position.step,
            "skipped": self.position.skipped,
            "encoders": self.prepared.joined.vectors.card.get("encoders", {}),
            "counts": counts(self.prepared),
            "left_out": self.prepared.joined.left_out,
            "failed": getattr(self.loader, "failed", {}),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "when": {
                "seconds_a_step": record.mean_pace(pace),
                "peak_mb": max((p["peak_mb"] for p in pace), default=0),
                "device": device_name(self.device),
                "python": sys.version.split()[0],
            },
        }
