"""The command line. Each command's body lives in its module and is imported when called: `winnow run` must start fast,
because a task that finds its work done should cost next to nothing.

The last line on stdout is one JSON object for the caller (Airflow, a script); everything for a person goes to stderr.
"""

from __future__ import annotations

import os

from winnow.core import cpu, errors, extras, own_fault

# Results must depend neither on the CPU nor on how many cores a pod has: libraries read it once, when they load.
cpu.pin()
# No library phones home: Great Expectations, dbt, and whatever honours the common flag.
os.environ.update(GX_ANALYTICS_ENABLED="false", DBT_SEND_ANONYMOUS_USAGE_STATS="false", DO_NOT_TRACK="1")

import sys  # noqa: E402
from dataclasses import asdict  # noqa: E402
from importlib import import_module  # noqa: E402
from typing import NoReturn  # noqa: E402

import click  # noqa: E402

from winnow import __version__  # noqa: E402
from winnow.cli.common import (  # noqa: E402
    StageCommand,
    answer,
    answering_in_part,
    batch_option,
    comma_list,
    deployment,
    json_object,
    load,
)

#: Candidates that failed which `curate` names at its end.
MAX_FAILED = 20
#: Modules of winnow.fitting that fit a scorer.
_FITS = {"builtin": "fit", "two_tower": "fit_two_tower", "ridge": "fit_ridge"}


class _Lazy(click.Group):
    """A group some of whose commands lie in modules of their own, which are imported when one is asked for."""

    modules = {
        "annotate": "annotate",
        "audit": "audit",
        "benchmark": "benchmark",
        "calibrate": "calibrate",
        "clean": "care",
        "cluster": "corpus",
        "evaluate": "train",
        "explore": "explore",
        "export": "export",
        "metrics": "metrics",
        "mix": "mix",
        "releases": "releases",
        "retry": "care",
        "runs": "train",
        "select": "corpus",
        "sql": "look",
        "status": "look",
        "takedown": "care",
        "train": "train",
        "verify": "care",
        "weights": "weights",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self.modules])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.modules:
            return getattr(import_module(f"winnow.cli.{self.modules[cmd_name]}"), cmd_name)
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="winnow")
def cli() -> None:
    """Curate audio-visual datasets. The environment (WINNOW_…) says where the lake is and what may be fetched."""


@cli.command()
@batch_option
def ingest(batch: str) -> None:
    """Turn what lies in <inbox>/<batch>/ into the batch's candidates."""
    from winnow.batch.ingest import ingest as body

    lake, settings = deployment()
    with answering_in_part():
        answer(body(batch, settings, lake))


@cli.command()
@batch_option
@click.option("--shard-size", default=16, show_default=True, help="Candidates a shard.")
def plan(batch: str, shard_size: int) -> None:
    """Cut the accepted candidates into numbered shards."""
    from winnow.batch.plan import plan as body

    answer(body(deployment()[0], batch, shard_size))


@cli.command(cls=StageCommand)
@click.argument("stage")
@batch_option
@click.option("--part", default=0, show_default=True, help="This process's part, from 0.")
@click.option("--parts", default=1, show_default=True, help="Into how many parts the shards fall.")
@click.option("--params", default="{}", callback=json_object, help="JSON of the stage's parameters.")
@click.option(
    "--retry-reasons", callback=comma_list, help="Try rows again that failed for these, e.g. timeout,refused."
)
@click.option("--if-fitted", is_flag=True, help="Do nothing, and say so, while the stage's model is not fitted yet.")
def run(stage: str, batch: str, part: int, parts: int, params: dict, retry_reasons: list[str], if_fitted: bool) -> None:
    """Run STAGE over the shards of a batch that are not done. `winnow run STAGE --help` lists the stage's
    parameters."""
    from winnow.core.child import Children, Task

    with Children(load()) as children:  # which open the lake themselves: what is forked must not have done so
        answer(children.run(Task(stage, batch, params, part, parts, tuple(retry_reasons), if_fitted)))


@cli.command()
@batch_option
@click.option("--params", default="{}", callback=json_object, help='JSON of stage parameters by stage: {"clip": {…}}.')
@click.option("--shard-size", default=16, show_default=True, help="Candidates a shard.")
@click.option(
    "--retry-reasons", callback=comma_list, help="Fetch rows again that failed for these, e.g. timeout,refused."
)
@click.option("--allow-failed", is_flag=True, help="End with 0 although candidates failed, where that is everyday.")
@click.option("--dry-run", is_flag=True, help="Say what would be computed, and why; change nothing.")
@click.option("--yes", is_flag=True, help="On a terminal, do not ask before finished work is done again.")
def curate(
    batch: str, params: dict, shard_size: int, retry_reasons: list[str], allow_failed: bool, dry_run: bool, yes: bool
) -> None:
    """All steps of one batch, from ingest to gate, without Airflow. Where candidates failed they are named at the end
    and the exit code is 65; all else is committed. Parameters that a lake or a batch always has stand in its
    `winnow.toml`. On a terminal it asks before other parameters have finished work done again."""
    from winnow.core.child import Keeper

    with answering_in_part("ingest"), Keeper(load()) as keeper:  # before anything starts a thread
        from winnow.batch.curate import curate as body
        from winnow.batch.failures import failures

        lake, settings = deployment()
        if dry_run or (sys.stdin.isatty() and not yes):
            from winnow.batch.preview import lines, preview
            from winnow.batch.windows import dropped_by_length

            found = preview(lake, settings, batch, params)
            if dry_run:
                click.echo("\n".join(lines(found) + dropped_by_length(lake, settings, batch, params)), err=True)
                answer({"batch": batch, "would": [asdict(one) for one in found]})
                return
            if again := [one for one in found if one.params]:
                click.echo("\n".join(lines([one for one in found if one.is_again])), err=True)
                click.confirm(f"{again[0].stage} had other parameters. Compute all this again?", abort=True, err=True)
        answer(
            body(
                batch,
                settings,
                lake,
                params=params,
                shard_size=shard_size,
                retry=tuple(retry_reasons),
                run=keeper.run_stage,
            )
        )
    if failed := failures(lake, batch):
        more = [f"and {len(failed) - MAX_FAILED} more"] if len(failed) > MAX_FAILED else []
        last = (
            f"winnow: {batch}: {len(failed)} candidates failed, or some of their clips did; all else is committed. "
            f"`winnow status --batch {batch}` says what to do about each"
        )
        click.echo("\n".join((*map(str, failed[:MAX_FAILED]), *more, last)), err=True)
        if not allow_failed:
            sys.exit(errors.EXIT_CONTRACT)


@cli.command()
@click.option("--batches", required=True, callback=comma_list, help="Comma-separated keys of measured batches.")
@click.option(
    "--scorer",
    type=click.Choice(list(_FITS)),
    default="builtin",
    show_default=True,
    help="two_tower: contrastive, needs torch; ridge: from efficientnet's vectors to yamnet's.",
)
@click.option("--seed", default=0, show_default=True)
@click.option("--if-unfitted/--always", default=False, help="Keep the scorer that is in use, if there is one.")
def fit(batches: list[str], scorer: str, seed: int, if_unfitted: bool) -> None:
    """Fit a correspondence scorer on named batches and freeze it by its digest."""
    module = import_module(f"winnow.fitting.{_FITS[scorer]}")
    lake, _ = deployment()
    if if_unfitted and (model := lake.model_current(module.MODEL)):
        answer({"scorer": scorer, "model": model, "batches": batches, "computed": False})
        return
    fitted = module.fit(lake, batches, seed=seed)
    quality = fitted.get("quality")
    if quality and not quality["is_trusted"]:
        click.echo(
            "winnow fit: this scorer cannot be trusted. On clips that it was not fitted on it tells pairs from "
            f"mismatches with an AUC of {quality['auc']} ({quality['auc_low']} to {quality['auc_high']}; chance is "
            f"0.5, p = {quality['p_value']}), on {quality['clips']} clips of {quality['groups']} videos. What it keeps "
            "and drops is near chance: fit it on more and more varied videos.",
            err=True,
        )
    answer(fitted)


@cli.command()
@click.option("--batches", required=True, callback=comma_list, help="Comma-separated keys of measured batches.")
@click.option(
    "--params", default="{}", callback=json_object, help='JSON of stage parameters by stage: {"yamnet": {…}}.'
)
@click.option("--refit", is_flag=True, help="Fit the map on these batches although one is fitted.")
@click.option("--seed", default=0, show_default=True)
def score(batches: list[str], params: dict, refit: bool, seed: int) -> None:
    """Score batches by the networks that `winnow weights install` brings: encode, fit the map between them, score,
    calibrate, gate. Other scorers: the DAG `score`."""
    from winnow.batch.score import score as body

    lake, settings = deployment()
    answer(body(batches, settings, lake, refit=refit, seed=seed, params=params))


@cli.command()
@click.option("--point", type=click.Choice(["fetch", "separate"]), default="fetch", show_default=True)
@batch_option
def decide(point: str, batch: str) -> None:
    """Let dbt decide, at a point inside a batch's flow: what to fetch, or whose sound to separate."""
    from winnow.batch.decide import decide_fetch, decide_separate

    lake, settings = deployment()
    answer((decide_fetch if point == "fetch" else decide_separate)(batch, settings, lake))


@cli.command()
@click.option(
    "--batch", "batches", required=True, callback=comma_list, help="Comma-separated keys of measured batches."
)
def gate(batches: list[str]) -> None:
    """Check the stage tables of batches with Great Expectations; admit them to releases."""
    from winnow.gates import gate_batch

    lake, settings = deployment()
    answer(gate_batch(sorted(batches), settings, lake))


@cli.command()
@batch_option
@click.option("--release", "ids", callback=comma_list, help="Comma-separated ids that may go on as they are.")
@click.option("--why", default="", help="Why they may: written down, and wanted with --release.")
def quarantine(batch: str, ids: list[str], why: str) -> None:
    """List the rows of a batch that its gate set aside; with --release, let some go on and gate the batch again."""
    from winnow.gates import gate_batch
    from winnow.gates.quarantine import quarantine as body

    lake, settings = deployment()
    found = body(lake, batch, ids, why)
    if ids:
        gate_batch([batch], settings, lake)
        found = body(lake, batch)
    answer(found)


@cli.command()
@click.option("--trust", "model", help="Let this scorer decide, by its digest, although it measures near chance.")
@click.option("--why", default="", help="Why it may: written down and published; an empty one takes it back.")
def scorers(model: str | None, why: str) -> None:
    """How good each fitted correspondence scorer is, and which decides for whose reason though it is near chance."""
    from winnow.release.scorers import scorers as body
    from winnow.release.scorers import trust

    lake, _ = deployment()
    if model:
        trust(lake, model, why)
    answer({"scorers": body(lake)})


@cli.command()
@click.argument("step", type=click.Choice(["all", "build", "gate", "report", "publish"]), default="all")
@click.option(
    "--policy", type=click.Choice(["hash", "quota"]), default="hash", show_default=True, help="How splits are assigned."
)
def release(step: str, policy: str) -> None:
    """Build, gate, report and publish a release of all admitted batches (STEP: one of these; all by default)."""
    from winnow.release.steps import release as body

    lake, settings = deployment()
    answer(body(lake, settings, step=step, policy=policy))


@cli.command()
@click.option("--release", "release_id", help="A release's id; the current one by default.")
def report(release_id: str | None) -> None:
    """Say where the published report lies."""
    from winnow.release.publish import report_path

    answer({"report": str(report_path(deployment()[0], release_id))})


@cli.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> None:
    """The main job from end to end on a small world whose truth is known (`winnow demo --help`)."""
    from winnow.demo import main as body

    sys.exit(body(list(arguments)))


def main() -> None:
    """Entry point: a WinnowError ends the process with its exit code and its message, nothing else."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(errors.EXIT_CONFIG)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except errors.WinnowError as error:
        _end(error)
    except Exception as error:
        if fault := own_fault.of(error) or extras.missing(error):
            _end(fault)
        raise


def _end(error: errors.WinnowError) -> NoReturn:
    click.echo(f"winnow: {type(error).__name__}: {error}", err=True)
    sys.exit(error.exit_code)
