"""`winnow verify`, `winnow retry`: is everything still what was committed, and another try for what failed."""

from __future__ import annotations

import sys

import click

from winnow.cli.common import answer, batch_option, comma_list, deployment, load


@click.command()
@click.option("--batch", help="Key of a batch: what is committed of it, and what it stands on.")
@click.option("--release", "release_id", help="A release's id: its files.")
@click.option("--all", "everything", is_flag=True, help="The whole lake.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a line a fault.")
def verify(batch: str | None, release_id: str | None, everything: bool, as_json: bool) -> None:
    """Read all that is committed and name, a line each, what is missing, changed or cut short, where, and the command
    that mends it. Exit code 1 if there is any."""
    from winnow.release import verify as body

    found = body.verify(deployment()[0], batch=batch, release=release_id, everything=everything)
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
    from winnow.core.child import Keeper

    with Keeper(load()) as keeper:  # before anything starts a thread
        from winnow.batch.retry import retry as body

        lake, settings = deployment()
        answer(body(lake, settings, batch, reasons, stage, keeper.run_stage))
