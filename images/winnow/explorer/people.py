"""People: what there is to rate, to annotate and to judge, how far everybody is, and who the reader says to be."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from winnow.explorer import safety
from winnow.explorer.context import LEAST, PERSON_COOKIE, ExplorerContext
from winnow.explorer.queue import Queue

#: Where one goes on after saying who one is.
NEXT = {"people": "/people", "rate": "/rate", "annotate": "/annotate", "audit": "/audit"}


class Person(BaseModel):
    """Who somebody says to be, and the page that asked."""

    model_config = ConfigDict(extra="forbid")
    token: str
    person: str
    page: str = "people"


def routes(context: ExplorerContext) -> APIRouter:
    """`/people` and `/person`."""
    router = APIRouter()

    @router.get("/people")
    def people(request: Request) -> Response:
        """What there is to do."""
        published = context.releases.current()
        drawn = dict.fromkeys(key for audit in context.samples.audits() for key in audit.clips)
        tasks = [
            _task(context.ratings, published.to_rate, context.least_raters, "rate"),
            _task(context.labels, published.to_annotate, 1, "annotate"),
            _task(context.verdicts, Queue(list(drawn)), LEAST, "audit"),
        ]
        counts = published.rows("select status, count(*) as clips from fct_clips group by status order by status")
        return context.page(
            request,
            "people.html.j2",
            release=published.release,
            tasks=tasks,
            people=_people(context),
            counts={row["status"]: row["clips"] for row in counts},
        )

    @router.post("/person")
    def person(request: Request, form: Annotated[Person, Form()]) -> Response:
        """Remember in this browser who answers."""
        safety.check_form(request, form.token)
        name = context.answering(request, form.person.strip())
        answer = context.go(request, NEXT.get(form.page, "/people"))
        context.set_cookie(request, answer, PERSON_COOKIE, name)
        return answer

    return router


def _task(answers, queue, least: int, page: str) -> dict[str, object]:
    """How far one kind of answer is: clips that wait for it, that somebody answered, that have enough answers."""
    answers.refresh()
    answered = answers.clips()
    begun = len(queue.among(list(answered)))
    return {
        "page": page,
        "clips": len(queue),
        "begun": begun,
        "complete": queue.complete(answered, least),
        "least": least,
        "elsewhere": len(answered) - begun,
    }


def _people(context: ExplorerContext) -> list[dict[str, object]]:
    """How much each person has answered."""
    kinds = {"rated": context.ratings, "annotated": context.labels, "judged": context.verdicts}
    counts = {kind: answers.people() for kind, answers in kinds.items()}
    people = sorted({name for by in counts.values() for name in by})
    return [{"person": name, **{kind: by.get(name, 0) for kind, by in counts.items()}} for name in people]
