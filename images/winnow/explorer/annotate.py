"""Annotating: in which of ten seconds is an event of one category both seen and heard? (AVEL's question.)

The boxes start as Winnow proposes them, or as the person left them. None checked says that the event is nowhere. Shown
are the clip, its category as the lists give it, and the proposal: no score and nobody else's answer.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from winnow.annotations.segment_labels import segment_label
from winnow.annotations.segments import SEGMENTS
from winnow.explorer import safety
from winnow.explorer.context import ClipAnswered, ClipAsked, ExplorerContext, Skipped, skipping
from winnow.explorer.published import Published

LEAST = 1
#: Of more categories than this, a name is typed: a list of a hundred thousand is a page of megabytes.
MOST = 500
Second = Annotated[int, Field(ge=0, lt=SEGMENTS)]


class Label(BaseModel):
    """One answer, as the form sends it: `second` once for every checked box, from 0."""

    model_config = ConfigDict(extra="forbid")
    token: str
    person: str = ""
    sample_id: ClipAnswered
    category: str = Field(min_length=1, max_length=200)
    second: list[Second] = Field(default=[], max_length=SEGMENTS)


def routes(context: ExplorerContext) -> APIRouter:
    """`/annotate`."""
    router = APIRouter()

    @router.get("/annotate")
    def ask(
        request: Request,
        clip: ClipAsked = None,
        done: ClipAsked = None,
        skip: Skipped = [],  # noqa: B006
    ) -> Response:
        """The next clip, or the one that is to be answered again."""
        published, person = context.releases.current(), context.person(request)
        queue = published.to_annotate
        if not person:
            return context.page(request, "person.html.j2", page="annotate")
        context.labels.refresh()
        answered, mine = context.labels.clips(), context.labels.of_person(person)
        if clip is not None and clip not in queue:
            raise HTTPException(404, f"Clip {clip} is not among those to annotate.")
        shown = clip or queue.next(person, [*mine, *skip], answered, LEAST)
        shown = shown or queue.next(person, mine, answered, LEAST)
        last = context.labels.last_of(person)
        return context.page(
            request,
            "annotate.html.j2",
            release=published.release,
            shown=shown,
            done=done,
            skip=skipping(skip, shown),
            last=last["sample_id"] if last and last["sample_id"] in queue else None,
            start=_start(context, published, person, shown) if shown else None,
            categories=published.categories,
            most=MOST,
            draws=context.pictures.can_draw,
            annotated=len(queue.among(list(mine))),
            clips=len(queue),
            complete=queue.complete(answered, LEAST),
        )

    @router.post("/annotate")
    def answer(request: Request, form: Annotated[Label, Form()]) -> Response:
        """Store one answer, then show the next clip."""
        safety.check_form(request, form.token)
        published, person = context.releases.current(), context.answering(request, form.person)
        if form.sample_id not in published.to_annotate:
            raise HTTPException(404, f"Clip {form.sample_id} is not among those to annotate.")
        if form.category not in published.categories:
            raise HTTPException(422, f"{form.category} is not a category of this release.")
        given = {"sample_id": form.sample_id, "family": "avel", "annotator_id": person, "source": "explorer"}
        seconds = [int(second in form.second) for second in range(SEGMENTS)]
        try:
            row = segment_label({**given, "category": form.category, "labels": seconds})
        except ValueError as error:
            raise HTTPException(422, f"This answer cannot be stored: {error}.") from error
        context.labels.refresh()
        before = context.labels.of_person(person).get(form.sample_id)
        taken_back = []
        if before is not None and before["category"] != form.category:
            taken_back = [{**row, "category": before["category"], "labels": [0] * SEGMENTS}]
        context.labels.add(*taken_back, row)
        return context.go(request, f"/annotate?done={form.sample_id}")

    return router


def _start(context: ExplorerContext, published: Published, person: str, sample_id: str) -> dict[str, Any]:
    """What the form begins with: the person's own answer, else Winnow's proposal, else the list's label and no box."""
    listed = context.clip(published, sample_id)["label"]
    own = context.labels.of_person(person).get(sample_id)
    proposal = context.labels.proposals.get(sample_id)
    row = own or proposal
    return {
        "kind": "own" if own else proposal["annotator_id"].split(":")[0] if proposal else "none",
        "listed": listed,
        "category": row["category"] if row else listed,
        "seconds": [bool(value) for value in (row["labels"] if row else None) or [0] * SEGMENTS],
    }
