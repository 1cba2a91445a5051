"""How published lists name a clip of a YouTube video: the one parser of such names.

`<id>`, `<id>_<start>` (VGGSound pads it to six digits) or `<id>_<start>_<end>` (LLP, Kinetics), times in s on the
video's clock; as a file (`….mp4`), and with `v_` before it (ActivityNet). Ids hold '_' and '-' themselves, so the first
11 characters are the id. A clip lasts CLIP_S.
"""

from __future__ import annotations

import re

from winnow.core.sample import clip_id, sid
from winnow.sources.urls import canonical, check, shown

#: Length of a clip, s.
CLIP_S = 10
MAX_TIME_S = 1e7
YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}\Z")
SHORT_ID = re.compile(r"[A-Za-z0-9_-]{1,11}\Z")
_TIME = r"\d{1,7}(?:\.\d{1,9})?"
_NAME = re.compile(rf"(?P<id>[A-Za-z0-9_-]{{11}})(?:_(?P<start>{_TIME})(?:_(?P<end>{_TIME}))?)?\Z")
_SHORT_NAME = re.compile(rf"(?P<id>[A-Za-z0-9_-]{{1,11}})_(?P<start>{_TIME})_(?P<end>{_TIME})\Z")
_MEDIA = re.compile(r"\.(?:mp4|mkv|webm|avi|mov|m4v|wav|flac|mp3|m4a|ogg|opus)\Z", re.IGNORECASE)


def parse(name: str, *, short_ids: bool = False) -> tuple[str, float | None, float | None]:
    """(YouTube id, start, end) of a clip's name, s; times are None where the name has none, and the end is CLIP_S after
    the start where only that is given. ValueError for what is no such name.

    `short_ids`: an id may be shorter (`video_id` says whose are); such a name gives both times."""
    stem = _MEDIA.sub("", name.strip())
    found = _NAME.match(stem) or (_NAME.match(stem[2:]) if stem.startswith("v_") else None)
    if short_ids:
        found = _SHORT_NAME.match(stem)
    if not found:
        raise ValueError(f"{shown(name)} names no clip: <YouTube id>, <id>_<start> or <id>_<start>_<end> does")
    start_s = None if found["start"] is None else round(float(found["start"]), 3)
    end_s = None if found["end"] is None else round(float(found["end"]), 3)
    if start_s is not None and end_s is None:
        end_s = start_s + CLIP_S
    if end_s is not None and start_s is not None and end_s <= start_s:
        raise ValueError(f"{shown(name)}: ends at {end_s:g} s, which is not after its start")
    return found["id"], start_s, end_s


def name_of(video: str, start_s: float | None) -> str:
    """A clip's name as VGGSound writes it, `<id>_<start:06d>`; only the id where the start is not known."""
    if start_s is None:
        return video
    return f"{video}_{int(start_s):06d}" if float(start_s).is_integer() else f"{video}_{start_s:010.3f}"


def video_id(video: str, *, short_ids: bool = False) -> str:
    """Winnow's id of the video that a YouTube id or an address names; SampleFailed for neither.

    `short_ids`: an id may be shorter. In LLP's lists some have lost the hyphens at their ends: nobody can fetch them,
    but they still tell clips apart."""
    if YOUTUBE_ID.match(video) or (short_ids and SHORT_ID.match(video)):
        return sid("video", f"youtube:{video}")
    return sid("video", canonical(check(video)))


def sample_id(video: str, start_s: float | None, end_s: float | None, *, short_ids: bool = False) -> str:
    """Id of a clip. Where a list does not say which seconds of the video it means (AVE), the id is of the video's one
    clip in that list: the same with empty times."""
    of_video = video_id(video, short_ids=short_ids)
    if start_s is None or end_s is None:
        return sid("clip", of_video, "", "")
    return clip_id(of_video, start_s, end_s)
