"""tags: what the built-in tagger hears in known sounds, where speech lies, and that numbers are the same anywhere."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.unit.signals import mp4, sine
from tests.world.speech import speak
from winnow.core.lake import Lake
from winnow.core.sample import Reason
from winnow.core.settings import Settings
from winnow.core.stage import Batch, Sample
from winnow.models import silero, voice_activity
from winnow.models.tagger import MIDS, RATE_HZ, Tagger, outside_dbfs, speech_score
from winnow.models.voice_activity import CHUNK_S, VoiceActivity, spans
from winnow.stages.tags import Tags


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger()


def voice(seconds: float = 4.0, seed: int = 0) -> np.ndarray:
    return (0.3 * speak(seconds, RATE_HZ, np.random.default_rng(seed))).astype(np.float32)


def white(seconds: float = 4.0) -> np.ndarray:
    return (0.05 * np.random.default_rng(1).standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


def band(seconds: float = 6.0) -> np.ndarray:
    """Four chords a bar each of 2 s, eighth notes on top, a drum on every beat of half a second."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    chord = np.array([[220, 277.2, 329.6], [330, 415.3, 493.9], [370, 440, 554.4], [293.7, 370, 440]])[
        (t // 2).astype(int) % 4
    ]
    pad = sum(np.sin(2 * np.pi * chord[:, i] * t * k) / k**1.5 for i in range(3) for k in (1, 2, 3)) * 0.05
    rng = np.random.default_rng(0)
    hat = 0.1 * rng.standard_normal(len(t)) * np.exp(-(t % 0.25) / 0.015)
    kick = 0.4 * np.sin(2 * np.pi * 60 * t) * np.exp(-(t % 0.5) / 0.07)
    return (pad + hat + kick).astype(np.float32)


def test_known_sounds_have_known_tags(tagger: Tagger) -> None:
    found = {
        "voice": tagger(voice()),
        "noise": tagger(white()),
        "music": tagger(band()),
        "silence": tagger(np.zeros(4 * RATE_HZ, np.float32)),
        "tone": tagger(np.sin(np.arange(4 * RATE_HZ) / 5).astype(np.float32) * 0.1),
    }
    over = {name: {k for k in MIDS if tags[k] >= 0.3} for name, tags in found.items()}
    assert over == {"voice": {"speech"}, "noise": {"noise"}, "music": {"music"}, "silence": {"silence"}, "tone": set()}
    assert found["noise"]["noise"] > 0.95
    for tags in found.values():
        assert tags["other"] is None
        assert tags["knows"] == sorted(MIDS.values())
        assert tags["tag_scores"] == sorted(tags["tag_scores"], reverse=True)
        assert dict(zip(tags["tag_mids"], tags["tag_scores"], strict=True)) == {MIDS[k]: tags[k] for k in MIDS}
        assert all(0 <= tags[name] <= 1 for name in MIDS)


def test_speech_is_where_somebody_speaks(tagger: Tagger) -> None:
    """A voice from 2 s to 5 s in faint noise, on a clip whose sound begins at 0.25 s."""
    wave = np.concatenate([0.02 * white(2), voice(3), 0.02 * white(3)])
    tags = tagger(wave, 0.25)
    at = np.array(tags["speech_spans"])
    assert len(at) % 2 == 0
    assert 2.1 < at[0] < 2.7
    assert 4.7 < at[-1] < 5.6
    assert (at[1::2] - at[::2]).sum() > 2.0
    assert tags["outside_dbfs"] == pytest.approx(20 * np.log10(0.02 * 0.05), abs=1.0)


def test_spans_close_short_gaps_and_are_pairs() -> None:
    speaks = np.array([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1], float)
    assert spans(speaks, 1.0) == [round(1 + CHUNK_S, 3), round(1 + 6 * CHUNK_S, 3), 1.32, 1.352]
    assert spans(np.zeros(5)) == []
    assert spans(np.zeros(0)) == []


def test_one_loud_syllable_is_no_speech() -> None:
    chunks = np.full(300, 0.01)
    chunks[:30] = 0.99
    assert speech_score(chunks) == pytest.approx(0.01)
    chunks[:31] = 0.99
    assert speech_score(chunks) == pytest.approx(0.99)
    assert speech_score(np.zeros(0)) == 0


def test_nothing_is_outside_where_somebody_always_speaks() -> None:
    level, talk = np.full(10, 0.1), np.ones(10)
    assert outside_dbfs(level, talk) is None
    talk[5:] = 0
    assert outside_dbfs(level, talk) == pytest.approx(-20)
    assert outside_dbfs(np.zeros(10), np.zeros(10)) is None


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.5])
def test_short_sounds_have_finite_tags(tagger: Tagger, seconds: float) -> None:
    tags = tagger(voice(1.0)[: round(seconds * RATE_HZ)])
    assert all(np.isfinite(tags[name]) for name in MIDS)


def test_the_same_in_every_process_and_after_any_other_sound(tagger: Tagger) -> None:
    """The network is recurrent: what it heard before must not matter, nor the number of threads it is given."""
    code = (
        "import json, numpy as np\nfrom tests.unit.stages.test_tags import voice\n"
        "from winnow.models.voice_activity import VoiceActivity\n"
        "print(json.dumps([float(p) for p in VoiceActivity()(voice())]))"
    )
    runs = [
        json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(2)
    ]
    network = VoiceActivity()
    network(white())
    own = [float(p) for p in network(voice())]
    assert runs[0] == runs[1] == own
    assert tagger(voice()) == Tagger()(voice())


def test_the_network_uses_one_thread() -> None:
    """Four threads for half a thousand samples cost seven times the CPU of one."""
    code = (
        "import os, numpy as np\nfrom winnow.models.voice_activity import VoiceActivity\n"
        "VoiceActivity()(np.zeros(16000, np.float32))\n"
        "import threadpoolctl\n"
        "print(os.environ.get('OMP_THREAD_LIMIT'), len(os.listdir('/proc/self/task')))"
    )
    env = {"PATH": "", "OPENBLAS_NUM_THREADS": "1"}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout
    limit, threads = out.split()
    assert limit == "None", "the limit is the library's, not the process's"
    assert int(threads) <= 2


def test_the_weights_are_part_of_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = silero.weights_digest()
    silero.weights_digest.cache_clear()
    monkeypatch.setattr(silero, "sha256_file", lambda path: "another")
    assert silero.weights_digest() != before
    silero.weights_digest.cache_clear()
    assert voice_activity.CHUNK == 512


def test_the_stage_reads_clips_and_names_what_has_no_sound(tmp_path) -> None:
    stage = Tags(Tags.Params(), Lake(tmp_path), Settings(lake=str(tmp_path)))
    stage.setup()
    wave = np.tile(voice(2.0), (1, 1))
    pictures = [np.full((32, 32), 90, np.uint8)] * 50
    files = {
        "speaks": mp4(pictures, wave, rate_hz=16000),
        "mute": mp4(pictures),
        "tone": mp4(None, sine(2.0, 440, -20)),
    }

    class ShardTar:
        def read(self, name: str, sha256: str | None = None) -> bytes:
            return files[name.removesuffix(".mp4")]

    samples = [Sample(name, {}, {}, ShardTar()) for name in sorted(files)]
    out = {o.sample_id: o for o in stage.process(Batch(samples, tmp_path))}
    assert out["mute"].reason is Reason.no_audio_stream
    assert out["speaks"].values["speech"] > 0.9
    assert out["tone"].values["speech"] < 0.1
    assert set(out["speaks"].values) == set(Tags.schema)
    assert out["speaks"].values["tagger"].startswith("builtin@")
