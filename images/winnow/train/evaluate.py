"""Evaluation: a run's answers for a split of its release. The only place that reads the test split, and every look at
it is written down beside the run: a figure that was looked at twice was chosen."""

from __future__ import annotations

from collections.abc import Mapping

from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.exports.read_avel import SPLITS
from winnow.models.torch_batches import choose_device, deterministic
from winnow.train.answering import answers, keep
from winnow.train.config import TrainConfig
from winnow.train.prepare import network, prepare
from winnow.train.runs import Run
from winnow.train.sizes import Sizes
from winnow.train.state import Model, load, standard
from winnow.train.tasks import task_module


def evaluate(
    lake: Lake, settings: Settings, task: str, run: str, split: str = "test", release: str | None = None
) -> dict[str, object]:
    """Metrics of a run on a split, kept as `predictions-<split>.parquet` and `metrics-<split>.json`; `look` is which
    look at test this was. ContractError for a checkpoint of another model, and for a release with other classes."""
    if split not in SPLITS:
        raise ConfigError(f"--split {split}: there are {', '.join(SPLITS)}")
    target = Run(lake, task, run)
    card, module = target.card(), task_module(task)
    config = TrainConfig(**card["config"])
    device = choose_device(settings.device)
    deterministic(device)
    prepared = prepare(lake, module, task, config, release or card["release"], test=split == "test")
    if prepared.release != card["release"] and release is None:
        raise ContractError(f"run {run} is of release {card['release']}, which is not there any more")
    if list(prepared.examples.categories) != card["categories"]:
        raise ContractError(
            f"run {run} knows {len(card['categories'])} classes of release {card['release']}, and release "
            f"{prepared.release} has {len(prepared.examples.categories)} others: their answers do not compare"
        )
    encoders, own = prepared.joined.vectors.card.get("encoders", {}), card.get("encoders", {})
    if encoders != own:
        raise ContractError(
            f"run {run} was trained on vectors of {_named(own)}, and these are of {_named(encoders)}: they mean "
            "something else"
        )
    path = target.checkpoint(card)
    tensors, said = load(path.read_bytes(), str(path))
    sizes = Sizes(**card["sizes"])
    if said.get("identity") != card["identity"] or vars(prepared.sizes) != vars(sizes):
        raise ContractError(f"{path} is of another model or of vectors of other sizes than run {run}: train it again")
    names = list(module.inputs(config))
    zeros = standard(lambda: [prepared.joined.vectors.take(prepared.joined.places[:1])], names, on=False)
    model = Model(network(module, config, prepared), *zeros)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ContractError(f"{path} is of another model: {str(error).splitlines()[0]}") from error
    model = model.to(device).double() if config.precision == "fp64" else model.to(device)
    rows = prepared.rows(split)
    if not len(rows):
        raise ContractError(f"release {prepared.release} has no clip with vectors in split {split}")
    examples = prepared.examples.take(rows)
    if hasattr(module, "check"):
        module.check(config, examples, split)
    if split == "test":
        look = target.look(split, {"release": prepared.release, "clips": len(rows)})
    found = keep(target.home, module, config, examples, answers(module, model, prepared, rows, config, device), split)
    told: dict[str, object] = {"task": task, "run": run, "split": split, "release": prepared.release, **found}
    if split == "test":
        told["look"] = look
        if look > 1:
            told["warning"] = f"look {look} at test: choose on val, and report the first look"
    return told


def _named(encoders: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {network}" for name, network in sorted(encoders.items())) or "networks that nothing names"
