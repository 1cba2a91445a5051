"""What a process that opens media of strangers may take: memory up to a limit, and no network.

Memory is watched from outside, in what the process has written to (resident pages that are not a file's). A limit of
address space would count what decoders' threads and GPUs only reserve, many times what they use, and FFmpeg says of an
allocation that is refused what it says of broken media. The default stays below what the cgroup allows: past that the
kernel ends every process of a pod at once (`memory.oom.group`).

The network is left where the kernel lets this user do so. Where it does not (seccomp in many containers, AppArmor on
some desktops), media of strangers are still opened with a list of protocols that holds files only
(`winnow/media/video_index.py`), clips out of memory, and a pod's network policy still holds.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from pathlib import Path

#: Share of what there is that a stage's process may take: the rest is its parent's, the page cache's, and what it may
#: write between two looks.
SHARE = 0.9
_CGROUPS = Path("/sys/fs/cgroup")
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_PDEATHSIG = 1


def limit_bytes(memory_mb: int | None) -> int:
    """Bytes that a stage's process may take: its share of what the cgroup, or the machine, has; no more than the
    deployment says (MiB)."""
    there = min([*cgroup_limits(), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")])
    return min(int(there * SHARE), there if memory_mb is None else memory_mb << 20)


def cgroup_limits(root: Path = _CGROUPS, of: Path = Path("/proc/self/cgroup")) -> list[int]:
    """Limits of memory of this process's cgroup and of those around it, bytes: of version 2 and of version 1, as a
    host and as a container shows them. [] where there is none."""
    try:
        lines = of.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        at, file = (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
        inside = Path(path.lstrip("/"))
        for folder in (inside, *inside.parents):
            with contextlib.suppress(OSError, ValueError):  # "max" is no limit; a path of the host is not there
                found.append(int((at / folder / file).read_text(encoding="ascii")))
    return found


def used_bytes(pid: int) -> int:
    """Bytes of resident memory of a process that are no file's; 0 once it has ended."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            _, resident, shared, *_ = map(int, file.read().split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def leave_network() -> bool:
    """Go where there is no network; False, and nothing changed, where the kernel refuses. To be called while this
    process has one thread.

    An ordinary user needs a user namespace for it, in which it stays who it is. Root takes none: there it would lose
    its right to the files of others.
    """
    unshare = getattr(ctypes.CDLL(None, use_errno=True), "unshare", None)
    if unshare is None:
        return False
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        return bool(unshare(_NEW_NETWORK) == 0)
    if unshare(_NEW_USER | _NEW_NETWORK) != 0:
        return False
    for name, said in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with contextlib.suppress(OSError):  # it has its files all the same, and no name
            Path(f"/proc/self/{name}").write_text(said, encoding="ascii")
    return True


def end_with(parent: int) -> None:
    """Let the kernel end this process as soon as its parent (its process id) ends, however that ends."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)
