"""What `duplicates.py` is compared with, where it is installed: vPDQ's rule over pdqhash, chromaprint, faiss."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable

import numpy as np

from winnow.media import decode

#: vPDQ's defaults: bits that may differ, and the quality that a picture needs.
BITS, QUALITY = 31, 50
#: Clips that a flat index of faiss is asked for, of all: its time is in proportion.
ASKED = 100


def there() -> dict[str, Callable[[list[bytes], list[bytes]], np.ndarray]]:
    """The references that can be imported, by name."""
    found: dict[str, Callable[[list[bytes], list[bytes]], np.ndarray]] = {}
    if importlib.util.find_spec("pdqhash") is not None:
        found["pdqhash"] = _vpdq
    if importlib.util.find_spec("acoustid") is not None and _chromaprint_works():
        found["chromaprint"] = _chromaprint
    return found


def _pdq(data: bytes) -> np.ndarray:
    """Hashes of a clip's pictures, one a second, of enough quality: uint8, (n, 32)."""
    import pdqhash

    out, last = [], -1.0
    with decode.opened(data) as clip:
        for frame in clip.frames(clip.require_video()):
            at = clip.time_s(frame)
            if int(at) > int(last) or last < 0:
                bits, quality = pdqhash.compute(np.ascontiguousarray(frame.to_ndarray(format="rgb24")))
                out += [np.packbits(bits.astype(np.uint8))] if quality >= QUALITY else []
                last = at
    return np.array(out, np.uint8).reshape(-1, 32)


def _vpdq(originals: list[bytes], asked: list[bytes]) -> np.ndarray:
    first, second = [_pdq(data) for data in originals], [_pdq(data) for data in asked]
    out = np.zeros((len(second), len(first)))
    for row, one in enumerate(second):
        for column, other in enumerate(first):
            if len(one) and len(other):
                near = np.bitwise_count(one[:, None] ^ other[None]).sum(axis=2) <= BITS
                out[row, column] = max(near.any(axis=1).mean(), near.any(axis=0).mean())
    return out


def _print(data: bytes) -> np.ndarray:
    import acoustid
    import chromaprint

    with decode.opened(data) as clip:
        wave = decode.waveform(list(clip.frames(clip.require_audio())), rate_hz=16_000, mono=True)[0]
    samples = (np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes()
    try:
        numbers, _ = chromaprint.decode_fingerprint(acoustid.fingerprint(16_000, 1, iter([samples])))
    except acoustid.FingerprintGenerationError:
        return np.zeros(0, np.uint32)
    return np.array(numbers, np.int64).astype(np.uint32)


def _chromaprint_works() -> bool:
    try:
        import acoustid
    except ImportError:
        return False
    return bool(acoustid.have_chromaprint)


def _chromaprint(originals: list[bytes], asked: list[bytes]) -> np.ndarray:
    first, second = [_print(data) for data in originals], [_print(data) for data in asked]
    out = np.zeros((len(second), len(first)))
    for row, one in enumerate(second):
        for column, other in enumerate(first):
            out[row, column] = _best_offset(one, other)
    return out


def _best_offset(one: np.ndarray, other: np.ndarray) -> float:
    """The highest share of equal bits over half a second and more, at any offset; 0 for what has no variety."""
    best = 0.0
    if min(len(set(one.tolist())), len(set(other.tolist()))) < 3:
        return best
    for offset in range(-(len(one) - 4), len(other) - 3):
        a, b = one[max(0, -offset) :], other[max(0, offset) :]
        size = min(len(a), len(b))
        best = max(best, 1 - float(np.bitwise_count(a[:size] ^ b[:size]).mean()) / 32)
    return best


def flat(known: int, asked: int) -> dict[str, object]:
    """Seconds of a flat binary index of 256 bits a clip for as many lookups; {} without faiss."""
    if importlib.util.find_spec("faiss") is None:
        return {}
    import faiss

    rng = np.random.default_rng(0)
    index = faiss.IndexBinaryFlat(256)
    index.add(rng.integers(0, 256, (known, 32), np.uint8))
    start = time.process_time()
    index.range_search(rng.integers(0, 256, (ASKED, 32), np.uint8), BITS + 1)
    return {"faiss_flat_cpu_s": round((time.process_time() - start) * asked / ASKED, 2)}
