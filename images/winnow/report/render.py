"""Rendering: one Jinja environment for all pages. Everything that comes from data is escaped.

The pages forbid themselves scripts and every request by a Content-Security-Policy: titles and uploaders come from
lists that anyone may have written.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from winnow import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).with_name("templates")


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The Jinja environment, with filters for numbers as they are read."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(
        count=count, plural=plural, number=number, hours=hours, percent=percent, words=words, tojson_text=tojson_text
    )
    env.globals["style"] = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))
    env.globals["version"] = __version__
    return env


def render(template: str, **values: object) -> str:
    """One page."""
    return environment().get_template(template).render(**values)


def count(value: int | None) -> str:
    """12345 → 12,345."""
    return "–" if value is None else f"{value:,}"


def plural(value: int, noun: str) -> str:
    """1 → "1 row", 1234 → "1,234 rows"."""
    return f"{count(value)} {noun}{'' if value == 1 else 's'}"


def number(value: float | None, digits: int = 2) -> str:
    """1234.5 → 1,234.50; no value is a dash."""
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def hours(value: float | None) -> str:
    """Hours with the digits that matter: 0.1234, 12.34, 1,234.5."""
    if value is None:
        return "–"
    return number(value, 4 if value < 1 else 2 if value < 1000 else 1)


def percent(value: float | None, digits: int = 0) -> str:
    """0.25 → 25 %."""
    return "–" if value is None else f"{value * 100:.{digits}f} %"


def words(name: str) -> str:
    """sample_id_is_unique → sample id is unique."""
    return name.replace("_", " ")


def tojson_text(value: object) -> str:
    """A value as JSON, to be escaped like any text."""
    return json.dumps(value, ensure_ascii=False)
