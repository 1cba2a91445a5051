"""`winnow export`: a published release as files that loaders read: its kept clips, or the lists of a dataset family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from winnow.cli.common import answer, deployment
from winnow.core.errors import ConfigError


@click.command()
@click.argument("what")
@click.option("--to", "--out", "to", required=True, help="Folder to write into; of clips also s3://bucket/prefix.")
@click.option("--release", "release_id", help="A release's id; the current one by default.")
@click.option("--split", "splits", multiple=True, help="clips: only this split; may be given more than once.")
@click.option("--format", "form", help="clips: webdataset (default), folder or parquet.")
@click.option("--shard-mb", type=int, help="clips: media a shard, MB (256 by default).")
@click.option(
    "--media",
    help="clips: whose files come along: shareable (by their licence; default), all (for use "
    "in one place) or none. The others are references.",
)
@click.option("--jobs", type=int, help="clips: processes; as many as there are CPUs by default.")
def export(
    what: str,
    to: str,
    release_id: str | None,
    splits: tuple[str, ...],
    form: str | None,
    shard_mb: int | None,
    media: str | None,
    jobs: int | None,
) -> None:
    """Write WHAT of a published release: `clips`, its kept clips for training, or the files of a dataset family (acav,
    audioscope, avel, avset; removed: the ids that were dropped)."""
    lake, _ = deployment()
    if what == "clips":
        from winnow.delivery.options import Options
        from winnow.delivery.run import export as body
        from winnow.release.takedown import held

        given: dict[str, Any] = {"splits": splits or None, "format": form, "media": media}
        if shard_mb is not None:
            given["shard_bytes"] = shard_mb << 20
        options = Options(**{name: value for name, value in given.items() if value is not None})
        done = body(lake, to, options, release_id, jobs)
        if taken := held(lake, done["release"]):
            click.echo(
                f"winnow: {taken} clips of release {done['release']} were taken down after it was published. Do not "
                "pass this export on: run `winnow release`, and export that one to another folder",
                err=True,
            )
        answer(done | {"taken_down": taken})
        return
    if splits or form or media or shard_mb is not None or jobs is not None:
        raise ConfigError(
            f"--split, --format, --shard-mb, --media and --jobs are of `winnow export clips`, not of {what}"
        )
    from winnow import exports
    from winnow.release import publish

    folder = publish.folder(lake, release_id, ("tables",))
    files = exports.write(what, folder / "tables", Path(to))
    answer({"family": what, "release": folder.name, "out": to, "files": files})
