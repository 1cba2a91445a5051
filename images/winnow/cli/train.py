"""`winnow train`, `winnow evaluate`, `winnow runs`: what a model learns from a release."""

from __future__ import annotations

import sys

import click

from winnow.cli.common import answer, comma_list, deployment, table
from winnow.core.errors import ConfigError

_TASK = click.argument("task")


@click.command()
@_TASK
@click.option("--run", required=True, help="Name of the run, e.g. cpsp-1.")
@click.option("--release", "release_id", help="A release's id; the current one by default.")
@click.option("--config", "source", help="A preset (demo, paper) or a YAML file.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option, over the preset's.")
@click.option("--model", help="Which model of the task.")
@click.option("--supervision", type=click.Choice(["full", "weak"]), help="avel: labels by second, or of the clip.")
@click.option("--faithful", callback=comma_list, help="Deviations of released code to switch back on, by commas.")
def train(
    task: str,
    run: str,
    release_id: str | None,
    source: str | None,
    settings: tuple[str, ...],
    model: str | None,
    supervision: str | None,
    faithful: list[str],
) -> None:
    """Train a model of TASK on a release and keep it as a run.

    Tasks: avel, parse, retrieve, contrast, probe, onscreen, query-separate."""
    from winnow.train.config import load

    config = load(task, source, settings, faithful, model, supervision)
    lake, deployed = deployment()
    from winnow.train.tasks import task_module

    task_module(task)
    from winnow.train.fit import train as body

    answer(body(lake, deployed, task, config, run=run, release=release_id, note=_note))


@click.command()
@_TASK
@click.option("--run", required=True, help="Name of the run.")
@click.option("--split", default="test", show_default=True, help="train, val or test. Every look at test is kept.")
@click.option("--release", "release_id", help="Another release with the same classes; the run's own by default.")
@click.option("--config", "source", help="Of a probe that is trained first: a preset (demo, paper) or a YAML file.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Of a probe that is trained first.")
def evaluate(
    task: str, run: str, split: str, release_id: str | None, source: str | None, settings: tuple[str, ...]
) -> None:
    """Score a run of TASK on a split of its release. Task probe takes a run of contrast too: a linear layer is trained
    on it first, under the same name."""
    from winnow.train.tasks import task_module

    task_module(task)
    lake, deployed = deployment()
    if task == "probe":
        from winnow.train.probing import probe

        found = probe(lake, deployed, run, split, release_id, source=source, options=settings, note=_note)
    else:
        from winnow.train.evaluate import evaluate as body

        if source or settings:
            raise ConfigError(f"--config and --set are of task probe; run {run} keeps the options it was trained with")
        found = body(lake, deployed, task, run, split, release_id)
    if "warning" in found:
        click.echo(f"winnow: {found['warning']}", err=True)
    answer(found)


@click.group()
def runs() -> None:
    """List, show and compare what was trained."""


@runs.command("list")
@click.option("--task", help="Only of this task.")
def list_(task: str | None) -> None:
    """All runs: model, release, figures with chance beside them, looks at test."""
    from winnow.train import runs as body

    lake, _ = deployment()
    rows = [body.summary(lake, card) for card in body.listed(lake, task)]
    figures = ("metric", "val", "test", "test_chance", "test_looks", "faithful")
    table(rows, ("task", "run", "model", "supervision", *figures))
    answer({"runs": rows})


@runs.command()
@_TASK
@click.option("--run", required=True, help="Name of the run.")
def show(task: str, run: str) -> None:
    """A run's card, figures and looks at test."""
    from winnow.train import runs as body

    one = body.Run(deployment()[0], task, run)
    card = one.card()
    answer({**card, "metrics": {s: one.metrics(s) for s in ("val", "test")}, "test_looks": one.looks()})


@runs.command()
@_TASK
@click.option("--runs", "names", required=True, callback=comma_list, help="Comma-separated names, the reference first.")
@click.option("--split", type=click.Choice(["val", "test"]), default="test", show_default=True)
def compare(task: str, names: list[str], split: str) -> None:
    """Figures of runs of TASK beside each other, as differences from the first."""
    from winnow.train import runs as body

    if len(set(names)) != len(names):
        raise ConfigError("--runs names a run twice")
    found = body.compare(deployment()[0], task, names, split)
    table(found["runs"], ("run", "model", "seed", "value", "over_first", "test_looks"))
    answer(found)


def _note(text: str) -> None:
    """A line for a person; on a terminal over the bar, which is drawn again below."""
    over = "\r\x1b[K" if sys.stderr.isatty() else ""
    click.echo(over + text, err=True)
