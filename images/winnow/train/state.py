"""A model between steps: the network behind its standardised inputs, and the file that a killed run goes on from.

Everything random at a step follows from seed and step, and the learning rate from the step alone, so the state is the
weights, what Adam remembers, and a few numbers. Equal states are equal bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from winnow.core.errors import ContractError
from winnow.train.config import TrainConfig
from winnow.train.separation_options import ramp

_KEPT = ("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")
KEY = "winnow"


class Model(nn.Module):
    """A network whose inputs are shifted and scaled first; both stand in the checkpoint."""

    def __init__(self, net: nn.Module, means: Mapping[str, np.ndarray], scales: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.net, self.inputs = net, tuple(means)
        for name in self.inputs:
            self.register_buffer(f"mean_{name}", torch.from_numpy(np.asarray(means[name], np.float32)))
            self.register_buffer(f"scale_{name}", torch.from_numpy(np.asarray(scales[name], np.float32)))

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The network's answer to inputs by name, (B, …) each."""
        given = dict(inputs)
        for name in self.inputs:
            given[name] = (given[name] - self.get_buffer(f"mean_{name}")) * self.get_buffer(f"scale_{name}")
        return self.net(**given)

    def standardised(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The network's inputs, of arrays."""
        shift, scale = ({n: self.get_buffer(f"{k}_{n}").cpu().numpy() for n in inputs} for k in ("mean", "scale"))
        return {n: (values - shift[n]) * scale[n] for n, values in inputs.items()}


def standard(
    blocks: Callable[[], Iterable[Mapping[str, np.ndarray]]], names: Sequence[str], on: bool
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Mean and 1/deviation of each number of an input over clips, seconds and positions; 0 and 1 where not `on`. A
    number that never changes is scaled by 1; inputs that are not named stay as they are."""
    sums: dict[str, list] = {}
    for block in blocks() if names else ():
        for name in names:
            wide = block[name].reshape(-1, block[name].shape[-1]).astype(np.float64)
            old = sums.setdefault(name, [0, np.zeros(wide.shape[1]), np.zeros(wide.shape[1])])
            sums[name] = [old[0] + len(wide), old[1] + wide.sum(0), old[2] + (wide**2).sum(0)]
        if not on:
            break
    means, scales = {}, {}
    for name, (count, total, square) in sums.items():
        mean = total / count
        deviation = np.sqrt(np.maximum(square / count - mean**2, 0))
        means[name] = mean if on else np.zeros_like(mean)
        scales[name] = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 1.0) if on else np.ones_like(mean)
    return means, scales


def optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Adam over all weights that learn; those of batch normalisation, by the layer's type, do not decay."""
    norms = [layer for layer in model.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    still = {id(p) for layer in norms for p in layer.parameters()}
    learning = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": [p for p in learning if id(p) not in still]}]
    if apart := [p for p in learning if id(p) in still]:
        groups.append({"params": apart, "weight_decay": 0.0})
    if not any(group["params"] for group in groups):
        groups = [{"params": [nn.Parameter(torch.zeros(()))]}]
    kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    return kind(
        groups,
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.eps,
        weight_decay=config.weight_decay,
        amsgrad=config.amsgrad,
    )


def _named(model: nn.Module, optimiser: torch.optim.Optimizer) -> list[tuple[str, nn.Parameter]]:
    """Parameters in the optimiser's order, with their names."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [(names[id(p)], p) for group in optimiser.param_groups for p in group["params"] if id(p) in names]


def rate(config: TrainConfig, step: int, epoch: int, last: int) -> float:
    """The learning rate of a step; `last`: how many there are in all."""
    if config.rise_steps or config.fall_steps:
        return config.learning_rate * ramp(config, step)
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    if config.schedule == "cosine":
        return config.learning_rate * (1 + math.cos(math.pi * epoch / config.epochs)) / 2
    if config.schedule == "linear":
        return config.learning_rate * (last - step) / max(last - config.warmup, 1)
    passed = step // config.lr_steps if config.lr_steps else sum(epoch >= at for at in config.lr_epochs)
    return config.learning_rate * config.lr_factor**passed


@dataclass
class Position:
    """Where a run is: steps done, the best validation so far and its checkpoint, terms that had nothing to compare."""

    step: int = 0
    best: float | None = None
    best_step: int | None = None
    checkpoint: str | None = None
    skipped: dict[str, int] = field(default_factory=dict)


def weights(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a checkpoint."""
    return {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}


def dump(tensors: Mapping[str, Tensor], said: Mapping[str, object]) -> bytes:
    """safetensors bytes; what is said stands under one key, for of several their order is not fixed."""
    from safetensors.torch import save

    return save(dict(tensors), {KEY: json.dumps(said, sort_keys=True)})


def load(data: bytes, where: str) -> tuple[dict[str, Tensor], dict]:
    """Tensors and what is said of them; ContractError for anything else."""
    from safetensors import SafetensorError
    from safetensors.torch import load as read

    try:
        tensors = read(data)
        length = int.from_bytes(data[:8], "little")
        return tensors, json.loads(json.loads(data[8 : 8 + length])["__metadata__"][KEY])
    except (SafetensorError, KeyError, ValueError) as error:
        raise ContractError(f"{where} is no checkpoint of ours ({error}): remove it, then train again") from error


def dump_state(model: nn.Module, optimiser: torch.optim.Optimizer, position: Position, identity: str) -> bytes:
    """All that a killed run goes on from."""
    tensors = {f"model.{name}": value for name, value in weights(model).items()}
    for name, parameter in _named(model, optimiser):
        for key in _KEPT:
            if key in optimiser.state.get(parameter, {}):
                tensors[f"{key}.{name}"] = optimiser.state[parameter][key].detach().cpu().contiguous()
    return dump(tensors, {"identity": identity, **position.__dict__})


def load_state(data: bytes, where: str, model: nn.Module, optimiser: torch.optim.Optimizer, identity: str) -> Position:
    """Put a state back; ContractError for one of another run."""
    tensors, said = load(data, where)
    if said.pop("identity") != identity:
        raise ContractError(
            f"{where} is of a run with other options, data or code: give --run another name, or remove it"
        )
    model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    plain = optimiser.state_dict()
    plain["state"] = {
        k: {key: tensors[f"{key}.{name}"] for key in _KEPT if f"{key}.{name}" in tensors}
        for k, (name, _) in enumerate(_named(model, optimiser))
        if f"step.{name}" in tensors
    }
    optimiser.load_state_dict(plain)
    return Position(**said)
