"""What the commands share: the deployment they run in, how they answer, options that several have."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from winnow.core.errors import PartlyDone
from winnow.core.lake import Lake
from winnow.core.settings import Settings, load


def deployment() -> tuple[Lake, Settings]:
    """The lake and the settings of this process's environment."""
    settings = load()
    return Lake(settings.lake), settings


def answer(value: dict) -> None:
    """The command's result: the last line on stdout, and the whole of the file that WINNOW_RESULT names (a pod's
    termination message)."""
    text = json.dumps(value, sort_keys=True, default=str)
    if path := os.environ.get("WINNOW_RESULT"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    click.echo(text)


@contextmanager
def answering_in_part(step: str | None = None) -> Iterator[None]:
    """Where only a part could be done, print what came of it before the error that names the rest. A step of a command
    of several stands under its name."""
    try:
        yield
    except PartlyDone as error:
        found = {step: error.answer} if step else error.answer
        click.echo(json.dumps(found, sort_keys=True, default=str))
        raise


def json_object(_ctx: click.Context, _param: click.Parameter, value: str) -> dict:
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError as error:
        raise click.BadParameter(f"not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise click.BadParameter("a JSON object is wanted, as in '{\"window_s\": 10}'")
    return parsed


def comma_list(_ctx: click.Context, _param: click.Parameter, value: str | None) -> list[str]:
    return [part.strip() for part in (value or "").split(",") if part.strip()]


batch_option = click.option("--batch", required=True, help="Key of the batch, e.g. 2026-11-01.")
