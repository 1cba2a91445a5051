"""Which columns of a list are times: a start and an end, a start and a length, a span, or what clips' names say; in
which unit; and which column looks like a time that nobody understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from winnow.sources import shapes
from winnow.sources.columns import ALIASES, plain, sounds_like_length, sounds_like_time, time_role, words
from winnow.sources.list_settings import ListSettings
from winnow.sources.profile import Plan, Profile, example
from winnow.sources.row import ListRefused
from winnow.sources.urls import shown, times_in

#: A clip of this many units or longer, in whole units that nobody named, is in milliseconds.
LONG = 1000
DAY_PART_S = 3 * 3600
#: Two columns that differ by no more say the same time, s.
SAME_S = 0.05


def find_times(
    made: Plan,
    profiles: Mapping[str, Profile],
    named: Mapping[str, str],
    settings: ListSettings,
    rows: Sequence[Mapping[str, object]],
    all_names: Sequence[str],
) -> None:
    """Write into a plan which columns say when clips begin and end, by the list's settings, by name, else by content;
    `inferred` says what was taken for what. ListRefused where they cannot be understood."""
    free = [n for n in made.names if n not in settings.extra and n not in {column for column, _ in made.addresses}]
    roles = _roles(free, profiles)
    everywhere = _roles([n for n in all_names if n not in settings.extra], profiles)
    start, end = named.get("start", roles.get("start")), named.get("end", roles.get("end"))
    span, length = named.get("span", roles.get("span")), named.get("length")
    has = {**everywhere, **settings.columns}
    if not any(role in has for role in ("start", "end", "span", "length")):
        start, end = _by_clock(made, free, profiles, rows)
    if span is not None and ("start" in has or "end" in has) and "span" not in named:
        span = None
    if length is None and "start" in has and "end" not in has and "span" not in has and "length" in roles:
        length = roles["length"]
        made.inferred[length] = "length of the clip, since there is a start and no end"
    for role, column in (("start_s", start), ("end_s", end)):
        if column is not None:
            made.fields[role] = column
    made.span, made.length = span or made.span, length
    if start is None and end is None and made.span is None and settings.address_times:
        _in_addresses(made, rows)
    if length is not None and made.fields.get("duration_s") == length:
        del made.fields["duration_s"]
    _scales(made, profiles, settings, rows)
    _clip_names(made, profiles, rows)
    if made.clip_s is None and any(plain(name) == "audiocap_id" for name in all_names):
        made.clip_s = 10.0
        if start is not None:
            made.inferred[start] = "start of ten seconds, as AudioCaps has them"


def _roles(names: Sequence[str], profiles: Mapping[str, Profile]) -> dict[str, str]:
    """Role → column, by names whose content agrees; of two columns that claim one, the plainest name wins. What is
    called just `start` is one whatever stands in it: a row that has no time there is a row that fails."""
    found: dict[str, list[tuple[int, int, str]]] = {}
    for name in names:
        role, unit = time_role(name)
        profile = profiles[name]
        times = sum(profile.times.get(kind, 0) for kind in (shapes.NUMBER, shapes.CLOCK))
        plainest = ALIASES.get(f"{role}_s", ())
        rank = plainest.index(plain(name)) if plain(name) in plainest else 50 if unit in (None, 1.0) else 60
        if (role == "span" and profile.is_time(shapes.PAIR)) or (
            role in ("start", "end", "length") and (rank < 50 or times or not profile.cells)
        ):
            found.setdefault(role, []).append((rank, len(name), name))
    best = {role: min(claims)[-1] for role, claims in found.items()}
    if "end" in best and "start" not in best and "offset" in words(best["end"]):
        best["start"] = best.pop("end")
    return best


def _by_clock(
    made: Plan, free: Sequence[str], profiles: Mapping[str, Profile], rows: Sequence[Mapping[str, object]]
) -> tuple[str | None, str | None]:
    """Two columns of h:mm:ss of unknown names, or of numbers under no header at all, the first always smaller. There,
    shares (AVSpeech's place of the face) may follow."""
    clocks = [name for name in free if profiles[name].is_time(shapes.CLOCK)]
    if not clocks and all(name.startswith("column ") for name in made.names):
        clocks = [name for name in free if profiles[name].is_time(shapes.NUMBER, shapes.CLOCK)]
        shares = [name for name in clocks[2:] if max(profiles[name].numbers(), default=2.0) <= 1.0]
        clocks = [name for name in clocks if name not in shares]
    spans = [name for name in free if profiles[name].is_time(shapes.PAIR)]
    if not clocks and len(spans) == 1 and (spans[0].startswith("column ") or _clock_pairs(profiles[spans[0]])):
        made.span = spans[0]
        made.inferred[spans[0]] = "span, by its content"
    if len(clocks) != 2 or not _ordered(rows, clocks[0], clocks[1]):
        return None, None
    made.inferred |= {clocks[0]: "start, by its content", clocks[1]: "end, by its content"}
    return clocks[0], clocks[1]


def _clock_pairs(profile: Profile) -> bool:
    return all(":" in str(cell) for cell in profile.cells)


def _ordered(rows: Sequence[Mapping[str, object]], first: str, second: str) -> bool:
    pairs = _both(rows, first, second)
    return bool(pairs) and all(a < b for a, b in pairs)


def _both(rows: Sequence[Mapping[str, object]], first: str, second: str) -> list[tuple[float, float]]:
    found = []
    for row in rows:
        a, b = (shapes.seconds(shapes.text_of(row.get(name))) for name in (first, second))
        if a is not None and b is not None:
            found.append((a, b))
    return found


def _in_addresses(made: Plan, rows: Sequence[Mapping[str, object]]) -> None:
    """Where no column has a start or an end, those that addresses have count, and that is said."""
    made.address_times = True
    for column, kinds in made.addresses:
        cells = [shapes.text_of(row.get(column)) for row in rows] if shapes.URL in kinds else []
        if any(times_in(cell) != (None, None) for cell in cells if shapes.is_url(cell)):
            made.inferred[column] = "video, and its t, start and end where an address has them"


def _scales(made: Plan, profiles: Mapping[str, Profile], settings: ListSettings, rows: Sequence) -> None:
    """The unit of each column: its name's, the settings', else seconds, or milliseconds where nothing else can be."""
    columns = [c for c in (made.fields.get("start_s"), made.fields.get("end_s"), made.length, made.span) if c]
    units = {column: time_role(column)[1] for column in columns}
    unnamed = [column for column in columns if units[column] is None]
    guess = 1.0
    if settings.unit is not None:
        guess = settings.unit
    elif unnamed and (given := {unit for unit in units.values() if unit}) and len(given) == 1:
        guess = given.pop()
    elif len(unnamed) == 2 and _in_ms(made, rows, *unnamed):
        guess = 1e-3
        made.inferred |= dict.fromkeys(unnamed, "milliseconds, by its content")
    for column in columns:
        made.scale[column] = units[column] or guess
        if units[column] and units[column] != 1.0 and column not in made.inferred:
            made.inferred[column] = f"in units of {units[column]:g} s, by its name"
    if made.fields.get("duration_s"):
        made.scale[made.fields["duration_s"]] = time_role(made.fields["duration_s"])[1] or 1.0


def _in_ms(made: Plan, rows: Sequence[Mapping[str, object]], start: str, end: str) -> bool:
    pairs = _both(rows, start, end)
    if made.length == end:
        pairs = [(a, a + b) for a, b in pairs]
    if not pairs or any(a != int(a) or b != int(b) for a, b in pairs):
        return False
    lengths = sorted(b - a for a, b in pairs)
    latest = sorted(b for _, b in pairs)
    middle = len(pairs) // 2
    return lengths[middle] >= LONG and (latest[middle] > DAY_PART_S or lengths[0] >= LONG * 2)


def _clip_names(made: Plan, profiles: Mapping[str, Profile], rows: Sequence[Mapping[str, object]]) -> None:
    """The unit of times in clips' names, and whether a start and an end beside them count within the clip."""
    column = next((column for column, kinds in made.addresses if shapes.CLIP in kinds), None)
    if column is None:
        return
    named = [(row, shapes.clip_of(shapes.text_of(row.get(column)))) for row in rows]
    found = [(row, clip) for row, clip in named if clip is not None and clip[1] is not None]
    if not found:
        return
    texts = [shapes.text_of(row.get(column)).rpartition("_")[2] for row, _ in found]
    starts = [float(clip[1] or 0) for _, clip in found]
    long = all((clip[2] or 0) - (clip[1] or 0) >= LONG for _, clip in found)
    whole = any(starts) and not any(s % 1000 for s in starts) and not any(t[0] == "0" and len(t) > 1 for t in texts)
    if long or whole:
        made.clip_scale = 1e-3
        made.inferred[column] = "video and times in milliseconds, by its content"
    elif column not in made.inferred or made.inferred[column].startswith("video"):
        made.inferred[column] = "video and times, by its content"
    start, end = made.fields.get("start_s"), made.fields.get("end_s")
    if start is None or end is None:
        return
    places = []
    for row, clip in found:
        a, b = (shapes.seconds(shapes.text_of(row.get(name))) for name in (start, end))
        if a is not None and b is not None:
            first = float(clip[1] or 0) * made.clip_scale
            last = first + 10 if made.clip_scale != 1.0 and not long else float(clip[2] or 0) * made.clip_scale
            places.append((a * made.scale[start], b * made.scale[end], first, last))
    if all(first - 0.1 <= a and b <= last + 0.1 for a, b, first, last in places):
        return
    if all(b <= last - first + 0.1 for _, b, first, last in places):
        made.within_clip = True
        made.inferred |= {start: "start of an event within the clip", end: "end of an event within the clip"}
        del made.fields["start_s"], made.fields["end_s"]
        return
    raise ListRefused(
        f"the clips' names in {shown(column)} give other times than the columns {shown(start)} and {shown(end)}: say "
        f"in the list's settings which count, with [columns] start and end, or with extra = [{start!r}, {end!r}]"
    )


def unused_times(
    made: Plan, profiles: Mapping[str, Profile], settings: ListSettings, rows: Sequence[Mapping[str, object]]
) -> str | None:
    """The sentence about a column that looks like time and that nothing used; None where there is none."""
    start, end = "start_s" in made.fields, "end_s" in made.fields
    if made.span or made.within_clip:
        return None
    if start and (end or made.length):
        return _another_time(made, profiles, settings, rows)
    known = bool(start or end)
    for name in made.extra:
        profile = profiles[name]
        if name in settings.extra or not profile.cells or plain(name) in ("duration", "video_duration"):
            continue
        clock = profile.is_time(shapes.CLOCK) or (profile.is_time(shapes.PAIR) and _clock_pairs(profile))
        number = profile.is_time(shapes.NUMBER, shapes.CLOCK) and max(profile.numbers(), default=0) <= 1e9
        pair = profile.is_time(shapes.PAIR) and (sounds_like_time(name) or name.startswith("column "))
        role = time_role(name)[0]
        says = sounds_like_time(name) and role != "length" and (not known or role in ("start", "end"))
        says = says or (known and sounds_like_length(name))
        bare = name.startswith("column ") and number and len(made.names) > 1
        frames = {"frame", "frames"} & set(plain(name).split("_")) and time_role(name.lower().replace("frame", ""))[0]
        if role == "length" and not (name.startswith("column ")):
            continue
        if clock or (number and says) or pair or bare or (number and frames):
            else_ = "every clip would go on to its video's end" if known else "every clip would be the whole video"
            return (
                f"the column {shown(name)} looks like a time{example(profile)}, and nothing used it: {else_}. Say what "
                f"it is in the list's settings, [columns] start = {name!r} (or end, length, span), or set it aside "
                f"with extra = [{name!r}]"
            )
    return None


def _another_time(
    made: Plan, profiles: Mapping[str, Profile], settings: ListSettings, rows: Sequence[Mapping[str, object]]
) -> str | None:
    """The sentence about a second start or end that says something else than the one that was taken."""
    for name in made.extra:
        role, unit = time_role(name)
        taken = made.fields.get(f"{role}_s") if role in ("start", "end") else None
        said = role in settings.columns or name in settings.extra
        if taken is None or said or not profiles[name].is_time(shapes.NUMBER, shapes.CLOCK):
            continue
        scale = unit or made.scale[taken]
        apart = [(a, b) for a, b in _both(rows, taken, name) if abs(a * made.scale[taken] - b * scale) > SAME_S]
        if apart:
            return (
                f"the columns {shown(taken)} and {shown(name)} each look like the {role} of a clip and differ "
                f"({apart[0][0]:g} and {apart[0][1]:g}): say in the list's settings which counts, with [columns] "
                f"{role} = {taken!r} or {name!r}"
            )
    return None
