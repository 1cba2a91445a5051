"""`python -m tests.world make --dir D` makes a world; `… serve --dir D` serves it until told to stop."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path


def main() -> int:
    """Parse and run one of the two commands; each prints one JSON line on stdout."""
    parser = argparse.ArgumentParser(prog="python -m tests.world", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="make a world, or complete one")
    make.add_argument("--dir", type=Path, required=True)
    make.add_argument("--seed", type=int, default=0)
    make.add_argument("--videos", type=int, default=None, help="source videos in three batches")
    make.add_argument("--batches", type=int, default=3)
    make.add_argument("--seconds", type=float, nargs=2, default=(15.0, 60.0), metavar=("SHORTEST", "LONGEST"))
    make.add_argument("--jobs", type=int, default=2, help="processes")
    make.add_argument("--no-kinds", action="store_true", help="only the plan's videos")
    serve = commands.add_parser("serve", help="serve a world until SIGTERM or its parent's end")
    serve.add_argument("--dir", type=Path, required=True)
    serve.add_argument("--host", default="127.0.0.1", help="address to serve on")
    serve.add_argument("--port", type=int, default=0, help="0 takes a free one")
    arguments = parser.parse_args()
    return _make(arguments) if arguments.command == "make" else _serve(arguments)


def _make(arguments: argparse.Namespace) -> int:
    from tests.world.make import make_world, print_progress
    from tests.world.plan import DEFAULT_VIDEOS

    started = time.monotonic()
    world = make_world(
        arguments.dir,
        seed=arguments.seed,
        videos=DEFAULT_VIDEOS if arguments.videos is None else arguments.videos,
        batches=arguments.batches,
        seconds=tuple(arguments.seconds),
        jobs=arguments.jobs,
        progress=print_progress,
        kinds=not arguments.no_kinds,
    )
    summary = {
        "videos": len(world.videos) + len(world.kinds),
        "made": world.made,
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(summary), flush=True)
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    from tests.world.server import WorldServer

    if not (arguments.dir / "media").is_dir():
        hint = f"python -m tests.world make --dir {arguments.dir}"
        print(f"{arguments.dir} is no world: make one with `{hint}`", file=sys.stderr)
        return 78
    parent, stop = os.getppid(), threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    with WorldServer(arguments.dir, arguments.port, arguments.host) as server:
        line = {"port": server.port, "refused_port": server.refused_port, "rewrites": server.rewrites}
        print(json.dumps(line), flush=True)
        while not stop.wait(0.5) and os.getppid() == parent:
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
