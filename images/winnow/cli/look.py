"""`winnow status`, `winnow sql`: what lies in the lake, and questions to a release or to a batch before any."""

from __future__ import annotations

import click

from winnow.cli.common import answer, deployment
from winnow.core.errors import ConfigError

#: Failures that `status` shows.
SHOWN = 20


@click.command()
@click.option("--batch", help="Key of one batch: each step, what failed and what to do; all batches by default.")
@click.option("--failed", "most", default=SHOWN, show_default=True, help="Failures to show, of one batch.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with every failure.")
def status(batch: str | None, most: int, as_json: bool) -> None:
    """Where batches stand, at any time: done, failed by reason, waiting for what, and the command that goes on."""
    from winnow.batch import status as body

    lake, settings = deployment()
    if batch is not None:
        found = body.status(lake, settings, batch)
        told = body.lines(found, most)
    else:
        found = body.overview(lake, settings)
        told = body.overview_lines(found, lake, settings)
    if as_json:
        answer(found)
    else:
        click.echo("\n".join(told))


@click.command()
@click.argument("query")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@click.option("--release", "release_id", help="A release's id; the current one by default.")
@click.option("--batch", help="A batch's stage tables instead, by their stages' names; no release is needed.")
def sql(query: str, form: str, release_id: str | None, batch: str | None) -> None:
    """Query the published snapshot, or what is measured of a batch, read-only."""
    lake, _ = deployment()
    if batch is None:
        from winnow.release.query import run

        click.echo(run(lake, query, form, release_id), nl=False)
        return
    if release_id is not None:
        raise ConfigError("--batch and --release: one of them, please")
    from winnow.batch.draft import open_batch
    from winnow.release.query import answer as answered

    with open_batch(lake, batch) as con:
        click.echo(answered(con, query, form), nl=False)
