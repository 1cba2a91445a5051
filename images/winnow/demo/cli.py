"""`winnow demo run | truth | stop | clean | airflow`."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import click

from winnow.core.errors import EXIT_CONFIG, EXIT_OK, ConfigError, WinnowError
from winnow.demo.folder import DemoFolder

folder_option = click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default="demo", show_default=True, help="The demo's folder."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """The main job from end to end, on a small world whose truth is known."""


@group.command()
@folder_option
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another world.")
@click.option("--videos", type=click.IntRange(12), default=96, show_default=True, help="Source videos in three days.")
@click.option("--batches", type=click.IntRange(3, 28), default=3, show_default=True, help="Days.")
@click.option("--kinds/--no-kinds", default=True, help="With media and lists as people really have them.")
@click.option("--keep", is_flag=True, help="Leave Airflow's UI and the world's server open.")
def run(folder: Path, seed: int, videos: int, batches: int, kinds: bool, keep: bool) -> None:
    """Make the world, curate it through Airflow, publish it, compare it with the truth."""
    from winnow.demo.run import Options
    from winnow.demo.run import run as body

    body(Options(folder, seed, videos, batches, keep, kinds))


@group.command()
@folder_option
def truth(folder: Path) -> None:
    """Compare what was planted with what its release says, again."""
    from winnow.demo import truth as body

    demo = DemoFolder(folder)
    if demo.state() is None:
        raise ConfigError(f"{demo.root} holds no demo: `winnow demo run --dir {folder}` makes one")
    print(body.table(body.compare(demo.world, demo.lake)))


@group.command()
@folder_option
def stop(folder: Path) -> None:
    """End what `run --keep` left open."""
    print(f"ended {DemoFolder(folder).stop()} processes")


@group.command()
@folder_option
def clean(folder: Path) -> None:
    """End what is open and remove the demo's folder."""
    demo = DemoFolder(folder)
    demo.clean()
    print(f"{demo.root} is gone")


@group.command()
@click.option("--home", type=click.Path(path_type=Path), default="airflow", show_default=True, help="AIRFLOW_HOME.")
def airflow(home: Path) -> None:
    """Airflow for your own videos: this checkout's DAGs over WINNOW_LAKE and WINNOW_INBOX, until Ctrl-C."""
    from winnow.core.settings import load
    from winnow.demo import processes
    from winnow.demo.airflow_local import LocalAirflow

    settings, home = load(), home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    paths = {"WINNOW_LAKE": str(Path(settings.lake).absolute()) if "://" not in settings.lake else settings.lake}
    paths["WINNOW_INBOX"] = str(settings.inbox.absolute())
    local = LocalAirflow(home, {**processes.marked_environment(home), **paths}, home / "standalone.log")
    try:
        local.start()
        local.wait_ready(["curate", "fit", "release"])
        local.set_pools()
        for dag in ("fit", "release"):
            local.api.unpause(dag)
        print(f"Airflow: {local.api.url}", flush=True)
        print("Switch `curate` on for daily runs, or backfill it; Ctrl-C ends it.", flush=True)
        while local.process is not None and local.process.poll() is None:
            time.sleep(1.0)
    finally:
        processes.end(home)


def run_cli(arguments: list[str]) -> int:
    """Run a command; the exit code. TERM ends a run as Ctrl-C does: its processes end first."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        group.main(arguments, prog_name="winnow demo", standalone_mode=False)
    except WinnowError as error:
        print(f"winnow demo: {error}", file=sys.stderr)
        return error.exit_code
    except click.exceptions.Exit as stop_here:
        return stop_here.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_CONFIG
    except (KeyboardInterrupt, click.Abort):
        print("winnow demo: interrupted; everything it started is ended", file=sys.stderr)
        return 130
    return EXIT_OK
