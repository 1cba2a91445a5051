#!/usr/bin/env bash
# One would guess: libx264's assembly is bit-exact to its C code (x264 checks it against C in checkasm), so that an encode
# has the same bytes on every CPU, only sooner.
# What happens (PyAV 18.1.0, x264 core 165): with `asm=SSE2` or `asm=0` other bytes come out than with SSSE3 and above, at
# the presets veryfast, medium and slow alike, not at ultrafast; each is repeatable. x264 looks at the CPU itself:
# FFmpeg's CPU flags do not reach it; `x264-params asm=NAMES` (comma-separated) does, and a name that it does not know is a
# warning in a log that PyAV keeps to itself. Source: x264's common/cpu.c (names) and common/base.c (asm).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q av==18.1.0 numpy==2.4.6
cat >"$work/run.py" <<'P'
import hashlib, io
import av, numpy as np
rng = np.random.default_rng(0); yy, xx = np.mgrid[:240, :320]; noise = rng.integers(0, 256, (60, 80, 80), dtype="u1")
def encode(preset, asm):
    params, packets = "mbtree=0" + (f":asm={asm}" if asm else ""), []
    with av.open(io.BytesIO(), "w", format="mp4") as out:
        s = out.add_stream("libx264", rate=25, options={"preset": preset, "crf": "23", "threads": "1", "x264-params": params})
        s.width, s.height, s.pix_fmt = 320, 240, "yuv420p"
        for i in range(60):
            p = np.zeros((360, 320), "u1"); p[:240] = (xx * 2 + yy + i * 3) % 200 + 20
            p[50:130, 50 + i:130 + i] = noise[i]; p[240:] = 128 + (np.arange(320) + i) % 30
            packets += [bytes(q) for q in s.encode(av.VideoFrame.from_ndarray(p, format="yuv420p"))]
        packets += [bytes(q) for q in s.encode()]
    data = b"".join(packets)
    return hashlib.sha256(data).hexdigest()[:8], len(data)
print("PyAV", av.__version__)
for preset in ("ultrafast", "veryfast", "medium"):
    got = {asm or "auto": encode(preset, asm) for asm in ("", "SSE2", "MMX2,SSE2Fast,SSSE3,SSE4.2,AVX")}
    print(preset, got)
    assert encode(preset, "SSE2") == got["SSE2"], "not repeatable"
    if preset != "ultrafast":
        assert got["SSE2"] != got["auto"], "bytes no longer depend on asm"
P
"$work/venv/bin/python" "$work/run.py"
