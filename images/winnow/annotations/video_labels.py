"""What people say of videos in the form of VGGSounder's list: a row a label, with what they heard and what they saw.

    video_id               a clip's name (<YouTube id>_<start>[_<end>], s), or the id, address or file's name of a video
    label                  what it is of: a class of VGGSound or of AudioSet (name or id), or any other text, or empty
    modality               A (heard), V (seen) or AV (both); may be empty with an empty label
    background_music, static_image, voice_over      True or False of the whole video, the same in all its rows

A CSV with that header; but for `video_id` a column may be missing, and then nothing is known of what it says. Source of
the list: the package vggsounder 1.0 (D. Zverev and others, VGGSounder: Audio-Visual Evaluations for Foundation Models,
2025), whose labels carry what an instrument or a voice is called in AudioSet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from winnow.core.errors import ContractError
from winnow.models.audioset import MUSIC, SPEECH, AudioClass, classes
from winnow.sources.cells import records
from winnow.sources.columns import plain

FLAGS = ("background_music", "static_image", "voice_over")
COLUMNS = ("video_id", "label", "modality", *FLAGS)
MODALITIES: Mapping[str, tuple[bool, bool]] = {"A": (True, False), "V": (False, True), "AV": (True, True)}
_SAID: Mapping[str, bool | None] = {"true": True, "1": True, "false": False, "0": False, "": None}
#: Instruments of VGGSound that AudioSet has no class of, or calls otherwise.
PLAYED = frozenset(
    (
        "playing bassoon",
        "playing bongo",
        "playing bugle",
        "playing castanets",
        "playing congas",
        "playing cornet",
        "playing djembe",
        "playing erhu",
        "playing guiro",
        "playing oboe",
        "playing timbales",
        "playing tympani",
        "playing washboard",
        "tapping guitar",
        "singing choir",
        "beat boxing",
        "disc scratching",
    )
)
#: Of these nobody can say whether they are music, or speech: a voice that sings alone, one that is not understood.
UNSURE_MUSIC = frozenset(
    (
        "female singing",
        "male singing",
        "child singing",
        "singing",
        "rapping",
        "yodelling",
        "people humming",
        "people whistling",
    )
)
UNSURE_SPEECH = frozenset(
    (
        "rapping",
        "people whispering",
        "people babbling",
        "people crowd",
        "police radio chatter",
        "children shouting",
    )
)


@dataclass(frozen=True)
class Label:
    """One label of a video: what it is of, whether it was heard, and whether it was seen."""

    name: str
    heard: bool
    seen: bool


@dataclass(frozen=True)
class VideoLabels:
    """All that is said of one video; None where nothing is."""

    labels: tuple[Label, ...]
    background_music: bool | None
    static_image: bool | None
    voice_over: bool | None

    @property
    def belongs(self) -> bool | None:
        """Whether something that is heard is seen as well; None where no label was heard."""
        heard = [one for one in self.labels if one.heard]
        return any(one.seen for one in heard) if heard else None

    def hears(self, mid: str) -> bool | None:
        """Whether speech (SPEECH) or music (MUSIC) is heard, laid over or not; None where that cannot be said."""
        laid, unsure = (self.voice_over, UNSURE_SPEECH) if mid == SPEECH else (self.background_music, UNSURE_MUSIC)
        names = [one.name.lower() for one in self.labels if one.heard]
        if laid or any(_is_of(name, mid) for name in names):
            return True
        return None if laid is None or any(name in unsure for name in names) else False

    @property
    def hears_other(self) -> bool | None:
        """Whether anything beside speech and music is heard; None where no label was heard."""
        names = [one.name.lower() for one in self.labels if one.heard]
        doubtful = UNSURE_MUSIC | UNSURE_SPEECH
        if any(not _is_of(name, SPEECH) and not _is_of(name, MUSIC) and name not in doubtful for name in names):
            return True
        return False if names and not any(name in doubtful for name in names) else None


def audioset_class(name: str) -> AudioClass | None:
    """AudioSet's class of a label, by its id or its name, an instrument's without 'playing'; None where it has none."""
    known = _known()
    return known.get(name) or known.get(name.lower()) or known.get(name.lower().removeprefix("playing "))


@lru_cache(maxsize=1)
def _known() -> dict[str, AudioClass]:
    return {key: one for one in classes() for key in (one.mid, one.name.lower())}


def _is_of(name: str, mid: str) -> bool:
    found = audioset_class(name)
    if mid == SPEECH:
        return found is not None and found.under_speech
    return name in PLAYED or (found is not None and found.under_music)


def read_video_labels(path: Path) -> dict[str, VideoLabels]:
    """Labels by `video_id`, in the order of the file. ContractError, with the line, for a file of another form, a value
    that is none of those above, or a video of which two rows say different things."""
    header: list[str] | None = None
    labels: dict[str, list[Label]] = {}
    flags: dict[str, tuple[bool | None, ...]] = {}
    for line, cells, problem in records(path):
        if cells is None:
            raise ContractError(f"{path}: {problem}")
        if header is None:
            header = [plain(name) for name in cells]
            if "video_id" not in header or not set(header) & {"label", *FLAGS}:
                raise ContractError(
                    f"{path}: its header has the columns {', '.join(header)[:200]}; video_id is wanted, and any of "
                    f"{', '.join(COLUMNS[1:])}"
                )
            continue
        if len(cells) != len(header):
            raise ContractError(f"{path} line {line}: {len(cells)} cells under {len(header)} columns")
        given = dict(zip(header, cells, strict=True))
        name = given["video_id"]
        said = tuple(_flag(given.get(flag, ""), flag, f"{path} line {line}") for flag in FLAGS)
        if not name or flags.setdefault(name, said) != said:
            what = f"says otherwise of {name} than a row before" if name else "names no video"
            raise ContractError(f"{path} line {line}: {what}")
        own = labels.setdefault(name, [])
        if label := given.get("label", ""):
            modality = given.get("modality", "").upper()
            if modality not in MODALITIES:
                raise ContractError(f"{path} line {line}: modality {modality[:20]!r}: A, V or AV is wanted")
            own.append(Label(label, *MODALITIES[modality]))
    if not labels:
        raise ContractError(f"{path} says nothing of any video")
    return {name: VideoLabels(tuple(own), *flags[name]) for name, own in labels.items()}


def _flag(cell: str, name: str, where: str) -> bool | None:
    if cell.lower() not in _SAID:
        raise ContractError(f"{where}: {name} is {cell[:20]!r}: True or False is wanted")
    return _SAID[cell.lower()]
