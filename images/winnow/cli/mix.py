"""`winnow mix`: the mixtures of a release, cut for stage `mix` and, when asked, rendered and checked here."""

from __future__ import annotations

import json
from contextlib import nullcontext

import click

from winnow.cli.common import answer, deployment, load


@click.command()
@click.option("--release", "release_id", help="A release's id; the current one by default, or if empty.")
@click.option("--batch", help="Batch to put them into; mix-<release> by default.")
@click.option("--shard-size", default=64, show_default=True, help="Mixtures a shard.")
@click.option("--render", is_flag=True, help="Render and gate them in this process too, as the DAG `mix` does.")
@click.option(
    "--params", default="{}", help='With --render: JSON of stage mix\'s parameters, as in {"rate_hz": 16000}.'
)
def mix(release_id: str | None, batch: str | None, shard_size: int, render: bool, params: str) -> None:
    """Cut a release's mixtures of mixtures (AudioScope) into shards, those whose two clips have media in the lake.

    Rendered mixtures lie in the lake as WebDataset tars, <lake>/mix/v=…/batch=mix-<release>/*.tar."""
    from winnow.core.child import Keeper

    try:
        values = json.loads(params)
    except json.JSONDecodeError as error:
        raise click.BadParameter(f"--params: not JSON: {error}") from error
    with Keeper(load()) if render else nullcontext() as keeper:  # before anything starts a thread
        from winnow.batch.mixture_plan import cut

        lake, settings = deployment()
        done = cut(lake, release_id or None, batch, shard_size)
        if keeper is not None:
            from winnow.gates import gate_batch

            done["mix"] = keeper.run_stage(lake, "mix", str(done["batch"]), values, settings)
            done["gate"] = gate_batch([str(done["batch"])], settings, lake)
        answer(done)
