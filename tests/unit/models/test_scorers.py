"""The scorers with pretrained weights, bridge and joint, on random ones: the score is what the specification says, each
side's vectors are what the networks' own forward pass gives, and no file is run that nobody vouched for."""

from __future__ import annotations

import os
import shutil
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from tests import needs
from tests.unit.models.test_joint import stage
from tests.unit.signals import moving_square, mp4, sine
from tests.unit.torch_models import (
    CNN14,
    HEAR,
    LOOK,
    commit_clips,
    entry,
    joint,
    read,
    run,
    settings,
    sha256,
    weights_folder,
)
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.sample import SampleFailed
from winnow.core.settings import Settings
from winnow.core.stage import stage_class
from winnow.media import decode, mixture_render
from winnow.models import audioset, scorers
from winnow.models.weights import find, load_state

IDS = [f"{i:020x}" for i in range(4)]
SHORT = {
    "panns": {"window_s": 1.0},
    "bridge": {"model": "tiny", "frames_hz": 2.0, "window_s": 1.0},
    "joint": {"model": "tiny"},
}


@pytest.fixture(scope="module", autouse=True)
def _packages() -> None:
    needs.package("torch", "open_clip", "panns_inference", "safetensors", "onnxruntime")


@pytest.fixture(scope="module")
def clips() -> dict[str, bytes]:
    """Two clips of two and three seconds, one without sound and one without pictures."""
    made = [mp4(moving_square(s, seed=s), sine(s, 220.0 * s, -12)) for s in (2, 3)]
    return dict(zip(IDS, [*made, mp4(moving_square(1)), mp4(None, sine(1, 500, -12))], strict=True))


@pytest.fixture(scope="module")
def scored(clips: dict, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake in which both scorers have scored those clips."""
    lake = Lake(tmp_path_factory.mktemp("lake"))
    commit_clips(lake, "day", [clips], tmp_path_factory.mktemp("scratch"))
    for name in ("panns", "bridge", "joint"):
        run(lake, name, "day", settings(lake), **SHORT[name])
    return lake


def rows(lake: Lake, name: str, number: int = 0) -> dict[str, dict]:
    return {row["sample_id"]: row for row in read(lake, name, "day", number)[1].to_pylist()}


# -- the interface -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["bridge", "joint"])
def test_a_row_says_when_each_picture_was_shown(scored: Lake, name: str) -> None:
    found = rows(scored, name)
    assert [found[i]["reason"] for i in IDS] == [
        None,
        None,
        "no_input" if name == "bridge" else "no_audio_stream",
        "no_video_stream",
    ]
    per_s = 2 if name == "bridge" else 1
    for sample_id, seconds in zip(IDS, (2, 3), strict=False):
        row = found[sample_id]
        assert row["n_frames"] == per_s * seconds
        wanted = (np.arange(per_s * seconds) + 0.5) / per_s
        np.testing.assert_allclose(row["frame_times"], wanted, atol=0.06)
        assert row["score"] == pytest.approx(np.mean(row["frame_scores"]), abs=1e-5)
        assert row["score"] == pytest.approx(np.dot(row["sound"], row["picture"]), abs=1e-5)
        assert np.linalg.norm(row["sound"]) == pytest.approx(1, abs=1e-6)
        assert row["video_id"] == f"video-{sample_id}"
        assert row["fold"] is None
        assert row["model"].startswith("tiny@")
        assert len(row["model"]) == 17
    assert len({found[i]["model"] for i in IDS[:2]}) == 1


@pytest.mark.parametrize("name", ["bridge", "joint"])
def test_a_clips_row_depends_on_no_neighbour(name: str, scored: Lake, clips: dict, tmp_path: Path) -> None:
    alone = Lake(tmp_path / "alone")
    commit_clips(alone, "day", [{IDS[1]: clips[IDS[1]]}], tmp_path)
    for each in ("panns", name)[name == "joint" :]:
        run(alone, each, "day", settings(alone, model_batch=1), **SHORT[each])
    assert rows(alone, name)[IDS[1]] == rows(scored, name)[IDS[1]]


@pytest.mark.parametrize(
    ("name", "changed"), [("bridge", {"prompt": "the sound of {}"}), ("bridge", {"top": 1}), ("joint", {"frames": 2})]
)
def test_a_parameter_that_moves_scores_is_another_model(name: str, changed: dict, scored: Lake, tmp_path: Path) -> None:
    """Scores that stand behind one threshold were made in one way."""
    lake = Lake(shutil.copytree(scored.root, tmp_path / "lake"))
    run(lake, name, "day", settings(lake), **{**SHORT[name], **changed})
    one, other = rows(lake, name)[IDS[1]], rows(scored, name)[IDS[1]]
    assert one["model"] != other["model"]
    assert one["score"] != other["score"]


# -- residuals ---------------------------------------------------------------------------------------------------------
def flac(wave: np.ndarray, rate_hz: int, path: Path) -> bytes:
    """A residual's file, as `separate` writes it."""
    return mixture_render.flac(mixture_render.scaled([wave], guard=True).signals[0], rate_hz, path)


def separated(scored: Lake, files: dict[str, bytes], scratch: Path) -> Lake:
    """The lake in which those clips were scored, and some of them were separated since."""
    lake = Lake(shutil.copytree(scored.root, scratch / "lake"))
    commit_clips(lake, "day", [files], scratch, stage="separate", start_s=0.0, duration_s=2.0)
    return lake


@pytest.mark.parametrize("name", ["bridge", "joint"])
def test_a_separated_clip_is_scored_by_its_residual_too(scored: Lake, clips: dict, tmp_path: Path, name: str) -> None:
    """A residual that sounds like another clip scores as that clip's sound does with these pictures; what is said of
    the clip's own sound stays what it was, and a clip that was not separated has no residual score."""
    with decode.opened(clips[IDS[1]]) as clip:
        frames = list(clip.frames(clip.require_audio()))
    other = decode.waveform(frames, mono=True)[0]
    lake = separated(scored, {IDS[0]: flac(other.astype(np.float64), frames[0].rate, tmp_path / "a.flac")}, tmp_path)
    run(lake, name, "day", settings(lake), **SHORT[name])
    before, after = rows(scored, name), rows(lake, name)
    row = after[IDS[0]]
    about = ("residual_score", "residual_frame_scores")
    assert {k: v for k, v in row.items() if k not in about} == {
        k: v for k, v in before[IDS[0]].items() if k not in about
    }
    wanted = float(np.dot(after[IDS[1]]["sound"], row["picture"]))
    assert row["residual_score"] == pytest.approx(wanted, abs=1e-3)
    assert abs(row["residual_score"] - wanted) < abs(row["residual_score"] - row["score"]) / 5
    assert row["residual_score"] == pytest.approx(np.mean(row["residual_frame_scores"]), abs=1e-5)
    assert len(row["residual_frame_scores"]) == row["n_frames"]
    assert [after[IDS[1]][column] for column in about] == [None, None]
    assert all(row[column] is None for row in before.values() for column in about)


def test_residuals_are_tagged_by_the_network_that_tagged_the_clips(scored: Lake, tmp_path: Path) -> None:
    lake = separated(scored, {IDS[0]: flac(np.zeros(16000), 16000, tmp_path / "a.flac")}, tmp_path)
    weights = Path(shutil.copytree(weights_folder(), tmp_path / "weights"))
    catalogue = weights / "weights.toml"
    other = sha256(weights / "tiny.safetensors")
    catalogue.write_text(catalogue.read_text().replace(sha256(weights / f"{CNN14}.safetensors"), other))
    with pytest.raises(ContractError, match=rf"tagged by cnn14@.*has cnn14@{other[:12]}.*winnow run panns"):
        run(lake, "bridge", "day", settings(lake, weights=weights), **SHORT["bridge"])


# -- tags ----------------------------------------------------------------------------------------------------------
def test_panns_table_holds_the_tags_beside_the_layers(scored: Lake) -> None:
    row = rows(scored, "panns")[IDS[0]]
    best = np.argsort(-np.asarray(row["scores"], np.float64), kind="stable")[:10]
    assert row["tag_mids"] == [audioset.classes()[k].mid for k in best]
    assert row["tag_scores"] == [float(row["scores"][k]) for k in best]
    assert row["tagger"] == row["model"]
    assert 0 < row["other"] < 1


def test_a_checkpoint_of_other_classes_is_no_tagger(tmp_path: Path) -> None:
    import torch

    torch.save({"model": {"fc_audioset.weight": torch.zeros(10, 2048)}}, tmp_path / "ten.pth")
    entry(tmp_path, "panns", "cnn14", file="ten.pth", sha256=sha256(tmp_path / "ten.pth"))
    cls, lake = stage_class("panns"), Lake(tmp_path / "lake")
    with pytest.raises(ContractError, match=r"ten.pth scores 10 classes, and AudioSet has 527"):
        cls(cls.Params(), lake, Settings(lake=lake.root, weights=tmp_path, device="cpu")).setup()


# -- bridge ------------------------------------------------------------------------------------------------------------
@lru_cache(maxsize=1)
def whole_clip():
    """The tiny CLIP as open_clip builds and fills it, both towers in one."""
    from winnow.models.open_clip_encoder import import_open_clip

    found = find(weights_folder(), "open_clip", "tiny")
    model = import_open_clip().create_model("winnow-tiny", pretrained=None)
    model.load_state_dict(load_state(weights_folder(), found))
    return model.eval(), import_open_clip().get_tokenizer("winnow-tiny")


def test_the_bridge_is_text_embeddings_weighed_by_tags(scored: Lake, clips: dict) -> None:
    """Against open_clip's own `encode_text` and `encode_image`."""
    import torch

    from winnow.models.open_clip_encoder import PictureTower
    from winnow.models.pictures import PictureParams, pictures

    model, tokens = whole_clip()
    row, heard = rows(scored, "bridge")[IDS[1]], rows(scored, "panns")[IDS[1]]
    weight = np.asarray(heard["scores"], np.float64)
    best = np.argsort(-weight, kind="stable")[:10]
    found = find(weights_folder(), "open_clip", "tiny")
    tower = PictureTower(found, load_state(weights_folder(), found), torch.device("cpu"))
    shown, _ = pictures(clips[IDS[1]], PictureParams(frames_hz=2.0), 32, 32)
    with torch.inference_mode():
        texts = [f"a photo of {audioset.classes()[k].name}" for k in best]
        said = model.encode_text(tokens(texts), normalize=True).numpy()
        seen = model.encode_image(tower.normalised(torch.from_numpy(shown)), normalize=True).numpy()
    sound = scorers.unit((weight[best, None] * said).sum(axis=0))
    np.testing.assert_allclose(row["sound"], sound, atol=1e-5)
    np.testing.assert_allclose(row["frame_scores"], seen @ sound, atol=1e-5)
    np.testing.assert_allclose(row["picture"], seen.mean(axis=0), atol=1e-5)


def test_what_nothing_was_heard_in_has_no_words() -> None:
    cls = stage_class("bridge")
    stage = cls(cls.Params(model="tiny"), Lake("lake"), Settings(weights=weights_folder()))
    with pytest.raises(SampleFailed, match="no class scores above 0"):
        stage.said(np.zeros(527))
    for prompt in ("a photo", "{} and {}"):
        with pytest.raises(ValueError, match="wanted once"):
            cls.Params(prompt=prompt)


@pytest.mark.parametrize("name", ["ViT-B-16-SigLIP", "roberta-ViT-B-32", "hf-hub:a/b", "no-such-model"])
def test_texts_are_split_by_rules_that_are_at_hand(name: str) -> None:
    from winnow.models.open_clip_encoder import text_tower

    with pytest.raises(ConfigError, match=name):
        text_tower(name)


def test_a_custom_text_towers_tensors_are_found() -> None:
    """Some of open_clip's checkpoints keep the text tower under `text.`."""
    import torch

    from winnow.models.open_clip_encoder import TextTower

    found = find(weights_folder(), "open_clip", "tiny")
    state = load_state(weights_folder(), found)
    prefixed = {k if k.startswith(("visual.", "logit_")) else f"text.{k}": v for k, v in state.items()}
    one, other = (TextTower(found, s, torch.device("cpu")).embed("a dog") for s in (state, prefixed))
    np.testing.assert_array_equal(one, other)


# -- joint -------------------------------------------------------------------------------------------------------------
def test_the_joint_score_is_the_graphs_own(scored: Lake, clips: dict) -> None:
    """Against the two matrix products, done here."""
    from winnow.models.joint import PicturePreprocessing, SoundPreprocessing
    from winnow.models.pictures import PictureParams, pictures

    rng = np.random.default_rng(0)
    by_picture, by_sound = rng.normal(size=(768, 12)), rng.normal(size=(1200, 12))
    shown, _ = pictures(clips[IDS[1]], PictureParams(), 16, 16)
    seen = PicturePreprocessing(**LOOK)(shown).reshape(len(shown), -1) @ by_picture
    assert PicturePreprocessing(**LOOK)(shown)[1, 2, 5, 7] == pytest.approx(
        (shown[1, 5, 7, 2] / 255 - LOOK["mean"][2]) / LOOK["std"][2], abs=1e-5
    )
    joint_stage = stage(weights_folder())
    joint_stage.setup()
    pieces = SoundPreprocessing(**HEAR)(joint_stage.wave(clips[IDS[1]]))
    heard = scorers.unit(pieces.reshape(3, -1) @ by_sound).mean(axis=0)
    row = rows(scored, "joint")[IDS[1]]
    np.testing.assert_allclose(row["frame_scores"], scorers.unit(seen) @ scorers.unit(heard), atol=1e-4)


def test_a_model_that_scales_one_side_scores_the_same(scored: Lake, clips: dict, tmp_path: Path) -> None:
    """ImageBind's sound vectors are 20 long: without a unit vector every score would be 20 times too large."""
    joint(tmp_path, "tiny", sound_length=20.0)
    lake = Lake(tmp_path / "lake")
    commit_clips(lake, "day", [{IDS[1]: clips[IDS[1]]}], tmp_path)
    run(lake, "joint", "day", Settings(lake=lake.root, weights=tmp_path, device="cpu"), model="tiny")
    long, plain = rows(lake, "joint")[IDS[1]], rows(scored, "joint")[IDS[1]]
    assert long["score"] == pytest.approx(plain["score"], abs=1e-6)
    assert long["model"] != plain["model"]


def test_without_weights_a_run_ends_before_any_work(tmp_path: Path) -> None:
    for name in ("bridge", "joint"):
        cls = stage_class(name)
        with pytest.raises(ConfigError, match="no verified SHA-256"):
            cls(cls.Params(), Lake(tmp_path), Settings(weights=tmp_path)).model_digest()
    assert os.listdir(tmp_path) == []
