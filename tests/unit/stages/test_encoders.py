"""efficientnet and yamnet as stages: real small files to tables, with networks of random weights; their front-ends on
known inputs; the checkpoints themselves where they are installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests import needs
from tests.unit import encoders
from tests.unit.signals import moving_square, mp4, sine
from tests.unit.torch_models import IDS, commit_clips, read, run
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.core.stage import identity, stage_class
from winnow.models import audioset, imagenet, sound_classes
from winnow.models.weights import SHIPPED, Weights, entries, find

NAMES = ("efficientnet", "yamnet")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs.package("onnxruntime")
    return encoders.folder_of(tmp_path_factory.mktemp("weights"), *NAMES)


@pytest.fixture(scope="module")
def clips() -> dict[str, bytes]:
    """Three clips of different length and sound, one that is silent, one without pictures, and one that is none."""
    made = [mp4(moving_square(s, seed=s), sine(s, 220.0 * s, -12)) for s in (1, 2, 3)]
    made += [mp4(moving_square(1)), mp4(None, sine(1, 500, -12)), b"no file"]
    return dict(zip(IDS, made, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_becomes_vectors_and_tags(name: str, clips: dict, weights: Path, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    settings = Settings(lake=lake.root, weights=weights)
    commit_clips(lake, "day", [clips], tmp_path)
    summary = run(lake, name, "day", settings, model="tiny")
    assert (summary.ok, summary.failed) == (4, 2)
    manifest, table = read(lake, name, "day")
    assert table.schema.field("embedding").type == pa.list_(pa.float16(), encoders.WIDTHS[name])
    rows = {row["sample_id"]: row for row in table.to_pylist()}
    lacking = IDS[4] if name == "efficientnet" else IDS[3]
    assert rows[lacking]["reason"] == ("no_video_stream" if name == "efficientnet" else "no_audio_stream")
    assert rows[IDS[5]]["reason"] == "undecodable"
    found = find(weights, name, "tiny")
    assert {row["model"] for row in rows.values()} == {found.label, None}
    assert manifest.model == found.digest
    vectors = [np.asarray(rows[i]["embedding"], float) for i in IDS[:3]]
    assert all(np.isfinite(v).all() and v.std() > 0 for v in vectors)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3, "clips differ"
    if name == "efficientnet":
        assert [rows[i]["n_frames"] for i in IDS[:3]] == [1, 2, 3]
        assert all(set(row["tag_names"] or ()) <= set(imagenet.names()) for row in rows.values())
        assert all(len(rows[i]["tag_names"]) == 10 and sum(rows[i]["tag_scores"]) <= 1 for i in IDS[:3])
    else:
        assert [rows[i]["n_patches"] for i in IDS[:3]] == [2, 4, 6]
        assert all(rows[i]["tagger"] == found.label for i in IDS[:3])
        assert all(rows[i]["tag_scores"] == sorted(rows[i]["tag_scores"], reverse=True) for i in IDS[:3])
        assert len(rows[IDS[0]]["scores"]) == 521
    again = run(lake, name, "day", settings, model="tiny")
    assert (again.computed, again.skipped) == (0, 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_clips_row_depends_on_no_neighbour(name: str, clips: dict, weights: Path, tmp_path: Path) -> None:
    lakes = [Lake(tmp_path / where) for where in "ab"]
    three = {i: clips[i] for i in IDS[:3]}
    for lake, shards in zip(lakes, ([three], [{i: data} for i, data in three.items()]), strict=True):
        commit_clips(lake, "day", shards, tmp_path)
        run(lake, name, "day", Settings(lake=lake.root, weights=weights), model="tiny")
    together, apart = read(lakes[0], name, "day")[1], [read(lakes[1], name, "day", k)[1] for k in range(3)]
    assert together.equals(pa.concat_tables(apart))


def test_without_its_checkpoint_a_run_names_the_command_that_brings_it(tmp_path: Path) -> None:
    for name, package in zip(NAMES, ("efficientnet-lite0", "yamnet"), strict=True):
        needs.package("onnxruntime")
        cls = stage_class(name)
        stage = cls(cls.Params(), Lake(tmp_path), Settings(weights=tmp_path))
        assert identity(stage)["model"], "the catalogue knows its digest, so what is done is done without it"
        with pytest.raises(ConfigError, match=f"winnow weights install {package}"):
            stage.setup()


def test_a_graph_of_another_shape_is_named(weights: Path, tmp_path: Path) -> None:
    text = (weights / "weights.toml").read_text()
    for name, wrong in zip(NAMES, ("yamnet", "efficientnet"), strict=True):
        theirs, ours = find(weights, wrong, "tiny"), find(weights, name, "tiny")
        (tmp_path / ours.file).parent.mkdir(exist_ok=True)
        (tmp_path / ours.file).write_bytes((weights / theirs.file).read_bytes())
        (tmp_path / "weights.toml").write_text(text.replace(ours.sha256, theirs.sha256))
        cls = stage_class(name)
        with pytest.raises(ContractError, match=r"must take (uint8|float32).*and give"):
            cls(cls.Params(model="tiny"), Lake(tmp_path), Settings(weights=tmp_path)).setup()


def options(kind: str) -> Mapping:
    """Preprocessing that comes along."""
    (entry,) = entries(SHIPPED)[kind].values()
    return entry["preprocessing"]


def test_spectra_are_yamnets() -> None:
    """By its authors' recipe, written down again: tf.signal's periodic Hann window, magnitudes, triangles on the mel
    scale without the constant term, and the integers of the graph's input."""
    how = sound_classes.Preprocessing(**options("yamnet"))
    t = np.arange(16000) / 16000
    wave = (0.3 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32)
    found = how.log_mel(wave)
    assert found.shape == (98, 64)
    edges = np.linspace(1127 * np.log1p(125 / 700), 1127 * np.log1p(7500 / 700), 66)
    bins = 1127 * np.log1p(np.arange(257) * 16000 / 512 / 700)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    magnitude = np.abs(np.fft.rfft(np.pad(wave[1600:2000] * hann, (0, 112))))
    for k in (0, 20, 63):
        up, down = (bins - edges[k]) / (edges[k + 1] - edges[k]), (edges[k + 2] - bins) / (edges[k + 2] - edges[k + 1])
        weight = np.maximum(0, np.minimum(up, down))
        assert found[10, k] == pytest.approx(np.log(magnitude @ weight + 0.001), abs=1e-6)
    assert int(found[10].argmax()) == int(np.abs(edges[1:-1] - 1127 * np.log1p(1000 / 700)).argmin())


@pytest.mark.parametrize(("samples", "patches"), [(1, 1), (15600, 1), (15601, 2), (23280, 2), (23281, 3), (160000, 20)])
def test_patches_cover_the_sound(samples: int, patches: int) -> None:
    how = sound_classes.Preprocessing(**options("yamnet"))
    found = how(np.full(samples, 0.1, np.float32))
    assert (found.shape, found.dtype) == ((patches, 1, 96, 64), np.uint8)


def test_silence_is_the_lowest_number_and_loud_noise_not_the_highest() -> None:
    how = sound_classes.Preprocessing(**options("yamnet"))
    assert how(np.zeros(16000, np.float32)).max() == 0
    loud = how(np.random.default_rng(0).uniform(-1, 1, 15600).astype(np.float32))
    assert 100 < loud.min() < loud.max() < 255


def test_a_class_is_heard_where_two_patches_reach_it() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.3], [0.8, 0.2]])
    assert sound_classes.heard(scores).tolist() == [0.8, 0.2]
    assert sound_classes.heard(scores[:1]).tolist() == [0.9, 0.1]


def test_classes_are_those_of_the_networks() -> None:
    import hashlib

    assert hashlib.sha256(imagenet.FILE.read_bytes()).hexdigest().startswith(imagenet.FILE_DIGEST)
    assert len(imagenet.names()) == 1000
    assert (imagenet.names()[0], imagenet.names()[281]) == ("tench", "tabby cat")
    known = sound_classes.known()
    assert len(known) == 521
    assert [known[k].name for k in (0, 1, 69, 132, 494)] == [
        "Speech",
        "Child speech, kid speaking",
        "Dog",
        "Music",
        "Silence",
    ]
    assert {one.mid for one in audioset.classes()} - {one.mid for one in known} == sound_classes.NOT_KNOWN


def installed(kind: str, name: str) -> tuple[Path, Weights]:
    """The checkpoint itself, in WINNOW_WEIGHTS."""
    needs.package("onnxruntime")
    return needs.weights(f"{kind}.{name}")


def test_yamnet_hears_what_is_there() -> None:
    network = sound_classes.SoundClasses(*installed("yamnet", "w8a8"))
    t = np.arange(32000) / 16000

    def best(wave: np.ndarray) -> str:
        return sound_classes.known()[int(sound_classes.heard(network(wave.astype(np.float32))[1]).argmax())].name

    assert best(np.zeros(32000)) == "Silence"
    assert best(0.3 * np.sin(2 * np.pi * 1000 * t)) in ("Sine wave", "Beep, bleep")
    assert network.width == 1024


def test_efficientnet_sees_a_picture_the_same_each_time() -> None:
    from winnow.models.picture_classes import PictureClasses

    network = PictureClasses(*installed("efficientnet", "lite0"))
    pictures = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3)).astype(np.uint8)
    vectors, chances = network(pictures)
    assert (vectors.shape, chances.shape) == ((2, 1280), (2, 1000))
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(network(pictures[1:])[0][0], vectors[1])
