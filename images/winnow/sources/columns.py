"""Which columns of a list mean what, by their names: compared without case, spaces, hyphens or a leading '#'.

The names are those of the published lists (AudioSet, VGGSound, Panda-70M, YFCC, WebVid, InternVid, Kinetics, EPIC) and
of common crawler exports. Where two columns claim one field, the name that stands first here wins and the other stays
in `extra`. What the content of a column adds to that is `plan`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

ALIASES: Mapping[str, tuple[str, ...]] = {
    "url": (
        "url",
        "link",
        "video_url",
        "media_url",
        "contenturl",
        "content_url",
        "videoloc",
        "video_loc",
        "webpage_url",
        "youtube_url",
        "yt_url",
        "video_link",
        "source_url",
        "download_url",
        "file_url",
        "uri",
    ),
    "source_id": (
        "id",
        "source_id",
        "video_id",
        "videoid",
        "ytid",
        "youtube_id",
        "yt_id",
        "youtubeid",
        "youtube_key",
        "vid",
        "video_uid",
    ),
    "start_s": ("start_s", "start", "start_seconds", "start_time", "start_sec"),
    "end_s": ("end_s", "end", "end_seconds", "end_time", "end_sec"),
    "title": ("title",),
    "description": ("description", "desc"),
    "uploader": ("uploader", "channel", "uploader_id", "channel_id"),
    "license": ("license", "licence"),
    "labels": (
        "labels",
        "label",
        "class",
        "classes",
        "positive_labels",
        "event_label",
        "event_labels",
        "class_label",
        "class_labels",
        "sound_label",
        "label_name",
    ),
    "duration_s": ("duration_s", "duration", "duration_seconds", "duration_sec", "video_duration", "video_length"),
}
#: Id columns whose very name says that the id is YouTube's: such a list needs no url.
YOUTUBE_IDS = frozenset({"ytid", "youtube_id", "yt_id", "youtubeid", "youtube_key"})
#: Columns that say what a clip is of: rows of one clip that differ in them are joined.
CAPTIONS = frozenset(
    "caption captions text sentence sentences narration query description title name summary".split()  # noqa: SIM905
)
#: Columns that a library adds by itself and nobody wrote.
NOISE = frozenset({"__index_level_0__", "", "unnamed:_0"})
_FIELDS = {alias: (field, rank) for field, names in ALIASES.items() for rank, alias in enumerate(names)}
_COMPOUND = re.compile(
    r"(t|clip|video|seg|segment)?(start|begin|onset|end|stop|offset|finish)(time|timestamp|sec|secs|seconds|s|ms|pos)?\Z"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_START = frozenset("start starts begin begins beginning beg onset since from in t0 startpos".split())  # noqa: SIM905
_END = frozenset("end ends stop stops finish finishes offset until till to out t1 endpos".split())  # noqa: SIM905
_LENGTH = frozenset("duration length len dur".split())  # noqa: SIM905
_SPAN = frozenset(
    [
        "span",
        "spans",
        "segment",
        "segments",
        "interval",
        "intervals",
        "timestamp",
        "timestamps",
        "clip",
        "clips",
        "window",
        "windows",
        "range",
        "ranges",
        "times",
        "time",
        "timespan",
        "timestep",
        "moment",
        "moments",
        "period",
        "boundaries",
        "event",
        "events",
        "annotations",
        "shots",
    ]
)
_FILLER = frozenset(
    [
        "time",
        "times",
        "timestamp",
        "timestamps",
        "ts",
        "clip",
        "segment",
        "event",
        "video",
        "audio",
        "input",
        "t",
        "at",
        "position",
        "pos",
        "abs",
        "the",
        "of",
        "yt",
        "youtube",
        "stamp",
        "code",
        "timecode",
        "offset",
        "temporal",
        "annotation",
        "action",
    ]
)
UNITS: Mapping[str, float] = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "usec", "micros", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nanos", "nanosecond", "nanoseconds"), 1e-9),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
}
#: Words of a column that counts something else than time.
NOT_TIME = frozenset("frame frames sample samples date token tokens index idx char byte bytes word page row".split())  # noqa: SIM905
_MARKS = (_START | _END | UNITS.keys() | {"time", "times", "timestamp", "timestamps", "timecode", "moment"}) - {"s"}


def plain(name: str) -> str:
    """A header name as it is compared: 'Start Seconds' and '# start-seconds' are 'start_seconds'."""
    return re.sub(r"[\s\-]+", "_", name.strip().lstrip("#\ufeff").strip().lower())


def words(name: str) -> list[str]:
    """The words of a name in lower case: 'clip.startTime (ms)' is clip, start, time, ms."""
    if (lower := plain(name)) in ("t0", "t1"):
        return [lower]
    found = [word.lower() for word in _WORD.findall(name.replace("_", " "))]
    return [part for word in found for part in _parts(word)]


def _parts(word: str) -> list[str]:
    """'tstart' and 'starttime' are two words each, written as one."""
    compound = _COMPOUND.match(word)
    return [part for part in compound.groups() if part] if compound else [word]


def time_role(name: str) -> tuple[str | None, float | None]:
    """(start, end, length, span or None; seconds in a unit that the name gives) of a column, by its name alone."""
    if (whole := _time_role(name))[0] is None and "." in name:
        return _time_role(name.rpartition(".")[2])
    return whole


def _time_role(name: str) -> tuple[str | None, float | None]:
    found = words(name)
    if "offset" in found and (_START | _END - {"offset"}) & set(found):
        found = [word for word in found if word != "offset"]
    said = [word for word in found if word not in UNITS]
    unit = next((UNITS[word] for word in found if word in UNITS and (said or len(found) == 1)), None)
    if not said or NOT_TIME & set(found):
        return None, unit
    for role, names in (("start", _START), ("end", _END), ("length", _LENGTH)):
        marks = [word for word in said if word in names]
        rest = [word for word in said if word not in names]
        if len(marks) == 1 and all(word in _FILLER for word in rest):
            return (None if role == "length" and "video" in rest else role), unit
    if all(word in _SPAN or word in _FILLER for word in said):
        return "span", unit
    return None, unit


def sounds_like_length(name: str) -> bool:
    """Whether a name speaks of how long something is."""
    found = set(words(name))
    return bool(found & _LENGTH) and "video" not in found


def sounds_like_time(name: str) -> bool:
    """Whether a name speaks of time in a video, whatever else it says."""
    found = set(words(name))
    return bool(found & _MARKS) and not found & (NOT_TIME | {"id", "ids", "name", "score", "rate", "zone", "count"})


class Header:
    """How one header maps to fields: `fields` field → column, `extra` columns kept as they are, `youtube` the column
    that holds YouTube ids, if any. `plan.Plan` is one that knows the content too."""

    def __init__(self, names: Iterable[str]) -> None:
        ranks: dict[str, tuple[int, str]] = {}
        self.youtube: str | None = None
        names = list(names)
        for name in names:
            known = _FIELDS.get(plain(name))
            if known is None and "." in name:  # `annotations.label`
                inner = _FIELDS.get(plain(name.rpartition(".")[2]))
                known = (inner[0], inner[1] + len(_FIELDS)) if inner and inner[0] == "labels" else None
            if known and (known[0] not in ranks or known[1] < ranks[known[0]][0]):
                ranks[known[0]] = (known[1], name)
            if plain(name) in YOUTUBE_IDS and self.youtube is None:
                self.youtube = name
        self.fields = {field: name for field, (_, name) in ranks.items()}
        used = set(self.fields.values())
        self.extra = [name for name in names if name not in used and plain(name) not in NOISE]

    @property
    def captions(self) -> list[str]:
        """Columns among the extra ones in which rows of one clip say different things of it."""
        return [name for name in self.extra if plain(name.rpartition(".")[2]) in CAPTIONS]

    @property
    def has_address(self) -> bool:
        """Whether rows under this header can name a video at all."""
        return "url" in self.fields or self.youtube is not None


def is_known(name: str) -> bool:
    """Whether a cell is a name of a column that lists use."""
    known = plain(name) in _FIELDS or plain(name) in YOUTUBE_IDS or plain(name) in CAPTIONS
    return known or time_role(name)[0] is not None


def header_of(line: str) -> Header:
    """A list's first line, separated by tabs or commas, as if it were a header."""
    return Header(cell.strip('" ') for cell in line.split("\t" if "\t" in line else ","))
