"""Grid: the first page: clips of the current release as pictures or as a table, narrowed, sorted, searched, counted."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response

from winnow.core.errors import ConfigError
from winnow.explorer.context import ExplorerContext
from winnow.explorer.facets import FACETS, encoded, is_number, value_of
from winnow.explorer.published import Published
from winnow.explorer.view import SORTS, Misread, View

#: Clips on one page.
PAGE = 24
#: Values of a facet beside the grid, and on its own page.
BESIDE, VALUES = 8, 200
#: Releases up to this size show labels and classes beside the grid.
SMALL_CLIPS = 20_000
_NO_MEASURES = ("start_ms", "end_ms", "fold", "flag", "shot_index", "sound_track")
Short = Annotated[str | None, Query(max_length=100)]


def routes(context: ExplorerContext) -> APIRouter:
    """`/`, `/clips` and `/clips/values`."""
    router = APIRouter()

    @router.get("/")
    def first(request: Request) -> Response:
        """The grid; without a release the batches, where somebody can say how they stand."""
        try:
            published = context.releases.current()
        except ConfigError:
            if context.batches is None:
                raise
            return context.go(request, "/batches")
        return _browse(context, request, published)

    @router.get("/clips")
    def browse(request: Request) -> Response:
        """The grid."""
        return _browse(context, request, context.releases.current())

    @router.get("/clips/values")
    def values(request: Request, facet: Short = None, like: Short = None) -> Response:
        """All values of one facet, with their counts among the clips that the rest of the view has."""
        published = context.releases.current()
        if facet is None or facet not in FACETS or not FACETS[facet].is_there(published.tables):
            raise HTTPException(404, f"There is no filter {facet}.")
        view = asked(published, request, but=("facet", "like"))
        found = context.counts(published).values(view, facet, (like or "").strip(), VALUES + 1)
        return context.page(
            request,
            "values.html.j2",
            release=published.release,
            view=view,
            facet=facet,
            title=FACETS[facet].title,
            found=[_value(view, facet, row["value"], row["clips"]) for row in found[:VALUES]],
            like=like or "",
            more=len(found) > VALUES,
        )

    return router


def asked(published: Published, request: Request, but: tuple[str, ...] = ()) -> View:
    """The view that a request's address names; HTTPException 422 for one that names what there is not."""
    fields = [(name, value) for name, value in request.query_params.multi_items() if name not in but]
    try:
        return View.read(fields, published.columns)
    except Misread as error:
        raise HTTPException(422, f"This address cannot be read: {error}.") from error


def measures(published: Published) -> list[str]:
    """Columns of fct_clips that clips are ranged and sorted by: those of SORTS first."""
    first = [name for name in SORTS if is_number(published.columns.get(name))]
    rest = [name for name, kind in published.columns.items() if is_number(kind) and name not in _NO_MEASURES]
    return [*first, *(name for name in rest if name not in first)]


def _browse(context: ExplorerContext, request: Request, published: Published) -> Response:
    given = dict(request.query_params)
    wanted = given.get("id", given.get("q", "")).strip().lower()
    if len(wanted) == 20 and published.has(wanted):
        return context.go(request, f"/clips/{wanted}")
    view = asked(published, request, but=("id", "measure", "low", "high"))
    if given.get("low", "").strip() or given.get("high", "").strip():
        return _with_range(context, request, published, view, given)
    page = view.rows(published.tables, PAGE + 1)
    found = published.rows(page.sql, page.values)
    counts = context.counts(published)
    everything = counts.all()
    total, by_facet = counts.of(view, everything) if everything else (None, {})
    if everything and everything.total <= SMALL_CLIPS:
        for name in ("label", "heard"):
            by_facet[name] = counts.first(view.having(name, None).plain(), name, BESIDE + 1)
    return context.page(
        request,
        "clips.html.j2",
        release=published.release,
        view=view,
        clips=found[:PAGE],
        total=total,
        all=everything and everything.total,
        facets=_facets(published, view, by_facet),
        measures=measures(published),
        sorts=SORTS,
        following=view.at(found[PAGE - 1]).address() if len(found) > PAGE else None,
        asked=given.get("id"),
        chips=_chips(view),
        plain=view.but().address(),
        query=_query(view, published),
        draws=context.pictures.can_draw,
        shared=view.but().fields(),
    )


def _with_range(
    context: ExplorerContext, request: Request, published: Published, view: View, given: dict[str, str]
) -> Response:
    """On to the view with one more range, which the form names by its measure and two limits."""
    text = ":".join([given.get("measure", ""), given.get("low", "").strip(), given.get("high", "").strip()])
    try:
        added = View.read([("range", text)], published.columns).ranges
    except Misread as error:
        raise HTTPException(422, f"This range cannot be read: {error}.") from error
    rest = tuple(one for one in view.ranges if one[0] != added[0][0])
    return context.go(request, "/clips" + view.but(ranges=(*rest, *added)).address())


def _value(view: View, name: str, value: str | None, clips: int | None) -> dict[str, Any]:
    text = encoded(value)
    is_chosen = dict(view.chosen).get(name) == text
    return {
        "shown": named(name, value),
        "clips": clips,
        "is_chosen": is_chosen,
        "address": view.having(name, None if is_chosen else text).address(),
    }


def _facets(published: Published, view: View, by_facet: dict[str, Any]) -> list[dict[str, Any]]:
    """What stands beside the grid: each facet, its first values with their counts, and whether there are more."""
    out = []
    for name, facet in FACETS.items():
        if not facet.is_there(published.tables):
            continue
        values = dict(by_facet.get(name, {}))
        chosen = dict(view.chosen).get(name)
        first = [value for value in values if encoded(value) == chosen]
        if chosen is not None and not first:
            first, values = [value_of(chosen)], {**values, value_of(chosen): None if name not in by_facet else 0}
        shown = [*first, *(value for value in values if value not in first)][:BESIDE]
        is_counted = name in by_facet
        if len(values) > 1 or chosen is not None or not is_counted:
            listed = [_value(view, name, value, values[value]) for value in shown]
            address = f"?facet={name}&{view.but().address().lstrip('?')}".rstrip("&")
            is_more = not is_counted or len(values) > len(shown)
            out.append({"title": facet.title, "more": is_more, "values": listed, "address": address})
    return out


def named(facet: str, value: str | None) -> str:
    """A facet's value as people read it."""
    if value is None:
        return "none"
    if facet == "rule":
        return value.replace("_", " ")
    if facet == "flag":
        return {"0": "0: use as it is", "1": "1: separate first"}.get(value, value)
    return _classes().get(value, value) if facet == "heard" else value


@lru_cache(maxsize=1)
def _classes() -> dict[str, str]:
    """Names of AudioSet's classes by id."""
    from winnow.models.audioset import classes

    return {one.mid: one.name for one in classes()}


def _chips(view: View) -> list[tuple[str, str]]:
    """What narrows the view, each with the address of the view without it."""
    out = [
        (f"{FACETS[n].title}: {named(n, value_of(text))}", view.having(n, None).address()) for n, text in view.chosen
    ]
    for one in view.ranges:
        column, low, high = one
        limits = [f"≥ {low:g}" if low is not None else "", f"≤ {high:g}" if high is not None else ""]
        text = f"{column.replace('_', ' ')} {' and '.join(filter(None, limits))}".replace("-", "−")
        out.append((text, view.but(ranges=tuple(other for other in view.ranges if other != one)).address()))
    texts: list[tuple[str, Callable[[], View]]] = [
        (f"“{view.q}”" if view.q else "", lambda: view.but(q="")),
        ("near-duplicates of one clip" if view.group else "", lambda: view.but(group="")),
        ("clips of one video" if view.video else "", lambda: view.but(video="")),
    ]
    return out + [(text, without().address()) for text, without in texts if text]


def _query(view: View, published: Published) -> str:
    """The view as a command."""
    return f"winnow sql {shlex.quote(replace(view, after=None).rows(published.tables, PAGE).shown())}"
