"""`winnow verify`, `winnow retry`: is everything still what was committed, and another try for what failed."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from winnow.cli.common import answer, batch_option, comma_list, deployment, load
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
@click.option(
    "--ids", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Clips, videos, lists' own ids."
)
@click.option("--uploaders", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--sources", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Addresses, as in lists.")
@click.option("--why", default="", help="Why: recorded and published.")
def takedown(ids: Path | None, uploaders: Path | None, sources: Path | None, why: str) -> None:
    """Take down what a file names, one a line: gone from the next release, with its copies, and never fetched again.
    The answer names the releases that still hold it. Without a file: what was taken down so far."""
    from winnow.release.takedown import takedown as body
    from winnow.release.takedown import taken

    lake, _ = deployment()
    given = {kind: path for kind, path in (("id", ids), ("uploader", uploaders), ("source", sources)) if path}
    if not given:
        answer({"taken_down": taken(lake)})
        return
    found = [body(lake, kind, path.read_text(encoding="utf-8").splitlines(), why) for kind, path in given.items()]
    answer({"taken_down": found, "next": "winnow release"})


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
