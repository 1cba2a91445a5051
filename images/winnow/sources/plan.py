"""What the columns of one list are, by their names and by what stands in them.

A list's first rows are looked at. The video is named by the column whose name says so and whose content agrees, else by
the one whose content does (addresses, YouTube ids, `<id>_<start>[_<end>]`, names of files that lie beside the list).
Times are a start and an end, a start and a length, a span, or a clip's name; in seconds, milliseconds, h:mm:ss or ISO
8601. A column that looks like one of them and that nobody understood refuses the list: a clip taken whole gives every
window a label that it has not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from winnow.sources import shapes, youtube_clips
from winnow.sources.columns import ALIASES, NOISE, YOUTUBE_IDS, plain
from winnow.sources.list_settings import ListSettings
from winnow.sources.profile import LOOSE, Plan, Profile, example
from winnow.sources.row import ListRefused
from winnow.sources.times import find_times, unused_times
from winnow.sources.urls import shown

_FILE_NAMES = (
    "file_name",
    "filename",
    "video_file_name",
    "file",
    "path",
    "filepath",
    "file_path",
    "video_path",
    "relative_path",
    "video",
    "clip",
    "clip_name",
    "clip_id",
    "video_name",
    "video_file",
    "segment_id",
    "name",
    "key",
    "item",
    "src",
    "source",
    "media",
    "mp4",
    "audio_file",
    "original_video_filename",
)
_OTHER_ADDRESS = frozenset(
    [
        "thumbnail",
        "thumb",
        "image",
        "img",
        "picture",
        "avatar",
        "channel",
        "uploader",
        "author",
        "user",
        "profile",
        "license",
        "licence",
        "subtitle",
        "subtitles",
        "page",
        "doc",
        "homepage",
        "website",
        "paper",
        "icon",
        "caption",
    ]
)
_MEDIA_ENDS = (".mp4", ".webm", ".mkv", ".mov", ".avi", ".m4v", ".ts", ".flv", ".mpg", ".mpeg", ".ogv", ".m3u8")


def plan(
    names: Sequence[str],
    profiles: Mapping[str, Profile],
    beside: Mapping[str, str],
    settings: ListSettings,
    rows: Sequence[Mapping[str, object]],
    all_names: Sequence[str] | None = None,
) -> Plan:
    """The plan of rows with these columns. `rows` are the list's first ones, `all_names` the columns of the whole list
    where some rows lack some. ListRefused where no column names a video, or a time was not understood."""
    made = Plan(names)
    made.beside, made.clip_s = beside, settings.clip_s
    named = _named(settings, names, all_names or names)
    for role in ("start_s", "end_s", "url"):
        made.fields.pop(role, None)
    _addresses(made, profiles, named)
    find_times(made, profiles, named, settings, rows, all_names or names)
    for role in ("labels", "id", "title", "description", "uploader", "license", "duration"):
        if role in named:
            made.fields[{"id": "source_id", "duration": "duration_s"}.get(role, role)] = named[role]
    aside = set(settings.extra)
    made.fields = {f: column for f, column in made.fields.items() if column not in aside}
    used = {*made.fields.values(), made.length, made.span, *(column for column, _ in made.addresses)}
    made.extra = [name for name in names if name not in used and plain(name) not in NOISE]
    if not made.addresses:
        raise ListRefused(_no_address(names, profiles))
    if unused := unused_times(made, profiles, settings, rows):
        raise ListRefused(unused)
    return made


def _named(settings: ListSettings, names: Sequence[str], all_names: Sequence[str]) -> dict[str, str]:
    """What the list's settings say of its columns."""
    for role, column in [*settings.columns.items(), *(("extra", column) for column in settings.extra)]:
        if column not in all_names:
            found = ", ".join(shown(name) for name in all_names[:12])
            raise ListRefused(f"its settings name a column {shown(column)} as {role}, which it has not; it has {found}")
    return {role: column for role, column in settings.columns.items() if column in names}


def _addresses(made: Plan, profiles: Mapping[str, Profile], named: Mapping[str, str]) -> None:
    if "video" in named:
        column = named["video"]
        made.addresses = [(column, frozenset(profiles[column].addresses) | _named_kinds(profiles[column], 100))]
        if not made.addresses[0][1]:
            made.addresses = []
        return
    by_name, by_content = [], []
    for name in made.names:
        said = plain(name.rpartition(".")[2]) if "." in name else plain(name)
        rank = _rank(said)
        kinds = profiles[name].kinds() if rank is None or rank >= 200 else _named_kinds(profiles[name], rank)
        if rank is not None and (kinds or not profiles[name].cells):
            by_name.append((rank, name, kinds or frozenset({shapes.URL if rank < 100 else shapes.ID})))
        elif kinds and not _OTHER_ADDRESS & set(said.split("_")) and not profiles[name].is_time(shapes.NUMBER):
            by_content.append((name, kinds))
    by_name.sort(key=lambda found: found[0])
    first = [found for found in by_name if found[0] < 200 and profiles[found[1]].cells]
    files = [found for found in by_name if shapes.FILE in found[2] and found[0] >= 200]
    if files and (not first or plain(files[0][1]).endswith("file_name")):
        by_name = [files[0], *(found for found in first if found[0] < 100)]
    elif first:
        by_name = [found for found in by_name if found[0] < 200]
    made.addresses = [(name, kinds) for _, name, kinds in by_name][: 1 if not first else None]
    if made.addresses and any(profiles[name].cells for name, _ in made.addresses):
        return
    if len(by_content) > 1:
        better = [(n, k) for n, k in by_content if shapes.FILE in k or (shapes.URL in k and _is_media(profiles[n]))]
        better = better or [(n, k) for n, k in by_content if shapes.CLIP in k]
        if len(better) != 1:
            both = " and ".join(shown(name) for name, _ in by_content[:4])
            raise ListRefused(
                f"the columns {both} each look like an address, and nothing says which is the video's: name it in the "
                f"list's settings, [columns] video = {by_content[0][0]!r}"
            )
        by_content = better
    for name, kinds in by_content:
        made.addresses.append((name, kinds))
        made.inferred[name] = f"video, by its content ({', '.join(sorted(kinds))})"


def _rank(said: str) -> int | None:
    if said in ALIASES["url"]:
        return ALIASES["url"].index(said)
    if said in YOUTUBE_IDS:
        return 100
    if said in _FILE_NAMES:
        return 200 + _FILE_NAMES.index(said)
    if said in ALIASES["source_id"]:
        return 300 + ALIASES["source_id"].index(said)
    return None


def _named_kinds(profile: Profile, rank: int) -> frozenset[str]:
    """The kinds of addresses in a column whose name says that it holds them: one that is one is enough, and under the
    name of YouTube's ids one of digits alone is one too."""
    ids = rank >= 100 and any(youtube_clips.YOUTUBE_ID.match(shapes.text_of(cell)) for cell in profile.cells)
    return frozenset(profile.addresses) | (frozenset({shapes.ID}) if ids else frozenset())


def _is_media(profile: Profile) -> bool:
    def media(text: str) -> bool:
        return "youtu" in text or text.partition("?")[0].lower().endswith(_MEDIA_ENDS)

    return sum(media(shapes.text_of(cell)) for cell in profile.cells) >= LOOSE * len(profile.cells)


def _no_address(names: Sequence[str], profiles: Mapping[str, Profile]) -> str:
    found = ", ".join(shown(name) + example(profiles[name]) for name in list(names)[:8]) or "none"
    return (
        f"no column names a video (found {found}). Looked for: addresses, YouTube ids, names like <id>_<start>, and "
        "names of media files that lie beside the list. Give the list a column 'url' or 'youtube_id', put the files "
        "beside it, or name the column in the list's settings"
    )
