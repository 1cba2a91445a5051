"""Days of curation in which something breaks, and what is left in the end.

    .venv/bin/python tests/bench/soak.py [--days 20] [--seed 0] [--videos 24] [--keep FOLDER] [--quick] [--json]

The same small world is curated twice at a time, day by day, by the commands that people use: once undisturbed, once
while a seed draws what breaks: a command is ended by `kill -9` before one of its writes, or by a disk that is full from
there on; a committed file is cut, changed or taken away, and mended by the very command that `winnow verify` names for
it. A command that ended is run again, as somebody would, until it says that it is done.

In the end, of the disturbed lake: `winnow verify --all` finds nothing; its release is the undisturbed one, byte by
byte; every listed row is explained (rows listed are rows of fct_candidates); it holds at most twice the bytes of the
undisturbed lake. Exit status 1 where one of these does not hold.

The reference is the undisturbed run: ratio_cpu is what the disturbed one takes, reruns and mending with it, beside it.
A day takes about three minutes on two cores, and so does --quick, which is one day.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

from tests.bench.figures import show
from tests.unit.killed import changed
from tests.world import WorldServer
from tests.world.make import make_world

QUICK_DAYS = 1
#: A release every so many days.
RELEASE_EVERY = 5
#: Tries of one command; each fault costs one.
TRIES = 6
#: Of commands that meet a fault, and of days after which a committed file does.
SHARE_OF_COMMANDS, SHARE_OF_DAYS = 0.5, 0.5
#: Writes of a command before which it may end: more than most make, so that some end nowhere.
WRITES = 250
#: Tables of which files are damaged.
DAMAGED = ("ingest", "screen", "fetch", "clip", "probe", "visual", "audio")


class Deployment:
    """A lake over a world; `chance` draws what breaks, None nothing."""

    def __init__(
        self, root: Path, inbox: Path, server: WorldServer, chance: random.Random | None, share_of_days: float
    ) -> None:
        self.share_of_days = share_of_days
        self.root, self.chance, self.broke, self.seconds = root, chance, {}, 0.0
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("WINNOW_")},
            "PYTHONPATH": f"{ROOT}/images", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "WINNOW_LAKE": str(root / "lake"), "WINNOW_INBOX": str(inbox),
            "WINNOW_FETCH_ALLOW_NETWORKS": "127.0.0.0/8", "WINNOW_FETCH_REWRITES": json.dumps(server.rewrites),
            "WINNOW_FETCH_TIMEOUT_S": "1.5", "WINNOW_FETCH_DEADLINE_S": "20",
        }  # fmt: skip

    def run(self, *arguments: str) -> None:
        """A command until it is done; the first tries may meet a fault."""
        for attempt in range(TRIES):
            fault, at = self._fault() if attempt < TRIES - 2 else ("none", 0)
            code, said = self._once(arguments, fault, at)
            if code in (0, 65) and "FailureBudget" not in said and (code == 0 or arguments[0] == "curate"):
                return
            self.broke[fault] = self.broke.get(fault, 0) + 1
        raise SystemExit(f"winnow {' '.join(arguments)} does not end well, exit code {code}:\n{said[-3000:]}")

    def damage(self) -> None:
        """Cut, change or take away a committed file, and mend the lake as `winnow verify` says."""
        if self.chance is None or self.chance.random() > self.share_of_days:
            return
        lake = self.root / "lake"
        found = sorted(path for stage in DAMAGED for path in (lake / stage).rglob("*") if path.is_file())
        files = [path for path in found if not any(part.startswith(".") for part in path.relative_to(lake).parts)]
        path, how = self.chance.choice(files), self.chance.choice(["cut", "changed", "gone"])
        data = path.read_bytes()
        if how == "gone":
            path.unlink()
        elif how == "cut":
            path.write_bytes(data[: len(data) // 2])
        else:
            at = self.chance.randrange(len(data))
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        self.broke[how] = self.broke.get(how, 0) + 1
        for _ in range(TRIES):
            _, said = self._once(("verify", "--all", "--json"), "none", 0)
            faults = json.loads(said.splitlines()[0])["faults"]
            if not faults:
                return
            for fault in faults:
                subprocess.run(
                    ["bash", "-c", fault["mend"]], env=self.environment, cwd=ROOT, check=False, capture_output=True
                )
        raise SystemExit(f"{path}, {how}, is not mended by what verify names:\n{json.dumps(faults, indent=1)[:3000]}")

    def _fault(self) -> tuple[str, int]:
        if self.chance is None or self.chance.random() > SHARE_OF_COMMANDS:
            return "none", 0
        return self.chance.choice(["killed", "full"]), self.chance.randrange(WRITES)

    def _once(self, arguments: tuple[str, ...], fault: str, at: int) -> tuple[int, str]:
        command = [sys.executable, str(Path(__file__)), "--fault", fault, "--at", str(at), "--", *arguments]
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told:
            child = subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=said, stderr=told)
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            self.seconds += used.ru_utime + used.ru_stime
            said.seek(0), told.seek(0)
            return child.returncode, said.read().decode() + told.read().decode()

    def clean(self) -> bool:
        """Whether all that is committed is as it was committed."""
        return self._once(("verify", "--all"), "none", 0)[0] == 0

    def published(self) -> dict[str, str]:
        """Digests of the current release's tables and exports."""
        release = self.root / "lake" / "releases" / (self.root / "lake" / "releases" / "current").read_text().strip()
        found = [path for part in ("tables", "exports") for path in (release / part).rglob("*") if path.is_file()]
        return {
            path.relative_to(release).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(found)
        }

    def asked(self, query: str) -> list[dict]:
        """What `winnow sql` answers."""
        code, said = self._once(("sql", query, "--format", "json"), "none", 0)
        assert code == 0, said
        return json.loads(said)

    def size(self) -> int:
        """Bytes of the lake's files; one that several names have counts once."""
        found = {path.stat().st_ino: path.stat().st_size for path in (self.root / "lake").rglob("*") if path.is_file()}
        return sum(found.values())


def soak(deployment: Deployment, days: list[str]) -> None:
    """Curate the days, fit on the first one, release now and then."""
    for number, day in enumerate(days):
        deployment.run("curate", "--batch", day, "--shard-size", "2")
        if number == 0:
            deployment.run("fit", "--batches", day)
            deployment.run("curate", "--batch", day, "--shard-size", "2")
        deployment.damage()
        if (number + 1) % RELEASE_EVERY == 0 or day == days[-1]:
            deployment.run("release")


def ended(fault: str, at: int, arguments: list[str]) -> None:
    """Run a command in this process, which ends before its write number `at` beneath the lake, or finds no room there
    from then on."""
    home, count = os.environ["WINNOW_LAKE"] + os.sep, 0

    def hook(event: str, given: tuple) -> None:
        nonlocal count
        if event == "os.remove" or not changed(event, given).startswith(home):
            return
        count += 1
        if count > at and fault == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if count > at and fault == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(given[0]))

    if fault != "none":
        sys.addaudithook(hook)
    from winnow.cli.main import main as winnow

    sys.argv = ["winnow", *arguments]
    winnow()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--videos", type=int, default=24, help="in three days")
    parser.add_argument("--keep", type=Path, help="a folder for both lakes, which stay there")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--fault", help=argparse.SUPPRESS)
    parser.add_argument("--at", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("command", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fault:
        ended(options.fault, options.at, options.command)
        return 0
    count = QUICK_DAYS if options.quick else options.days
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="winnow-soak-")))
        world = make_world(folder / "world", options.seed, options.videos, count, seconds=(15.0, 25.0))
        days = sorted(path.name for path in (folder / "world" / "inbox").iterdir() if path.is_dir())
        server = stack.enter_context(WorldServer(world.root))
        deployments, share = {}, 1.0 if options.quick else SHARE_OF_DAYS
        for name, chance in (("undisturbed", None), ("disturbed", random.Random(options.seed))):
            shutil.rmtree(folder / name, ignore_errors=True)
            deployments[name] = Deployment(folder / name, folder / "world" / "inbox", server, chance, share)
        with ThreadPoolExecutor() as side_by_side:
            list(side_by_side.map(soak, deployments.values(), [days] * 2))
        calm, wild = deployments["undisturbed"], deployments["disturbed"]
        theirs, ours = calm.published(), wild.published()
        apart = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
        (rows,) = wild.asked(
            "select (select count(*) from fct_candidates) as candidates, (select sum(rows) from fct_shards where stage "
            "= 'ingest') as listed"
        )
        figures = {
            "bench": "soak", "seed": options.seed, "days": count, **{f"broke_{k}": n for k, n in wild.broke.items()},
            "verify_clean": wild.clean(), "files": len(ours), "files_apart": len(apart),
            "rows_unexplained": int(rows["listed"]) - int(rows["candidates"]),
            "bytes_ratio": round(wild.size() / calm.size(), 3),
            "ratio_cpu": round(wild.seconds / calm.seconds, 3), "cpu_s": round(calm.seconds, 1),
        }  # fmt: skip
        show(figures, options.json)
        if apart:
            print("apart:", ", ".join(apart[:20]), file=sys.stderr)
    well = figures["verify_clean"] and not apart and not figures["rows_unexplained"] and figures["bytes_ratio"] <= 2
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
