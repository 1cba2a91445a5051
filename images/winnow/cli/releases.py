"""`winnow releases`: which there are, what differs between two, which one is in use."""

from __future__ import annotations

import click

from winnow.cli.common import answer, deployment


@click.group()
def releases() -> None:
    """List, show and compare releases; put one in use."""


_json = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")


@releases.command("list")
@_json
def list_(as_json: bool) -> None:
    """Every release, in the order of publishing; * is in use."""
    from winnow.release.history import listed

    found = listed(deployment()[0])
    if as_json:
        answer({"releases": found})
        return
    for row in found:
        mark = "*" if row["in_use"] else " "
        click.echo(
            f"{mark} {row['release']}  {row['published_at'] or '':25}  {row['kept']:>9,} clips kept  "
            f"{row['batches']:>5} batches  {row['bytes'] / 1e6:>9,.1f} MB"
            + (f"  holds {row['taken_down']:,} clips that were taken down" if row["taken_down"] else "")
        )
    if not found:
        click.echo("nothing is published yet: run `winnow release`", err=True)


@releases.command()
@click.argument("release", required=False)
def show(release: str | None) -> None:
    """One release (the one in use by default), as JSON."""
    from winnow.release.history import shown

    answer(shown(deployment()[0], release))


@releases.command()
@click.argument("first")
@click.argument("second")
@click.option("--rows", is_flag=True, help="Name each clip too.")
@_json
def diff(first: str, second: str, rows: bool, as_json: bool) -> None:
    """What SECOND keeps otherwise than FIRST: clips in, out and changed, by reason."""
    from winnow.release.history import compared

    found = compared(deployment()[0], first, second, rows)
    if as_json:
        answer(found)
        return
    kept = found["kept"]
    click.echo(
        f"{found['first']} keeps {kept['first']:,} clips, {found['second']} {kept['second']:,}; same {kept['same']:,}"
    )
    for name, key in (("in", "by_reason"), ("out", "by_reason"), ("changed", "by_column")):
        click.echo(f"{name}: {found[name]['clips']:,}")
        for reason, clips in sorted(found[name][key].items(), key=lambda one: (-one[1], one[0])):
            click.echo(f"  {clips:>9,}  {reason}")
    click.echo(f"dropped for another reason: {found['dropped_otherwise']:,}")
    for row in found.get("rows", []):
        click.echo(f"{row['change']} {row['sample_id']} {row.get('reason') or ', '.join(row['columns'])}")


@releases.command()
@click.argument("release")
@click.option("--why", required=True, help="Why: written down.")
def use(release: str, why: str) -> None:
    """Put RELEASE in use: readers see it from now on, and the next `winnow release` builds on it."""
    from winnow.release.history import use as body

    answer(body(deployment()[0], release, why))
