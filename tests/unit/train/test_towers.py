"""Networks that learn from decoded clips: their published numbers, spectrograms, masks, gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest


def _count(*parts) -> int:
    return sum(p.numel() for part in parts for p in part.parameters())


def test_towers_have_their_published_numbers() -> None:
    import torch

    from winnow.train.nets import towers
    from winnow.train.nets.contrast import projection

    with torch.device("meta"):
        assert _count(towers.Residual50()) == 31_672_128
        assert _count(towers.Sound50()) == 5_839_840
        assert (_count(projection(2048)), _count(projection(1024))) == (4_460_672, 1_181_824)
        assert _count(towers.Residual18()) == 33_371_472 - 513 * 400, "torchvision's, without its 400 classes"
        assert _count(towers.TinyPictures(), towers.Tiny(1)) < 1_000_000


def test_a_window_of_any_length_is_as_many_frames() -> None:
    import torch

    from winnow.train.nets.spectra import LogMel, length_of

    assert (length_of(94_080, 128), length_of(88_200, 128)) == (1_472, 1_380)
    for samples, rate, bins, frames in ((94_080, 44_100, 80, 128), (88_200, 44_100, 80, 128), (32_000, 16_000, 64, 96)):
        spectrum = LogMel(samples, rate, bins, frames).eval()
        found = spectrum(torch.zeros(2, samples))
        assert found.shape == (2, 1, bins, frames)
        assert float(found.max()) == pytest.approx(math.log(1e-6)), "silence, before the logarithm"
    tone = torch.sin(2 * math.pi * 1_000 / 16_000 * torch.arange(32_000))[None]
    loudest = spectrum(tone)[0, 0].mean(1).argmax()
    assert int(loudest) == round(1127 * math.log1p(1_000 / 700) / (1127 * math.log1p(8_000 / 700)) * 65) - 1


@pytest.mark.parametrize("loud", [False, True])
def test_masks_are_as_wide_as_said_and_quiet_unless_asked(loud: bool) -> None:
    import torch

    from winnow.train.nets.spectra import COLUMNS, ROWS, LogMel

    torch.manual_seed(0)
    spectrum = LogMel(32_000, 16_000, 64, 96, loud).train()
    noise = torch.randn(60, 32_000)
    plain, masked = LogMel(32_000, 16_000, 64, 96).eval()(noise), spectrum(noise)
    changed = (masked != plain)[:, 0].numpy()
    value = 0.0 if loud else math.log(1e-6)
    assert np.allclose(masked[:, 0].numpy()[changed], value)
    rows, columns = changed.all(2).sum(1), changed.all(1).sum(1)
    assert rows.max() == ROWS
    assert columns.max() == COLUMNS
    assert (changed.sum((1, 2)) == rows * 96 + columns * 64 - rows * columns).all()


def test_pictures_are_cut_at_random_while_learning_and_in_the_middle_else() -> None:
    import torch

    from winnow.train.nets.towers import Pictures

    cut = Pictures(4)
    ramp = torch.arange(8, dtype=torch.uint8)[None, None, None, :, None].expand(1, 1, 8, 8, 3)
    values = [cut.eval()(ramp, place)[0, 0, 0, 0] * 0.225 * 255 + 0.45 * 255 for place in (-1, 0, 1)]
    assert [v.round().int().tolist() for v in values] == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]
    torch.manual_seed(0)
    starts = {tuple((cut.train()(ramp)[0, 0, 0, 0] * 57.375 + 114.75).round().int().tolist()) for _ in range(80)}
    assert len(starts) == 10, "five places, mirrored or not"


@pytest.mark.parametrize("model", ["tiny", "frozen"])
def test_all_of_a_network_learns_and_the_loss_begins_at_chance(model: str) -> None:
    import torch

    from winnow.train.config import TrainConfig
    from winnow.train.nets.towers import GEOMETRIES
    from winnow.train.sizes import Sizes
    from winnow.train.tasks import contrast

    torch.manual_seed(0)
    config, of = TrainConfig(model=model), GEOMETRIES["tiny"]
    net, count = contrast.build(config, Sizes(20, 24, 1, 1, 0)), 64 if model == "frozen" else 6
    given = (
        {"audio": torch.randn(count, 20), "visual": torch.randn(count, 24)}
        if model == "frozen"
        else {
            "pictures": torch.randint(0, 256, (count, 3, of.side, of.side, 3), dtype=torch.uint8),
            "sound": torch.randn(count, of.samples),
        }
    )
    weight, loss = contrast.terms(config, net(**given), {"video": torch.arange(count)})["pairs"]
    if model == "frozen":
        assert math.log(64) <= float(loss) <= math.log(64) + 0.5
    (weight * loss).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
