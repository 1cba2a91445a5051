"""Auditing: do the sound and the picture of a drawn clip belong together?

The page shows nothing that was measured or decided about a clip, no label and nobody else's verdict, until the reader
has given one; what was decided is shown beside the next clip. Clips of all strata come in one shuffle, so that their
order says nothing either.

A recycled clip was scored for what separation left of its sound, so that is what the reader hears, and what the score
beside the verdict is about.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from winnow.annotations.verdicts import VERDICTS, verdict
from winnow.explorer import safety
from winnow.explorer.context import (
    LEAST,
    AuditAnswered,
    AuditAsked,
    ClipAnswered,
    ClipAsked,
    ExplorerContext,
    Skipped,
    skipping,
)
from winnow.explorer.samples import SEPARATOR, Audit, asked

#: Verdict, what its button says, its key.
CHOICES = (
    ("corresponds", "Yes", "1"),
    ("does_not", "No", "2"),
    ("unsure", "Unsure", "3"),
)


class Verdict(BaseModel):
    """One answer, as the form sends it."""

    model_config = ConfigDict(extra="forbid")
    token: str
    person: str = ""
    audit: AuditAnswered
    sample_id: ClipAnswered
    verdict: Literal["corresponds", "does_not", "unsure"]


class Draw(BaseModel):
    """A sample to draw: clips of each stratum."""

    model_config = ConfigDict(extra="forbid")
    token: str
    size: Annotated[int, Field(ge=1, le=1000)] = 20


def routes(context: ExplorerContext) -> APIRouter:
    """`/audit` and `/audit/draw`."""
    router = APIRouter()

    @router.get("/audit")
    def ask(
        request: Request,
        audit: AuditAsked = None,
        clip: ClipAsked = None,
        done: ClipAsked = None,
        skip: Skipped = [],  # noqa: B006
    ) -> Response:
        """The next clip of a sample, or the one that is to be answered again."""
        person = context.person(request)
        if not person:
            return context.page(request, "person.html.j2", page="audit")
        context.verdicts.refresh()
        mine, answered, audits = context.verdicts.of_person(person), context.verdicts.clips(), context.samples.audits()
        if not audits:
            return context.page(request, "audit.html.j2", audits=[], can_draw=context.draw is not None)
        chosen = _choose(audits, audit, mine)
        key = asked(chosen.release, clip) if clip else None
        if key is not None and key not in chosen.clips:
            raise HTTPException(404, f"Clip {clip} is not in the sample {chosen.audit}.")
        later = [*mine, *(asked(chosen.release, one) for one in skip)]
        key = (
            key or chosen.queue.next(person, later, answered, LEAST) or chosen.queue.next(person, mine, answered, LEAST)
        )
        shown = key and key.partition(SEPARATOR)[2]
        answers = [row for name, row in mine.items() if name in chosen.clips]
        last = max(answers, key=lambda row: str(row["created_at"]), default=None)
        return context.page(
            request,
            "audit.html.j2",
            audits=_progress(audits, mine),
            chosen=chosen,
            choices=CHOICES,
            shown=shown,
            skip=skipping(skip, shown),
            sound=_sound(context, chosen, shown) if shown else None,
            given=mine[key]["verdict"] if key and key in mine else None,
            last=last and last["sample_id"],
            judged=len(answers),
            clips=len(chosen.clips),
            least=LEAST,
            complete=chosen.queue.complete(answered, LEAST),
            done=_decided(context, chosen, person, done),
            summary=_summary(chosen, answers) if key is None else None,
            can_draw=context.draw is not None,
        )

    @router.post("/audit")
    def answer(request: Request, form: Annotated[Verdict, Form()]) -> Response:
        """Store one verdict, then show the next clip."""
        safety.check_form(request, form.token)
        chosen = next((audit for audit in context.samples.audits() if audit.audit == form.audit), None)
        if chosen is None or asked(chosen.release, form.sample_id) not in chosen.clips:
            raise HTTPException(404, f"Clip {form.sample_id} is not in the sample {form.audit}.")
        given = {"sample_id": form.sample_id, "release": chosen.release, "verdict": form.verdict}
        try:
            row = verdict({**given, "reviewer": context.answering(request, form.person)}, context.samples.drawn())
        except ValueError as error:
            raise HTTPException(422, f"This verdict cannot be stored: {error}.") from error
        context.verdicts.refresh()
        context.verdicts.add(row)
        return context.go(request, f"/audit?audit={chosen.audit}&done={form.sample_id}")

    @router.post("/audit/draw")
    def draw(request: Request, form: Annotated[Draw, Form()]) -> Response:
        """Draw a sample of the current release, as `winnow audit` does, then ask about it."""
        safety.check_form(request, form.token)
        if context.draw is None:
            raise HTTPException(404, "Whoever started this explorer lets it draw no samples: see `winnow audit`.")
        context.draw(context.lake, context.releases.current().release, form.size)
        return context.go(request, "/audit")

    return router


def _choose(audits: list[Audit], audit: str | None, mine: dict[str, Any]) -> Audit:
    """The sample that was asked for, else the first that the person has not finished, else the first."""
    if audit is not None:
        found = next((one for one in audits if one.audit == audit), None)
        if found is None:
            raise HTTPException(404, f"There is no sample {audit}.")
        return found
    return next((one for one in audits if any(key not in mine for key in one.clips)), audits[0])


def _progress(audits: list[Audit], mine: dict[str, Any]) -> list[dict[str, Any]]:
    """How far a person is in each sample."""
    return [
        {
            "audit": one.audit,
            "release": one.release,
            "clips": len(one.clips),
            "judged": sum(key in mine for key in one.clips),
        }
        for one in audits
    ]


def _sound(context: ExplorerContext, chosen: Audit, sample_id: str) -> dict[str, Any]:
    """Of a recycled clip, when the sound after separation begins, s, or that it is lost; else `start_s` is None."""
    about = context.clip(context.releases.get(chosen.release), sample_id)
    if not about.get("is_recycled"):
        return {"start_s": None, "is_lost": False}
    is_lost = about["residual_tar"] is None
    return {"start_s": None if is_lost else about["residual_start_s"] or 0.0, "is_lost": is_lost}


def _decided(context: ExplorerContext, chosen: Audit, person: str, sample_id: str | None) -> dict[str, Any] | None:
    """What was decided about a clip that the person has judged, and what everybody says; None before."""
    key = asked(chosen.release, sample_id or "")
    answers = context.verdicts.of_clip(key)
    if key not in chosen.clips or person not in answers:
        return None
    said = [row["verdict"] for row in answers.values()]
    about = context.clip(context.releases.get(chosen.release), chosen.clips[key]["sample_id"])
    names = ("sample_id", "status", "first_failed_rule", "detail", "label")
    is_recycled = bool(about.get("is_recycled"))
    return {
        **{name: about[name] for name in names},
        "mine": answers[person]["verdict"],
        "is_recycled": is_recycled,
        "z": about["residual_z" if is_recycled else "z"],
        "said": {name: said.count(name) for name in VERDICTS},
        "people": len(said),
    }


def _summary(chosen: Audit, answers: list[Any]) -> dict[str, dict[str, int]]:
    """A person's verdicts by what had been decided."""
    found = {status: dict.fromkeys(VERDICTS, 0) for status in ("kept", "dropped")}
    for row in answers:
        found[chosen.clips[asked(row["release"], row["sample_id"])]["status"]][row["verdict"]] += 1
    return found
