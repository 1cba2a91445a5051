"""What the world holds: every video, its truth and its place in a day's list, decided before a pixel exists.

A plan is drawn batch by batch, each from its own random stream (seed, batch), and looks back but never ahead: a fourth
day leaves the first three as they were. Plants are spread by running totals, so three days hold exactly their share.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np

from tests.world.classes import CLASSES
from tests.world.video import HOST, REFUSED_HOST, Video, batch_key

DEFAULT_VIDEOS = 96
PERIOD = 3

PLANTS: dict[str, int] = {
    "mismatch": 10,
    "voice_over": 4,
    "music": 3,
    "silence": 2,
    "frozen": 2,
    "near_duplicate": 3,
    "same_uploader": 5,
    "no_audio": 1,
    "too_short": 2,
    "truncated": 1,
    "text_as_mp4": 1,
    "gone": 2,
    "refused": 1,
    "redirect": 2,
    "redirect_private": 2,
    "hang": 1,
    "html": 1,
}
"""How many of each a world of DEFAULT_VIDEOS holds; other sizes hold their share."""

SHARED_UPLOADERS = ("riverside-archive", "field-notes-daily", "two-ears-one-lens", "slow-recordings")
WITHOUT_FILE = frozenset({"gone", "refused", "redirect_private", "hang", "html"})
SIZES = ((256, 144), (320, 180), (320, 240), (384, 216), (426, 240), (240, 320), (480, 270), (480, 360))
SIZE_WEIGHTS = np.array([0.2, 0.26, 0.16, 0.14, 0.1, 0.04, 0.06, 0.04])
RATES_FPS = (Fraction(15), Fraction(20), Fraction(24), Fraction(25), Fraction(30), Fraction(30000, 1001))
FPS_WEIGHTS = np.array([0.15, 0.15, 0.2, 0.25, 0.15, 0.1])


def make_plan(
    seed: int,
    videos: int,
    batches: int,
    seconds: tuple[float, float],
    plants: dict[str, int] | None = None,
) -> list[Video]:
    """All videos of `batches` days; `videos` and `plants` count for three days, whatever `batches` is."""
    counts = plants if plants is not None else {name: n * videos / DEFAULT_VIDEOS for name, n in PLANTS.items()}
    plan: list[Video] = []
    for batch in range(batches):
        plan.extend(_plan_batch(seed, batch, videos, seconds, counts, plan))
    return plan


def _share(total: float, batch: int, offset: float) -> int:
    """How many of `total` per period fall on this batch, by the running total."""
    rate = total / PERIOD
    return int(np.floor((batch + 1) * rate + offset + 1e-9) - np.floor(batch * rate + offset + 1e-9))


def _plan_batch(
    seed: int,
    batch: int,
    videos: int,
    seconds: tuple[float, float],
    counts: dict[str, float],
    before: list[Video],
) -> list[Video]:
    rng = np.random.default_rng([seed, batch])
    size = _share(videos, batch, 0.0)
    plants = [
        name
        for order, (name, total) in enumerate(counts.items())
        for _ in range(_share(total, batch, (order * 0.618034) % 1.0))
    ][:size]
    roles: list[str | None] = [None] * (size - len(plants)) + plants
    slots = rng.permutation(size)
    locals_left = min(3, max(1, size // 8)) if batch % PERIOD == 1 else 0
    batch_videos: list[Video] = []
    told = Counter(video.planted for video in before)
    dealt = Counter(_deck(video.planted) for video in before)
    for slot, role in zip(slots, roles, strict=True):
        local = role is None and locals_left > 0
        locals_left -= int(local)
        name = _deal(seed, _deck(role), dealt[_deck(role)])
        batch_videos.append(_draw(seed, batch, int(slot), role, name, told[role], local, seconds))
        told[role] += 1
        dealt[_deck(role)] += 1
    batch_videos.sort(key=lambda video: video.index)
    originals = [v for v in before + batch_videos if v.planted is None and v.file and v.file.startswith("media/")]
    return [_pair(video, originals) if video.planted == "near_duplicate" else video for video in batch_videos]


def _deck(role: str | None) -> int:
    """Classes are dealt from two decks, so that the videos whose sound fits hold every class about equally often."""
    return 0 if role in (None, "same_uploader", "redirect") else 1


def _deal(seed: int, deck: int, nth: int) -> str:
    """The class of the nth video of a deck: one shuffle of all classes after another."""
    names = list(CLASSES)
    order = np.random.default_rng([seed, 1 << 16, deck, nth // len(names)]).permutation(len(names))
    return names[int(order[nth % len(names)])]


def _foreign(seed: int, name: str, nth: int) -> str:
    """Another class for the nth mismatch; nine in a row lie at nine different distances, so no pair is a habit."""
    names = list(CLASSES)
    distance = np.random.default_rng([seed, 1 << 17]).permutation(len(names) - 1) + 1
    return names[(names.index(name) + int(distance[nth % (len(names) - 1)])) % len(names)]


def _pair(video: Video, originals: list[Video]) -> Video:
    """Make `video` a copy of one of `originals` (a plain video if there is none)."""
    rng = video.rng(2)
    if not originals:
        return replace(video, planted=None)
    source = originals[int(rng.integers(len(originals)))]
    cut_s = min(float(rng.uniform(0.4, 2.2)), 0.12 * source.duration_s)
    scale = float(rng.choice((0.7, 0.8, 1.25)))
    return replace(
        video,
        of=source.video,
        visual_class=source.visual_class,
        audio_class=source.audio_class,
        duration_s=round(source.duration_s - cut_s, 3),
        shots_s=source.shots_s,
        segments=(),
        width=round(source.width * scale / 2) * 2,
        height=round(source.height * scale / 2) * 2,
        fps=source.fps,
    )


def _draw(
    seed: int,
    batch: int,
    index: int,
    role: str | None,
    name: str,
    nth: int,
    local: bool,
    seconds: tuple[float, float],
) -> Video:
    """One video's facts, from its own stream; `nth`: how many of its role came before."""
    rng = np.random.default_rng([seed, batch, index, 0])
    video = hashlib.sha256(f"{seed}/{batch}/{index}".encode()).hexdigest()[:11]
    low_s, high_s = seconds
    duration_s = round(float(low_s + (high_s - low_s) * rng.beta(1.0, 5.0)), 2)
    if role == "too_short":
        duration_s = round(float(rng.uniform(1.2, 2.6)), 2)
    heard = _foreign(seed, name, nth) if role == "mismatch" else name
    width, height = SIZES[int(rng.choice(len(SIZES), p=SIZE_WEIGHTS))]
    fps = RATES_FPS[int(rng.choice(len(RATES_FPS), p=FPS_WEIGHTS))]
    container, video_codec, audio_codec = _format(rng, plain=role in ("truncated", "text_as_mp4") or local)
    rates = (16000, 24000, 48000) if audio_codec == "libopus" else (16000, 22050, 32000, 44100, 48000)
    rate_hz = int(rng.choice(rates, p=(0.15, 0.15, 0.7) if len(rates) == 3 else (0.1, 0.1, 0.1, 0.4, 0.3)))
    owner = hashlib.sha256(f"uploader/{seed}/{batch}/{index}".encode()).hexdigest()[:6]
    uploader: str | None = f"user-{owner}"
    if role == "same_uploader":
        uploader = f"{SHARED_UPLOADERS[nth // 3 % len(SHARED_UPLOADERS)]}-{nth // 3 + 1}"
    file: str | None = f"media/{video}.{container}"
    url = f"{HOST}{video}.{container}"
    if local:
        uploader, file = None, f"inbox/{batch_key(batch)}/camera/{video}.{container}"
        url = f"inbox:{batch_key(batch)}/camera/{video}.{container}"
    elif role == "refused":
        url = f"{REFUSED_HOST}{video}.{container}"
    elif role in ("redirect", "hang"):
        url = f"{HOST}{role}/{video}.{container}"
    elif role == "redirect_private":
        url = f"{HOST}{'to-metadata' if nth % 2 else 'to-private'}/{video}.{container}"
    elif role == "html":
        url = f"{HOST}page/{video}"
    return Video(
        seed=seed,
        batch=batch,
        index=index,
        video=video,
        url=url,
        file=None if role in WITHOUT_FILE else file,
        visual_class=name,
        audio_class=heard,
        planted=role,
        uploader=uploader,
        of=None,
        duration_s=duration_s,
        shots_s=_shots(duration_s, rng),
        segments=_segments(duration_s, rng) if not local else (),
        width=width,
        height=height,
        fps=fps,
        container=container,
        video_codec=video_codec,
        audio_codec=audio_codec,
        rate_hz=rate_hz,
        channels=int(rng.choice([1, 2], p=[0.35, 0.65])),
    )


def _format(rng: np.random.Generator, plain: bool) -> tuple[str, str, str]:
    """Container and codecs: mostly MP4, some WebM and MKV; `plain` is always MP4."""
    luck = rng.random()
    if plain or luck < 0.82:
        return "mp4", "libx264", "aac"
    if luck < 0.88:
        return "webm", "libvpx-vp9", "libopus"
    if luck < 0.92:
        return "webm", "libvpx", "libopus"
    return "mkv", "libx264", "aac" if luck < 0.96 else "libopus"


def _shots(duration_s: float, rng: np.random.Generator) -> tuple[float, ...]:
    """Shot lengths: most videos are one shot, some of the longer ones have two or three."""
    luck = rng.random()
    count = 3 if luck > 0.9 and duration_s >= 24 else 2 if luck > 0.72 and duration_s >= 12 else 1
    edges = [round((k + rng.uniform(-0.2, 0.2)) * duration_s / count, 2) for k in range(1, count)]
    return tuple(round(b - a, 2) for a, b in zip([0.0, *edges], [*edges, duration_s], strict=True))


def _segments(duration_s: float, rng: np.random.Generator) -> tuple[tuple[float, float], ...]:
    """Start and end times for about a quarter of the longer videos: one or two pieces of 6 to 10 s."""
    if duration_s < 12 or rng.random() > 0.25:
        return ()
    length_s = min(10.0, round(float(rng.uniform(6, 10)), 1))
    if duration_s >= 2 * length_s + 1 and rng.random() < 0.4:
        return ((0.5, round(0.5 + length_s, 1)), (round(duration_s - length_s - 0.2, 1), round(duration_s - 0.2, 1)))
    start_s = round(float(rng.uniform(0, duration_s - length_s - 0.1)), 1)
    return ((start_s, round(start_s + length_s, 1)),)
