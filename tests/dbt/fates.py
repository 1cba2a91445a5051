"""One lake of two days in which every fate of a candidate and of a clip is met, with what is told of each: built once,
asked by several files. The groups do not meet: only `OWNED`, `TORN` and `NEW` have uploaders or files in common."""

from __future__ import annotations

from fractions import Fraction

from tests.dbt.lake import Candidate, Clip, rows_of
from winnow.splits.groups import bucket

SHARES = {"train": Fraction(3, 5), "val": Fraction(1, 5), "test": Fraction(1, 5)}
SILENT, FROZEN, BLACK = {"silence_ratio": 1.0}, {"stillness": 1.0}, {"black_ratio": 1.0}
QUIET: dict = {}
SPEECH, MUSIC = {"speech": 0.9}, {"music": 0.9}


def clip_of(video: str) -> str:
    """The id of a candidate's only clip, from which its bytes are made."""
    return rows_of(Candidate(video))["clip"][0]["sample_id"]


#: One candidate for each fate, several reasons at once for the order of the rules; its list's first rows.
TOLD: dict[str, Candidate] = {
    "ingest failed missing_url": Candidate("a", bad_row="missing_url"),
    "screen pending not_screened": Candidate("b", stops_before="screen"),
    "decide dropped declared_too_long": Candidate("c", rejected="declared_too_long"),
    "decide pending not_decided": Candidate("d", stops_before="decide"),
    "fetch pending not_planned": Candidate("e", stops_before="plan"),
    "fetch pending not_fetched": Candidate("i", stops_before="fetch"),
    "fetch failed gone": Candidate("f", fetch_reason="gone"),
    "clip failed undecodable": Candidate("g", clip_reason="undecodable"),
    "clip pending not_clipped": Candidate("h", stops_before="clip"),
    "release kept None": Candidate("k"),
    "release dropped too_short": Candidate("l", clips=(Clip(0, 2.9, 0.0, probe=SILENT),)),
    "release dropped no_audio": Candidate(
        "m",
        clips=(
            Clip(probe={"has_audio": False, **FROZEN}, failed={"audio": "no_audio_stream", "correspond": "no_input"}),
        ),
    ),
    "release dropped silent": Candidate("n", clips=(Clip(0, 10, 0.0, probe={**SILENT, **FROZEN}),)),
    "release dropped frozen": Candidate("o", clips=(Clip(0, 10, 0.0, probe={**FROZEN, **BLACK}),)),
    "release dropped black": Candidate("p", clips=(Clip(0, 10, 0.0, probe=BLACK),)),
    "release dropped unmeasured": Candidate(
        "q", clips=(Clip(failed={"visual": "undecodable", "correspond": "no_input"}),)
    ),
    "release dropped low_correspondence": Candidate("r", clips=(Clip(0, 10, 1.6),)),
    "release dropped quarantined": Candidate("y", clips=(Clip(0, 10, 5.0, probe={"stillness": 1.5, **BLACK}),)),
    "release pending not_measured": Candidate("s", clips=(Clip(absent=("correspond",)),)),
}
#: What the first day's gate set aside.
ASIDE = {"probe": {clip_of("y"): ["stillness_is_a_ratio", "blackness_is_a_ratio"]}}
NAN = Candidate("t", clips=(Clip(0, 10, float("nan")),))
AT_THRESHOLD = Candidate(
    "u", clips=(Clip(0, 3.0, 1.645, probe={"silence_ratio": 0.9, "stillness": 0.95, "black_ratio": 0.9}),)
)
BOUNDS = (NAN, AT_THRESHOLD)
#: The next day: the same seconds of k through another candidate, and the bytes of k's clip under another id.
AGAIN = Candidate("k", times=(0.0, 10.0))
COPY = Candidate("w", clips=(Clip(media=clip_of("k")),))

#: Forty groups of an uploader and a file, and the split that each gets; then a video with the file of one group and the
#: uploader of another's, in another split.
OWNED = [Candidate(f"v{n}", f"u{n}", source=f"f{n}") for n in range(40)]
SPLIT = {c.uploader: list(SHARES)[bucket(c.video_id, list(SHARES.values()))] for c in OWNED}
TORN = Candidate("torn", "u0", source=next(c for c in OWNED if SPLIT[c.uploader] != SPLIT["u0"]).source)
NEW = Candidate("new", "u0")

HEARD = "speech heard, not listed"
#: Clips that the voice-over policy looks at, by title, and how they end: status, rule, flag, why, recycled.
FLAGGED = {
    "plain": (Clip(z=5.0, tags=QUIET), ["kept", None, 0, None, False]),
    "no tags": (Clip(z=5.0), ["kept", None, 0, "no tags", False]),
    "recycled": (Clip(z=0.5, tags=SPEECH, residual_z=4.0), ["kept", None, 1, HEARD, True]),
    "does not match": (Clip(z=5.0, tags=SPEECH, residual_z=1.6), ["dropped", "low_correspondence", 1, HEARD, True]),
    "not separated": (Clip(z=5.0, tags=SPEECH), ["dropped", "covered", 1, HEARD, False]),
    "quiet voice": (Clip(z=5.0, tags={"speech": 0.25}), ["kept", None, 0, None, False]),
    "separated before": (Clip(z=5.0, tags=QUIET, residual_z=0.0), ["kept", None, 0, None, False]),
    "unheard": (
        Clip(z=5.0, tags=QUIET, failed={"tags": "undecodable"}),
        ["dropped", "unmeasured", 0, "no tags", False],
    ),
}


def quality(low: float, p_value: float) -> dict:
    """What a scorer's card says of how good it is."""
    return {
        "quality": {
            "auc": low + 0.1,
            "auc_low": low,
            "auc_high": low + 0.2,
            "p_value": p_value,
            "clips": 90,
            "groups": 30,
            "clips_effective": 30.0,
            "accepted": 0.5,
            "is_trusted": low > 0.5 and p_value <= 0.01,
        },
        "stability": [
            {"kind": "left_out", "number": 0, "clips": 80, "flipped": 4},
            {"kind": "other_folds", "number": 0, "clips": 0, "flipped": 0},
        ],
    }


#: Cards of scorers: of one that tells pairs apart, and of some that do not, of which somebody trusts one.
CARDS = {
    "good": quality(0.7, 0.001),
    "near": quality(0.45, 0.2),
    "lucky": quality(0.6, 0.05),
    "trusted": quality(0.4, 0.5),
}
BECAUSE = "its AUC was measured on dubbed films"
#: Clips by how good their scorer is, by title, and how they end: status, rule.
SCORED = {
    "good, matches": (Clip(z=5.0, model="good"), ["kept", None]),
    "good, does not": (Clip(z=0.5, model="good"), ["dropped", "low_correspondence"]),
    "near, matches": (Clip(z=5.0, model="near"), ["undecided", "scorer_near_chance"]),
    "near, does not": (Clip(z=0.5, model="near"), ["undecided", "scorer_near_chance"]),
    "near, silent": (Clip(z=5.0, model="near", probe=SILENT), ["dropped", "silent"]),
    "near, covered": (Clip(z=5.0, model="near", tags=SPEECH), ["dropped", "covered"]),
    "near, recycled": (Clip(model="near", tags=SPEECH, residual_z=5.0), ["undecided", "scorer_near_chance"]),
    "lucky, matches": (Clip(z=5.0, model="lucky"), ["undecided", "scorer_near_chance"]),
    "trusted, matches": (Clip(z=5.0, model="trusted"), ["kept", None]),
    "trusted, does not": (Clip(z=0.5, model="trusted"), ["dropped", "low_correspondence"]),
}


def scored() -> list[Candidate]:
    """The candidates of `SCORED`."""
    return [Candidate(name, clips=(clip,)) for name, (clip, _) in SCORED.items()]


def flagged() -> list[Candidate]:
    """The candidates of `FLAGGED`."""
    return [Candidate(name, labels=("Dog",), clips=(clip,)) for name, (clip, _) in FLAGGED.items()]
