"""`winnow benchmark pairs`: pictures with the sound of the same thing, told from shuffled ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import needs
from tests.unit import encoders
from winnow.benchmark.pairs import Pairs, averaged, curve, encode, judge, judged, paired, ruled
from winnow.core.errors import ContractError
from winnow.media.ffmpeg import av


def made(kinds: int = 6, each: int = 10) -> Pairs:
    """Vectors of things whose look and sound follow their kind."""
    rng = np.random.default_rng(0)
    kind = np.arange(kinds * each) % kinds
    sides = [rng.normal(size=(kinds, 20))[kind] + rng.normal(0, 0.7, (len(kind), 20)) for _ in range(2)]
    return Pairs([f"thing {i}" for i in range(len(kind))], *sides, [])


def test_pairs_are_told_from_shuffled_ones() -> None:
    own, dealt = averaged(made(), seeds=(0, 1)), averaged(made(), seeds=(0, 1), shuffled=True)
    assert own["auc_low"] > 0.6
    assert own["recall_1"] > 2 * own["chance_1"]
    assert abs(dealt["auc"] - 0.5) < 0.1
    assert (own["gallery"], own["chance_1"]) == (15, 0.0667)
    assert judged(made(), seed=3) == judged(made(), seed=3)


def test_what_the_rule_takes_and_what_is_said_of_a_pair_are_told() -> None:
    own, dealt = (judge(made(), seed=1, shuffled=shuffled) for shuffled in (False, True))
    assert dealt.sigma[~dealt.true].mean() == pytest.approx(0, abs=0.02)
    taken = own.sigma >= 1.645
    told = ruled(own)
    assert told["recall"] == pytest.approx(taken[own.true].mean(), abs=1e-4)
    accepted = taken[~own.true].mean()
    assert told["precision"] == pytest.approx(told["recall"] / (told["recall"] + accepted), abs=1e-4)
    assert told["precision_low"] < told["precision"] < told["precision_high"]
    assert told["precision"] > 0.8
    assert ruled(dealt)["precision_low"] < 0.5, "of shuffled pairs the rule takes what it is dealt"


def test_what_is_said_of_a_pair_is_how_often_it_is_true() -> None:
    rows = curve([judge(made(), seed=seed) for seed in range(3)])
    assert sum(row["weight"] for row in rows) == pytest.approx(1, abs=1e-3)
    assert sum(row["true_pairs"] for row in rows) == 3 * 60
    assert sum(row["weight"] * abs(row["said"] - row["share_true"]) for row in rows) < 0.1
    assert rows[-1]["share_true"] > rows[0]["share_true"] + 0.5


def write(path: Path, picture: np.ndarray | None = None, wave: np.ndarray | None = None) -> None:
    """A PNG with transparency, or a WAV."""
    with av.open(str(path), "w", format="image2" if picture is not None else "wav") as file:
        stream = file.add_stream("png", rate=1) if picture is not None else file.add_stream("pcm_s16le", rate=16000)
        if picture is not None:
            stream.width, stream.height, stream.pix_fmt = picture.shape[1], picture.shape[0], "rgba"
            frame = av.VideoFrame.from_ndarray(picture, format="rgba")
        else:
            frame = av.AudioFrame.from_ndarray((wave * 32767).astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate = 16000
        file.mux([*stream.encode(frame), *stream.encode(None)])


def test_files_are_found_by_name_and_silent_ones_left_out(tmp_path: Path) -> None:
    needs.package("onnxruntime")
    rng, folder = np.random.default_rng(0), tmp_path / "stamps"
    (folder / "symbols").mkdir(parents=True)
    for k in range(17):
        name = folder / ("symbols" if k == 16 else "") / f"thing{k}.png"
        write(name, rng.integers(0, 256, (24, 32, 4)).astype(np.uint8))
        if k != 15:
            write(name.with_suffix(".wav"), wave=rng.normal(0, 0 if k == 3 else 0.1, 4000).clip(-1, 1))
    write(folder / "again.png", rng.integers(0, 256, (24, 32, 4)).astype(np.uint8))
    (folder / "again.wav").write_bytes((folder / "symbols" / "thing16.wav").read_bytes())
    found = paired(folder, ["symbols", "again"])
    assert [picture.stem for picture, _ in found] == sorted(f"thing{k}" for k in range(15))
    weights = encoders.folder_of(tmp_path / "weights", "efficientnet", "yamnet")
    with pytest.raises(ContractError, match="14 pairs with sound, and the benchmark needs 15"):
        encode(found, weights, ("tiny", "tiny"))
    assert [picture.stem for picture, _ in paired(folder)].count("thing16") == 0, "its sound is another one's too"
    pairs = encode(paired(folder), weights, ("tiny", "tiny"))
    assert (len(pairs.names), list(pairs.silent)) == (15, ["thing3"])
    assert (pairs.picture.shape[1], pairs.sound.shape[1]) == (
        encoders.WIDTHS["efficientnet"],
        encoders.WIDTHS["yamnet"],
    )


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    from winnow.benchmark.pairs import flattened

    clear = np.zeros((8, 8, 4), np.uint8)
    clear[:, :4] = (200, 0, 0, 255)
    write(tmp_path / "a.png", clear)
    found = flattened(tmp_path / "a.png", 8)[0]
    assert found[4, 6].tolist() == [255, 255, 255]
    assert found[4, 1].tolist() == [200, 0, 0]
