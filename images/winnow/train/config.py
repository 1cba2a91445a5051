"""What a run is told: one frozen model of options, presets as checked-in YAML, and `--set key=value` over them.

A preset, or a file of one's own, is a mapping of sections. `all` holds for every run, `avel` for a task, `avel.psp` for
a model, `avel.psp.weak` for a model under one supervision; the narrower section wins. Without sections a file is a
plain mapping of options. An unknown key is an error, in a file and on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator

from winnow.core.errors import ConfigError
from winnow.train.separation_options import SeparationOptions

PRESETS = Path(__file__).parent / "presets"
TASKS: Mapping[str, tuple[str, ...]] = {
    "avel": ("cpsp", "psp", "sspsp", "avatt", "dmrn", "avsdn", "cmran"),
    "parse": ("han", "cpsp"),
    "retrieve": ("audio", "both", "ridge", "untrained", "random", "zeroshot"),
    "contrast": ("frozen", "tiny", "r3d18", "paper"),
    "probe": ("frozen", "untrained", "vectors", "tiny", "r3d18", "paper"),
    "onscreen": ("mixit4-cross", "mixit4-self", "mixit4-separable"),
    "query-separate": ("clipsep-nit", "clipsep"),
}
#: Models that decode clips; the others read vectors.
TOWERS = ("tiny", "r3d18", "paper")
#: Models of a task that a benchmark trains only when they are asked for by name: not every release can have them.
ON_REQUEST: Mapping[str, tuple[str, ...]] = {"retrieve": ("zeroshot",), "contrast": TOWERS, "probe": TOWERS}
#: Options that are names and paths: whatever YAML would make of them (a run may be called 7, or true).
NAMES = ("clips", "vectors", "classes", "of", "cache", "labels")
#: Tasks whose examples are a release's clips, labelled or not (`winnow.train.pairs`).
PAIRED = ("retrieve", "contrast", "probe")
#: Options that a task begins with, under any preset: what is compared is a whole clip.
BUILT_IN = {
    "audio": tuple(f"audio.a{k}" for k in range(5)),
    "visual": tuple(f"visual.v{k}" for k in range(5)),
}
AT_FIRST: Mapping[str, Mapping[str, object]] = {
    "retrieve": {**BUILT_IN, "optimiser": "adamw", "schedule": "cosine", "clip_norm": None, "temperature": 0.05},
    "retrieve.zeroshot": {"standardise": False},
    "retrieve.audio": {"start": "ridge"},
    "retrieve.both": {"start": "ridge"},
    "contrast": {**BUILT_IN, "optimiser": "adamw", "schedule": "linear", "clip_norm": None, "eps": 1e-6},
    "probe": {
        **BUILT_IN,
        "schedule": "linear",
        "clip_norm": None,
        "eps": 1e-6,
        "learning_rate": 1e-2,
        "select": "last",
    },
}
#: Deviations of released code that still run here, by name: what is done then, and for which models.
FAITHFUL: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "spsa_axis": ("the segment contrast sums the wrong axis: a constant without a gradient", ("avel.cpsp",)),
    "squashed_loss": (
        "scores pass a softmax and are squashed again inside the loss; weakly, a clip is the maximum of its seconds",
        ("avel.cpsp", "avel.sspsp", "avel.avatt", "avel.dmrn", "avel.avsdn", "avel.cmran"),
    ),
    "pooled_background": (
        "weakly, background is pooled over a clip like a category, though no clip is of it, and is never answered",
        ("avel.psp",),
    ),
    "vpsa_all_k": ("a batch with fewer than k clips of other classes has no video contrast", ("avel.cpsp",)),
    "fixed_batches": ("batches are never shuffled, and the remainder is dropped", ("avel.avatt", "avel.dmrn")),
    "contrast_drop": ("one row without a negative drops the whole batch's video contrast", ("parse.cpsp",)),
    "raw_visual": ("vectors of pictures keep their lengths in training; answers compare cosines", ("retrieve.audio",)),
    "own_negatives": (
        "the batch is split over four processes, and each sees the negatives of its own quarter alone",
        ("retrieve.audio", "retrieve.both"),
    ),
    "loud_masks": (
        "masked stretches of a spectrogram are 0, which is loud; ours are as silence is",
        tuple(f"contrast.{name}" for name in TOWERS),
    ),
    "same_video": ("clips of one source video are each other's negatives", ("retrieve.audio", "retrieve.both")),
    "nit_clamp": (
        "what query and noise head let through is added and cut at 1, where it has no gradient",
        ("query-separate.clipsep-nit",),
    ),
}


class TrainConfig(SeparationOptions):
    """One run's options; all of them but `device` stand in its identity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field("", description="which model of the task; the task's first when empty")
    supervision: Literal["full", "weak"] = Field("full", description="avel: labels by second, or of the whole clip")
    family: Literal["avel", "ave", "llp"] | None = Field(None, description="whose samples; avel, or llp of task parse")
    half: bool = Field(False, description="only samples of the half set")
    clips: str | None = Field(None, description="Parquet of sample_id and split: these clips only; all without it")
    vectors: str | None = Field(None, description="Parquet with vectors by second; stage tables without it")
    audio: tuple[str, ...] = Field(
        ("audio.onset", "audio.a0", "audio.a1", "audio.a2", "audio.a3", "audio.a4"), description="stage.column of sound"
    )
    visual: tuple[str, ...] = Field(
        ("visual.motion", "visual.v0", "visual.v1", "visual.v2", "visual.v3", "visual.v4"),
        description="stage.column of pictures",
    )
    moving: tuple[str, ...] = Field((), description="parse: stage.column of the third input; none when empty")
    standardise: bool = Field(True, description="each input by mean and deviation of the training clips")
    most_missing: float = Field(
        0.01, ge=0, le=1, description="share of clips that may lack vectors; more stops the run"
    )
    allow_leaks: bool = Field(False, description="train although videos stand in two splits")
    seed: int = Field(0, ge=0, description="of weights, order, dropout")
    epochs: int = Field(45, ge=1)
    max_steps: int | None = Field(None, ge=1, description="stop after so many steps, whatever the epochs")
    batch: int = Field(64, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    lr_factor: float = Field(0.5, gt=0, le=1)
    lr_epochs: tuple[int, ...] = Field((10, 20, 30), description="after these epochs the rate is multiplied")
    lr_steps: int | None = Field(None, ge=1, description="multiplied after every so many steps instead")
    schedule: Literal["steps", "cosine", "linear"] = Field(
        "steps", description="of the rate: lr_epochs and lr_steps; to 0 along a cosine, by epoch; to 0 by step"
    )
    warmup: int = Field(0, ge=0, description="steps in which the rate rises from 0")
    optimiser: Literal["adam", "adamw"] = Field("adam", description="adamw: weights decay apart from the gradient")
    weight_decay: float = Field(0.0, ge=0, description="BatchNorm's numbers never decay")
    betas: tuple[float, float] = Field((0.9, 0.999), description="Adam's memory")
    eps: float = Field(1e-8, gt=0, description="Adam's smallest divisor")
    amsgrad: bool = Field(False, description="Adam divides by the largest of its second moments")
    clip_norm: float | None = Field(0.1, gt=0, description="largest norm of the gradient; none when null")
    precision: Literal["fp32", "bf16", "fp64"] = Field("fp32", description="bf16: autocast; losses stay in float32")
    narrow: int = Field(1, ge=1, description="every hidden width divided by this")
    select: Literal["best", "last"] = Field("best", description="weights of the best validation, or the last ones")
    evaluate_every: int = Field(1, ge=1, description="epochs between validations")
    checkpoint_every: int = Field(200, ge=1, description="steps between states to resume from")
    threshold_share: float | None = Field(
        None, gt=0, lt=1, description="psp's threshold × seconds; published by default"
    )
    pairs: float = Field(100.0, ge=0, description="weight of the pair similarity (psp, cpsp)")
    segments: float = Field(0.01, ge=0, description="weight of the contrast of segments (cpsp)")
    videos: float = Field(1.0, ge=0, description="weight of the contrast of videos (cpsp)")
    rest: float = Field(0.5, ge=0, description="avel, weak: weight of what is said to be no event being of nothing")
    share: float = Field(1.0, ge=0, description="avel, weak: weight of half of the seconds being an event")
    nce: float = Field(1.0, ge=0, description="weight of the label-free contrast (sspsp)")
    matching: float = Field(1.0, ge=0, description="weight of the time matching (parse, cpsp)")
    gate: Literal["video", "modality"] | None = Field(None, description="parse: pooled probability that gates segments")
    temperature: float = Field(0.1, gt=0, description="retrieve, contrast: divides cosines in the loss")
    recall: tuple[int, ...] = Field(
        (1, 5, 10), description="retrieve, contrast: k of R@k; a gallery has as many clips at least"
    )
    ridge: float = Field(1.0, gt=0, description="retrieve, ridge: penalty as a share of the features' mean variance")
    start: Literal["random", "ridge"] = Field(
        "random", description="retrieve, heads: from nothing, or beside the ridge's map of the training clips"
    )
    cache: str | None = Field(None, description="contrast, probe: folder for decoded clips, for later epochs")
    untrained: bool = Field(False, description="contrast: keep the weights that it begins with")
    of: str | None = Field(None, description="probe: which run of contrast stands under it; vectors have none")
    sides: Literal["both", "audio", "visual"] = Field("both", description="probe: whose features it reads")
    classes: str | None = Field(None, description="probe: Parquet of sample_id, label, split; else the release's")
    rare: Literal["stop", "drop"] = Field("stop", description="probe: of a class without a clip to learn from")
    dropout: float = Field(0.5, ge=0, lt=1, description="probe: share of features left out while it learns")
    labels: Literal["true", "shuffled"] = Field("true", description="shuffled: the control that must fall to chance")
    faithful: tuple[str, ...] = Field((), description="deviations of released code to switch back on")
    tensorboard: bool = Field(False, description="also write TensorBoard files")

    @field_validator("audio", "visual", "moving", "faithful", "lr_epochs", "recall", "betas", "query", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        if isinstance(value, int):
            return (value,)
        return tuple(p.strip() for p in value.split(",") if p.strip()) if isinstance(value, str) else value


def load(
    task: str,
    source: str | None = None,
    settings: Sequence[str] = (),
    faithful: Sequence[str] = (),
    model: str | None = None,
    supervision: str | None = None,
) -> TrainConfig:
    """The options of a run: a preset by its name or a YAML file, then `key=value` of `settings`, then the rest.
    ConfigError, which names what there is, for an unknown task, model, key or deviation."""
    if task not in TASKS:
        raise ConfigError(f"there is no task {task!r}; there are {', '.join(TASKS)}")
    given = _given(settings)
    given |= {k: v for k, v in {"model": model, "supervision": supervision}.items() if v is not None}
    if faithful:
        given["faithful"] = tuple(faithful)
    read = _read(source) if source else {}
    wanted = given.get("model") or _plain(read, task).get("model") or TASKS[task][0]
    if wanted not in TASKS[task]:
        raise ConfigError(f"task {task} has no model {wanted!r}; it has {', '.join(TASKS[task])}")
    label = str(given.get("supervision") or _plain(read, task, wanted).get("supervision") or "full")
    merged = {**_plain(AT_FIRST, task, wanted, label), **_plain(read, task, wanted, label), **given, "model": wanted}
    try:
        config = TrainConfig(**merged)
    except ValidationError as error:
        raise ConfigError(_explain(error, source)) from error
    _check(task, config)
    return config


def _given(settings: Sequence[str]) -> dict[str, object]:
    import yaml

    out: dict[str, object] = {}
    for one in settings:
        key, found, value = one.partition("=")
        if not found or not key:
            raise ConfigError(f"--set {one}: key=value is wanted, as in --set batch=32")
        try:
            text = key.strip() in NAMES and value.strip() != "null"
            out[key.strip()] = (value.strip() or None) if text else yaml.safe_load(value) if value.strip() else ""
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {one}: its value is no YAML") from error
    return out


def _read(source: str) -> dict[str, object]:
    import yaml

    path = PRESETS / f"{source}.yaml" if "/" not in source and not source.endswith((".yaml", ".yml")) else Path(source)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in PRESETS.glob("*.yaml")))
        raise ConfigError(f"--config {source}: no such file, and no preset; presets are {known}")
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(read, dict):
        raise ConfigError(f"{path} holds a {type(read).__name__}: a mapping of options is wanted")
    if not any(isinstance(value, dict) for value in read.values()):
        return {"all": read}
    for name, value in read.items():
        if not _is_section(str(name)) or not isinstance(value, dict):
            raise ConfigError(
                f"{path}: {name!r} is no section: all, TASK, TASK.MODEL or TASK.MODEL.SUPERVISION, each a mapping"
            )
    return read


def _is_section(name: str) -> bool:
    task, *rest = name.split(".")
    if name == "all" or task not in TASKS or not rest:
        return name == "all" or name in TASKS
    return rest[0] in TASKS[task] and rest[1:] in ([], ["full"], ["weak"])


def _plain(read: Mapping, task: str, model: str = "", supervision: str = "") -> dict[str, object]:
    """The options of these sections, the narrower ones over the wider ones."""
    names = ["all", task, f"{task}.{model}", f"{task}.{model}.{supervision}"]
    return {key: value for name in names for key, value in (read.get(name) or {}).items()}


def _explain(error: ValidationError, source: str | None) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"][:1])
    if first["type"] == "extra_forbidden":
        known = ", ".join(sorted(TrainConfig.model_fields))
        return f"{key!r} is no option of a run{f' ({source})' if source else ''}; options are {known}"
    return f"option {key}: {first['msg']}, not {first['input']!r}"


def _check(task: str, config: TrainConfig) -> None:
    for name in config.faithful:
        if name not in FAITHFUL:
            raise ConfigError(f"--faithful {name}: there are {', '.join(FAITHFUL)}")
        if f"{task}.{config.model}" not in FAITHFUL[name][1]:
            raise ConfigError(f"--faithful {name} is of {', '.join(FAITHFUL[name][1])}, not of {task} {config.model}")
    if task == "parse" and config.supervision != "full":
        raise ConfigError("task parse always trains on clip labels: leave --supervision out")
    if task != "parse" and config.gate:
        raise ConfigError("gate is an option of task parse")
