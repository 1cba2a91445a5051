"""`winnow verify`, `winnow retry`: is everything still what was committed, and another try for what failed."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from winnow.cli.common import answer, batch_option, comma_list, deployment
from winnow.core.errors import ConfigError


@click.command()
@click.argument("what", required=False)
@click.option("--batch", help="Key of a batch: what is committed of it, and what it stands on.")
@click.option("--release", "release_id", help="A release's id: its files.")
@click.option("--all", "everything", is_flag=True, help="The whole lake.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a line a fault.")
def verify(what: str | None, batch: str | None, release_id: str | None, everything: bool, as_json: bool) -> None:
    """Read all that is committed and name, a line each, what is missing, changed or cut short, where, and the command
    that mends it. WHAT: a release's id, or a folder (or address) that holds a copy of a release or an export. Exit code
    1 if there is any."""
    from winnow.release import copies
    from winnow.release import verify as body

    if what is not None and (batch or release_id or everything):
        raise ConfigError("say one thing to verify: WHAT, --batch KEY, --release ID or --all")
    if what is not None and ("://" in what or "/" in what or Path(what).is_dir()):
        found = copies.verify(what)
    else:
        found = body.verify(deployment()[0], batch=batch, release=what or release_id, everything=everything)
    if as_json:
        answer(found)
    else:
        for line in body.lines(found):
            click.echo(line)
        read = ", ".join(f"{count} {kind}" for kind, count in found["read"].items()) or "nothing"
        click.echo(f"read {read}: {len(found['faults'])} faults", err=True)
    if not found["ok"]:
        sys.exit(1)


@click.command()
@batch_option
@click.option("--reason", "reasons", required=True, callback=comma_list, help="As in internal_error,timeout.")
@click.option("--stage", help="Only this stage's rows; those of all stages by default.")
def retry(batch: str, reasons: list[str], stage: str | None) -> None:
    """Try the rows of a batch again that failed for a named reason."""
    from winnow.batch.retry import retry as body

    lake, settings = deployment()
    answer(body(lake, settings, batch, reasons, stage))
