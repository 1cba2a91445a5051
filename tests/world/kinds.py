"""Media and lists as people really have them: what is planted beside the videos of the plan, and what is right.

Each kind is one short video with a picture and a sound that belong together, made as badly as its name says
(`kind_media.py`), or one list in a published form. `Kind.expected` is what the published tables must say of it:

    windows      (start, end) of every clip of its address, s, to within a picture; none for a video that gives none
    reason       why it ends, where it ends before it is a clip
    clip         columns of `fct_clips` and their values in each of its clips; {"below": x}, {"above": x} for a range,
                 {"not_first": x} for a list
    candidates   rows of `fct_candidates` with its address
    extra        keys of their `extra`, and their values

It is written to truth_kinds.jsonl, which only the comparison reads (`winnow/demo/kinds.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from tests.world.classes import CLASSES
from tests.world.video import HOST, WATCH, Video, batch_key

PERIOD, INDEX, SECONDS = 3, 1000, 4.0
CAPTIONS = ("Something is struck again and again", "The same thing sounds many times")
#: The class Silence of AudioSet, which a tagger names first where it hears nothing.
SILENCE = "/m/028v0c"
#: A clip whose name or list gives its start alone is ten seconds long, and ends with the video.
LISTED_S = 1.0


@dataclass(frozen=True)
class Kind:
    """A kind: its video, the day whose list names it, the stretch that this list asks for (None: all of it)."""

    name: str
    what: str
    video: Video
    expected: dict[str, object]
    segment: tuple[float, float] | None = None
    list_name: str = "phones.csv"

    @property
    def files(self) -> list[str]:
        """Its files below the world's folder; the first is what its address names."""
        stem, _, ext = str(self.video.file).rpartition(".")
        parts = [f"{stem}{at}.ts" for at in range(2)] if ext == "m3u8" else []
        return [str(self.video.file), *parts]

    def truth(self) -> dict[str, object]:
        """Its row in truth_kinds.jsonl."""
        return {
            "kind": self.name,
            "what": self.what,
            "batch": self.video.key,
            "list_path": self.list_name,
            "url": self.video.url,
            "file": self.video.file,
            "expected": self.expected,
        }


@dataclass(frozen=True)
class _Form:
    what: str
    container: str
    clip: dict[str, object] = field(default_factory=dict)
    windows: tuple[tuple[float, float], ...] = ((0.0, SECONDS),)
    seconds: float = SECONDS
    segment: tuple[float, float] | None = None
    list_name: str = "phones.csv"
    fps: Fraction = Fraction(25)
    more: dict[str, object] = field(default_factory=dict)


#: Between keyframes, so that the clip is encoded.
_INSIDE = (0.6, 3.8)
_ENCODED = {"segment": _INSIDE, "windows": (_INSIDE,)}
_LISTED = {"windows": ((LISTED_S, SECONDS),)}
FORMS: dict[str, _Form] = {
    "clock_restarts": _Form("two TS parts joined, each with a clock of its own", "ts", {"times_repaired": True}),
    "clock_jumps": _Form("a TS whose clock jumps by 94 s in the middle", "ts", {"times_repaired": True}),
    "no_picture_times": _Form("H.264 with B-frames in AVI, which has no times for them", "avi", {"cut": "encode"}),
    "equal_times": _Form("every third picture has the time of the one before", "mkv", {"times_repaired": True}),
    "half_zeros": _Form("an MP4 of which the second half is zeros", "mp4", windows=(), more={"reason": "undecodable"}),
    "late_key_picture": _Form("begins with pictures that nothing can decode", "mkv", windows=((1.0, SECONDS),)),
    "slides": _Form(
        "a picture every three seconds, and sound",
        "mp4",
        windows=((0.0, 10.0), (10.0, 13.0)),
        seconds=13.0,
        fps=Fraction(1, 3),
    ),
    "full_range": _Form(
        "luma from 0 to 255, as phones record", "mp4", {"cut": "encode", "colour_range": "full"}, **_ENCODED
    ),
    "hdr": _Form("PQ and BT.2020", "mp4", {"hdr": True, "colour_transfer": "smpte2084"}),
    "interlaced": _Form("coded as fields", "mp4", {"cut": "encode", "interlaced": True}, **_ENCODED),
    "turned": _Form(
        "a matrix that turns it by a quarter, clockwise", "mp4", {"rotation": 270, "width": 144, "height": 256}
    ),
    "mirrored": _Form("a matrix that mirrors it", "mp4", {"mirrored": True}),
    "wide_pixels": _Form("pixels of 64:45", "mp4", {"sar": 1.422222}),
    "antiphase": _Form(
        "stereo whose right is its left upside down", "mp4", {"channels": 2, "tag_mids": {"not_first": SILENCE}}
    ),
    "surround": _Form("5.1 in FLAC, peak at −6 dB", "mkv", {"channels": 2, "peak_dbfs": {"above": -7, "below": -5}}),
    "commentary_first": _Form(
        "a spoken commentary before the sound of the film",
        "mkv",
        {"sound_tracks": 2, "sound_track": 1, "sound_languages": ["eng", "deu"], "speech": {"below": 0.3}},
    ),
    "commentary_after": _Form(
        "a spoken commentary after the sound of the film",
        "mkv",
        {"sound_tracks": 2, "sound_track": 0, "sound_languages": ["deu", "eng"], "speech": {"below": 0.3}},
    ),
    "cover_first": _Form("a cover, not marked as one, before the film", "mkv", {"width": 256, "height": 144}),
    "hls": _Form("an HLS playlist of two parts", "m3u8"),
    "kinetics": _Form(
        "a list with time_start and time_end",
        "mp4",
        windows=((0.5, 3.5),),
        segment=(0.5, 3.5),
        list_name="kinetics.csv",
    ),
    "json_list": _Form("a JSON list of ids by class", "mp4", list_name="music.json"),
    "clip_names": _Form("a list of <id>_<start>", "mp4", list_name="vggsounder.csv", **_LISTED),
    "captions": _Form(
        "a list with two captions a clip, in two rows",
        "mp4",
        list_name="audiocaps.csv",
        more={"candidates": 1, "extra": {"caption": list(CAPTIONS)}},
        **_LISTED,
    ),
}


def make_kinds(seed: int, batches: int) -> list[Kind]:
    """The kinds of the first three days; a world of fewer days has those of its days."""
    names = list(CLASSES)
    found = []
    for order, (name, form) in enumerate(FORMS.items()):
        batch = order % PERIOD
        if batch >= batches:
            continue
        stem = "k" + hashlib.sha256(f"{seed}/kind/{name}".encode()).hexdigest()[:10]
        file = f"{stem}.{form.container}"
        named = form.list_name == "phones.csv"
        video = Video(
            seed=seed,
            batch=batch,
            index=INDEX + order,
            video=stem,
            url=f"{HOST}{file}" if named else f"{WATCH}{stem}",
            file=f"media/{file}",
            visual_class=names[order % len(names)],
            audio_class=names[order % len(names)],
            planted=None,
            uploader=None,
            of=None,
            duration_s=form.seconds,
            shots_s=(form.seconds,),
            segments=(),
            width=256,
            height=144,
            fps=form.fps,
            container=form.container,
            video_codec="libx264",
            audio_codec="aac",
            rate_hz=48000,
            channels=1 if name == "surround" else 2,
        )
        expected = {"windows": [list(window) for window in form.windows], "clip": form.clip, **form.more}
        found.append(Kind(name, form.what, video, expected, form.segment, form.list_name))
    return found


def lists(kinds: list[Kind], batch: int) -> dict[str, list[Kind]]:
    """The kinds of a day by the list that names them."""
    found: dict[str, list[Kind]] = {}
    for kind in kinds:
        if kind.video.key == batch_key(batch):
            found.setdefault(kind.list_name, []).append(kind)
    return found


def _phones(kinds: list[Kind]) -> str:
    rows = [f"{kind.video.url},{','.join(map(str, kind.segment or ('', '')))},{_label(kind)}\n" for kind in kinds]
    return "".join(["url,start,end,labels\n", *rows])


def _kinetics(kinds: list[Kind]) -> str:
    rows = [f"{_label(k)},{k.video.video},{k.segment[0]:g},{k.segment[1]:g},train\n" for k in kinds if k.segment]
    return "".join(["label,youtube_id,time_start,time_end,split\n", *rows])


def _music(kinds: list[Kind]) -> str:
    return json.dumps({"videos": {_label(kind): [kind.video.video] for kind in kinds}}) + "\n"


def _vggsounder(kinds: list[Kind]) -> str:
    rows = [f"{kind.video.video}_{int(LISTED_S):06d},{_label(kind)},AV\n" for kind in kinds]
    return "".join(["video_id,label,modality\n", *rows])


def _audiocaps(kinds: list[Kind]) -> str:
    rows = [
        f"{number},{kind.video.video},{LISTED_S:g},{text}\n" for kind in kinds for number, text in enumerate(CAPTIONS)
    ]
    return "".join(["audiocap_id,youtube_id,start_time,caption\n", *rows])


def _label(kind: Kind) -> str:
    return CLASSES[kind.video.visual_class].label


#: Lists by name, as their datasets publish them.
LISTS: dict[str, Callable[[list[Kind]], str]] = {
    "phones.csv": _phones,
    "kinetics.csv": _kinetics,
    "music.json": _music,
    "vggsounder.csv": _vggsounder,
    "audiocaps.csv": _audiocaps,
}
