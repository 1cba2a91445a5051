"""Rating: is there sound of something that is seen, and of something that is not? (AudioScope's two questions.)

The page shows nothing that was measured or decided about the clip, and not what others said: an answer must be of what
is heard and seen. Unsure is an answer: it is stored as neither yes nor no, and agrees with nothing.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from winnow.annotations.ratings import rating
from winnow.explorer import safety
from winnow.explorer.context import ClipAnswered, ClipAsked, ExplorerContext, Skipped, skipping

QUESTIONS = (
    ("onscreen", "Do you hear something that you see?", "Sound whose source is in the picture", "123"),
    (
        "offscreen",
        "Do you hear something that you do not see?",
        "Sound whose source is outside the picture: a voice-over, music, a passing car",
        "456",
    ),
)
CHOICES = {True: "yes", False: "no", None: "unsure"}
Answer = Literal["yes", "no", "unsure"]


class Rating(BaseModel):
    """One answer, as the form sends it."""

    model_config = ConfigDict(extra="forbid")
    token: str
    person: str = ""
    sample_id: ClipAnswered
    onscreen: Answer
    offscreen: Answer


def routes(context: ExplorerContext) -> APIRouter:
    """`/rate`."""
    router = APIRouter()

    @router.get("/rate")
    def ask(
        request: Request,
        clip: ClipAsked = None,
        done: ClipAsked = None,
        skip: Skipped = [],  # noqa: B006
    ) -> Response:
        """The next clip, or the one that is to be answered again."""
        published, person = context.releases.current(), context.person(request)
        queue = published.to_rate
        if not person:
            return context.page(request, "person.html.j2", page="rate")
        context.ratings.refresh()
        answered, mine = context.ratings.clips(), context.ratings.of_person(person)
        if clip is not None and clip not in queue:
            raise HTTPException(404, f"Clip {clip} is not among those to rate.")
        shown = clip or queue.next(person, [*mine, *skip], answered, context.least_raters)
        shown = shown or queue.next(person, mine, answered, context.least_raters)
        before = mine.get(shown) if shown else None
        given = {name: CHOICES[before[f"{name}_present"]] for name, *_ in QUESTIONS} if before else {}
        last = context.ratings.last_of(person)
        return context.page(
            request,
            "rate.html.j2",
            release=published.release,
            shown=shown,
            done=done,
            skip=skipping(skip, shown),
            questions=QUESTIONS,
            given=given,
            last=last["sample_id"] if last and last["sample_id"] in queue else None,
            rated=len(queue.among(list(mine))),
            clips=len(queue),
            least=context.least_raters,
            complete=queue.complete(answered, context.least_raters),
        )

    @router.post("/rate")
    def answer(request: Request, form: Annotated[Rating, Form()]) -> Response:
        """Store one answer, then show the next clip."""
        safety.check_form(request, form.token)
        if form.sample_id not in context.releases.current().to_rate:
            raise HTTPException(404, f"Clip {form.sample_id} is not among those to rate.")
        given = {"sample_id": form.sample_id, "rater_id": context.answering(request, form.person)}
        given |= {f"{name}_present": getattr(form, name) for name, *_ in QUESTIONS}
        try:
            row = rating(given)
        except ValueError as error:
            raise HTTPException(422, f"This answer cannot be stored: {error}.") from error
        context.ratings.add(row)
        return context.go(request, f"/rate?done={form.sample_id}")

    return router
