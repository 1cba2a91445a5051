"""Stage: one measurement. An author writes one class with one method; the Runtime owns everything else.

    class Probe(Stage):
        name, image, needs = "probe", "media", ("clip",)
        schema = {"duration_s": "double", "motion": "float32[]"}

        def process(self, batch):
            yield from batch.map(self.measure)

        def measure(self, sample):
            return {"duration_s": …, "motion": […]}

A stage's module, its staging model and its DAG task have its name. Modules of `winnow.stages` are imported by Airflow's
parser too, so they import nothing heavy at the top: that is what `setup()` is for.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from winnow.core import own_fault
from winnow.core.errors import ConfigError
from winnow.core.fingerprint import PACKAGE, code_digest
from winnow.core.frozen_model import FrozenModel
from winnow.core.lake import Lake
from winnow.core.planned_table import PLANNED_TABLES
from winnow.core.sample import Outcome, Reason, SampleFailed
from winnow.core.settings import Settings

if TYPE_CHECKING:
    from winnow.core.manifest import Manifest
    from winnow.core.shard_tar import Kept, ShardTar, Spool


class StageParams(BaseModel):
    """Base of a stage's parameters: frozen, part of its digest; an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=StageParams, covariant=True)


class HasParams(Protocol[P]):
    """A stage as the type of its parameters sees it: by the class `Params` in it."""

    _params: Any

    @property
    def Params(self) -> type[P]:
        """The stage's own parameters."""


@dataclass(frozen=True)
class Resources:
    """What one process of a stage needs: requests and limits of its pod, and nothing a table depends on."""

    cpu: float = 1.0
    memory_mb: int = 1024
    gpu: int = 0


@dataclass
class Sample:
    """One input of a stage: its id, the row of the table that gives the shards, its rows in the other tables; and the
    files beside these tables, with the SHA-256 that the tables say of each, by extension."""

    id: str
    row: Mapping[str, Any]
    needs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    members: ShardTar | None = None
    digests: dict[str, str] = field(default_factory=dict)

    def media(self, ext: str = "mp4") -> bytes:
        """The clip's file of this kind, out of the tars of the shard's inputs; ContractError when it changed."""
        if self.members is None:
            raise ConfigError("this stage's inputs have no media beside them: it must need a stage with a sidecar")
        return self.members.read(f"{self.id}.{ext}", self.digests.get(ext))


@dataclass
class Batch:
    """What `process` gets: the samples of one shard, ordered by id, a private folder to work in, the commits of the
    tables that it reads, by stage, and where files wait for the shard's tar."""

    samples: list[Sample]
    work: Path
    shard: str = ""
    inputs: Mapping[str, Manifest] = field(default_factory=dict)
    spool: Spool | None = None

    def keep(self, data: bytes) -> bytes | Kept:
        """A file of an outcome that comes later: it waits on the disk. Those of an outcome that comes now do so by
        themselves."""
        return self.spool.keep(data) if self.spool else data

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def __len__(self) -> int:
        return len(self.samples)

    def map(self, measure: Callable[[Sample], Mapping[str, object]]) -> Iterator[Outcome]:
        """One outcome a sample. `SampleFailed` becomes a failed row, any other exception an `internal_error` row with
        its traceback on stderr: one broken sample never ends a shard (many do: the failure budget). A fault of our own
        side ends it: a full disk as a TransientError, a file of the lake that changed as a ContractError."""
        for sample in self.samples:
            try:
                yield Outcome.ok(sample.id, measure(sample))
            except SampleFailed as failure:
                yield Outcome.failed(sample.id, failure.reason, failure.detail)
            except Exception as error:
                found = own_fault.internal_error(error)
                yield Outcome.failed(sample.id, found.reason, f"{found.detail}: {error}")


class Stage(ABC):
    """One measurement over samples. Subclasses declare, `setup` once and `process` batches."""

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    image: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    schema: ClassVar[Mapping[str, str]]
    resources: ClassVar[Resources] = Resources()
    sidecar: ClassVar[str | None] = None
    #: The model that it needs from the lake, if any, and the command that fits one.
    fitted: ClassVar[str | None] = None
    fitted_by: ClassVar[str] = ""
    failure_budget: ClassVar[float] = 0.5
    #: Stage tables that are read where the batch has them committed, and done without where not.
    optional_needs: ClassVar[tuple[str, ...]] = ()
    #: Reasons that a change of the deployment may lift, and by which of `conditions`: their rows are tried again then.
    lifted_by: ClassVar[Mapping[Reason, tuple[str, ...]]] = {}
    #: The DAG that runs it. Only what belongs to `curate` must be there before a batch is admitted.
    flow: ClassVar[str] = "curate"
    #: What it computes on, for the manifest; a stage that may use a GPU says so in `setup`.
    device: str = "cpu"

    class Params(StageParams):
        """A stage's parameters; each stage that has any declares its own."""

    def __init__(self, params: StageParams, lake: Lake, settings: Settings) -> None:
        self._params, self.lake, self.settings = params, lake, settings

    @property
    def params(self: HasParams[P]) -> P:
        """What it was made with, of its own class `Params`."""
        own: P = self._params
        return own

    def setup(self) -> None:  # noqa: B027 (a stage may have nothing to set up)
        """Import what is heavy and load models; called once, before the first batch."""

    @abstractmethod
    def process(self, batch: Batch) -> Iterator[Outcome]:
        """Measure one shard's samples: an outcome for each of them, in any order."""

    @classmethod
    def pod(cls, params: Mapping[str, object]) -> tuple[str, Resources]:
        """Image and resources of a run with these parameters: the image follows from the stage and its model, so one
        that has models of two images says so here."""
        return cls.image, cls.resources

    def columns(self) -> Mapping[str, str]:
        """The columns of this stage's table: `schema`, or, where a vector's length depends on the model, `schema` with
        that length filled in."""
        return self.schema

    def conditions(self) -> dict[str, str]:
        """What `lifted_by` names, as it is now: settings by their variable, a library's version by its name."""
        return {}

    def model_digest(self) -> str | None:
        """Digest of the fitted or loaded model, or None for a stage without one and before the first fit."""
        return self.lake.model_current(self.fitted) if self.fitted else None

    def fitted_model(self, kind: str = "npz") -> tuple[str, bytes]:
        """Digest and file of the fitted model in use; ConfigError when none was fitted."""
        model = self.model_digest()
        if self.fitted is None or model is None:
            raise ConfigError(f"{self.name} needs a fitted model and the lake has none: run `{self.fitted_by}`")
        return model, FrozenModel(self.fitted, kind).read(self.lake, model)


def stage_names() -> list[str]:
    """Names of all stages, from the modules of `winnow.stages`."""
    return sorted(m.name for m in pkgutil.iter_modules([str(PACKAGE / "stages")]) if not m.name.startswith("_"))


@lru_cache
def stage_class(name: str) -> type[Stage]:
    """The Stage of a module of `winnow.stages`; ConfigError, with the names there are, for an unknown one."""
    if name not in stage_names():
        raise ConfigError(f"there is no stage {name!r}; the stages are {', '.join(stage_names())}")
    module = importlib.import_module(f"winnow.stages.{name}")
    found: type[Stage] = getattr(module, "".join(part.capitalize() for part in name.split("_")))
    return found


def stage_needs() -> dict[str, tuple[str, ...]]:
    """Which tables each stage reads."""
    return {name: stage_class(name).needs for name in stage_names()}


def stage_optional_needs() -> dict[str, tuple[str, ...]]:
    """Which tables each stage reads where they are there."""
    return {name: stage_class(name).optional_needs for name in stage_names()}


def stage_columns() -> dict[str, Mapping[str, str]]:
    """Columns of every table that a batch may have, planned or measured, in the aliases of a Stage's schema."""
    planned = {name: table.columns for name, table in PLANNED_TABLES.items()}
    return {**planned, **{name: stage_class(name).schema for name in stage_names()}}


def is_ready(name: str, lake: Lake) -> bool:
    """Whether a stage has the fitted model it needs (true for a stage that needs none)."""
    fitted = stage_class(name).fitted
    return fitted is None or lake.model_current(fitted) is not None


def parse_params(stage: type[Stage], values: Mapping[str, object]) -> StageParams:
    """A stage's parameters from a run's choice; ConfigError naming each wrong one."""
    try:
        return stage.Params.model_validate(dict(values))
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        known = ", ".join(f"{k}={f.default!r}" for k, f in stage.Params.model_fields.items()) or "none"
        raise ConfigError(f"parameters of {stage.name}:\n" + "\n".join(lines) + f"\nIt has: {known}") from error


def identity(stage: Stage) -> dict[str, Any]:
    """What a stage's tables depend on beside their inputs: its fingerprint is the digest of this."""
    return {
        "code": code_digest(type(stage).__module__),
        "model": stage.model_digest(),
        "params": stage.params.model_dump(mode="json"),
        "version": stage.version,
    }
