"""`winnow calibrate`: distributions of scorers over pairs that belong together and pairs that do not."""

from __future__ import annotations

import click

from winnow.cli.common import answer, comma_list, deployment


@click.command()
@click.option("--batches", required=True, callback=comma_list, help="Comma-separated keys of scored batches.")
@click.option(
    "--scorers",
    default="",
    callback=comma_list,
    help="builtin, semantic, sync, bridge, two_tower, ridge, joint; all by default.",
)
@click.option(
    "--basis",
    type=click.Choice(["auto", "labels", "videos"]),
    default="auto",
    show_default=True,
    help="What makes two clips non-corresponding: no label in common, or being of two videos.",
)
@click.option("--clips", default=20_000, show_default=True, help="Clips that pairs are drawn from, at most.")
@click.option("--seed", default=0, show_default=True)
def calibrate(batches: list[str], scorers: list[str], basis: str, clips: int, seed: int) -> None:
    """Measure how every scorer scores corresponding, random and non-corresponding pairs."""
    from winnow.fitting.calibrate import calibrate as body
    from winnow.models import single_threaded

    single_threaded()
    answer(body(deployment()[0], batches, scorers, basis=basis, clips=clips, seed=seed))
