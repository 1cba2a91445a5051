"""What each rule answers of a clip, and what people who watched and heard it say (`annotations.video_labels`).

A rule that cannot know says `unknown`, and why, instead of "no": the tagger has no such class, or has not heard the
clip; the scorer is near chance, or has no score of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from winnow.annotations.video_labels import VideoLabels, audioset_class
from winnow.models.audioset import MUSIC, SPEECH

Clip = Mapping[str, Any]
_SIGNS = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}


@dataclass(frozen=True)
class Rule:
    """A rule that is held against labels.

    name: in thresholds.csv where `limit` is empty; truth: what people say of a video, None where they say nothing;
    says: that in words; measure: column of fct_clips; limit: whose threshold it has; knows: AudioSet's id of the class
    that the tagger must have, `other` for any beside speech and music; is_flag: it says yes of flagged clips only.
    """

    name: str
    says: str
    truth: Callable[[VideoLabels], bool | None]
    measure: str
    limit: str = ""
    knows: str = ""
    is_flag: bool = False

    def unknown(self, clip: Clip) -> str:
        """Why it has no answer for a clip; '' where it has one."""
        if self.knows and clip["tagger"] is None:
            return "no tagger has heard it"
        if self.knows and self.knows != "other" and self.knows not in (clip["knows"] or ()):
            return f"the tagger {clip['tagger']} does not know the class"
        if self.knows == "other" and clip["other"] is None:
            return f"the tagger {clip['tagger']} knows no class beside speech and music"
        if self.measure == "effective_z" and not clip["scorer_decides"]:
            return "its scorer is near chance"
        return "" if clip[self.measure] is not None else f"it has no {self.measure}"


RULES: Sequence[Rule] = (
    Rule(
        "speech_heard",
        "a label of speech is heard, or there is a voice-over",
        lambda v: v.hears(SPEECH),
        "speech",
        knows=SPEECH,
    ),
    Rule(
        "music_heard",
        "a label of music is heard, or there is background music",
        lambda v: v.hears(MUSIC),
        "music",
        knows=MUSIC,
    ),
    Rule("other_heard", "a label beside speech and music is heard", lambda v: v.hears_other, "other", knows="other"),
    Rule("voice_over", "voice_over", lambda v: v.voice_over, "speech", "speech_heard", SPEECH, is_flag=True),
    Rule(
        "background_music",
        "background_music",
        lambda v: v.background_music,
        "music",
        "music_heard",
        MUSIC,
        is_flag=True,
    ),
    Rule("frozen", "static_image", lambda v: v.static_image, "stillness"),
    Rule(
        "low_correspondence",
        "nothing that is heard is seen",
        lambda v: None if v.belongs is None else not v.belongs,
        "effective_z",
    ),
)
TAGS = "class_heard"


@dataclass(frozen=True)
class Cases:
    """Clips (for `class_heard`: clips and classes) that people and a rule both have an answer for, (n,) each: number of
    the video, what people say, what is measured, what the rule says; labels: of each, by which it is told; unknown: why
    the rule has no answer for others, and of how many."""

    video: np.ndarray
    true: np.ndarray
    value: np.ndarray
    said: np.ndarray
    labels: Sequence[Sequence[str]]
    unknown: Mapping[str, int]


def fires(op: str, value: np.ndarray, limit: float) -> np.ndarray:
    """Whether a comparison of thresholds.csv holds of values, each."""
    return _SIGNS[op](value, limit)


def cases(
    rule: Rule, clips: Sequence[Clip], labels: Sequence[VideoLabels], video: np.ndarray, op: str, limit: float
) -> Cases:
    """A rule's cases of clips, whose labels and numbers of videos stand beside them."""
    rows: list[tuple] = []
    unknown: Counter[str] = Counter()
    for clip, said, number in zip(clips, labels, video.tolist(), strict=True):
        true = rule.truth(said)
        if true is None:
            continue
        if why := rule.unknown(clip):
            unknown[why] += 1
            continue
        answers = not rule.is_flag or clip["flag"] == 1
        rows.append((number, true, clip[rule.measure], answers, sorted({one.name for one in said.labels})))
    return _cases(rows, unknown, op, limit)


def tag_cases(clips: Sequence[Clip], labels: Sequence[VideoLabels], video: np.ndarray, op: str, limit: float) -> Cases:
    """Cases of the rule `class_heard`: each clip with each class of AudioSet that people name of any of these videos
    and its tagger knows. Labels that are no class of AudioSet, nor an instrument that is one, are left out."""
    heard = [_heard(said) for said in labels]
    named = sorted(set().union(*heard))
    rows: list[tuple] = []
    unknown: Counter[str] = Counter()
    for clip, own, number in zip(clips, heard, video.tolist(), strict=True):
        if clip["tagger"] is None:
            unknown["no tagger has heard it"] += 1
            continue
        scores = dict(zip(clip["tag_mids"] or (), clip["tag_scores"] or (), strict=True))
        known = set(clip["knows"] or ())
        strange = sum((name, mid) in own for name, mid in named if mid not in known)
        if strange:
            unknown[f"the tagger {clip['tagger']} does not know the class"] += strange
        rows += [(number, (name, mid) in own, scores.get(mid, 0), True, [name]) for name, mid in named if mid in known]
    return _cases(rows, unknown, op, limit)


def _heard(said: VideoLabels) -> set[tuple[str, str]]:
    found = [audioset_class(one.name) for one in said.labels if one.heard]
    return {(one.name, one.mid) for one in found if one is not None}


def _cases(rows: Sequence[tuple], unknown: Counter[str], op: str, limit: float) -> Cases:
    """Cases of rows (number of the video, truth, value, whether the rule may answer yes, labels)."""
    video, true, value, answers, labels = zip(*rows, strict=True) if rows else ((),) * 5
    measured = np.array(value, float)
    return Cases(
        np.array(video, np.int64),
        np.array(true, bool),
        measured,
        fires(op, measured, limit) & np.array(answers, bool),
        labels,
        dict(sorted(unknown.items())),
    )
