"""Time stamps as files have them: clocks that start again, jump or are missing, pictures that stand."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.unit.media.cut_files import PLAIN, clips, right
from tests.unit.media.numbered import look, make, rewritten
from winnow.core.sample import Reason
from winnow.stages import clip


def jumped(by_s: float, at_s: float = 3.0):
    """An edit that sets the clock of all tracks anew."""

    def edit(kind: str, at: int, packet: av.Packet) -> None:
        if packet.dts * packet.time_base >= at_s:
            packet.pts += round(by_s / packet.time_base)
            packet.dts += round(by_s / packet.time_base)

    return edit


@pytest.mark.parametrize("container", ["ts", "mkv", "mp4", "flv"])
def test_a_clock_that_jumps_is_one_timeline(tmp_path: Path, container: str) -> None:
    source = make(PLAIN, tmp_path / "s.mp4")
    right(clips(rewritten(source, tmp_path / f"a.{container}", container, jumped(94.0))), 150)


def test_parts_whose_clocks_start_again_follow_each_other(tmp_path: Path) -> None:
    parts = []
    for part in range(3):
        made = make(replace(PLAIN, seconds=2.0, first=50 * part), tmp_path / f"{part}.mp4")
        parts.append(rewritten(made, tmp_path / f"{part}.ts", "ts", lambda *_: None).read_bytes())
    joined = tmp_path / "a.ts"
    joined.write_bytes(b"".join(parts))
    right(clips(joined), 150)


def test_pictures_that_share_a_time_keep_their_places(tmp_path: Path) -> None:
    def edit(kind: str, at: int, packet: av.Packet) -> None:
        if kind == "video" and packet.pts // 512 % 3 == 1:
            packet.pts -= 512

    found = clips(rewritten(make(PLAIN, tmp_path / "s.mp4"), tmp_path / "a.mkv", "mkv", edit))
    right(found, 150)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_times_of_decoding_are_not_times_of_showing(tmp_path: Path, container: str) -> None:
    def edit(kind: str, at: int, packet: av.Packet) -> None:
        if kind == "video":
            packet.dts += 1024
            packet.pts = packet.dts

    found = clips(rewritten(make(PLAIN, tmp_path / "s.mp4"), tmp_path / f"a.{container}", container, edit))
    right(found[:-1], 100)
    last = look(found[-1].files["mp4"]).numbers
    assert last == list(range(100, 100 + len(last)))
    assert len(last) >= 49  # such a muxer puts the last one late


@pytest.mark.parametrize("video", ["libx264", "mpeg4"])
def test_avi_has_no_picture_times(tmp_path: Path, video: str) -> None:
    found = clips(make(replace(PLAIN, container="avi", video=video, audio=None), tmp_path / "a.avi"))
    right(found, 150)
    assert {o.values["cut"] for o in found} == {"encode"}


@pytest.mark.parametrize("bframes", [0, 2])
def test_h264_in_avi_stands_beside_its_sound(tmp_path: Path, bframes: int) -> None:
    recipe = replace(PLAIN, container="avi", audio="pcm_s16le", bframes=bframes, seconds=4.0)
    seen = right(clips(make(recipe, tmp_path / "a.avi")), 100)
    assert [one.sound_s for one in seen] == pytest.approx([one.picture_s for one in seen], abs=0.002)


@pytest.mark.parametrize("ends_with_two", [False, True])
def test_two_pictures_in_one_slot_of_avi_have_their_own_times(tmp_path: Path, ends_with_two: bool) -> None:
    """As DivX and Xvid stored them: a picture, and the one between it and the last, then a packet of nothing in the
    next slot; two slots at the start are empty. By their slots pictures would be 80 ms late against the sound. Where
    the last packet holds two, FFmpeg by itself never gives the second."""
    plain = replace(PLAIN, container="avi", video="mpeg4", audio="pcm_s16le", bframes=1, seconds=4.0)
    source, path = make(plain, tmp_path / "s.avi"), tmp_path / "a.avi"
    with av.open(str(source)) as given, av.open(str(path), "w", format="avi") as out:
        twins = {stream.index: out.add_stream_from_template(stream) for stream in given.streams}
        packets = [packet for packet in given.demux() if packet.size]
        pictures = [bytes(packet) for packet in packets if packet.stream.type == "video"]
        first = pictures[0].replace(b"\0\0\1\xb6", b"\0\0\1\xb2DivX503b1393p\0\0\1\xb6", 1)
        slots = [(0, first)]
        for at in range(1, len(pictures) - 1, 2):
            slots += [(at + 2, pictures[at] + pictures[at + 1]), (at + 3, b"\0\0\1\xb6\x10\x47")]
        made = [(Fraction(slot, 25), 0, data) for slot, data in slots[: -1 if ends_with_two else None]]
        made += [(p.dts * p.time_base, p.stream_index, bytes(p)) for p in packets if p.stream.type == "audio"]
        for when, stream, data in sorted(made, key=lambda one: one[:2]):
            packet = av.Packet(data)
            packet.stream, packet.time_base = twins[stream], Fraction(1, 48_000)
            packet.pts = packet.dts = round(when * 48_000)
            packet.is_keyframe = True if stream else data is first
            out.mux(packet)
    seen = right(clips(path), 99)
    assert [one.sound_s for one in seen] == pytest.approx([one.picture_s for one in seen], abs=0.002)


@pytest.mark.parametrize("back", [1, 2])
def test_sound_whose_times_stay_or_fall_goes_on(tmp_path: Path, back: int) -> None:
    def edit(kind: str, at: int, packet: av.Packet) -> None:
        if kind == "audio" and at % 7 == 3:
            packet.pts -= 1024 * back
            packet.dts = packet.pts

    source = make(PLAIN, tmp_path / "s.mp4")
    path = tmp_path / "a.mkv"
    try:
        rewritten(source, path, "mkv", edit)
    except av.error.ArgumentError:  # the muxer itself wants rising times: the bytes are edited instead
        path.write_bytes(_fallen(rewritten(source, path, "mkv", lambda *_: None), back))
    seen = right(clips(path), 150)
    assert sum(one.bursts for one in seen) == 12


def _fallen(path: Path, back: int) -> bytes:
    """A Matroska file in which every seventh block of sound carries an earlier time."""
    with av.open(str(path)) as container:
        blocks = [(p.pos, bytes(p)) for p in container.demux(audio=0) if p.size]
    data = bytearray(path.read_bytes())
    for at, (_, content) in enumerate(blocks):
        if at % 7 == 3:
            place = data.index(content) - 3  # relative time of a SimpleBlock: two bytes before its flags
            time = int.from_bytes(data[place : place + 2], "big", signed=True)
            data[place : place + 2] = (time - 21 * back).to_bytes(2, "big", signed=True)
    return bytes(data)


def test_flipped_bits_do_not_make_hours(tmp_path: Path) -> None:
    data = bytearray(rewritten(make(PLAIN, tmp_path / "s.mp4"), tmp_path / "s.ts", "ts", lambda *_: None).read_bytes())
    for seed in range(4):
        lot, damaged = random.Random(seed), bytearray(data)
        for _ in range(25):
            damaged[lot.randrange(len(damaged))] ^= 1 << lot.randrange(8)
        path = tmp_path / f"{seed}.ts"
        path.write_bytes(damaged)
        found = clips(path)
        assert Reason.internal_error not in {o.reason for o in found}
        assert sum(o.values["duration_s"] for o in found if o.reason is None) < 6.5


def test_more_windows_than_may_be_are_refused(tmp_path: Path) -> None:
    (failed,) = clips(make(PLAIN, tmp_path / "a.mp4"), hop_s=0.001, max_windows=100)
    assert failed.reason is Reason.too_large
    assert "max_windows" in failed.detail


@pytest.mark.fault(
    "an absurd clock", "clip, of a few pictures that stand for hours without sound", "`too_large`, whose text says so"
)
def test_pictures_hours_apart_give_windows_only_where_sound_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(PLAIN, seconds=9.0, times=(0.0, 1.0, 9.0), bframes=0, container="mkv")
    hours = replace(recipe, times=(0.0, 1.0, 7200.0), audio=None)
    (failed,) = clips(make(hours, tmp_path / "a.mkv"))
    assert failed.reason is Reason.too_large
    assert "a picture stands for 7199 s without sound" in failed.detail
    monkeypatch.setattr(clip, "STANDS_S", 5.0)
    assert {o.reason for o in clips(make(recipe, tmp_path / "b.mkv"))} == {None}
    assert [o.reason for o in clips(make(replace(recipe, audio=None), tmp_path / "c.mkv"))] == [Reason.too_large]


def test_rounding_does_not_decide_about_a_last_window(tmp_path: Path) -> None:
    source = make(replace(PLAIN, seconds=12.0), tmp_path / "s.mp4")
    spans = []
    for container in ("mp4", "ts", "mkv"):
        path = rewritten(source, tmp_path / f"a.{container}", container, lambda *_: None)
        spans.append([(o.values["start_s"], o.values["end_s"]) for o in clips(path, window_s=10.0, tail_s=2.0)])
    assert spans == [[(0.0, 10.0), (10.0, 12.0)]] * 3


def test_a_picture_that_stands_is_held_and_every_clip_covers_its_window(tmp_path: Path) -> None:
    recipe = replace(PLAIN, seconds=12.0, times=(0.0, 3.0, 6.0, 9.0), bframes=0)
    found = clips(make(recipe, tmp_path / "a.mp4"), window_s=2.0)
    assert [(o.values["start_s"], o.values["duration_s"]) for o in found] == [(2.0 * k, 2.0) for k in range(6)]
    seen = [look(o.files["mp4"]) for o in found]
    assert [one.numbers for one in seen] == [[0], [0, 75], [75], [150], [150, 225], [225]]
    assert [one.lasts_s for one in seen] == pytest.approx([2.0] * 6, abs=0.002)
    for outcome, one in zip(found, seen, strict=True):
        assert one.sound_s == pytest.approx(-outcome.values["start_s"], abs=0.005)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_one_picture_stands_while_its_sound_goes_on(tmp_path: Path, container: str) -> None:
    source = make(replace(PLAIN, seconds=4.0), tmp_path / "s.mp4")
    path = rewritten(source, tmp_path / f"a.{container}", container, lambda kind, at, _: kind == "audio" or at == 0)
    found = clips(path)
    assert [o.values["duration_s"] for o in found] == pytest.approx([2.0, 2.0], abs=0.03)
    assert [look(o.files["mp4"]).numbers for o in found] == [[0], [0]]


@pytest.mark.parametrize("params", [{"window_s": 1.3}, {"window_s": 2.0, "hop_s": 0.7}])
def test_neighbouring_clips_without_sound_have_all_their_pictures(tmp_path: Path, params: dict) -> None:
    for outcome in clips(make(replace(PLAIN, audio=None), tmp_path / "a.mp4"), **params):
        seen = look(outcome.files["mp4"])
        first = round(outcome.values["start_s"] * 25 + 1e-6 if seen.numbers[0] else 0)
        assert abs(seen.numbers[0] - first) <= 1
        assert seen.numbers == list(range(seen.numbers[0], seen.numbers[0] + round(outcome.values["duration_s"] * 25)))
