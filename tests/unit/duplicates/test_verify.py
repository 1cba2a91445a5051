"""What two clips have in common is found at its place, told by its kind, and nothing is found in what says nothing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tests.unit.signals import clicks, mp4, textured
from tests.unit.sketched import known, levels, pictures
from winnow.duplicates import sketch
from winnow.duplicates.fingerprint import picture_void, sound_void
from winnow.duplicates.verify import Pair, verify
from winnow.stages import audio, visual

PICTURE, SOUND = pictures(1), levels(1)
CLIP = known("a", PICTURE, SOUND)


def against(picture: np.ndarray, sound: np.ndarray) -> Pair | None:
    return verify(CLIP, known("b", picture, sound))


def test_a_part_stands_where_it_was_cut() -> None:
    pair = against(PICTURE[12:24], levels(1)[38:75])  # 3 s from 3 s on
    assert pair is not None
    assert (pair.kind, pair.speed) == ("both", 1.0)
    assert pair.first_s - pair.second_s == pytest.approx(3.0, abs=0.1)
    assert pair.length_s > 2.4
    assert pair.share > 0.8


def test_which_side_agrees_is_told() -> None:
    still, silent = np.repeat(PICTURE[:1], 40, axis=0), np.zeros_like(SOUND)
    kinds = {
        "both": (PICTURE, SOUND),
        "picture_other_sound": (PICTURE, levels(2)),
        "sound_other_picture": (pictures(2), SOUND),
        "picture": (PICTURE, silent),
        "sound": (still, SOUND),
        None: (pictures(2), levels(2)),
    }
    found = {kind: against(*sides) for kind, sides in kinds.items()}
    assert {kind: pair and pair.kind for kind, pair in found.items()} == {kind: kind for kind in kinds}


def test_a_mirrored_darker_crop_is_the_picture() -> None:
    from winnow.duplicates import words

    cropped = words.window(PICTURE, 0.85, 0.0, 1.0)[:, :, ::-1] * 0.6
    pair = against(np.rint(cropped).astype(np.uint8), levels(2))
    assert pair is not None
    assert pair.kind == "picture_other_sound"
    assert pair.mirrored


@pytest.mark.parametrize("speed", [0.95, 1.05])
def test_another_speed_is_found(speed: float) -> None:
    def played(states: np.ndarray) -> np.ndarray:
        u = np.arange(int((len(states) - 1) / speed)) * speed
        low, part = u.astype(int), (u % 1).reshape(-1, *(1 for _ in states.shape[1:]))
        return np.rint(states[low] * (1 - part) + states[low + 1] * part).astype(np.uint8)

    pair = against(played(PICTURE), played(SOUND))
    assert pair is not None
    assert pair.kind == "both"
    assert pair.speed == pytest.approx(1 / speed, abs=0.021)
    assert pair.share > 0.9


def test_picture_and_sound_of_two_moments_are_not_one_event() -> None:
    pair = against(PICTURE, np.concatenate([levels(7)[:50], SOUND[:75]]))  # the sound comes 4 s late
    assert pair is not None
    assert pair.kind == "picture_other_sound"


def test_smooth_pictures_do_not_meet_by_chance() -> None:
    clips = [known(str(seed), pictures(seed, 6), levels(seed, 6)) for seed in (102, 106, 109, 142, 156)]
    assert [verify(one, other) for one in clips for other in clips if one is not other] == [None] * 20


def test_another_version_is_never_compared() -> None:
    assert verify(CLIP, replace(CLIP, sample_id="b")) is not None
    assert verify(CLIP, replace(CLIP, sample_id="b", version="another")) is None


def test_what_says_nothing_matches_nothing_and_says_why() -> None:
    flat, still = np.full_like(PICTURE, 90), np.repeat(PICTURE[:1], 40, axis=0)
    silent, steady = np.zeros_like(SOUND), np.repeat(SOUND[:1], len(SOUND), axis=0)
    assert [picture_void(one) for one in (flat, still, PICTURE[:5], PICTURE)] == ["flat", "still", "short", None]
    assert [sound_void(one) for one in (silent, steady, SOUND[:9], SOUND)] == ["silent", "steady", "short", None]
    for picture, sound in ((flat, silent), (still, steady), (PICTURE[:5], SOUND[:9])):
        one, other = known("a", picture, sound), known("b", picture, sound)
        assert verify(one, other) is None


def test_bars_are_cut_off_and_a_dark_side_is_not() -> None:
    scene = np.clip(pictures(3, 2).repeat(2, axis=1).repeat(2, axis=2), 60, 255)
    boxed = np.pad(scene[:, ::2], ((0, 0), (6, 6), (0, 0)))
    assert sketch.content(boxed) == (6, 18, 0, 32)
    dark = scene.copy()
    dark[:, :, :9] = 3
    assert sketch.content(dark) == (0, 24, 0, 32)
    assert sketch.content(np.zeros_like(scene)) == (0, 24, 0, 32)


def test_files_that_were_encoded_again_are_copies() -> None:
    """From pixels and samples on: another frame rate, size, brightness and bit depth of sound."""
    rng = np.random.default_rng(5)
    path = np.cumsum(rng.normal(0, 2.0, (100, 2)), axis=0) + np.array([30, 50])
    wave = clicks(4, np.cumsum(rng.uniform(0.1, 0.4, 12)), seed=3) + clicks(4, (0.5, 1.9, 3.2), seed=4)

    def filmed(step: int, dim: float, grow: int) -> list[np.ndarray]:
        out = []
        for y, x in path[::step].clip(0, (70, 100)).astype(int):
            picture = textured(0)
            picture[y : y + 26, x : x + 26] = 250
            out.append((picture.repeat(grow, axis=0).repeat(grow, axis=1) * dim).astype(np.uint8))
        return out

    def measured(name: str, data: bytes):
        picture = visual.measure(data)["sketch"].reshape(-1, sketch.HEIGHT, sketch.WIDTH)
        return known(name, picture, audio.measure(data)["sketch"].reshape(-1, sketch.BANDS))

    first = measured("a", mp4(filmed(1, 1.0, 1), wave))
    pair = verify(first, measured("b", mp4(filmed(2, 0.6, 2), wave * np.float32(0.3), fps=Fraction(25, 2))))
    assert pair is not None
    assert (pair.kind, pair.first_s) == ("both", pytest.approx(pair.second_s, abs=0.1))


def test_the_same_scene_under_the_same_sound_is_both_where_little_moves() -> None:
    """Pictures whose small movements were lost on the way; another scene stays another one."""
    rng = np.random.default_rng(0)

    def filmed(seed: int) -> np.ndarray:
        scene = pictures(seed)[:1].astype(float)
        return np.rint(scene + rng.normal(0, 1.5, PICTURE.shape)).astype(np.uint8)

    one, same, other = filmed(1), filmed(1), filmed(4)
    assert picture_void(one) is picture_void(same) is picture_void(other) is None
    kinds = [verify(known("a", one, SOUND), known("b", picture, SOUND)) for picture in (same[:, :, ::-1], other)]
    assert [pair and pair.kind for pair in kinds] == ["both", "sound_other_picture"]
    assert kinds[0].mirrored
