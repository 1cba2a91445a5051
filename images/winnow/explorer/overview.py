"""The first page: what there is to rate and to annotate, how far everybody is, and who the reader says to be."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from winnow.explorer import safety
from winnow.explorer.house import PERSON_COOKIE, House
from winnow.explorer.published import Published

#: Where one goes on after saying who one is.
NEXT = {"overview": "/", "rate": "/rate", "annotate": "/annotate"}


class Person(BaseModel):
    """Who somebody says to be, and the page that asked."""

    model_config = ConfigDict(extra="forbid")
    token: str
    person: str
    page: str = "overview"


def routes(house: House) -> APIRouter:
    """`/` and `/person`."""
    router = APIRouter()

    @router.get("/")
    def overview(request: Request) -> Response:
        """What there is to do."""
        published = house.releases.current()
        tasks = [
            _task(house.ratings, published.to_rate, house.least_raters, "rate"),
            _task(house.labels, published.to_annotate, 1, "annotate"),
        ]
        counts = published.rows("select status, count(*) as clips from fct_clips group by status order by status")
        return house.page(
            request, "overview.html.j2", release=published.release, tasks=tasks, people=_people(house, published),
            counts={row["status"]: row["clips"] for row in counts},
        )  # fmt: skip

    @router.post("/person")
    def person(request: Request, form: Annotated[Person, Form()]) -> Response:
        """Remember in this browser who answers."""
        safety.check_form(request, form.token)
        name = house.answering(request, form.person.strip())
        answer = house.go(request, NEXT.get(form.page, "/"))
        house.set_cookie(request, answer, PERSON_COOKIE, name)
        return answer

    return router


def _task(answers, queue, least: int, page: str) -> dict[str, object]:
    """How far one kind of answer is: clips that wait for it, that somebody answered, that have enough answers."""
    answers.refresh()
    answered = answers.clips()
    begun = sum(1 for sample_id in answered if sample_id in queue)
    return {
        "page": page, "clips": len(queue), "begun": begun, "complete": queue.complete(answered, least),
        "least": least, "elsewhere": len(answered) - begun,
    }  # fmt: skip


def _people(house: House, published: Published) -> list[dict[str, object]]:
    """How much each person has answered."""
    rated, annotated = house.ratings.people(), house.labels.people()
    return [
        {"person": name, "rated": rated.get(name, 0), "annotated": annotated.get(name, 0)}
        for name in sorted(rated.keys() | annotated.keys())
    ]
