"""Winnow's pages in Airflow's own navigation: the latest report, and the explorer in which people rate and annotate.

Airflow runs every file of this folder in each of its processes, the tasks' too, so the web application is built at its
first request. Who may see Airflow may see the report and answer in the explorer, under the name of the login; who may
not log in gets neither.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/winnow"
Scope = MutableMapping[str, Any]
Message = Callable[..., Awaitable[Any]]


class Pages:
    """An ASGI application that is made when it is first called."""

    async def __call__(self, scope: Scope, receive: Message, send: Message) -> None:
        """Answer a request by the application."""
        await self._application(scope, receive, send)

    @cached_property
    def _application(self) -> Callable[[Scope, Message, Message], Awaitable[None]]:
        from airflow.api_fastapi.core_api.security import get_user
        from airflow.configuration import conf
        from fastapi import Depends, FastAPI, HTTPException
        from fastapi.responses import FileResponse

        from winnow.audit.sampling import draw_into
        from winnow.batch import status
        from winnow.core.errors import WinnowError
        from winnow.core.lake import Lake
        from winnow.core.settings import load
        from winnow.explorer.app import application as explorer
        from winnow.release import publish

        application = FastAPI(title="Winnow", dependencies=[Depends(get_user)], openapi_url=None)

        @application.get("/report", response_class=FileResponse)
        def report() -> Any:
            """The report of the current release; resolved anew for every request."""
            try:
                page = publish.report_path(Lake(load().lake))
            except WinnowError as error:
                raise HTTPException(404, str(error)) from error
            return FileResponse(page, headers={"Cache-Control": "no-cache"})

        def person(user: Any = Depends(get_user)) -> str | None:  # noqa: B008
            """The explorer's own check, since a mounted application does not inherit one: who is logged in; nobody in
            particular where Airflow makes everybody the same admin."""
            return None if everybody else str(user.get_id())

        everybody = conf.getboolean("core", "simple_auth_manager_all_admins", fallback=False)
        settings = load()
        pages = explorer(Lake(settings.lake), settings, user=person, batches=status, draw=draw_into)
        application.mount("/explorer", pages)
        return application


class WinnowPages(AirflowPlugin):
    """What Airflow reads: where the application answers, and its entries in the navigation."""

    name = "winnow_ui"
    fastapi_apps = [{"app": Pages(), "url_prefix": PREFIX, "name": "Winnow"}]
    external_views = [
        {"name": "Report", "href": f"{PREFIX}/report", "destination": "nav", "url_route": "winnow-report"},
        {"name": "Explorer", "href": f"{PREFIX}/explorer/", "destination": "nav", "url_route": "winnow-explorer"},
    ]
