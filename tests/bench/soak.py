"""Days of curation in which something breaks, and what is left in the end.

    .venv/bin/python tests/bench/soak.py [--days 20] [--seed 0] [--videos 24] [--keep FOLDER] [--quick] [--json]

The same small world is curated twice at a time, day by day, by the commands that people use: once undisturbed, once
while a seed draws what breaks. A command is ended by `kill -9` before one of its writes; a disk is full from there on,
or read-only; a read fails; the clock is years off; the sites throttle, break off or say nothing; the same command runs
twice at a time, or beside another one; between the days a committed file is cut, changed or taken away, and mended by
the very commands that `winnow verify` names. A command that ended is run again, as somebody would, until it says that
it is done; what failed through a site is tried again by its reasons.

In the end, of the disturbed lake: `winnow verify --all` finds nothing; its release is the undisturbed one, byte by
byte; every listed row is explained (rows listed are rows of fct_candidates); with TMPDIR it holds at most twice the
bytes of the undisturbed lake: a fault leaves at most what one command was about to write, and what a retry or mending
superseded stays. Exit status 1 where one of these does not hold.

The reference is the undisturbed run: ratio_cpu is what the disturbed one takes, reruns and mending with it, beside it
(without the processes of downloads). --quick is one day, in which a few of the kinds are drawn.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

from tests import dbt_server, parsed
from tests.bench.figures import show
from tests.unit.clock import YEAR_S
from tests.winnow_server import Commands, Done
from tests.world import WorldServer
from tests.world.make import make_world
from tests.world.plan import make_plan
from winnow.core.sample import sid
from winnow.models.correspondence_fit import choose_folds
from winnow.sources.urls import canonical, check

QUICK_DAYS = 1
#: Shortest and longest video, s; and what becomes of those that a scorer is fitted on.
SECONDS = (11.0, 16.0)
FITTED = ("kept", "low_correspondence", "frozen")
#: A release every so many days; beside the next day's `curate`, if chance wants it.
RELEASE_EVERY = 5
#: Tries of one command; each fault costs one, and the last two meet none.
TRIES = 7
#: Of tries that meet a fault, and of days after which a committed file does; the same of --quick.
SHARE_OF_TRIES, SHARE_OF_DAYS = 0.7, 0.5
QUICK_SHARES = 0.9, 1.0
#: Writes (reads) of a command before which it may end: more than some make, so that a few end nowhere.
WRITES, READS = 160, 160
#: What may break, as often as it stands here before anything comes again.
KINDS = ("killed", "killed", "killed", "full", "full", "read_only", "failing_read", "clock", "trouble", "twice")
CLOCKS_S = (YEAR_S, -5 * YEAR_S, 3600.0, -86400.0)
#: What sites do, by route of the world's server; and for what it is tried again.
TROUBLES = ("fail/429", "fail/503", "cut", "stall")
TRIED_AGAIN = "throttled,server_error,incomplete,timeout"
#: Folders of a lake whose files nobody misses (`gates` is written again with its batch), or that are not kept safe.
NOT_DAMAGED = ("cache", "gates", "inputs")


class Deployment:
    """A lake over a world, with sites of its own; `chance` draws what breaks, None nothing. Where one of several gives
    up, all do (`over`)."""

    over = threading.Event()

    def __init__(
        self, root: Path, world: Path, server: WorldServer, run: Commands, chance: random.Random | None
    ) -> None:
        self.root, self.lake, self.server, self.commands, self.chance = root, root / "lake", server, run, chance
        self.broke: Counter[str] = Counter()
        self.shares = SHARE_OF_TRIES, SHARE_OF_DAYS
        self.seconds, self._deck, self._lock = 0.0, [], threading.Lock()
        shutil.rmtree(root, ignore_errors=True)
        (root / "tmp").mkdir(parents=True)
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("WINNOW_")},
            "PYTHONPATH": f"{ROOT}/images",
            "PATH": f"{run.shell(root / 'bin')}:{os.environ['PATH']}",
            "TMPDIR": str(root / "tmp"),
            dbt_server.CPU: str(root / "cpu"),
            "WINNOW_LAKE": str(self.lake),
            "WINNOW_INBOX": str(world / "inbox"),
            "WINNOW_FETCH_ALLOW_NETWORKS": "127.0.0.0/8",
            "WINNOW_FETCH_REWRITES": json.dumps(server.rewrites),
            "WINNOW_FETCH_TIMEOUT_S": "4",
            "WINNOW_FETCH_DEADLINE_S": "20",
        }
        (self.lake / "cache").mkdir(parents=True)  # of what a lake remembers, only what dbt parsed is shared
        (self.lake / "cache" / "dbt").symlink_to(folder_of_parses())

    def plan(self, command: str) -> list[tuple[str, float]]:
        """What breaks at the first tries of a command."""
        chance, drawn = self.chance, []
        while chance is not None and len(drawn) < TRIES - 2 and chance.random() < self.shares[0]:
            if not self._deck:
                self._deck = chance.sample(KINDS, len(KINDS))
            kind = self._deck.pop()
            if kind == "trouble" and command != "curate":
                continue
            at = {"clock": chance.choice(CLOCKS_S), "trouble": chance.randrange(len(TROUBLES)), "read_only": 0}
            drawn.append((kind, at.get(kind, chance.randrange(READS if kind == "failing_read" else WRITES))))
        return drawn

    def run(self, *arguments: str, plan: list[tuple[str, float]] | None = None) -> None:
        """A command until it is done; the first tries meet what is planned."""
        plan, again = self.plan(arguments[0]) if plan is None else plan, ()
        for number in range(TRIES):
            kind, at = plan[number] if number < len(plan) else ("none", 0)
            done = self._try((*arguments, *again), kind, at)
            well = [one for one in done if one.code == 0 or (one.code == 65 and "all else is committed" in one.err)]
            if kind in ("clock", "trouble", "twice") or (kind != "none" and not well):
                self._say(f"{' '.join(arguments)}: {kind} {at:g}")
                with self._lock:
                    self.broke[kind] += 1
            if kind == "trouble":
                again = ("--retry-reasons", TRIED_AGAIN)
            elif well:
                return
        told = f"winnow {' '.join(arguments)} does not end well after {plan}: {done[0].code}"
        raise SystemExit(f"{told}\n{done[0].err[-3000:]}")

    def _try(self, arguments: tuple[str, ...], kind: str, at: float) -> list[Done]:
        """Once; or twice at a time."""
        if kind == "twice":
            with ThreadPoolExecutor() as both:
                return list(both.map(self._once, [arguments] * 2))
        if kind != "trouble":
            return [self._once(arguments, (kind, at))]
        self.server.trouble = TROUBLES[int(at)]
        try:
            return [self._once(arguments)]
        finally:
            self.server.trouble = ""

    def _once(self, arguments: tuple[str, ...], fault: tuple[str, float] = ("none", 0)) -> Done:
        done = self.commands(arguments, self.environment, fault)
        with self._lock:
            self.seconds += done.seconds
        return done

    def _say(self, line: str) -> None:
        print(f"{self.root.name}: {line}", file=sys.stderr, flush=True)

    def damage(self) -> None:
        """Cut, change or take away a committed file, and mend the lake as `winnow verify` says."""
        path, how = self.chance.choice(self._committed()), self.chance.choice(["cut", "changed", "gone"])
        data, mode = path.read_bytes(), path.stat().st_mode
        path.chmod(0o644)
        if how == "gone":
            path.unlink()
        else:
            at = self.chance.randrange(len(data))
            path.write_bytes(data[:at] + (b"" if how == "cut" else bytes([data[at] ^ 1]) + data[at + 1 :]))
            path.chmod(mode)
        self.broke[how] += 1
        self._say(f"{how}: {path.relative_to(self.lake)}")
        for _ in range(TRIES):
            faults = json.loads(self._once(("verify", "--all", "--json")).out.splitlines()[0])["faults"]
            if not faults:
                return
            for mend in dict.fromkeys(fault["mend"] for fault in faults):
                subprocess.run(["bash", "-c", mend], env=self.environment, cwd=ROOT, check=False, capture_output=True)
        raise SystemExit(f"{path}, {how}, is not mended by what verify names:\n{json.dumps(faults, indent=1)[:3000]}")

    def _committed(self) -> list[Path]:
        found = [path for path in sorted(self.lake.rglob("*")) if path.is_file() and path.stat().st_size]
        parts = {path: path.relative_to(self.lake).parts for path in found}
        return [
            path
            for path in found
            if not any(part.startswith(".") for part in parts[path]) and not {*NOT_DAMAGED} & {*parts[path]}
        ]

    def through(self, days: list[str]) -> None:
        """All days, or the end of all deployments."""
        try:
            self.soak(days)
        except BaseException:
            self.over.set()
            raise

    def soak(self, days: list[str]) -> None:
        """Curate the days, fit on the first one, release now and then."""
        ready: str | None = None
        for number, day in enumerate(days):
            if self.over.is_set():
                return
            self._say(f"{day}, {number + 1} of {len(days)}")
            if day != ready:
                self.run("curate", "--batch", day, "--shard-size", "2")
            if number == 0:
                self.run("fit", "--batches", day)
                model = (self.lake / "models/correspond/current").read_text().strip()
                self.run("scorers", "--trust", model, "--why", "a world this small measures near chance")
                self.run("curate", "--batch", day, "--shard-size", "2")
            if self.chance is not None and self.chance.random() < self.shares[1]:
                self.damage()
            following = days[number + 1 : number + 2]
            if (number + 1) % RELEASE_EVERY == 0 or not following:
                ready = self._release_beside(*following) if following and self.chance is not None else None
                if ready is None:
                    self.run("release")

    def _release_beside(self, day: str) -> str | None:
        """Release beside the next day's `curate`; that day, None where chance did not want it."""
        if self.chance.random() < 0.5:
            return None
        wanted = [("release",), ("curate", "--batch", day, "--shard-size", "2")]
        plans = [self.plan(command[0]) for command in wanted]
        with ThreadPoolExecutor() as both:
            list(both.map(lambda command, plan: self.run(*command, plan=plan), wanted, plans))
        self.broke["beside"] += 1
        return day

    def clean(self) -> bool:
        """Whether all that is committed is as it was committed."""
        return self._once(("verify", "--all")).code == 0

    def published(self) -> dict[str, str]:
        """Digests of the current release's tables and exports."""
        release = self.lake / "releases" / (self.lake / "releases" / "current").read_text().strip()
        found = [path for part in ("tables", "exports") for path in (release / part).rglob("*") if path.is_file()]
        return {
            path.relative_to(release).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(found)
        }

    def asked(self, query: str) -> list[dict]:
        """What `winnow sql` answers."""
        done = self._once(("sql", query, "--format", "json"))
        assert done.code == 0, done.err
        return json.loads(done.out)

    def size(self) -> int:
        """Bytes of the lake's files and of what is left in TMPDIR; one that several names have counts once."""
        found = [path for name in ("lake", "tmp") for path in (self.root / name).rglob("*") if path.is_file()]
        return sum({path.stat().st_ino: path.stat().st_size for path in found}.values())

    def cpu_s(self) -> float:
        """What its commands took, with dbt, s."""
        return self.seconds + sum(map(float, (self.root / "cpu").read_text().split()))


def folder_of_parses() -> Path:
    """Where this run keeps what dbt parsed of the project."""
    folder = Path(os.environ[parsed.FOLDER]) / "cache" / "dbt"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def world_seed(seed: int, videos: int) -> int:
    """The first of seed, seed + 1000 … whose world can be fitted on its first day: folds go by the videos' ids, so that
    of a day's few videos one fold may get too few."""
    for drawn in itertools.count(seed, 1000):
        plan = make_plan(drawn, videos, 1, SECONDS)
        heard = [one for one in plan if one.file and not one.of and one.expected in FITTED]
        if choose_folds([sid("video", canonical(check(one.url))) for one in heard], 3):
            return drawn
    raise AssertionError


@contextlib.contextmanager
def deployments(folder: Path, seed: int, videos: int, days: int) -> Iterator[tuple[list[str], Deployment, Deployment]]:
    """The days of a world, and two deployments over it: an undisturbed one, and one that chance disturbs."""
    with contextlib.ExitStack() as stack:
        parsed.keep()
        stack.callback(parsed.remove)
        commands = stack.enter_context(Commands(folder))
        world = make_world(folder / "world", world_seed(seed, videos), videos, days, seconds=SECONDS)
        servers = [stack.enter_context(WorldServer(world.root)) for _ in range(2)]
        calm = Deployment(folder / "undisturbed", world.root, servers[0], commands, None)
        wild = Deployment(folder / "disturbed", world.root, servers[1], commands, random.Random(seed))
        yield sorted(path.name for path in world.inbox.iterdir() if path.is_dir()), calm, wild


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--videos", type=int, default=24, help="in three days")
    parser.add_argument("--keep", type=Path, help="a folder for both lakes, which stay there")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    count = QUICK_DAYS if options.quick else options.days
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="winnow-soak-")))
        folder.mkdir(parents=True, exist_ok=True)
        days, calm, wild = stack.enter_context(deployments(folder, options.seed, options.videos, count))
        wild.shares = QUICK_SHARES if options.quick else wild.shares
        with ThreadPoolExecutor() as side_by_side:
            list(side_by_side.map(lambda one: one.through(days), (calm, wild)))
        theirs, ours = calm.published(), wild.published()
        apart = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
        (rows,) = wild.asked(
            "select (select count(*) from fct_candidates) as candidates, (select sum(rows) from fct_shards where stage "
            "= 'ingest') as listed"
        )
        figures = {
            "bench": "soak",
            "seed": options.seed,
            "days": count,
            **{f"broke_{k}": n for k, n in wild.broke.items()},
            "verify_clean": wild.clean(),
            "files": len(ours),
            "files_apart": len(apart),
            "rows_unexplained": int(rows["listed"]) - int(rows["candidates"]),
            "bytes_ratio": round(wild.size() / calm.size(), 3),
            "ratio_cpu": round(wild.cpu_s() / calm.cpu_s(), 3),
            "cpu_s": round(calm.cpu_s(), 1),
        }
        show(figures, options.json)
        if apart:
            print("apart:", ", ".join(apart[:20]), file=sys.stderr)
    well = figures["verify_clean"] and not apart and not figures["rows_unexplained"] and figures["bytes_ratio"] <= 2
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
