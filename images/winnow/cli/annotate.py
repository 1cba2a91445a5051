"""`winnow annotate`: what people say comes in, and what they are to be asked goes out."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from winnow.cli.common import answer, deployment
from winnow.core.spreadsheet import harmless

if TYPE_CHECKING:
    from winnow.sources.row import Row

FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
REVIEWER = click.option("--reviewer", help="Who answered, where the file does not say.")
REFUSED = click.option(
    "--refused",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV for the rows that cannot be used, each with its reason.",
)
#: How much of a file says what it is, bytes.
HEAD_BYTES = 64 * 1024
#: Bad rows that are printed; the rest is counted.
SHOWN = 50
#: Rows that become one file of the corpus.
PIECE = 200_000


@click.group()
def annotate() -> None:
    """Bring in ratings, verdicts, segment labels and published splits; propose labels; write tasks for a labelling
    tool."""


@annotate.command("import")
@FILE
@REVIEWER
@REFUSED
@click.pass_context
def import_any(ctx: click.Context, file: Path, reviewer: str | None, refused: Path | None) -> None:
    """Add FILE, whatever it is: verdicts of an audit, ratings, segment labels, splits or the ontology, by what it looks
    like."""
    from winnow.annotations import avel_splits, label_studio, verdicts, yfcc_splits
    from winnow.core.errors import ConfigError

    with file.open("rb") as opened:
        head = opened.read(HEAD_BYTES).decode("utf-8-sig", "replace")
    first = head.partition("\n")[0].lower()
    if verdicts.looks_like(head):
        ctx.invoke(import_verdicts, file=file, reviewer=reviewer, refused=refused)
    elif head.lstrip().startswith("[") and '"child_ids"' in head:
        ctx.invoke(import_ontology, file=file)
    elif "onscreen" in (head if label_studio.looks_like(head) else first).lower().replace("-", "").replace("_", ""):
        ctx.invoke(import_ratings, file=file)
    elif label_studio.looks_like(head) or "second_0" in first:
        ctx.invoke(import_labels, file=file)
    elif avel_splits.looks_like(file, head) or yfcc_splits.split_of(file.name):
        ctx.invoke(import_splits, file=file, family=None)
    else:
        known = "import-verdicts, import-ratings, import-labels or import-splits"
        raise ConfigError(f"{file} looks like nothing that is known: try {known}, which say what they miss")


@annotate.command("import-verdicts")
@FILE
@REVIEWER
@REFUSED
def import_verdicts(file: Path, reviewer: str | None, refused: Path | None) -> None:
    """Add the verdicts of FILE: the CSV that `winnow audit --out` wrote, filled in. Lines without a verdict are passed
    over; one about a clip that no audit drew is refused."""
    from winnow.annotations.verdicts import Drawn, read_verdicts

    drawn = Drawn.of(deployment()[0])
    take(file, "verdict", lambda path: read_verdicts(path, drawn, reviewer), refused)


@annotate.command("import-ratings")
@FILE
def import_ratings(file: Path) -> None:
    """Add the ratings of FILE (CSV, or Label Studio's JSON): on-screen and off-screen sound, by clip and rater."""
    from winnow.annotations.ratings import read_ratings

    take(file, "rating", read_ratings)


@annotate.command("import-labels")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
def import_labels(file: Path) -> None:
    """Add the segment labels of FILE, or of a folder: our CSV, Label Studio's JSON, or the files of AVE, VGGSound-AVEL
    and LLP as their authors publish them."""
    from winnow.annotations.segment_labels import read_labels

    take(file, "segment_label", read_labels)


@annotate.command("import-splits")
@FILE
@click.option("--family", type=click.Choice(["audioscope", "avel"]), help="By default what the file looks like.")
def import_splits(file: Path, family: str | None) -> None:
    """Add the splits that a published list gives, so that the release keeps them: one of AudioScope or MixIT, or one of
    AVE, VGGSound-AVEL or LLP (--family avel)."""
    from winnow.annotations import avel_splits, yfcc_splits

    with file.open("rb") as opened:
        head = opened.read(HEAD_BYTES).decode("utf-8-sig", "replace")
    if family is None:
        family = "avel" if avel_splits.looks_like(file, head) else "audioscope"
    take(file, "given_split", (avel_splits if family == "avel" else yfcc_splits).read_splits)


@annotate.command("import-ontology")
@FILE
def import_ontology(file: Path) -> None:
    """Make FILE (AudioSet's ontology.json) the corpus's ontology: releases publish it, and write it beside the files of
    AVSET-10M as it was given, byte for byte."""
    from winnow.annotations.ontology import read_ontology
    from winnow.core import corpus_table
    from winnow.core.lake import sha256_file

    lake, _ = deployment()
    provenance = {"by": "winnow annotate import-ontology", "source": file.name, "sha256": sha256_file(file)}
    answer(
        corpus_table.replace(
            lake, "ontology", [row.values for row in read_ontology(file) if row.values], provenance=provenance
        )
    )


@annotate.command()
@click.option("--batches", help="Comma-separated keys of measured batches; all admitted ones by default.")
@click.option("--least-z", type=float, help="Below this correspondence nothing is proposed.")
def propose(batches: str | None, least_z: float | None) -> None:
    """Propose in which seconds of each clip its event is both heard and seen, for people to confirm or correct."""
    from dataclasses import asdict

    from winnow.annotations.proposals import ProposalParams
    from winnow.annotations.proposals import propose as body
    from winnow.core import corpus_table

    lake, _ = deployment()
    params = ProposalParams() if least_z is None else ProposalParams(least_z=least_z)
    found = body(lake, [key.strip() for key in (batches or "").split(",") if key.strip()] or None, params)
    for why, clips in found.passed_over.items():
        click.echo(f"{clips} clips without a proposal: {why}", err=True)
    said = {"proposals": len(found.rows), "passed_over": found.passed_over, "annotators": found.annotators}
    if not found.rows:
        answer({**said, "computed": False})
        return
    done = corpus_table.add(
        lake, "segment_label", found.rows, provenance={"by": "winnow annotate propose", "params": asdict(params)}
    )
    click.echo(f"{len(found.rows)} proposals {'added' if done['computed'] else 'were there already'}", err=True)
    answer({**said, "file": done["file"], "computed": done["computed"]})


@annotate.command("export-tasks")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write into.")
@click.option(
    "--media",
    default="/data/local-files/?d=clips/",
    show_default=True,
    help="Under which address the labelling tool finds <sample_id>.mp4.",
)
@click.option("--limit", type=click.IntRange(1), help="At most so many clips.")
@click.option("--clips/--no-clips", default=True, show_default=True, help="Whether to write the clips' files too.")
def export_tasks(out: Path, media: str, limit: int | None, clips: bool) -> None:
    """Write clips that nobody annotated yet as tasks for Label Studio: tasks.json, interface.xml and clips/. What comes
    back (export as JSON) is read by import-labels. Its variable LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT names --out."""
    from winnow.explorer.tasks import export

    lake, settings = deployment()
    answer(export(lake, settings, out, media=media, limit=limit, clips=clips))


def take(file: Path, table: str, read: Callable[[Path], Iterator[Row]], refused: Path | None = None) -> None:
    """Add the good rows of a file to a corpus table, piece by piece, and print the bad ones with their reasons (and
    write them to `refused`, all of them), then the counts. A file without one good row is a ContractError: it is
    another kind of file."""
    from winnow.core import corpus_table
    from winnow.core.errors import ContractError
    from winnow.core.lake import sha256_file

    lake, _ = deployment()
    provenance: dict[str, object] = {"by": "winnow annotate", "source": file.name}
    if file.is_file():
        provenance["sha256"] = sha256_file(file)
    counts = {"rows": 0, "bad": 0}
    added = []
    with refused.open("w", encoding="utf-8", newline="") if refused else nullcontext() as opened:
        for piece in pieces(_good(file, read(file), counts, opened)):
            added.append(corpus_table.add(lake, table, piece, provenance=provenance))
            counts["rows"] += len(piece)
    if counts["bad"] > SHOWN:
        click.echo(f"{file}: … and {counts['bad'] - SHOWN} more bad rows", err=True)
    if not added:
        what = f"{file} has no row that could be used ({counts['bad']} bad ones)"
        raise ContractError(f"{what}: is it the right kind of file? See `winnow annotate --help`")
    new = any(done["computed"] for done in added)
    click.echo(
        f"{table}: {counts['rows']} rows {'added' if new else 'were there already'}, {counts['bad']} bad", err=True
    )
    answer({"table": table, **counts, "files": [done["file"] for done in added], "computed": new, "source": file.name})


def pieces(rows: Iterator[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    """Rows in lists of PIECE, so that a list of millions needs no memory for all of them."""
    while piece := list(islice(rows, PIECE)):
        yield piece


def _good(
    file: Path, found: Iterator[Row], counts: dict[str, int], refused: TextIO | None
) -> Iterator[dict[str, object]]:
    """Values of the good rows; bad ones are counted and, up to SHOWN, printed, and all written to `refused`."""
    writer = csv.writer(refused, lineterminator="\n") if refused else None
    if writer:
        writer.writerow(("row", "problem"))
    for row in found:
        if row.values is not None:
            yield dict(row.values)
            continue
        counts["bad"] += 1
        if writer:
            writer.writerow((row.number, harmless(row.problem)))
        if counts["bad"] <= SHOWN:
            click.echo(f"{file}: row {row.number}: {row.problem}", err=True)
