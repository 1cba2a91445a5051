"""`winnow benchmark features | sets | train | evaluate | collect | all`: what models learn from a release, beside what
they learn from as many random candidates, rejected clips, and clips that score highest.

The DAG `benchmark` runs the five steps; `all` runs them here, one after the other."""

from __future__ import annotations

from collections.abc import Callable

import click

from winnow.cli.common import answer, comma_list, deployment, table

_RELEASE = click.option("--release", "release_id", default="", help="A release's id; the current one by default.")
_PLAN = click.option("--plan", required=True, help="The plan that `winnow benchmark sets` answered.")
_CELL = click.option("--cell", required=True, help="task/model/set/seed, as in avel/cpsp/random/0.")


def _what(command: Callable) -> Callable:
    options = (
        _RELEASE,
        click.option(
            "--tasks", callback=comma_list, help="As in avel,retrieve; those of WINNOW_BENCHMARK_TASKS by default."
        ),
        click.option(
            "--models",
            callback=comma_list,
            help="Only these models; by default all of each task (avel: seven) but zeroshot and towers.",
        ),
        click.option("--preset", default="demo", show_default=True, help="A preset (demo, paper) or a YAML file."),
        click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option, over the preset's."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _drawn(command: Callable) -> Callable:
    options = (
        click.option(
            "--seeds", type=click.IntRange(1, 100), default=3, show_default=True, help="Draws and runs of each."
        ),
        click.option(
            "--size", type=click.IntRange(1), help="Most training clips of a set; the smallest set's by default."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@_what
def features(release_id: str, tasks: list[str], models: list[str], preset: str, settings: tuple[str, ...]) -> None:
    """Bring the vectors of a release's labelled clips into one store, or name the command that makes them."""
    lake, deployed = deployment()
    if not (asked := tasks or list(deployed.benchmark_tasks)):
        click.echo("winnow: no --tasks, and WINNOW_BENCHMARK_TASKS names none: nothing to do", err=True)
        answer({"no_tasks": True})
        return
    from winnow.train import plan as body

    name, found = body.features(lake, release_id or None, body.configs(asked, models, preset, settings))
    told = {task: {"clips": len(pool.id), "left_out": left} for task, (_, pool, left) in found.items()}
    answer({"release": name, "tasks": asked, "found": told})


@click.command()
@_what
@_drawn
def sets(
    release_id: str,
    tasks: list[str],
    models: list[str],
    preset: str,
    settings: tuple[str, ...],
    seeds: int,
    size: int | None,
) -> None:
    """Draw training sets of one size (release, random, rejected, top) and plan their runs."""
    from winnow.train import plan as body

    lake, deployed = deployment()
    answer(
        body.make(
            lake,
            release_id or None,
            tasks or list(deployed.benchmark_tasks),
            models=models,
            seeds=seeds,
            preset=preset,
            settings=settings,
            size=size,
        )
    )


@click.command()
@_PLAN
@_CELL
@click.option("--preset", help="Nothing here; on a cluster a pod gets a GPU for every preset but demo.")
def train(plan: str, cell: str, preset: str | None) -> None:
    """Train one cell of a plan; nothing where it is done."""
    from winnow.train import cells as body

    lake, deployed = deployment()
    answer(body.train(lake, deployed, plan, cell, note=_note))


@click.command()
@_PLAN
@_CELL
def evaluate(plan: str, cell: str) -> None:
    """Try one cell of a plan on test, once."""
    from winnow.train import cells as body

    lake, deployed = deployment()
    answer(body.evaluate(lake, deployed, plan, cell))


@click.command()
@_PLAN
def collect(plan: str) -> None:
    """Put the figures of a plan's cells into the corpus's table `run_metrics`, and show them."""
    from winnow.train import cells as body

    found = body.collect(deployment()[0], plan)
    table(found["results"], _COLUMNS)
    answer(found)


@click.command(name="all")
@_what
@_drawn
def all_(
    release_id: str,
    tasks: list[str],
    models: list[str],
    preset: str,
    settings: tuple[str, ...],
    seeds: int,
    size: int | None,
) -> None:
    """All five steps, without Airflow. What is done is not done again."""
    from winnow.train import cells
    from winnow.train import plan as plans

    lake, deployed = deployment()
    made = plans.make(
        lake,
        release_id or None,
        tasks or list(deployed.benchmark_tasks),
        models=models,
        seeds=seeds,
        preset=preset,
        settings=settings,
        size=size,
    )
    for number, cell in enumerate(made["cells"], 1):
        trained = cells.train(lake, deployed, made["plan"], cell)
        tried = cells.evaluate(lake, deployed, made["plan"], cell)
        done = "" if trained["computed"] else "  (was there)"
        _note(f"{number}/{len(made['cells'])}  {cell}  {tried['value']:.3f}  chance {tried['chance']:.3f}{done}")
    found = cells.collect(lake, made["plan"])
    table(found["results"], _COLUMNS)
    answer({**found, "tasks": made["tasks"], "cells": made["cells"]})


COMMANDS = (features, sets, train, evaluate, collect, all_)
#: Of the table for a person.
_COLUMNS = (
    "task",
    "model",
    "set",
    "mean",
    "low",
    "high",
    "chance",
    "ceiling",
    "gain",
    "gain_low",
    "gain_high",
    "verdict",
)


def _note(text: str) -> None:
    click.echo(text, err=True)
