"""Egress: which addresses a download may reach, decided where it cannot be evaded: at `connect`.

A URL's host proves nothing. It may be a name that resolves to a private address now or only at the second look, a
decimal or IPv4-mapped spelling, or a public server that redirects inside. So the policy sits under all of it, in an
audit hook (PEP 578) on `socket.connect`: whatever library opens a connection in a guarded thread, after whatever
redirect, the address it really connects to is judged, and no packet leaves for one that is refused.

A guarded thread may therefore not hand its work to something the hook does not see. It starts no programs, sends no
datagrams (name resolution by the C library is not Python's, and stays possible) and starts no threads; Python 3.11 does
not report the last, so `download` also keeps to downloaders that start none. Proxies are no way around either: the
environment's are ignored, because behind a proxy nobody here would know where a connection ends.

Networks that a deployment allows (`WINNOW_FETCH_ALLOW_NETWORKS`) are allowed in every spelling of their addresses.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from winnow.core.sample import Reason

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: What a list or a redirect may name. `inbox:` is ours, for local files, and never reaches the network.
SCHEMES = frozenset({"http", "https"})
#: IPv4 blocks that are not the public internet: IANA's special-purpose registry (RFC 6890 and successors), multicast
#: and class E; and one public address that a cloud answers itself, with machine metadata.
REFUSED_V4 = tuple(
    ip_network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",
    )
)
#: IPv6: only global unicast is public, and of it not the blocks for protocols (Teredo too), documentation and relays.
PUBLIC_V6 = ip_network("2000::/3")
REFUSED_V6 = tuple(ip_network(b) for b in ("2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20"))
#: IPv6 blocks that carry an IPv4 address, and how many bits stand after it: mapped, translated, compatible, NAT64,
#: 6to4.
EMBEDDING = tuple(
    (ip_network(block), shift)
    for block, shift in (
        ("::ffff:0:0/96", 0),
        ("::ffff:0:0:0/96", 0),
        ("::/96", 0),
        ("64:ff9b::/96", 0),
        ("2002::/16", 80),
    )
)
_OUTSIDE_OF_SIGHT = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn"}
)
_HANDED_ON = frozenset({"_thread.start_new_thread", "_thread.start_joinable_thread", "socket.sendto", "socket.sendmsg"})


#: The setting that lets a deployment reach more than the public internet.
LIFTED_BY = "WINNOW_FETCH_ALLOW_NETWORKS"


class Blocked(Exception):
    """A download tried what the policy refuses. No OSError, so that nobody takes it for a bad connection and tries the
    next address. `reason` is blocked_address or blocked_scheme."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class Policy:
    """Which addresses may be connected to: public ones, and those of `allow`."""

    def __init__(self, allow: Iterable[Network] = ()) -> None:
        self.allow = tuple(allow)

    def allows(self, address: Address) -> bool:
        """Whether a connection to this address may be opened."""
        inner = embedded(address)
        if any(a in network for network in self.allow for a in (address, inner) if a.version == network.version):
            return True
        if inner.version == 4:
            return not any(inner in network for network in REFUSED_V4)
        return inner in PUBLIC_V6 and not any(inner in network for network in REFUSED_V6)

    def check(self, family: int, target: object) -> None:
        """Raise Blocked unless `target`, as given to `connect`, is a literal internet address that is allowed. A name
        is refused: the C library would resolve it out of sight."""
        host = target[0] if isinstance(target, tuple) and target else None
        if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(host, str):
            raise Blocked(Reason.blocked_address, "a connection that is not to an internet address")
        try:
            address = ip_address(host)
        except ValueError:
            raise Blocked(Reason.blocked_address, "a connection by name, past the policy") from None
        if not self.allows(address):
            raise Blocked(Reason.blocked_address, f"its host is not on the public internet; {LIFTED_BY} may allow it")


def embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 address carries, else the address itself (without its zone)."""
    if address.version == 4:
        return address
    bits = int(address)
    if bits < 2:  # :: and ::1 are addresses of their own
        return IPv6Address(bits)
    for network, shift in EMBEDDING:
        if bits >> (128 - network.prefixlen) == int(network.network_address) >> (128 - network.prefixlen):
            return IPv4Address(bits >> shift & 0xFFFFFFFF)
    return IPv6Address(bits)


class Guard:
    """The policy at work in one thread, for one download. `blocked` is what was refused first, whatever a library made
    of the exception; `abort` ends the open connections from another thread, and `aborted` then says so."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.blocked: Blocked | None = None
        self.connections = 0
        self._lines: list[socket.socket] = []
        self._lock = threading.Lock()
        self.aborted = False

    def refuse(self, blocked: Blocked) -> Blocked:
        """Note what was refused; the exception to raise."""
        self.blocked = self.blocked or blocked
        return blocked

    def connecting(self, line: socket.socket, target: object) -> None:
        """Judge one `connect`; keep a handle on its connection (of its own: TLS takes the socket itself away)."""
        with self._lock:
            if self.aborted:
                raise TimeoutError("the time for this file is over")
        try:
            self.policy.check(line.family, target)
        except Blocked as blocked:
            raise self.refuse(blocked) from None
        handle = line.dup()
        with self._lock:
            self.connections += 1
            self._lines.append(handle)

    def abort(self) -> None:
        """Break every open connection, and refuse further ones: the guarded thread's reads and writes fail now."""
        with self._lock:
            self.aborted = True
            for line in self._lines:
                with contextlib.suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the handles."""
        with self._lock:
            for line in self._lines:
                line.close()
            self._lines.clear()


_guarded = threading.local()
_hooked = threading.Lock()


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    guard: Guard | None = getattr(_guarded, "guard", None)
    if guard is None:
        return
    if event == "socket.connect":
        guard.connecting(*arguments)  # type: ignore[arg-type]
    elif event in _OUTSIDE_OF_SIGHT or event in _HANDED_ON:
        raise guard.refuse(
            Blocked(Reason.blocked_address, f"a download may not use {event}: the policy would not see it")
        )


def install() -> None:
    """Add the audit hook, once a process. It cannot be removed, and costs a thread that is not guarded one look-up."""
    if not getattr(install, "done", False):
        with _hooked:
            if not getattr(install, "done", False):
                sys.addaudithook(_hook)
                install.done = True  # type: ignore[attr-defined]


@contextlib.contextmanager
def guarded(guard: Guard) -> Iterator[Guard]:
    """Everything this thread connects to in the block is judged by the guard's policy."""
    install()
    before = getattr(_guarded, "guard", None)
    _guarded.guard = guard
    try:
        yield guard
    finally:
        _guarded.guard = before
        guard.close()
