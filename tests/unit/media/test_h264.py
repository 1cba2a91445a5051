"""What H.264's units tell without decoding: healthy streams of all kinds are believed, a missing picture is seen."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.unit.media.numbered import Recipe, make
from winnow.media import h264
from winnow.media.h264 import are_pictures, follow_each_other

KINDS = {
    "plain": "bframes=0",
    "pyramid": "bframes=3:b-pyramid=normal:ref=4",
    "open": "bframes=2:open-gop=1",
    "slices": "slices=4:bframes=1",
    "fields": "tff=1:bframes=2",
    "marked": "bframes=2:weightp=2:ref=6",
    "matrices": "cqm=jvt:bframes=1",
    "told": "nal-hrd=vbr:vbv-maxrate=500:vbv-bufsize=500:aud=1:pic-struct=1",
}


def packets(folder: Path, options: str, pixels: str = "yuv420p") -> tuple[list[av.Packet], bytes]:
    """A stream's packets, in the order of decoding, and its description."""
    recipe = Recipe(seconds=2.0, audio=None, gop=12, pixels=pixels, options=(("x264-params", options),))
    with av.open(str(make(recipe, folder / "a.mp4"))) as source:
        stream = source.streams.video[0]
        return [packet for packet in source.demux(stream) if packet.size], stream.codec_context.extradata


@pytest.mark.parametrize("kind", KINDS)
def test_a_healthy_stream_is_believed_and_a_missing_reference_picture_seen(tmp_path: Path, kind: str) -> None:
    given, described = packets(tmp_path, KINDS[kind])
    assert are_pictures(given, described)
    assert follow_each_other(given, described)
    size = h264.unit_bytes(described)
    for at in range(1, len(given) - 1):
        if not (given[at].is_keyframe or given[at + 1].is_keyframe):  # a keyframe counts anew
            missed = refers(bytes(given[at]), size)
            assert follow_each_other(given[:at] + given[at + 1 :], described) is not missed, at


def refers(data: bytes, size: int) -> bool:
    """Whether a packet's slices say that other pictures may refer to them."""
    at = 0
    while at < len(data):
        if data[at + size] & 31 in h264.SLICES:
            return bool(data[at + size] & 96)
        at += size + int.from_bytes(data[at : at + size], "big")
    raise AssertionError


@pytest.mark.parametrize("pixels", ["yuv422p", "yuv444p", "yuv420p10le"])
def test_other_profiles_are_read(tmp_path: Path, pixels: str) -> None:
    given, described = packets(tmp_path, "bframes=1", pixels)
    assert are_pictures(given, described)
    assert follow_each_other(given, described)
    assert not follow_each_other([given[0], *given[4:]], described)


@pytest.mark.parametrize("options", ["open-gop=1", "intra-refresh=1"])
def test_streams_may_be_joined_at_a_picture_from_which_they_recover(tmp_path: Path, options: str) -> None:
    given, described = packets(tmp_path, options)
    key = next(at for at, packet in enumerate(given) if at and packet.is_keyframe)
    assert are_pictures(given, described)
    assert follow_each_other(given, described)
    assert follow_each_other([*given[:5], *given[key:]], described)
    assert not follow_each_other([*given[:5], *given[key - 2 :]], described)


def test_what_may_leave_numbers_out_is_believed(tmp_path: Path) -> None:
    given, described = packets(tmp_path, "bframes=0:ref=1")
    # High profile, level 1.3 … log2_max_frame_num 4, order type 2, one reference picture, the flag, width: set the flag
    size = int.from_bytes(described[6:8], "big")
    bits = f"{int.from_bytes(described[8 : 8 + size], 'big'):0{8 * size}b}"
    at = bits.index("10101100101101000001010", 32)
    flag = at + len("101011001011010")
    allowed = int(bits[:flag] + "1" + bits[flag + 1 :], 2).to_bytes(size, "big")
    told = described[:8] + allowed + described[8 + size :]
    assert not follow_each_other([given[0], *given[3:]], described)
    assert follow_each_other([given[0], *given[3:]], told)


def test_what_cannot_be_read_is_doubted(tmp_path: Path) -> None:
    given, described = packets(tmp_path, "bframes=0")
    assert not follow_each_other(given, described[:12])
    assert not follow_each_other(given, b"")
    cut = av.Packet(bytes(given[1])[:-1])
    assert not are_pictures([given[0], cut], described)
