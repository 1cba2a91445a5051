"""Clips: one clip: what it looks and sounds like, what was measured of it, what was decided and why, where it comes
from and which releases hold it."""

from __future__ import annotations

import re
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response

from winnow.core.errors import WinnowError
from winnow.explorer.context import ExplorerContext, SampleId
from winnow.explorer.grid import asked
from winnow.explorer.path import limits, steps
from winnow.explorer.published import Published

#: What a column's name says of its unit, which stands beside the value.
_SUFFIX = re.compile("_(s|hz|lufs|dbfs|bytes)$")
#: Measures by heading: column of fct_clips, unit.
MEASURES = {
    "Correspondence": (
        ("z", "deviations above chance"),
        ("z_error", "standard error"),
        ("effective_z", "what the rule compares"),
        ("score", ""),
        ("semantic", ""),
        ("sync", ""),
        ("model", ""),
        ("fold", ""),
    ),
    "Sound": (
        ("has_audio", ""),
        ("audio_codec", ""),
        ("rate_hz", "Hz"),
        ("channels", ""),
        ("loudness_lufs", "LUFS"),
        ("peak_dbfs", "dBFS"),
        ("silence_ratio", "share of the time"),
        ("av_offset_s", "s"),
        ("speech", "score"),
        ("music", "score"),
        ("other", "score"),
        ("flag", ""),
        ("flag_why", ""),
    ),
    "Picture": (
        ("video_codec", ""),
        ("width", "px"),
        ("height", "px"),
        ("fps", "pictures a second"),
        ("stillness", "share of the time"),
        ("black_ratio", "share of the pictures"),
    ),
    "Origin": (
        ("url", ""),
        ("source_id", ""),
        ("uploader", ""),
        ("license", ""),
        ("labels", ""),
        ("caption", ""),
        ("start_s", "s"),
        ("end_s", "s"),
        ("duration_s", "s"),
        ("window_kind", ""),
        ("cut", ""),
        ("batch", ""),
        ("media_sha256", ""),
        ("media_bytes", "bytes"),
    ),
}
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
_LISTED = """
    select source, list_path, list_row, source_id, url, start_s, end_s, title, uploader, license
    from fct_candidates where batch = ? and candidate_id = ?
"""
#: Releases that are asked whether they hold a clip: the latest.
RELEASES = 12


def routes(context: ExplorerContext) -> APIRouter:
    """`/clips/<sample_id>`, and the way from it to its neighbours in the result that it was found in."""
    router = APIRouter()

    @router.get("/clips/{sample_id}")
    def clip(request: Request, sample_id: SampleId) -> Response:
        """One clip."""
        published = context.releases.current()
        about, view = context.clip(published, sample_id), asked(published, request)
        failed = about["first_failed_rule"]
        context.ratings.refresh()
        context.labels.refresh()
        return context.page(
            request,
            "clip.html.j2",
            release=published.release,
            about=about,
            measures=_measures(published, about),
            rule=published.rule(failed) if failed else None,
            siblings=_siblings(published, about),
            view=view,
            over_time=_over_time(published, about),
            copies=_copies(published, sample_id),
            steps=steps(published, about),
            raters=len(context.ratings.of_clip(sample_id)),
            annotators=len(context.labels.of_clip(sample_id)),
            to_rate=sample_id in published.to_rate,
            to_annotate=sample_id in published.to_annotate,
            listed=_listed(published, about),
            held=_held(context, sample_id),
            here_query=view.address(),
            draws=context.pictures.can_draw,
            query=_query(sample_id),
        )

    @router.get("/clips/{sample_id}/{way}")
    def neighbour(request: Request, sample_id: SampleId, way: Literal["next", "previous"]) -> Response:
        """On to the clip after this one, or before it, in the result that the address names; to the grid at its end."""
        published = context.releases.current()
        about, view = context.clip(published, sample_id), asked(published, request)
        at = view.at(about) if view.sort == "id" or about.get(view.sort) is not None else None
        query = at and at.rows(published.tables, 1, back=way == "previous")
        found = published.rows(query.sql, query.values) if query else []
        where = f"/clips/{found[0]['sample_id']}" if found else "/clips"
        return context.go(request, where + view.but().address())

    return router


def _measures(published: Published, about: dict[str, Any]) -> dict[str, list[tuple[str, str, str, str]]]:
    """Name, value, unit and threshold ('' without one) of every measure, by heading."""
    beside = limits(published)
    return {
        heading: [
            (_SUFFIX.sub("", name), _shown(about[name]), unit, beside.get(name, ""))
            for name, unit in columns
            if name in about
        ]
        for heading, columns in MEASURES.items()
    }


def _listed(published: Published, about: dict[str, Any]) -> dict[str, Any] | None:
    """The list's row that led to a clip; None in a release that does not say."""
    if "fct_candidates" not in published.tables:
        return None
    return next(iter(published.rows(_LISTED, [about["batch"], about["candidate_id"]])), None)


def _held(context: ExplorerContext, sample_id: str) -> list[dict[str, Any]]:
    """What each of the latest releases says of a clip, the latest first: its status there, None where it has none."""
    out = []
    for published_at, release in context.latest(RELEASES):
        try:
            found = context.releases.get(release).tuples(
                "select status, first_failed_rule, split from fct_clips where sample_id = ?", [sample_id]
            )
        except WinnowError:  # a damaged one is `winnow verify`'s to name
            continue
        status, rule, split = found[0] if found else (None, None, None)
        out.append({"release": release, "at": published_at, "status": status, "rule": rule, "split": split})
    return out


def _query(sample_id: str) -> str:
    """The clip as a command."""
    return f"winnow sql \"select * from fct_clips where sample_id = '{sample_id}'\""


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
