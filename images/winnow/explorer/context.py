"""What all pages share: the release, the answers so far, who asks, and how a page is rendered."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol
from urllib.parse import quote, unquote, urlencode

from fastapi import HTTPException, Query, Request
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import Field

from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.explorer import safety
from winnow.explorer.answers import Answers
from winnow.explorer.counts import Counts
from winnow.explorer.media import Media
from winnow.explorer.pictures import Pictures
from winnow.explorer.published import Published, Releases
from winnow.explorer.samples import Samples, asked
from winnow.release import publish
from winnow.report import render

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
SCRIPTS = ("player.js", "rate.js", "annotate.js", "page.js", "grid.js", "clip.js")
ASSETS = {"style.css": "text/css", **dict.fromkeys(SCRIPTS, "text/javascript")}
PERSON_COOKIE = "winnow_person"
YEAR_S = 365 * 86400
#: How a person may be called: letters, digits, and what stands in names and addresses.
PERSON = re.compile(r"[^\W_][\w .@+-]{0,63}\Z")
#: How many people must answer where the dataset does not say.
LEAST = 2

#: What those begin with who annotate and are no people; no person's name has a colon.
NO_PERSON = ("proposal:", "published:")

_CLIP, _SHORT = "^[0-9a-f]{20}$", "^[0-9a-f]{12}$"
#: A clip's id in a path: the only thing of a request that leads to a file, through the published tables.
SampleId = Annotated[str, PathParameter(pattern=_CLIP)]
#: Ids in an address after `?`, where any may be left out, and in a form, where none may.
ClipAsked = Annotated[str | None, Query(pattern=_CLIP)]
ReleaseId = Annotated[str | None, Query(pattern=_SHORT)]
AuditAsked = Annotated[str | None, Query(pattern=_SHORT)]
ClipAnswered = Annotated[str, Field(pattern=_CLIP)]
#: Clips that somebody would rather see later, in an address.
MOST_SKIPPED = 40
Skipped = Annotated[list[Annotated[str, Field(pattern=_CLIP)]], Query(max_length=MOST_SKIPPED)]
AuditAnswered = Annotated[str, Field(pattern=_SHORT)]


class Batches(Protocol):
    """Where batches stand, as `winnow.batch.status` says it: a room above this one, so whoever starts the explorer
    brings it."""

    def status(self, lake: Lake, settings: Settings, batch: str) -> dict[str, Any]:
        """Where one batch stands."""
        ...

    def overview(self, lake: Lake, settings: Settings) -> dict[str, Any]:
        """Where each batch stands."""
        ...


class ExplorerContext:
    """One explorer: a lake, the deployment, where the pages are mounted, and what rooms above lend it: `batches`, and
    `draw`, which draws a sample of a release for an audit (its id, clips of each stratum); None without."""

    def __init__(
        self,
        lake: Lake,
        settings: Settings,
        prefix: str = "",
        batches: Batches | None = None,
        draw: Callable[[Lake, str, int], object] | None = None,
    ) -> None:
        self.lake, self.settings, self.prefix, self.batches, self.draw = lake, settings, prefix, batches, draw
        self.counts = lru_cache(maxsize=2)(Counts)
        self.pictures = Pictures(self.media_of)
        self._published_at = lru_cache(maxsize=1024)(
            lambda release: str(publish.manifest(lake, release).get("published_at", ""))
        )
        self.releases, self.media = Releases(lake), Media(lake)
        self.ratings = Answers(lake, "rating", "rater_id")
        self.labels = Answers(
            lake, "segment_label", "annotator_id", lambda row: row["annotator_id"].startswith(NO_PERSON)
        )
        self.samples = Samples(lake)
        self.verdicts = Answers(lake, "verdict", "reviewer", about=lambda row: asked(row["release"], row["sample_id"]))

    # -- the dataset ---------------------------------------------------------------------------------------------------
    @cached_property
    def least_raters(self) -> int:
        """How many people must rate a clip before it can have a label: `enough_raters` of the project's seeds."""
        return _seed(self.settings.dbt_dir / "seeds" / "audioscope_thresholds.csv", "enough_raters", LEAST)

    def clip(self, published: Published, sample_id: str) -> dict[str, Any]:
        """One clip of a release; HTTPException 404 when it has none of that id."""
        found = published.clip(sample_id)
        if found is None:
            raise HTTPException(404, f"Release {published.release} has no clip {sample_id}.")
        return found

    def latest(self, most: int) -> list[tuple[str, str]]:
        """When the latest releases were published, and their ids, the latest first."""
        there = [(self._published_at(release), release) for release in publish.releases(self.lake)]
        return sorted(there, reverse=True)[:most]

    def media_of(self, key: tuple[str, str]) -> bytes | None:
        """A clip's file, by its tar and its id; None where it is gone."""
        return self.media.read(*key)

    def clip_exists(self, published: Published, sample_id: str) -> None:
        """HTTPException 404 unless a release has a clip."""
        if not published.has(sample_id):
            raise HTTPException(404, f"Release {published.release} has no clip {sample_id}.")

    # -- the person ----------------------------------------------------------------------------------------------------
    def user(self, request: Request) -> str | None:
        """The id of the login; None without one, or where one login serves everybody."""
        return str(getattr(request.state, "person", None) or "") or None

    def person(self, request: Request) -> str | None:
        """Who asks: the logged-in user, or the name that this browser gave; None when it gave none."""
        found = unquote(request.cookies.get(PERSON_COOKIE, ""))
        return self.user(request) or (found if PERSON.match(found) else None)

    def answering(self, request: Request, said: str) -> str:
        """Who answers with a form: the logged-in user, or the name in the form; 422 for one that is no name."""
        if user := self.user(request):
            return user
        if not PERSON.match(said):
            raise HTTPException(422, "A name has 1 to 64 letters, digits, spaces or . @ + - _")
        return said

    # -- pages ---------------------------------------------------------------------------------------------------------
    def root(self, request: Request) -> str:
        """Where the explorer is mounted, as a browser sees it."""
        return self.prefix or str(request.scope.get("root_path", "")).rstrip("/")

    def page(self, request: Request, template: str, status: int = 200, **values: object) -> HTMLResponse:
        """One page; a browser without a session gets one, which its forms' token belongs to."""
        session = safety.session_of(request)
        fresh = session is None
        session = session or safety.new_session()
        text = (
            environment()
            .get_template(template)
            .render(
                root=self.root(request),
                token=safety.token_of(session),
                person=self.person(request),
                has_login=self.user(request) is not None,
                has_batches=self.batches is not None,
                here=template.removesuffix(".html.j2"),
                **values,
            )
        )
        answer = HTMLResponse(text, status)
        if fresh:
            self.set_cookie(request, answer, safety.SESSION_COOKIE, session)
        return answer

    def set_cookie(self, request: Request, answer: HTMLResponse | RedirectResponse, name: str, value: str) -> None:
        """A cookie that no script reads and no other site's form carries."""
        answer.set_cookie(
            name,
            quote(value),
            max_age=YEAR_S,
            path=self.root(request) or "/",
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )

    def go(self, request: Request, where: str) -> RedirectResponse:
        """On to another page, by GET."""
        return RedirectResponse(self.root(request) + where, 303)


def skipping(skip: Sequence[str], shown: str | None) -> str:
    """What an address says after `?` of the clips that are skipped, with the one that is shown."""
    return urlencode([("skip", one) for one in [*skip, *([shown] if shown else [])][-MOST_SKIPPED:]])


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The report's Jinja environment, with the explorer's templates before the report's."""
    from jinja2 import ChoiceLoader, FileSystemLoader

    folders = [FileSystemLoader(HERE / "templates"), FileSystemLoader(render.TEMPLATES)]
    env = render.environment().overlay(loader=ChoiceLoader(folders))
    env.globals = {**env.globals, "assets_version": assets_version()}
    env.filters = {**env.filters, "clock": clock, "about": about}
    return env


def clock(value: float | None) -> str:
    """75.25 → 1:15.2, a time on a video's clock."""
    if value is None:
        return "–"
    tenths = int(value * 10)
    return f"{tenths // 600}:{tenths % 600 // 10:02d}.{tenths % 10}"


def about(value: float | None) -> str:
    """A number with the digits that matter, and a minus that is one."""
    return "–" if value is None else f"{value:.4g}".replace("-", "−")


@lru_cache(maxsize=1)
def assets() -> dict[str, bytes]:
    """Styles and scripts, by name; the style sheet is the report's with the explorer's rules after it."""
    found = {name: (HERE / "assets" / name).read_bytes() for name in ASSETS if name != "style.css"}
    own = (HERE / "assets" / "explorer.css").read_bytes()
    return {**found, "style.css": (render.TEMPLATES / "style.css").read_bytes() + own}


@lru_cache(maxsize=1)
def assets_version() -> str:
    """A digest of all assets, which their addresses carry so that a browser may keep them."""
    from winnow.core.lake import sha256_bytes

    return sha256_bytes(b"".join(assets().values()))[:12]


def _seed(path: Path, rule: str, otherwise: int) -> int:
    """The number of a rule in a seed of the dbt project."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return next(int(float(row["least"])) for row in csv.DictReader(file) if row["rule"] == rule)
    except (FileNotFoundError, StopIteration):
        return otherwise
