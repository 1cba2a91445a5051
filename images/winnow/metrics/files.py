"""Files that `winnow metrics` reads: arrays (.npy, never a pickle), audio (.wav, .flac), tables (.csv, .tsv).

Folders hold one file an item, its name without the ending being the item's id; two folders are compared id by id, and
an id that only one of them has is an error, because a score over what happens to be there says nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from winnow.core.errors import ConfigError, ContractError

ARRAYS, AUDIO, TABLES = (".npy",), (".wav", ".flac"), (".csv", ".tsv")
#: Largest array file, bytes: a bound on what a mistaken path can load.
MAX_BYTES = 4 << 30
BACKGROUND = "background"


def array(path: Path) -> np.ndarray:
    """An array of a .npy file; ConfigError for one that is missing, too large, or would need unpickling."""
    _require(path)
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ConfigError(f"{path} is not a plain .npy array: {error}") from error


def sound(path: Path) -> tuple[np.ndarray, int | None]:
    """Samples of a file, mono float64 (channels' mean), and its rate in Hz: None for .npy, which has (samples,) or
    (channels, samples) and no rate."""
    if path.suffix.lower() in ARRAYS:
        wave = array(path)
        if wave.ndim not in (1, 2):
            raise ContractError(f"{path}: sound is (samples,) or (channels, samples), this is {wave.shape}")
        return (wave if wave.ndim == 1 else wave.mean(axis=0)).astype(np.float64), None
    from winnow.media.decode import waveform
    from winnow.media.ffmpeg import av

    _require(path)
    try:
        options = {"protocol_whitelist": "file", "format_whitelist": "wav,flac"}
        with av.open(str(path), options=options) as container:
            stream = next(iter(container.streams.audio), None)
            frames = list(container.decode(stream)) if stream is not None else []
            rate = stream.rate if stream is not None else None
    except (av.error.FFmpegError, ValueError) as error:
        raise ConfigError(f"{path} is no WAV or FLAC file that can be read: {error}") from error
    if not frames:
        raise ContractError(f"{path} has no sound")
    return waveform(frames).mean(axis=0, dtype=np.float64), rate


def by_id(folder: Path, endings: Sequence[str] = (*AUDIO, *ARRAYS)) -> dict[str, Path]:
    """Files of a folder by id, ordered; ConfigError for no folder, no file, or two files of one id."""
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in endings and path.is_file():
            if path.stem in found:
                raise ConfigError(f"{folder} has two files of {path.stem}: {found[path.stem].name} and {path.name}")
            found[path.stem] = path
    if not found:
        raise ConfigError(f"{folder} has no {', '.join(endings)}")
    return found


def pairs(*folders: Path) -> Iterator[tuple[str, list[np.ndarray]]]:
    """The sounds of several folders, id by id; ContractError where ids, rates or lengths differ."""
    listed = [by_id(folder) for folder in folders]
    same_ids({str(folder): set(files) for folder, files in zip(folders, listed, strict=True)})
    for key in listed[0]:
        read = [sound(files[key]) for files in listed]
        rates = {rate for _, rate in read if rate is not None}
        if len(rates) > 1:
            raise ContractError(f"{key}: rates of {sorted(rates)} Hz; resample one of them first")
        if len({len(wave) for wave, _ in read}) > 1:
            lengths = ", ".join(f"{files[key]} {len(w)}" for files, (w, _) in zip(listed, read, strict=True))
            raise ContractError(f"{key}: lengths differ, in samples: {lengths}; cut or pad")
        yield key, [wave for wave, _ in read]


def same_ids(ids: dict[str, set[str]]) -> None:
    """ContractError, naming some, when the places do not have the same ids."""
    (first, wanted), *others = ids.items()
    for place, found in others:
        if found != wanted:
            only, more = sorted(wanted - found)[:3], sorted(found - wanted)[:3]
            raise ContractError(
                f"{first} and {place} do not hold the same items: {len(wanted - found)} only in the first {only}, "
                f"{len(found - wanted)} only in the second {more}"
            )


def rows(path: Path) -> list[dict[str, str]]:
    """Rows of a .csv or .tsv with a header, values stripped; a .csv whose header has tabs is read as .tsv, as LLP's
    files are named."""
    _require(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error}") from error
    lines = text.splitlines()
    tab = path.suffix.lower() == ".tsv" or (bool(lines) and "\t" in lines[0])
    reader = csv.DictReader(lines, delimiter="\t" if tab else ",")
    if not reader.fieldnames:
        raise ConfigError(f"{path} is empty: its first line names the columns")
    return [{(k or "").strip(): (v or "").strip() for k, v in row.items() if isinstance(v, str)} for row in reader]


def names(path: Path) -> list[str]:
    """Class names of a text file, one a line, whose place is the class's index; ConfigError for one twice."""
    _require(path)
    found = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if len(set(found)) != len(found) or not found:
        raise ConfigError(f"{path}: one class a line, each once")
    return found


def segment_classes(path: Path, classes: list[str] | None, background: int) -> tuple[np.ndarray, list[str] | None]:
    """Class indices (samples, segments) of a file, and its ids where it has any.

    .npy: indices, or one-hot labels or scores (samples, segments, classes + background, background last). Table: `id`,
    then one column a segment in order, each a class name or `background`; ordered by id.
    """
    if path.suffix.lower() in ARRAYS:
        from winnow.metrics.ave import from_one_hot

        found = array(path)
        if found.ndim == 3 and found.shape[2] != background + 1:
            raise ContractError(f"{path} has {found.shape[2]} classes with background, not {background + 1}")
        return (from_one_hot(found) if found.ndim == 3 else found), None
    if classes is None:
        raise ConfigError(f"{path} names classes: say in which order they are (--classes FILE, one a line)")
    index = {BACKGROUND: background} | {name: i for i, name in enumerate(classes)}
    listed = rows(path)
    if not listed or "id" not in listed[0]:
        raise ConfigError(f"{path} has no column id; its columns are id and one per segment")
    out, ids = [], []
    for row in sorted(listed, key=lambda r: r["id"]):
        values = [value for name, value in row.items() if name != "id"]
        if unknown := [v for v in values if v not in index]:
            raise ContractError(f"{path}: {row['id']} has {unknown[0]!r}, which is no class and not {BACKGROUND!r}")
        out.append([index[v] for v in values])
        ids.append(row["id"])
    if len(set(ids)) != len(ids) or len({len(values) for values in out}) != 1:
        raise ContractError(f"{path}: each id once, each with the same number of segments")
    return np.array(out), ids


def event_masks(path: Path, videos: list[str] | None, classes: list[str] | None, segments: int) -> np.ndarray:
    """Masks (videos, segments, classes) of a file.

    .npy: the mask itself. Table, as LLP's evaluation lists: `filename`, `onset`, `offset` (s, end exclusive) and
    `event_labels`; a row covers the segments from its onset to its offset, rounded down as the released code does.
    Rows whose offset is not after their onset cover nothing.
    """
    if path.suffix.lower() in ARRAYS:
        return array(path)
    if videos is None or classes is None:
        raise ConfigError(
            f"{path} lists events: say which videos (--videos FILE) and classes (--classes FILE) there are"
        )
    place, kind = {name: i for i, name in enumerate(videos)}, {name: i for i, name in enumerate(classes)}
    out = np.zeros((len(videos), segments, len(classes)), bool)
    for number, row in enumerate(rows(path), start=2):
        try:
            video, label = row["filename"], row["event_labels"]
            onset, offset = int(float(row["onset"])), int(float(row["offset"]))
        except (KeyError, ValueError, OverflowError) as error:
            raise ContractError(
                f"{path} line {number}: filename, onset, offset, event_labels wanted ({error})"
            ) from error
        if label not in kind:
            raise ContractError(f"{path} line {number}: {label!r} is no class of --classes")
        if video in place:
            out[place[video], max(0, onset) : max(0, offset), kind[label]] = True
    return out


def video_names(path: Path) -> list[str]:
    """Videos of a table's column `filename`, in its order; ConfigError for one twice."""
    found = [row.get("filename", "") for row in rows(path)]
    if not all(found) or len(set(found)) != len(found):
        raise ConfigError(f"{path}: a column filename wanted, each video once")
    return found


def _require(path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"{path} is not a file")
    if path.stat().st_size > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES >> 30} GiB")
