"""Loss terms: values that the specifications work out by hand, their edges, and that each teaches both sides."""

from __future__ import annotations

import math

import numpy as np
import pytest

MODELS = ["psp", "cpsp", "sspsp", "avatt", "dmrn", "avsdn", "cmran"]
#: Steps in which a small network learns a few clips that say all in two numbers.
WEAK_STEPS = 60


def _seconds(*events: int):
    """Ten seconds, e1 where there is an event and e2 elsewhere: features (n, 10, 2) and labels (n, 10)."""
    import torch

    labels = torch.zeros(len(events), 10)
    for k, count in enumerate(events):
        labels[k, :count] = 1
    return torch.stack([labels, 1 - labels], -1), labels


def test_the_contrast_of_seconds_by_hand() -> None:
    import torch

    from winnow.train import losses

    fused, labels = _seconds(4)
    assert float(losses.segments(fused, labels)) == pytest.approx(0.046138, abs=1e-6)
    assert float(losses.segments(torch.ones(1, 10, 3), labels)) == pytest.approx(math.log(5 / 4), abs=1e-6)
    assert losses.segments(*_seconds(10)) is None
    assert losses.segments(*_seconds(0)) is None
    both, marks = _seconds(4, 10, 0)
    assert float(losses.segments(both, marks)) == pytest.approx(0.046138 / 2, abs=1e-6), (
        "all events: 0; none: not there"
    )


def test_the_released_contrast_of_seconds_is_a_constant_without_a_gradient() -> None:
    import torch

    from winnow.train import losses

    fused = torch.randn(2, 10, 6, requires_grad=True)
    value = losses.segments(fused, _seconds(4, 7)[1], wrong_axis=True)
    value.backward()
    assert float(value.detach()) == pytest.approx(26.6442, abs=1e-3)
    assert float(fused.grad.abs().max()) <= 1e-6


def test_the_weak_loss_moves_in_a_narrow_band_where_it_is_squashed_twice() -> None:
    import torch

    from winnow.train import losses

    for classes, best, worst in ((28, 0.6796, 0.7099), (141, 0.6905, 0.6966)):
        target = torch.nn.functional.one_hot(torch.tensor([3]), classes)
        assert float(losses.whole(target * 1e4, target, squashed=True)) == pytest.approx(best, abs=1e-4)
        uniform = torch.zeros(1, classes)
        assert float(losses.whole(uniform, target, squashed=True)) == pytest.approx(worst, abs=1e-4)
    assert float(losses.whole((target * 2 - 1) * 50.0, target)) < 1e-6, "unsquashed, a perfect answer costs nothing"


@pytest.mark.parametrize("model", ["psp", "cpsp", "sspsp", "dmrn"])
def test_labels_of_clips_teach_which_seconds_are_background(model: str) -> None:
    """Half of the seconds say what the clip is of, the others nothing: weakly supervised the two come apart. Taught by
    the maximum of seconds, as released, no second was ever background."""
    import torch

    from winnow.train.config import TrainConfig
    from winnow.train.sizes import Sizes
    from winnow.train.tasks import avel

    torch.manual_seed(0)
    rng, count = np.random.default_rng(0), 24
    target, events = (
        torch.arange(count) % 3,
        torch.from_numpy(rng.permuted(np.arange(10) % 2 * np.ones((count, 1)), axis=1)),
    )
    said = 3 * torch.nn.functional.one_hot(target, 3)[:, None] * events[..., None]
    noise = torch.from_numpy(rng.normal(0, 0.3, (2, count, 10, 3)))
    audio, visual = (said + noise[0]).float(), (said + noise[1])[:, :, None].repeat(1, 1, 2, 1).float()
    config = TrainConfig(model=model, supervision="weak")
    net = avel.build(config, Sizes(3, 3, 2, 10, 3, narrow=8))
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    given = {"category": target, "events": events}
    for _ in range(WEAK_STEPS):
        found = avel.terms(config, net(audio, visual), given)
        optimiser.zero_grad()
        sum(weight * value for weight, value in found.values() if value is not None).backward()
        optimiser.step()
    with torch.inference_mode():
        answered = avel.answers(net.eval()(audio, visual))["predicted"]
    true = torch.where(events > 0, target[:, None], 3).numpy()
    assert (answered == true).mean() > 0.6, "all category, or all background, is half"


def test_labels_of_another_shape_are_not_broadcast() -> None:
    import torch

    from winnow.train import losses

    with pytest.raises(ValueError, match="no broadcasting"):
        losses.whole(torch.zeros(4, 5), torch.zeros(4, 1, 5))


def test_pair_similarity_by_hand() -> None:
    import torch

    from winnow.train import losses

    fused, labels = _seconds(4)
    even = losses.pairs(fused, fused, labels)  # cosine 1 everywhere: a tenth each, against a quarter in four seconds
    assert float(even) == pytest.approx((4 * 0.15**2 + 6 * 0.1**2) / 10, abs=1e-7)
    assert losses.pairs(fused, fused, torch.zeros(1, 10)) is None
    apart = torch.where(labels[..., None] > 0, fused, -fused)
    assert float(losses.pairs(fused, apart, labels)) == pytest.approx(0, abs=1e-7)


def test_the_contrast_of_clips_takes_what_a_batch_has() -> None:
    """Two clips alike, one at a right angle, by hand; and as many neighbours as a batch has."""
    import torch

    from winnow.train import losses

    fused = torch.tensor([[1.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0]])[:, None].expand(3, 10, 3)
    target = torch.tensor([0, 0, 1])
    assert float(losses.videos(fused, target, 0.2, 3)) == 0
    assert losses.videos(fused, target, 0.2, 3, all_k=True) is None
    assert losses.videos(fused, torch.tensor([0, 0, 0]), 0.2, 3) is None
    value = float(losses.videos(fused, torch.tensor([0, 1, 1]), 0.2, 1))
    assert value == pytest.approx((0.2 + (math.sqrt(2) + 0.2) + 0.2) / 3, abs=1e-5)
    value = float(losses.videos(fused, torch.tensor([0, 1, 1]), 0.2, 3))
    assert value == pytest.approx((0 + (math.sqrt(2) + 0.2) + 0.2) / 3, abs=1e-5)


def test_the_label_free_contrast_by_hand() -> None:
    import torch

    from winnow.train import losses

    same = torch.eye(10)[None]
    assert float(losses.contrast_of_seconds(same, same)) == pytest.approx(math.log(1 + 9 * math.exp(-10)), abs=1e-6)
    late = float(losses.contrast_of_seconds(same, same.roll(1, 1)))
    assert late == pytest.approx(math.log(math.exp(10) + 9), abs=1e-5)
    flat = torch.ones(2, 10, 4)
    assert float(losses.contrast_of_seconds(flat, flat)) == pytest.approx(math.log(20), abs=1e-5)


def test_time_matching_by_hand() -> None:
    import torch

    from winnow.train import losses

    same, tail = torch.eye(10)[None], math.log(1 + 9 * math.exp(-5))
    assert float(losses.matching(same, same)) == pytest.approx(0.9 * tail + 0.1 * (5 + tail), abs=1e-6)
    assert 0.9 * tail + 0.1 * (5 + tail) == pytest.approx(0.5589, abs=1e-4)


def test_the_contrast_by_labels_by_hand() -> None:
    import torch

    from winnow.train import losses

    labels = torch.tensor([[1, 0], [1, 0], [0, 1], [1, 1]])
    same = torch.ones(4, 3)
    assert float(losses.common(same, labels)) == pytest.approx(math.log(2), abs=1e-6)
    assert losses.common(same, labels, drop=True) is None, "the last clip shares a label with all: as released, no term"
    assert losses.common(same, torch.ones(4, 2)) is None


CASES = [("avel", model, how) for model in MODELS for how in ("full", "weak")]
CASES += [("parse", "han", "full"), ("parse", "cpsp", "full")]


@pytest.mark.parametrize(("task", "model", "supervision"), CASES)
def test_each_term_teaches_both_sides(task: str, model: str, supervision: str) -> None:
    """Inputs of sound and of pictures both have a gradient from the terms together, and each term has one from some
    parameter. A term that says of one side alone (what is heard, what is seen) teaches the other through attention."""
    import torch

    from winnow.train.config import TrainConfig
    from winnow.train.sizes import Sizes
    from winnow.train.tasks import task_module

    torch.manual_seed(0)
    module = task_module(task)
    moving = 3 if task == "parse" else 0
    config = TrainConfig(model=model, supervision=supervision)
    net = module.build(config, Sizes(6, 5, 3, 10, 4, moving, narrow=16)).double().eval()
    inputs = {"audio": torch.randn(6, 10, 6), "visual": torch.randn(6, 10, 3, 5)}
    inputs |= {"moving": torch.randn(6, 10, 3)} if moving else {}
    inputs = {name: value.double().requires_grad_() for name, value in inputs.items()}
    events = torch.zeros(6, 10)
    events[:, 2:5] = 1
    labels = torch.nn.functional.one_hot(torch.tensor([0, 0, 1, 1, 2, 3]), 4).float()
    given = {"category": torch.tensor([0, 0, 1, 1, 2, 3]), "events": events, "labels": labels}
    found = module.terms(config, net(**inputs), given)
    assert found
    for name, (weight, value) in found.items():
        assert value is not None, name
        assert weight > 0
        grads = torch.autograd.grad(value, list(inputs.values()), retain_graph=True, allow_unused=True)
        for side, grad in zip(inputs, grads, strict=True):
            assert grad is not None, f"{name} does not reach {side}"
            assert float(grad.abs().max()) > 1e-9, f"{name} does not teach {side}"


def test_the_targets_of_a_batch_are_those_of_its_rows(tmp_path) -> None:
    from tests.unit.train import planted
    from winnow.core.lake import Lake
    from winnow.train import sets
    from winnow.train.tasks import avel

    folder = planted.release(Lake(tmp_path), planted.samples(15))
    found = sets.read(folder, "avel")
    given = avel.targets(found, np.array([4, 2]))
    rows = planted.samples(15)
    assert given["events"].int().tolist() == [rows[4]["labels"], rows[2]["labels"]]
    assert [found.categories[k] for k in given["category"]] == [rows[4]["category"], rows[2]["category"]]


@pytest.mark.parametrize("name", ["spsa_axis", "squashed_loss", "pooled_background", "vpsa_all_k", "contrast_drop"])
def test_a_deviation_of_released_code_can_be_switched_back(name: str) -> None:
    """For every model that it is of: the terms are others than ours."""
    import torch

    from winnow.train.config import FAITHFUL, load
    from winnow.train.sizes import Sizes
    from winnow.train.tasks import task_module

    for model_of in FAITHFUL[name][1]:
        task, model = model_of.split(".")
        module, weak = task_module(task), name in ("squashed_loss", "pooled_background")
        plain = load(task, model=model, supervision="weak" if weak else None)
        back = load(task, model=model, supervision="weak" if weak else None, faithful=[name])
        torch.manual_seed(0)
        net = module.build(plain, Sizes(6, 5, 3, 10, 4, narrow=16)).eval()
        events = torch.zeros(4, 10)
        events[:, 2:5] = 1
        labels = torch.tensor([[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]])
        given = {"category": torch.tensor([0, 0, 0, 1]), "events": events, "labels": labels}
        out = net(audio=torch.randn(4, 10, 6), visual=torch.randn(4, 10, 3, 5))
        ours, theirs = (
            {k: None if v is None else float(v.detach()) for k, (_, v) in module.terms(config, out, given).items()}
            for config in (plain, back)
        )
        assert theirs.keys() == ours.keys() - ({"rest", "share"} if weak else set()), model_of
        assert ours != theirs, model_of
        assert None not in ours.values()
