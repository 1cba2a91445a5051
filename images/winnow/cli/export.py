"""`winnow export`: a published release in the files of one dataset family."""

from __future__ import annotations

from pathlib import Path

import click

from winnow.cli.common import answer, deployment


@click.command()
@click.argument("family")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write into.")
@click.option("--release", "release_id", help="A release's id; the current one by default.")
def export(family: str, out: Path, release_id: str | None) -> None:
    """Write the files of FAMILY (acav, audioscope, avel, avset; removed: the ids that were dropped) from a published
    release."""
    from winnow import exports
    from winnow.release import publish

    folder = publish.folder(deployment()[0], release_id)
    files = exports.write(family, folder / "tables", out)
    answer({"family": family, "release": folder.name, "out": str(out), "files": files})
