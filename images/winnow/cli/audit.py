"""`winnow audit`: draw the clips of a release that people are to judge."""

from __future__ import annotations

from pathlib import Path

import click

from winnow.cli.common import answer, comma_list, deployment


def _sizes(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> dict[str, int]:
    """kept=200 → {"kept": 200}."""
    found = {}
    for one in given:
        name, _, count = one.rpartition("=")
        if not name or not count.strip().isdecimal():
            raise click.BadParameter(f"{one!r}: STRATUM=COUNT is wanted, as in 'dropped / frozen=5'")
        found[name.strip()] = int(count)
    return found


@click.command()
@click.option("--release", "release_id", help="A release's id; the current one by default.")
@click.option(
    "--by",
    callback=comma_list,
    help="Dimensions of the strata: rule, band, subset, or columns of fct_clips "
    "as flag, label, split; rule,flag,band by default, where clips differ in them.",
)
@click.option("--size", default=20, show_default=True, type=click.IntRange(1), help="Clips of each stratum.")
@click.option(
    "--sizes",
    multiple=True,
    callback=_sizes,
    metavar="STRATUM=COUNT",
    help="Clips of strata whose name begins so, as in kept=200; may be repeated.",
)
@click.option(
    "--bands", default=3, show_default=True, type=click.IntRange(1), help="At most so many bands of the score."
)
@click.option("--score", default="z", show_default=True, help="The column of fct_clips that is banded.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV to fill in instead of the explorer; `winnow annotate import` reads it back.",
)
@click.option(
    "--clips",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the drawn clips' files, with the sound after separation where a clip was scored by that.",
)
def audit(release_id: str | None, out: Path | None, clips: Path | None, **given: object) -> None:
    """Draw a stratified sample of a release for people to judge: in `winnow explore`, page Audit, or in a CSV. The same
    seed draws the same clips; the next release reports what the verdicts say."""
    from winnow.audit.sampling import AuditParams, add, draw, strata_of, write_csv

    lake, settings = deployment()
    params = AuditParams(**{**given, "by": tuple(given["by"])})  # type: ignore[arg-type,call-overload]
    rows = draw(lake, release_id, params)
    done = add(lake, rows, params)
    for one in strata_of(rows):
        click.echo(f"{one['drawn']:6} of {one['population']:9}  {one['stratum']}", err=True)
    said = {"audit": rows[0]["audit"], "release": rows[0]["release"], "clips": len(rows), "strata": strata_of(rows)}
    if out is not None:
        write_csv(out, rows)
        said["out"] = str(out)
    if clips is not None:
        from winnow.explorer.context import ExplorerContext
        from winnow.explorer.tasks import write_files

        context = ExplorerContext(lake, settings)
        said["files"] = write_files(context, context.releases.get(str(said["release"])), rows, clips, residuals=True)
    answer({**said, "file": done["file"], "computed": done["computed"]})
