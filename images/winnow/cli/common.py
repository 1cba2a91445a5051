"""What the commands share: the deployment they run in, how they answer, options that several have."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from winnow.core.errors import PartlyDone
from winnow.core.lake import Lake
from winnow.core.settings import Settings, load

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


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


def table(rows: list[dict], columns: tuple[str, ...]) -> None:
    """Rows for a person, on stderr: a row a line, numbers to three places."""
    lines = [list(columns)]
    for row in rows:
        values = map(row.get, columns)
        lines.append([f"{v:.3f}" if isinstance(v, float) else "" if v is None else str(v) for v in values])
    widths = [max(len(line[k]) for line in lines) for k in range(len(columns))]
    for line in lines:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip(), err=True)


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
    """An option's text as a JSON object; click's own error for anything else."""
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError as error:
        raise click.BadParameter(f"not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise click.BadParameter("a JSON object is wanted, as in '{\"window_s\": 10}'")
    return parsed


def comma_list(_ctx: click.Context, _param: click.Parameter, value: str | None) -> list[str]:
    """An option's text as what stands between its commas; none for an empty one."""
    return [part.strip() for part in (value or "").split(",") if part.strip()]


_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
batch_option = click.option("--batch", required=True, help="Key of the batch, e.g. 2026-11-01.")


class StageCommand(click.Command):
    """A command whose first argument is a stage: with it, `--help` also lists the stage's parameters."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the stage for `format_epilog`, which is asked before arguments are checked."""
        ctx.meta["stage"] = next((arg for arg in args if not arg.startswith("-")), None)
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The stage's parameters; the stages that there are where none is named."""
        from winnow.core.stage import stage_class, stage_names

        name = ctx.meta.get("stage")
        if name not in stage_names():
            with formatter.section("Stages"):
                formatter.write_text(", ".join(stage_names()))
            return
        params = stage_class(name).Params
        with formatter.section(f"Parameters of {name}, for --params"):
            for paragraph in (inspect.getdoc(params) or "").split("\n\n"):
                formatter.write_text(" ".join(paragraph.split()))
            rows = [(key, told_of(field)) for key, field in params.model_fields.items()]
            if rows:
                formatter.write_paragraph()
                formatter.write_dl(rows)
            else:
                formatter.write_text("It has none.")


def told_of(field: FieldInfo) -> str:
    """A parameter's type, limits and default, in a line."""
    kind = getattr(field.annotation, "__name__", None) if isinstance(field.annotation, type) else None
    kind = kind or str(field.annotation).replace("typing.", "")
    return f"{', '.join([kind, *limits_of(field)])}; {json.dumps(field.default)} by default"


def limits_of(field: FieldInfo) -> list[str]:
    """What a field's number may be: `> 0`, `<= 600` …"""
    return [
        f"{sign} {getattr(limit, key):g}"
        for limit in field.metadata
        for key, sign in _SIGNS.items()
        if hasattr(limit, key)
    ]
