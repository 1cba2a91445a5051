"""`winnow cluster` and `winnow select`: what looks at the corpus as a whole."""

from __future__ import annotations

from typing import Any

import click

from winnow.cli.common import answer, comma_list, deployment

_batches = click.option("--batches", callback=comma_list, help="Comma-separated keys; all admitted batches by default.")


@click.command()
@_batches
@click.option("--visual", default="visual", callback=comma_list, show_default=True, help="Stages or layers that see.")
@click.option("--audio", default="audio", callback=comma_list, show_default=True, help="Stages or layers that hear.")
@click.option(
    "--clusters",
    default=32,
    show_default=True,
    help="Centres a layer. From 256 on memory grows with them: "
    "6 bytes × 256 × clusters × the widest layer's values (half floats; 10 bytes of floats).",
)
@click.option("--seed", default=0, show_default=True)
@click.option("--whiten/--no-whiten", default=False, show_default=True, help="Divide by each dimension's deviation.")
@click.option("--keep/--refit", default=False, help="Keep the centres that are there; fit only where there are none.")
@click.option("--dry-run", is_flag=True, help="Say which batches and layers these are, and end.")
def cluster(
    batches: list[str],
    visual: list[str],
    audio: list[str],
    clusters: int,
    seed: int,
    whiten: bool,
    keep: bool,
    dry_run: bool,
) -> None:
    """Fit k-means centres of every feature layer and freeze them by their digest."""
    from winnow.fitting.cluster import cluster as body
    from winnow.selection.kmeans.centroids import KMeansParams

    lake, settings = deployment()
    params = KMeansParams(clusters=clusters, seed=seed, whiten=whiten)
    answer(body(lake, settings, batches, visual=visual, audio=audio, params=params, dry_run=dry_run, keep=keep))


@click.command()
@_batches
@click.option("--share", default=0.2, show_default=True, help="Share of the candidates that is put in order.")
@click.option("--size", type=int, help="How many are put in order, instead of a share.")
@click.option(
    "--among",
    type=click.Choice(["kept", "admitted"]),
    default="kept",
    show_default=True,
    help="Clips that the current release keeps, or all of the admitted batches.",
)
@click.option("--pairing", default="bipartite", show_default=True, help="combination, bipartite, diagonal, layer_<k> …")
@click.option("--weights", default="uniform", show_default=True, help="Of the pairs, by depth of their layers.")
@click.option(
    "--method",
    type=click.Choice(["batch", "exact", "mixture"]),
    default="batch",
    show_default=True,
    help="Greedy, or what a mixture of dependence and independence explains best.",
)
@click.option(
    "--preset",
    type=click.Choice(["default", "acav"]),
    default="default",
    show_default=True,
    help="Batch and take: 20 and 1, or 20 and 4 as in ACAV100M's released code.",
)
@click.option("--batch", type=int, help="Candidates that are looked at together, instead of the preset's.")
@click.option("--take", type=int, help="How many of them are taken, instead of the preset's.")
@click.option("--objective", default="mi", show_default=True, help="Measure of two clusterings; others are slow.")
@click.option("--seed", default=0, show_default=True)
@click.option("--incremental/--from-scratch", default=False, help="Keep the selection that is there, and add to it.")
def select(
    batches: list[str], incremental: bool, preset: str, batch: int | None, take: int | None, **values: Any
) -> None:
    """Order clips by the mutual information that they add between what is seen and what is heard."""
    from winnow.fitting.select import SelectParams
    from winnow.fitting.select import select as body
    from winnow.selection import PRESETS

    lake, _ = deployment()
    of_preset = PRESETS[preset]
    values |= {"batch": of_preset[0] if batch is None else batch, "take": of_preset[1] if take is None else take}
    answer(body(lake, batches, params=SelectParams(**values), incremental=incremental))
