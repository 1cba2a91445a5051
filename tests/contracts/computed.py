"""Small real computations of everything whose bytes are published, and their digests: what `test_cpu.py` runs in
processes of their own, each in another environment.

    python -m tests.contracts.computed CLIP [--unpinned] [--ffmpeg CAPABILITIES] [--only fit,sound]

The last line is JSON: {"digests": {name: 16 hex characters}, "check": what `winnow.core.cpu.check` says at the end}.
Pins are put in as the command line does it, or, to show what they are for, not at all (`--unpinned`); `--ffmpeg` takes
instructions from FFmpeg after Winnow has held it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import tempfile
from pathlib import Path

from winnow.core import cpu
from winnow.core.errors import ConfigError


def fit() -> bytes:
    """The correspondence scorer, fitted on clips whose sides share a part; and two clips' scores by it."""
    import numpy as np

    from winnow.models import synchrony
    from winnow.models.correspondence_fit import Corpus, FitParams
    from winnow.models.correspondence_fit import fit as body

    rng, n = np.random.default_rng(1), 120
    shared = rng.normal(size=(n, 6))
    picture, sound = ((shared @ rng.normal(size=(6, 40)) + rng.normal(size=(n, 40))).astype("f4") for _ in range(2))
    curves = np.abs(rng.normal(size=(2, n, 80))).astype("f4")
    motion, onset = (np.array([synchrony.prepared(row) for row in side]) for side in curves)
    videos = np.array([f"video{i // 4:03d}" for i in range(n)])
    scorer = body(Corpus(videos, picture, sound, (25, 15), (30, 10), motion, onset), FitParams(folds=3, bank=40))
    scores = [scorer.score(videos[i], picture[i], sound[i], *curves[:, i]) for i in (0, 50)]
    return scorer.dumps() + json.dumps(scores).encode()


def separation() -> bytes:
    """Dialogue out of three seconds of a tone in noise."""
    import numpy as np

    from winnow.models.separators.nmf import Nmf

    rng, t = np.random.default_rng(2), np.arange(48_000) / 16_000
    wave = 0.1 * rng.normal(size=t.size) + 0.4 * np.sin(2 * np.pi * 220 * t) * (t > 1)
    return Nmf().dialogue(wave[None].astype("f4"), np.array([1.0, 2.8])).tobytes()


def selection() -> bytes:
    """Clips that share most information, by both methods."""
    import numpy as np

    from winnow.selection import batch_greedy, exact_greedy, pairing

    clusters = np.random.default_rng(3).integers(0, 12, (400, 6))
    pairs = pairing("bipartite", 3, 3)
    found = [*batch_greedy(clusters, pairs, 60), *exact_greedy(clusters, pairs, 30)]
    return b"".join(array.tobytes() for array in found)


def kmeans() -> bytes:
    """Centres of a layer, and the clusters of its rows."""
    import numpy as np

    from winnow.selection.kmeans.centroids import ID, KMeansParams, fit_layers

    rng = np.random.default_rng(4)
    rows = (rng.normal(size=(12, 40))[rng.integers(0, 12, 3000)] + rng.normal(size=(3000, 40))).astype("f4")
    block = {ID: np.arange(3000, dtype=np.uint64), "x": rows}
    centroids = fit_layers(lambda: iter([block]), KMeansParams(clusters=12, seed=1))
    return centroids.dumps() + centroids.layers["x"].assign(rows).tobytes()


def chance() -> bytes:
    """Probabilities by Platt's method, as a dbt model asks for them."""
    import numpy as np

    from winnow.estimates.platt import platt

    return repr(platt(np.random.default_rng(5).normal(1.0, 2.0, 500))).encode()


def sound(clip: bytes) -> bytes:
    """The stage `audio`: AAC decoded, resampled, described."""
    from winnow.stages.audio import measure

    return repr({name: _plain(value) for name, value in measure(clip).items()}).encode()


def picture(clip: bytes) -> bytes:
    """The stage `visual`: H.264 decoded, shrunk, described."""
    from winnow.stages.visual import measure

    return repr({name: _plain(value) for name, value in measure(clip).items()}).encode()


def speech(clip: bytes) -> bytes:
    """Silero's probabilities."""
    from winnow.media import decode
    from winnow.models.voice_activity import RATE_HZ, VoiceActivity

    with decode.opened(clip) as opened:
        frames = list(opened.frames(opened.require_audio()))
    return VoiceActivity()(decode.waveform(frames, rate_hz=RATE_HZ, mono=True)[0]).tobytes()


def cuts(clip: bytes) -> bytes:
    """What the shot detector sees, OpenCV's hue, saturation and value of each picture, and the shots that it finds."""
    import cv2
    import numpy as np

    from winnow.media import decode
    from winnow.media.shots import HEIGHT, WIDTH, shots
    from winnow.media.video_index import scan

    shrink = decode.Shrinker("bgr24", WIDTH, HEIGHT)
    with decode.opened(clip) as opened, tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        seen = [shrink(frame) for frame in opened.frames(opened.require_video())]
        file.write(clip)
        file.flush()
        found = shots(scan(Path(file.name)), 4.0, 0.2)
    return np.stack([cv2.cvtColor(one, cv2.COLOR_BGR2HSV) for one in seen]).tobytes() + repr(found).encode()


def encoding(clip: bytes) -> bytes:
    """Packets of pictures and sound, encoded anew as the stage `clip` does."""
    from fractions import Fraction

    from winnow.media import decode
    from winnow.media.clip_audio import AAC
    from winnow.media.clip_writer import Encoding
    from winnow.media.ffmpeg import av

    with decode.opened(clip) as opened:
        heard = list(opened.frames(opened.require_audio()))
    with decode.opened(clip) as opened:
        seen = list(opened.frames(opened.require_video()))
    options = Encoding("veryfast", 23).options(Fraction(25))
    packets, level = [], av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    with av.logging.Capture() as said, av.open(io.BytesIO(), "w", format="mp4") as out:
        pictures = out.add_stream("libx264", rate=25, options=options)
        pictures.width, pictures.height, pictures.pix_fmt = seen[0].width, seen[0].height, "yuv420p"
        sounds = out.add_stream("aac", rate=heard[0].rate, layout=heard[0].layout.name, options=dict(AAC))
        for stream, frames in ((pictures, seen), (sounds, heard)):
            for frame in [*frames, None]:
                packets += [bytes(packet) for packet in stream.encode(frame)]
    av.logging.set_level(level)
    assert not [line for line in said if "arsing" in line[-1]], said
    return b"".join(packets)


def _plain(value: object) -> object:
    return value.tolist() if hasattr(value, "tolist") else value


#: By name: of numbers alone, and of a clip.
NUMBERS = {f.__name__: f for f in (fit, separation, selection, kmeans, chance)}
MEDIA = {f.__name__: f for f in (sound, picture, speech, cuts, encoding)}


def main() -> None:
    """Compute, and print digests."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clip", type=Path)
    parser.add_argument("--unpinned", action="store_true")
    parser.add_argument("--ffmpeg")
    parser.add_argument("--only", default=",".join([*NUMBERS, *MEDIA]))
    args = parser.parse_args()
    if not args.unpinned:
        cpu.pin()
    if args.ffmpeg is not None:
        _hold(args.ffmpeg)
    clip, made = args.clip.read_bytes(), {}
    for name in args.only.split(","):
        made[name] = NUMBERS[name]() if name in NUMBERS else MEDIA[name](clip)
    try:
        said = cpu.check() or "right"
    except ConfigError as error:
        said = str(error)
    digests = {name: hashlib.sha256(data).hexdigest()[:16] for name, data in made.items()}
    print(json.dumps({"digests": digests, "check": said}))


def _hold(capabilities: str) -> None:
    """Hold FFmpeg to other instructions than Winnow does, as somebody else's code in the process might."""
    import ctypes

    import winnow.media.ffmpeg  # noqa: F401

    library, flags = ctypes.CDLL(sys.modules["av._core"].__file__), ctypes.c_uint(0)
    assert library.av_parse_cpu_caps(ctypes.byref(flags), capabilities.encode()) >= 0
    library.av_force_cpu_flags(flags.value)


if __name__ == "__main__":
    main()
