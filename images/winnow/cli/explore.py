"""`winnow explore`: the explorer as a server of its own."""

from __future__ import annotations

import click

from winnow.cli.common import answer, deployment


@click.command()
@click.option("--port", default=8600, show_default=True, type=click.IntRange(1, 65535))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
def explore(port: int, host: str) -> None:
    """Look at clips of the current release, rate and annotate them, and see where batches stand, in a browser, until
    Ctrl-C. Batches are shown before any release too.

    There is no login: on another address than the loopback one everybody who reaches it may answer, under any name.
    """
    import uvicorn

    from winnow.audit.sampling import draw_into
    from winnow.batch import status
    from winnow.explorer.app import application
    from winnow.explorer.safety import LOOPBACK
    from winnow.explorer.server import Patient
    from winnow.release import publish

    lake, settings = deployment()
    there = publish.current(lake)
    release = publish.folder(lake, None, ("winnow.duckdb",)).name if there else None  # and it is whole
    open_to_all = host in ("0.0.0.0", "::")
    shown = f"[{host}]" if ":" in host else host
    if shown not in LOOPBACK:
        click.echo(f"{host} is no loopback address, and there is no login: whoever reaches it may answer", err=True)
    hosts = None if open_to_all else (*LOOPBACK, shown)
    there = f"release {release}" if release else "no release yet: its batches"
    click.echo(f"http://{'127.0.0.1' if open_to_all else shown}:{port}/ ({there}; Ctrl-C ends it)", err=True)
    app = application(lake, settings, hosts=hosts, batches=status, draw=draw_into)
    uvicorn.run(app, host=host, port=port, http=Patient, ws="none", log_level="warning", access_log=False)
    answer({"host": host, "port": port, "release": release})
