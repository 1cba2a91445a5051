#!/usr/bin/env bash
# One would guess: a decoder that is flushed at the end gives every picture that its packets held; FFmpeg announces that
# it reads DivX's and Xvid's packed bitstream (two pictures in one packet, then a packet of nothing).
# What happens (PyAV 18.1.0, FFmpeg 8): the second picture of a packet is kept aside until the next packet comes. Where the
# file ends with two in one, the flush drops it without an error or a flag. Fed once more as a packet of its own, it comes
# out in its place.
# Source: FFmpeg's libavcodec/mpeg4videodec.c (bitstream_buffer).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q av==18.1.0 numpy==2.4.6
cat >"$work/run.py" <<'P'
import io
import av, numpy as np

MARK, NOTHING, COUNT = b"\0\0\1\xb6", b"\0\0\1\xb6\x10\x47", 41
made = io.BytesIO()
with av.open(made, "w", format="avi") as out:
    stream = out.add_stream("mpeg4", rate=25, options={"bf": "1", "g": "100"})
    stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
    for at in range(COUNT):
        picture = np.full((144, 160), 128, "u1")
        picture[:96, 3 * at : 3 * at + 40] = 220
        out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
    out.mux(stream.encode())
made.seek(0)
with av.open(made) as given:
    head = given.streams.video[0].codec_context.extradata
    plain = [bytes(packet) for packet in given.demux(video=0) if packet.size]
assert len(plain) == COUNT
packed = [plain[0].replace(MARK, b"\0\0\1\xb2DivX503b1393p" + MARK, 1)]
for at in range(1, COUNT - 1, 2):
    packed += [plain[at] + plain[at + 1], NOTHING]
packed.pop()  # the file ends with two pictures in one packet


def decoded(packets):
    decoder = av.CodecContext.create("mpeg4", "r")
    decoder.extradata = head
    frames = []
    for at, data in enumerate(packets):
        packet = av.Packet(data)
        packet.pts = packet.dts = at
        frames += decoder.decode(packet)
    return len(frames + decoder.decode(None))


again = packed[-1][packed[-1].index(MARK, packed[-1].index(MARK) + 4) :]
found = decoded(plain), decoded(packed), decoded([*packed, again])
print("PyAV", av.__version__, "FFmpeg", av.ffmpeg_version_info, "of", COUNT, "pictures: one a packet, packed, packed and fed again:", *found)
assert found == (COUNT, COUNT - 1, COUNT)
P
"$work/venv/bin/python" "$work/run.py"
