#!/usr/bin/env bash
# One would guess: decoding a given AAC file, resampling it and shrinking a picture with FFmpeg (PyAV 18.1.0) gives the
# same samples on every x86-64 CPU, since decoders are specified and their assembly is tested against C.
# What happens: AAC's decoder and swresample give other float bytes with SSE2, with AVX2/FMA3 and in C; swscale gives other
# pixels with and without AVX2 (yuv420p to rgb24). No variable governs it; av_force_cpu_flags does, of the very libavutil
# that PyAV has loaded (its extension module resolves the symbol).
# Source: libavutil/cpu.h (av_force_cpu_flags, av_parse_cpu_caps).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q av==18.1.0 numpy==2.4.6
cat >"$work/run.py" <<'P'
import ctypes, hashlib, io, sys
import av, numpy as np
from av.video.reformatter import VideoReformatter
lib = ctypes.CDLL(sys.modules["av._core"].__file__)
def hold(names):
    flags = ctypes.c_uint(0)
    assert lib.av_parse_cpu_caps(ctypes.byref(flags), names.encode()) >= 0
    lib.av_force_cpu_flags(flags.value)
SSE2 = "mmx+mmxext+sse+sse2+cmov"
AVX2 = SSE2 + "+sse3+ssse3+sse4.1+sse4.2+avx+fma3+avx2+bmi1+bmi2+slowgather"
rng = np.random.default_rng(0)
wave = (0.2 * rng.normal(size=(2, 44100))).astype("f4")
picture = rng.integers(0, 256, (360, 320), dtype="u1")
def aac():
    made = io.BytesIO()
    with av.open(made, "w", format="adts") as out:
        stream = out.add_stream("aac", rate=44100, layout="stereo")
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="stereo"); frame.rate = 44100
        for f in (frame, None): out.mux(stream.encode(f))
    return made.getvalue()
def everything(file):
    with av.open(io.BytesIO(file)) as c:
        frames = list(c.decode(audio=0))
    heard = np.concatenate([f.to_ndarray() for f in frames], 1)
    whole = av.AudioFrame.from_ndarray(wave, format="fltp", layout="stereo"); whole.rate = 44100
    r = av.AudioResampler("fltp", "mono", 16000)
    low = np.concatenate([o.to_ndarray() for f in (whole, None) for o in r.resample(f)], 1)
    rgb = VideoReformatter().reformat(av.VideoFrame.from_ndarray(picture, format="yuv420p"), 320, 240, "rgb24").to_ndarray()
    return {"aac decoded": heard, "resampled": low, "rgb": rgb}
hold(AVX2); file = aac()
found = {}
for name, names in (("C", "0"), ("SSE2", SSE2), ("AVX2", AVX2)):
    hold(names); found[name] = everything(file)
print("PyAV", av.__version__, "libavutil", av.library_versions["libavutil"])
for what in found["C"]:
    print(f"{what:12}", {n: hashlib.sha256(v[what].tobytes()).hexdigest()[:8] for n, v in found.items()})
for what in ("aac decoded", "resampled"):
    assert found["SSE2"][what].tobytes() != found["AVX2"][what].tobytes(), f"{what} no longer depends on the CPU's flags"
assert found["C"]["rgb"].tobytes() != found["AVX2"]["rgb"].tobytes(), "rgb no longer depends on the CPU's flags"
P
"$work/venv/bin/python" "$work/run.py"
