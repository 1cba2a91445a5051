"""Progress inside a shard, or of a training run: how much is done and how long the rest will take, where a person looks
on."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from winnow.core.sample import Outcome

One = TypeVar("One")


def shown(outcomes: Iterable[Outcome], label: str, total: int) -> Iterator[Outcome]:
    """The outcomes as they come. On a terminal a bar counts their samples, of `total`; elsewhere nothing is shown."""
    if not sys.stderr.isatty():
        yield from outcomes
        return
    import click

    seen: set[str] = set()
    with click.progressbar(length=total, label=label, show_pos=True, file=sys.stderr) as bar:
        for outcome in outcomes:
            sample = outcome.parent or outcome.sample_id
            if sample not in seen:
                seen.add(sample)
                bar.update(1)
            yield outcome


def counted(items: Iterable[One], label: str, total: int, done: int = 0) -> Iterator[One]:
    """The items as they come, of which `done` came before. On a terminal a bar counts them, of `total`; elsewhere
    nothing is shown."""
    if not sys.stderr.isatty():
        yield from items
        return
    import click

    with click.progressbar(length=total, label=label, show_pos=True, file=sys.stderr) as bar:
        bar.update(done)
        for item in items:
            yield item
            bar.update(1)
