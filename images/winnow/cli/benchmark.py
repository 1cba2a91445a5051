"""`winnow benchmark`: how well the methods do on data whose truth is known, and what models learn from a release."""

from __future__ import annotations

from pathlib import Path

import click

from winnow.cli import learning
from winnow.cli.common import answer

DATA = ("digits-rotated", "digits-flipped", "digits-spoken", "digits-held-out", "kinds-held-out")


def _names(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _methods(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(";") if part.strip())  # their names have commas


def _numbers(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in _names(ctx, param, value))
    except ValueError as error:
        raise click.BadParameter("whole numbers, separated by commas, are wanted") from error


@click.group()
def benchmark() -> None:
    """Of selection and scorers, on data whose truth is known; of a release, by what models learn from it."""


for _one in learning.COMMANDS:
    benchmark.add_command(_one)


@benchmark.command()
@click.option(
    "--data", callback=_names, default=",".join(DATA), show_default=True, help="Data sets; clips with --lake."
)
@click.option("--lake", "lake_root", help="Also clips of this lake's current release, their labels as classes.")
@click.option("--variants", callback=_names, default="chance,distinct,samples", show_default=True)
@click.option("--methods", callback=_methods, default="", help="Only methods that begin so, separated by ';'.")
@click.option("--clusters", callback=_numbers, default="10,32", show_default=True, help="Clusters of k-means, each.")
@click.option("--seeds", callback=_numbers, default="0,1,2,3,4", show_default=True, help="One run each.")
@click.option(
    "--per-class",
    type=click.IntRange(10, 2000),
    default=300,
    show_default=True,
    help="Samples of a digit; ten times as many in all.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("benchmark"), show_default=True)
@click.option(
    "--work", type=click.Path(path_type=Path, file_okay=False), help="Keeps spoken digits; OUT/work by default."
)
def retrieval(
    data: tuple[str, ...],
    lake_root: str | None,
    variants: tuple[str, ...],
    methods: tuple[str, ...],
    clusters: tuple[int, ...],
    seeds: tuple[int, ...],
    per_class: int,
    out: Path,
    work: Path | None,
) -> None:
    """Half of the pairs are shuffled: which method finds the true ones? Table, CSV, JSON and plot into OUT."""
    from winnow.benchmark.command import retrieval as body

    def note(text: str) -> None:
        click.echo(text, err=True)

    answer(
        body(
            data=data,
            lake_root=lake_root,
            variants=variants,
            methods=methods,
            clusters=clusters,
            seeds=seeds,
            per_class=per_class,
            out=out,
            work=work or out / "work",
            note=note,
        )
    )


@benchmark.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--without", callback=_names, default="", help="Parts of paths that are left out, as in symbols,cartoon.")
@click.option(
    "--seeds", callback=_numbers, default="0,1,2,3,4,5,6,7,8,9", show_default=True, help="Divisions into folds."
)
def pairs(folder: Path, without: tuple[str, ...], seeds: tuple[int, ...]) -> None:
    """Pictures of FOLDER, each with a sound of its name beside it: can `ridge` tell which belong together? Fitted and
    judged in four folds, against the same sounds shuffled: AUC, retrieval, precision and recall of the rule at its
    threshold, and the calibration curve. Needs `winnow weights install efficientnet-lite0 yamnet`."""
    from winnow.benchmark.pairs import pairs as body
    from winnow.cli.common import deployment, table

    found = body(folder, deployment()[1].weights, without=without, seeds=seeds)
    names = ("auc", "auc_low", "auc_high", "recall_1", "recall_5", "precision", "recall", "false_accept")
    table([{"pairs": kind, **found[kind]} for kind in ("ridge", "shuffled")], ("pairs", *names))
    table(found["curve"], ("from", "to", "pairs", "true_pairs", "said", "share_true"))
    answer(found)


@benchmark.command()
@click.option("--labels", required=True, metavar="vggsounder|FILE", help="VGGSounder's list, or a CSV of its form.")
@click.option("--wheel", type=click.Path(path_type=Path), help="VGGSounder's wheel, where there is no registry.")
@click.option("--release", help="By default the current one.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the intervals' resamples.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("benchmark"), show_default=True)
def truth(labels: str, wheel: Path | None, release: str | None, seed: int, out: Path) -> None:
    """Hold a release's rules against what people say of its videos: what is heard, what is seen, what was laid over it.

    Labels of 15,069 videos of VGGSound's test set are read out of the wheel of vggsounder 1.0, which pip brings; a CSV
    has its columns: video_id, label, modality (A, V, AV), background_music, static_image, voice_over (True, False).
    Precision, recall and F1 with intervals over videos, by rule, by class and at other thresholds, as CSVs into OUT.
    Where a rule cannot know, its answer is unknown, with the reason."""
    from winnow.benchmark.truth import truth as body
    from winnow.cli.common import deployment, table

    found = body(deployment()[0], labels, out=out, wheel=wheel, release=release, seed=seed)
    rows = [{"rule": name, **row, "unknown": sum(row["unknown"].values())} for name, row in found["rules"].items()]
    table(rows, ("rule", "cases", "unknown", "positives", "precision", "recall", "f1", "f1_low", "f1_high"))
    answer(found)
