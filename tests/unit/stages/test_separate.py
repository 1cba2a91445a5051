"""separate and rescore: what is taken out, what stays untouched, and residuals that are judged by the right scorer."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from tests import needs
from tests.unit.models.test_two_tower import towers
from tests.unit.signals import moving_square, mp4
from tests.unit.torch_models import entry, sha256
from tests.world.speech import speak
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.sample import Reason
from winnow.core.settings import Settings
from winnow.core.stage import Batch, Sample, stage_class
from winnow.media import decode
from winnow.metrics.separation import si_snr_db
from winnow.models import residual, separators
from winnow.models.separators import nmf
from winnow.models.tagger import Tagger
from winnow.stages import audio, visual
from winnow.stages.separate import Separate

RATE_HZ = nmf.RATE_HZ
#: Sizes of a network of the same kind as the real one, a thousandth of its weights.
SMALL = {
    "channels": 4,
    "nfft": 512,
    "depth": 2,
    "t_layers": 1,
    "t_heads": 2,
    "dconv_depth": 1,
    "dconv_comp": 2,
    "norm_starts": 99,
    "bottom_channels": 8,
}


def voice(seconds: float = 8.0, seed: int = 3) -> np.ndarray:
    return 0.3 * speak(seconds, RATE_HZ, np.random.default_rng(seed)).astype(np.float64)


def waterfall(seconds: float = 8.0) -> np.ndarray:
    """Noise between 1 and 3 kHz that swells every two seconds: 26 dB under the voice."""
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal(round(seconds * RATE_HZ)))
    f_hz = np.fft.rfftfreq(round(seconds * RATE_HZ), 1 / RATE_HZ)
    wave = np.fft.irfft(spectrum * ((f_hz > 1000) & (f_hz < 3000)), round(seconds * RATE_HZ))
    swell = 1 + 0.5 * np.sin(np.pi * np.arange(len(wave)) / RATE_HZ)
    return 0.004 * wave / wave.std() * swell


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    return np.array(Tagger()((voice() + waterfall()).astype(np.float32))["speech_spans"]).reshape(-1, 2)


def test_the_voice_goes_and_what_it_covered_comes_forward(spoken: np.ndarray) -> None:
    clean, mixture = waterfall(), voice() + waterfall()
    dialogue = separators.load("builtin", Settings()).dialogue(mixture[None].astype(np.float32), spoken)
    assert dialogue.shape == (1, len(mixture))
    assert dialogue.dtype == np.float32
    before, after = (float(si_snr_db(clean, made)) for made in (mixture, mixture - dialogue[0]))
    assert before < -15
    assert after > before + 14
    assert si_snr_db(voice(), dialogue[0]) > 15


def test_nothing_is_taken_where_nobody_speaks(spoken: np.ndarray) -> None:
    separator = nmf.Nmf()
    music = waterfall()[None].astype(np.float32)
    assert not separator.dialogue(music, np.zeros((0, 2))).any()
    assert not separator.dialogue(np.zeros((2, RATE_HZ), np.float32), np.array([[0.2, 0.5]])).any()
    mixture = (voice() + waterfall())[None].astype(np.float32)
    dialogue = separator.dialogue(mixture, np.array([[2.0, 4.0]]))[0]
    around = nmf.MARGIN_S + nmf.WINDOW / RATE_HZ
    assert not dialogue[: round((2.0 - around) * RATE_HZ)].any()
    assert not dialogue[round((4.0 + around) * RATE_HZ) :].any()
    assert dialogue[2 * RATE_HZ : 4 * RATE_HZ].any()


def test_the_background_never_gets_louder_than_it_was_heard() -> None:
    """The ceiling is what keeps a loud voice from being explained by turning the background up."""
    rng = np.random.default_rng(0)
    power = rng.random((60, 50)).astype(np.float32)
    power[:, 10:] += 100 * rng.random((60, 40)).astype(np.float32)
    bases, heard = nmf.background(power[:, :10])
    loudest = heard.max(axis=1, keepdims=True)
    under, over = nmf.explain(power[:, 10:], bases, np.repeat(loudest, 40, 1), loudest)
    assert (under <= bases @ loudest + 1e-4).all()
    assert over.sum() > 10 * under.sum()


@pytest.mark.parametrize("seconds", [0.01, 0.3])
def test_a_voice_without_a_pause_or_hardly_any_sound_is_no_error(seconds: float) -> None:
    wave = voice()[None, RATE_HZ : RATE_HZ + round(seconds * RATE_HZ)].astype(np.float32)
    dialogue = nmf.Nmf().dialogue(wave, np.array([[0.0, seconds]]))
    assert dialogue.shape == wave.shape
    assert np.isfinite(dialogue).all()


def test_overlap_and_add_is_exact() -> None:
    wave = np.random.default_rng(0).standard_normal(20_011)
    assert np.allclose(nmf.inverse(nmf.transform(wave), len(wave)), wave, atol=1e-12)


def members(files: dict[str, bytes]):
    class Files:
        def read(self, name: str, sha256: str | None = None) -> bytes:
            return files[name]

    return Files()


def run(settings: Settings, clip: bytes, spans: list[float], tmp_path, **params: object):
    """The outcome of one clip in the stage `separate`."""
    stage = Separate(Separate.Params(**params), Lake(tmp_path / "lake"), settings)
    stage.setup()
    tables = {"clip": {"video_id": "v"}, "tags": {"speech_spans": spans}}
    (outcome,) = stage.process(Batch([Sample("a", {"why": "x"}, tables, members({"a.mp4": clip}))], tmp_path))
    return outcome


def test_a_residual_is_a_file_with_its_levels(tmp_path, spoken: np.ndarray) -> None:
    mixture = (voice() + waterfall())[None].astype(np.float32)
    clip = mp4(moving_square(8.0), mixture, rate_hz=RATE_HZ)
    outcome = run(Settings(), clip, spoken.ravel().tolist(), tmp_path)
    values = outcome.values
    assert set(values) == set(Separate.schema)
    assert values["removed_db"] == pytest.approx(values["mixture_rms_dbfs"] - values["residual_rms_dbfs"], abs=1e-6)
    assert values["removed_db"] > 10
    assert values["speech_s"] == pytest.approx((spoken[:, 1] - spoken[:, 0]).sum(), abs=0.01)
    with av.open(io.BytesIO(outcome.files["flac"])) as file:
        frames = list(file.decode(audio=0))
    residual = decode.waveform(frames)[0]
    assert frames[0].rate == values["rate_hz"] == RATE_HZ
    assert len(residual) == values["n_samples"]
    assert 20 * np.log10(residual.std()) == pytest.approx(values["residual_rms_dbfs"], abs=0.1)
    assert run(Settings(), clip, spoken.ravel().tolist(), tmp_path).files == outcome.files
    without = run(Settings(), mp4(moving_square(1.0)), [0.0, 1.0], tmp_path)
    assert without.reason is Reason.no_audio_stream


def test_two_tower_hears_the_residual_as_it_hears_a_clip(tmp_path, spoken: np.ndarray) -> None:
    """A residual scores as the clip would whose sound it is; what is said of the clip's own sound stays."""
    clip = mp4(moving_square(8.0), (voice() + waterfall())[None].astype(np.float32), rate_hz=RATE_HZ)
    outcome = run(Settings(), clip, spoken.ravel().tolist(), tmp_path)
    left = residual.waveform(outcome.files["flac"], RATE_HZ)
    lake, cls = Lake(tmp_path / "lake"), stage_class("two_tower")
    lake.create(lake.model_key("two_tower", "0" * 12, "safetensors"), towers().dumps())
    lake.set_model_current("two_tower", "0" * 12)
    stage = cls(cls.Params(), lake, Settings())
    stage.setup()
    files = members({"a.flac": outcome.files["flac"]})
    row, seen = {"video_id": "v", "duration_s": 8.0}, visual.measure(clip, visual.Visual.Params())

    def measured(sound: bytes, **separated: object) -> dict:
        return stage.measure(Sample("a", row, {"visual": seen, "audio": audio.measure(sound), **separated}, files))

    alone, both = measured(clip), measured(clip, separate=outcome.values)
    bare = measured(mp4(moving_square(8.0), left[None], rate_hz=RATE_HZ))
    assert alone["residual_score"] is alone["residual_frame_scores"] is None
    assert (both["score"], both["frame_scores"]) == (alone["score"], alone["frame_scores"])
    assert abs(both["residual_score"] - bare["score"]) < abs(both["score"] - bare["score"]) / 2
    assert both["residual_frame_scores"] == pytest.approx([both["residual_score"]], abs=2e-6)


def test_a_music_flag_leaves_the_sound_as_it_was(tmp_path) -> None:
    clip = mp4(None, waterfall(2.0)[None].astype(np.float32), rate_hz=RATE_HZ)
    values = run(Settings(), clip, [], tmp_path).values
    assert values["removed_db"] == pytest.approx(0, abs=1e-6)
    assert values["speech_s"] == 0


def test_stereo_that_cancels_itself_out_leaves_a_residual(tmp_path) -> None:
    wave = waterfall(2.0)[None].astype(np.float32)
    clips = [mp4(None, np.concatenate([wave, side * wave]), rate_hz=RATE_HZ) for side in (1, -1)]
    both, apart = (run(Settings(), clip, [], tmp_path).values["residual_rms_dbfs"] for clip in clips)
    assert apart == pytest.approx(both, abs=0.5)


# -- a checkpoint ------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory):
    """A folder with a tiny random HTDemucs, and catalogue entries that fit it, or do not."""
    needs.package("demucs", "torch", "safetensors")
    import safetensors.torch
    import torch
    from demucs.htdemucs import HTDemucs

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    sources = ["dialog", "effect", "music"]
    network = HTDemucs(sources=sources, audio_channels=2, samplerate=16000, segment=1.0, **SMALL)
    safetensors.torch.save_file(network.state_dict(), folder / "tiny.safetensors")
    torch.save({"klass": HTDemucs, "state": network.state_dict()}, folder / "published.th.pt")
    (folder / "cut.safetensors").write_bytes((folder / "tiny.safetensors").read_bytes()[:-1000])
    fits = {"rate_hz": 16000, "segment_s": 1.0, "overlap": 0.25, "sources": sources}
    at = {"model": "HTDemucs", "file": "tiny.safetensors", "sha256": sha256(folder / "tiny.safetensors")}

    def write(name: str, preprocessing: dict, network: dict = SMALL, **changed: object) -> None:
        entry(folder, "separate", name, **{**at, **changed}, preprocessing=preprocessing)
        entry(folder, "separate", f"{name}.preprocessing.network", **network)

    write("tiny", fits)
    write("wrong", fits, sha256="0" * 64)
    write("pickle", fits, file="published.th.pt", sha256=sha256(folder / "published.th.pt"))
    write("cut", fits, file="cut.safetensors", sha256=sha256(folder / "cut.safetensors"))
    write("wider", fits, {**SMALL, "channels": 8})
    write("unknown", fits, {**SMALL, "wings": 2})
    write("speechless", {**fits, "dialogue": ["speech"]})
    write("other", fits, model="MDX23C")
    return folder


def test_a_checkpoint_separates_through_the_same_interface(weights, tmp_path) -> None:
    settings = Settings(weights=weights, device="cpu")
    separator = separators.load("tiny", settings)
    assert separator.label == f"tiny@{sha256(weights / 'tiny.safetensors')[:12]}"
    wave = np.stack([voice(2.5), waterfall(2.5)]).astype(np.float32)
    dialogue = separator.dialogue(wave, np.zeros((0, 2)))
    assert dialogue.shape == wave.shape
    assert dialogue.any()
    assert np.array_equal(dialogue, separators.load("tiny", settings).dialogue(wave, np.zeros((0, 2)))), "random"
    assert separator.dialogue(wave[:1], np.zeros((0, 2))).shape == wave.shape
    outcome = run(settings, mp4(None, wave, rate_hz=16000), [0.0, 1.0], tmp_path, separator="tiny")
    assert outcome.values["separator"] == separator.label
    assert outcome.values["n_samples"] == pytest.approx(2.5 * 16000, abs=2048)
    stage = Separate(Separate.Params(separator="tiny"), Lake(tmp_path), settings)
    assert stage.model_digest() == separators.model_digest("tiny", weights) != separators.model_digest("cut", weights)
    assert separators.model_digest("builtin", weights) is None


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("wrong", ContractError, "its SHA-256 is"),
        ("pickle", ContractError, "which loading would execute"),
        ("cut", ContractError, "no readable safetensors file"),
        ("wider", ContractError, "does not fit HTDemucs"),
        ("unknown", ConfigError, "wings"),
        ("speechless", ConfigError, "must be among the sources"),
        ("other", ConfigError, "HTDemucs is known"),
        ("absent", ConfigError, "no checkpoint 'absent' for separate"),
    ],
)
def test_a_checkpoint_that_is_not_what_it_should_be_is_refused(weights, name: str, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        separators.load(name, Settings(weights=weights, device="cpu"))


# -- where it runs, and what follows -----------------------------------------------------------------------------------
def test_the_image_follows_from_the_separator() -> None:
    assert Separate.pod({}) == ("media", Separate.resources)
    assert Separate.pod({"separator": "builtin"})[0] == "media"
    image, resources = Separate.pod({"separator": "mvsep"})
    assert (image, resources.gpu) == ("model", 1)


def test_residuals_wait_for_the_scorer_of_correspond(tmp_path) -> None:
    from winnow.core.stage import is_ready

    lake = Lake(tmp_path)
    assert stage_class("rescore").fitted == "correspond"
    assert not is_ready("rescore", lake)
    lake.set_model_current("correspond", "0123456789ab")
    assert is_ready("rescore", lake)
    assert is_ready("separate", lake)
