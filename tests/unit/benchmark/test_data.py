"""The data of the correspondence-retrieval benchmark: digits, spoken digits, made-up kinds, a lake's clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import needs
from winnow.benchmark import datasets, digits, kinds, manifold, methods, picture_layers, table
from winnow.core.errors import ContractError


def test_digits_are_deterministic_moved_a_little_and_turned_exactly() -> None:
    from sklearn.datasets import load_digits

    images, classes = digits.handwritten(12, 0)
    assert images.shape == (120, 8, 8)
    assert (images.min(), images.max()) == (0, 1)
    assert np.array_equal(images, digits.handwritten(12, 0)[0])
    assert not np.array_equal(images, digits.handwritten(12, 1)[0])
    assert np.bincount(classes).tolist() == [12] * 10
    assert digits.rotated(images)[5, 0, 0] == images[5, 0, 7]
    assert digits.flipped(images)[5, 0, 3] == images[5, 7, 3]
    originals, target = load_digits(return_X_y=True)
    originals = originals.reshape(-1, 8, 8)
    means = np.stack([originals[target == c].mean(axis=0) for c in range(10)]) / 16
    alike = [np.corrcoef(images[classes == c].mean(axis=0).ravel(), means[c].ravel())[0, 1] for c in range(10)]
    assert min(alike) > 0.85, alike


def test_picture_layers_tell_digits_apart_without_labels() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    images, classes = digits.handwritten(40, 0)
    layers = picture_layers.describe(images, 0)
    assert len(layers) == len(picture_layers.LAYERS)
    for name, layer in zip(picture_layers.LAYERS, layers, strict=True):
        assert np.isfinite(layer).all(), name
        near = KNeighborsClassifier(5).fit(layer[::2], classes[::2])
        assert near.score(layer[1::2], classes[1::2]) > 0.75, name
    assert all(np.array_equal(a, b) for a, b in zip(layers, picture_layers.describe(images, 0), strict=True))


def test_the_manifold_separates_what_bends() -> None:
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 300)
    ring = np.repeat([1.0, 3.0], 150)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    place = manifold.embed([ring + rng.normal(0, 0.05, ring.shape)], 0, dims=4, neighbours=8)
    found = table.clusterings([place], 2, 0)[:, 0]
    assert max(np.mean(found == np.repeat([0, 1], 150)), np.mean(found == np.repeat([1, 0], 150))) > 0.95


def test_clips_of_a_lake(tmp_path: Path) -> None:
    from tests.unit.measured import CLASSES as KINDS
    from tests.unit.measured import clip, write_batch
    from winnow.benchmark.clips import from_labels, from_release
    from winnow.core.lake import Lake

    lake = Lake(tmp_path / "lake")
    write_batch(lake, "2026-11-01", range(60), silent=frozenset({7}))
    labels = {clip(v, k)[0]["sample_id"]: f"kind {v % KINDS}" for v in range(59) for k in range(2)}
    data = from_labels(lake, ["2026-11-01"], labels, "clips")
    assert len(data.first_class) == 116  # without the silent video's and the one that has no label
    assert len(set(data.first_class)) == KINDS
    assert [layer.shape[1] for layer in data.first] == [64, 56, 60, 40, 48]
    rows = list(table.run(data, list(methods.named(("MI refined",))), seeds=[0, 1], clusters=[6], variants=["samples"]))
    best = {row.pairing: row for row in rows if row.method == "MI refined"}["bipartite"]
    assert best.of_ceiling is not None
    assert best.of_ceiling > 0.9
    rows = [
        {"sample_id": i, "batch": "2026-11-01", "label": name, "status": "kept" if name != "kind 5" else "dropped"}
        for i, name in labels.items()
    ]
    folder = tmp_path / "lake" / "releases" / "abc" / "tables"
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "fct_clips.parquet")
    folder.with_name("manifest.json").write_text("{}")
    (folder.parents[1] / "current").write_text("abc\n")
    released = from_release(lake)
    assert len(set(released.first_class)) == KINDS - 1
    assert "release abc" in released.says
    with pytest.raises(ContractError, match="needs 4"):
        from_labels(lake, ["2026-11-01"], dict.fromkeys(labels, "one"), "clips")


def test_spoken_digits(tmp_path: Path) -> None:
    needs.tool("espeak-ng")
    from winnow.benchmark import sound_layers, spoken

    said = []
    waves, classes = spoken.spoken(6, 0, tmp_path, said.append)
    assert len(waves) == 60
    assert np.bincount(classes).tolist() == [6] * 10
    assert len(said) == 1
    assert all(0.1 < len(wave) / spoken.RATE_HZ <= spoken.LONGEST_S for wave in waves)
    (kept,) = tmp_path.glob("spoken-*.npz")
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    assert len(spoken.spoken(6, 0, tmp_path, said.append)[0]) == 60
    assert (len(said), kept.read_bytes()) == (2, whole)
    again, _ = spoken.spoken(6, 0, tmp_path, lambda _: pytest.fail("it was kept"))
    assert all(np.array_equal(a, b) for a, b in zip(waves, again, strict=True))
    assert spoken.recipes(6, 0) == [r for d in range(10) for r in spoken.recipes(9, 0)[9 * d : 9 * d + 6]]
    layers = sound_layers.describe(waves, spoken.RATE_HZ, 0)
    assert len(layers) == len(sound_layers.LAYERS)
    cepstrum = layers[2]
    middle = np.stack([cepstrum[classes == c][:3].mean(axis=0) for c in range(10)])
    held = np.concatenate([cepstrum[classes == c][3:] for c in range(10)])
    nearest = ((held[:, None] - middle) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == np.repeat(np.arange(10), 3)).mean() > 0.7


def test_a_program_that_says_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from winnow.benchmark import spoken

    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for script in ("exit 1", "printf RIFF", "sleep 0"):
        program = tmp_path / "espeak-ng"
        program.write_text(f"#!/bin/sh\n[ $1 = --version ] && exec echo a stand-in\n{script}\n")
        program.chmod(0o755)
        with pytest.raises(ContractError, match="no sound came back"):
            spoken.spoken(1, 0, tmp_path / "kept")


def test_held_out_sets_share_nothing_with_those_on_which_methods_were_tuned(tmp_path: Path) -> None:
    needs.tool("espeak-ng")
    from winnow.benchmark import spoken

    assert not set(spoken.GERMAN.words) & set(spoken.ENGLISH.words)
    assert not set(spoken.GERMAN.variants) & set(spoken.ENGLISH.variants)
    tuned = datasets.load("digits-rotated", 12, tmp_path)
    held = [datasets.load(f"{name}-held-out", 12, tmp_path) for name in ("digits", "kinds")]
    assert (tuned.seeds_from, {data.seeds_from for data in held}) == (0, {1000})
    pixels = tuned.first[0].reshape(-1, 8, 8)[:, :, ::-1].reshape(120, -1)
    assert not (pixels[:, None] == held[0].first[0]).all(axis=2).any()
    for data in held:
        again = datasets.load(data.name, 12, tmp_path)
        assert all(
            np.array_equal(a, b) for a, b in zip(data.first + data.second, again.first + again.second, strict=True)
        )
        assert len(data.first_class) == 120
        assert "nothing was tuned" in data.says


def test_runs_of_held_out_data_have_seeds_of_their_own() -> None:
    first, second, kind = kinds.made(600, 5)
    both = [datasets.Dataset("x", first, second, kind, kind, "", seeds_from) for seeds_from in (0, 7)]
    chosen = list(methods.named(("random",)))
    run = {
        (data.seeds_from, seed): next(iter(table.run(data, chosen, seeds=[seed], clusters=[8], variants=["chance"])))
        for data in both
        for seed in (0, 7)
    }
    assert run[7, 0].each == run[0, 7].each
    assert run[7, 0].each != run[0, 0].each


def test_made_up_kinds_are_unequal_and_their_layers_err() -> None:
    sizes = kinds.sizes(3000)
    assert sizes.sum() == 3000
    assert (np.diff(sizes) <= 0).all()
    assert sizes[0] > 8 * sizes[-1]
    first, second, kind = kinds.made(3000, 0)
    assert np.bincount(kind).tolist() == sizes.tolist()
    assert len(first) == len(second) == kinds.LAYERS
    for layer in (*first, *second):
        centres = np.stack([np.median(layer[kind == k], axis=0) for k in range(kinds.KINDS)])
        nearest = ((layer[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        assert 0.62 < (nearest == kind).mean() < 0.8  # of 70 % and those that show the kind by chance
