"""Networks: sizes as published, shapes, what must not change an answer."""

from __future__ import annotations

import pytest


def _sizes(**more: int):
    from winnow.train.sizes import Sizes

    return Sizes(**{"audio": 128, "visual": 512, "positions": 49, "seconds": 10, "classes": 28, **more})


#: Parameters of the released networks without what nothing reads, by task, model, supervision and categories. PSP's
#: body with CPSP's heads has 1,537,870; with its own, a score for each category and background a second, more.
PUBLISHED = [
    ("avel", "cpsp", "full", 28, 1_537_870),
    ("avel", "sspsp", "full", 28, 1_537_870),
    ("avel", "psp", "full", 28, 1_548_750),
    ("avel", "avatt", "full", 28, 1_335_246),
    ("avel", "dmrn", "full", 28, 1_571_150),
    ("avel", "dmrn", "full", 141, 1_600_191),
    ("avel", "avsdn", "full", 28, 2_162_510),
    ("avel", "avsdn", "full", 141, 2_191_551),
    ("avel", "cmran", "full", 28, 9_509_150),
    ("parse", "han", "full", 25, 4_569_675),
    ("parse", "cpsp", "full", 25, 6_668_875),
]


@pytest.mark.parametrize(("task", "model", "supervision", "classes", "count"), PUBLISHED)
def test_a_network_is_as_large_as_published(task: str, model: str, supervision: str, classes: int, count: int) -> None:
    import torch

    from winnow.train.config import TrainConfig
    from winnow.train.tasks import task_module

    parsing = {"visual": 2048, "positions": 8, "moving": 512} if task == "parse" else {}
    config = TrainConfig(model=model, supervision=supervision)
    with torch.device("meta"):
        net = task_module(task).build(config, _sizes(classes=classes, **parsing))
    assert sum(p.numel() for p in net.parameters()) == count


def test_sound_says_where_to_look() -> None:
    """The sound's numbers are added by position: raising one position's weight moves the sum there."""
    import torch

    from winnow.train.nets.common import Attention

    torch.manual_seed(0)
    attention = Attention(3, 4, 2, 8).double()
    seen, heard = torch.randn(1, 2, 2, 4, dtype=torch.double), torch.randn(1, 2, 3, dtype=torch.double)
    v = torch.relu(seen @ attention.visual.weight.T + attention.visual.bias) @ attention.of_visual.weight.T
    a = torch.relu(heard @ attention.audio.weight.T + attention.audio.bias) @ attention.of_audio.weight.T
    z = torch.zeros(1, 2, 2, dtype=torch.double)
    for p in range(2):
        z[:, :, p] = torch.tanh(v[:, :, p] + a[:, :, p : p + 1]) @ attention.score.weight[0]
    w = z.softmax(-1)
    assert torch.allclose(attention(heard, seen), w[..., :1] * seen[:, :, 0] + w[..., 1:] * seen[:, :, 1])


def test_pairs_at_the_threshold_are_cut_and_rows_are_shares() -> None:
    """Equal pairs have a tenth each: more than 0.099 is kept, 0.1 itself is not."""
    import torch

    from winnow.train.nets.psp import kept

    equal = torch.ones(1, 10, 10)
    assert torch.allclose(kept(equal, 0.099), torch.full((1, 10, 10), 0.1))
    assert not kept(equal, 0.1001).any()
    one = torch.tensor([[[0.5, 0.3, 0.2]]])
    assert torch.allclose(kept(one, 0.25), torch.tensor([[[0.625, 0.375, 0.0]]]))
    assert torch.allclose(kept(one, 0.25, again=False), torch.tensor([[[0.5, 0.3, 0.0]]]))


@pytest.mark.parametrize("seconds", [5, 20])
def test_the_threshold_follows_the_seconds(seconds: int) -> None:
    from winnow.train.nets.psp import PSP

    assert PSP(_sizes(seconds=seconds, narrow=16), 0.99).propagate.threshold == pytest.approx(0.99 / seconds)


def _small(**more: int):
    return _sizes(**{"audio": 6, "visual": 5, "positions": 3, "classes": 4, "narrow": 16, **more})


@pytest.mark.parametrize("supervision", ["full", "weak"])
@pytest.mark.parametrize("model", ["psp", "cpsp", "sspsp", "avatt", "dmrn", "avsdn", "cmran"])
def test_a_clip_is_answered_alone(model: str, supervision: str) -> None:
    """Other clips of its batch change nothing, and a batch of one keeps its axis; answers are as the spec says."""
    import numpy as np
    import torch

    from winnow.train.config import TrainConfig
    from winnow.train.tasks import avel

    torch.manual_seed(1)
    net = avel.build(TrainConfig(model=model, supervision=supervision), _small()).double().eval()
    audio, visual = torch.randn(3, 10, 6, dtype=torch.double), torch.randn(3, 10, 3, 5, dtype=torch.double)
    with torch.inference_mode():
        whole, alone = avel.answers(net(audio, visual)), avel.answers(net(audio[1:2], visual[1:2]))
    assert whole["scores"].shape == (3, 10, 5)
    assert np.allclose(whole["scores"].sum(-1), 1)
    assert np.allclose(whole["scores"][1:2], alone["scores"])
    assert (whole["predicted"][1] == alone["predicted"][0]).all()


def test_pooled_probabilities_of_equal_seconds_are_theirs_and_lie_between() -> None:
    import torch

    from winnow.train.nets.parsing import Pooling

    torch.manual_seed(2)
    pool = Pooling(8, 4).double()
    second = torch.randn(2, 1, 8, dtype=torch.double).expand(2, 10, 8)
    found = pool(second, second)
    for name in ("modalities", "clip"):
        assert torch.allclose(
            found[name].reshape(2, -1, 4), found["segments"][:, :1, 0].expand_as(found[name].reshape(2, -1, 4))
        )
    any_ = pool(torch.randn(5, 10, 8).double() * 5, torch.randn(5, 10, 8).double() * 5)
    assert (any_["modalities"] <= any_["segments"].amax(1) + 1e-12).all()
    assert (any_["modalities"] >= any_["segments"].amin(1) - 1e-12).all()


def test_the_pooled_value_of_a_clip_can_pass_one() -> None:
    """Weights over time and over sides are not normalised together, as released; so `answers` cuts it."""
    import torch

    from winnow.train.nets.parsing import Pooling
    from winnow.train.tasks import parse

    pool = Pooling(2, 1)
    with torch.no_grad():
        pool.probability.weight.zero_(), pool.probability.bias.fill_(9)
        pool.when.weight.copy_(torch.tensor([[20.0, 0.0]])), pool.which.weight.copy_(torch.tensor([[20.0, 0.0]]))
    audio, visual = torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)
    audio[0, 0, 0] = visual[0, 1, 0] = 1
    out = pool(audio, visual)
    assert float(out["clip"].detach()) > 1.9
    assert parse.answers({k: v.detach() for k, v in out.items()})["clip"].max() == 1


def test_swapping_what_is_heard_and_seen_swaps_the_answers_of_shared_weights() -> None:
    import torch

    from winnow.train.nets.parsing import Hybrid

    torch.manual_seed(3)
    layer = Hybrid(8).double().eval()
    x, y = torch.randn(2, 10, 8, dtype=torch.double), torch.randn(2, 10, 8, dtype=torch.double)
    one, other = (layer(x, y), layer(y, x)), (layer(y, x), layer(x, y))
    assert torch.equal(one[0], other[1])
    assert torch.equal(one[1], other[0])
    assert not torch.allclose(one[0], one[1])
