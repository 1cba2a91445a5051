"""Preset `paper`: of every task and model it can be read and its network built, as large as it was published."""

from __future__ import annotations

import pytest

from tests import needs
from winnow.train.config import TASKS, TOWERS, load
from winnow.train.sizes import Sizes

#: As published: VGGish and VGG-19 by second; R(2+1)D beside ResNet-152; ImageBind; a second and a half of sound.
SIZES = {
    "avel": Sizes(128, 512, 49, 10, 28),
    "parse": Sizes(128, 2048, 1, 10, 25, 512),
    "retrieve": Sizes(1024, 1024, 1, 1, 0),
    "contrast": Sizes(1024, 1024, 1, 1, 0),
    "onscreen": Sizes(80_000, 7, 16, 5, 0),
    "query-separate": Sizes(65_535, 512, 1, 1, 0),
}
CASES = [(task, model) for task, models in TASKS.items() for model in models]


@pytest.mark.parametrize(("task", "model"), CASES)
def test_a_papers_network_is_built_for_published_sizes(task: str, model: str) -> None:
    needs.package("torch")
    import torch

    from winnow.train.tasks import task_module

    for supervision in ("full", "weak") if task == "avel" else ("full",):
        config = load(task, "paper", model=model, supervision=supervision)
        assert config.narrow == 1
        if task == "probe":  # stands on a run of contrast, whose widths it takes
            continue
        with torch.device(
            "cpu" if model in TOWERS else "meta"
        ):  # towers ask numbers of their filters as they are built
            net = task_module(task).build(config, SIZES[task])
        learns = task != "retrieve" or model in ("audio", "both", "untrained")
        assert (sum(p.numel() for p in net.parameters()) > 10_000) is learns
