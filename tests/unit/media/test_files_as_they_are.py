"""Files as people have them, from the source's file to the clips' rows: clocks that start again, jump or are missing,
pictures that stand, damage, tracks beside the one that plays, colours and orientation."""

from __future__ import annotations

import io
import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.unit.media.numbered import Recipe, Seen, corners, look, make, rewritten
from winnow.core.lake import Lake
from winnow.core.sample import Outcome, Reason, candidate_id, sid
from winnow.core.settings import Settings
from winnow.core.stage import Batch, Sample, parse_params
from winnow.stages import audio, probe
from winnow.stages.clip import Clip

PLAIN = Recipe()
HALF_S = 0.02


def clips(path: Path, **params: object) -> list[Outcome]:
    """What stage clip makes of a video, in the order of time; failures come last."""
    lake = Lake(path.parent / "lake")
    stage = Clip(
        parse_params(Clip, {"preset": "ultrafast", "window_s": 2.0, "tail_s": 0.5, **params}), lake, Settings()
    )
    stage.setup()
    sha256 = lake.put_media(path, path.suffix[1:])
    video = sid("video", sha256)
    row = {
        "video_id": video, "url": "http://a.test/v", "start_s": None, "end_s": None, "media_sha256": sha256,
        "media_ext": path.suffix[1:],
    }  # fmt: skip
    work = path.parent / "work"
    work.mkdir(exist_ok=True)
    found = list(stage.process(Batch([Sample(candidate_id(video, None, None), row)], work)))
    assert list(work.iterdir()) == []
    return sorted(found, key=lambda o: (o.reason is not None, o.values.get("start_s") or 0.0))


def right(found: list[Outcome], count: int, first: int = 0, late_s: float = 0.0) -> list[Seen]:
    """All pictures from `first` on are there, in order, once, and sound and picture stand together."""
    assert [o.detail for o in found if o.reason] == []
    seen = [look(o.files["mp4"]) for o in found]
    numbers = [n for one in seen for n in one.numbers]
    assert numbers == list(range(first, first + count))
    for outcome, one in zip(found, seen, strict=True):
        values = outcome.values
        assert one.lasts_s == pytest.approx(values["duration_s"], abs=0.002)
        assert values["duration_s"] == pytest.approx(values["end_s"] - values["start_s"], abs=2 * HALF_S)
        assert one.picture_s == pytest.approx(late_s - values["start_s"], abs=HALF_S + 0.001)
        if one.sound_s is not None:
            assert one.sound_s == pytest.approx(one.picture_s, abs=HALF_S)
    return seen


def jumped(by_s: float, at_s: float = 3.0):
    """An edit that sets the clock of all tracks anew."""

    def edit(kind: str, at: int, packet: av.Packet) -> None:
        if packet.dts * packet.time_base >= at_s:
            packet.pts += round(by_s / packet.time_base)
            packet.dts += round(by_s / packet.time_base)

    return edit


# -- clocks ------------------------------------------------------------------------------------------------------------
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


def test_rounding_does_not_decide_about_a_last_window(tmp_path: Path) -> None:
    source = make(replace(PLAIN, seconds=12.0), tmp_path / "s.mp4")
    spans = []
    for container in ("mp4", "ts", "mkv"):
        path = rewritten(source, tmp_path / f"a.{container}", container, lambda *_: None)
        spans.append([(o.values["start_s"], o.values["end_s"]) for o in clips(path, window_s=10.0, tail_s=2.0)])
    assert spans == [[(0.0, 10.0), (10.0, 12.0)]] * 3


# -- pictures that stand -----------------------------------------------------------------------------------------------
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


# -- damage ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("video", ["libx264", "libx265"])
@pytest.mark.parametrize("damage", ["zeros", "noise"])
def test_damage_is_told_whether_copied_or_encoded(tmp_path: Path, video: str, damage: str) -> None:
    quiet = (("x265-params", "log-level=none"),) if video == "libx265" else ()
    recipe = replace(PLAIN, video=video, options=(*quiet, ("crf", "10")))
    path = make(recipe, tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    lot = random.Random(1)
    for at, size in places[60:95]:
        data[at : at + size] = bytes(size) if damage == "zeros" else bytes(lot.randrange(256) for _ in range(size))
    path.write_bytes(data)
    found = clips(path)
    assert [(o.values["start_s"]) for o in found if o.reason is None] == [0.0, 4.0]
    (failed,) = (o for o in found if o.reason)
    assert failed.reason is Reason.undecodable
    assert failed.detail.startswith("1 of its 3 clips: 2.000 to 4.000 s: ")
    assert "pictures are damaged" in failed.detail


def test_pictures_before_the_first_key_picture_are_left_out(tmp_path: Path) -> None:
    source = make(replace(PLAIN, gop=25), tmp_path / "s.mp4")
    path = rewritten(source, tmp_path / "a.mkv", "mkv", lambda kind, at, _: kind == "audio" or at >= 10)
    found = clips(path)
    assert found[0].values["start_s"] == pytest.approx(1.0, abs=0.03)
    assert look(found[0].files["mp4"]).numbers[0] == 25


# -- tracks ------------------------------------------------------------------------------------------------------------
def _merged(tmp_path: Path, tracks: list[tuple[Path, str, int, str]], name: str) -> Path:
    """Streams of several files (path, kind, disposition, title) in one file."""
    path = tmp_path / name
    with av.open(str(path), "w") as out:
        packets = []
        for source, kind, disposition, title in tracks:
            given = av.open(str(source))
            stream = next(s for s in given.streams if s.type == kind)
            twin = out.add_stream_from_template(stream)
            twin.disposition = disposition
            if title:
                twin.metadata["title"] = title
            for packet in given.demux(stream):
                if packet.size:
                    packet.stream = twin
                    packets.append(packet)
        packets.sort(key=lambda p: (p.dts if p.dts is not None else p.pts) * p.time_base)
        for packet in packets:
            out.mux(packet)
    return path


@pytest.mark.parametrize("beside", ["not default", "commentary", "titled"])
def test_the_sound_that_plays_is_taken(tmp_path: Path, beside: str) -> None:
    film = make(PLAIN, tmp_path / "s.mp4")
    other = make(replace(PLAIN, first=100), tmp_path / "o.mp4")
    flags = av.stream.Disposition
    mark = {"not default": 0, "commentary": int(flags.default | flags.comment), "titled": int(flags.default)}[beside]
    title = "Director's commentary" if beside == "titled" else ""
    tracks = [
        (film, "video", int(flags.default), ""), (other, "audio", mark, title), (film, "audio", int(flags.default), ""),
    ]  # fmt: skip
    right(clips(_merged(tmp_path, tracks, "a.mkv")), 150)


def test_a_cover_is_no_video_even_first_and_unmarked(tmp_path: Path) -> None:
    film, cover = make(PLAIN, tmp_path / "s.mp4"), tmp_path / "c.mkv"
    with av.open(str(cover), "w") as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 200, np.uint8), format="rgb24")))
        out.mux(stream.encode(None))
    both = _merged(tmp_path, [(cover, "video", 0, ""), (film, "video", 1, ""), (film, "audio", 1, "")], "a.mkv")
    right(clips(both), 150)
    (failed,) = clips(_merged(tmp_path, [(cover, "video", 0, ""), (film, "audio", 1, "")], "b.mkv"))
    assert failed.reason is Reason.no_video_stream


def test_a_gap_in_the_sound_stays_where_it_is(tmp_path: Path) -> None:
    source = make(PLAIN, tmp_path / "s.mp4")
    path = rewritten(
        source, tmp_path / "a.mp4", "mp4", lambda kind, _, p: kind == "video" or not 2.2 < p.pts * p.time_base < 3.4
    )
    (whole,) = clips(path, window_s=6.0)
    seen = look(whole.files["mp4"])
    assert seen.sound_s == pytest.approx(0.0, abs=0.005)
    onset = audio.measure(whole.files["mp4"])["onset"]
    loud = np.flatnonzero(onset > 0.3 * onset.max()) / 8.0  # GRID_HZ
    assert not ((loud > 2.4) & (loud < 3.3)).any()
    assert ((loud >= 3.3) & (loud < 3.9)).any()


def test_a_clip_that_begins_in_a_gap_loses_no_sound_after_it(tmp_path: Path) -> None:
    """Readers hide as many samples as the first packet's time says, so none from before the gap may be there."""
    source = make(PLAIN, tmp_path / "s.mp4")
    path = rewritten(
        source, tmp_path / "a.mp4", "mp4", lambda kind, _, p: kind == "video" or not 1.9 < p.pts * p.time_base < 2.45
    )
    found = clips(path)
    assert found[1].values["av_offset_s"] == pytest.approx(0.45, abs=0.03)
    with av.open(io.BytesIO(found[1].files["mp4"])) as clip:
        assert next(clip.decode(audio=0)).time == pytest.approx(found[1].values["av_offset_s"], abs=0.001)
    assert sum(look(o.files["mp4"]).bursts for o in found) == 11  # the one at 2 s is in the gap


def test_copied_sound_that_does_not_decode_is_told(tmp_path: Path) -> None:
    path = make(PLAIN, tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(audio=0) if p.size]
    data = bytearray(path.read_bytes())
    for at, size in places[100:130]:
        data[at : at + size] = b"\xff" * size
    path.write_bytes(data)
    (failed,) = clips(path, window_s=6.0)
    assert failed.reason is Reason.undecodable
    assert "packets of sound are damaged" in failed.detail


# -- colour and shape --------------------------------------------------------------------------------------------------
def test_full_range_stays_full_range(tmp_path: Path) -> None:
    path = make(replace(PLAIN, pixels="yuvj420p"), tmp_path / "a.mp4")
    found = clips(path, window_s=2.5)
    assert {o.values["cut"] for o in found} == {"copy", "encode"}
    colours = []
    for outcome in found:
        with av.open(io.BytesIO(outcome.files["mp4"])) as clip:
            frame = next(clip.decode(video=0))
            assert frame.color_range == 2
            colours.append(frame.to_ndarray(format="rgb24")[:12, :60].reshape(-1, 3).mean(axis=0))
    assert np.ptp(np.array(colours), axis=0).max() < 4


def test_red_green_and_blue_get_a_matrix_that_420_has(tmp_path: Path) -> None:
    path = make(replace(PLAIN, video="libx264rgb", pixels="rgb24", container="mkv"), tmp_path / "a.mkv")
    for outcome, seen in zip(found := clips(path), right(found, 150), strict=True):
        assert seen.corners == "RBGY"
        with av.open(io.BytesIO(outcome.files["mp4"])) as clip:
            frame = next(clip.decode(video=0))
            assert (frame.format.name, frame.colorspace, frame.color_range) == ("yuv420p", 6, 1)


MATRICES = {
    "mirrored": ((-1, 0, 0, 1), "BRYG"), "upside down": ((1, 0, 0, -1), "GYRB"), "half": ((-1, 0, 0, -1), "YGBR"),
    "clockwise": ((0, 1, -1, 0), "GRYB"), "counter-clockwise": ((0, -1, 1, 0), "BYRG"),
    "transposed": ((0, 1, 1, 0), "RGBY"), "anti-transposed": ((0, -1, -1, 0), "YBGR"),
}  # fmt: skip


@pytest.mark.parametrize("name", MATRICES)
def test_every_orientation_is_undone_and_pixels_keep_their_shape(tmp_path: Path, name: str) -> None:
    (a, b, c, d), wanted = MATRICES[name]
    matrix = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]

    def prepare(stream) -> None:
        stream.set_display_matrix(matrix)
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)

    found = clips(make(replace(PLAIN, seconds=2.0, audio=None, prepare=prepare), tmp_path / "a.mp4"))
    with av.open(io.BytesIO(found[0].files["mp4"])) as clip:
        frame = next(clip.decode(video=0))
        assert frame.rotation == 0
        assert corners(frame.to_ndarray(format="rgb24")) == wanted
        sar = clip.streams.video[0].sample_aspect_ratio
    assert sar == (Fraction(45, 64) if a == 0 else Fraction(64, 45))


def test_interlaced_video_stays_marked_as_such(tmp_path: Path) -> None:
    recipe = replace(PLAIN, gop=150, options=(("x264-params", "tff=1"),))
    found = clips(make(recipe, tmp_path / "a.mp4"), window_s=2.5)
    for outcome in found:
        with av.open(io.BytesIO(outcome.files["mp4"])) as clip:
            assert next(clip.decode(video=0)).interlaced_frame
    right(found, 150)


def test_fields_that_are_turned_become_pictures(tmp_path: Path) -> None:
    """Fields are lines: by 90° they would be columns, which no file can say. Upside down the other one comes first."""
    for turned, told in (((0, 1, -1, 0), False), ((-1, 0, 0, -1), True)):
        a, b, c, d = turned

        def prepare(stream, matrix=(a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)) -> None:
            stream.set_display_matrix(list(matrix))

        recipe = replace(PLAIN, seconds=1.0, audio=None, options=(("x264-params", "tff=1"),), prepare=prepare)
        (outcome,) = clips(make(recipe, tmp_path / f"{told}.mp4"))
        with av.open(io.BytesIO(outcome.files["mp4"])) as clip:
            frames = list(clip.decode(video=0))
            order = clip.streams.video[0].codec_context.field_order
        assert len(frames) == 25
        assert {frame.interlaced_frame for frame in frames} == {told}
        assert corners(frames[0].to_ndarray(format="rgb24")) == ("YGBR" if told else "GRYB")
        assert probe.measure(outcome.files["mp4"])["interlaced"] is told
        assert order in ((3, 5) if told else (0, 1))


def test_what_a_probe_says_of_a_clip_is_what_its_row_says(tmp_path: Path) -> None:
    for outcome in clips(make(PLAIN, tmp_path / "a.mp4"), window_s=1.3):
        found = probe.measure(outcome.files["mp4"])
        assert found["n_frames"] == len(look(outcome.files["mp4"]).numbers)
        assert (found["width"], found["height"]) == (outcome.values["width"], outcome.values["height"])


def test_high_dynamic_range_is_told_and_measured_as_a_screen_shows_it(tmp_path: Path) -> None:
    """The recipe's yellow corner, red and green 230 of 255, is 4,000 cd/m² under PQ: far above white, so shown as
    light as a screen can; its ground, 90 of 255, is 20 cd/m²."""

    def prepare(stream) -> None:
        codec = stream.codec_context
        codec.color_trc, codec.color_primaries, codec.colorspace, codec.color_range = 16, 9, 9, 1

    from winnow.media import decode

    (hdr,) = clips(make(replace(PLAIN, seconds=2.0, prepare=prepare), tmp_path / "a.mp4"))
    found = probe.measure(hdr.files["mp4"])
    assert (found["hdr"], found["colour_transfer"], found["colour_primaries"]) == (True, "smpte2084", "bt2020")
    with decode.opened(hdr.files["mp4"]) as clip:
        frame = next(clip.frames(clip.require_video()))
        rgb, gray = decode.Shrinker("rgb24", 160, 96)(frame), decode.Shrinker("gray", 160, 96)(frame)
    assert rgb[-8, 140, :2].min() > 248
    assert rgb[30, 80] == pytest.approx([96] * 3, abs=9)
    assert np.abs(gray[30, 80].astype(int) - rgb[30, 80].mean()) < 6
    (plain,) = clips(make(replace(PLAIN, seconds=2.0), tmp_path / "b.mp4"))
    assert probe.measure(plain.files["mp4"])["hdr"] is False


def test_rows_say_what_the_source_was(tmp_path: Path) -> None:
    film, other = make(PLAIN, tmp_path / "s.mp4"), make(replace(PLAIN, first=100), tmp_path / "o.mp4")
    tracks = [(film, "video", 1, ""), (other, "audio", 0, ""), (film, "audio", 1, "")]
    for outcome in clips(_merged(tmp_path, tracks, "a.mkv")):
        values = outcome.values
        assert (values["sound_tracks"], values["sound_track"]) == (2, 1)
        assert values["sound_languages"] == ["und", "und"]
        assert (values["rotation"], values["mirrored"], values["times_repaired"]) == (0, False, False)


def test_a_probe_counts_what_decodes(tmp_path: Path) -> None:
    path = make(replace(PLAIN, audio=None, options=(("crf", "10"),)), tmp_path / "a.mp4")
    assert probe.measure(path.read_bytes())["n_frames"] == 150
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for at, size in places[60:95]:
        data[at : at + size] = bytes(size)
    assert 80 <= probe.measure(bytes(data))["n_frames"] <= 116
