"""`winnow verify`, `takedown`, `clean`, `retry`: is everything still what was committed, what must go, what may go, and
another try for what failed."""

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
    The answer names the releases that still hold it; its files go with the first `winnow clean` once none names them.
    Without a file: what was taken down so far."""
    from winnow.release.takedown import takedown as body
    from winnow.release.takedown import taken

    lake, _ = deployment()
    given = {kind: path for kind, path in (("id", ids), ("uploader", uploaders), ("source", sources)) if path}
    if not given:
        answer({"taken_down": taken(lake)})
        return
    found = [body(lake, kind, path.read_text(encoding="utf-8").splitlines(), why) for kind, path in given.items()]
    answer({"taken_down": found, "next": "winnow release && winnow clean"})


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would go, and how much that frees.")
@click.option(
    "--keep",
    type=click.IntRange(1),
    help="Keep so many of the newest releases. [WINNOW_KEEP_RELEASES]",
)
@click.option("--days", type=click.FloatRange(0), help="Keep releases that are younger. [WINNOW_KEEP_DAYS]")
@click.option(
    "--older-than-hours",
    type=click.FloatRange(0),
    default=24.0,
    show_default=True,
    help="Leave what was written or superseded less long ago: longer than any command runs.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def clean(dry_run: bool, keep: int | None, days: float | None, older_than_hours: float, as_json: bool) -> None:
    """Remove what no kept release, no head and no running writer names any more: superseded versions of stages' tables,
    what killed commands left, source videos, and the files of what was taken down. Releases go where --keep or --days,
    or the deployment, says how many stay."""
    from winnow.release.clean import clean as body

    lake, settings = deployment()
    if keep is None and days is None:
        keep, days = settings.keep_releases, settings.keep_days
    found = body(lake, keep=keep, days=days, older_than_s=3600 * older_than_hours, dry=dry_run)
    if as_json:
        answer(found)
        return
    would = "would free" if dry_run else "freed"
    for kind, freed in found["frees"].items():
        click.echo(f"{kind.replace('_', ' '):12} {freed['files']:>9,} files  {freed['bytes'] / 1e6:>12,.1f} MB")
    for release in found["releases"]["removed"]:
        click.echo(f"release {release} {'would go' if dry_run else 'is gone'}")
    for release, clips in found["taken_down"].items():
        click.echo(f"release {release} still names files of {clips:,} clips that were taken down")
    click.echo(f"{would} {found['bytes'] / 1e6:,.1f} MB; {len(found['releases']['kept'])} releases stay")


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
