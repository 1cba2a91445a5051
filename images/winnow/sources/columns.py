"""Which columns of a list mean what: header names are compared without case, spaces, hyphens or a leading '#'.

The names are those of the published lists (AudioSet, VGGSound, Panda-70M, YFCC) and of common crawler exports. Where
two columns claim one field, the name that stands first here wins and the other stays in `extra`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

ALIASES: Mapping[str, tuple[str, ...]] = {
    "url": ("url", "link", "video_url", "media_url"),
    "source_id": ("id", "source_id", "video_id", "videoid", "ytid", "youtube_id", "yt_id"),
    "start_s": ("start_s", "start", "start_seconds", "start_time", "start_sec"),
    "end_s": ("end_s", "end", "end_seconds", "end_time", "end_sec"),
    "title": ("title",),
    "description": ("description", "desc"),
    "uploader": ("uploader", "channel", "uploader_id", "channel_id"),
    "license": ("license", "licence"),
    "labels": ("labels", "label", "class", "classes", "positive_labels"),
    "duration_s": ("duration_s", "duration", "duration_seconds"),
}
#: Id columns whose very name says that the id is YouTube's: such a list needs no url.
YOUTUBE_IDS = frozenset({"ytid", "youtube_id", "yt_id"})
#: Columns that a library adds by itself and nobody wrote.
NOISE = frozenset({"__index_level_0__", ""})
_FIELDS = {alias: (field, rank) for field, names in ALIASES.items() for rank, alias in enumerate(names)}


def plain(name: str) -> str:
    """A header name as it is compared: 'Start Seconds' and '# start-seconds' are 'start_seconds'."""
    return re.sub(r"[\s\-]+", "_", name.strip().lstrip("#\ufeff").strip().lower())


class Header:
    """How one header maps to fields: `fields` field → column, `extra` columns kept as they are, `youtube` the column
    that holds YouTube ids, if any."""

    def __init__(self, names: Iterable[str]) -> None:
        ranks: dict[str, tuple[int, str]] = {}
        self.youtube: str | None = None
        names = list(names)
        for name in names:
            known = _FIELDS.get(plain(name))
            if known and (known[0] not in ranks or known[1] < ranks[known[0]][0]):
                ranks[known[0]] = (known[1], name)
            if plain(name) in YOUTUBE_IDS and self.youtube is None:
                self.youtube = name
        self.fields = {field: name for field, (_, name) in ranks.items()}
        used = set(self.fields.values())
        self.extra = [name for name in names if name not in used and plain(name) not in NOISE]

    @property
    def has_address(self) -> bool:
        """Whether rows under this header can name a video at all."""
        return "url" in self.fields or self.youtube is not None


def header_of(line: str) -> Header:
    """A list's first line, separated by tabs or commas, as if it were a header."""
    return Header(cell.strip('" ') for cell in line.split("\t" if "\t" in line else ","))


def no_address(names: Iterable[str]) -> str:
    """The problem of a list without an address column."""
    found = ", ".join(repr(n[:40]) for n in list(names)[:8]) or "none"
    return (
        f"no column names a video (found {found}): give the list a header with one of "
        f"{', '.join(ALIASES['url'])}, or {', '.join(sorted(YOUTUBE_IDS))}"
    )
