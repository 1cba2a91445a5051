"""Batches: where each one stands, before any release too: what each step has done, what failed and what to do, what
comes next. The same that `winnow status` says."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import Response

from winnow.core.errors import ConfigError
from winnow.explorer.context import Batches, ExplorerContext
from winnow.release import publish

#: Failures on one page.
PAGE = 50
Key = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
From = Annotated[int, Query(alias="from", ge=0, le=10_000_000)]
Text = Annotated[str | None, Query(max_length=100)]


def routes(context: ExplorerContext) -> APIRouter:
    """`/batches` and `/batches/<key>`."""
    router = APIRouter()

    @router.get("/batches")
    def overview(request: Request) -> Response:
        """All batches."""
        found = _lent(context).overview(context.lake, context.settings)
        return context.page(
            request, "batches.html.j2", found=found, lake=context.lake.root, inbox=str(context.settings.inbox)
        )

    @router.get("/batches/{key}")
    def batch(request: Request, key: Key, first: From = 0, reason: Text = None) -> Response:
        """One batch."""
        try:
            found = _lent(context).status(context.lake, context.settings, key)
        except ConfigError as error:
            raise HTTPException(404, str(error)) from error
        reasons: dict[str, int] = {}
        for one in found["failed"]:
            reasons[one["reason"]] = reasons.get(one["reason"], 0) + 1
        failed = [one for one in found["failed"] if reason in (None, "", one["reason"])]
        return context.page(
            request,
            "batch.html.j2",
            found=found,
            failed=failed[first : first + PAGE],
            count=len(failed),
            first=first,
            page=PAGE,
            reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
            reason=reason or "",
            current=publish.current(context.lake),
        )

    return router


def _lent(context: ExplorerContext) -> Batches:
    if context.batches is None:
        raise HTTPException(404, "Whoever started this explorer lent it no status of batches: see `winnow status`.")
    return context.batches
