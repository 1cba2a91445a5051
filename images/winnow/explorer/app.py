"""The application: pages, what guards them, and what a reader sees when something is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from winnow.core.errors import WinnowError
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.explorer import annotate, audit, batches, clips, grid, people, rate
from winnow.explorer.context import ASSETS, Batches, ExplorerContext, ReleaseId, SampleId, assets
from winnow.explorer.pictures import NOTHING, SPECTRUM, THUMBNAIL, WAVE
from winnow.explorer.safety import Guard

PAGES = (grid, clips, batches, people, rate, annotate, audit)
#: Pictures of a clip: the end of their address, kind, type.
PICTURES = {
    "still.jpg": (THUMBNAIL, "image/jpeg"),
    "wave.png": (WAVE, "image/png"),
    "spectrum.png": (SPECTRUM, "image/png"),
}


def application(
    lake: Lake,
    settings: Settings,
    *,
    prefix: str = "",
    hosts: Iterable[str] | None = None,
    user: Callable[..., Any] | None = None,
    batches: Batches | None = None,
    draw: Callable[[Lake, str, int], object] | None = None,
) -> FastAPI:
    """The explorer of a lake as an ASGI application.

    `prefix` is the path that it is mounted below (without it, what the outer application says). `hosts` are the names
    that it answers for; None where a server in front checks them. `user` is a FastAPI dependency that refuses
    strangers and gives the logged-in person's id, or None where one login serves everybody; without an id, people say
    who they are. `batches` and `draw` are what rooms above lend (`ExplorerContext`): without them there are no pages of
    batches, and the page of audits draws none.
    """
    context = ExplorerContext(lake, settings, prefix.rstrip("/"), batches, draw)
    app = FastAPI(
        title="Winnow explorer",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        dependencies=[] if user is None else [Depends(_identify(user))],
    )
    for page in PAGES:
        app.include_router(page.routes(context))
    app.include_router(_files(context))
    _errors(app, context)
    app.add_middleware(Guard, hosts=hosts, framed=user is not None)
    return app


def _identify(user: Callable[..., Any]) -> Callable[..., None]:
    """A dependency that notes who is logged in, for pages and for the page of an error."""

    def identify(request: Request, name: Any = Depends(user)) -> None:  # noqa: B008
        request.state.person = name

    return identify


def _files(context: ExplorerContext) -> APIRouter:
    """Clips, their separated sound, styles and scripts."""
    router = APIRouter()

    @router.api_route("/media/{sample_id}.mp4", methods=["GET", "HEAD"])
    def media(request: Request, sample_id: SampleId, release: ReleaseId = None) -> Response:
        """A clip's file, whole or a range of it, as a release names it; the current one unless another is named."""
        clip = context.clip(context.releases.get(release) if release else context.releases.current(), sample_id)
        if clip["tar"] is None:
            raise HTTPException(404, f"Clip {sample_id} has no file.")
        return context.media.response(request, clip["tar"], sample_id)

    @router.api_route("/media/{sample_id}.flac", methods=["GET", "HEAD"])
    def residual(request: Request, sample_id: SampleId, release: ReleaseId = None) -> Response:
        """What separation left of a clip's sound, in the same way."""
        clip = context.clip(context.releases.get(release) if release else context.releases.current(), sample_id)
        if clip["residual_tar"] is None:
            raise HTTPException(404, f"The sound of clip {sample_id} was not separated.")
        return context.media.response(request, clip["residual_tar"], sample_id, "flac")

    @router.get("/picture/{sample_id}/{what}")
    def picture(sample_id: SampleId, what: str) -> Response:
        """A clip's thumbnail, wave or spectrogram; one empty pixel of what cannot be drawn."""
        if what not in PICTURES:
            raise HTTPException(404, "There is no such picture.")
        kind, media_type = PICTURES[what]
        published = context.releases.current()
        context.clip_exists(published, sample_id)
        file = published.file(sample_id)
        drawn = file and context.pictures.get(kind, file[0], sample_id, file[1] / 2)
        kept = {"Cache-Control": "private, max-age=86400" if drawn else "no-store"}
        return Response(drawn or NOTHING, media_type=media_type if drawn else "image/png", headers=kept)

    @router.get("/assets/{name}")
    def asset(name: str) -> Response:
        """A style sheet or a script, out of the package."""
        if name not in ASSETS:
            raise HTTPException(404, "There is no such file.")
        kept = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(assets()[name], media_type=ASSETS[name], headers=kept)

    return router


def _errors(app: FastAPI, context: ExplorerContext) -> None:
    """Pages for what goes wrong: each says what, and what to do."""

    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, StarletteHTTPException)
        return _page(context, request, error.status_code, str(error.detail))

    def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        where = [tuple(e["loc"]) for e in error.errors()]
        if any(loc[0] == "path" for loc in where):
            return _page(context, request, 404, "There is no such page: a clip's id is 20 hexadecimal digits.")
        fields = ", ".join(sorted({str(loc[-1]) for loc in where}))
        return _page(context, request, 422, f"This answer could not be read; look at: {fields}.")

    def broken(request: Request, error: Exception) -> Response:
        return _page(context, request, 503, str(error))

    app.add_exception_handler(StarletteHTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(WinnowError, broken)


def _page(context: ExplorerContext, request: Request, status: int, message: str) -> Response:
    return context.page(request, "error.html.j2", status, status_code=status, message=message)
