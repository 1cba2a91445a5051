"""The egress policy: what is not the public internet is never connected to, whichever way an address is spelled."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network

import pytest

from winnow.core.sample import Reason
from winnow.fetching.egress import Blocked, Guard, Policy, guarded

PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "5f00::1",
    "4000::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.15.0.1",
    "172.32.0.1",
    "100.63.0.1",
    "100.128.0.1",
    "192.0.1.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not Policy().allows(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_allowed(address: str) -> None:
    assert Policy().allows(ip_address(address))


def test_a_deployment_allows_networks_in_every_spelling() -> None:
    policy = Policy([ip_network("127.0.0.0/8"), ip_network("fd00::/8")])
    for allowed in ("127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "fd12::1", "8.8.8.8"):
        assert policy.allows(ip_address(allowed)), allowed
    for refused in ("10.0.0.1", "::1", "fe80::1", "169.254.169.254"):
        assert not policy.allows(ip_address(refused)), refused


class Listener:
    """A loopback socket that counts who came."""

    def __init__(self, family: int = socket.AF_INET, host: str = "127.0.0.1") -> None:
        self.socket = socket.socket(family)
        self.socket.bind((host, 0))
        self.socket.listen()
        self.socket.settimeout(0.2)
        self.port = self.socket.getsockname()[1]

    def came(self) -> bool:
        try:
            self.socket.accept()[0].close()
        except TimeoutError:
            return False
        return True


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.socket.close()


ATTEMPTS: dict[str, Callable[[int], object]] = {
    "socket": lambda port: socket.socket().connect(("127.0.0.1", port)),
    "connect_ex": lambda port: socket.socket().connect_ex(("127.0.0.1", port)),
    "a name given to connect": lambda port: socket.socket().connect(("localhost", port)),
    "a name": lambda port: socket.create_connection(("localhost", port), timeout=2),
    "decimal": lambda port: socket.create_connection(("2130706433", port), timeout=2),
    "octal": lambda port: socket.create_connection(("0177.0.0.1", port), timeout=2),
    "short": lambda port: socket.create_connection(("127.1", port), timeout=2),
    "zero": lambda port: socket.create_connection(("0", port), timeout=2),
    "mapped": lambda port: socket.create_connection(("::ffff:127.0.0.1", port), timeout=2),
    "urllib": lambda port: urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2),
    "http.client": lambda port: http.client.HTTPConnection("127.0.0.1", port, timeout=2).request("GET", "/"),
    "datagram": lambda port: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port)),
    "unix": lambda port: socket.socket(socket.AF_UNIX).connect("/tmp/nothing-listens-here"),
    "a program": lambda port: subprocess.run(["true"], check=True),
    "a shell": lambda port: os.system("true"),
    "a fork": lambda port: os.fork(),
}


@pytest.mark.fault(
    "a link into the own network",
    "fetch, by any spelling, redirect or library",
    "`blocked_address`, and no packet leaves",
)
@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_no_way_around_it_and_no_packet_leaves(attempt: Callable[[int], object], listener: Listener) -> None:
    guard = Guard(Policy())
    with guarded(guard), pytest.raises(Blocked) as refused:
        attempt(listener.port)
    assert refused.value.reason is Reason.blocked_address
    assert guard.blocked is refused.value
    assert guard.connections == 0
    assert not listener.came()


def test_rebinding_a_name_does_not_help(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["93.184.216.34", "127.0.0.1"])

    def resolve(host, port, *rest, **more):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert Policy().allows(ip_address(resolve("rebind.example", 80)[0][4][0]))
    with guarded(Guard(Policy())), pytest.raises(Blocked):
        socket.create_connection(("rebind.example", listener.port), timeout=2)
    assert not listener.came()


def test_an_allowed_network_is_reached(listener: Listener) -> None:
    guard = Guard(Policy([ip_network("127.0.0.0/8")]))
    with guarded(guard):
        socket.create_connection(("127.0.0.1", listener.port), timeout=2).close()
    assert listener.came()
    assert guard.connections == 1
    assert guard.blocked is None


def test_only_the_guarded_thread_is_bound(listener: Listener) -> None:
    reached = []

    def other() -> None:
        socket.create_connection(("127.0.0.1", listener.port), timeout=2).close()
        reached.append(True)

    thread = threading.Thread(target=other)
    ready = threading.Event()
    waiting = threading.Thread(target=lambda: (ready.wait(5), thread.start()))
    waiting.start()
    with guarded(Guard(Policy())):
        ready.set()
        waiting.join(5)
        thread.join(5)
    assert reached == [True]
    socket.create_connection(("127.0.0.1", listener.port), timeout=2).close()


def test_abort_breaks_a_connection_that_waits(listener: Listener) -> None:
    guard = Guard(Policy([ip_network("127.0.0.0/8")]))
    threading.Timer(0.2, guard.abort).start()
    with guarded(guard):
        line = socket.create_connection(("127.0.0.1", listener.port), timeout=10)
        assert line.recv(1) == b""
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", listener.port), timeout=10)
    assert guard.aborted
