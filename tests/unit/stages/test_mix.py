"""mix: the picture is clip 1's to the bit, the sound is the plain sum on the picture's clock, and every row says what
was done to it."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.unit.flashes import Recipe, make
from tests.unit.mixed import Mixed, clip_id, mixture, packets, pictures, publish, samples, wave
from tests.unit.signals import clicks, moving_square, mp4, sine
from winnow.batch import mixture_plan
from winnow.core.lake import Lake
from winnow.core.sample import Reason, sid
from winnow.core.settings import Settings
from winnow.core.shard import Lineage
from winnow.core.stage import Batch, Sample, parse_params, stage_needs
from winnow.stages.clip import Clip
from winnow.stages.mix import Mix


def tone(hz: float, dbfs: float = -12, seconds: float = 2.0, **how: object) -> bytes:
    """A clip of a moving square and a sine."""
    return mp4(moving_square(seconds, seed=round(hz)), sine(seconds, hz, dbfs), **how)


def cut_clip(folder: Path, window: tuple[float, float], **recipe: object) -> bytes:
    """A clip as the clip stage leaves it."""
    folder.mkdir()
    lake = Lake(folder / "lake")
    video = make(Recipe("source", width=64, height=48, **recipe), folder / "source.mp4")
    stage = Clip(parse_params(Clip, {"preset": "ultrafast"}), lake, Settings())
    stage.setup()
    row = {
        "video_id": "0" * 20,
        "url": "u",
        "start_s": window[0],
        "end_s": window[1],
        "media_ext": "mp4",
        "media_sha256": lake.put_media(video, "mp4"),
    }
    (made,) = stage.process(Batch([Sample("1" * 20, row)], folder))
    return made.files["mp4"]


def level_at(samples_: np.ndarray, hz: float, rate_hz: int = 16_000) -> float:
    """Amplitude of a sine in a waveform, away from its ends."""
    inner = samples_[rate_hz // 4 : -rate_hz // 4]
    t = np.arange(len(inner)) / rate_hz
    return 2 * abs(np.mean(inner * np.exp(-2j * np.pi * hz * t)))


#: signals.mp4 leaves AAC's priming of 1,024 samples in, and its time stamps say so: its sound is that much late, s.
PRIMING_S = 1024 / 44_100


def onsets(waveform: np.ndarray, rate_hz: int = 16_000, threshold: float = 0.3) -> list[float]:
    """When bursts begin after quiet, s."""
    loud = np.flatnonzero(np.abs(waveform) > threshold)
    first = np.diff(loud, prepend=-rate_hz) > 0.2 * rate_hz
    return [float(i / rate_hz) for i in loud[first]]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.mark.parametrize(
    "make_clip",
    [
        lambda folder: tone(400, bframes=2, gop=12),
        lambda folder: tone(400, bframes=0, fps=30),
        lambda folder: cut_clip(folder / "copied", (2.0, 5.0), seconds=8.0, gop=50),
        lambda folder: cut_clip(folder / "encoded", (1.3, 4.1), seconds=8.0, gop=50, rate_hz=48000),
    ],
    ids=["b-frames", "no b-frames", "a copied cut", "an encoded cut"],
)
def test_the_picture_is_clip_ones_to_the_bit(lake: Lake, tmp_path: Path, make_clip) -> None:
    one = make_clip(tmp_path)
    publish(lake, "aaaa", {"one": one, "two": tone(700)}, [mixture("one", "two")])
    made = Mixed(lake)
    mixed = made.file("one", "two", "mp4")
    assert packets(mixed) == packets(one)
    assert pictures(mixed) == pictures(one)
    assert made.row("one", "two")["video_packets"] == len(packets(one)) > 20


def test_the_sound_is_the_plain_sum(lake: Lake) -> None:
    clips = {
        "one": tone(400, -12),
        "two": mp4(moving_square(2.0), sine(2.0, 1000, -18, channels=2, rate_hz=48000), rate_hz=48000),
    }
    publish(lake, "aaaa", clips, [mixture("one", "two")])
    made = Mixed(lake)
    row, (mixed, rate_hz) = made.row("one", "two"), samples(made.file("one", "two", "mp4"))
    parts = [samples(made.file("one", "two", f"clip{i}.flac"))[0] for i in (1, 2)]
    assert rate_hz == 16_000
    assert len(mixed) == row["n_samples"] == 32_000
    assert np.abs(mixed - parts[0] - parts[1]).max() <= 1
    for hz, dbfs in ((400, -12), (1000, -18)):
        assert 20 * np.log10(level_at(mixed / 2**23, hz)) == pytest.approx(dbfs, abs=0.1)
    assert (row["gain_db"], row["peak_guarded"], row["clipped_samples"]) == (0.0, False, 0)
    assert row["clip1_rms_dbfs"] == pytest.approx(-15.0, abs=0.1)
    assert row["clip1_peak_dbfs"] == pytest.approx(-12.0, abs=0.3)
    assert row["clip2_rms_dbfs"] == pytest.approx(-21.0, abs=0.1)
    power = 10 ** (row["clip1_rms_dbfs"] / 10) + 10 ** (row["clip2_rms_dbfs"] / 10)
    assert row["sum_rms_dbfs"] == pytest.approx(10 * np.log10(power), abs=0.1)
    assert row["sum_peak_dbfs"] == pytest.approx(20 * np.log10(np.abs(mixed).max() / 2**23), abs=1e-3)


def test_a_row_names_what_went_in(lake: Lake) -> None:
    rows = [mixture("one", "two", list_version="v1", split="validate", label="offscreen_only")]
    publish(lake, "aaaa", {"one": tone(400), "two": tone(700)}, rows)
    made = Mixed(lake, rate_hz=8000)
    row, record = made.row("one", "two"), made.record("one", "two")
    assert (row["list_version"], row["split"], row["label"]) == ("v1", "validate", "offscreen_only")
    assert (row["clip1_sample_id"], row["clip2_sample_id"]) == (clip_id("one"), clip_id("two"))
    assert (row["rate_hz"], row["n_samples"], row["duration_s"]) == (8000, 16_000, 2.0)
    assert record == {n: v for n, v in row.items() if n not in ("sample_id", "outcome", "reason", "detail")} | {
        "mixture_id": sid("mixture", "one", "two"),
        "release": "aaaa",
    }
    assert len(made.file("one", "two", "mp4")) == row["media_bytes"]
    assert {name.split(".", 1)[1] for name in made.files} == {"mp4", "json", "clip1.flac", "clip2.flac"}
    assert {name.split(".", 1)[1] for name in Mixed(lake, parts=False).files} == {"mp4", "json"}


@pytest.mark.parametrize("window", [(0.0, 4.0), (1.2, 5.2)], ids=["its sound begins late", "cut inside"])
def test_both_sounds_stay_where_they_are_heard(lake: Lake, tmp_path: Path, window: tuple[float, float]) -> None:
    """Clip 1 is cut from a file whose clock begins at 3 s and whose sound begins 0.4 s late: beeps stay at flashes."""
    one = cut_clip(tmp_path / "late", window, seconds=8.0, start_s=3.0, audio_late_s=0.4, rate_hz=48000)
    flashes = [t for t, pixels in pictures(one) if np.frombuffer(pixels, np.uint8)[: 48 * 64].mean() > 180]
    two = mp4(moving_square(4.0), clicks(4.0, [0.25, 1.75]))
    publish(lake, "aaaa", {"one": one, "two": two}, [mixture("one", "two")])
    made = Mixed(lake)
    assert len(flashes) == 4
    assert onsets(wave(made.file("one", "two", "clip1.flac"))) == pytest.approx(flashes, abs=0.005)
    assert onsets(wave(made.file("one", "two", "clip2.flac"))) == pytest.approx(
        [0.25 + PRIMING_S, 1.75 + PRIMING_S], abs=0.005
    )
    padded_s = made.row("one", "two")["clip1_padded_s"]
    assert padded_s == pytest.approx(0.4 if window[0] == 0.0 else 0.0, abs=0.03)


def gapped(until_s: float, from_s: float) -> bytes:
    """A clip whose sound, loud noise, pauses between two times without any samples, as a lost packet leaves it."""
    file, step, rate_hz = io.BytesIO(), 1152, 16_000
    noise = (np.random.default_rng(0).uniform(-0.9, 0.9, step) * 2**15).astype(np.int16)
    with av.open(file, "w", format="mp4") as out:
        video, sound = out.add_stream("libx264", rate=25), out.add_stream("flac", rate=rate_hz, layout="mono")
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        sound.codec_context.format = "s16"
        for picture in moving_square(2.0):
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
        out.mux(video.encode(None))
        for at in range(0, 2 * rate_hz, step):
            if not until_s <= at / rate_hz < from_s:
                frame = av.AudioFrame.from_ndarray(noise[None], format="s16", layout="mono")
                frame.rate, frame.pts, frame.time_base = rate_hz, at, Fraction(1, rate_hz)
                out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return file.getvalue()


def test_a_gap_in_a_sound_stays_a_gap(lake: Lake) -> None:
    publish(lake, "aaaa", {"one": tone(400), "two": gapped(0.576, 1.152)}, [mixture("one", "two")])
    made = Mixed(lake)
    row, two = made.row("one", "two"), samples(made.file("one", "two", "clip2.flac"))[0]
    assert row["clip2_padded_s"] == pytest.approx(0.576, abs=0.001)
    quiet = np.flatnonzero(two == 0)
    assert (quiet[0], quiet[-1]) == (9216, 18_431)


def test_a_shorter_clip_two_is_padded_and_a_longer_one_cut(lake: Lake) -> None:
    clips = {"one": tone(400, seconds=2.0), "short": tone(700, seconds=0.8), "long": tone(900, seconds=3.0)}
    publish(lake, "aaaa", clips, [mixture("one", "short"), mixture("one", "long")])
    made = Mixed(lake)
    short, long = made.row("one", "short"), made.row("one", "long")
    assert {short["n_samples"], long["n_samples"]} == {32_000}
    assert short["clip2_padded_s"] == pytest.approx(1.2, abs=0.05)
    assert (short["clip2_left_out_s"], long["clip2_padded_s"]) == (0.0, 0.0)
    assert long["clip2_left_out_s"] == pytest.approx(1.0, abs=0.05)
    tail = samples(made.file("one", "short", "clip2.flac"))[0][-round(short["clip2_padded_s"] * 16_000) :]
    assert not tail.any()
    assert len(tail) > 16_000


def test_offsets_of_mixit_lists_shift_clip_two(lake: Lake) -> None:
    clips = {"one": tone(400), "two": mp4(moving_square(2.0), clicks(2.0, [0.5]))}
    rows = [mixture("one", "two", list_version="mixit", clip1_output_offset_s=0.25, clip2_output_offset_s=1.0)]
    publish(lake, "aaaa", clips, rows)
    made = Mixed(lake)
    row = made.row("one", "two")
    assert row["clip2_shift_s"] == 0.75
    assert onsets(wave(made.file("one", "two", "clip2.flac"))) == pytest.approx([1.25 + PRIMING_S], abs=0.005)
    assert row["clip2_padded_s"] == pytest.approx(0.75, abs=0.01)


def test_the_guard_lowers_what_would_not_fit_and_says_by_how_much(lake: Lake) -> None:
    clips = {"one": tone(400, -1), "two": tone(401, -1)}
    publish(lake, "aaaa", clips, [mixture("one", "two")])
    made = Mixed(lake)
    row = made.row("one", "two")
    mixed = samples(made.file("one", "two", "mp4"))[0]
    assert row["peak_guarded"] is True
    assert row["sum_peak_dbfs"] == pytest.approx(5.0, abs=0.3)
    assert row["gain_db"] == pytest.approx(-row["sum_peak_dbfs"], abs=1e-4)
    assert np.abs(mixed).max() == 2**23 - 1
    parts = [samples(made.file("one", "two", f"clip{i}.flac"))[0] for i in (1, 2)]
    assert np.abs(mixed - parts[0] - parts[1]).max() <= 1
    loose = Mixed(lake, peak_guard=False)
    assert loose.row("one", "two")["gain_db"] == 0.0
    assert loose.row("one", "two")["clipped_samples"] > 1000
    plain = wave(loose.file("one", "two", "mp4"))
    kept = np.abs(mixed) < 0.5 * 2**23
    assert plain[kept] == pytest.approx(mixed[kept] / 2**23 * 10 ** (-row["gain_db"] / 20), abs=1e-6)


def test_silence_has_no_level(lake: Lake) -> None:
    silent = mp4(moving_square(1.0), np.zeros((1, 44_100), np.float32))
    publish(lake, "aaaa", {"one": tone(400, seconds=1.0), "two": silent}, [mixture("one", "two")])
    row = Mixed(lake).row("one", "two")
    assert (row["clip2_rms_dbfs"], row["clip2_peak_dbfs"]) == (None, None)
    assert row["sum_rms_dbfs"] == row["clip1_rms_dbfs"]


def test_what_cannot_be_mixed_is_a_row_with_its_reason(lake: Lake) -> None:
    clips = {
        "one": tone(400, seconds=1.0),
        "mute": mp4(moving_square(1.0)),
        "blind": mp4(None, sine(1.0, 300, -6)),
        "broken": b"no clip at all",
        "two": tone(700, seconds=1.0),
    }
    rows = [mixture("one", other) for other in ("two", "mute", "blind", "broken", "absent")]
    rows += [mixture("mute", "one"), mixture("blind", "one"), mixture("gone", "one")]
    publish(lake, "aaaa", clips, rows)
    made = Mixed(lake)
    assert made.cut["rows"] == 8
    assert made.cut["reasons"] == {"missing_file": 2}
    found = {row["sample_id"]: (row["reason"], row["detail"]) for row in made.rows.values() if row["outcome"] != "ok"}
    assert found == {
        sid("mixture", "one", "mute"): ("no_audio_stream", "clip 2: no audio stream"),
        sid("mixture", "mute", "one"): ("no_audio_stream", "clip 1: no audio stream"),
        sid("mixture", "blind", "one"): ("no_video_stream", "clip 1: no video stream"),
        sid("mixture", "one", "broken"): (
            "undecodable",
            "clip 2: not a media file: Invalid data found when processing input",
        ),
    }
    assert made.row("one", "two")["outcome"] == made.row("one", "blind")["outcome"] == "ok"
    assert made.row("one", "mute")["clip2_sample_id"] == clip_id("mute")
    assert [name for name in made.files if sid("mixture", "one", "mute") in name] == []


def test_a_file_that_is_gone_or_another_is_a_row_too(lake: Lake) -> None:
    clips = {"one": tone(400, seconds=1.0), "two": tone(700, seconds=1.0)}
    publish(lake, "aaaa", clips, [mixture("one", "two")])
    cut = mixture_plan.cut(lake)
    stage = Mix(parse_params(Mix, {}), lake, Settings())
    stage.setup()
    lineage = Lineage(lake, cut["batch"], stage_needs())
    (row,) = pq.read_table(io.BytesIO(lake.read_table(lineage.committed("mixtures", 1)))).to_pylist()

    def outcome(**changed: object) -> tuple[Reason | None, str | None]:
        work = Path(lake.full("work"))
        work.mkdir(exist_ok=True)
        (found,) = stage.process(Batch([Sample(row["sample_id"], {**row, **changed})], work))
        return found.reason, found.detail

    one, two = clip_id("one"), clip_id("two")
    assert outcome() == (None, None)
    assert outcome(clip2_sha256="0" * 64) == (
        Reason.missing_file,
        f"clip 2 ({two}) is not the file that was released",
    )
    assert outcome(clip1_tar="clip/none.tar") == (Reason.missing_file, f"clip 1 ({one}) is not in its shard's tar")
    assert outcome(clip2_sample_id="f" * 20)[0] is Reason.missing_file


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    found = []
    for name in ("here", "there"):
        lake = Lake(tmp_path / name)
        clips = {"one": tone(400, seconds=1.0), "two": tone(700, -2, seconds=1.0), "three": tone(900, seconds=0.5)}
        publish(lake, "aaaa", clips, [mixture("one", "two"), mixture("two", "three"), mixture("two", "none")])
        made = Mixed(lake)
        found.append((made.tables, made.files))
    assert found[0] == found[1]
    assert len(found[0][1]) == 8
