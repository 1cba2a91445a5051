"""A list's settings: `<list>.toml` beside it, for what its columns and rows do not say themselves.

    format = "csv"          # or tsv, json, jsonl, parquet, or a dataset's: audioset, vggsound, llp …
    delimiter = ";"         # of delimited text
    header = false          # the first line is a row; its columns are called "column 1", "column 2" …
    unit = "ms"             # of times whose column does not say it: s, ms, us, min
    clip_s = 10             # length of a clip of which only the start is given, s
    extra = ["moment"]      # columns that are kept as they are, whatever they look like
    address_times = false   # t, start and end in an address (…&t=30s, #t=10,20) are no start and end
    ignore = true           # the whole list is set aside

    [columns]               # what → column
    video = "src"           # address, YouTube id, <id>_<start>, or a file beside the list
    start = "t0"            # end, length, span; id, title, description, uploader, license, labels, duration

An unknown key is an error: a setting with a slip of the pen must not be one that nobody reads.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from winnow.sources.columns import UNITS
from winnow.sources.row import ListRefused

SUFFIX = ".toml"
MAX_BYTES = 1 << 16
ROLES = (
    "video",
    "start",
    "end",
    "length",
    "span",
    "id",
    "title",
    "description",
    "uploader",
    "license",
    "labels",
    "duration",
)
_KEYS = ("format", "delimiter", "header", "unit", "clip_s", "address_times", "extra", "ignore", "columns")


@dataclass(frozen=True)
class ListSettings:
    """What a person says of a list; None and empty where nothing is said. `unit` is seconds in one, `columns` maps a
    role of ROLES to a column."""

    format: str | None = None
    delimiter: str | None = None
    header: bool | None = None
    unit: float | None = None
    clip_s: float | None = None
    extra: tuple[str, ...] = ()
    address_times: bool = True
    ignore: bool = False
    columns: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> ListSettings:
    """The settings in a file. ListRefused says what is wrong with them."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        given = tomllib.loads(path.read_text(encoding="utf-8"))
        return _settings(given)
    except (ValueError, RecursionError) as error:
        raise ListRefused(f"its settings, {path.name}, are wrong: {str(error)[:200]}") from None


def _settings(given: dict[str, object]) -> ListSettings:
    if unknown := sorted(set(given) - set(_KEYS)):
        raise ValueError(f"unknown {', '.join(unknown)}; known are {', '.join(_KEYS)}")
    columns = given.get("columns", {})
    if not isinstance(columns, dict):
        raise ValueError('columns is a table of what = "column"')
    if unknown := sorted(set(columns) - set(ROLES)):
        raise ValueError(f"unknown columns.{', columns.'.join(unknown)}; known are {', '.join(ROLES)}")
    extra = given.get("extra", [])
    if not isinstance(extra, list):
        raise ValueError("extra is a list of columns")
    unit = given.get("unit")
    if unit is not None and unit not in UNITS:
        raise ValueError(f"unit is {unit!r}; known are s, ms, us, min")
    delimiter = given.get("delimiter")
    if delimiter is not None and not (isinstance(delimiter, str) and len(delimiter) == 1 and delimiter not in '"\r\n'):
        raise ValueError("delimiter is one character")
    clip_s = given.get("clip_s")
    if clip_s is not None and (
        isinstance(clip_s, bool) or not isinstance(clip_s, (int, float)) or not 0 < clip_s <= 1e6
    ):
        raise ValueError("clip_s is a number of seconds above 0")
    for key in ("header", "address_times", "ignore"):
        if not isinstance(given.get(key, False), bool):
            raise ValueError(f"{key} is true or false")
    form = given.get("format")
    if form is not None and not isinstance(form, str):
        raise ValueError("format is a text")
    header = given.get("header")
    return ListSettings(
        format=form,
        delimiter=delimiter,
        header=header if isinstance(header, bool) else None,
        clip_s=None if clip_s is None else float(clip_s),  # type: ignore[arg-type]
        unit=None if unit is None else UNITS[str(unit)],
        extra=tuple(_column(name) for name in extra),
        address_times=bool(given.get("address_times", True)),
        ignore=bool(given.get("ignore", False)),
        columns={str(role): _column(name) for role, name in columns.items()},
    )


def _column(name: object) -> str:
    """A column's name; a number is that of a column under no header."""
    if isinstance(name, int) and not isinstance(name, bool):
        return f"column {name}"
    if not isinstance(name, str):
        raise ValueError(f"{name!r} names no column")
    return name
