"""Clips: one clip with what was measured of it, what was decided and why; and the way to find one."""

from __future__ import annotations

import re
from itertools import groupby
from operator import itemgetter
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from winnow.explorer.house import ClipAsked, House, SampleId
from winnow.explorer.published import Published

#: What a column's name says of its unit, which stands beside the value.
_SUFFIX = re.compile("_(s|hz|lufs|dbfs|bytes)$")
Short = Annotated[str | None, Query(max_length=100)]
#: Clips on one page of the list.
PAGE = 24
#: Measures by heading: column of fct_clips, unit.
MEASURES = {
    "Correspondence": (("z", "deviations above chance"), ("z_error", "standard error"),
                       ("effective_z", "what the rule compares"), ("threshold", "the rule's"), ("score", ""),
                       ("semantic", ""), ("sync", ""), ("model", ""), ("fold", "")),
    "Sound": (("has_audio", ""), ("audio_codec", ""), ("rate_hz", "Hz"), ("channels", ""), ("loudness_lufs", "LUFS"),
              ("peak_dbfs", "dBFS"), ("silence_ratio", "share of the time"), ("av_offset_s", "s")),
    "Picture": (("video_codec", ""), ("width", "px"), ("height", "px"), ("fps", "pictures a second"),
                ("stillness", "share of the time"), ("black_ratio", "share of the pictures")),
    "Origin": (("url", ""), ("source_id", ""), ("uploader", ""), ("license", ""), ("labels", ""), ("start_s", "s"),
               ("end_s", "s"), ("duration_s", "s"), ("window_kind", ""), ("cut", ""), ("batch", ""),
               ("media_sha256", ""), ("media_bytes", "bytes")),
}  # fmt: skip
_LIST = """
    select c.sample_id, c.title, c.label, c.status, c.first_failed_rule, c.split, c.duration_s, c.z
    from fct_clips c
    where (? is null or c.status = ?) and (? is null or c.first_failed_rule = ?) and (? is null or c.label = ?)
        and (? is null or c.sample_id > ?)
    order by c.sample_id limit ?
"""
_PICTURES = """
    select scorer, sound, time_s, score from fct_frame_scores
    where sample_id = ? and isfinite(score) order by scorer, sound, picture
"""
_COPIES = """
    select other_id, kind, length_s, share, group_head, pairs.status, first_failed_rule
    from (
        select second_id as other_id, kind, length_s, share, group_head, second_status as status
        from fct_duplicates where first_id = ?
        union all
        select first_id, kind, length_s, share, group_head, first_status from fct_duplicates where second_id = ?
    ) as pairs
    join fct_clips on fct_clips.sample_id = other_id
    order by share desc, other_id limit 50
"""
_RULES = """
    select first_failed_rule as rule, count(*) as clips from fct_clips
    where first_failed_rule is not null group by rule order by clips desc, rule
"""


def routes(house: House) -> APIRouter:
    """`/clips` and `/clips/<sample_id>`."""
    router = APIRouter()

    @router.get("/clips")
    def browse(
        request: Request,
        status: Short = None,
        rule: Short = None,
        label: Short = None,
        after: ClipAsked = None,
        id: Short = None,
    ) -> Response:
        """Clips by status, rule and label, in the order of their ids."""
        published = house.releases.current()
        if id and published.clip(id.strip().lower()):
            return house.go(request, f"/clips/{id.strip().lower()}")
        wanted = {"status": status or None, "rule": rule or None, "label": label or None}
        given = [value for value in (*wanted.values(), after) for _ in range(2)]
        found = published.rows(_LIST, [*given, PAGE + 1])
        return house.page(
            request, "clips.html.j2", release=published.release, clips=found[:PAGE], wanted=wanted, asked=id,
            more=found[PAGE - 1]["sample_id"] if len(found) > PAGE else None, rules=published.rows(_RULES),
            labels=published.categories,
        )  # fmt: skip

    @router.get("/clips/{sample_id}")
    def clip(request: Request, sample_id: SampleId) -> Response:
        """One clip."""
        published = house.releases.current()
        about = house.clip(published, sample_id)
        failed = about["first_failed_rule"]
        house.ratings.refresh()
        house.labels.refresh()
        return house.page(
            request, "clip.html.j2", release=published.release, about=about, measures=_measures(published, about),
            rule=published.rule(failed) if failed else None, siblings=_siblings(published, about),
            over_time=_over_time(published, about), copies=_copies(published, sample_id),
            raters=len(house.ratings.of_clip(sample_id)), annotators=len(house.labels.of_clip(sample_id)),
            to_rate=sample_id in published.to_rate, to_annotate=sample_id in published.to_annotate,
        )  # fmt: skip

    return router


def _measures(published: Published, about: dict[str, Any]) -> dict[str, list[tuple[str, str, str]]]:
    """Name, value and unit of every measure, by heading; among them the threshold of correspondence."""
    rule = published.rule("low_correspondence")
    about = about | ({"threshold": rule["value"]} if rule else {})
    return {
        heading: [(_SUFFIX.sub("", name), _shown(about[name]), unit) for name, unit in columns if name in about]
        for heading, columns in MEASURES.items()
    }


def _over_time(published: Published, about: dict[str, Any]) -> list[dict[str, Any]]:
    """By scorer that keeps them and sound, the scores of the clip's pictures: how many, the lowest, the highest and
    when that picture is shown (s), and `line`, their places in a box of 100 × 30, from the lowest to the highest."""
    found = published.rows(_PICTURES, [about["sample_id"]]) if "fct_frame_scores" in published.tables else []
    out = []
    for (scorer, sound), rows in groupby(found, key=itemgetter("scorer", "sound")):
        seen = [(row["time_s"], row["score"]) for row in rows]
        low, (at_s, high) = min(score for _, score in seen), max(seen, key=itemgetter(1))
        long_s = about["duration_s"] or max(time for time, _ in seen) or 1.0
        line = [(100 * time / long_s, 30 - 30 * (score - low) / (high - low or 1.0)) for time, score in seen]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
        about_it = {"count": len(seen), "low": low, "high": high, "at_s": at_s, "line": path}
        out.append({"scorer": scorer, "is_residual": sound == "residual", **about_it})
    return out


def _shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}".replace("-", "−")
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _copies(published: Published, sample_id: str) -> list[dict[str, Any]]:
    """Clips that share a stretch of picture or sound with this one, what they share most first; of a release that was
    made before anybody looked for them none."""
    return published.rows(_COPIES, [sample_id, sample_id]) if "fct_duplicates" in published.tables else []


def _siblings(published: Published, about: dict[str, Any]) -> list[dict[str, Any]]:
    """Other clips of the same video, in the order of their start."""
    return published.rows(
        "select sample_id, start_s, end_s, status, first_failed_rule from fct_clips "
        "where video_id = ? and sample_id != ? order by start_ms, sample_id limit 50",
        [about["video_id"], about["sample_id"]],
    )
