"""How well near-duplicates are found, by transformation, what that costs, and how the index grows.

    .venv/bin/python tests/bench/duplicates.py [--videos 20] [--known 10000,100000,1000000] [--quick] [--json]

recall: clips of the world are copied in every way of `copies.CHANGES` and looked for among the originals. Of each
method the threshold is the lowest at which 99.9 % of the pairs that it names are true, over all ways together; recall
is what it finds there of each way. winnow: candidates of the index, verified, ranked by correlation times stretch.
pdqhash (where installed): vPDQ's rule, the share of pictures, one a second, of which another clip has one within 31 of
256 bits (quality 50 and more). chromaprint (where installed, with its C library): the highest share of equal bits at
any offset. The references see the very files that winnow sees.

cost: CPU time of sketches and fingerprint beside all of measuring a clip (probe, visual, audio, tags); at most 10 %.

growth: 10,000 synthetic clips (300 with --quick) against more and more known ones: CPU time of the lookup, bytes of the
index a clip, peak of memory, and how many of the planted copies are candidates. faiss (where installed): the same by a
flat binary index of 256 bits a clip, the reference of the same run.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import numpy as np

from tests.bench import copies, references
from tests.bench.figures import show
from tests.unit.sketched import known, levels, pictures
from tests.world.make import make_world
from winnow.duplicates import index, sketch, verify
from winnow.duplicates.fingerprint import Fingerprint
from winnow.stages import audio, probe, visual

PRECISION = 0.999
SECONDS = 6.0
QUICK = ("re-encoded", "crop", "mirror", "faster", "part", "sound_alone", "picture_alone")


def fingerprint(name: str, data: bytes) -> Fingerprint:
    """The fingerprint of a file, as the stages make it."""
    picture = visual.measure(data)["sketch"].reshape(-1, sketch.HEIGHT, sketch.WIDTH)
    return known(name, picture, audio.measure(data)["sketch"].reshape(-1, sketch.BANDS))


def reels(folder: Path, videos: int) -> list[copies.Reel]:
    """The first seconds of the world's videos."""
    world = make_world(folder / "world", videos=videos, seconds=(SECONDS + 3, SECONDS + 4), plants={}, jobs=1)
    files = [folder / "world" / str(video.file) for video in world.videos if video.file]
    return [copies.read(file, SECONDS + 2.5) for file in files]


def score(pair: verify.Pair | None) -> float:
    """How sure a verified pair is."""
    scores = [s for s in (pair.picture_score, pair.sound_score) if s is not None] if pair else []
    return max(scores) * min(pair.length_s, 10.0) if pair and scores else 0.0


def ours(originals: list[bytes], asked: list[bytes]) -> np.ndarray:
    """Score of every copy against every original: (copies, originals)."""
    first = [fingerprint(f"{n:04}", data) for n, data in enumerate(originals)]
    second = [fingerprint(f"{n:06}", data) for n, data in enumerate(asked)]
    out = np.zeros((len(second), len(first)))
    for clip, _, there in index.candidates([index.Segment.of(first)], second):
        out[clip, there] = score(verify.verify(first[there], second[clip]))
    return out


def recalls(scores: np.ndarray, true: np.ndarray, ways: list[str]) -> dict[str, float]:
    """Recall of each way, and of all, at the lowest threshold whose precision is PRECISION."""
    right, wrong = np.sort(scores[true])[::-1], np.sort(scores[~true])[::-1]
    least = np.inf
    for threshold in np.unique(right[right > 0])[::-1]:
        hits, false = (right >= threshold).sum(), (wrong >= threshold).sum()
        if hits >= PRECISION * (hits + false):
            least = threshold
    found = np.where(true, scores >= least, False)
    rows = np.array(ways)
    each = {way: round(float(found[rows == way].sum() / true[rows == way].sum()), 3) for way in dict.fromkeys(ways)}
    return {**each, "overall": round(float(found.sum() / true.sum()), 4)}


def recall(folder: Path, videos: int, ways: tuple[str, ...], as_json: bool) -> bool:
    """Recall by way, of each method; whether winnow has 0.97 overall, and of every way what the best reference has."""
    films = reels(folder, videos)
    originals = [film.cut(1, SECONDS).encoded() for film in films]
    asked, true, names = [], [], []
    for number, film in enumerate(films):
        for way in ways:
            other = (number + 1) % len(films)
            asked.append(copies.CHANGES[way](film, films[other], SECONDS).encoded())
            row = np.zeros(len(films), bool)
            row[number] = True
            row[other] |= way.endswith("_alone")  # its other side is the other film's
            true.append(row)
            names.append(way)
    methods = {"winnow": ours, **references.there()}
    found = {name: recalls(method(originals, asked), np.array(true), names) for name, method in methods.items()}
    for way in [*ways, "overall"]:
        show({"recall at precision 0.999": way, **{name: row[way] for name, row in found.items()}}, as_json)
    own = found.pop("winnow")
    behind = [way for way in ways if any(row[way] > own[way] for row in found.values())]
    show({"recall": "a reference has more of", "ways": ", ".join(behind) or "none", "limit": 0.97}, as_json)
    return not behind and own["overall"] >= 0.97


def cost(folder: Path, as_json: bool) -> bool:
    """CPU time of fingerprints beside that of measuring."""
    from winnow.media import decode
    from winnow.models import builtin_audio
    from winnow.models.tagger import RATE_HZ, Tagger

    films = reels(folder, 6)
    data = [film.cut(1, SECONDS).encoded() for film in films]
    tagger, spent = Tagger(), {"measuring": 0.0, "fingerprint": 0.0}
    rng = np.random.default_rng(0)
    gray, mel = rng.integers(0, 255, (96, 24, 32), np.uint8), rng.random((300, builtin_audio.MEL_BANDS))
    for _ in range(3):
        for one in data:
            start = time.process_time()
            probe.measure(one), visual.measure(one), audio.measure(one)
            with decode.opened(one) as clip:
                wave = decode.waveform(list(clip.frames(clip.require_audio())), rate_hz=RATE_HZ, mono=True)[0]
            tagger(wave, 0.0)
            between = time.process_time()
            picture = sketch.picture(gray, np.arange(96) / 16, SECONDS)
            known("a", picture, sketch.sound(mel, 0.0, builtin_audio.FRAME_HZ, SECONDS))
            spent["measuring"] += between - start
            spent["fingerprint"] += time.process_time() - between
    share = spent["fingerprint"] / spent["measuring"]
    show({"cost": "fingerprint / measuring a clip", "share": round(share, 4), "limit": 0.1}, as_json)
    return share <= 0.1


def growth(counts: list[int], asked: int, as_json: bool) -> bool:
    """Lookups against more and more known clips. What is known is drawn a segment at a time."""
    base = [known(f"k{n:07}", pictures(n, 10), levels(n, 10)) for n in range(200)]
    template = index.Segment.of(base)
    new = [
        known(
            f"n{n:06}", pictures(n if n < 100 else 10**6 + n % 400, 10), levels(n if n < 100 else 10**6 + n % 400, 10)
        )
        for n in range(asked)
    ]
    segments, size, held = [template], 200, True
    for count in counts:
        rng = np.random.default_rng(count)
        while size < count:
            clips = min(100_000, count - size)
            segments.append(drawn(rng, clips, template, len(segments)))
            size += clips
        start = time.process_time()
        found = index.candidates(segments, new)
        seconds = time.process_time() - start
        planted = sum((n, 0, n) in set(found) for n in range(100))
        held &= planted == 100
        bytes_ = sum(array.nbytes for s in segments for view in (s.word, s.clip, s.time) for array in view) / size
        figure = {"growth": f"{asked} against {size}", "cpu_s": round(seconds, 2), "bytes_a_clip": round(bytes_)}
        figure |= references.flat(size, asked)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        show({**figure, "candidates": len(found), "planted_found": planted, "peak_gb": round(peak, 2)}, as_json)
    return held


def drawn(rng: np.random.Generator, clips: int, like: index.Segment, number: int) -> index.Segment:
    """A segment of clips that nobody made: as many words a clip as real ones have, drawn evenly."""
    word, clip, at = [], [], []
    for view in (index.SOUND, index.PICTURE, index.MIDDLE):
        each = len(like.word[view]) // len(like.ids)
        word.append(np.sort(rng.integers(0, 1 << 24, clips * each, np.uint32)))
        clip.append(rng.permutation(np.repeat(np.arange(clips, dtype=np.uint32), each)))
        at.append(rng.integers(0, 1000, clips * each, np.int32))
    ids = tuple(f"d{number:03}{n:06}" for n in range(clips))
    return index.Segment(like.version, ids, tuple(word), tuple(clip), tuple(at))


def main() -> int:
    """Print the figures; 1 where one is out of its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=20)
    parser.add_argument("--known", default="10000,100000,1000000", help="known clips, ascending")
    parser.add_argument("--quick", action="store_true", help="a few ways, six videos, a small index")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    chosen = parser.parse_args()
    missing = [name for name in ("pdqhash", "acoustid", "faiss") if importlib.util.find_spec(name) is None]
    show({"references not installed": ", ".join(missing) or "none"}, chosen.json)
    counts = [2_000, 20_000] if chosen.quick else [int(one) for one in chosen.known.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        ways = QUICK if chosen.quick else tuple(copies.CHANGES)
        held = recall(Path(folder), 3 if chosen.quick else chosen.videos, ways, chosen.json)
        held &= cost(Path(folder) / "cost", chosen.json)
    held &= growth(counts, 300 if chosen.quick else 10_000, chosen.json)
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
