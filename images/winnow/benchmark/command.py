"""The body of `winnow benchmark retrieval`: data, table, files."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from winnow.core.errors import ConfigError


def retrieval(  # noqa: PLR0913 (the options of a command, by name)
    *,
    data: Sequence[str],
    lake_root: str | None,
    variants: Sequence[str],
    methods: Sequence[str],
    clusters: Sequence[int],
    seeds: Sequence[int],
    per_class: int,
    out: Path,
    work: Path,
    note: Callable[[str], None] = lambda _: None,
) -> dict[str, object]:
    """Run the benchmark and write its files into `out`.

    lake_root: a lake whose current release's clips are a data set too. Returns {"files", "rows", "best": {data set and
    variant: {"method", "pairing", "clusters", "precision", "of_ceiling"}} of what does not train on the pairs}.
    ConfigError for a name that is not known, a number that makes no sense, or no data at all.
    """
    from winnow.benchmark import clips, datasets, protocol, render, table
    from winnow.benchmark.methods import named
    from winnow.core.lake import Lake
    from winnow.models import single_threaded

    single_threaded()
    chosen = list(named(tuple(methods)))
    for given, known in ((variants, protocol.VARIANTS), (data, datasets.NAMES)):
        if unknown := [name for name in given if name not in known]:
            raise ConfigError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
    if not seeds or not variants or not clusters or min(clusters) < 2 or min(seeds) < 0:
        raise ConfigError("at least one seed from 0, one variant and one number of clusters from 2 are wanted")
    if not data and not lake_root:
        raise ConfigError("no data: name data sets with --data, or a lake with --lake")
    command = ["winnow", "benchmark", "retrieval", "--data", ",".join(data)]
    command += ["--lake", lake_root] if lake_root else []
    command += ["--methods", "; ".join(methods)] if methods else []
    for name, values in (("variants", variants), ("clusters", clusters), ("seeds", seeds), ("per-class", [per_class])):
        command += [f"--{name}", ",".join(map(str, values))]
    loaders: list[Callable[[], datasets.Dataset]] = [
        partial(datasets.load, name, per_class, work, note) for name in data
    ]
    if lake_root:
        loaders.append(lambda: clips.from_release(Lake(lake_root)))
    sets: list[datasets.Dataset] = []
    rows: list[table.Row] = []
    for load in loaders:
        clock = time.perf_counter()
        sets.append(load())
        rows += table.run(sets[-1], chosen, seeds=seeds, clusters=clusters, variants=variants, note=note)
        note(f"{sets[-1].name}: done in {time.perf_counter() - clock:.0f} s")
    settings = {
        "command": shlex.join(command),
        "variants": list(variants),
        "clusters": list(clusters),
        "seeds": list(seeds),
        "per_class": per_class,
    }
    files = render.write(rows, sets, settings, out)
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        at = f"{row.data}, {row.variant}"
        if row.precision is None or row.learns or row.method.startswith("oracle"):
            continue
        if at not in best or row.precision > best[at]["precision"]:
            names = ("method", "pairing", "clusters", "precision", "of_ceiling")
            best[at] = {name: getattr(row, name) for name in names}
    return {"files": {kind: str(path) for kind, path in files.items()}, "rows": len(rows), "best": best}
