"""What takes sounds apart: losses by hand, networks, and what reaches their weights."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from tests.unit.train import sounding
from tests.unit.train.lazily import Lazy
from winnow.metrics import calibration, separation
from winnow.metrics.bss_eval import quality
from winnow.train import loader, sounds
from winnow.train.config import TrainConfig, load
from winnow.train.separation_options import ramp
from winnow.train.sizes import Sizes

torch, losses = Lazy("torch"), Lazy("winnow.train.separation_losses")
clipsep, network, separator = (Lazy(f"winnow.train.nets.{name}") for name in ("clipsep", "onscreen", "separator"))
onscreen, query_separate = (Lazy(f"winnow.train.tasks.{name}") for name in ("onscreen", "query_separate"))
#: SDR, SIR, SAR by museval 0.4.1 of the signals below, and SDR and SIR of their mixture.
MUSEVAL = (4.881199461119245, 11.911544468417432, 24.271512936583186)
MUSEVAL_MIXTURE = (1.3198393302262577, 2.006557230838514)


@pytest.fixture(scope="module")
def sources() -> torch.Tensor:
    """Two examples of four sources each, (2, 4, 400)."""
    return torch.from_numpy(np.random.default_rng(0).normal(size=(2, 4, 400)).astype(np.float32))


def _mixed(sources: torch.Tensor) -> torch.Tensor:
    return torch.stack([sources[:, 0] + sources[:, 2], sources[:, 1] + sources[:, 3]], 1)


# -- MixIT -------------------------------------------------------------------------------------------------------------
def test_exact_sources_reach_the_floor_and_are_given_to_their_mixtures(sources: torch.Tensor) -> None:
    mixtures = _mixed(sources)
    found, assigned = losses.mixit(mixtures, sources)
    floor = (10 * torch.log10(1e-3 * (mixtures**2).sum(-1) + 1e-8)).mean(1)
    assert torch.allclose(found, floor, atol=1e-3)
    assert assigned.tolist() == [[1, 0, 1, 0]] * 2


def test_no_order_of_sources_or_mixtures_changes_the_loss(sources: torch.Tensor) -> None:
    mixtures, made = _mixed(sources), sources + 0.3 * sources.flip(-1)
    found, assigned = losses.mixit(mixtures, made)
    for order in permutations(range(4)):
        again, there = losses.mixit(mixtures, made[:, list(order)])
        assert torch.allclose(again, found, atol=1e-4)
        assert (there == assigned[:, list(order)]).all()
    again, there = losses.mixit(mixtures.flip(1), made)
    assert torch.allclose(again, found, atol=1e-4)
    assert (there == 1 - assigned).all(), "what is of one mixture is then of the other"


def test_silence_has_a_finite_loss(sources: torch.Tensor) -> None:
    """An estimate of nothing costs 10·log10(1.001‖x‖²); a mixture of nothing teaches no classifier."""
    mixtures = _mixed(sources)
    nothing, _ = losses.mixit(mixtures, torch.zeros_like(sources))
    assert torch.allclose(nothing, (10 * torch.log10(1.001 * (mixtures**2).sum(-1))).mean(1), atol=1e-4)
    half = torch.stack([mixtures[:, 0], torch.zeros_like(mixtures[:, 0])], 1)
    made = sources.clone().requires_grad_()
    found, assigned = losses.mixit(half, made)
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert torch.isfinite(made.grad).all()
    assert losses.onscreen(torch.zeros(2, 4), assigned, half) is None
    one = torch.cat([half[:1], mixtures[1:]])
    logits = torch.zeros(2, 4, requires_grad=True)
    losses.onscreen(logits, assigned, one).backward()
    assert (logits.grad[0] == 0).all()
    assert (logits.grad[1] != 0).all()


@pytest.mark.parametrize("basis", ["stft", "learnt"])
def test_separated_sources_add_up_to_the_mixture(basis: str, sources: torch.Tensor) -> None:
    mixture = sources.sum(1).repeat(1, 3)[:, :1111]
    made = separator.Separator(4, basis, 2, 1, 16)(mixture)
    assert made.shape == (2, 4, 1111)
    assert (made.sum(1) - mixture).abs().max() < 1e-5
    weights = torch.tensor([[0.1, 0.2, 0.3, 0.4]] * 2)
    left = separator.consistent(mixture.double(), made.double() * 0.5, weights.double())
    assert (left.sum(1) - mixture).abs().max() < 1e-6


@pytest.mark.parametrize("kind", ["cross", "self", "separable"])
def test_every_part_of_the_network_is_taught(kind: str, sources: torch.Tensor) -> None:
    """Separator, classifier, and both sides of the attention; of the steps in which the separator learns alone, the
    classifier's loss teaches nothing."""
    sizes = Sizes(400, 7, 16, 8, 0, narrow=16)
    torch.manual_seed(0)
    net = network.Onscreen(sizes, kind, basis="stft", blocks=1, repeats=1, layers=2, heads=2, dropout=0.0, alone=1)
    given = {"sound": _mixed(sources), "pictures": torch.rand(2, 8, 16, 7)}
    config = TrainConfig(model=f"mixit4-{kind}")
    alone = onscreen.terms(config, net(**given), {})
    assert float(alone["onscreen"][1].detach()) == 0
    found = onscreen.terms(config, net(**given), {})
    sum(weight * value for weight, value in found.values()).backward()
    still = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    # the last layer's answer of the picture's side is not read, and a key's bias moves no softmax
    assert not {n for n in still if not n.startswith("attention.layers.1.")}, still
    assert any(n.startswith("attention.layers.0.") for n, _ in net.named_parameters())
    net.eval()
    assert net(**given)["logits"].shape == (2, 4)


# -- CLIPSep -----------------------------------------------------------------------------------------------------------
def test_the_published_networks_have_their_published_sizes() -> None:
    with torch.device("meta"):
        counts = {
            noise: sum(p.numel() for p in clipsep.ClipSep(Sizes(0, 512, 1, 1, 0), noise).parameters())
            for noise in (True, False)
        }
    assert counts == {True: 30_292_771, False: 30_290_659}


def test_the_warp_keeps_its_ends_and_its_way_back_undoes_it() -> None:
    y = np.linspace(-1, 1, clipsep.ROWS)
    there = clipsep.to_log(y)
    assert there[[0, -1]] == pytest.approx([-1, 1])
    assert there[clipsep.ROWS // 2] == pytest.approx(-0.639, abs=5e-4)
    assert clipsep.to_linear(there) == pytest.approx(y)
    matrix = clipsep.warping(clipsep.ROWS, 513)
    assert torch.allclose(matrix.sum(1), torch.ones(clipsep.ROWS))
    assert (matrix @ torch.arange(513.0)).tolist() == pytest.approx(((there + 1) * 256).tolist(), abs=1e-3)


def test_a_false_bin_is_corrected_unless_the_released_clamp_is_asked_for() -> None:
    """At logits 3 and 3, and at 0 and 0, of a bin that should be silent."""
    for logit in (3.0, 0.0):
        found = {}
        for clamp in (True, False):
            query, noise = (torch.full((1, 1), logit, requires_grad=True) for _ in range(2))
            loss = losses.either(query, noise, torch.zeros(1, 1), torch.ones(1, 1), clamp=clamp)
            loss.sum().backward()
            found[clamp] = float(loss.detach()), float(query.grad), float(noise.grad)
        assert found[True] == (100.0, 0.0, 0.0)
        p = 1 / (1 + math.exp(-logit))
        assert found[False] == pytest.approx((-2 * math.log(1 - p), p, p), rel=1e-5)
    far = torch.full((1, 1), 40.0, requires_grad=True)
    losses.either(far, far, torch.ones(1, 1), torch.ones(1, 1)).sum().backward()
    assert torch.isfinite(far.grad).all()


def test_each_example_has_its_own_pairing_of_noise_heads() -> None:
    query, target = torch.zeros(2, 2, 1, 4), torch.zeros(2, 2, 1, 4)
    noise = torch.full((2, 2, 1, 4), -20.0)
    target[0, 0], target[1, 1] = 1, 1
    noise[:, 0] = 20.0  # head 0 lets all through: right for query 0 of the first, for query 1 of the second
    found = losses.noise_invariant(query, noise, target, torch.ones(2, 1, 4))
    assert found.tolist() == pytest.approx([math.log(2) / 2] * 2, rel=1e-3)
    assert float(losses.noise_share(noise, 0.25)) == pytest.approx(0.75, rel=1e-3)
    assert float(losses.saturated(query, noise)) == 0.5


def test_the_rate_rises_and_falls_as_published() -> None:
    paper = load("query-separate", "paper")
    assert [round(ramp(paper, step), 6) for step in (0, 4_999, 5_000, 52_500, 100_000, 400_000)] == [
        0.0002,
        1.0,
        1.0,
        0.55,
        0.1,
        0.1,
    ]
    assert ramp(TrainConfig(), 10**6) == 1.0


# -- scores ------------------------------------------------------------------------------------------------------------
def test_sdr_sir_and_sar_are_those_of_museval() -> None:
    """museval 0.4.1 on the same signals, window and hop infinite."""
    t = np.arange(3_000)
    a = np.sin(0.05 * t) * np.cos(0.0021 * t) + 0.3 * np.sin(1.3 * t + 0.0001 * t * t)
    b = np.sign(np.sin(0.031 * t)) * np.exp(-((t % 500) / 200)) + 0.2 * np.sin(0.7 * t + 0.00013 * t * t)
    estimate = 0.8 * np.roll(a, 3) + 0.25 * b + 0.02 * np.sin(2.1 * t + 0.0003 * t * t)
    made, mixture = quality(np.stack([a, b]), np.stack([estimate, a + b]))
    assert (made.sdr_db, made.sir_db, made.sar_db) == pytest.approx(MUSEVAL, abs=1e-6)
    assert (mixture.sdr_db, mixture.sir_db) == pytest.approx(MUSEVAL_MIXTURE, abs=1e-6)
    assert quality(np.stack([a, 0 * b]), estimate[None]) == [None], "a silent source: nothing is defined"


def test_scores_from_products_are_those_from_sounds(sources: torch.Tensor) -> None:
    """Suppression, its calibration and SI-SNR, as `winnow metrics calibrate` has them."""
    rng = np.random.default_rng(0)
    out = {"sources": sources, "mixtures": _mixed(sources), "logits": torch.from_numpy(rng.normal(size=(2, 4)))}
    found = onscreen.answers(out)
    answers = [
        calibration.Separated(mixture.numpy(), one.numpy(), logits.numpy())
        for mixture, one, logits in zip(sources.sum(1), sources, out["logits"], strict=True)
    ]
    ours = calibration.Suppression.of_powers(found["whole"], found["gram"], found["logits"], "mean")
    plain = calibration.Suppression(answers, "mean")
    assert ours.each_db(0.3) == pytest.approx(plain.each_db(0.3), abs=1e-6)
    assert calibration.calibrate(ours, 6.0).bias == pytest.approx(
        calibration.calibrate(answers, 6.0, statistic="mean").bias, abs=1e-4
    )
    references = list(_mixed(sources)[:, 0].numpy())
    assert onscreen.at_bias(found, 0.3) == pytest.approx(
        calibration.onscreen_si_snr_db(references, answers, 0.3), abs=1e-6
    )
    assert found["mixture_db"] == pytest.approx(separation.si_snr_db(np.stack(references), sources.sum(1).numpy()))
    assert [ours.at_db(b) for b in (-3, 0, 3)] == sorted([ours.at_db(b) for b in (-3, 0, 3)], reverse=True)


# -- partners ----------------------------------------------------------------------------------------------------------
def test_a_partner_is_of_another_video_and_label_and_follows_from_seed_epoch_and_id() -> None:
    rows = [
        {
            "id": f"{k:02d}",
            "clip": f"{k:02d}",
            "split": "val" if k > 20 else "train",
            "label": "abc"[k % 3] if k % 7 else None,
            "group": k // 2,
        }
        for k in range(30)
    ]
    found = sounds.examples(rows)
    partners = sounds.Partners(found)
    drawn = set()
    for row in range(30):
        for epoch in range(6):
            one = partners.draw(row, loader.own(3, epoch, found.id[row]))
            assert one == partners.draw(row, loader.own(3, epoch, found.id[row]))
            assert found.group[one] != found.group[row]
            assert found.split[one] == found.split[row]
            assert found.label[one] != found.label[row] or not found.label[row]
            drawn.add((row, one))
    assert len(drawn) > 90, "another one in another epoch"
    assert not len(partners.alone())
    few = sounds.Partners(found.take(np.array([0, 1, 5])))
    assert few.alone().tolist() == [], "clip 5 is of another video"
    assert sounds.Partners(found.take(np.array([0, 1]))).alone().tolist() == [0, 1]


# -- by heart ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("model", ["clipsep", "clipsep-nit"])
def test_a_query_finds_its_sound_among_eight_clips_by_heart(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four pairs of a low and a high tone, a network of four levels: masks come to let through what is asked for. With
    noise heads, which may take the other tone up as they like, the loss alone counts."""
    for name, value in (("ROWS", 64), ("DOWNS", (64, 128, 256, 256)), ("UPS", (256, 128, 64))):
        monkeypatch.setattr(f"winnow.train.nets.clipsep.{name}", value)
    torch.manual_seed(0)
    t = np.arange(7_936) / 8_000
    pitches = [[300.0, 1_900.0][:: (-1) ** k] for k in range(4)]
    sound = 0.15 * np.sin(2 * np.pi * np.array(pitches)[..., None] * t)
    query = np.stack([[[3.0, -3.0] if pitch < 1_000 else [-3.0, 3.0] for pitch in pair] for pair in pitches])
    given = {"sound": torch.from_numpy(sound.astype(np.float32)), "query": torch.from_numpy(query.astype(np.float32))}
    config = TrainConfig(model=model)
    net = query_separate.build(config, Sizes(len(t), 2, 1, 1, 0, narrow=8))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for step in range(200):
        net.train()
        found = query_separate.terms(config, net(**given), {})
        optimiser.zero_grad()
        sum(weight * value for weight, value in found.values()).backward()
        optimiser.step()
        if step % 10 == 9 and float(found["masks"][1].detach()) < 0.03:
            net.eval()
            with torch.inference_mode():
                said = query_separate.answers(net(**given))
            if model == "clipsep-nit" or (said["sdr_db"] > said["mixture_sdr_db"] + 3).all():
                return
    pytest.fail(f"not learnt in {step + 1} steps")


@pytest.mark.parametrize("kind", ["cross", "self", "separable"])
def test_what_is_on_the_screen_is_learnt_by_heart(kind: str) -> None:
    """Eight clips in four mixtures: the classifier agrees with where MixIT puts the sources."""
    torch.manual_seed(0)
    rows = sounding.clips()[:8]
    decoded = [sounding.part(row["data"]) for row in rows]
    sound = np.stack([[decoded[k]["sound"][0], decoded[k + 1]["sound"][0]] for k in range(0, 8, 2)])
    given = {
        "sound": torch.from_numpy(sound),
        "pictures": torch.from_numpy(np.stack([decoded[k]["pictures"] for k in range(0, 8, 2)])),
    }
    config = TrainConfig(model=f"mixit4-{kind}", core_blocks=2, dropout=0.0, narrow=16)
    net = onscreen.build(config, Sizes(sound.shape[-1], 7, 16, 8, 0, narrow=16))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(150):
        found = onscreen.terms(config, net(**given), {})
        optimiser.zero_grad()
        sum(weight * value for weight, value in found.values()).backward()
        optimiser.step()
        if float(found["onscreen"][1].detach()) < 0.05:
            return
    pytest.fail(f"still {float(found['onscreen'][1].detach()):.3f}")
