"""`winnow metrics`: scores of a model's answers, from files; what the files hold is told in `winnow.metrics.files`."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from winnow.cli.common import answer, comma_list
from winnow.core.errors import ConfigError, ContractError
from winnow.core.spreadsheet import harmless

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def metrics() -> None:
    """Score a model's answers: separation (AudioScope), event localisation (AVE, AVEL), video parsing (AVVP, LLP),
    retrieval (AVSET-10M), classes of clips (linear probes)."""


@metrics.command()
@click.option("--estimate", type=FOLDER, required=True, help="The model's sounds.")
@click.option("--reference", type=FOLDER, help="What they should be: gives SI-SNR and SNR.")
@click.option("--mixture", type=FOLDER, help="What went in: gives improvements, or without --reference suppression.")
@click.option("--items", type=FILE, help="Write each item's values to this CSV.")
def separation(estimate: Path, reference: Path | None, mixture: Path | None, items: Path | None) -> None:
    """Score separated sounds, dB. Folders hold <id>.wav, .flac or .npy of equal rate and length.

    With --reference: SI-SNR and SNR of on-screen estimates, and with --mixture how much better than it they are. With
    --mixture alone: off-screen suppression (OSR) of mixtures whose sound is all off screen."""
    import numpy as np

    from winnow.metrics import files
    from winnow.metrics import separation as dbs

    if reference is None and mixture is None:
        raise ConfigError("give --reference (SI-SNR, SNR), --mixture (suppression), or both")
    folders = [folder for folder in (estimate, reference, mixture) if folder is not None]
    found = []
    for key, (made, *others) in files.pairs(*folders):
        row: dict[str, object] = {"id": key}
        if reference is not None:
            si_snr_db = float(dbs.si_snr_db(others[0], made))
            row |= {"si_snr_db": si_snr_db, "snr_db": float(dbs.snr_db(others[0], made))}
            if mixture is not None:
                row["si_snr_improvement_db"] = si_snr_db - float(dbs.si_snr_db(others[0], others[1]))
        else:
            row["suppression_db"] = float(dbs.suppression_db(others[0], made))
        found.append(row)
    _items(items, found)
    values = {name: np.array([row[name] for row in found]) for name in found[0] if name != "id"}
    answer(
        {"items": len(found)} | {n: {"mean": float(v.mean()), "median": float(np.median(v))} for n, v in values.items()}
    )


@metrics.command()
@click.option("--validation", type=FOLDER, required=True, help="Off-screen mixtures to reach the suppression on.")
@click.option("--test", type=FOLDER, required=True, help="On-screen mixtures to score there.")
@click.option("--target-db", type=float, required=True, help="Off-screen suppression to reach, dB.")
@click.option("--statistic", type=click.Choice(["median", "mean"]), default="median", show_default=True)
def calibrate(validation: Path, test: Path, target_db: float, statistic: Literal["median", "mean"]) -> None:
    """Find the bias on the on-screen logits that reaches a suppression, then SI-SNR at that bias.

    Both folders hold sources/<id>.npy (sources, samples) and logits/<id>.npy (sources,); the validation one also
    mixture/<id>.wav, the test one reference/<id>.wav (or .flac, .npy)."""
    import numpy as np

    from winnow.metrics import calibration, files

    def answers(folder: Path, beside: str) -> list[calibration.Separated]:
        sources, logits = (files.by_id(folder / name, files.ARRAYS) for name in ("sources", "logits"))
        sounds = files.by_id(folder / beside)
        files.same_ids({"sources": set(sources), "logits": set(logits), beside: set(sounds)})
        return [
            calibration.Separated(files.sound(sounds[k])[0], files.array(sources[k]), files.array(logits[k]))
            for k in sounds
        ]

    found = calibration.calibrate(answers(validation, "mixture"), target_db, statistic=statistic)
    onscreen = answers(test, "reference")
    scores = {
        name: calibration.onscreen_si_snr_db([a.mixture for a in onscreen], onscreen, bias)
        for name, bias in (("si_snr_db", found.bias), ("si_snr_uncalibrated_db", 0.0))
    }
    summary = {n: {"mean": float(np.mean(v)), "median": float(np.median(v))} for n, v in scores.items()}
    answer({"calibration": asdict(found), "items": len(onscreen), **summary})


@metrics.command()
@click.option("--predicted", type=FILE, required=True, help="The model's labels.")
@click.option("--truth", type=FILE, required=True, help="The true labels.")
@click.option("--classes", "class_file", type=FILE, help="Event categories, one a line, without background.")
@click.option("--background", type=int, help="Index of background, the number of categories; or give --classes.")
def ave(predicted: Path, truth: Path, class_file: Path | None, background: int | None) -> None:
    """Segment accuracy of event localisation. Files: .npy of (samples, segments) class indices or (samples, segments,
    classes + background) one-hot labels or scores; or .csv with id and a column per segment holding class names."""
    from winnow.metrics import ave as localisation
    from winnow.metrics import files

    classes = files.names(class_file) if class_file else None
    if classes is not None:
        background = len(classes)
    if background is None or background < 1:
        raise ConfigError("how many categories are there? give --classes FILE or --background N")
    (made, ids), (true, true_ids) = (files.segment_classes(path, classes, background) for path in (predicted, truth))
    if ids is not None and true_ids is not None:
        files.same_ids({str(predicted): set(ids), str(truth): set(true_ids)})
    elif (ids is None) != (true_ids is None):
        raise ConfigError(
            "one file has ids and the other has not, so their orders cannot be compared: give two of a kind"
        )
    done = asdict(localisation.score(made, true, background))
    done["event_f1"] = localisation.event_f1(made, true, background)
    named = [*classes, files.BACKGROUND] if classes else None
    done["by_category"] = {named[c] if named else str(c): v for c, v in done["by_category"].items()}
    answer(done)


@metrics.command()
@click.option("--predicted-audio", type=FILE, required=True, help="What the model hears.")
@click.option("--predicted-visual", type=FILE, required=True, help="What it sees.")
@click.option("--true-audio", type=FILE, required=True, help="What is heard (LLP: AVVP_eval_audio.csv).")
@click.option("--true-visual", type=FILE, required=True, help="What is seen (LLP: AVVP_eval_visual.csv).")
@click.option("--pooled", type=FILE, help="Pooled probabilities (videos, classes): predictions are probabilities too.")
@click.option("--videos", type=FILE, help="Videos in order, a column filename (LLP: AVVP_test_pd.csv).")
@click.option("--classes", "class_file", type=FILE, help="Event classes, one a line.")
@click.option("--segments", default=10, show_default=True, help="Segments of a video, 1 s each.")
@click.option("--threshold", default=0.5, show_default=True, help="Of segment and of pooled probabilities.")
def avvp(
    predicted_audio: Path,
    predicted_visual: Path,
    true_audio: Path,
    true_visual: Path,
    pooled: Path | None,
    videos: Path | None,
    class_file: Path | None,
    segments: int,
    threshold: float,
) -> None:
    """Segment- and event-level F of video parsing: A, V, AV, Type@AV, Event@AV, ×100. Each file is a .npy of (videos,
    segments, classes), or a table filename, onset, offset, event_labels. Without --pooled predictions are masks."""
    from winnow.metrics import avvp as parsing
    from winnow.metrics import files

    listed = files.video_names(videos) if videos else None
    classes = files.names(class_file) if class_file else None
    audio, visual, heard, seen = (
        files.event_masks(path, listed, classes, segments)
        for path in (predicted_audio, predicted_visual, true_audio, true_visual)
    )
    if pooled is not None:
        whole = files.array(pooled)
        audio, visual = (parsing.masks(values, whole, threshold) for values in (audio, visual))
    answer({"videos": len(heard), **parsing.score(audio, visual, heard, seen)})


@metrics.command()
@click.option("--audio", type=FILE, required=True, help="Vectors of sounds: .npy of (clips, numbers).")
@click.option("--visual", type=FILE, required=True, help="Vectors of their pictures, row by row the same clips.")
@click.option("--labels", type=FILE, help="Each clip's class, one a line: also R@k by class.")
@click.option("--groups", type=FILE, help="Each clip's source video, one a line: intervals are bootstrapped over them.")
@click.option("--ks", callback=comma_list, help="k of R@k, by commas; 1,5,10 by default.")
def retrieval(audio: Path, visual: Path, labels: Path | None, groups: Path | None, ks: list[str]) -> None:
    """R@k and MRR of cosines, both ways, by instance and by class, with 95 % intervals and the gallery's size.

    Ties count half."""
    import numpy as np

    from winnow.metrics import files
    from winnow.metrics import retrieval as body

    heard, seen = files.array(audio), files.array(visual)
    if len(heard) != len(seen):
        raise ContractError(f"{audio} has {len(heard)} rows and {visual} {len(seen)}: row by row they are one clip")
    if not all(k.isdigit() and int(k) for k in ks):
        raise ConfigError(f"--ks {','.join(ks)}: numbers from 1 are wanted, as in 1,5,10")
    said: dict[str, np.ndarray] = {}
    for name, path in (("labels", labels), ("groups", groups)):
        if path is not None:
            lines = path.read_text(encoding="utf-8").splitlines()
            if len(lines) != len(heard):
                raise ContractError(f"{path} has {len(lines)} lines, and there are {len(heard)} clips")
            said[name] = np.unique(lines, return_inverse=True)[1]
    wanted = [int(k) for k in ks] or body.KS
    answer(body.score(heard, seen, labels=said.get("labels"), groups=said.get("groups"), ks=wanted))


@metrics.command()
@click.option("--scores", type=FILE, required=True, help="A model's scores: .npy of (clips, classes).")
@click.option("--truth", type=FILE, required=True, help="True classes, from 0: .npy of (clips,).")
def classes(scores: Path, truth: Path) -> None:
    """Top-1 and top-5 of a class a clip (linear probes). Ties count half a place."""
    from winnow.metrics import classes as body
    from winnow.metrics import files

    answer(body.score(files.array(scores), files.array(truth).astype("int64")))


def _items(path: Path | None, found: list[dict[str, object]]) -> None:
    if path is not None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, found[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: harmless(cell) for name, cell in row.items()} for row in found)
