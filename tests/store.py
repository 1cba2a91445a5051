"""A store for tests: the S3 API that AWS_ENDPOINT_URL names, whose keys the environment has, else moto's server on
loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a client's environment has to say: of moto's server on a free port, ended with the tests."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL")
    if os.environ.get("AWS_ENDPOINT_URL"):
        yield {name: os.environ[name] for name in names}
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("moto") / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{url}/moto-api/", timeout=2).close()
            break
        except OSError:
            assert time.monotonic() < deadline, "moto's server did not start"
            time.sleep(0.2)
    yield dict(zip(names, ("test", "test", "us-east-1", url), strict=True))
    process.terminate()
    process.wait(10)


def made(endpoint: dict[str, str], patch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket, and what a client needs to reach it; taken away afterwards."""
    import s3fs

    for name, value in endpoint.items():
        patch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"lake-{os.urandom(4).hex()}"
    fs = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    fs.mkdir(name)
    yield f"s3://{name}/root"
    fs.rm(name, recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def bucket(endpoint: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of one test's own."""
    yield from made(endpoint, monkeypatch)
