"""One timeline out of clocks that do not agree."""

from __future__ import annotations

from fractions import Fraction

from winnow.media.clocks import Track, one_timeline

MS = Fraction(1, 1000)


def test_sound_that_goes_on_stays_where_it_is_when_the_pictures_clock_starts_again() -> None:
    sounds = list(range(0, 6000, 20))
    audio = Track(MS, "opus", 1, pts=[*sounds], lasts=[20] * len(sounds))
    assert one_timeline([*range(0, 3000, 40)] * 2, MS, audio, "ogg") == list(range(0, 6000, 40))
    assert audio.pts == sounds
